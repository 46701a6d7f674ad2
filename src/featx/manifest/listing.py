"""The manifest itself, made of the images that a folder or a CSV lists."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.errors import Reason, SourceError

WHAT_TO_GIVE = "give a folder of images, a folder with one sub-folder per class, or a .csv file with a column path"
"""Advice where a source can't be taken."""

SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "validate", "eval", "evaluation", "dev", "development"),
    "test": ("test", "testing"),
}
"""Each split, and the words that mean it."""

_SPLIT_NAME = re.compile(
    r"(?:images?|data)?(?:"
    + "|".join(f"(?P<{split}>{'|'.join(words)})" for split, words in SPLITS.items())
    + r")(?:set|data|dataset|images?|imgs?|split)?"
)

MISSING = (-1, -1)
"""Size and time of a file that isn't there."""


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """The way to read a CSV where its columns have other names, or its images are elsewhere.

    Parameters
    ----------
    path_column, label_column : str or None
        Columns of the paths and the labels; None looks for those of the usual names.
    root : Path or None
        Folder that the paths are relative to; None is the folder of the CSV.
    """

    path_column: str | None = None
    label_column: str | None = None
    root: Path | None = None

    def __bool__(self) -> bool:
        return any(value is not None for value in (self.path_column, self.label_column, self.root))


AS_USUAL = TableOptions()
"""The way to read a CSV whose columns have the usual names."""


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
    notes : tuple of str
        Lines for people about the way in which the source was read.
    absent : str
        The first file that was missing and a guess at the reason, for people; empty where there is none to tell.
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
    notes: tuple[str, ...] = ()
    absent: str = ""

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def counts(self) -> dict[str, int]:
        """Images of each class, in the order of the classes."""
        labelled = self.labels[self.labels >= 0]
        return dict(zip(self.classes, np.bincount(labelled, minlength=len(self.classes)).tolist(), strict=True))


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
    digest: str | None = field(repr=False)
    size: int = field(repr=False)
    mtime_ns: int = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One image as listed: path, label and group, and its size and time (-1 if missing)."""

    path: str
    label: str = ""
    group: str = ""
    size: int
    mtime_ns: int


def split_named(name: str) -> str | None:
    """Find the split that a name means.

    >>> [split_named(name) for name in ("Training", "test_set", "valid", "cats")]
    ['train', 'test', 'val', None]
    """
    match = _SPLIT_NAME.fullmatch(re.sub(r"[\W_]+", "", name.lower()))
    return None if match is None else match.lastgroup


def made_of(
    *,
    source: Path,
    root: Path,
    name: str,
    listed: list[Listed],
    split: str | None = None,
    notes: tuple[str, ...] = (),
    absent: str = "",
) -> Manifest:
    """Sort images, and number their classes."""
    if not listed:
        raise SourceError(f"no images in {root}: it has no files, or only hidden ones; {WHAT_TO_GIVE}")
    listed = sorted(listed, key=lambda image: os.fsencode(image.path))
    classes = tuple(sorted({image.label for image in listed} - {""}, key=os.fsencode))
    index = {"": -1} | {label: i for i, label in enumerate(classes)}
    grouped = any(image.group for image in listed)
    return Manifest(
        source=source,
        root=root,
        name=name or "images",  # the root of the file system has no name
        split=split or split_named(name),
        paths=tuple(image.path for image in listed),
        labels=np.array([index[image.label] for image in listed], np.int32),
        classes=classes,
        # An image without a group is a group of its own.
        groups=tuple(image.group or image.path for image in listed) if grouped else None,
        sizes=np.array([image.size for image in listed], np.int64),
        mtimes_ns=np.array([image.mtime_ns for image in listed], np.int64),
        notes=notes,
        absent=absent,
    )


def in_order(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Sort manifests: train, val, test, then others by name."""
    known = list(SPLITS)
    return sorted(
        manifests, key=lambda one: (known.index(one.split) if one.split in known else len(known), os.fsencode(one.name))
    )
