"""The program of a decoder process: read a file once, digest it, and decode it if its digest is unknown.

The parent writes tasks into one pipe and reads results from another. Both are small records; pixels go through the
ring.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import importlib
import json
import mmap
import os
import signal
import stat
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from featx.batches.ring import IDLE, Ring
from featx.errors import REASONS, ImageError, Reason
from featx.spec import PixelRules, ViewsSpec

Outcome = Reason | Literal["decoded", "known"]
_OUTCOMES: tuple[Outcome, ...] = ("decoded", "known", *REASONS)

FOLDER_PREFIX = "featx-"
"""Beginning of the name of a process's working folder."""

READY = -1
"""Position of the first result of a process: it is up."""

_TASK = struct.Struct("<qII")  # position, ring slot, length of the path
_RESULT = struct.Struct("<qBqqB32sddH")  # fields of Result; a flag says whether there is a digest
_MESSAGE_BYTES = 500
_LEAST_READ = 64 << 10
_MOST_READ = 8 << 20
_ROOM_BYTES = 64 << 20


class Result(NamedTuple):
    """The result for one image: `read` and `decode` in seconds; size and time are -1 if unknown."""

    position: int
    outcome: Outcome
    size: int = -1
    mtime_ns: int = -1
    digest: bytes | None = None
    read: float = 0.0
    decode: float = 0.0
    message: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings that a decoder process gets at its start.

    Parameters
    ----------
    slots, workers : int
        Shape of the ring.
    known : int
        Number of known digests.
    rules : PixelRules
        How pixels are made.
    max_pixels : int or None
        Images that announce more are refused; None is the decoder's own limit.
    decoder : str
        ``"module:function"``, of the signature of `featx.images.decode_into`; with views, that of
        `featx.images.augment.decode_with_views_into`.
    timeout_s : float
        Seconds without progress on one image after which the parent takes a process for hung.
    views : ViewsSpec or None
        Views to be made of each image too.
    """

    slots: int
    workers: int
    known: int
    rules: PixelRules
    max_pixels: int | None
    decoder: str
    timeout_s: float
    views: ViewsSpec | None = None

    def to_json(self) -> str:
        """Return the settings as JSON, for `from_json`."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read settings back from `to_json`."""
        fields = json.loads(text)
        rules = fields["rules"]
        fields["rules"] = PixelRules(**{**rules, "image_size": tuple(rules["image_size"])})
        fields["views"] = fields["views"] and ViewsSpec(**fields["views"])
        return cls(**fields)


class Pipes(NamedTuple):
    """The file descriptors that a decoder process inherits."""

    tasks: int
    results: int
    life: int
    ring: int
    known: int


def pack_task(position: int, ring_slot: int, file: bytes) -> bytes:
    """Make the record of one task; `file` is the path as the file system has it."""
    return _TASK.pack(position, ring_slot, len(file)) + file


def pack_result(result: Result) -> bytes:
    """Make the record of one result; a message is cut to 500 bytes."""
    message = result.message.encode("utf-8", "backslashreplace")[:_MESSAGE_BYTES]
    return (
        _RESULT.pack(
            result.position,
            _OUTCOMES.index(result.outcome),
            result.size,
            result.mtime_ns,
            result.digest is not None,
            result.digest or b"",
            result.read,
            result.decode,
            len(message),
        )
        + message
    )


def unpack_results(buffer: bytearray) -> Iterator[Result]:
    """Remove all complete results from the front of `buffer` and yield them."""
    start = 0
    while len(buffer) >= start + _RESULT.size:
        position, outcome, size, mtime_ns, digested, digest, read, decode, length = _RESULT.unpack_from(buffer, start)
        end = start + _RESULT.size + length
        if len(buffer) < end:
            break
        message = buffer[start + _RESULT.size : end].decode("utf-8", "replace") if length else ""
        yield Result(position, _OUTCOMES[outcome], size, mtime_ns, digest if digested else None, read, decode, message)
        start = end
    del buffer[:start]


def serve(settings: str, index: int, pipes: list[int]) -> None:
    """Run `main` with arguments that JSON can hold."""
    main(Settings.from_json(settings), index, Pipes(*pipes))


