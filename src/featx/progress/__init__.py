"""Progress of long calls.

`featx.progress.observer`  what an observer is told
`featx.progress.bars`      the bars of notebooks and terminals, and when they are shown
"""

from featx.progress.bars import observed
from featx.progress.observer import LONG_SECONDS, SHOWN_SECONDS, SILENT, Progress, Silent, Step

__all__ = ["LONG_SECONDS", "SHOWN_SECONDS", "SILENT", "Progress", "Silent", "Step", "observed"]
