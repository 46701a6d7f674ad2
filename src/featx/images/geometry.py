"""Limits on the size of pictures; turning them grey and upright."""

import cv2
import numpy as np

from featx.errors import ImageError
from featx.images.resizing import INDIFFERENT, Pixels, resize_into
from featx.spec import Colours, PixelRules

ORIENTATIONS: dict[int, tuple[int | None, bool]] = {
    1: (None, False),
    2: (1, False),
    3: (-1, False),
    4: (0, False),
    5: (None, True),
    6: (0, True),
    7: (-1, True),
    8: (1, True),
}
"""EXIF orientation -> (flip by this code of `cv2.flip`, then transpose)."""

_RED, _GREEN, _BLUE = 19_595, 38_470, 7_471
"""Weights of ITU-R BT.601, 0.299, 0.587 and 0.114, in 1/65,536: those of Pillow's ``convert("L")``."""

_STRIP_PIXELS = 1 << 18


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse pictures that would take too much memory, with an `ImageError` of reason ``too-large``."""
    if width * height > max_pixels:
        raise ImageError(
            "too-large",
            f"the image has {width} x {height} pixels, but the limit is {max_pixels:,}; make it smaller or raise the "
            "limit (`max_pixels`)",
        )


def in_colours(pixels: Pixels, colours: Colours) -> Pixels:
    """Return pixels ``(h, w, 3)`` as they are, or each as its grey three times; the array may be written over."""
    if colours == "rgb":
        return pixels
    out = pixels if pixels.flags.writeable else np.empty_like(pixels)
    # In strips, since the sums of a whole photo would take more memory than the photo.
    rows = max(1, _STRIP_PIXELS // max(1, pixels.shape[1]))
    for top in range(0, len(pixels), rows):
        strip = pixels[top : top + rows]
        sums = strip[..., 0] * np.uint32(_RED)
        sums += strip[..., 1] * np.uint32(_GREEN)
        sums += strip[..., 2] * np.uint32(_BLUE)
        sums += np.uint32(1 << 15)
        out[top : top + rows] = (sums >> 16)[..., None]
    return out


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn pixels as their EXIF orientation, 1 to 8, says; the array may be written over."""
    flip, transpose = ORIENTATIONS[orientation]
    pixels = _flipped(pixels, flip)
    return cv2.transpose(pixels).view(np.uint8) if transpose else pixels


def upright_into(pixels: Pixels, orientation: int, rules: PixelRules, out: Pixels) -> None:
    """Turn pixels ``(h, w, 3)`` upright and bring them to the shape of `out`, ``(H, W, 3)``; they may be written over.

    Transposing a photo takes a third of the time of decoding it, and a second one's memory. Where the interpolation
    doesn't mind, the small picture is transposed.
    """
    flip, transpose = ORIENTATIONS[orientation]
    if transpose and rules.interpolation in INDIFFERENT:
        small = np.empty((out.shape[1], out.shape[0], 3), np.uint8)
        resize_into(_flipped(pixels, flip), rules, small)
        np.copyto(out, small.transpose(1, 0, 2))
    else:
        resize_into(upright(pixels, orientation), rules, out)


def _flipped(pixels: Pixels, code: int | None) -> Pixels:
    if code is None:
        return pixels
    # In place where that may be: copies of a large photo are what a decoder's memory peaks at.
    return cv2.flip(pixels, code, dst=pixels if pixels.flags.writeable else None).view(np.uint8)
