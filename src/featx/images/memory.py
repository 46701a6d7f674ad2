"""Bound on the memory that decoding may take, by what the header of a picture announces."""

from featx.errors import ImageError

BYTES_PER_PIXEL = 10
"""Bytes that a decoder may take for each pixel that is allowed.

A progressive JPEG with colour at full resolution takes 9.3, more than any other picture of 8-bit RGB that cv2 decodes:
the coefficients of three channels (6) and the pixels (3), with some room.
"""

RESULT_BYTES = 3
"""Bytes of a pixel of the result."""

_LEAST_BYTES = 2**26
"""Memory below which nothing is refused: libraries take some of it for the smallest picture."""


def check_memory(peak: int, max_pixels: int) -> None:
    """Refuse pictures whose decoder would take too many bytes, with an `ImageError` of reason ``too-large``.

    Parameters
    ----------
    peak : int
        Bytes that decoding takes at its peak, beside those of the file.
    max_pixels : int
        Pixels that are allowed; each stands for `BYTES_PER_PIXEL`.
    """
    allowed = max(BYTES_PER_PIXEL * max_pixels, _LEAST_BYTES)
    if peak > allowed:
        raise ImageError(
            "too-large",
            f"reading it takes {_megabytes(peak)} MB of memory, but the limit is {_megabytes(allowed)} MB; make it "
            "smaller, save it with 8 bits per channel, or raise the limit of pixels (`max_pixels`)",
        )


def _megabytes(size: int) -> str:
    return f"{-(-size // 10**6):,}"
