"""Search for the nearest rows of another matrix, in blocks by BLAS, in memory that doesn't grow with the rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK_BYTES = 64 << 20
_MOST_ROWS = 8192
_COLUMNS = 2048
_GROUP = 64
_NONE = np.float32(-2)
"""Below any cosine."""

Matrix = NDArray[np.float32]
Labels = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Chosen:
    """Some rows of a matrix that may be too large to copy, read when they are needed.

    Parameters
    ----------
    matrix : (m, d) float32
        May be mapped from a file.
    rows : (n,) int
        Which rows, in this order.
    """

    matrix: Matrix
    rows: NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> Matrix:
        chosen: Matrix = self.matrix[self.rows[part]]
        return chosen


def nearest(
    some: Matrix | Chosen, others: Matrix | Chosen, *, k: int, least: float, apart: tuple[Labels, Labels] | None = None
) -> NDArray[np.int64]:
    """Find for every row of a matrix the rows of another that have the largest cosines with it.

    Parameters
    ----------
    some : (n, d) float32
        May be mapped from a file, or rows chosen of one that is.
    others : (m, d) float32
        Likewise; the same array as `some` is allowed, and a row then is its own neighbour.
    k : int
        At most so many for a row, at least 1.
    least : float
        No pair of a smaller cosine.
    apart : ((n,) int, (m,) int), optional
        A number for each row of either; only pairs of different numbers.

    Returns
    -------
    (p, 2) int64
        Rows of `some` and of `others`, by the former, the nearest first; p <= n k. A row of zeros, or one that holds
        what is no finite number, has no neighbour.

    Notes
    -----
    Exact. About 220 MB beside the matrices (more only where 256 rows of `some` take over 64 MB); each block of `some`
    reads `others` once. 50,000 x 1,280 against itself is 6.4e12 operations.
    """
    n, m = len(some), len(others)
    k = min(k, m)
    if not n or not m:
        return np.empty((0, 2), np.int64)
    scales = _scales(others)
    rows = min(n, _MOST_ROWS, max(256, _BLOCK_BYTES // (4 * max(some[0:1].shape[1], 1))))
    cosines = np.empty((rows, _COLUMNS), np.float32)
    found = []
    for first in range(0, n, rows):
        block = np.asarray(some[first : first + rows], np.float32)
        with np.errstate(invalid="ignore"):  # what is not finite is dropped by the comparison with `least`
            block = block * _scales(block)[:, None]
        best = np.full((len(block), k), _NONE)
        at = np.full((len(block), k), -1, np.int64)
        for start in range(0, m, _COLUMNS):
            part = others[start : start + _COLUMNS]
            tile = cosines[: len(block)]
            tile[:, len(part) :] = _NONE
            inside = tile[:, : len(part)]
            with np.errstate(invalid="ignore", over="ignore"):
                np.matmul(block, part.T, out=inside)
                inside *= scales[start : start + len(part)]
                refused = ~(inside >= least)
            if apart is not None:
                refused |= apart[0][first : first + len(block), None] == apart[1][None, start : start + len(part)]
            inside[refused] = _NONE
            _merge(best, at, tile, start)
        order = np.argsort(-best, axis=1, kind="stable")
        at = np.take_along_axis(at, order, axis=1)
        row, column = np.nonzero(at >= 0)
        found.append(np.stack([row + first, at[row, column]], axis=1))
    return np.concatenate(found).astype(np.int64, copy=False)


def _scales(matrix: Matrix | Chosen) -> Matrix:
    """Compute 1 over the length of each row; 0 for rows of zeros and rows that aren't finite."""
    squares = np.concatenate(
        [
            np.einsum("ij,ij->i", part, part, dtype=np.float64)
            for part in (np.asarray(matrix[first : first + _COLUMNS]) for first in range(0, len(matrix), _COLUMNS))
        ]
    )
    usable = np.isfinite(squares) & (squares > 0)
    return np.where(usable, 1 / np.sqrt(np.where(usable, squares, 1)), 0).astype(np.float32)


def _merge(best: Matrix, at: NDArray[np.int64], tile: Matrix, start: int) -> None:
    """Update the k best columns of each row with the better ones of a tile.

    The k largest values of a row lie in the k groups with the largest maxima: all else needs no sorting, which would
    cost more than the product.
    """
    n, k = best.shape
    groups = tile.reshape(n, -1, _GROUP)
    tops = groups.max(axis=2)
    rows = np.flatnonzero(tops.max(axis=1) > best.min(axis=1))
    if not len(rows):
        return
    few = min(k, tops.shape[1])
    chosen = np.argpartition(-tops[rows], few - 1, axis=1)[:, :few]
    values = groups[rows[:, None], chosen].reshape(len(rows), -1)
    places = (start + chosen[:, :, None] * _GROUP + np.arange(_GROUP)).reshape(len(rows), -1)
    values = np.concatenate([best[rows], values], axis=1)
    places = np.concatenate([at[rows], places], axis=1)
    order = np.argpartition(-values, k - 1, axis=1)[:, :k]
    values, places = np.take_along_axis(values, order, axis=1), np.take_along_axis(places, order, axis=1)
    best[rows], at[rows] = values, np.where(values > _NONE, places, -1)
