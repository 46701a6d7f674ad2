"""Check of features before anything is fitted on them or predicted from them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError

ROWS_AT_ONCE = 4_096
"""Rows looked at together, so that features mapped from a file never lie in memory as a whole for a check."""


def check_features(X: NDArray[Any]) -> None:
    """Raise `DataError` unless X is a matrix of finite numbers.

    Parameters
    ----------
    X : (n, d) floating point array
        May be mapped from a file: it is read in blocks of rows.
    """
    if X.ndim != 2 or X.shape[1] == 0 or not np.issubdtype(X.dtype, np.floating):
        raise DataError(f"features must be a floating point matrix (n, d), found {X.dtype} of shape {X.shape}")
    for first in range(0, len(X), ROWS_AT_ONCE):
        finite = np.isfinite(X[first : first + ROWS_AT_ONCE]).all(axis=1)
        if not finite.all():
            row = first + int(np.argmin(finite))
            raise DataError(f"features must be finite, but row {row} contains NaN or infinity: extract its image again")
