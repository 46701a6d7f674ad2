"""The picture that all variants show, and what a variant is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]

HEIGHT, WIDTH = 38, 53


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A file, and the pixels that its format's definition gives it.

    Parameters
    ----------
    name : str
        Of the kind.
    data : bytes
        The file.
    truth : (h, w, 3) float, 0 to 255
        Upright, over white.
    bound : float
        Levels that a sample may differ from the truth.
    decoded : bool
        There is a rule in ``docs/pixels.md``; otherwise the file must be refused as ``unsupported``.
    """

    name: str
    data: bytes
    truth: Samples
    bound: float = 1.0
    decoded: bool = True


def scene(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.float64]:
    """Paint smooth colours, 0 to 1: unequal in every channel and every direction, with both ends of the range."""
    y, x = np.mgrid[0:height, 0:width] / np.array([height - 1, width - 1]).reshape(2, 1, 1)
    return np.stack([x, y * (0.4 + 0.6 * x), (1 - y) * (1 - 0.5 * x)], axis=-1)


def grey() -> NDArray[np.float64]:
    """Paint smooth grey, 0 to 1."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / np.array([HEIGHT - 1, WIDTH - 1]).reshape(2, 1, 1)
    return (3 * x + y) / 4  # type: ignore[no-any-return]


def alpha() -> NDArray[np.float64]:
    """Paint smooth opacity, 0 to 1."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / np.array([HEIGHT - 1, WIDTH - 1]).reshape(2, 1, 1)
    return (x + 1 - y) / 2  # type: ignore[no-any-return]


def quantised(values: NDArray[np.float64], bits: int) -> Samples:
    """Scale 0 to 1 to integers of so many bits."""
    return np.rint(values * (2**bits - 1)).astype(np.uint64)


def levels(samples: Samples, bits: int) -> NDArray[np.float64]:
    """Scale integers of so many bits to 0 to 255."""
    return samples.astype(np.float64) * 255 / (2**bits - 1)


def repeated(values: Samples) -> Samples:
    """Give grey three channels."""
    return np.repeat(values[:, :, np.newaxis], 3, axis=2)


def over_white(colours: Samples, opacity: Samples) -> NDArray[np.float64]:
    """Lay colours, 0 to 255, of an opacity, 0 to 1, over white."""
    part = opacity[:, :, np.newaxis]
    return np.asarray(colours * part + 255 * (1 - part), np.float64)
