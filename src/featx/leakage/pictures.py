"""Small pictures of images, by which copies are recognised."""

import numpy as np
from numpy.typing import NDArray

SIDE = 48
"""Side of the square that an image is stretched to, in pixels."""

_COLOUR_SIDE = SIDE // 4
_LUMINANCE = SIDE**2
WIDTH = _LUMINANCE + 2 * _COLOUR_SIDE**2
"""Bytes of one small picture: luminance at `SIDE`, two colour differences at a quarter of it."""

_AT_ONCE = 4096

Pictures = NDArray[np.uint8]
Planes = NDArray[np.float32]


def reduced(pixels: NDArray[np.uint8]) -> Pictures:
    """Make small pictures from pixels.

    Parameters
    ----------
    pixels : (n, SIDE, SIDE, 3) uint8
        Whole images as RGB, stretched to the square by averaging over areas: a copy in another resolution or of
        slightly other proportions then has almost the same pixels.

    Returns
    -------
    (n, WIDTH) uint8
        Luminance and colour differences (BT.601, full range), row by row.
    """
    rgb = pixels.astype(np.float32)
    luma = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    planes = [luma.reshape(len(rgb), _LUMINANCE)]
    for channel, factor in ((2, 0.564), (0, 0.713)):
        difference = factor * (rgb[..., channel] - luma) + 128
        planes.append(halved(halved(difference)).reshape(len(rgb), _COLOUR_SIDE**2))
    return np.clip(np.rint(np.concatenate(planes, axis=1)), 0, 255).astype(np.uint8)


def luminance(pictures: Pictures) -> Planes:
    """Return the luminance, (n, SIDE, SIDE) float32, 0 to 255."""
    return pictures[:, :_LUMINANCE].reshape(-1, SIDE, SIDE).astype(np.float32)


def colours(pictures: Pictures) -> Planes:
    """Return the colour differences, (n, 2, SIDE / 4, SIDE / 4) float32, -128 to 127; 0 is grey."""
    return pictures[:, _LUMINANCE:].reshape(-1, 2, _COLOUR_SIDE, _COLOUR_SIDE).astype(np.float32) - 128


def mirrored(pictures: Pictures) -> Pictures:
    """Exchange left and right, (n, WIDTH) uint8."""
    n = len(pictures)
    luma = pictures[:, :_LUMINANCE].reshape(n, SIDE, SIDE)[:, :, ::-1]
    colour = pictures[:, _LUMINANCE:].reshape(n, 2, _COLOUR_SIDE, _COLOUR_SIDE)[..., ::-1]
    return np.concatenate([luma.reshape(n, _LUMINANCE), colour.reshape(n, 2 * _COLOUR_SIDE**2)], axis=1)


def halved(planes: Planes) -> Planes:
    """Halve the resolution of (n, h, w) planes, by averages of four pixels."""
    mean: Planes = planes[:, ::2, ::2] + planes[:, ::2, 1::2] + planes[:, 1::2, ::2] + planes[:, 1::2, 1::2]
    mean /= 4
    return mean


def layouts(pictures: Pictures) -> Planes:
    """Compute the coarse light and dark of each picture, (n, 144) float32 of mean 0; all zeros without contrast.

    The cosine of two is the correlation of the pictures: over .99 for a re-encoded or resized copy.
    """
    coarse = np.empty((len(pictures), _COLOUR_SIDE**2), np.float32)
    for first in range(0, len(pictures), _AT_ONCE):
        planes = halved(halved(luminance(pictures[first : first + _AT_ONCE])))
        coarse[first : first + _AT_ONCE] = planes.reshape(len(planes), _COLOUR_SIDE**2)
    coarse -= coarse.mean(axis=1, keepdims=True)
    # Less than a grey level is noise.
    coarse[np.abs(coarse).max(axis=1, initial=0) < 1] = 0
    return coarse
