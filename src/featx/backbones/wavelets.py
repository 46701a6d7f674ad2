"""The filters of the scattering network, from formulas: Morlet wavelets, Gaussian low-passes, and their cascade.

The wavelets are the Morlets of J. Bruna and S. Mallat, *Invariant Scattering Convolution Networks*, IEEE PAMI 35
(2013), section 2.1, longer across than along their wave, as in L. Sifre and S. Mallat, *Rotation, Scaling and
Deformation Invariant Scattering*, CVPR 2013. At scale j and angle t, with |w| = 3/4 pi / 2^j and ``g`` the Gaussian of
unit sum and of the widths 0.85 * 2^j pixels along w and 1.4 times that across,

    psi(u) = 2 / sqrt(L) * g(u) * (exp(i w.u) - beta),    beta such that the sum over the pixels is 0,

and the low-pass at scale J is the Gaussian of 0.7 * 2^J pixels. The factor in front keeps the Littlewood-Paley sum
at 1 or below.

How a full-size kernel is avoided. A Gaussian times a Gaussian is one: psi of width s is a Gaussian low-pass of width r,
followed by another Morlet of width sqrt(s^2 - r^2) and frequency w * s^2 / (s^2 - r^2). So the low-pass is applied
once, the image halved, and what remains of the wavelet is a kernel of the same few coefficients at every scale.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTHS = (0.85, 0.85 * 1.4)
FREQUENCY = 0.75 * np.pi
WINDOW = 0.7
"""Widths of wavelet, along and across its wave, and low-pass in units of their scale; frequency in radians per unit."""

_RESIDUE = 0.95
"""Width of the low-pass before a wavelet on a coarse grid, in its pixels: between aliasing and a wide kernel."""

_FINEST, _DIRECT, _SMOOTHED = 9, 16, 14
"""Sides of the kernels: what is cut off is below 3e-3 of the peak."""

_GRAIN = 2.0**-26
"""Coefficients are multiples of it: an `exp` that differs in its last bit must not make another digest."""

Filter = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class LowPasses:
    """The low-passes along one axis of a grid of n pixels, as matrices, with the image reflected at its borders.

    Parameters
    ----------
    window : (n / 2^(J - k), n) float32
        Low-pass of the whole network, sampled at the centres of its cells, from the grid of step 2^k.
    halving : (n / 2, n) float32 or None
        Low-pass before the next, coarser grid, for what has had none; None on the coarsest.
    again : (n / 2, n) float32 or None
        For what has had one.
    """

    window: Filter
    halving: Filter | None
    again: Filter | None


@dataclass(frozen=True, kw_only=True)
class Filters:
    """All filters of a scattering network.

    Parameters
    ----------
    finest : (9, 9, 1, 2 L) float32
        Wavelets of scale 0 on the grid of the image: L real, then L imaginary parts.
    direct : (16, 16, 1, 2 L) float32
        Wavelets of scale j on a grid of step 2^(j - 1), for what has had no low-pass.
    smoothed : (14, 14, 1, 2 L) float32
        For what has had one.
    rows, columns : tuple of LowPasses
        For the vertical and the horizontal axis, the grid of step 2^k at place k.
    """

    finest: Filter
    direct: Filter
    smoothed: Filter
    rows: tuple[LowPasses, ...]
    columns: tuple[LowPasses, ...]


def filters(*, image_size: tuple[int, int], scales: int, orientations: int) -> Filters:
    """Compute the filters of a network.

    Parameters
    ----------
    image_size : (int, int)
        Height and width in pixels, multiples of 2^J.
    scales, orientations : int
        J and L.
    """
    wide = (2 * WIDTHS[0], 2 * WIDTHS[1])
    rest = (np.sqrt(wide[0] ** 2 - _RESIDUE**2), np.sqrt(wide[1] ** 2 - _RESIDUE**2))
    higher = (wide[0] / rest[0]) ** 2
    gain = np.exp((FREQUENCY / 2 * wide[0] * _RESIDUE / rest[0]) ** 2 / 2)
    return Filters(
        finest=_kernel(morlets(orientations, size=_FINEST, widths=WIDTHS, frequency=FREQUENCY)),
        direct=_kernel(morlets(orientations, size=_DIRECT, widths=wide, frequency=FREQUENCY / 2)),
        smoothed=_kernel(
            morlets(orientations, size=_SMOOTHED, widths=rest, frequency=FREQUENCY / 2 * higher, gain=gain)
        ),
        rows=_axes(image_size[0], scales),
        columns=_axes(image_size[1], scales),
    )


def morlets(
    orientations: int, *, size: int, widths: tuple[float, float], frequency: float, gain: float = 1.0
) -> NDArray[np.complex128]:
    """Compute Morlet wavelets (L, size, size) at angles pi k / L, centred in the square, each of zero sum.

    Parameters
    ----------
    orientations : int
        L; angle 0 oscillates along the horizontal axis, and angles grow towards the bottom of the image.
    size : int
        Side in pixels; where it is even, the centre lies between pixels.
    widths : (float, float)
        Of the Gaussian in pixels, along and across the wave.
    frequency : float
        Radians per pixel.
    gain : float
        Factor of the oscillating part.
    """
    places = np.arange(size) - (size - 1) / 2
    angles = np.pi * np.arange(orientations)[:, None, None] / orientations
    along = places * np.cos(angles) + places[:, None] * np.sin(angles)
    across = places[:, None] * np.cos(angles) - places * np.sin(angles)
    gaussian = np.exp(-((along / widths[0]) ** 2 + (across / widths[1]) ** 2) / 2) / (2 * np.pi * widths[0] * widths[1])
    waves = gain * gaussian * np.exp(1j * frequency * along)
    means = waves.sum((1, 2), keepdims=True) / gaussian.sum((1, 2), keepdims=True)
    return np.asarray(2 / np.sqrt(orientations) * (waves - means * gaussian))


def low_pass(n: int, *, step: int, sigma: float) -> NDArray[np.float64]:
    """Compute the matrix (n / step, n) of a Gaussian low-pass of n pixels, sampled at the centres of runs of `step`.

    `sigma` is in pixels. Beyond both ends the pixels are mirrored at the edge, so that the last one is repeated.
    """
    centres = np.arange(n // step) * step + (step - 1) / 2
    reach = int(np.ceil(5 * sigma)) + step
    pixels = np.floor(centres)[:, None].astype(int) + np.arange(-reach, reach + 1)
    weights = np.exp(-((pixels - centres[:, None]) ** 2) / (2 * sigma**2))
    weights /= weights.sum(1, keepdims=True)
    mirrored = pixels % (2 * n)
    mirrored = np.minimum(mirrored, 2 * n - 1 - mirrored)
    matrix = np.zeros((len(centres), n))
    np.add.at(matrix, (np.arange(len(centres))[:, None], mirrored), weights)
    return matrix


def _kernel(waves: NDArray[np.complex128]) -> Filter:
    """Turn wavelets (L, n, n) into a kernel of Keras, (n, n, 1, 2 L), real parts first."""
    return _rounded(np.moveaxis(np.concatenate([waves.real, waves.imag]), 0, -1)[:, :, None, :])


def _axes(n: int, scales: int) -> tuple[LowPasses, ...]:
    return tuple(
        LowPasses(
            window=_rounded(low_pass(n >> k, step=2 ** (scales - k), sigma=WINDOW * 2 ** (scales - k))),
            # A low-pass of width r on the coarser grid is one of 2 r here; what has had r here lacks sqrt(3) r.
            halving=_rounded(low_pass(n >> k, step=2, sigma=2 * _RESIDUE)) if k < scales - 2 else None,
            again=_rounded(low_pass(n >> k, step=2, sigma=np.sqrt(3) * _RESIDUE)) if 0 < k < scales - 2 else None,
        )
        for k in range(scales)
    )


def _rounded(filter_: NDArray[np.float64]) -> Filter:
    return (np.round(filter_ / _GRAIN) * _GRAIN).astype(np.float32)
