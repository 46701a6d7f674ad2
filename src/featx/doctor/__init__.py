"""The self-check of a machine: its equipment, and known features of known images.

`featx.doctor.finding`       what one look gives
`featx.doctor.surroundings`  versions, devices, weights, folders, cores: nothing that takes long
`featx.doctor.golden`        pictures and networks whose pixels and features are known
`featx.doctor.runtimes`      the golden check on each runtime
"""

from collections.abc import Iterator
from pathlib import Path

from featx.doctor import runtimes, surroundings
from featx.doctor.finding import Finding, State

__all__ = ["Finding", "State", "examine"]


def examine(*, quick: bool = False, folder: Path | str = ".") -> Iterator[Finding]:
    """Look at this machine, one thing after the other.

    Parameters
    ----------
    quick : bool
        Leave out what loads Keras, which takes 10 to 20 seconds.
    folder : path
        Where results would be written; a few megabytes are, for a moment.

    Yields
    ------
    Finding
        As soon as it is known. ``"failed"`` means that featx would compute wrong features here, or none.
    """
    yield from surroundings.examine(Path(folder))
    yield from runtimes.examine(quick=quick)
