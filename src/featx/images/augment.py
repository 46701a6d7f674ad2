"""Augmented views of a picture: one affine warp from the decoded original, then colours, by ``docs/pixels.md``.

View k of a picture depends on its pixels, the rules for pixels, the spec of the views, the digest of its file and k,
and on nothing else: neither the order of the images nor their batch, their worker or an interruption.
"""

import hashlib
import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError
from featx.images.decoding import DEFAULT_MAX_PIXELS, decode_whole
from featx.images.geometry import in_colours, upright
from featx.images.resizing import Pixels, crop_window, padded_window, resize_into
from featx.spec import DECODER_VERSION, VIEWS_VERSION, Interpolation, PixelRules, ViewsSpec

ROTATION = math.radians(15)
"""Largest angle, either way."""

ZOOM = 0.2
"""Largest change of the scale: a view is 0.8 to 1.2 times as large."""

SHIFT = 0.1
"""Largest shift along each side, as a share of it."""

COLOUR = 0.2
"""Largest change of brightness, contrast and saturation, each a factor of 0.8 to 1.2."""

LONGEST_SIDE = 16_000
"""Side of an original in pixels beyond which a view is made from the resized picture: the warp counts in 16 bits."""

_STEPS = 32  # of a pixel, in which cv2.remap takes positions

_CV2: dict[Interpolation, int] = {
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_LINEAR,
    "lanczos": cv2.INTER_LANCZOS4,
}


class Draw(NamedTuple):
    """The random numbers of one view: angle in radians, shifts as shares of a side, the others factors."""

    angle: float
    zoom: float
    shift_x: float
    shift_y: float
    flip: bool
    brightness: float
    contrast: float
    saturation: float


def draw(views: ViewsSpec, *, digest: bytes, number: int) -> Draw:
    """Draw the random numbers of one view.

    They are the eight 32-bit words of a SHA-256, so that they are the same for ever and in every language.

    Parameters
    ----------
    views : ViewsSpec
        Its seed and version enter; where it doesn't flip, no view is flipped.
    digest : bytes
        SHA-256 of the image file, 32 bytes.
    number : int
        Number of the view, from 0.
    """
    words = hashlib.sha256(f"featx view {views.version} {views.seed} {number} ".encode("ascii") + digest).digest()
    evenly = [int.from_bytes(words[at : at + 4], "big") / 2**32 for at in range(0, 32, 4)]
    either_way = [2 * one - 1 for one in evenly]
    return Draw(
        angle=ROTATION * either_way[0],
        zoom=1 + ZOOM * either_way[1],
        shift_x=SHIFT * either_way[2],
        shift_y=SHIFT * either_way[3],
        flip=views.flip and evenly[4] < 0.5,
        brightness=1 + COLOUR * either_way[5],
        contrast=1 + COLOUR * either_way[6],
        saturation=1 + COLOUR * either_way[7],
    )


def view_into(pixels: Pixels, rules: PixelRules, views: ViewsSpec, out: Pixels, *, digest: bytes, number: int) -> None:
    """Make view `number` of a picture, written into an array that is there already.

    Parameters
    ----------
    pixels : (h, w, 3) uint8
        The whole decoded picture, upright, at its own size, and grey where the rules say so; it is only read.
    rules : PixelRules
        Size, resize rule and interpolation, as for the picture itself.
    views : ViewsSpec
        Recipe and seed.
    out : (H, W, 3) uint8
        C-contiguous; overwritten.
    digest : bytes
        SHA-256 of the image file, 32 bytes.
    number : int
        Number of the view, from 0.

    Raises
    ------
    UsageError
        Views of another version than this one's.
    """
    if views.version != VIEWS_VERSION:
        raise UsageError(
            f"the views were made with version {views.version} of the recipe, but this featx has version "
            f"{VIEWS_VERSION}; "
            "make the views again, or install the version of featx that made them"
        )
    drawn = draw(views, digest=digest, number=number)
    if rules.interpolation == "area" or max(pixels.shape[:2]) > LONGEST_SIDE:
        resized = np.empty_like(out)
        resize_into(pixels, rules, resized)
        pixels, stretch = resized, (1.0, 0.0, 1.0, 0.0)
    else:
        stretch = _stretch(pixels.shape[:2], out.shape[:2], rules)
    x, y = _positions(drawn, out.shape[:2], stretch)
    # Positions in whole numbers of 1/32 pixel: cv2 then computes in integers, the same on every processor.
    whole, fraction = np.empty((*x.shape, 2), np.int16), np.empty(x.shape, np.uint16)
    whole[..., 0], whole[..., 1] = x >> 5, y >> 5
    fraction[...] = (y & (_STEPS - 1)) * _STEPS + (x & (_STEPS - 1))
    border = cv2.BORDER_CONSTANT if rules.resize == "pad" else cv2.BORDER_REFLECT
    warped = cv2.remap(pixels, whole, fraction, _CV2[rules.interpolation], dst=out, borderMode=border).view(np.uint8)
    _colour(warped, drawn, out)


