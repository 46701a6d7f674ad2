"""Running any number of images through a program of one batch size, which shrinks if memory runs out."""

import concurrent.futures
import logging
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from featx.backbones import Forward, Pending
from featx.errors import UsageError

logger = logging.getLogger(__name__)

# Of TensorFlow, of PyTorch, and what JAX and TensorFlow say in errors of a wider class. Known by name, since none of
# the three may be imported for it.
_CLASSES = frozenset({"ResourceExhaustedError", "OutOfMemoryError"})
_WORDS = ("RESOURCE_EXHAUSTED", "CUDA out of memory", "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED")


class FixedShape:
    """Caller of a compiled program of one batch size: fills up shorter batches and splits longer ones.

    Where the program runs out of memory, one of half the size takes its place.

    Parameters
    ----------
    compile_for : callable
        Gives the program for a batch size.
    batch_size : int
        Size to begin with.
    image_shape : tuple of int
        ``(H, W, 3)``.

    Attributes
    ----------
    batch_size : int
        Size in use.
    """

    def __init__(self, compile_for: Callable[[int], Forward], *, batch_size: int, image_shape: tuple[int, ...]) -> None:
        self._compile_for = compile_for
        self.batch_size = batch_size
        self._program: Forward | None = None
        self._image_shape = image_shape
        # Features are asked for as soon as they are on their way: asked for after the next batch was begun, TensorFlow
        # and PyTorch would copy them when that one is done as well.
        self._fetching = concurrent.futures.ThreadPoolExecutor(1, "featx-features")

    def __call__(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Compute the features of (b, H, W, 3) uint8 images, in parts whose rows together are b."""
        parts: list[NDArray[np.float32]] = []
        done = 0
        while done < len(images):
            part, size = images[done : done + self.batch_size], self.batch_size
            try:
                parts.append(self._begin(part)()[: len(part)])
            except Exception as error:  # noqa: BLE001
                self._shrink_from(size, error)
                continue
            done += len(part)
        return parts

    def submit(self, images: NDArray[np.uint8]) -> Callable[[], list[NDArray[np.float32]]]:
        """Begin to compute (b, H, W, 3) uint8 images; calling the returned function waits for the features.

        The images are copied: they are still needed when their memory is used for others, by a device that hasn't
        copied them yet, and to begin anew where it runs out of memory.
        """
        images, size = images.copy(), self.batch_size
        try:
            begun = [self._fetching.submit(self._begin(part)) for part in self._cut(images)]
        except Exception as error:  # noqa: BLE001
            self._shrink_from(size, error)
            return lambda: self(images)

        def parts() -> list[NDArray[np.float32]]:
            try:
                found = [fetched.result() for fetched in begun]
            except Exception as error:  # noqa: BLE001
                self._shrink_from(size, error)
                return self(images)
            return [part[: len(images) - start] for start, part in zip(range(0, len(images), size), found, strict=True)]

        return parts

    def close(self) -> None:
        """Drop the program; nothing can be called afterwards."""
        self._program = None
        self._fetching.shutdown(wait=False, cancel_futures=True)

    def _cut(self, images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(images), self.batch_size):
            yield images[start : start + self.batch_size]

    def _begin(self, images: NDArray[np.uint8]) -> Pending:
        if self._program is None:
            self._program = self._compile_for(self.batch_size)
        if len(images) < self.batch_size:
            # Not kept for the next: the device may still read it then.
            filled = np.zeros((self.batch_size, *self._image_shape), np.uint8)
            filled[: len(images)] = images
            images = filled
        return self._program(images)

    def _shrink_from(self, size: int, error: Exception) -> None:
        """Halve the batch size after memory ran out, unless that was done already; raise any other error again."""
        # Whatever class the backend has for it.
        if not out_of_memory(error):
            raise error
        if size != self.batch_size:  # a batch that was begun before the size was halved
            return
        if size == 1:
            raise UsageError(
                "`batch_size=1`: there is too little memory on this device, even for one image; use `device=cpu`, a "
                "smaller `image_size` or another backbone"
            ) from error
        logger.warning(
            "too little memory for %d images at the same time: continuing with %d (`batch_size`)", size, size // 2
        )
        self.batch_size //= 2
        self._program = None


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of any of Keras's backends says that the device's memory is exhausted."""
    return type(error).__name__ in _CLASSES or any(words in str(error) for words in _WORDS)
