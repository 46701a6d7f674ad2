"""Splits and classes of a folder, from the names of its sub-folders."""

import logging
import os
import re
from pathlib import Path

from featx.errors import SourceError
from featx.manifest.folders import is_empty, is_folder, visible, walk
from featx.manifest.listing import WHAT_TO_GIVE, Listed, Manifest, in_order, made_of, split_named

logger = logging.getLogger(__name__)


def from_folder(folder: Path) -> list[Manifest]:
    """List the images of a folder, as a manifest for each of its splits."""
    splits = _split_folders(folder)
    if not splits:
        return [made_of(source=folder, root=folder, name=folder.name, listed=_list_classes(folder))]
    manifests = [
        made_of(source=folder, root=root, name=root.name, listed=listed, split=split)
        for root, split in splits.items()
        if (listed := _list_classes(root))
    ]
    if not manifests:
        raise SourceError(
            f"no images in {folder}: {', '.join(root.name for root in splits)} hold no file; {WHAT_TO_GIVE}"
        )
    return in_order(manifests)


def _split_folders(folder: Path) -> dict[Path, str]:
    """Find the sub-folders that are splits, and which: all that hold a file, or none."""
    entries = visible(folder)
    folders = sorted(folder / entry.name for entry in entries if is_folder(entry))
    splits = _splits([inner.name for inner in folders])
    if not splits:
        return {}
    other = next((inner.name for inner in folders if inner.name not in splits and not is_empty(inner)), None)
    if other is not None:
        names = {inner.name for inner in folders} - splits.keys()
        held = any(names & {entry.name for entry in visible(folder / split) if is_folder(entry)} for split in splits)
        if held or ("train" in splits.values() and len(splits) > 1):
            logger.warning(
                "%s: %s are taken for classes, since %r stands beside them; name one of them if they are splits",
                folder,
                " and ".join(splits),
                other,
            )
        return {}
    if beside := len(entries) - len(folders):
        logger.warning("%s: %d files beside the splits are left out", folder, beside)
    return {folder / name: split for name, split in splits.items()}


def _splits(names: list[str]) -> dict[str, str]:
    """Find the names that mean a split, and which; a word that all of them share (``set_train``) tells nothing."""
    words = {name: re.split(r"[\W_]+", name.lower()) for name in names}
    shared = set.intersection(*map(set, words.values())) if len(names) > 1 else set()
    meant = {name: split_named("".join(word for word in words[name] if word not in shared)) for name in names}
    return {name: split for name, split in meant.items() if split is not None}


def _list_classes(root: Path) -> list[Listed]:
    """List the files below a folder, the first folder of each path as its label."""
    listed, special = [], 0
    for path, size, mtime_ns in walk(root):
        if size is None:
            special += 1
            continue
        label, slash, _ = path.partition("/")
        listed.append(Listed(path=path, label=label if slash else "", size=size, mtime_ns=mtime_ns))
    if special:
        logger.info("%s: %d sockets, pipes or devices are left out", root, special)
    _warn_of_levels(root, listed)
    return listed


def _warn_of_levels(root: Path, listed: list[Listed]) -> None:
    """Say where the classes seem to lie deeper than the first level."""
    inner: dict[str, set[str]] = {}
    for image in listed:
        label, name, deeper = (*image.path.split("/", 2), "", "")[:3]
        if not deeper:
            return
        inner.setdefault(label, set()).add(name)
    if not inner:
        return
    if len(inner) == 1:
        folder = os.path.commonpath([os.path.dirname(image.path) for image in listed])  # noqa: PTH120  (no files are meant)
        if below := sorted(
            {
                image.path[len(folder) + 1 :].partition("/")[0]
                for image in listed
                if "/" in image.path[len(folder) + 1 :]
            }
        ):
            logger.warning(
                "%s has one class, %s, whose images lie in the folders %s; if those are the classes, give %s",
                root,
                next(iter(inner)),
                _some(below),
                root / folder,
            )
        return
    first, *others = inner.values()
    if len(first) < 2 or any(other != first for other in others):
        return
    if all(split_named(name) for name in first):
        logger.warning(
            "%s: the classes %s have sub-folders that are named as splits, %s, and are taken whole; put a folder for "
            "each split above the classes, or a column split into a CSV",
            root,
            _some(sorted(inner)),
            _some(sorted(first)),
        )
    else:
        logger.warning(
            "%s: the classes %s have sub-folders of the same names, %s; if those are the classes, give %s",
            root,
            _some(sorted(inner)),
            _some(sorted(first)),
            " or ".join(str(root / label) for label in sorted(inner)[:2]),
        )


def _some(names: list[str]) -> str:
    """Name up to five, and count the others."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
