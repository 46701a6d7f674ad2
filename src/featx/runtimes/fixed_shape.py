"""Any number of images through a program that takes one number only, which shrinks where memory runs out."""

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError

logger = logging.getLogger(__name__)

Program = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

# Of TensorFlow, of PyTorch, and what JAX and TensorFlow say in errors of a wider class. Known by name, since none of
# the three may be imported for it.
_CLASSES = frozenset({"ResourceExhaustedError", "OutOfMemoryError"})
_WORDS = ("RESOURCE_EXHAUSTED", "CUDA out of memory", "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED")


class FixedShape:
    """Calls a compiled program with batches of its own size: a shorter one is filled up, a longer one cut.

    Where the program runs out of memory, one of half the size takes its place.

    Parameters
    ----------
    compile_for : callable
        Gives the program for a batch size: ``(size, H, W, 3)`` uint8 to ``(size, d)`` float32.
    batch_size : int
        Size to begin with.
    image_shape : tuple of int
        ``(H, W, 3)``.

    Attributes
    ----------
    batch_size : int
        Size in use.
    """

    def __init__(self, compile_for: Callable[[int], Program], *, batch_size: int, image_shape: tuple[int, ...]) -> None:
        self._compile_for = compile_for
        self.batch_size = batch_size
        self._program: Program | None = None
        self._batch = np.zeros((batch_size, *image_shape), np.uint8)

    def __call__(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Compute the features of (b, H, W, 3) uint8 images, in parts whose rows together are b."""
        parts: list[NDArray[np.float32]] = []
        done = 0
        while done < len(images):
            part = images[done : done + self.batch_size]
            try:
                parts.append(self._run(part))
            except Exception as error:
                # Whatever class the backend has for it; anything else goes on its way.
                if not out_of_memory(error):
                    raise
                self._shrink(error)
                continue
            done += len(part)
        return parts

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self._program is None:
            self._program = self._compile_for(self.batch_size)
        if len(images) == self.batch_size:
            return self._program(images)
        self._batch[: len(images)] = images
        return self._program(self._batch)[: len(images)]

    def _shrink(self, error: Exception) -> None:
        if self.batch_size == 1:
            raise UsageError(
                "--batch-size 1: even one image is too much for the memory of this device; use --device cpu, a smaller "
                "--image-size or another backbone"
            ) from error
        logger.warning(
            "out of memory with %d images at once: going on with %d (--batch-size)",
            self.batch_size,
            self.batch_size // 2,
        )
        self.batch_size //= 2
        self._program = None
        self._batch = self._batch[: self.batch_size]


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of any of Keras's backends says that the device's memory is exhausted."""
    return type(error).__name__ in _CLASSES or any(words in str(error) for words in _WORDS)
