"""One file's bytes to RGB pixels: decode, orient, resize; a reason when it can't.

The rules are written down in ``docs/pixels.md``, under the version number that the spec holds.
"""

from featx.images.decoding import DEFAULT_MAX_PIXELS, decode, decode_into
from featx.images.thumbnail import thumbnail

__all__ = ["DEFAULT_MAX_PIXELS", "decode", "decode_into", "thumbnail"]
