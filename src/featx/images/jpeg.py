"""Reader of a JPEG's markers: its header before any pixel is decoded, its scans, and the end of its first picture."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from featx.errors import ImageError
from featx.images.formats import ADVICE

MOST_SCANS = 100
"""Scans of a JPEG at most: the limit of libtiff (``LIBTIFF_JPEG_MAX_ALLOWED_SCAN_NUMBER``) and of GDAL.

Encoders write some ten. A scan may go over the whole picture again in 20 bytes, so 600 of them in a file of 200 kB keep
a decoder busy for minutes.
"""

_SOI_LENGTH = 2
_EOI, _SOS, _APP1 = 0xD9, 0xDA, 0xE1
# Baseline, extended sequential, progressive: Huffman-coded, what every decoder takes.
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_READ_FRAMES = frozenset({_BASELINE, _EXTENDED, _PROGRESSIVE, 0xC9, 0xCA})
"""Processes that have a rule; the last two are arithmetic-coded."""

_SEGMENTS = frozenset({0xC4, 0xCC, _SOS, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})
# In entropy-coded data an 0xFF is followed by 0x00, or by a restart marker. The pattern starts with one certain byte,
# which makes the search twenty times as fast as `\xff+` for fill bytes would.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")


@dataclass(frozen=True, kw_only=True)
class Header:
    """The head of an ordinary JPEG: 8 bits, Huffman-coded, no junk between its segments.

    Parameters
    ----------
    height, width : int
        In pixels, before orientation.
    components : int
        1 (grey), 3 (colour) or 4 (CMYK, YCCK).
    tagged : bool
        It has an APP1 segment, so an orientation may be recorded (Exif, XMP).
    scan : int
        Where the entropy-coded data starts.
    single_scan : bool
        All components are in one sequential scan, so that from `scan` to the end marker nothing but data can follow.
    """

    height: int
    width: int
    components: int
    tagged: bool
    scan: int
    single_scan: bool


def read_header(data: bytes | memoryview) -> Header | None:
    """Walk the segments up to the first scan; None for a JPEG that is not an ordinary one."""
    position, end = _SOI_LENGTH, len(data)
    height = width = components = frame = 0
    tagged = False
    while position + 4 <= end and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker not in _SEGMENTS and marker not in _FRAMES:
            return None
        (length,) = struct.unpack_from(">H", data, position + 2)
        if length < 2 or position + 2 + length > end:
            return None
        if marker in _FRAMES:
            if frame or length < 8:
                return None
            frame = marker
            precision, height, width, components = struct.unpack_from(">BHHB", data, position + 4)
            if frame not in (_BASELINE, _EXTENDED, _PROGRESSIVE) or precision != 8 or components not in (1, 3, 4):
                return None
        elif marker == _APP1:
            tagged = True
        elif marker == _SOS:
            if not (height and width):
                return None
            return Header(
                height=height,
                width=width,
                components=components,
                tagged=tagged,
                scan=position + 2 + length,
                single_scan=frame != _PROGRESSIVE and length > 2 and data[position + 4] == components,
            )
        position += 2 + length
    return None


def check_scans(data: bytes | memoryview, header: Header | None) -> None:
    """Refuse a JPEG of too many scans, or of a process that has no rule; its header may be unknown.

    Raises
    ------
    ImageError
        ``too-large`` or ``unsupported``.
    """
    if header is not None and header.single_scan:
        return  # libjpeg takes a further one for an error
    scans = 0
    for marker in _markers(data, _SOI_LENGTH):
        if marker == _EOI:
            return
        if marker in _FRAMES - _READ_FRAMES:
            raise ImageError("unsupported", f"jpeg: lossless or hierarchical (process {marker - 0xC0}); {ADVICE}")
        scans += marker == _SOS
        if scans > MOST_SCANS:
            raise ImageError(
                "too-large",
                f"jpeg: more than {MOST_SCANS} scans of the whole picture, which would take too long to read; save it "
                "again with fewer scans",
            )


def is_whole(data: bytes | memoryview, header: Header) -> bool:
    """Tell whether the end marker of the first picture is there, whatever follows it.

    libjpeg fills what is missing with grey and only warns: cv2 up to 4.x hands that on as an image, and Pillow does
    where zeros stand for the missing data, as in an interrupted copy into reserved space (zeros are valid data).
    """
    if header.single_scan and data[-2] == 0xFF and data[-1] == _EOI and len(data) >= header.scan + 2:
        return True
    for marker in _markers(data, header.scan):
        if marker == _EOI:
            return True
        if marker not in _SEGMENTS:
            return False
    return False


def _markers(data: bytes | memoryview, position: int) -> Iterator[int]:
    """Yield the markers from a position on as libjpeg finds them: other bytes between segments are passed over."""
    while found := _MARKER.search(data, position):
        marker, position = found[1][0], found.end()
        if marker in _SEGMENTS or marker in _FRAMES:
            position += int.from_bytes(data[position : position + 2], "big")
        yield marker
