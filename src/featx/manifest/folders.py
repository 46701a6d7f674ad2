"""The files below a folder, each folder entered once."""

import heapq
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from featx.errors import SourceError
from featx.manifest.listing import MISSING

logger = logging.getLogger(__name__)


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
        logger.info("%s: %d links lead to folders that are listed already", root, again)


def _identity(folder: Path) -> tuple[int, int]:
    try:
        status = folder.stat()
    except OSError as error:
        raise _cannot_list(folder, error) from error
    return status.st_dev, status.st_ino


def visible(folder: Path) -> list[os.DirEntry[str]]:
    """List the entries of a folder that are not hidden."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise _cannot_list(folder, error) from error


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link that leads through a folder that can't be read, or to itself
        return False


def _cannot_list(folder: Path, error: OSError) -> SourceError:
    return SourceError(
        f"the folder {folder} can't be listed ({error.strerror or error}); allow it, or move it elsewhere"
    )
