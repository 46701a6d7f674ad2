"""Ordered batches of decoded images, with known images and failures beside them."""

import contextlib
import math
import mmap
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

from featx.batches.batch import Batch, BatchBuilder
from featx.batches.process import Task
from featx.batches.ring import Ring, shared_file
from featx.batches.supervisor import Supervisor
from featx.batches.worker import Settings
from featx.errors import DecoderError, UsageError
from featx.spec import PixelRules, ViewsSpec
from featx.words import counted

_LEAST_BATCHES = 2  # on their way, beside the one with the consumer
_AHEAD_BYTES = 64 << 20
_DECODER, _DECODER_OF_VIEWS = "featx.images:decode_into", "featx.images.augment:decode_with_views_into"


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """Options of decoding that don't change a pixel.

    Parameters
    ----------
    workers : int
        Decoder processes, at least 1.
    batch_size : int
        Images per batch, at least 1.
    max_pixels : int or None
        Images whose header announces more are failures, ``"too-large"``; None is the decoder's own limit.
    timeout_s : float
        Seconds without progress on one image after which its decoder is killed. Reading counts as progress with every
        block of bytes that comes.
    ahead : int
        Images to be decoded, at least, while the consumer is busy with a batch, however small that is: enough for every
        process to have its next. Fewer where they would take more than 64 MB, but never less than two batches.

    Raises
    ------
    UsageError
        A number is out of range.
    """

    workers: int
    batch_size: int
    max_pixels: int | None = None
    timeout_s: float
    ahead: int = 64

    def __post_init__(self) -> None:
        for name in ("workers", "batch_size", "max_pixels", "timeout_s", "ahead"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"`{name}` must be a number above 0, and is {value}")

    def batches_ahead(self, image_size: tuple[int, int], *, views: int = 0) -> int:
        """Number of batches of images of this size, with their views, to decode while the consumer is busy with one."""
        most = _AHEAD_BYTES // (3 * math.prod(image_size) * (1 + views))
        return max(_LEAST_BATCHES, math.ceil(min(self.ahead, most) / self.batch_size))


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
    views : ViewsSpec, optional
        Views to be made of each image too, from the same decode.

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
    Memory is bounded whatever the number of images: a batch, those ahead of it (fewer where there is no room) and a
    spare one. The processes end with the ``with`` block, and at once when their parent dies.
    """

    def __init__(
        self,
        rules: PixelRules,
        options: DecodeOptions,
        *,
        known: NDArray[np.uint8] | None = None,
        decoder: str | None = None,
        views: ViewsSpec | None = None,
    ) -> None:
        if known is not None and (known.dtype != np.uint8 or known.ndim != 2 or known.shape[1] != 32):
            raise ValueError(f"known digests must be (k, 32) uint8, not {known.shape} {known.dtype}")
        self._rules = rules
        self._options = options
        self._known = known if known is not None and len(known) else None
        self._views = views
        self._decoder = decoder or (_DECODER if views is None else _DECODER_OF_VIEWS)
        self.seconds = {"read": 0.0, "decode": 0.0, "wait": 0.0}
        self._position = 0
        self._busy = False
        self._ring: Ring | None = None
        self._supervisor: Supervisor | None = None
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as resources:
            ring = self._allocate()
            resources.callback(ring.close)
            known_fd = None
            if self._known is not None:
                known_fd = _share_sorted(self._known)
                resources.callback(os.close, known_fd)
            settings = Settings(
                slots=len(ring.images),
                workers=self._options.workers,
                known=0 if self._known is None else len(self._known),
                rules=self._rules,
                max_pixels=self._options.max_pixels,
                decoder=self._decoder,
                timeout_s=self._options.timeout_s,
                views=self._views,
            )
            supervisor = Supervisor(settings, ring, known_fd, self.seconds)
            resources.callback(supervisor.close)
            supervisor.start()  # they come up while the caller loads a backbone
            self._ring, self._supervisor, self._busy = ring, supervisor, False
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes and close the ring; images already handed out stay readable."""
        self._ring = self._supervisor = None
        self._resources.close()

    def batches(self, root: Path, images: Iterable[tuple[int, str]], *, until: float = math.inf) -> Iterator[Batch]:
        """Decode images into batches, in order.

        Parameters
        ----------
        root : Path
            Folder that the paths are relative to.
        images : iterable of (int, str)
            Row of the manifest and path. Taken as it is needed, a few batches ahead.
        until : float
            Time of `time.monotonic` after which no image is waited for: those that aren't done are left out, and are
            no failures.

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
        supervisor, whole = self._supervisor, False
        try:
            supervisor.start()
            resumed = time.perf_counter()
            for batch in self._assemble(root, images, self._ring, supervisor, until):
                self.seconds["wait"] += time.perf_counter() - resumed
                yield batch
                resumed = time.perf_counter()
            self.seconds["wait"] += time.perf_counter() - resumed
            whole = True
        finally:
            self._busy = False
            if not whole:
                supervisor.stop()  # with all that was in hand; started again by the next call

    def _assemble(
        self, root: Path, images: Iterable[tuple[int, str]], ring: Ring, supervisor: Supervisor, until: float
    ) -> Iterator[Batch]:
        folder = os.fsencode(os.path.abspath(root))  # noqa: PTH100  (.. stays what it is; decoders are elsewhere)
        source = iter(images)
        waiting: deque[Task] = deque()  # in the order of the input
        building = BatchBuilder(ring, self._options.batch_size)
        while True:
            fresh = []
            for slot, path in islice(source, building.free):
                file = os.path.join(folder, os.fsencode(path))  # noqa: PTH118  (bytes, as the file system has them)
                fresh.append(Task(self._position, slot, path, file, building.take_slot()))
                self._position += 1
            waiting.extend(fresh)
            supervisor.submit(fresh)
            if building.is_due or (building.is_begun and not waiting):
                yield building.hand_over(partial=not waiting)
                building.release()
            elif not waiting:
                return
            elif waiting[0].result is not None:
                while waiting and waiting[0].result is not None and not building.is_due:
                    building.add(waiting.popleft())
            elif time.monotonic() < until:
                supervisor.step(until)
            else:
                supervisor.stop()  # its processes may be busy for long
                source = iter(())
                waiting = deque(task for task in waiting if task.result is not None)

    def _allocate(self) -> Ring:
        height, width = self._rules.image_size
        batch_size, workers = self._options.batch_size, self._options.workers
        views = 0 if self._views is None else self._views.count
        for ahead in range(self._options.batches_ahead((height, width), views=views), -1, -1):
            slots = (1 + ahead) * batch_size
            try:
                return Ring.allocate(slots=slots, image_size=(height, width), workers=workers, views=views)
            except (OSError, MemoryError, OverflowError) as error:
                refused = error
        fewer = "a smaller `batch_size`, or fewer views" if views else "a smaller `batch_size`"
        raise DecoderError(
            f"batches of {counted(batch_size, 'image')} of {height} x {width} pixels"
            f"{f' and {views} views of each' if views else ''} need "
            f"{batch_size * (1 + views) * height * width * 3:,} bytes of shared memory, but the system refused "
            f"({getattr(refused, 'strerror', None) or refused}): use {fewer}"
        ) from refused


def _share_sorted(digests: NDArray[np.uint8]) -> int:
    try:
        fd = shared_file(digests.size)
    except OSError as error:
        raise DecoderError(
            f"{len(digests):,} known digests need {digests.size:,} bytes of shared memory, but the system refused "
            f"({error.strerror or error}): free some memory"
        ) from error
    shared = np.frombuffer(mmap.mmap(fd, digests.size), np.uint8).reshape(digests.shape)
    shared[:] = digests
    shared.view("S32").ravel().sort()
    return fd
