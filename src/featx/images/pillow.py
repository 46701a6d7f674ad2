"""Decoding by Pillow of pictures that cv2 can't read, or reads against the rules."""

import io
import re
import struct
import threading
import warnings
from collections.abc import Callable

import cv2
import numpy as np
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from featx.errors import ImageError, Reason
from featx.images.formats import Format
from featx.images.geometry import ORIENTATIONS, check_size
from featx.images.resizing import Pixels

# What Pillow, cv2 and numpy raise on damaged or hostile bytes: Pillow documents little of it, and its plugins let slip
# whatever their parsing runs into. Anything else is a bug, here or there, and keeps its traceback.
_RAISED_BY_BAD_BYTES = (
    cv2.error,
    Image.DecompressionBombError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)

# Pillow has no error classes for these, only words; whatever matches none is damaged.
_REASONS: tuple[tuple[re.Pattern[str], Reason], ...] = (
    (re.compile(r"too large|too much memory|exceeds limit|MemoryError", re.IGNORECASE), "too-large"),
    (
        re.compile(r"unsupported|not supported|pixel mode|cannot handle|conversion from", re.IGNORECASE),
        "unsupported",
    ),
)

# The plugins' classes and not Image.open: it would guess among all formats, hide why one refused, and read
# a multi-picture JPEG's index, whose errors don't matter to the first picture.
_OPENERS: dict[Format, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
}

# Pillow expands grey of 2 and 4 bits to 8, but not the colour key that goes with it.
_KEY_STEPS = {"L;2": 85, "L;4": 17}

_PNG_SIGNATURE = 8

_PLAIN_MODES = frozenset({"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB"})

_EIGHT_BITS = ((np.arange(65_536) + 128) // 257).astype(np.uint8)
"""Sample of 16 bits -> v / 257, rounded."""

# Changing Python's warning filters is not safe while another thread does the same.
_warning_filters = threading.Lock()


def decode(data: bytes | memoryview, kind: Format, max_pixels: int) -> tuple[Pixels, int]:
    """Decode a picture of any kind, as `featx.images.decoding.decode_whole` does."""
    with _warning_filters, warnings.catch_warnings(action="ignore"):
        try:
            if kind == "webp":
                _check_webp_canvas(data, max_pixels)
            with _OPENERS[kind](io.BytesIO(data)) as image:
                check_size(*image.size, max_pixels)
                if kind == "tiff":
                    _check_tiff_strips(image, len(data))
                samples = _raw_mode(image)
                image.load()
                # A TIFF is turned by Pillow as it loads, and then says 1.
                orientation = _orientation(image)
                if samples in _KEY_STEPS and "transparency" in image.info:
                    image.info["transparency"] *= _KEY_STEPS[samples]
                pixels = _from_16_bits(image, data, kind) if ";16" in samples else _over_white(image)
            return pixels, orientation
        except _RAISED_BY_BAD_BYTES as error:
            # KeyError and its like say nothing without their name; one line, whatever the file put into the message.
            detail = " ".join(f"{type(error).__name__}: {error}".split())
            raise ImageError(_reason(detail), f"{kind}: {detail}") from error


def _reason(detail: str) -> Reason:
    for words, reason in _REASONS:
        if words.search(detail):
            return reason
    return "truncated"


def jpeg_orientation(data: bytes | memoryview) -> int:
    """Read a JPEG's orientation, 1 to 8, by Pillow as for all other pictures (40 us for the header alone)."""
    with _warning_filters, warnings.catch_warnings(action="ignore"):
        try:
            return _orientation(JpegImagePlugin.JpegImageFile(io.BytesIO(data)))
        except _RAISED_BY_BAD_BYTES:
            return 1


def _check_webp_canvas(data: bytes | memoryview, max_pixels: int) -> None:
    """Check the size of a WebP before Pillow opens it, which allocates the canvas at once."""
    chunk = bytes(data[12:30]).ljust(18, b"\0")
    if chunk[:4] == b"VP8X":
        width, height = (int.from_bytes(chunk[at : at + 3], "little") + 1 for at in (12, 15))
    elif chunk[:4] == b"VP8L":
        bits = int.from_bytes(chunk[9:13], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(chunk[at : at + 2], "little") & 0x3FFF for at in (14, 16))
    check_size(width, height, max_pixels)


def _check_tiff_strips(image: ImageFile.ImageFile, size: int) -> None:
    """Refuse a TIFF with missing strips, which libtiff would fill with white."""
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    for offsets, counts in ((273, 279), (324, 325)):
        strips = zip(image.tag_v2.get(offsets, ()), image.tag_v2.get(counts, ()), strict=False)
        if any(offset + count > size for offset, count in strips):
            raise ImageError("truncated", "tiff: pixel data is announced beyond the end of the file")


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """Return Pillow's name for the layout of the samples in the file; "" if Pillow has none."""
    arguments = image.tile[0].args if image.tile else ()
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _orientation(image: ImageFile.ImageFile) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except _RAISED_BY_BAD_BYTES:
        return 1
    return value if isinstance(value, int) and value in ORIENTATIONS else 1


def _over_white(image: Image.Image) -> Pixels:
    """Convert any mode of 8 bits or fewer to RGB, with white behind transparent pixels."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, "white")
        # paste blends each sample as (c * a + 255 * (255 - a)) / 255, rounded.
        canvas.paste(image, mask=image)
        return np.asarray(canvas)
    if image.mode not in _PLAIN_MODES:
        raise ImageError(
            "unsupported", f"samples of mode {image.mode} have no range that is known; convert it to 8 or 16 bits"
        )
    return np.asarray(image.convert("RGB"))


def _from_16_bits(image: Image.Image, data: bytes | memoryview, kind: Format) -> Pixels:
    """Scale samples of 16 bits to 8, v / 257 rounded."""
    key = image.info.get("transparency")
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N"):
        grey = np.asarray(image)
        pixels: Pixels = np.repeat(_EIGHT_BITS[grey][:, :, np.newaxis], 3, axis=2)
        if key is not None:
            pixels[grey == key] = 255
        return pixels
    if kind != "png":
        # Pillow keeps the high byte, at most one level below: all that it gives of a TIFF, whose premultiplied alpha,
        # separations and orientation cv2 does not see.
        return _over_white(image)
    # Pillow has found the pixels whole, but keeps the high bytes only. cv2 takes memory for what a chunk announces.
    if not _has_whole_chunks(data):
        raise ImageError("truncated", "png: a chunk is cut off, or the end chunk is missing")
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.dtype != np.uint16 or samples.shape[:2] != image.size[::-1] or samples.ndim != 3:
        raise ImageError("unsupported", "png of 16 bits that cv2 does not read")
    colours: Pixels = _EIGHT_BITS[samples[:, :, 2::-1]]
    if key is not None:
        alpha = np.where((samples[:, :, 2::-1] == key).all(axis=2), 0, 255).astype(np.uint8)
    elif samples.shape[2] == 4:
        alpha = _EIGHT_BITS[samples[:, :, 3]]
    else:
        return colours
    return _over_white(Image.fromarray(np.dstack([colours, alpha])))


def _has_whole_chunks(data: bytes | memoryview) -> bool:
    """Tell whether the chunks of a PNG follow one another to its end chunk, none longer than the file."""
    position = _PNG_SIGNATURE
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        if kind == b"IEND":
            return bool(position <= len(data))
    return False
