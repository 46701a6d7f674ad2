"""The manifest: the ordered list of images with their labels and, if known, splits and groups."""

import csv
import heapq
import logging
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from featx.errors import Reason, SourceError, UsageError

_logger = logging.getLogger(__name__)

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Names of folders that are splits, in lower case, and the split that each means."""

_PATH_COLUMNS = ("path", "file_name", "image")
_WHAT_TO_GIVE = "give a folder of images, a folder with one sub-folder per class, or a .csv with a column path"
_MISSING = (-1, -1)
_EXTRA = "\0extra"


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


@dataclass(frozen=True, kw_only=True)
class _Listed:
    """One image as listed: path, label and group, and its size and time (-1 if missing)."""

    path: str
    label: str = ""
    group: str = ""
    size: int
    mtime_ns: int


def find(source: Path | str, *, limit: int | None = None, seed: int = 0) -> list[Manifest]:
    """List the images of a folder or a CSV.

    Every regular file that is not hidden is taken for an image: what it is shows when its bytes are read.

    Parameters
    ----------
    source : path
        A folder of images (no labels); a folder with one sub-folder per class, whose deeper levels keep the class; a
        folder of splits (sub-folders named train, val, valid, validation or test, in any case, and no others); or
        a CSV (UTF-8) with a header and the column ``path`` (or ``file_name``, ``image``), relative to the CSV or
        absolute, and optionally ``label``, ``split``, ``group``.
    limit : int, optional
        Choose so many images of each manifest, evenly over its classes.
    seed : int
        Seed of that choice.

    Returns
    -------
    list of Manifest
        One per split, in the order train, val, test, others; exactly one where there are no splits. Never empty, and
        none of them is.

    Raises
    ------
    SourceError
        Nothing there, nothing in it, a folder that can't be listed, a CSV that can't be understood.
    UsageError
        A limit below 1, or a seed below 0.

    Notes
    -----
    Files and folders with a leading dot are ignored. Links are followed, but not into a folder that they are in.
    Sockets, pipes and devices are never listed. A dangling link, and a file that a CSV names and that isn't there, is
    listed with size and time -1.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit {limit} asked for: choose 1 image or more")
    if seed < 0:
        raise UsageError(f"seed {seed} asked for: give 0 or more")
    try:
        given = Path(os.path.abspath(Path(source).expanduser()))  # noqa: PTH100  (resolve would follow links)
    except RuntimeError as error:  # there is no such user
        raise SourceError(f"{source}: {error}; {_WHAT_TO_GIVE}") from error
    try:
        mode = given.stat().st_mode
    except OSError as error:
        raise SourceError(f"{given}: {error.strerror or error}; {_WHAT_TO_GIVE}") from error
    if stat.S_ISDIR(mode):
        manifests = _from_folder(given)
    elif stat.S_ISREG(mode) and given.suffix.lower() == ".csv":
        manifests = _from_csv(given)
    else:
        raise SourceError(f"{given} is neither a folder nor a .csv file; {_WHAT_TO_GIVE}")
    return [manifest if limit is None else _limited(manifest, limit, seed) for manifest in manifests]


def _from_folder(folder: Path) -> list[Manifest]:
    splits = _split_folders(folder)
    if not splits:
        return [_manifest(source=folder, root=folder, name=folder.name, listed=_list_classes(folder))]
    manifests = [
        _manifest(source=folder, root=root, name=root.name, listed=listed)
        for root in splits
        if (listed := _list_classes(root))
    ]
    if not manifests:
        raise SourceError(
            f"no images in {folder}: {', '.join(root.name for root in splits)} hold no file; {_WHAT_TO_GIVE}"
        )
    return _in_order(manifests)


