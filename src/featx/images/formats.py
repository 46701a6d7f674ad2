"""The image formats, and how to tell them from the first bytes of a file."""

import re
from typing import Literal, get_args

from featx.errors import ImageError

Format = Literal["jpeg", "png", "bmp", "gif", "webp", "tiff", "avif", "heif"]
FORMATS: tuple[Format, ...] = get_args(Format)

ADVICE = "save it as 8-bit RGB, in PNG, JPEG or TIFF"
"""Advice for a picture of a kind that has no rule."""

# A BMP starts with two letters that any text may start with, so the size of its second header is looked at as well.
_DECODED: dict[Format, re.Pattern[bytes]] = {
    "jpeg": re.compile(rb"\xff\xd8\xff"),
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "bmp": re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL),
    "gif": re.compile(rb"GIF8[79]a"),
    "webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "tiff": re.compile(rb"II[*+]\0|MM\0[*+]"),
    # Of the brands that both may start with, those behind it tell which it is.
    "avif": re.compile(rb".{4}ftyp(?:avi[fs]|m(?:if|sf)1.{4}(?:.{4}){0,30}?avi[fs])", re.DOTALL),
    "heif": re.compile(rb".{4}ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL),
}

_RECOGNISED: dict[str, re.Pattern[bytes]] = {
    "JPEG 2000": re.compile(rb"\0\0\0\x0cjP(?:  |\x1a\x1a)\r\n\x87\n|\xff\x4f\xff\x51"),
    "JPEG XL": re.compile(rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
    "JPEG XR": re.compile(rb"II\xbc[\0\1]"),
    "ICO": re.compile(rb"\0\0[\1\2]\0[^\0]\0", re.DOTALL),
    "ICNS": re.compile(rb"icns"),
    "PSD": re.compile(rb"8BPS\0[\1\2]"),
    "XCF": re.compile(rb"gimp xcf"),
    "PNM": re.compile(rb"P[1-7][ \t\r\n]+(?:[#0-9]|WIDTH)"),
    "PFM": re.compile(rb"P[Ff]\n[0-9]"),
    "DDS": re.compile(rb"DDS \x7c"),
    "OpenEXR": re.compile(rb"\x76\x2f\x31\x01"),
    "Radiance HDR": re.compile(rb"#\?(?:RADIANCE|RGBE)"),
    "QOI": re.compile(rb"qoif"),
    "MNG or JNG": re.compile(rb"[\x8a\x8b][MJ]NG\r\n\x1a\n"),
    "PCX": re.compile(rb"\x0a[\x00\x02-\x05]\x01[\x01\x02\x04\x08]"),
    "Sun raster": re.compile(rb"\x59\xa6\x6a\x95"),
    "SGI": re.compile(rb"\x01\xda[\0\1][\1\2]"),
    "FITS": re.compile(rb"SIMPLE  ="),
    "DICOM": re.compile(rb".{128}DICM", re.DOTALL),
    "BPG": re.compile(rb"BPG\xfb"),
    "FLIF": re.compile(rb"FLIF"),
    "SVG": re.compile(
        rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,500}?-->\s*)?(?:<!DOCTYPE svg[^>]*>\s*)?<svg[\s>]"
    ),
}

_HEAD = 1024


def sniff(data: bytes | memoryview) -> Format:
    """Tell the format of an image file from its first bytes.

    Raises
    ------
    ImageError
        ``empty``: no bytes. ``unsupported``: an image, of a format that is not decoded. ``not-an-image``: all else.
    """
    if not len(data):
        raise ImageError("empty", "the file is empty")
    head = bytes(data[:_HEAD])
    for name, magic in _DECODED.items():
        if magic.match(head):
            return name
    for other, magic in _RECOGNISED.items():
        if magic.match(head):
            raise ImageError(
                "unsupported", f"featx can't read {other} images; convert it to one of {', '.join(FORMATS)}"
            )
    raise ImageError("not-an-image", f"no known image format starts with the bytes {head[:8].hex(' ')}")
