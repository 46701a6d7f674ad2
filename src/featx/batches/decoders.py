"""Ordered batches of decoded images, with what is known and what failed beside them."""

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from featx.batches.process import Task
from featx.batches.ring import Ring, shared_file
from featx.batches.supervisor import Supervisor
from featx.batches.worker import Result, Settings
from featx.errors import DecoderError, UsageError
from featx.manifest import Failure
from featx.spec import PixelRules

_BATCHES_IN_RING = 3  # one with the consumer, two on their way
_BESIDE = 1024  # known images and failures that are handed over at the latest


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """How images are decoded; never what their pixels are.

    Parameters
    ----------
    workers : int
        Decoder processes, at least 1.
    batch_size : int
        Images per batch, at least 1.
    max_pixels : int
        Images whose header announces more are failures, ``"too-large"``.
    timeout_s : float
        Seconds without progress on one image after which its decoder is killed. Reading counts as progress with every
        block of bytes that comes.

    Raises
    ------
    UsageError
        A number is out of range.
    """

    workers: int
    batch_size: int
    max_pixels: int
    timeout_s: float

    def __post_init__(self) -> None:
        for name in ("workers", "batch_size", "max_pixels", "timeout_s"):
            value = getattr(self, name)
            least = 0 if name == "timeout_s" else 1
            if not value >= least or value == 0:
                raise UsageError(f"{name} = {value} was asked for; give {'more than 0' if least == 0 else '1 or more'}")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What is known of some images' files, in the order of the input.

    Parameters
    ----------
    slots : (b,) int64
        Rows of the manifest.
    digests : (b, 32) uint8
        SHA-256 of the bytes that were read.
    sizes, mtimes_ns : (b,) int64
        Bytes that were read, and modification time in nanoseconds when the file was opened.
    """

    slots: NDArray[np.int64]
    digests: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    mtimes_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.slots)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Decoded images, and beside them the images that need or allow no decoding.

    Parameters
    ----------
    images : (b, H, W, 3) uint8
        RGB; memory of the ring, valid until the next batch is asked for.
    decoded : Rows, length b
        Row i belongs to ``images[i]``.
    known : Rows
        Files whose digest was among the known ones: not decoded.
    failures : tuple of Failure
        Images without a row, in the order of the input.
    """

    images: NDArray[np.uint8]
    decoded: Rows
    known: Rows
    failures: tuple[Failure, ...]