def _split_folders(folder: Path) -> list[Path]:
    entries = _visible(folder)
    folders = [folder / entry.name for entry in entries if _is_folder(entry)]
    if any(inner.name.lower() not in SPLITS for inner in folders):
        splits = [inner.name for inner in folders if inner.name.lower() in SPLITS]
        if "train" in map(str.lower, splits) and len(splits) > 1:
            others = next(inner.name for inner in folders if inner.name not in splits)
            _logger.warning(
                "%s: %s are taken for classes, since %r stands beside them; name one of them if they are splits",
                folder,
                " and ".join(splits),
                others,
            )
        return []
    if folders and len(entries) > len(folders):
        _logger.warning("%s: %d files beside the splits are left out", folder, len(entries) - len(folders))
    return sorted(folders)


def _list_classes(root: Path) -> list[_Listed]:
    """List the files below a folder, the first folder of each path as its label."""
    listed, special = [], 0
    for path, size, mtime_ns in _walk(root):
        if size is None:
            special += 1
            continue
        label, slash, _ = path.partition("/")
        listed.append(_Listed(path=path, label=label if slash else "", size=size, mtime_ns=mtime_ns))
    if special:
        _logger.info("%s: %d sockets, pipes or devices are left out", root, special)
    return listed


def _walk(root: Path) -> Iterator[tuple[str, int | None, int]]:
    """Yield path, size and time of every visible file below a folder; size None for what is no regular file."""
    # A folder is entered once: links in circles, or two of them in each folder, would otherwise lead on for ever. Where
    # a folder stands comes before where links to it stand, and of links the first by name.
    entered: set[tuple[int, int]] = set()
    folders, links, again = [""], list[str](), 0
    while folders or links:
        prefix = folders.pop() if folders else heapq.heappop(links)
        if (identity := _identity(root / prefix)) in entered:
            again += 1
            continue
        entered.add(identity)
        for entry in _visible(root / prefix):
            path = prefix + entry.name
            if _is_folder(entry):
                if entry.is_symlink():
                    heapq.heappush(links, f"{path}/")
                else:
                    folders.append(f"{path}/")
                continue
            try:
                status = entry.stat()
            except OSError:
                yield path, *_MISSING
                continue
            yield path, status.st_size if stat.S_ISREG(status.st_mode) else None, status.st_mtime_ns
    if again:
        _logger.info("%s: %d links lead to folders that are listed already", root, again)


def _identity(folder: Path) -> tuple[int, int]:
    try:
        status = folder.stat()
    except OSError as error:
        raise _cannot_list(folder, error) from error
    return status.st_dev, status.st_ino


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise _cannot_list(folder, error) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads through a folder that can't be read, or to itself
        return False


def _cannot_list(folder: Path, error: OSError) -> SourceError:
    return SourceError(
        f"the folder {folder} can't be listed ({error.strerror or error}); allow it, or move it elsewhere"
    )


def _from_csv(file: Path) -> list[Manifest]:
    by_split: dict[str, list[_Listed]] = {}
    try:
        # Paths are bytes to the file system: what is no UTF-8 goes through unchanged.
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            for split, listed in _rows(file, lines):
                by_split.setdefault(split, []).append(listed)
    except OSError as error:
        raise SourceError(
            f"{file} can't be read ({error.strerror or error}); allow it, or give another source"
        ) from error
    if not by_split:
        raise SourceError(f"{file} has a header and no rows; name one image per line")
    names = {split: f"{file.stem}-{split}".replace("/", "_") if split else file.stem for split in by_split}
    if len(set(names.values())) < len(names):
        raise SourceError(f"{file}: the splits {', '.join(by_split)} would share a name; give them others")
    return _in_order(
        _manifest(
            source=file,
            root=file.parent,
            name=names[split],
            listed=listed,
            split=split or SPLITS.get(file.stem.lower()),
        )
        for split, listed in by_split.items()
    )


