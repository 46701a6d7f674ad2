"""The manifest: the ordered list of images with label, and where known split and group."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.errors import Reason


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The images of one split, in the order of their rows.

    Parameters
    ----------
    source : Path
        The folder or CSV that was asked for, absolute.
    root : Path
        Folder that the paths are relative to, absolute.
    name : str
        Stem of the names of stores made from it (``"train"``).
    split : str or None
        ``"train"``, ``"val"``, ``"test"`` or a CSV's own word; None where nothing tells.
    paths : tuple of str, length n
        Relative to the root, ``/`` between parts, sorted (bytewise, as `os.fsencode` gives them), unique. Bytes that
        are no UTF-8 stand as surrogate escapes, as `os.fsdecode` gives them.
    labels : (n,) int32
        Index into `classes`, -1 for none.
    classes : tuple of str
        Sorted names.
    groups : tuple of str, length n, or None
        Images of one group stay together in cross-validation.
    sizes, mtimes_ns : (n,) int64
        File size in bytes and modification time in nanoseconds when listed; -1 where the file was missing.
    """

    source: Path
    root: Path
    name: str
    split: str | None
    paths: tuple[str, ...]
    labels: NDArray[np.int32]
    classes: tuple[str, ...]
    groups: tuple[str, ...] | None
    sizes: NDArray[np.int64]
    mtimes_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An image of the manifest that has no row, and why.

    Parameters
    ----------
    path : str
        As in the manifest.
    reason : Reason
        Code.
    message : str
        One line for people.
    digest : str or None
        SHA-256 of the file's bytes (64 hexadecimal digits) where they could be read.
    size, mtime_ns : int
        Of the file, -1 where unknown.
    """

    path: str
    reason: Reason
    message: str
    digest: str | None
    size: int
    mtime_ns: int
