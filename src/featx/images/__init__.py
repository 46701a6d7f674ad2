"""From the bytes of a file to RGB pixels: decode, turn upright, resize; an error with a reason if that fails.

The rules are written down in ``docs/pixels.md``, under the version number that the spec holds.
"""

from featx.images.decoding import DEFAULT_MAX_PIXELS, decode, decode_into
from featx.images.thumbnail import thumbnail, thumbnail_into

__all__ = ["DEFAULT_MAX_PIXELS", "decode", "decode_into", "thumbnail", "thumbnail_into"]