def _rows(file: Path, lines: Iterable[str]) -> Iterator[tuple[str, _Listed]]:
    """Yield split and image of each row of a CSV."""
    reader = csv.DictReader(lines, restkey=_EXTRA, restval="")
    seen: dict[str, int] = {}
    try:
        header = [name.strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = header
        column = next((name for name in _PATH_COLUMNS if name in header), None)
        if column is None:
            found = ", ".join(header) or "no header"
            raise SourceError(f"{file}, line 1: no column path (or file_name, image), found {found}; name the column")
        for row in reader:
            where = f"{file}, line {reader.line_num}"
            if _EXTRA in row:
                raise SourceError(f"{where}: more fields than the header has; put a path with commas in quotes")
            if not row[column]:
                raise SourceError(f"{where}: the {column} is empty; name an image, or delete the line")
            path = _relative(row[column], file.parent)
            if path in seen:
                raise SourceError(f"{where}: {path} is already on line {seen[path]}; delete one of them")
            seen[path] = reader.line_num
            size, mtime_ns = _status(file.parent / path, where)
            label, split, group = (row.get(name, "").strip() for name in ("label", "split", "group"))
            listed = _Listed(path=path, label=label, group=group, size=size, mtime_ns=mtime_ns)
            yield SPLITS.get(split.lower(), split), listed
    except csv.Error as error:
        raise SourceError(f"{file}, line {reader.line_num}: no CSV ({error}); correct the line") from error


def _relative(path: str, root: Path) -> str:
    """Remove meaningless parts of a path (``./``, ``//``, the root itself), so that one image has one name."""
    plain = PurePosixPath(path)
    return str(plain.relative_to(root) if plain.is_relative_to(root) else plain)


def _status(path: Path, where: str) -> tuple[int, int]:
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a null character in the path
        return _MISSING
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{where}: {path} is no regular file; name an image")
    return status.st_size, status.st_mtime_ns


def _limited(manifest: Manifest, limit: int, seed: int) -> Manifest:
    """Choose images evenly over the classes; a class with too few leaves its share to the others."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(manifest))
    # The k-th image of each class, in random order, before the (k+1)-th of any; ties among classes at random too.
    turn = np.empty(len(manifest), np.int64)
    for label in np.unique(manifest.labels):
        members = order[manifest.labels[order] == label]
        turn[members] = np.arange(len(members))
    chosen = np.sort(order[np.argsort(turn[order], kind="stable")][:limit])
    return replace(
        manifest,
        paths=tuple(manifest.paths[i] for i in chosen),
        labels=manifest.labels[chosen],
        groups=None if manifest.groups is None else tuple(manifest.groups[i] for i in chosen),
        sizes=manifest.sizes[chosen],
        mtimes_ns=manifest.mtimes_ns[chosen],
    )


def _manifest(*, source: Path, root: Path, name: str, listed: list[_Listed], split: str | None = None) -> Manifest:
    if not listed:
        raise SourceError(f"no images in {root}: it holds no file that is not hidden; {_WHAT_TO_GIVE}")
    listed = sorted(listed, key=lambda image: os.fsencode(image.path))
    classes = tuple(sorted({image.label for image in listed} - {""}, key=os.fsencode))
    index = {"": -1} | {label: i for i, label in enumerate(classes)}
    grouped = any(image.group for image in listed)
    return Manifest(
        source=source,
        root=root,
        name=name or "images",  # the root of the file system has no name
        split=split or SPLITS.get(name.lower()),
        paths=tuple(image.path for image in listed),
        labels=np.array([index[image.label] for image in listed], np.int32),
        classes=classes,
        # An image without a group is a group of its own.
        groups=tuple(image.group or image.path for image in listed) if grouped else None,
        sizes=np.array([image.size for image in listed], np.int64),
        mtimes_ns=np.array([image.mtime_ns for image in listed], np.int64),
    )


def _in_order(manifests: Iterable[Manifest]) -> list[Manifest]:
    known = list(dict.fromkeys(SPLITS.values()))
    return sorted(
        manifests, key=lambda one: (known.index(one.split) if one.split in known else len(known), os.fsencode(one.name))
    )
