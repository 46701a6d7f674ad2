"""Kinds of BMP that Pillow reads against their definition."""

import struct

from featx.errors import ImageError
from featx.images.formats import ADVICE

_OS2_HEADER, _FIRST_WITH_ALPHA = 64, 56
_RLE8, _RLE4, _FIELDS, _OS2_RLE24 = 1, 2, 3, 4


def check_kind(data: bytes | memoryview) -> None:
    """Refuse kinds of BMP that have no rule, with an `ImageError` of reason ``unsupported``."""
    if len(data) < 34:
        return
    (size,) = struct.unpack_from("<I", data, 14)
    if size < 40:
        return
    bits, compression = struct.unpack_from("<HI", data, 28)
    if (compression == _RLE8 and bits != 8) or (compression == _RLE4 and bits != 4):
        raise ImageError("unsupported", f"bmp: run lengths of {bits} bits; {ADVICE}")
    if size == _OS2_HEADER and compression in (_FIELDS, _OS2_RLE24):
        raise ImageError("unsupported", f"bmp: compression {compression} of OS/2; {ADVICE}")
    if compression == _FIELDS and bits == 16 and size >= _FIRST_WITH_ALPHA and len(data) >= 70:
        (alpha,) = struct.unpack_from("<I", data, 66)
        if alpha:
            raise ImageError("unsupported", f"bmp: 16 bits with alpha; {ADVICE}")
