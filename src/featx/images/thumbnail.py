"""Small JPEGs of whole images, for people to look at."""

import cv2
import numpy as np
from numpy.typing import NDArray

from featx.errors import ImageError
from featx.images import decoding
from featx.images.decoding import DEFAULT_MAX_PIXELS
from featx.images.formats import sniff
from featx.images.geometry import upright
from featx.images.resizing import Pixels
from featx.spec import PixelRules

# libjpeg decodes at an eighth, a quarter or half of the size at a fraction of the cost.
_REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))


def thumbnail(data: bytes | memoryview, *, side: int, quality: int = 80, max_pixels: int = DEFAULT_MAX_PIXELS) -> bytes:
    """Make a small JPEG of a whole image, upright and in its own proportions.

    Its pixels are for the eye: they are near those that `decode` gives, not equal to them.

    Parameters
    ----------
    data : bytes or memoryview
        The whole file, of any format that `decode` reads.
    side : int
        Of the longer side, in pixels; a smaller image keeps its size. The shorter side is at least 1.
    quality : int
        Of the JPEG, 1 to 100.
    max_pixels : int
        More pixels than this in the file's header, and nothing is decoded.

    Returns
    -------
    bytes
        A JPEG file, without metadata.

    Raises
    ------
    ImageError
        As for `decode`.
    """
    pixels = _reduced(data, side=side, max_pixels=max_pixels)
    if pixels is None:
        pixels = upright(*decoding.decode_whole(data, max_pixels))
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).view(np.uint8)
    written, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not written:
        raise ImageError("unsupported", f"an image of {width} x {height} pixels can't be written as JPEG")
    return encoded.tobytes()


def thumbnail_into(
    data: bytes | memoryview, rules: PixelRules, out: NDArray[np.uint8], *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> None:
    """Make a thumbnail in the place of pixels: a decoder for `featx.batches.Decoders`.

    Parameters
    ----------
    data, max_pixels
        As for `thumbnail`.
    rules : PixelRules
        The longer side of their size is that of the thumbnail.
    out : (H, W, 3) uint8
        C-contiguous. Overwritten with the length of a JPEG file, 4 bytes from the lowest to the highest, and the file.

    Raises
    ------
    ImageError
        As for `thumbnail`, or there is no room for the file.
    """
    made = thumbnail(data, side=max(rules.image_size), max_pixels=max_pixels)
    record = np.frombuffer(len(made).to_bytes(4, "little") + made, np.uint8)
    if len(record) > out.size:
        raise ImageError("unsupported", f"a small picture of {len(made):,} bytes, but the limit is {out.size - 4:,}")
    out.reshape(-1)[: len(record)] = record


def _reduced(data: bytes | memoryview, *, side: int, max_pixels: int) -> Pixels | None:
    """Decode an ordinary, much larger JPEG at a fraction of its size; None for anything else."""
    if sniff(data) != "jpeg" or (header := decoding.checked_header(data, max_pixels)) is None:
        return None
    if header.components == 4:
        return None
    for factor, flag in _REDUCED:
        if max(header.width, header.height) >= 2 * factor * side:
            try:
                pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
            except cv2.error:
                return None
            # The stubs know no None, which is how cv2 says that it can't.
            return None if pixels is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).view(np.uint8)
    return None
