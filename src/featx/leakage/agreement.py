"""Decide if two small pictures are of one image: align one with the other, then compare window by window."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.leakage.pictures import Pictures, Planes, colours, halved, luminance

SAME = 0.97
"""Least `Agreement.windows` of two pictures of one image.

Copies cropped by 8 or 16 % of each side reach .979 at least, re-encoded and resized ones .993; the most that two
photos of one scene reach is .957 (330 planted copies of each kind, and 24,800 pairs of photos of three sets).
"""

SAME_COLOUR = 0.85
"""Least `Agreement.colour`: one thing in two colours is two images. Copies reach .93 at least."""

LEAST_WINDOWS = 6
"""Windows with any structure in them below which nothing can be said: a wall is like any other wall."""


class Agreement(NamedTuple):
    """Agreement of pairs of small pictures after one is aligned with the other.

    Attributes
    ----------
    windows : (n,) float32
        Correlation of the luminance in 12 x 12 pixels, -1 to 1: the value that nine windows of ten exceed, of those
        with structure. 0 where there is none.
    colour : (n,) float32
        Cosine of the colour differences, -1 to 1; 1 where either is grey.
    structured : (n,) int64
        Windows with structure, of 100.
    """

    windows: Planes
    colour: Planes
    structured: NDArray[np.int64]


class _Level(NamedTuple):
    """A resolution for the alignment, and the values that a pair must reach to go on to the next one."""

    halvings: int
    steps: int
    window: int
    stride: int
    blurs: int
    correlation: float
    windows: float


# Copies reach .83 at a quarter of the resolution and .92 at half of it; nearly all other pairs end there.
_LEVELS = (
    _Level(halvings=2, steps=6, window=6, stride=3, blurs=1, correlation=0.75, windows=-1.0),
    _Level(halvings=1, steps=4, window=6, stride=3, blurs=1, correlation=0.75, windows=0.8),
    _Level(halvings=0, steps=4, window=12, stride=4, blurs=2, correlation=-1.0, windows=SAME),
)

_BEFORE = 0.1
"""Least correlation at the coarsest level before anything is moved."""

_MOST_SCALE = 1.3
_MOST_SHIFT = 0.3
"""Limits of the alignment: more is no light crop. Coordinates run from -1 to 1 over a picture."""

_LONGEST_STEP = 0.1
_NOISE = 2.0
"""Grey levels that encoding adds: structure has to stand out from them."""
_STRUCTURE = 5.0
_QUANTILE = 0.1
_COLOUR_NOISE = 8.0

_AT_ONCE = 512

_STILL = np.array([1, 0, 1, 0], np.float32)


def same(some: Pictures, others: Pictures) -> NDArray[np.bool_]:
    """Decide if pairs of small pictures are of one image: re-encoded, resized or cropped (up to 10 % a side).

    Parameters
    ----------
    some, others : (n, WIDTH) uint8
        The pictures (`featx.leakage.reduced`), row i of one beside row i of the other.

    Returns
    -------
    (n,) bool
        False for pictures without structure, of which nothing can be said.

    Notes
    -----
    The alignment has a scale and a shift along each axis, found by Gauss-Newton steps on the squared difference from
    coarse to fine (Lucas and Kanade 1981), on all pairs at once. Then nearly every window has to agree: frames,
    watermarks and a common background agree in most of two different photos, never in nearly all.
    """
    return np.concatenate(
        [
            _same(some[first : first + _AT_ONCE], others[first : first + _AT_ONCE])
            for first in range(0, len(some), _AT_ONCE)
        ]
        or [np.empty(0, np.bool_)]
    )


def compare(some: Pictures, others: Pictures) -> Agreement:
    """Compare pairs of small pictures in full, as `same` does with those that could be of one image.

    Parameters
    ----------
    some, others : (n, WIDTH) uint8
        As for `same`.

    Returns
    -------
    Agreement
    """
    some, others, warp = _directed(some, others)
    for level in _LEVELS[1:]:
        a, b = _at(level, some, others)
        warp = _aligned(warp, a, b, steps=level.steps)
    a, b = _at(_LEVELS[-1], some, others)
    windows, structured = _windows_agree(warp, a, b, _LEVELS[-1])
    return Agreement(windows, _colours_agree(warp, some, others), structured)


def _same(some: Pictures, others: Pictures) -> NDArray[np.bool_]:
    result = np.zeros(len(some), np.bool_)
    a, b = _at(_LEVELS[0], some, others)
    rows = np.flatnonzero(_correlation(np.tile(_STILL, (len(some), 1)), a, b) >= _BEFORE)
    some, others, warp = _directed(some[rows], others[rows])
    for level in _LEVELS:
        a, b = _at(level, some, others)
        if level.halvings < _LEVELS[0].halvings:
            warp = _aligned(warp, a, b, steps=level.steps)
        windows, structured = _windows_agree(warp, a, b, level)
        # What is fine may have no structure at a coarse look.
        agree = (windows >= level.windows) | ((structured == 0) & (level.halvings > 0))
        keep = np.flatnonzero(agree & (_correlation(warp, a, b) >= level.correlation))
        rows, some, others, warp = rows[keep], some[keep], others[keep], warp[keep]
        structured = structured[keep]
    enough = structured >= LEAST_WINDOWS
    result[rows[enough & (_colours_agree(warp, some, others) >= SAME_COLOUR)]] = True
    return result


def _directed(some: Pictures, others: Pictures) -> tuple[Pictures, Pictures, Planes]:
    """Align each pair in both directions at the coarsest level, and order it by the direction that fits better.

    Moving a whole image over a crop of it succeeds more often than moving the crop over the whole.
    """
    level = _LEVELS[0]
    a, b = _at(level, some, others)
    still = np.tile(_STILL, (len(some), 1))
    there, back = _aligned(still, a, b, steps=level.steps), _aligned(still, b, a, steps=level.steps)
    exchange = (_correlation(back, b, a) > _correlation(there, a, b))[:, None]
    return np.where(exchange, others, some), np.where(exchange, some, others), np.where(exchange, back, there)


def _at(level: _Level, some: Pictures, others: Pictures) -> tuple[Planes, Planes]:
    a, b = luminance(some), luminance(others)
    for _ in range(level.halvings):
        a, b = halved(a), halved(b)
    return a, b


def _grid(side: int) -> Planes:
    return np.linspace(1 / side - 1, 1 - 1 / side, side, dtype=np.float32)


def _sampling(scale: Planes, shift: Planes, side: int) -> tuple[Planes, Planes]:
    """Compute weights (n, side, side) of linear interpolation along an axis, and a mask (n, side) of what is inside."""
    at = (scale[:, None] * _grid(side) + shift[:, None] + 1) * np.float32(side / 2) - np.float32(0.5)
    inside = (at > -0.51) & (at < side - 0.49)
    away = np.abs(np.clip(at, 0, side - 1)[:, :, None] - np.arange(side, dtype=np.float32))
    return np.maximum(0, 1 - away).astype(np.float32, copy=False), inside.astype(np.float32)


def _warped(planes: Planes, warp: Planes) -> tuple[Planes, Planes]:
    """Resample planes (n, side, side) by a warp (n, 4), with a mask of the pixels that lie inside."""
    side = planes.shape[-1]
    columns, in_x = _sampling(warp[:, 0], warp[:, 1], side)
    rows, in_y = _sampling(warp[:, 2], warp[:, 3], side)
    seen = (rows @ planes @ columns.swapaxes(1, 2)).astype(np.float32, copy=False)
    return seen, in_y[:, :, None] * in_x[:, None, :]


def _centred(planes: Planes, mask: Planes, area: Planes) -> Planes:
    centred: Planes = (planes - ((planes * mask).sum(axis=(1, 2)) / area)[:, None, None]) * mask
    return centred


def _laid_over(warp: Planes, a: Planes, b: Planes) -> tuple[Planes, Planes, Planes, Planes]:
    """Warp a; center b where both overlap; return the two, the mask of the overlap and its area."""
    seen, mask = _warped(a, warp)
    area = mask.sum(axis=(1, 2)) + np.float32(1e-6)
    return seen, _centred(b, mask, area), mask, area


def _correlation(warp: Planes, a: Planes, b: Planes) -> Planes:
    seen, y, mask, area = _laid_over(warp, a, b)
    x = _centred(seen, mask, area)
    # Not by "/": the stubs of NumPy 2.5 take the quotient of two float32 arrays for float64.
    correlation: Planes = np.divide(_dot(x, y), np.sqrt(_dot(x, x) * _dot(y, y) + 1), dtype=np.float32)
    return correlation


def _dot(x: Planes, y: Planes) -> Planes:
    product: Planes = np.einsum("nij,nij->n", x, y)
    return product


def _aligned(warp: Planes, a: Planes, b: Planes, *, steps: int) -> Planes:
    """Align a with b by Gauss-Newton steps, with brightness and contrast fitted along."""
    n, side = len(a), a.shape[-1]
    u = _grid(side)
    for _ in range(steps):
        seen, y, mask, area = _laid_over(warp, a, b)
        x = _centred(seen, mask, area)
        gain = np.sqrt((_dot(y, y) + 1) / (_dot(x, x) + 1))
        along_x = np.gradient(seen, 2 / side, axis=2) * (gain / warp[:, 0])[:, None, None]
        along_y = np.gradient(seen, 2 / side, axis=1) * (gain / warp[:, 2])[:, None, None]
        slopes = (along_x * u, along_x, along_y * u[:, None], along_y)
        jacobian = np.stack([_centred(slope.astype(np.float32), mask, area) for slope in slopes], axis=1)
        jacobian = jacobian.reshape(n, 4, side**2)
        normal = jacobian @ jacobian.swapaxes(1, 2)
        # Flat pictures say nothing of where they lie: they then stay where they are.
        normal += (1e-3 * np.trace(normal, axis1=1, axis2=2) + 1)[:, None, None] * np.eye(4, dtype=np.float32)
        wanted = jacobian @ (y - x * gain[:, None, None]).reshape(n, side**2, 1)
        step = np.linalg.solve(normal, wanted)[:, :, 0]
        warp = warp + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP).astype(np.float32)
        warp[:, ::2] = np.clip(warp[:, ::2], 1 / _MOST_SCALE, _MOST_SCALE)
        warp[:, 1::2] = np.clip(warp[:, 1::2], -_MOST_SHIFT, _MOST_SHIFT)
    return warp


def _windows_agree(warp: Planes, a: Planes, b: Planes, level: _Level) -> tuple[Planes, NDArray[np.int64]]:
    """Compute `Agreement.windows` and `Agreement.structured` at one level."""
    seen, mask = _warped(a, warp)
    # A picture of a crop and a crop of a picture differ in their finest detail.
    x, y = _blurred(seen, level.blurs), _blurred(b, level.blurs)

    def means(planes: Planes) -> NDArray[np.float64]:
        return _window_means(planes, level.window, level.stride)

    mean_x, mean_y = means(x), means(y)
    var_x, var_y = means(x * x) - mean_x**2, means(y * y) - mean_y**2
    covariance = means(x * y) - mean_x * mean_y
    noise = _NOISE**2
    agree = (covariance + noise) / np.sqrt((np.maximum(var_x, 0) + noise) * (np.maximum(var_y, 0) + noise))
    structured = (means(mask) > 0.99) & (np.maximum(var_x, var_y) > _STRUCTURE**2)
    count = structured.sum(axis=(1, 2))
    n, rows, columns = agree.shape
    ordered = np.sort(np.where(structured, agree, np.inf).reshape(n, rows * columns), axis=1)
    lowest = (_QUANTILE * np.maximum(count - 1, 0)).astype(np.int64)
    windows = np.where(count > 0, ordered[np.arange(n), lowest], 0)
    return windows.astype(np.float32), count


def _colours_agree(warp: Planes, some: Pictures, others: Pictures) -> Planes:
    """Compute `Agreement.colour`."""
    a, b = colours(some), colours(others)
    n, two, side, _ = a.shape
    seen, mask = _warped(a.reshape(n * two, side, side), np.repeat(warp, two, axis=0))
    x, y = seen * mask, b.reshape(seen.shape) * mask
    xx, yy, xy = (_dot(*pair).reshape(n, two).sum(axis=1) for pair in ((x, x), (y, y), (x, y)))
    noise = _COLOUR_NOISE**2 * side**2
    cosine = (xy + noise) / np.sqrt((xx + noise) * (yy + noise))
    # A greyscale copy counts as agreeing in colour.
    return np.where(np.minimum(xx, yy) < side**2, 1, cosine).astype(np.float32)


def _blurred(planes: Planes, times: int) -> Planes:
    """Blur by weights of 1, 2, 1 along both axes, `times` times."""
    for _ in range(times):
        for axis in (1, 2):
            wide = np.pad(planes, [(0, 0), (axis == 1,) * 2, (axis == 2,) * 2], mode="edge").swapaxes(axis, 2)
            planes = ((wide[..., :-2] + 2 * wide[..., 1:-1] + wide[..., 2:]) * np.float32(0.25)).swapaxes(axis, 2)
    return planes


def _window_means(planes: Planes, window: int, stride: int) -> NDArray[np.float64]:
    """Compute means over square windows, as differences in a table of cumulative sums."""
    sums = np.zeros((len(planes), planes.shape[1] + 1, planes.shape[2] + 1))
    np.cumsum(np.cumsum(planes, axis=1, dtype=np.float64), axis=2, out=sums[:, 1:, 1:])
    bands = sums[:, window::stride] - sums[:, :-window:stride]
    means: NDArray[np.float64] = (bands[:, :, window::stride] - bands[:, :, :-window:stride]) / window**2
    return means
