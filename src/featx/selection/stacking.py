"""Rows of images and of their views in one matrix: the images first, then the views, image by image.

Folds are of images. A training image takes its views along, and they never leave it: image i of n is row i, its view k
of K is row n + i K + k.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError
from featx.machine import available_memory

MEMORY_SHARE = 0.4
"""Share of the available memory that the matrix may take; the fit needs more beside it."""


def stacked(features: NDArray[Any], views: NDArray[Any]) -> NDArray[np.float32]:
    """Copy features (n, d) and views (n, K, d) into one matrix (n + n K, d) float32.

    Raises
    ------
    DataError
        The matrix has no room in memory.
    """
    n, count, width = views.shape
    size = 4 * n * (1 + count) * width
    if size > MEMORY_SHARE * available_memory():
        raise DataError(
            f"the features of {n:,} images and {count} views of each take {size / 1e9:,.1f} GB, too much for the "
            f"{available_memory() / 1e9:,.1f} GB of free memory: fit without `views`, or extract fewer views"
        )
    found = np.empty((n * (1 + count), width), np.float32)
    found[:n] = features
    found[n:] = views.reshape(n * count, width)
    return found


def rows_of(images: NDArray[np.int64], *, n: int, views: int) -> NDArray[np.int64]:
    """Give the rows of some images, ascending, and then those of their views; the images alone without views."""
    if not views:
        return images
    beside = n + images[:, None] * views + np.arange(views)
    return np.concatenate([images, beside.reshape(-1)])


def labels_of_rows(labels: NDArray[Any], *, views: int) -> NDArray[Any]:
    """Give every row its label (n + n K,): a view has its image's."""
    return np.concatenate([labels, np.repeat(labels, views)]) if views else labels
