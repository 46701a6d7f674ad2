"""The files below a folder, each folder entered once."""

import heapq
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from featx.errors import SourceError
from featx.manifest.listing import MISSING
from featx.words import counted

logger = logging.getLogger(__name__)

SYSTEM_FOLDERS = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}
)
"""Folders that systems put beside those of people, in lower case: what they hold is a copy, a preview or waste."""

ARTIFACTS = {
    "features": (".h5",),
    "models": (".skops",),
    "reports": (".json",),
    "exports": (".npz", ".csv", ".parquet"),
}
"""The folders below ``artifacts`` that featx writes, and what files in each are called."""

_OWN_FILES = (".h5", ".h5.lock", ".h5.partial", ".skops")
"""Ends of the names of files that featx writes wherever it is told to."""


def walk(root: Path) -> Iterator[tuple[str, int | None, int]]:
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
        for entry in visible(root / prefix):
            path = prefix + entry.name
            if is_folder(entry):
                if entry.is_symlink():
                    heapq.heappush(links, f"{path}/")
                else:
                    folders.append(f"{path}/")
                continue
            try:
                status = entry.stat()
            except OSError:
                yield path, *MISSING
                continue
            yield path, status.st_size if stat.S_ISREG(status.st_mode) else None, status.st_mtime_ns
    if again:
        logger.info("%s: %s to folders that are listed already", root, counted(again, "link leads", "links lead"))


def _identity(folder: Path) -> tuple[int, int]:
    try:
        status = folder.stat()
    except OSError as error:
        raise _cannot_list(folder, error) from error
    return status.st_dev, status.st_ino


def visible(folder: Path) -> list[os.DirEntry[str]]:
    """List the entries of a folder that are neither hidden nor a system's or featx's own."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise _cannot_list(folder, error) from error
    own = _written_by_featx(folder, found) if folder.name == "artifacts" else set()
    return [
        entry
        for entry in found
        if entry.name not in own
        and not entry.name.endswith(_OWN_FILES)
        and not (entry.name.lower() in SYSTEM_FOLDERS and is_folder(entry))
    ]


def _written_by_featx(artifacts: Path, entries: list[os.DirEntry[str]]) -> set[str]:
    """Find the folders of stores, models, reports and exports, all of them where one has such a file."""
    own = {entry.name for entry in entries if entry.name in ARTIFACTS and is_folder(entry)}
    for name in own:
        try:
            if any(file.endswith(ARTIFACTS[name]) for file in os.listdir(artifacts / name)):  # noqa: PTH208  (names only)
                return own
        except OSError as error:
            raise _cannot_list(artifacts / name, error) from error
    return set()


def is_empty(folder: Path) -> bool:
    """Tell whether no visible file lies anywhere below a folder."""
    return next(walk(folder), None) is None


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link that leads through a folder that can't be read, or to itself
        return False


def _cannot_list(folder: Path, error: OSError) -> SourceError:
    return SourceError(
        f"the folder {folder} can't be listed ({error.strerror or error}); change its rights, or move it elsewhere"
    )
