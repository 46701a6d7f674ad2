"""Errors that damaged or hostile bytes make libraries raise, and the reasons that they stand for."""

import re
import struct

import cv2
from PIL import Image

from featx.errors import ImageError, Reason
from featx.images.formats import ADVICE

RAISED_BY_BAD_BYTES = (
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
"""Errors of Pillow, cv2 and numpy on such bytes.

Pillow documents little of it, and its plugins let slip whatever their parsing runs into. Anything else is a bug, here
or there, and keeps its traceback.
"""

# Pillow has no error classes for these, only words; whatever matches none is damaged.
_REASONS: tuple[tuple[re.Pattern[str], Reason], ...] = (
    (re.compile(r"too large|too much memory|exceeds limit|MemoryError", re.IGNORECASE), "too-large"),
    (
        re.compile(r"unsupported|not supported|pixel mode|cannot handle|conversion from", re.IGNORECASE),
        "unsupported",
    ),
)


def described(error: Exception, kind: str) -> ImageError:
    """Give the error of a picture that stands for what a library raised, in one line."""
    # KeyError and its like say nothing without their name.
    detail = " ".join(f"{type(error).__name__}: {error}".split())
    for words, reason in _REASONS:
        if words.search(detail):
            text = f"{' '.join(str(error).split())}; {ADVICE}" if reason == "unsupported" else detail
            return ImageError(reason, f"{kind}: {text}")
    return ImageError("truncated", f"{kind}: {detail}")
