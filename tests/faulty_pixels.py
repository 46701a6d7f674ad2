"""Decoders that each break one rule of ``docs/pixels.md``, to be named to `Decoders`, for the golden check to catch."""

import dataclasses
import io

import numpy as np
from PIL import Image

from featx.images import decode_into, geometry, pillow


def swapped(data, rules, out, *, max_pixels):
    """Blue, green, red."""
    decode_into(data, rules, out, max_pixels=max_pixels)
    out[:] = out[..., ::-1].copy()


def unturned(data, rules, out, *, max_pixels):
    """The EXIF orientation is ignored."""
    geometry.ORIENTATIONS.update(dict.fromkeys(range(1, 9), (None, False)))
    decode_into(data, rules, out, max_pixels=max_pixels)


def mirrored(data, rules, out, *, max_pixels):
    decode_into(data, rules, out, max_pixels=max_pixels)
    out[:] = out[:, ::-1].copy()


def averaged(data, rules, out, *, max_pixels):
    """An antialiased resize."""
    decode_into(data, dataclasses.replace(rules, interpolation="area"), out, max_pixels=max_pixels)


def cubic(data, rules, out, *, max_pixels):
    decode_into(data, dataclasses.replace(rules, interpolation="bicubic"), out, max_pixels=max_pixels)


def cropped(data, rules, out, *, max_pixels):
    decode_into(data, dataclasses.replace(rules, resize="crop"), out, max_pixels=max_pixels)


def opaque(data, rules, out, *, max_pixels):
    """What is behind the transparency is shown."""
    pillow._over_white = lambda image: np.asarray(image.convert("RGB"))
    decode_into(data, rules, out, max_pixels=max_pixels)


def clipped(data, rules, out, *, max_pixels):
    """16 bits are cut off at 255."""
    pillow._EIGHT_BITS = np.arange(65_536).clip(max=255).astype("uint8")
    decode_into(data, rules, out, max_pixels=max_pixels)


def inverted(data, rules, out, *, max_pixels):
    """CMYK is taken for its opposite, as some decoders do."""
    if b"Adobe" in bytes(data) and (image := Image.open(io.BytesIO(data))).mode == "CMYK":
        out[:] = 255 - np.asarray(image.convert("RGB").resize(rules.image_size[::-1]))
    else:
        decode_into(data, rules, out, max_pixels=max_pixels)
