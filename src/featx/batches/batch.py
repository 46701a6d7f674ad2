"""A batch of images, and its assembly from ring slots."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.batches.process import Task
from featx.batches.ring import Ring
from featx.batches.worker import Result
from featx.manifest import Failure

_MOST_BESIDE = 1024
"""Known images and failures after which they are handed over, whether or not there are images to go with them."""


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """Slots, digests, sizes and times of some images' files, in the order of the input.

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
    images : (b, H, W, 3) uint8, or (b, 1 + K, H, W, 3) where K views of each are made
        RGB, each image before its views; shared memory, valid until the next batch is asked for.
    decoded : FileFacts, length b
        Row i belongs to ``images[i]``.
    known : FileFacts
        Files whose digest was among the known ones: not decoded.
    failures : tuple of Failure
        Images without a row, in the order of the input.
    """

    images: NDArray[np.uint8]
    decoded: FileFacts
    known: FileFacts
    failures: tuple[Failure, ...]


class BatchBuilder:
    """Builder of one batch after another from ring slots.

    Ring slots are handed out in a circle and come back in the same order. Rows that lie side by side in the ring are
    given as a view. Where an image between them failed or was known, or where the circle closes, the batch's rows are
    copied out of the ring once (0.03 ms for 224 x 224 pixels) and their slots are free at once, so that a long row of
    known images never blocks the ring.

    Attributes
    ----------
    free : int
        Ring slots that can be taken.
    """

    def __init__(self, ring: Ring, batch_size: int) -> None:
        self.free = len(ring.images)
        self._ring = ring.images
        self._spare = np.empty((batch_size, *ring.images.shape[1:]), np.uint8)  # no memory until it is written
        self._next_slot = 0
        self._first_slot = 0
        self._copied = False
        self._held = 0
        self._decoded: list[tuple[Task, Result]] = []
        self._known: list[tuple[Task, Result]] = []
        self._failures: list[Failure] = []

    @property
    def is_full(self) -> bool:
        """True once it has all its images."""
        return len(self._decoded) == len(self._spare)

    @property
    def is_due(self) -> bool:
        """True if it must be handed over before anything is added."""
        return self.is_full or len(self._known) + len(self._failures) >= _MOST_BESIDE

    @property
    def is_begun(self) -> bool:
        """True if there is anything in it."""
        return bool(self._decoded or self._known or self._failures)

    def take_slot(self) -> int:
        """Take the next ring slot for an image that is to be decoded."""
        slot = self._next_slot
        self._next_slot = (slot + 1) % len(self._ring)
        self.free -= 1
        return slot

    def add(self, task: Task) -> None:
        """Add the next answered task, in the order of the input."""
        result = task.result
        assert result is not None
        if result.outcome == "decoded":
            self._place(task.ring_slot)
            self._decoded.append((task, result))
            return
        self._copy_out()
        self.free += 1
        if result.outcome == "known":
            self._known.append((task, result))
            return
        self._failures.append(
            Failure(
                path=task.path,
                reason=result.outcome,
                message=result.message,
                digest=None if result.digest is None else result.digest.hex(),
                size=result.size,
                mtime_ns=result.mtime_ns,
            )
        )

    def hand_over(self, *, partial: bool) -> Batch:
        """Return the batch and begin the next; the images of an incomplete one stay behind unless `partial`."""
        decoded: list[tuple[Task, Result]] = []
        images = self._ring[:0]
        if partial or self.is_full:
            decoded, self._decoded = self._decoded, []
            count = len(decoded)
            if self._copied:
                images = self._spare[:count]
            else:
                images = self._ring[self._first_slot : self._first_slot + count]
                self._held = count
            self._copied = False
        batch = Batch(images=images, decoded=_rows(decoded), known=_rows(self._known), failures=tuple(self._failures))
        self._known, self._failures = [], []
        return batch

    def release(self) -> None:
        """Take back the ring slots of the batch handed over last."""
        self.free += self._held
        self._held = 0

    def _place(self, ring_slot: int) -> None:
        count = len(self._decoded)
        if count == 0:
            self._first_slot = ring_slot
        elif ring_slot != self._first_slot + count:
            self._copy_out()
        if self._copied:
            self._spare[count] = self._ring[ring_slot]
            self.free += 1

    def _copy_out(self) -> None:
        count = len(self._decoded)
        if count and not self._copied:
            self._spare[:count] = self._ring[self._first_slot : self._first_slot + count]
            self._copied = True
            self.free += count


def _rows(answered: list[tuple[Task, Result]]) -> FileFacts:
    digests = b"".join(result.digest or bytes(32) for _, result in answered)
    return FileFacts(
        slots=np.array([task.slot for task, _ in answered], np.int64),
        digests=np.frombuffer(digests, np.uint8).reshape(-1, 32),
        sizes=np.array([result.size for _, result in answered], np.int64),
        mtimes_ns=np.array([result.mtime_ns for _, result in answered], np.int64),
    )