def main(settings: Settings, index: int, pipes: Pipes) -> None:
    """Serve tasks until the parent closes the pipe or is gone.

    Parameters
    ----------
    settings : Settings
        Of all processes.
    index : int
        Number of this process, from 0.
    pipes : Pipes
        File descriptors.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    _die_with(pipes.life)
    _offer_to_oom_killer()
    module, _, name = settings.decoder.partition(":")
    decode = getattr(importlib.import_module(module), name)
    if cv2 := sys.modules.get("cv2"):
        cv2.setNumThreads(1)  # parallel by processes
    job = _Job(settings, index, pipes, decode)

    # Decoding libraries write warnings to stderr whenever they like; it is for what ends the process only.
    words = os.dup(2)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 2)
    os.close(nowhere)

    _leave_no_folder()
    _send(pipes.results, Result(READY, "known"))
    buffer = bytearray()
    while chunk := os.read(pipes.tasks, 1 << 16):
        buffer += chunk
        start = 0
        while len(buffer) >= start + _TASK.size:
            position, ring_slot, length = _TASK.unpack_from(buffer, start)
            end = start + _TASK.size + length
            if len(buffer) < end:
                break
            file = bytes(buffer[start + _TASK.size : end])
            start = end
            try:
                result = job.run(position, ring_slot, file)
            except ImportError:  # a decoding library that is loaded late, and broken
                os.dup2(words, 2)
                raise
            _send(pipes.results, result)
        del buffer[:start]


def _leave_no_folder() -> None:
    """Remove the empty folder that the process was started in; the parent may be killed before it can."""
    with contextlib.suppress(OSError):
        folder = Path.cwd()
        if folder.name.startswith(FOLDER_PREFIX):
            folder.rmdir()


class _Job:
    """The work of a decoder process on one image after another."""

    def __init__(self, settings: Settings, index: int, pipes: Pipes, decode: Callable[..., None]) -> None:
        ring = Ring(
            pipes.ring,
            slots=settings.slots,
            image_size=settings.rules.image_size,
            workers=settings.workers,
            views=0 if settings.views is None else settings.views.count,
        )
        self._views = settings.views
        self._images = ring.images
        self._mark = ring.marks[index]
        self._known: NDArray[np.bytes_] = np.zeros(0, "S32")
        if settings.known:
            # Sorted, and shared by all processes: ten million digests are mapped, not copied.
            self._known = np.frombuffer(mmap.mmap(pipes.known, 32 * settings.known, prot=mmap.PROT_READ), "S32")
        self._rules = settings.rules
        self._max_pixels = _default_max_pixels() if settings.max_pixels is None else settings.max_pixels
        self._decode = decode

    def run(self, position: int, ring_slot: int, file: bytes) -> Result:
        """Read, digest and decode one file, with the process's mark on it meanwhile."""
        self._progress()
        self._mark[0] = position
        try:
            return self._run(position, ring_slot, file)
        finally:
            self._mark[0] = IDLE

    def _run(self, position: int, ring_slot: int, file: bytes) -> Result:
        began = time.perf_counter()
        size, mtime_ns = -1, -1
        try:
            # Asked before opening, since opening alone can wake a device.
            status = os.stat(file)  # noqa: PTH116  (bytes, as the file system has them)
            size, mtime_ns = status.st_size, status.st_mtime_ns
            data, mtime_ns = self._read(file, status)
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the name
            return Result(position, "missing", message="there is no such file")
        except OSError as error:
            return Result(position, "unreadable", size, mtime_ns, message=_line(error.strerror or error))
        except ImageError as error:
            return Result(position, error.reason, size, mtime_ns, message=_line(error))
        except MemoryError:
            return Result(position, "too-large", size, mtime_ns, message="not enough memory to read it")
        size, digest = len(data), hashlib.sha256(data).digest()
        read = time.perf_counter() - began
        if self._is_known(digest):
            return Result(position, "known", size, mtime_ns, digest, read)

        outcome: Outcome = "decoded"
        message = ""
        self._progress()
        try:
            more = {} if self._views is None else {"views": self._views, "digest": digest}
            self._decode(data, self._rules, self._images[ring_slot], max_pixels=self._max_pixels, **more)
        except ImageError as error:
            outcome, message = error.reason, _line(error)
        except MemoryError:
            outcome, message = "too-large", "not enough memory to decode it"
        except ImportError:
            raise  # no image's fault
        except Exception as error:  # noqa: BLE001  (whatever a decoder raises costs one image, not the run)
            outcome, message = "crashed", _line(f"reading it failed with {type(error).__name__}: {error}")
        return Result(position, outcome, size, mtime_ns, digest, read, time.perf_counter() - began - read, message)

    def _read(self, file: bytes, status: os.stat_result) -> tuple[bytes, int]:
        """Return the bytes and the modification time; refuse what is no regular file or too large for an image."""
        most = _ROOM_BYTES + 8 * self._max_pixels  # 16 bits x 4 channels, uncompressed
        _check_regular(status)
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            status = os.fstat(fd)
            _check_regular(status)  # again, since names change
            size = status.st_size
            parts: list[bytes] = []
            got = 0
            while max(size, got) <= most:
                part = os.read(fd, min(max(size - got + 1, _LEAST_READ), _MOST_READ))
                if not part:
                    return b"".join(parts), status.st_mtime_ns  # of one part: that part, not copied
                parts.append(part)
                got += len(part)
                self._progress()
        finally:
            os.close(fd)
        raise ImageError("too-large", f"the file has {max(size, got):,} bytes, but the limit is {most:,}")

    def _is_known(self, digest: bytes) -> bool:
        key = np.array([digest], "S32")
        at = int(np.searchsorted(self._known, key)[0])
        # Compared as arrays: an element taken out of one loses the zeros at its end.
        return bool((self._known[at : at + 1] == key).any())

    def _progress(self) -> None:
        # A slow file system is no hang: the clock starts again whenever bytes have come.
        self._mark[1] = time.monotonic_ns()


def _default_max_pixels() -> int:
    # Here and not in the parent, which needs no OpenCV for anything else.
    from featx.images import DEFAULT_MAX_PIXELS

    return DEFAULT_MAX_PIXELS


def _line(message: object) -> str:
    return " ".join(str(message).split())


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("unsupported", "not a regular file but a folder, pipe, socket or device")


def _send(fd: int, result: Result) -> None:
    try:
        os.write(fd, pack_result(result))  # whole: a record is smaller than PIPE_BUF on Linux, and the pipe blocks
    except BrokenPipeError:
        os._exit(0)  # the parent is gone


def _die_with(life: int) -> None:
    """End this process when the other end of the pipe `life` closes, whatever it is doing then.

    The end of the task pipe says so too, but not to a decoder that hangs. PR_SET_PDEATHSIG would do it on Linux, but
    fires when the parent's thread ends. Where there is no such signal (macOS ignores it), the task pipe is all.
    """
    with contextlib.suppress(OSError):
        fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)


def _offer_to_oom_killer() -> None:
    """Ask the system to kill this process (one image) before its parent (the run) if memory runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
