"""Pixels turned to grey, by the formula of ``docs/pixels.md``."""

import numpy as np

from featx.images.resizing import Pixels
from featx.spec import Colours

_RED, _GREEN, _BLUE = 19_595, 38_470, 7_471
"""Weights of ITU-R BT.601, 0.299, 0.587 and 0.114, in 1/65,536: those of Pillow's ``convert("L")``."""

_STRIP_PIXELS = 1 << 18


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
