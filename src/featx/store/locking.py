"""A lock that lets one process at a time write a target, and that ends with its process."""

import contextlib
import errno
import fcntl
import os
import socket
from pathlib import Path
from typing import NamedTuple, Self

from featx.errors import StoreInUse
from featx.files import open_own_descriptor

_NO_FLOCK = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
"""Error codes of file systems without flock: NFS without its lock service, some of clusters, some in user space."""


class Holder(NamedTuple):
    """The process that holds a lock, as written in the lock file.

    Parameters
    ----------
    process : int
        Its number.
    host : str
        Name of its machine.
    place : str
        Identity of that machine's boot and of its namespace of process numbers; ``-`` where the system tells neither.
    start : str
        Its start, in ticks since that boot: process numbers are used again, pairs of number and start aren't.
    """

    process: int
    host: str
    place: str
    start: str

    @classmethod
    def this(cls) -> Self:
        """Describe the current process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, process: int) -> Self:
        """Describe a process of this machine."""
        return cls(process, socket.gethostname() or "-", _place(), _start(process))

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Parse what `__str__` wrote; None for anything else."""
        match text.split():
            case ["process", process, "on", host, place, start] if process.isdecimal():
                return cls(int(process), host, place, start)
        return None

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} {self.place} {self.start}\n"

    @property
    def is_dead(self) -> bool:
        """True if that process has certainly ended, which only its own machine and container can tell."""
        here = self.this()
        if (self.host, self.place) != (here.host, here.place):
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # another user's
        return _start(self.process) != self.start


def lock_path(target: Path) -> Path:
    """Return the path of the lock file of a target."""
    return target.with_name(target.name + ".lock")


class Lock:
    """An exclusive lock on a target, held until `release`; ``<target>.lock`` is there only while it is held.

    The file is locked by flock. The system ends such a lock with its process, so a file that a killed process left
    behind blocks nobody. On a file system without flock the existence of the file is the lock. Such a file is removed
    only if its process ran on this machine and has certainly ended.

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
        self._target = target
        self._path = lock_path(target)
        self._fd: int | None = None
        while self._fd is None:
            try:
                self._fd = self._by_flock()
            except OSError as error:
                if error.errno not in _NO_FLOCK:
                    raise
                self._fd = self._by_file()

    def release(self) -> None:
        """Release the lock; further calls do nothing."""
        if self._fd is not None:
            if self._named_still(self._fd):
                self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None

    def _by_flock(self) -> int | None:
        """Lock the file by flock, making it if it is missing; None means that the caller must try again."""
        fd = self._make()
        made = fd is not None
        try:
            fd = open_own_descriptor(self._path) if fd is None else fd
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A holder removes the file as it goes: what was locked here may no longer be what the name stands for.
            if not self._named_still(fd):
                os.close(fd)
                return None
        except BlockingIOError:
            holder = os.pread(fd, 1024, 0).decode("utf-8", "replace")
            os.close(fd)
            raise self._in_use(holder, "wait until it has finished, or stop it") from None
        except BaseException:
            os.close(fd)
            if made:
                self._path.unlink(missing_ok=True)
            raise
        self._sign(fd)
        return fd

    def _by_file(self) -> int | None:
        """Lock by making the file; None, after a dead process's file was removed, means: try again."""
        if (fd := self._make()) is not None:
            self._sign(fd)
            return fd
        try:
            text = self._text()
        except FileNotFoundError:
            return None
        holder = Holder.read(text)
        if holder is None or not holder.is_dead:
            raise self._in_use(
                text, f"wait until it has finished; if you are sure that it no longer runs, delete {self._path}"
            )
        self._take_away(text)
        return None

    def _take_away(self, text: str) -> None:
        """Remove a dead process's file, one process at a time, unless another one was faster."""
        turn = self._path.with_name(self._path.name + ".taking")
        try:
            os.close(os.open(turn, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        except FileExistsError:
            raise self._in_use(
                "", f"try again; if you are sure that no other process writes it, delete {turn}"
            ) from None
        try:
            with contextlib.suppress(FileNotFoundError):
                if self._text() == text:
                    self._path.unlink()
        finally:
            turn.unlink()

    def _text(self) -> str:
        fd = open_own_descriptor(self._path, access=os.O_RDONLY)
        try:
            return os.pread(fd, 1024, 0).decode("utf-8", "replace")
        finally:
            os.close(fd)

    def _make(self) -> int | None:
        """Make the file and open it; None if it exists already."""
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            return None

    def _in_use(self, text: str, advice: str) -> StoreInUse:
        holder = Holder.read(text)
        who = "another process" if holder is None else f"process {holder.process} on {holder.host}"
        return StoreInUse(f"{self._target} is being written by {who}; {advice}")

    def _sign(self, fd: int) -> None:
        # Under a flock it is only for people: a full disk, on which a partial store may well be completed, is no
        # reason to refuse.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(Holder.this()).encode(), 0)

    def _named_still(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self._path.stat())
        except FileNotFoundError:
            return False


def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return "-"


def _start(process: int) -> str:
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "-"
    return stat.rpartition(")")[2].split()[19]