def decode_with_views_into(
    data: bytes | memoryview,
    rules: PixelRules,
    out: NDArray[np.uint8],
    *,
    views: ViewsSpec,
    digest: bytes,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> None:
    """Turn one file's bytes into the pixels of the picture and of its views, from one decode.

    Parameters
    ----------
    data, rules, max_pixels
        As for `featx.images.decode`.
    out : (1 + K, H, W, 3) uint8
        Overwritten: ``out[0]`` is the picture, to the bit as `featx.images.decode` gives it; ``out[1 + k]`` is view k.
    views : ViewsSpec
        Recipe, seed and number of views.
    digest : bytes
        SHA-256 of the data, 32 bytes.

    Raises
    ------
    ImageError, UsageError
        As for `featx.images.decode`; or views of another version.
    """
    if rules.decoder != DECODER_VERSION:
        raise UsageError(f"pixels by version {rules.decoder} of the rules, this featx knows {DECODER_VERSION}")
    if out.shape != (1 + views.count, *rules.image_size, 3) or out.dtype != np.uint8:
        raise ValueError(f"out must be uint8 {(1 + views.count, *rules.image_size, 3)}, not {out.dtype} {out.shape}")
    pixels, orientation = decode_whole(data, max_pixels)
    pixels = upright(in_colours(pixels, rules.colours), orientation)
    resize_into(pixels, rules, out[0])
    for number in range(views.count):
        view_into(pixels, rules, views, out[1 + number], digest=digest, number=number)


def _stretch(old: tuple[int, ...], new: tuple[int, ...], rules: PixelRules) -> tuple[float, float, float, float]:
    """Give scale and start, along x and y, of the map from the resized picture's corners to the original's."""
    (h, w), (height, width) = old[:2], new[:2]
    if rules.resize == "crop":
        top, left, inner_h, inner_w = crop_window(h, w, height, width)
        return inner_w / width, float(left), inner_h / height, float(top)
    if rules.resize == "pad":
        top, left, inner_h, inner_w = padded_window(h, w, height, width)
        return w / inner_w, -left * w / inner_w, h / inner_h, -top * h / inner_h
    return w / width, 0.0, h / height, 0.0


def _positions(
    drawn: Draw, size: tuple[int, ...], stretch: tuple[float, float, float, float]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Find where each pixel of a view comes from in the original: x and y (H, W), in 1/32 pixel."""
    height, width = size[:2]
    # From the centre of the view back: shift, rotation, zoom and flip undone, in this order.
    across = np.arange(width) - (width - 1) / 2 - drawn.shift_x * width
    down = (np.arange(height) - (height - 1) / 2 - drawn.shift_y * height)[:, None]
    cosine, sine = math.cos(drawn.angle) / drawn.zoom, math.sin(drawn.angle) / drawn.zoom
    mirror = -1 if drawn.flip else 1
    scale_x, left, scale_y, top = stretch
    # The scales go into the row and the column, so that only one sum is made for each pixel.
    in_x, in_y = _STEPS * mirror * scale_x, _STEPS * scale_y
    start_x, start_y = _STEPS * (scale_x * width / 2 + left - 0.5), _STEPS * (scale_y * height / 2 + top - 0.5)
    x = (in_x * cosine * across + start_x) + in_x * sine * down
    y = in_y * cosine * down + (start_y - in_y * sine * across)
    return np.rint(x, out=x).astype(np.int32), np.rint(y, out=y).astype(np.int32)


def _colour(pixels: Pixels, drawn: Draw, out: Pixels) -> None:
    """Change brightness, contrast about the mean grey, then saturation, rounding once at the end."""
    # Brightness b, contrast c: y = c b x + (1 - c) b mean; saturation s: s y + (1 - s) grey(y). As grey is linear, the
    # result is a table of x plus a table of x's grey, here in 1/64 level: integers, the same on every processor.
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    gain, levels = drawn.brightness * drawn.contrast, np.arange(256)
    start = (1 - drawn.contrast) * drawn.brightness * int(grey.sum(dtype=np.int64)) / grey.size
    of_value = np.rint(64 * gain * drawn.saturation * levels).astype(np.int16)
    of_grey = np.rint(64 * (gain * (1 - drawn.saturation) * levels + start) + 32).astype(np.int16)
    base = cv2.LUT(grey, of_grey)
    values = cv2.add(cv2.LUT(pixels, of_value), cv2.merge([base, base, base])).view(np.int16)
    np.copyto(out, np.clip(values >> 6, 0, 255), casting="unsafe")
