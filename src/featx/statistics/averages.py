"""Intervals of the figures that average over classes: balanced accuracy and macro F1.

Neither is a proportion, so neither has Wilson's interval. What makes Wilson's good is kept: a value is inside where the
figure seen lies within z standard errors of it, and the standard error is the one that would hold if that value were
true, not the one seen. For a proportion a value says all there is; here it says how far, and a direction is needed:
every class's odds of an error are multiplied by one factor, from the odds seen. The ends are the factors at which the
figure seen is just z standard errors away. Of a single class, or of classes that all err alike, this is Wilson's own
interval.

A class without an error in a few images isn't one that never errs, so the shares of errors are drawn towards the pooled
one, by `PRIOR` images, and a little towards a half; and where the errors of a class go, towards where those of all go.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from featx.statistics.intervals import LEVEL, quantile

PRIOR = 3.0
"""Images of the average class that each class counts besides its own; 2 to 5 cover alike, 0.5 too rarely."""
UNSURE = 0.5
"""Images half right, half wrong, that each class counts too: without, 93 % where the rarest class is the hardest."""


SCARCE = 3.0
"""A class's part in the variance of the macro F1 grows by this over the sum of its images and predictions.

Without it the coverage falls to 92 % for ten images of a class; with 2 to 4 it is 94 to 97 %.
"""

_WIDEST = 16.0  # factors from exp(-16) to exp(16): odds of 1 in 10 million, seen from 1 in 1
_HALVINGS = 40

Array = NDArray[np.float64]
Curve = Callable[[Array], tuple[Array, Array]]
"""Factors of the odds (m,) to the value that the figure is expected to show (m,), and its standard error (m,)."""


@dataclass(frozen=True, kw_only=True)
class Averages:
    """Figures of several confusion matrices, with the ends of their intervals.

    Parameters
    ----------
    value, low, high : (...) float64
        In [0, 1].
    """

    value: Array
    low: Array
    high: Array


def balanced_accuracy(confusion: ArrayLike, *, level: float = LEVEL) -> Averages:
    """Mean recall over the classes that have images.

    Parameters
    ----------
    confusion : (..., k, k) int
        Images by true (rows) and predicted class (columns), at least one in each matrix.
    level : float
        Of the intervals, in (0, 1).

    Returns
    -------
    Averages
        The standard error at a value is that of independent recalls, given each class's number of images.

    Raises
    ------
    UsageError
        A level outside (0, 1).
    """
    counts = _Counts(confusion)
    has = counts.support > 0
    recall = _ratio(counts.right, counts.support)

    def curve(factor: Array) -> tuple[Array, Array]:
        wrong = counts.wrong(factor)
        variance = _ratio(wrong * (1 - wrong), counts.support)
        return _mean(1 - wrong, has), np.sqrt(_mean(variance, has) / has.sum(axis=-1))

    return counts.averages(_mean(recall, has), curve, level=level)


def macro_f1(confusion: ArrayLike, *, level: float = LEVEL) -> Averages:
    """Mean F1 over the classes that have images or were predicted.

    Parameters
    ----------
    confusion : (..., k, k) int
        Images by true (rows) and predicted class (columns), at least one in each matrix.
    level : float
        Of the intervals, in (0, 1).

    Returns
    -------
    Averages
        The standard error at a value is that of the delta method (Takahashi et al. 2022), enlarged for classes of
        few images (`SCARCE`); the value itself is shifted by what the F1 of few images is expected to fall short,
        F1 (1 - F1) over the sum of images and predictions of the class.

    Raises
    ------
    UsageError
        A level outside (0, 1).

    References
    ----------
    K. Takahashi, K. Yamamoto, A. Kuchiba, T. Koyama (2022). Confidence interval for micro-averaged F1 and
    macro-averaged F1 scores. Applied Intelligence 52, 4961-4972.
    """
    counts = _Counts(confusion)
    named = counts.matrix.sum(axis=-2)
    used = counts.support + named > 0
    f1 = _ratio(2 * counts.right, counts.support + named)
    classes = used.sum(axis=-1)
    goes = counts.goes

    def curve(factor: Array) -> tuple[Array, Array]:
        wrong = counts.wrong(factor)
        missed = counts.support * wrong
        right = counts.support - missed
        either = counts.support + right + _columns(goes, missed)
        expected = _ratio(2 * right, either)
        # What one more image does to the sum of the F1: right ones raise one, wrong ones lower two.
        few = np.sqrt(1 + SCARCE * _ratio(np.ones_like(either), either))
        up, down = few * _ratio(2 - 2 * expected, either), few * _ratio(expected, either)
        # Sum over true i and predicted j of images_ij (down_i + down_j)^2, without a (k, k) array of its own.
        wrong_ones = missed * (down**2 + 2 * down * _rows(goes, down) + _rows(goes, down**2))
        variance = (right * up**2 + wrong_ones).sum(axis=-1) / classes**2
        bias = _ratio(expected * (1 - expected), either)
        return _mean(expected - bias, used), np.sqrt(variance)

    return counts.averages(_mean(f1, used), curve, level=level)


class _Counts:
    """Confusion matrices of shape (m, k, k), and the errors that they make likely."""

    def __init__(self, confusion: ArrayLike) -> None:
        given = np.asarray(confusion, dtype=np.float64)
        self.shape = given.shape[:-2]
        self.matrix = given.reshape(-1, *given.shape[-2:])
        self.right = np.diagonal(self.matrix, axis1=-2, axis2=-1)
        self.support = self.matrix.sum(axis=-1)
        self.n = self.support.sum(axis=-1, keepdims=True)
        errors = self.support - self.right
        self.pooled = (errors.sum(axis=-1, keepdims=True) + 0.5) / (self.n + 1)
        share = (errors + PRIOR * self.pooled + UNSURE / 2) / (self.support + PRIOR + UNSURE)
        self._odds = share / (1 - share)

    @property
    def goes(self) -> Array:
        """(m, k, k): of the errors of a class (rows), the share predicted as each (columns); rows sum to 1."""
        k = self.matrix.shape[-1]
        elsewhere = 1 - np.eye(k)
        errors = self.matrix * elsewhere
        likely = (errors.sum(axis=-2, keepdims=True) + 1 / k) * elsewhere
        likely /= np.maximum(likely.sum(axis=-1, keepdims=True), np.finfo(float).tiny)
        errors += PRIOR * self.pooled[:, :, None] * likely
        return np.asarray(errors / np.maximum(errors.sum(axis=-1, keepdims=True), np.finfo(float).tiny))

    def wrong(self, factor: Array) -> Array:
        """(m, k): the share of errors of each class, its odds times a factor (m,)."""
        odds = factor[:, None] * self._odds
        return np.asarray(odds / (1 + odds))

    def averages(self, value: Array, curve: Curve, *, level: float) -> Averages:
        z = quantile(level)
        # The more errors, the smaller the figure: its lower end has the larger factor.
        low = np.where(value > 0.0, _crossing(value, curve, z), 0.0)
        high = np.where(value < 1.0, _crossing(value, curve, -z), 1.0)
        return Averages(
            value=value.reshape(self.shape),
            low=np.clip(low, 0.0, value).reshape(self.shape),
            high=np.clip(high, value, 1.0).reshape(self.shape),
        )


def _crossing(seen: Array, curve: Curve, z: float) -> Array:
    """The value (m,) from which what was seen is z standard errors away, by bisection over the factor's logarithm."""
    low, high = np.full_like(seen, -_WIDEST), np.full_like(seen, _WIDEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        value, error = curve(np.exp(middle))
        beyond = seen - value > z * error
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    return np.asarray(curve(np.exp((low + high) / 2))[0])


def _mean(values: Array, chosen: NDArray[np.bool_]) -> Array:
    return np.asarray((values * chosen).sum(axis=-1) / chosen.sum(axis=-1))


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> Array:
    found = np.zeros(np.broadcast_shapes(part.shape, whole.shape))
    np.divide(part, whole, out=found, where=whole > 0)
    return found


def _rows(matrices: Array, vectors: Array) -> Array:
    return np.asarray((matrices @ vectors[..., None])[..., 0])


def _columns(matrices: Array, vectors: Array) -> Array:
    return np.asarray((vectors[..., None, :] @ matrices)[..., 0, :])
