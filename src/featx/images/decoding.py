"""Bytes to RGB pixels: cv2 for ordinary JPEG, Pillow for everything else."""

import cv2
import numpy as np
from numpy.typing import NDArray

from featx.errors import ImageError, UsageError
from featx.images import jpeg
from featx.images.formats import sniff
from featx.images.geometry import check_size, in_colours, upright_into
from featx.images.resizing import Pixels
from featx.spec import DECODER_VERSION, PixelRules

DEFAULT_MAX_PIXELS = 178_956_970
"""Pillow's own limit (twice its ``MAX_IMAGE_PIXELS``): over any camera's picture, and 537 MB as RGB."""


def decode(data: bytes | memoryview, rules: PixelRules, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> NDArray[np.uint8]:
    """Turn one file's bytes into pixels.

    Parameters
    ----------
    data : bytes or memoryview
        The whole file, of any format; the name it had tells nothing.
    rules : PixelRules
        Size, resize rule, interpolation and colours.
    max_pixels : int
        More pixels than this in the file's header, and nothing is decoded.

    Returns
    -------
    (H, W, 3) uint8
        RGB, 0 to 255, C-contiguous.

    Raises
    ------
    ImageError
        ``empty``, ``not-an-image``, ``unsupported``, ``too-large`` or ``truncated``.
    UsageError
        Rules of another version than this one's.
    """
    out = np.empty((*rules.image_size, 3), np.uint8)
    decode_into(data, rules, out, max_pixels=max_pixels)
    return out


def decode_into(
    data: bytes | memoryview, rules: PixelRules, out: NDArray[np.uint8], *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> None:
    """Turn one file's bytes into pixels, written into an array that is there already.

    Parameters
    ----------
    data, rules, max_pixels
        As for `decode`.
    out : (H, W, 3) uint8
        Overwritten. Its content is undefined after an error.

    Raises
    ------
    ImageError, UsageError
        As for `decode`.
    ValueError
        `out` is of another shape or dtype than the rules ask for.
    """
    if rules.decoder != DECODER_VERSION:
        raise UsageError(
            f"the features were made with version {rules.decoder} of the rules for pixels, but this featx has version "
            f"{DECODER_VERSION}; extract the features again, or install the version of featx that made them"
        )
    if out.shape != (*rules.image_size, 3) or out.dtype != np.uint8:
        raise ValueError(f"out must be uint8 {(*rules.image_size, 3)}, not {out.dtype} {out.shape}")
    pixels, orientation = decode_whole(data, max_pixels)
    upright_into(in_colours(pixels, rules.colours), orientation, rules, out)


def decode_whole(data: bytes | memoryview, max_pixels: int) -> tuple[Pixels, int]:
    """Decode at the file's own size, as it is stored, and give its EXIF orientation, 1 to 8.

    The array may be read-only. Errors are those of `decode`.
    """
    kind, pixels = sniff(data), None
    if kind == "jpeg" and (header := checked_header(data, max_pixels)):
        # cv2 inverts Adobe's CMYK or not, depending on its version.
        pixels = _decode_ordinary_jpeg(data) if header.components != 4 else None
        if pixels is not None and not header.tagged:
            return pixels, 1
    # It takes as long to import as cv2, and a JPEG without Exif has no use for it.
    from featx.images import pillow

    if pixels is None:
        return pillow.decode(data, kind, max_pixels)
    return pixels, pillow.jpeg_orientation(data)


def checked_header(data: bytes | memoryview, max_pixels: int) -> jpeg.Header | None:
    """Refuse a JPEG that is too large, has too many scans or breaks off; give its header if it is an ordinary one."""
    header = jpeg.read_header(data)
    if header is not None:
        check_size(header.width, header.height, max_pixels)
    jpeg.check_scans(data, header)
    if header is not None and not jpeg.is_whole(data, header):
        raise ImageError("truncated", "jpeg: the end of the file is missing")
    return header


def _decode_ordinary_jpeg(data: bytes | memoryview) -> Pixels | None:
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    # The stubs know no None, which is how cv2 says that it can't.
    return None if pixels is None else pixels.view(np.uint8)