class Decoders:
    """Decoder processes and the ring they share: a context manager that can serve several lists of images in turn.

    Parameters
    ----------
    rules : PixelRules
        How pixels are made.
    options : DecodeOptions
        Processes, batch size, limits.
    known : (k, 32) uint8, optional
        SHA-256 digests of files that need no decoding, in any order. They are shared with the processes, not copied.
    decoder : str, optional
        ``"module:function"`` of what decodes, with the signature of `featx.images.decode_into`.

    Attributes
    ----------
    seconds : dict of str to float
        ``"read"`` and ``"decode"``: time spent on either, summed over the processes (so they can exceed the time on
        the clock). ``"wait"``: time on the clock that the consumer waited for batches.

    Raises
    ------
    DecoderError
        On entering: no room for the ring, or the system refuses to start a process.

    Notes
    -----
    Memory is bounded whatever the number of images: three batches (fewer where there is no room for three) and a spare
    one. The processes end with the ``with`` block, and at once when their parent dies.
    """

    def __init__(
        self,
        rules: PixelRules,
        options: DecodeOptions,
        *,
        known: NDArray[np.uint8] | None = None,
        decoder: str = "featx.images:decode_into",
    ) -> None:
        if known is not None and (known.dtype != np.uint8 or known.ndim != 2 or known.shape[1] != 32):
            raise ValueError(f"known digests must be (k, 32) uint8, not {known.shape} {known.dtype}")
        self._rules = rules
        self._options = options
        self._known = known if known is not None and len(known) else None
        self._decoder = decoder
        self._wait = 0.0
        self._position = 0
        self._busy = False
        self._ring: Ring | None = None
        self._supervisor: Supervisor | None = None
        self._known_fd: int | None = None

    def __enter__(self) -> Self:
        try:
            self._ring, slots = self._allocate()
            if self._known is not None:
                self._known_fd = _share_sorted(self._known)
            settings = Settings(
                slots=slots,
                workers=self._options.workers,
                known=0 if self._known is None else len(self._known),
                rules=self._rules,
                max_pixels=self._options.max_pixels,
                decoder=self._decoder,
            )
            self._supervisor = Supervisor(settings, self._ring, self._known_fd, timeout_s=self._options.timeout_s)
            self._supervisor.start()  # they come up while the caller loads a backbone
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes and close the ring; images already handed out stay readable."""
        if self._supervisor is not None:
            self._supervisor.close()
        if self._ring is not None:
            self._ring.close()
            self._ring = None
        if self._known_fd is not None:
            os.close(self._known_fd)
            self._known_fd = None

    @property
    def seconds(self) -> dict[str, float]:  # noqa: D102  (an attribute of the class's docstring)
        supervisor = self._supervisor
        return {
            "read": supervisor.read if supervisor else 0.0,
            "decode": supervisor.decode if supervisor else 0.0,
            "wait": self._wait,
        }

    def batches(self, root: Path, images: Iterable[tuple[int, str]]) -> Iterator[Batch]:
        """Decode images into batches, in order.

        Parameters
        ----------
        root : Path
            Folder that the paths are relative to.
        images : iterable of (int, str)
            Row of the manifest and path. Taken as it is needed, a few batches ahead.

        Yields
        ------
        Batch
            Of `batch_size` images each, except the last, and except batches of no image that hand over known images
            and failures where these are many.

        Raises
        ------
        DecoderError
            The processes can't be started or keep dying without an image to blame.
        RuntimeError
            Outside a ``with`` block, or while another such iterator is unfinished.
        """
        if self._ring is None or self._supervisor is None:
            raise RuntimeError("Decoders are used inside a `with` block")
        if self._busy:
            raise RuntimeError("these Decoders are busy with other images: finish or close that iterator first")
        self._busy = True
        whole = False
        try:
            self._supervisor.start()
            resumed = time.perf_counter()
            for batch in self._assemble(root, images, self._ring, self._supervisor):
                self._wait += time.perf_counter() - resumed
                yield batch
                resumed = time.perf_counter()
            self._wait += time.perf_counter() - resumed
            whole = True
        finally:
            self._busy = False
            if not whole:
                self._supervisor.stop()  # with all they had in hand; started again by the next call

    def _assemble(
        self, root: Path, images: Iterable[tuple[int, str]], ring: Ring, supervisor: Supervisor
    ) -> Iterator[Batch]:
        folder = os.path.join(os.fsencode(root), b"")  # noqa: PTH118  (bytes, as the file system has them)
        source = iter(images)
        waiting: deque[Task] = deque()  # in the order of the input
        building = _Building(ring, self._options.batch_size)
        slots = len(ring.images)
        while True:
            fresh = []
            for slot, path in islice(source, building.free):
                position = self._position
                self._position += 1
                fresh.append(Task(position, slot, path, folder + os.fsencode(path), building.take()))
            supervisor.submit(fresh)
            waiting.extend(fresh)
            assert len(waiting) <= slots
            if building.is_due or (not waiting and building.is_begun):
                yield building.batch()
                building.release()
            elif not waiting:
                return
            elif waiting[0].result is None:
                supervisor.step()
            else:
                while waiting and waiting[0].result is not None and not building.is_due:
                    building.add(waiting.popleft())

    def _allocate(self) -> tuple[Ring, int]:
        height, width = self._rules.image_size
        batch_size, workers = self._options.batch_size, self._options.workers
        for batches in range(_BATCHES_IN_RING, 0, -1):
            slots = batches * batch_size
            try:
                return Ring.allocate(slots=slots, image_size=(height, width), workers=workers), slots
            except (OSError, MemoryError, OverflowError) as error:
                refused = error
        raise DecoderError(
            f"batches of {batch_size} images of {height} x {width} pixels need {batch_size * height * width * 3:,} bytes "
            f"of shared memory, and the system refused ({refused}): use a smaller batch size"
        ) from refused


class _Building:
    """The batch that is being put together, and the ring slots it holds.

    Ring slots are handed out in a circle and come back in the same order. Rows that lie side by side in the ring are
    given as a view; where an image failed in between, was known, or the circle closes, the batch's rows are copied out
    once (0.03 ms for 224 x 224), and their slots are free at once.
    """

    def __init__(self, ring: Ring, batch_size: int) -> None:
        self._ring = ring.images
        self._spare = np.empty((batch_size, *ring.images.shape[1:]), np.uint8)  # not touched before it is needed
        self._batch_size = batch_size
        self._next = 0
        self.free = len(ring.images)
        self._begin()

    def _begin(self) -> None:
        self._start = 0
        self._copied = False
        self._decoded: list[tuple[Task, Result]] = []
        self._begin_beside()

    def _begin_beside(self) -> None:
        self._known: list[tuple[Task, Result]] = []
        self._failures: list[Failure] = []

    def take(self) -> int:
        """Hand out a ring slot."""
        slot = self._next
        self._next = (slot + 1) % len(self._ring)
        self.free -= 1
        return slot

    @property
    def is_full(self) -> bool:
        """It has all its images."""
        return len(self._decoded) == self._batch_size

    @property
    def is_due(self) -> bool:
        """It is to be handed over now."""
        return self.is_full or len(self._known) + len(self._failures) >= _BESIDE

    @property
    def is_begun(self) -> bool:
        """There is anything in it."""
        return bool(self._decoded or self._known or self._failures)

    def add(self, task: Task) -> None:
        """Take the next image in the order of the input."""
        result = task.result
        assert result is not None
        if result.outcome == "decoded":
            count = len(self._decoded)
            if not count:
                self._start, self._copied = task.ring_slot, False
            elif not self._copied and task.ring_slot != self._start + count:
                self._copy_out()
            if self._copied:
                self._spare[count] = self._ring[task.ring_slot]
                self.free += 1
            self._decoded.append((task, result))
            return
        if self._decoded and not self._copied:
            self._copy_out()
        self.free += 1
        if result.outcome == "known":
            self._known.append((task, result))
        else:
            digest = result.digest.hex() if result.digest else None
            failure = Failure(
                path=task.path,
                reason=result.outcome,
                message=result.message,
                digest=digest,
                size=result.size,
                mtime_ns=result.mtime_ns,
            )
            self._failures.append(failure)
    def _copy_out(self) -> None:
        count = len(self._decoded)
        self._spare[:count] = self._ring[self._start : self._start + count]
        self._copied = True
        self.free += count

    def batch(self) -> Batch:
        raise NotImplementedError
