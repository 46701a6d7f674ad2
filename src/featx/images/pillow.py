"""Decoding by Pillow of pictures that cv2 can't read, or reads against the rules."""

import io
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)
from PIL.TiffImagePlugin import TiffImageFile

from featx.errors import ImageError
from featx.images import bmp, heif, tiff
from featx.images.damage import RAISED_BY_BAD_BYTES, described
from featx.images.formats import ADVICE, Format
from featx.images.geometry import ORIENTATIONS, check_size
from featx.images.memory import RESULT_BYTES, check_memory
from featx.images.resizing import Pixels

# The plugins' classes and not Image.open: it would guess among all formats, hide why one refused, and read
# a multi-picture JPEG's index, whose errors don't matter to the first picture.
_OPENERS: dict[Format, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "avif": heif.open_avif,
    "heif": heif.open_heif,
}

# Pillow expands grey of 2 and 4 bits to 8, but not the colour key that goes with it.
_KEY_STEPS = {"L;2": 85, "L;4": 17}

_PNG_SIGNATURE = 8
_GIF_PALETTE = 13

_PLAIN_MODES = frozenset({"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB"})

_DEEP_GREY = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})

_CORE_BYTES = {"1": 1, "L": 1, "P": 1, **dict.fromkeys(_DEEP_GREY, 2)}
"""Mode of an image -> bytes of a pixel in Pillow's memory, where that is not 4."""

_WEBP_BYTES = 16
"""Bytes of a pixel in Pillow's memory of a WebP: two canvases, a copy and the image, of 4 bytes each."""

_BAND_PIXELS = 2**18

