"""Resizing of RGB pixels to the spec's size, by the rules of ``docs/pixels.md``."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from featx.spec import Interpolation, PixelRules, Resize

Pixels = NDArray[np.uint8]

# INTER_LINEAR_EXACT is the same on every processor and rounds wrongly in 1 pixel of 100, where INTER_LINEAR depends on
# the processor's instructions and does so in 11; it costs 8 % of decoding and resizing a 500 x 375 JPEG.
_CV2: dict[Interpolation, int] = {
    "bilinear": cv2.INTER_LINEAR_EXACT,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}

INDIFFERENT: frozenset[Interpolation] = frozenset({"bilinear"})
"""Interpolations that give a transposed picture the transposed pixels, to the last bit."""


def resize_into(pixels: Pixels, rules: PixelRules, out: Pixels) -> None:
    """Bring pixels ``(h, w, 3)`` to the shape of `out`, ``(H, W, 3)``."""
    _RESIZES[rules.resize](pixels, out, _CV2[rules.interpolation])


def crop_window(h: int, w: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Give top, left, height and width of the part of an h x w picture that `crop` takes."""
    window_h = min(h, max(1, w * height // width))
    window_w = min(w, max(1, h * width // height))
    return (h - window_h) // 2, (w - window_w) // 2, window_h, window_w


def padded_window(h: int, w: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Give top, left, height and width of the place of an h x w picture in what `pad` makes."""
    # Rounded half up in integers: floats would make the size depend on their rounding.
    inner_h = min(height, max(1, (2 * h * width + w) // (2 * w)))
    inner_w = min(width, max(1, (2 * w * height + h) // (2 * h)))
    return (height - inner_h) // 2, (width - inner_w) // 2, inner_h, inner_w


def _stretch(pixels: Pixels, out: Pixels, interpolation: int) -> None:
    if pixels.shape == out.shape:
        np.copyto(out, pixels)
        return
    height, width = out.shape[:2]
    resized = cv2.resize(pixels, (width, height), dst=out, interpolation=interpolation)
    # cv2 writes into a contiguous dst itself, and into a copy of any other.
    if not np.may_share_memory(resized, out):
        np.copyto(out, resized)


def _crop(pixels: Pixels, out: Pixels, interpolation: int) -> None:
    top, left, window_h, window_w = crop_window(*pixels.shape[:2], *out.shape[:2])
    _stretch(pixels[top : top + window_h, left : left + window_w], out, interpolation)


def _pad(pixels: Pixels, out: Pixels, interpolation: int) -> None:
    top, left, inner_h, inner_w = padded_window(*pixels.shape[:2], *out.shape[:2])
    out.fill(0)
    _stretch(pixels, out[top : top + inner_h, left : left + inner_w], interpolation)


_RESIZES: dict[Resize, Callable[[Pixels, Pixels, int], None]] = {"stretch": _stretch, "crop": _crop, "pad": _pad}
