"""Writing of files that appear whole or not at all, and opening of regular files only."""

import contextlib
import errno
import json
import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from featx.errors import FeatxError

ALIKE = 0.8
"""Likeness of two names, from 0 to 1 as `difflib` measures it, from which on one is likely a slip for the other."""

LEVELS = 4
"""Folders around a file in which `moved` looks: ``artifacts/features``, ``artifacts``, the project's, the one above."""


class NotOwnFile(OSError):
    """A link, a pipe or the like in the place of a file of featx."""


def meant(path: Path) -> str:
    """Guess which path was meant by one that isn't there.

    Backslashes, blanks around it, capital and small letters, Unicode forms, a suffix that was left out and a slip of
    the keyboard in one of its parts are looked through.

    Returns
    -------
    str
        The end of a message (``"; did you mean data/train?"``); empty where the path is there, or nothing is like it.
    """
    found = near(Path(os.fspath(path).strip().strip("'\"").replace("\\", "/")))
    return "" if found in (None, path) else f"; did you mean {found}?"


def near(path: Path, *, slips: bool = True) -> Path | None:
    """Find a path that is there under nearly the same names.

    Parameters
    ----------
    path : Path
        A path that may not be there.
    slips : bool
        Take the likeliest name, for a slip of the keyboard or a suffix that was left out. Else only capital and small
        letters, Unicode forms and blanks around a name may differ, and only one name may fit.

    Returns
    -------
    Path or None
        The path itself where it is there; None where nothing is like it.
    """
    found = Path(path.anchor)
    for part in path.parts[bool(path.anchor) :]:
        if part == ".." or os.path.exists(found / part):  # noqa: PTH110  (pathlib's raises for names that are too long)
            found /= part
            continue
        try:
            names = os.listdir(found)  # noqa: PTH208  (names only)
        except OSError:
            return None
        alike = [name for name in names if _plain(name) == _plain(part)]
        if len(alike) != 1 and slips:
            import difflib

            entries = {_plain(name): name for name in names}
            stems = {os.path.splitext(name)[0]: name for name in entries}  # noqa: PTH122
            like = difflib.get_close_matches(_plain(part), [*entries, *stems], n=1, cutoff=ALIKE)
            alike = [entries[stems.get(one, one)] for one in like]
        if len(alike) != 1:
            return None
        found /= alike[0]
    return found


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold().strip()


def moved(recorded: Path, *, near: Path) -> Iterator[Path]:
    """Yield what may have been moved, together with a file, from a place that was recorded: the likeliest first.

    Of a project that is now called ``new``, and a file of it, ``old/data/train`` is looked for as ``new/data/train``.

    Parameters
    ----------
    recorded : Path
        Where a file or folder was, absolute.
    near : Path
        A file that was moved with it, absolute.

    Yields
    ------
    Path
        A file or folder that is there, its path ending as the recorded one does; what it holds isn't looked at.
    """
    parts = recorded.parts[1:]
    for folder in near.parents[:LEVELS]:
        for start in range(1, len(parts)):
            found = folder.joinpath(*parts[start:])
            with contextlib.suppress(OSError, ValueError):
                if found != recorded and found.exists():
                    yield found


@contextlib.contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that gets its name once it is whole and on the disk.

    Until then, and after an error, what `path` names stays as it was. Folders are made. The temporary file beside it
    is new and has a random name, so that nobody else's file or link is written to.

    Parameters
    ----------
    path : Path
        Replaced where it exists, in one step.

    Raises
    ------
    OSError
        The file can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.urandom(8).hex()}.partial")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all.

    Raises
    ------
    FeatxError
        The file can't be written.
    """
    try:
        with whole(path) as file:
            file.write(data)
    except OSError as error:
        raise FeatxError(f"can't write {path}: {error.strerror}; choose a place where you may write") from error


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, unless it is a pipe or a device, which could hang or never end.

    Raises
    ------
    OSError
        It can't be read, or is no regular file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(f"{path.name} is not a regular file")
    except BaseException:
        os.close(fd)
        raise
    return os.fdopen(fd, "rb", buffering=0)


def open_own(path: Path) -> BinaryIO:
    """Open a file that featx made for reading and writing.

    A link in its place, or a second name of it, may lead to anybody's file, which would be written over.

    Raises
    ------
    NotOwnFile
        It is a link, has a second name, or is no regular file.
    OSError
        It can't be opened.
    """
    return os.fdopen(open_own_descriptor(path), "r+b", buffering=0)


def open_own_descriptor(path: Path, *, access: int = os.O_RDWR) -> int:
    """Open a file as `open_own` does, or for reading only; return the file descriptor."""
    try:
        fd = os.open(path, access | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _not_own(path) from error
        raise
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(fd)
        raise _not_own(path)
    return fd


def _not_own(path: Path) -> NotOwnFile:
    reason = (
        f"{path.name} is a link, has a second name or is not a regular file, so featx doesn't write to it; delete it"
    )
    return NotOwnFile(reason)


def parse_json(text: str | bytes) -> Any:
    """Parse JSON that somebody else may have written.

    Raises
    ------
    ValueError
        It is no JSON, or nested so deeply that Python can't follow.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error
