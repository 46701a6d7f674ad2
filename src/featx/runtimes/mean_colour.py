"""The backbone ``mean-colour``: exact, and simple enough to check by mental arithmetic."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError
from featx.runtimes.options import RuntimeOptions
from featx.spec import ExtractionSpec
from featx.weights import WeightsSource

_FEATURES: dict[str, Callable[[NDArray[np.uint8]], NDArray[Any]]] = {
    "avg": lambda images: images.sum(axis=(1, 2), dtype=np.uint64) / (images.shape[1] * images.shape[2]),
    "max": lambda images: images.max(axis=(1, 2)),
    "none": lambda images: images.reshape(len(images), images.shape[1] * images.shape[2] * 3),
}


class MeanColourRuntime:
    """A `featx.runtimes.Runtime` that gives the mean (or largest) red, green and blue of an image, from 0 to 255.

    With pooling ``none`` it gives the pixels themselves. Means are computed from exact sums, so they are the same for
    every batch and on every machine.

    Parameters
    ----------
    spec : ExtractionSpec
        Of the backbone ``mean-colour``.
    """

    name = "numpy"
    precision = "float32"
    device = "cpu:0"
    fallback: str | None = None

    def __init__(self, spec: ExtractionSpec) -> None:
        self._pooling = spec.pooling
        self._image_shape = (*spec.image_size, 3)
        self.feature_shape: tuple[int, ...] = self._image_shape if spec.pooling == "none" else (3,)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute (b, d) float32 features of (b, H, W, 3) uint8 images, any b."""
        if images.dtype != np.uint8 or images.shape[1:] != self._image_shape:
            raise ValueError(f"images must be uint8 of shape {self._image_shape}, found {images.dtype} {images.shape}")
        return _FEATURES[self._pooling or "avg"](images).astype(np.float32)

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


def open_runtime(spec: ExtractionSpec, _source: WeightsSource, options: RuntimeOptions) -> MeanColourRuntime:
    """Open a `MeanColourRuntime`; it runs on the CPU only."""
    if options.device.lower() not in ("auto", "cpu"):
        raise UsageError(f"`device={options.device}`: {spec.backbone} runs on the CPU only; use auto or cpu")
    return MeanColourRuntime(spec)