_EIGHT_BITS = ((np.arange(65_536) + 128) // 257).astype(np.uint8)
"""Sample of 16 bits -> v / 257, rounded."""

# Changing Python's warning filters is not safe while another thread does the same.
_warning_filters = threading.Lock()


def decode(data: bytes | memoryview, kind: Format, max_pixels: int) -> tuple[Pixels, int]:
    """Decode a picture of any kind, as `featx.images.decoding.decode_whole` does."""
    with _warning_filters, warnings.catch_warnings(action="ignore"):
        try:
            image, block = _opened(data, kind, max_pixels)
            with image:
                check_size(*image.size, max_pixels)
                samples = _raw_mode(image)
                check_memory(_peak_bytes(image, kind, samples, block), max_pixels)
                image.load()
                check_size(*image.size, max_pixels)  # a HEIF's header may have announced another
                # A TIFF is turned by Pillow as it loads, and then says 1.
                orientation = _orientation(image)
                if samples in _KEY_STEPS and "transparency" in image.info:
                    image.info["transparency"] *= _KEY_STEPS[samples]
                pixels = _from_16_bits(image, data, kind) if ";16" in samples else _over_white(image)
                if isinstance(image, GifImagePlugin.GifImageFile):
                    pixels = _with_background(image, data, pixels)
            return pixels, orientation
        except RAISED_BY_BAD_BYTES as error:
            raise described(error, kind) from error


def _opened(data: bytes | memoryview, kind: Format, max_pixels: int) -> tuple[ImageFile.ImageFile, int]:
    """Open a picture of a kind that has a rule; give the bytes of a strip or tile too, 0 where there is none."""
    if kind == "tiff":
        return tiff.open_tiff(data)
    if kind == "webp":
        _check_webp_canvas(data, max_pixels)
    elif kind == "bmp":
        bmp.check_kind(data)
    image = _OPENERS[kind](io.BytesIO(data))
    if kind == "jpeg" and image.mode == "CMYK" and "adobe" not in image.info:
        # Without Adobe's marker, some readers invert the inks and others don't.
        raise ImageError(
            "unsupported", f"jpeg: CMYK colours that may be inverted or not, which the file does not tell; {ADVICE}"
        )
    return image, 0


def jpeg_orientation(data: bytes | memoryview) -> int:
    """Read a JPEG's orientation, 1 to 8, by Pillow as for all other pictures (40 us for the header alone)."""
    with _warning_filters, warnings.catch_warnings(action="ignore"):
        try:
            return _orientation(JpegImagePlugin.JpegImageFile(io.BytesIO(data)))
        except RAISED_BY_BAD_BYTES:
            return 1


def _check_webp_canvas(data: bytes | memoryview, max_pixels: int) -> None:
    """Check the size of a WebP before Pillow opens it, which allocates two canvases at once."""
    chunk = bytes(data[12:30]).ljust(18, b"\0")
    if chunk[:4] == b"VP8X":
        width, height = (int.from_bytes(chunk[at : at + 3], "little") + 1 for at in (12, 15))
    elif chunk[:4] == b"VP8L":
        bits = int.from_bytes(chunk[9:13], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(chunk[at : at + 2], "little") & 0x3FFF for at in (14, 16))
    check_size(width, height, max_pixels)
    check_memory(width * height * _WEBP_BYTES, max_pixels)


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """Return Pillow's name for the layout of the samples in the file; "" if Pillow has none."""
    arguments = image.tile[0].args if image.tile else ()
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _orientation(image: ImageFile.ImageFile) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except RAISED_BY_BAD_BYTES:
        return 1
    return value if isinstance(value, int) and value in ORIENTATIONS else 1


def _peak_bytes(image: ImageFile.ImageFile, kind: Format, samples: str, block: int) -> int:
    """Predict the bytes that decoding takes at its peak, from what the header announces; measured by a test."""
    pixels = image.size[0] * image.size[1]
    core = _CORE_BYTES.get(image.mode, 4)
    if kind in ("avif", "heif"):
        return pixels * heif.DECODER_BYTES
    if isinstance(image, TiffImageFile):
        # A strip or tile is unpacked beside the image; a turned image is a second one.
        turned = core if image.tag_v2.get(ExifTags.Base.Orientation, 1) != 1 else 0
        return max(pixels * core + block, pixels * (core + max(RESULT_BYTES, turned)))
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        # Coefficients of 2 bytes for each sample, if it is progressive or has a scan for each channel.
        return pixels * (core + max(RESULT_BYTES, 2 * len(image.getbands())))
    if ";16" in samples and image.mode not in _DEEP_GREY:
        # Channels of 2 bytes, which cv2 gives as a copy.
        return pixels * 4 * (3 if image.mode == "RGB" and "transparency" not in image.info else 4)
    return pixels * (core + RESULT_BYTES)


def _bands(height: int, width: int) -> Iterator[slice]:
    """Yield bands of rows: what is converted band by band takes no second picture's memory."""
    step = max(1, _BAND_PIXELS // width)
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


def _over_white(image: Image.Image) -> Pixels:
    """Convert any mode of 8 bits or fewer to RGB, with white behind transparent pixels."""
    width, height = image.size
    if not image.has_transparency_data and image.mode not in _PLAIN_MODES:
        raise ImageError("unsupported", f"the range of values is not known for mode {image.mode}; {ADVICE}")
    if width * height <= _BAND_PIXELS:
        return _band_over_white(image)
    out = np.empty((height, width, 3), np.uint8)
    for rows in _bands(height, width):
        out[rows] = _band_over_white(_band(image, rows))
    return out


def _band(image: Image.Image, rows: slice) -> Image.Image:
    return image.crop((0, rows.start, image.size[0], rows.stop))


def _band_over_white(band: Image.Image) -> Pixels:
    if not band.has_transparency_data:
        # convert copies what is RGB already.
        return np.asarray(band if band.mode == "RGB" else band.convert("RGB"))
    band = band.convert("RGBA")
    canvas = Image.new("RGB", band.size, "white")
    # paste blends each sample as (c * a + 255 * (255 - a)) / 255, rounded.
    canvas.paste(band, mask=band)
    return np.asarray(canvas)


def _with_background(image: GifImagePlugin.GifImageFile, data: bytes | memoryview, pixels: Pixels) -> Pixels:
    """Paint what the first frame of a GIF leaves free with the background's colour.

    Pillow takes the first colour of the frame's own palette.
    """
    left, top, right, bottom = image.dispose_extent or (0, 0, *image.size)
    if "transparency" in image.info or (left, top, right, bottom) == (0, 0, *image.size):
        return pixels
    flags, background = data[10], data[11]
    colour = b"\xff" * 3  # without a common palette there is no background, and white shows through
    if flags & 0x80:
        at = _GIF_PALETTE + 3 * (background if background < 2 << (flags & 7) else 0)
        colour = bytes(data[at : at + 3])
    out = np.empty_like(pixels)
    out[:] = np.frombuffer(colour, np.uint8)
    out[top:bottom, left:right] = pixels[top:bottom, left:right]
    return out


def _from_16_bits(image: Image.Image, data: bytes | memoryview, kind: Format) -> Pixels:
    """Scale samples of 16 bits to 8, v / 257 rounded."""
    key = image.info.get("transparency")
    width, height = image.size
    out = np.empty((height, width, 3), np.uint8)
    if image.mode in _DEEP_GREY:
        for rows in _bands(height, width):
            grey = np.asarray(_band(image, rows))
            out[rows] = _EIGHT_BITS[grey][:, :, np.newaxis]
            if key is not None:
                out[rows][grey == key] = 255
        return out
    if kind != "png":
        # Pillow keeps the high byte, at most one level below: all that it gives of a TIFF, whose premultiplied alpha,
        # separations and orientation cv2 does not see.
        return _over_white(image)
    # Pillow has found the pixels whole, but keeps the high bytes only. cv2 takes memory for what a chunk announces.
    if not _has_whole_chunks(data):
        raise ImageError("truncated", "png: a part or the end of the file is missing")
    image.close()  # cv2 needs the memory
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.dtype != np.uint16 or samples.shape[:2] != (height, width) or samples.ndim != 3:
        raise ImageError("unsupported", f"png: this kind of 16-bit image can't be read; {ADVICE}")
    for rows in _bands(height, width):
        out[rows] = _deep_band_over_white(samples[rows], key)
    return out


def _deep_band_over_white(samples: NDArray[Any], key: tuple[int, ...] | None) -> Pixels:
    """Convert samples of 16 bits in cv2's order, BGR or BGRA."""
    colours: Pixels = _EIGHT_BITS[samples[:, :, 2::-1]]
    if key is not None:
        alpha = np.where((samples[:, :, 2::-1] == key).all(axis=2), 0, 255).astype(np.uint8)
    elif samples.shape[2] == 4:
        alpha = _EIGHT_BITS[samples[:, :, 3]]
    else:
        return colours
    return _band_over_white(Image.fromarray(np.dstack([colours, alpha])))


def _has_whole_chunks(data: bytes | memoryview) -> bool:
    """Tell whether the chunks of a PNG follow one another to its end chunk, none longer than the file."""
    position = _PNG_SIGNATURE
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        if kind == b"IEND":
            return bool(position <= len(data))
    return False
