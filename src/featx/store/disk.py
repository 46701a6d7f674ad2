"""Reading and writing at a position in a file, reserving space, syncing, and clear errors from the system."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import StoreError
from featx.store.format import LayoutError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

ZEROS = 4 << 20
"""Bytes written at once where space is taken by writing zeros."""


def read_at(fd: int, length: int, offset: int) -> bytes:
    """Read exactly `length` bytes; a file that ends before gives a LayoutError."""
    parts = []
    while length > 0:
        # One read gives 2 GiB at most.
        part = os.pread(fd, length, offset)
        if not part:
            raise LayoutError("is cut off")
        parts.append(part)
        length -= len(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def write_at(fd: int, values: NDArray[Any], offset: int) -> None:
    """Write all bytes of an array."""
    if not values.size:
        return
    rest = memoryview(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest = rest[written:]
        offset += written


def reserve(fd: int, size: int, *, tail: int) -> None:
    """Reserve disk space for a file of `size` bytes whose last `tail` bytes were never written."""
    try:
        os.posix_fallocate(fd, 0, size)
        return
    except AttributeError:
        pass  # macOS has no such call
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise
    # Where the system or the file system can't, the space is taken by writing to it.
    zeros = np.zeros(ZEROS, np.uint8)
    for offset in range(size - tail, size, len(zeros)):
        write_at(fd, zeros[: size - offset], offset)


def sync(fd: int) -> None:
    """Wait until what was written to a file is on the disk."""
    # macOS's fsync stops at the drive's cache.
    if hasattr(fcntl, "F_FULLFSYNC"):
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def reason(error: OSError) -> str:
    """Return the operating system's message in one line (HDF5's own messages have several)."""
    if error.errno == errno.EFBIG:
        return "files can't be so large here"
    return os.strerror(error.errno) if error.errno else str(error).splitlines()[0]


@contextlib.contextmanager
def store_errors(target: Path, what: str) -> Iterator[None]:
    """Turn the operating system's errors into a StoreError of one line."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreError(
                f"{target}: there is no space for {what} ({reason(error)}); free some space, then run the same "
                "extraction again: the work done so far is kept"
            ) from error
        raise StoreError(
            f"{target} can't be written: {reason(error)}; choose another place, or change the rights"
        ) from error
