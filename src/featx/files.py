"""Files that appear whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from featx.errors import FeatxError


@contextlib.contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that takes its name once it is whole and on the disk.

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
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
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
        raise FeatxError(f"can't write {path}: {error.strerror}; give a place that can be written to") from error
