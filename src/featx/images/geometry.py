"""The size of pictures that are decoded, and how they are turned upright."""

import cv2
import numpy as np

from featx.errors import ImageError
from featx.images.resizing import Pixels

ORIENTATIONS: dict[int, tuple[bool, int | None]] = {
    2: (False, 1),
    3: (False, -1),
    4: (False, 0),
    5: (True, None),
    6: (True, 1),
    7: (True, -1),
    8: (True, 0),
}
"""EXIF orientation -> (transpose, then flip by this code of cv2.flip)."""


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse what would take too much memory, with an `ImageError` of reason ``too-large``."""
    if width * height > max_pixels:
        raise ImageError(
            "too-large",
            f"{width} x {height} pixels, {max_pixels:,} at most are allowed; make it smaller or raise the limit",
        )


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn pixels as their EXIF orientation, 1 to 8, says; the array may be written over."""
    if orientation == 1:
        return pixels
    transpose, flip = ORIENTATIONS[orientation]
    if transpose:
        pixels = cv2.transpose(pixels).view(np.uint8)
    if flip is None:
        return pixels
    # In place where that may be: a third copy of a large photo would be what a decoder's memory peaks at.
    return cv2.flip(pixels, flip, dst=pixels if pixels.flags.writeable else None).view(np.uint8)
