"""True and predicted classes of images, checked once for every metric."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from featx.errors import DataError
from featx.statistics.reliability import Reliability, reliability
from featx.words import counted


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredImages:
    """True and predicted classes of images, with scores and probabilities where the model gives them.

    Made by `scored_images`, which checks the arrays.

    Parameters
    ----------
    classes : tuple of str, length k
        The model's m classes in its order, then those that it never had.
    true, predicted : (n,) int64
        Indices into `classes`.
    scores : (n, m) float or None
        The larger the likelier: the scores that were given, else the probabilities.
    probabilities : (n, m) float or None
        Rows of at least 0 that sum to 1.
    """

    classes: tuple[str, ...]
    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    scores: NDArray[Any] | None
    probabilities: NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.true)

    @property
    def known(self) -> int:
        """Number of the model's own classes; all of them where there are no scores."""
        return len(self.classes) if self.scores is None else self.scores.shape[1]

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """(k, k) int64, read-only: images by true class (rows) and predicted class (columns)."""
        k = len(self.classes)
        counts = np.bincount(self.true * k + self.predicted, minlength=k * k).reshape(k, k).astype(np.int64)
        counts.flags.writeable = False
        return counts

    @property
    def right(self) -> NDArray[np.bool_]:
        """(n,): the predicted class is the true one."""
        return np.asarray(self.true == self.predicted)

    @cached_property
    def reliability(self) -> Reliability | None:
        """Confidence against accuracy; None without probabilities.

        Kept once computed: the calibration error and the reliability diagram come from one bootstrap.
        """
        if self.probabilities is None:
            return None
        confidence = self.probabilities[np.arange(len(self)), self.predicted].astype(np.float64)
        # A float32 probability may exceed 1 by a rounding.
        return reliability(np.minimum(confidence, 1.0), self.right)


def scored_images(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    classes: Sequence[str],
    scores: ArrayLike | None = None,
    probabilities: ArrayLike | None = None,
) -> ScoredImages:
    """Check predictions and put them together.

    Parameters
    ----------
    y_true, y_pred, classes, scores, probabilities
        As for `featx.statistics.evaluate`.

    Raises
    ------
    DataError
        No image, an index outside the classes, arrays that don't fit each other, scores that are no numbers, or
        probabilities that are none.
    """
    k = len(classes)
    margins = _matrix("scores", scores, k=k)
    shares = _matrix("probabilities", probabilities, k=k)
    given = [matrix for matrix in (margins, shares) if matrix is not None]
    if len({matrix.shape for matrix in given}) > 1:
        raise DataError(f"scores and probabilities have different shapes: {given[0].shape} and {given[1].shape}")
    true = _indices("y_true", y_true, below=k)
    predicted = _indices("y_pred", y_pred, below=given[0].shape[1] if given else k)
    n = len(true)
    if n == 0:
        raise DataError("there is no image with a label to score; put the images of each class into a folder")
    if len(predicted) != n or any(len(matrix) != n for matrix in given):
        found = [len(predicted), *map(len, given)]
        raise DataError(
            f"there are {n} true classes, but predictions, scores or probabilities of {found} images; give one of "
            "each per image"
        )
    if shares is not None:
        _check_probabilities(shares)
    return ScoredImages(
        classes=tuple(classes),
        true=true,
        predicted=predicted,
        scores=given[0] if given else None,
        probabilities=shares,
    )


def _indices(name: str, values: ArrayLike, *, below: int) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise DataError(f"{name} must be one class index per image, found shape {array.shape} and type {array.dtype}")
    if array.size and not 0 <= array.min() <= array.max() < below:
        raise DataError(
            f"{name} has indices from {array.min()} to {array.max()}, which don't fit to "
            f"{counted(below, 'class', 'classes')}"
        )
    return array.astype(np.int64)


def _matrix(name: str, values: ArrayLike | None, *, k: int) -> NDArray[Any] | None:
    if values is None:
        return None
    array = np.asarray(values)
    if array.ndim != 2 or not 1 <= array.shape[1] <= k:
        raise DataError(
            f"{name} must have a row per image and a column per class, at most {k}; found shape {array.shape}"
        )
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float64)
    if np.isnan(array).any():
        raise DataError(f"{name} contain values that are not numbers ({np.isnan(array).sum():,})")
    return array


def _check_probabilities(probabilities: NDArray[Any]) -> None:
    sums = probabilities.sum(axis=1, dtype=np.float64)
    if probabilities.min() < 0 or not np.allclose(sums, 1.0, rtol=0, atol=np.sqrt(np.finfo(np.float32).eps)):
        found = (
            f"a smallest value of {probabilities.min():.4g} and sums of rows from {sums.min():.4g} to {sums.max():.4g}"
        )
        raise DataError(f"probabilities must be at least 0, and each row must sum to 1; found {found}")
