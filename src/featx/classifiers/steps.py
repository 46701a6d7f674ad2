"""Fit and transform of the steps before a classifier, in blocks of rows and in place.

`StandardScaler.fit` makes float64 copies of all rows, thrice the memory of float32 features; block by block it gives
the same statistics but for rounding.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import Normalizer, StandardScaler

from featx.classifiers.features import ROWS_AT_ONCE

Steps = Sequence[tuple[str, Any]]

STEPS = (Normalizer, StandardScaler, PCA)
"""Types of the steps before a classifier."""


def fit_transform(steps: Steps, X: NDArray[Any]) -> NDArray[Any]:
    """Fit the steps on rows, and transform the same rows.

    Parameters
    ----------
    steps : sequence of (name, unfitted transformer)
    X : (n, d) float32 or float64
        Overwritten.

    Returns
    -------
    (n, d) or (n, D) array
        `X` itself, unless a step changes the number of columns.
    """
    for step in steps:
        if isinstance(step[1], StandardScaler):
            for rows in _blocks(X):
                step[1].partial_fit(X[rows])
        else:
            step[1].fit(X)
        X = transform([step], X)
    return X


def transform(steps: Steps, X: NDArray[Any]) -> NDArray[Any]:
    """Apply fitted steps to rows ``(m, d)``, which are overwritten, as in `fit_transform`."""
    for _, step in steps:
        if isinstance(step, PCA):
            X = np.concatenate([step.transform(X[rows]) for rows in _blocks(X)])
        else:
            for rows in _blocks(X):
                X[rows] = step.transform(X[rows])
    return X


def _blocks(X: NDArray[Any]) -> Iterator[slice]:
    # Up to 4,096 rows in one call, bit-identical to `fit`; beyond, 512-row blocks limit the float64 copies.
    rows = ROWS_AT_ONCE if len(X) <= ROWS_AT_ONCE else ROWS_AT_ONCE // 8
    for first in range(0, len(X), rows):
        yield slice(first, first + rows)
