"""Splits and classes of a folder, from the names of its sub-folders."""

import logging
from pathlib import Path

from featx.errors import SourceError
from featx.manifest.folders import is_folder, visible, walk
from featx.manifest.listing import SPLITS, WHAT_TO_GIVE, Listed, Manifest, in_order, made_of

logger = logging.getLogger(__name__)


def from_folder(folder: Path) -> list[Manifest]:
    """List the images of a folder, as a manifest for each of its splits."""
    splits = _split_folders(folder)
    if not splits:
        return [made_of(source=folder, root=folder, name=folder.name, listed=_list_classes(folder))]
    manifests = [
        made_of(source=folder, root=root, name=root.name, listed=listed)
        for root in splits
        if (listed := _list_classes(root))
    ]
    if not manifests:
        raise SourceError(
            f"no images in {folder}: {', '.join(root.name for root in splits)} hold no file; {WHAT_TO_GIVE}"
        )
    return in_order(manifests)


def _split_folders(folder: Path) -> list[Path]:
    entries = visible(folder)
    folders = [folder / entry.name for entry in entries if is_folder(entry)]
    if any(inner.name.lower() not in SPLITS for inner in folders):
        splits = [inner.name for inner in folders if inner.name.lower() in SPLITS]
        if "train" in map(str.lower, splits) and len(splits) > 1:
            others = next(inner.name for inner in folders if inner.name not in splits)
            logger.warning(
                "%s: %s are taken for classes, since %r stands beside them; name one of them if they are splits",
                folder,
                " and ".join(splits),
                others,
            )
        return []
    if folders and len(entries) > len(folders):
        logger.warning("%s: %d files beside the splits are left out", folder, len(entries) - len(folders))
    return sorted(folders)


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
    return listed
