"""Backbones on Keras, with whichever backend it uses: one compiled program of one shape."""

import contextlib

import numpy as np
from numpy.typing import NDArray

from featx.backbones import (
    backend_name,
    build,
    compile_forward,
    exact_arithmetic,
    find_device,
    limit_threads,
    on_device,
)
from featx.errors import UsageError
from featx.runtimes.fixed_shape import FixedShape, Program
from featx.runtimes.options import RuntimeOptions
from featx.spec import ExtractionSpec
from featx.weights import WeightsSource


class KerasRuntime:
    """A `featx.runtimes.Runtime` on Keras.

    Every call of the program has the same number of images: a shorter batch is filled up, and what that gives is
    dropped. A GPU is sent uint8; the preprocessing is part of the program. Where its memory doesn't suffice, the batch
    is halved.

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

    def __init__(self, spec: ExtractionSpec, source: WeightsSource, options: RuntimeOptions) -> None:
        # Before the backend computes anything, or it is too late.
        limit_threads(options.threads)
        self.device = find_device(options.device)
        self.name = f"keras-{backend_name()}"
        self.precision: str = spec.precision
        if spec.precision == "float16" and self.device == "cpu:0":
            raise UsageError("--precision float16: Keras executes it on a GPU only; use float32, or bfloat16")
        with on_device(self.device):
            model, self.feature_shape = build(spec, source)
        self._exactly = spec.precision == "float32" and self.device != "cpu:0"
        self._image_shape = (*spec.image_size, 3)

        def compile_for(batch_size: int) -> Program:
            return compile_forward(model, batch_size=batch_size, device=self.device)

        self._program = FixedShape(compile_for, batch_size=options.batch_size, image_shape=self._image_shape)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute (b, d) float32 features of (b, H, W, 3) uint8 images, any b."""
        if images.dtype != np.uint8 or images.shape[1:] != self._image_shape:
            raise ValueError(f"uint8 images of shape {self._image_shape} wanted, {images.dtype} {images.shape} found")
        with exact_arithmetic() if self._exactly else contextlib.nullcontext():
            parts = self._program(images)
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty((0, int(np.prod(self.feature_shape))), dtype=np.float32)

    def close(self) -> None:
        """Drop the program and its weights."""
        del self._program


def open_runtime(spec: ExtractionSpec, source: WeightsSource, options: RuntimeOptions) -> KerasRuntime:
    """Open a `KerasRuntime`."""
    return KerasRuntime(spec, source, options)
