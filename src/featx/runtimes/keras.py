"""Backbones on Keras, with whichever backend it uses: one compiled program of one shape."""

import contextlib

import numpy as np
from numpy.typing import NDArray

from featx.backbones import (
    Forward,
    Pending,
    backend_name,
    build,
    compile_forward,
    exact_arithmetic,
    find_device,
    limit_threads,
    on_device,
)
from featx.errors import UsageError
from featx.runtimes.fixed_shape import FixedShape
from featx.runtimes.options import DEFAULT_BATCH_SIZE, RuntimeOptions
from featx.spec import ExtractionSpec
from featx.weights import WeightsSource


class KerasRuntime:
    """A `featx.runtimes.Overlapping` runtime on Keras.

    Every call of the program has the same number of images: a shorter batch is filled up, and what that gives is
    dropped. A GPU is sent uint8; the preprocessing is part of the program. Where its memory doesn't suffice, the batch
    is halved. While a GPU computes one batch, the next is decoded, handed over and on its way to it; a CPU would only
    divide its cores between two.

    At float32 the same image gives the same row in any batch, at any place in it, to a relative error of 1e-5. Nothing
    more is promised, since a backend may add up in another order where a row lies elsewhere: TensorFlow without oneDNN
    does on a CPU with AVX2 (1e-6 at worst, six families), TensorFlow with oneDNN, PyTorch and JAX were not seen to.

    Parameters
    ----------
    spec : ExtractionSpec
        What to compute.
    source : WeightsSource
        Where the weights come from.
    options : RuntimeOptions
        How to run it.

    Raises
    ------
    UsageError
        No such device, or one that doesn't execute the precision.
    """

    fallback: str | None = None

    def __init__(self, spec: ExtractionSpec, source: WeightsSource, options: RuntimeOptions) -> None:
        # Before the backend computes anything, or it is too late.
        limit_threads(options.threads)
        self.device = find_device(options.device)
        self.name = f"keras-{backend_name()}"
        self.precision: str = spec.precision
        if spec.precision == "float16" and self.device == "cpu:0":
            raise UsageError("`precision=float16`: Keras can use it only on a GPU; use float32 or bfloat16")
        with on_device(self.device):
            model, self.feature_shape = build(spec, source)
        on_gpu = self.device != "cpu:0"
        self._exactly = spec.precision == "float32" and on_gpu
        self._image_shape = (*spec.image_size, 3)

        def compile_for(batch_size: int) -> Forward:
            return compile_forward(model, batch_size=batch_size, device=self.device)

        self.in_flight = 1 if on_gpu else 0  # tested on CPUs, by asking for it there; never timed on a GPU
        batch_size = options.batch_size or DEFAULT_BATCH_SIZE["keras on a gpu" if on_gpu else "keras"]
        self._program = FixedShape(compile_for, batch_size=batch_size, image_shape=self._image_shape)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute (b, d) float32 features of (b, H, W, 3) uint8 images, any b."""
        self._check(images)
        with self._arithmetic():
            return self._joined(self._program(images))

    def submit(self, images: NDArray[np.uint8]) -> Pending:
        """Begin to compute (b, H, W, 3) uint8 images, any b; the images may be overwritten at once."""
        self._check(images)
        with self._arithmetic():
            parts = self._program.submit(images)

        def features() -> NDArray[np.float32]:
            with self._arithmetic():  # of what has to be computed anew, in smaller batches
                return self._joined(parts())

        return features

    def close(self) -> None:
        """Drop the program and its weights."""
        self._program.close()

    def _check(self, images: NDArray[np.uint8]) -> None:
        if images.dtype != np.uint8 or images.shape[1:] != self._image_shape:
            raise ValueError(f"images must be uint8 of shape {self._image_shape}, found {images.dtype} {images.shape}")

    def _arithmetic(self) -> contextlib.AbstractContextManager[None]:
        return exact_arithmetic() if self._exactly else contextlib.nullcontext()

    def _joined(self, parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty((0, int(np.prod(self.feature_shape))), dtype=np.float32)


def open_runtime(spec: ExtractionSpec, source: WeightsSource, options: RuntimeOptions) -> KerasRuntime:
    """Open a `KerasRuntime`."""
    return KerasRuntime(spec, source, options)
