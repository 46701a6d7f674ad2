"""Backbones on Keras, with whichever backend it uses: one compiled program of one shape."""

import numpy as np
from numpy.typing import NDArray

from featx.backbones import backend_name, build, compile_forward, find_device, limit_threads, on_device
from featx.runtimes import RuntimeOptions
from featx.spec import ExtractionSpec
from featx.weights import WeightsSource


class KerasRuntime:
    """A `featx.runtimes.Runtime` on Keras.

    Every call of the program has `batch_size` images: a shorter batch is filled up, and what that gives is dropped.
    A GPU is sent uint8; the preprocessing is part of the program.

    Parameters
    ----------
    spec : ExtractionSpec
        What to compute.
    source : WeightsSource
        Where the weights come from.
    options : RuntimeOptions
        How to run it.
    """

    precision = "float32"

    def __init__(self, spec: ExtractionSpec, source: WeightsSource, options: RuntimeOptions) -> None:
        # Before the backend computes anything, or it is too late.
        limit_threads(options.threads)
        self.device = find_device(options.device)
        self.name = f"keras-{backend_name()}"
        with on_device(self.device):
            model, self.feature_shape = build(spec, source)
        self._forward = compile_forward(model, batch_size=options.batch_size, device=self.device)
        self._batch = np.zeros((options.batch_size, *spec.image_size, 3), dtype=np.uint8)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute (b, d) float32 features of (b, H, W, 3) uint8 images, any b."""
        size = len(self._batch)
        if images.dtype != np.uint8 or images.shape[1:] != self._batch.shape[1:]:
            raise ValueError(
                f"uint8 images of shape {self._batch.shape[1:]} wanted, {images.dtype} {images.shape} found"
            )
        parts = [self._run(images[start : start + size]) for start in range(0, len(images), size)]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty((0, int(np.prod(self.feature_shape))), dtype=np.float32)

    def close(self) -> None:
        """Drop the program and its weights."""
        del self._forward

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(images) == len(self._batch):
            return self._forward(images)
        self._batch[: len(images)] = images
        return self._forward(self._batch)[: len(images)]


def open_runtime(spec: ExtractionSpec, source: WeightsSource, options: RuntimeOptions) -> KerasRuntime:
    """Open a `KerasRuntime`."""
    return KerasRuntime(spec, source, options)
