"""Blocks of rows of a feature matrix that may be larger than memory."""

import mmap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 512
"""Rows of a block: 4 MB of 2,048 columns, which stay in the processor's cache between two products with it. From 256 to
2,048 rows, 512 were the fastest."""


class Blocks:
    """The rows of a matrix in blocks.

    Parameters
    ----------
    X : (n, d) float32 or float64
        May be mapped from a file: the pages of a block are given back once it is read, so that the matrix never lies
        in memory as a whole.
    rows : (m,) int or None
        Rows to take, ascending; None takes all.
    rows_at_once : int
        Rows of a block.
    """

    def __init__(
        self, X: NDArray[Any], *, rows: NDArray[np.integer[Any]] | None = None, rows_at_once: int = BLOCK_ROWS
    ) -> None:
        self._X, self._rows = np.asarray(X), rows
        self._map, self._offset = _mapping(X)
        self._local = threading.local()
        self.count = len(X) if rows is None else len(rows)
        self.width = int(X.shape[1])
        self.rows_at_once = max(1, min(rows_at_once, self.count))

    def places(self) -> Iterator[slice]:
        """List the place of each block among the rows that are taken."""
        for first in range(0, self.count, self.rows_at_once):
            yield slice(first, min(first + self.rows_at_once, self.count))

    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute the mean and scale ``(d,)`` of the columns, as `sklearn.preprocessing.StandardScaler` does.

        The scale is the standard deviation; 1 where a column is constant but for rounding.
        """
        total = np.zeros(self.width)
        for place in self.places():
            with self._read(place) as block:
                total += block.sum(axis=0, dtype=np.float64)
        mean = total / self.count
        squares, rest = np.zeros(self.width), np.zeros(self.width)
        for place in self.places():
            with self._read(place) as block:
                centred = block - mean
            squares += np.einsum("ij,ij->j", centred, centred)
            rest += centred.sum(axis=0)
        variance = (squares - rest**2 / self.count) / self.count
        # scikit-learn's bound on what rounding makes of the variance of a constant column.
        rounding = np.finfo(np.float64).eps * self.count
        constant = variance <= rounding * variance + (rounding * mean) ** 2
        return mean, np.where(constant, 1.0, np.sqrt(variance))

    def centred(self, place: slice, mean: NDArray[np.float64]) -> NDArray[np.float32]:
        """Subtract the mean from the rows of a block.

        The subtraction comes before any product, since a column may be nearly constant; dividing by the scale can wait.

        Returns
        -------
        (b, d) float32
            A buffer of this thread's, valid until its next call.
        """
        buffer = self._buffer()[: place.stop - place.start]
        with self._read(place) as block:
            # The mean in the block's own precision: with another, numpy would convert the block piece by piece.
            np.subtract(block, mean.astype(block.dtype), out=buffer, casting="same_kind")
        return buffer

    def _buffer(self) -> NDArray[np.float32]:
        if not hasattr(self._local, "buffer"):
            self._local.buffer = np.empty((self.rows_at_once, self.width), np.float32)
        found: NDArray[np.float32] = self._local.buffer
        return found

    @contextmanager
    def _read(self, place: slice) -> Iterator[NDArray[Any]]:
        if self._rows is None:
            first, last = place.start, place.stop
            yield self._X[place]
        else:
            rows = self._rows[place]
            first, last = int(rows[0]), int(rows[-1]) + 1
            # A run of rows, as most of a fold's are in blocks, needs no copy.
            yield self._X[first:last] if last - first == len(rows) else self._X[rows]
        self._give_back(first, last)

    def _give_back(self, first: int, last: int) -> None:
        """Let go of the pages of a mapped file that hold these rows, which stay in the system's cache."""
        if self._map is None:
            return
        step = self._X.strides[0]
        begin = -(-(self._offset + first * step) // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (self._offset + last * step) // mmap.PAGESIZE * mmap.PAGESIZE
        if end > begin:
            self._map.madvise(mmap.MADV_DONTNEED, begin, end - begin)


def _mapping(X: NDArray[Any]) -> tuple[mmap.mmap | None, int]:
    """Find the memory map that a matrix of whole rows lies in, and its offset there in bytes; None if there is none.

    A private map counts as none: letting go of its pages would lose what was written to them.
    """
    base: Any = X
    shared = True
    while base is not None and not isinstance(base, mmap.mmap):
        shared = shared and getattr(base, "mode", "r") in ("r", "r+", "w+")
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    if base is None or not shared or not X.flags.c_contiguous or not hasattr(mmap, "MADV_DONTNEED"):
        return None, 0
    start = np.frombuffer(base, np.uint8).__array_interface__["data"][0]
    return base, X.__array_interface__["data"][0] - start
