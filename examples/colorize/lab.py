"""CIE L*a*b* of sRGB pixels under the white of D65, and back; the difference of two pictures."""

import numpy as np
from numpy.typing import NDArray

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]],
    np.float32,
)
_WHITE = _TO_XYZ.sum(axis=1)
_LEVELS = np.arange(256, dtype=np.float32) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)
_KNEE = 6 / 29


def to_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert pixels (..., 3), sRGB from 0 to 255; L* is 0 to 100."""
    xyz = _LINEAR[rgb] @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > _KNEE**3, np.cbrt(xyz), xyz / (3 * _KNEE**2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def to_rgb(lab: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Convert back; colours that sRGB doesn't have are cut to the nearest value of each channel."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > _KNEE, f**3, 3 * _KNEE**2 * (f - 4 / 29)) * _WHITE
    linear = np.clip(xyz @ np.linalg.inv(_TO_XYZ).T, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * srgb).astype(np.uint8)


def delta_e(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean distance (n,) of the pixels of pictures (n, h, w, 3) in L*a*b*: delta E of 1976."""
    return np.linalg.norm(to_lab(one) - to_lab(other), axis=-1).mean(axis=(1, 2), dtype=np.float64)


def colourfulness(rgb: NDArray[np.uint8]) -> float:
    """Mean colourfulness of pictures (n, h, w, 3), by Hasler and Suesstrunk 2003; 0 is grey."""
    red, green, blue = np.moveaxis(rgb.astype(np.float32), -1, 0)
    first, second = (red - green).reshape(len(rgb), -1), ((red + green) / 2 - blue).reshape(len(rgb), -1)
    spread = np.hypot(first.std(axis=1), second.std(axis=1))
    return float((spread + 0.3 * np.hypot(first.mean(axis=1), second.mean(axis=1))).mean())
