"""Splits and classes of a folder, from the names of its sub-folders."""

import logging
import os
import re
from pathlib import Path

from featx.errors import SourceError
from featx.manifest.folders import is_empty, is_folder, visible, walk
from featx.manifest.listing import WHAT_TO_GIVE, Listed, Manifest, in_order, made_of, split_named
from featx.words import counted, some

logger = logging.getLogger(__name__)

NAMED_CLASSES = 5
"""Classes that a warning names."""


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
            f"no images in {folder}: {', '.join(root.name for root in splits)} {'is' if len(splits) == 1 else 'are'} "
            f"empty; {WHAT_TO_GIVE}"
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
                "%s: %s are taken as classes, because the folder %r is beside them; if they are splits, give one of "
                "them alone",
                folder,
                " and ".join(splits),
                other,
            )
        return {}
    if beside := len(entries) - len(folders):
        logger.warning("%s: %s beside the splits left out", folder, counted(beside, "file"))
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
        logger.info("%s: %s left out (sockets, pipes or devices)", root, counted(special, "special file"))
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
                "%s has only one class, %s, whose images are in the folders %s; if these folders are the classes, "
                "give %s",
                root,
                next(iter(inner)),
                some(below, most=NAMED_CLASSES),
                root / folder,
            )
        return
    first, *others = inner.values()
    if len(first) < 2 or any(other != first for other in others):
        return
    if all(split_named(name) for name in first):
        logger.warning(
            "%s: the classes %s have sub-folders with names of splits, %s, which are not taken as splits; put the "
            "folders of the splits above those of the classes, or add a column split to a CSV",
            root,
            some(sorted(inner), most=NAMED_CLASSES),
            some(sorted(first), most=NAMED_CLASSES),
        )
    else:
        logger.warning(
            "%s: the classes %s have sub-folders with the same names, %s; if the sub-folders are the classes, give %s",
            root,
            some(sorted(inner), most=NAMED_CLASSES),
            some(sorted(first), most=NAMED_CLASSES),
            " or ".join(str(root / label) for label in sorted(inner)[:2]),
        )
