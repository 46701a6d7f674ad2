"""Progress of long calls.

`featx.progress.observer`  what an observer is told
`featx.progress.choice`    which observer the parameter `progress` means
`featx.progress.bars`      the bars of notebooks and terminals
"""

from featx.progress.choice import observed
from featx.progress.observer import LONG_SECONDS, SHOWN_SECONDS, SILENT, Progress, Silent, Step

__all__ = ["LONG_SECONDS", "SHOWN_SECONDS", "SILENT", "Progress", "Silent", "Step", "observed"]
