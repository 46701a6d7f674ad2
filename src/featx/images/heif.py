"""AVIF and HEIF (HEIC), which phones write: the primary picture, or the first of a sequence.

Both are containers of one kind. Pillow reads AVIF where it was built with it; HEIF needs the package ``pillow-heif``,
featx's extra ``heif``. Both turn a picture as its container says, by which the Exif orientation is replaced.
"""

import importlib.util
import io
import re
from collections.abc import Callable

from PIL import ImageFile

from featx.errors import ImageError

DECODER_BYTES = 16
"""Bytes of a pixel that decoding takes: planes of 10 bits with alpha, a frame, and Pillow's copy of it."""

HEIF_EXTRA = "`pip install 'featx[heif]'`"
AVIF_EXTRA = "a newer Pillow (`pip install --upgrade pillow`)"
"""Things to install where a reader is missing; the messages of failures name them."""

_EARLIER = re.compile(r"(?:featx can't read )?(AVIF|HEIF) images(?: are not decoded)?; convert it to ")
"""Messages of failures in stores that were written before there was any reader."""


def open_avif(file: io.BytesIO) -> ImageFile.ImageFile:
    """Open an AVIF; nothing is decoded yet.

    Raises
    ------
    ImageError
        ``unsupported``: this Pillow can't read AVIF.
    """
    opener = _avif_opener()
    if opener is None:
        raise ImageError("unsupported", f"avif: reading it needs {AVIF_EXTRA}, or convert it to JPEG")
    return opener(file)


def open_heif(file: io.BytesIO) -> ImageFile.ImageFile:
    """Open a HEIF; nothing is decoded yet.

    Raises
    ------
    ImageError
        ``unsupported``: pillow-heif isn't installed.
    """
    opener = _heif_opener()
    if opener is None:
        raise ImageError("unsupported", f"heif: reading it needs {HEIF_EXTRA}, or convert it to JPEG")
    return opener(file)


def readable_now(message: str) -> bool:
    """Tell whether a picture that failed for want of a reader, by its message, has one now."""
    earlier = _EARLIER.match(message)
    if HEIF_EXTRA in message or (earlier and earlier[1] == "HEIF"):
        return importlib.util.find_spec("pillow_heif") is not None
    return (AVIF_EXTRA in message or earlier is not None) and _avif_opener() is not None


def _avif_opener() -> Callable[[io.BytesIO], ImageFile.ImageFile] | None:
    try:
        from PIL import AvifImagePlugin
    except ImportError:
        return None
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # there is a decoder process for each core
    return AvifImagePlugin.AvifImageFile if AvifImagePlugin.SUPPORTED else None


def _heif_opener() -> Callable[[io.BytesIO], ImageFile.ImageFile] | None:
    try:
        from pillow_heif import HeifImageFile, options
    except ImportError:
        return None
    options.DECODE_THREADS = 1
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    return HeifImageFile
