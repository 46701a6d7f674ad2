"""One process at a time on one target, by a lock that dies with its process."""

import contextlib
import fcntl
import os
import socket
from pathlib import Path

from featx.errors import StoreInUse


class Lock:
    """An exclusive flock on ``<target>.lock``, held until `release`; the file is there only while it is held.

    Parameters
    ----------
    target : Path
        The store to be written.

    Raises
    ------
    StoreInUse
        Another process (or another part of this one) holds it.
    OSError
        The lock file can't be made.
    """

    def __init__(self, target: Path) -> None:
        self._path = target.with_name(target.name + ".lock")
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(fd, 1024, 0).decode("utf-8", "replace").strip() or "another process"
                os.close(fd)
                raise StoreInUse(f"{target} is being written by {holder}; wait until it is done, or end it") from None
            except BaseException:
                os.close(fd)
                raise
            # A holder removes the file as it goes: what was locked here may no longer be what the name stands for.
            if self._named_still(fd):
                break
            os.close(fd)
        self._fd: int | None = fd
        # Only for people: a full disk, on which a partial store may well be completed, is no reason to refuse.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def _named_still(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let go; further calls do nothing."""
        if self._fd is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None
