"""Calibration of scores to probabilities by a temperature, fitted on the scores of the cross-validation."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError

TEMPERATURE = "temperature"

_LARGEST = 1e100
"""Value that stands for infinite scores: far from overflow, also as a difference and times a factor."""

_FLATTEST = 1e-3
"""Scores whose typical range is scaled to less than this give uniform probabilities, near enough; nothing flatter is
looked for where scores tell nothing of the class."""

_SMALLEST = 1e-15
"""Value that stands for a probability of 0 in a log loss."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Probabilities by temperature scaling: the softmax of the scores over one number (Guo et al. 2017).

    Dividing by one number changes no ranking, so the likeliest class is the one with the largest score, and a class
    that is rare or missing in a fold can't go wrong.

    Parameters
    ----------
    method : str
        ``"temperature"``.
    temperature : float
        Above 0, in the unit of the scores.
    error_before : float
        Expected calibration error of the classifier's own probabilities, 0 to 1: the mean over the images of the
        distance between the confidence and the share that is right, in bins of equally many images
        (`calibration_error`). A classifier without any counts with the softmax of its scores as they are.
    error_after : float
        The same with the temperature, each image's being fitted on the other folds.
    log_loss_before, log_loss_after : float
        Likewise, in nats. `log_loss_after` is never the larger: where a temperature is of no use, none is applied.

    Notes
    -----
    Chosen by measurement: out-of-fold scores of MobileNetV2 features, C chosen by cross-validation, log loss and
    expected calibration error, each image calibrated on the other folds.

    ======================= ============= ============= ================ =================
    images, classes, clf    none          temperature   and class biases sigmoid per class
    ======================= ============= ============= ================ =================
    250, 5, logreg          .534, .073    .503, .037    .523, .055       .571, .089
    250, 5, svm             .841, .315    .526, .019    .540, .064       .532, .049
    240, 6, logreg          .658, .076    .636, .062    .660, .055       .681, .080
    240, 6, svm             1.015, .333   .655, .048    .682, .097       .667, .080
    2,062, 10, logreg       .250, .071    .207, .007    .212, .007       .335, .116
    2,062, 10, svm          .812, .454    .195, .009    .199, .008       .195, .018
    ======================= ============= ============= ================ =================

    (Flowers, rubbish, digits shown by hand; of an SVM, the least of a class's pairwise margins; the last column is
    Platt's, normalised.) More parameters than one cost more than they gain on a few hundred images, and gain nothing on
    2,000.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger (2017). On calibration of modern neural networks. ICML.

    J. Platt (1999). Probabilistic outputs for support vector machines and comparisons to regularized likelihood
    methods. Advances in large margin classifiers, 61-74.
    """

    method: str = TEMPERATURE
    temperature: float
    error_before: float
    error_after: float
    log_loss_before: float
    log_loss_after: float

    def __post_init__(self) -> None:
        if self.method != TEMPERATURE:
            raise ValueError(f"an unknown calibration {self.method!r}; this featx knows only {TEMPERATURE!r}")
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"a temperature must be a finite number above 0, found {self.temperature}")

    def probabilities(self, scores: NDArray[Any]) -> NDArray[np.float64]:
        """Give the probability of every class.

        Parameters
        ----------
        scores : (n, k) float
            As they were calibrated (`featx.classifiers.class_scores`); infinite ones are allowed.

        Returns
        -------
        (n, k) float64
            In [0, 1]; rows sum to one. Where the largest score of a row is, there is the largest probability.

        Raises
        ------
        DataError
            Scores that aren't numbers.
        """
        return _softmax(_below_best(scores), 1.0 / self.temperature)

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as plain numbers and strings."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave.

        Raises
        ------
        TypeError, ValueError
            A field is missing, unknown, or isn't what it should be.
        """
        return cls(**plain)


def fit_calibration(
    scores: NDArray[Any], labels: NDArray[np.integer[Any]], folds: NDArray[np.integer[Any]]
) -> Calibration:
    """Fit a temperature to the out-of-fold scores of a classifier.

    Minimised is the log loss, convex in the inverse temperature, so that a bracketed root of its derivative is the one
    minimum. The true class counts 1 - 1 / (n + 2) and the others share the rest, after Platt (1999): n images that are
    all right don't say that an error is impossible, and without it the temperature of separated classes would be 0.

    Parameters
    ----------
    scores : (n, k) float
        Out-of-fold scores; the larger, the likelier the class.
    labels : (n,) int
        True classes, as indices of columns.
    folds : (n,) int
        The fold that each image was held out in. A class may be absent from any of them.

    Returns
    -------
    Calibration
        Its temperature fitted on all rows, its errors cross-validated over the folds.

    Raises
    ------
    DataError
        No rows, a single fold, one column, scores that aren't numbers, or labels and folds that don't fit the scores.
    """
    gaps = _checked(scores, labels, folds)
    plain = _softmax(gaps, _own_scale(scores))
    fitted = _cross_fitted(gaps, labels, folds)
    inverse = _fit(gaps, labels)
    before, after = _log_loss(plain, labels), _log_loss(fitted, labels)
    if after > before:
        inverse, fitted, after = _own_scale(scores), plain, before
    return Calibration(
        temperature=1.0 / inverse,
        error_before=_error(plain, labels),
        error_after=_error(fitted, labels),
        log_loss_before=before,
        log_loss_after=after,
    )


def cross_calibrated(
    scores: NDArray[Any],
    labels: NDArray[np.integer[Any]],
    folds: NDArray[np.integer[Any]],
    *,
    views: NDArray[Any] | None = None,
) -> NDArray[np.float64]:
    """Turn out-of-fold scores into probabilities, with each row's temperature fitted on the other folds.

    They are what the figures of a cross-validated score may be made from: no image took part in its own temperature.

    Parameters and errors are those of `fit_calibration`; with the scores of `views` (n, K, k) too, the probabilities
    of an image and its views, by the temperature of the image, are averaged.

    Returns
    -------
    (n, k) float64
        Rows sum to one.
    """
    gaps = _checked(scores, labels, folds)
    if views is None:
        return _cross_fitted(gaps, labels, folds)
    pictures = np.concatenate([gaps[:, None], _below_best(views.reshape(-1, scores.shape[1])).reshape(views.shape)], 1)
    averages = np.empty_like(gaps)
    for fold in np.unique(folds):
        out = folds == fold
        inverse = _fit(gaps[~out], labels[~out])
        averages[out] = (
            _softmax(pictures[out].reshape(-1, scores.shape[1]), inverse).reshape(pictures[out].shape).mean(1)
        )
    return averages


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Estimate the calibration error, the mean distance between the confidence and the share that is right.

    The bins are those of `featx.statistics.reliability`, whose `plug_in` this is: of about equally many images, images
    of one confidence together, ten bins or fewer where that would leave under ten images in each. Estimated from few
    images it is too large, since the share that is right scatters in a bin, also of perfect probabilities.

    Parameters
    ----------
    confidence : (n,) float64
        Probability of the predicted class.
    right : (n,) bool
        Whether it is the true one.

    Returns
    -------
    float
        0 to 1.
    """
    bins = min(10, max(1, len(confidence) // 10))
    edges = np.unique(np.quantile(confidence, np.arange(1, bins) / bins))
    place = np.searchsorted(edges, confidence, side="right")
    # Of each bin: its size times (mean confidence - share that is right).
    distances = np.bincount(place, confidence) - np.bincount(place, right)
    return float(np.abs(distances).sum() / len(confidence))


def _checked(
    scores: NDArray[Any], labels: NDArray[np.integer[Any]], folds: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    if scores.ndim != 2 or scores.shape[1] < 2 or not len(scores) == len(labels) == len(folds) > 0:
        raise DataError(
            f"probabilities need a row of scores for two classes or more, a label and a fold of each image, found "
            f"scores of shape {scores.shape}, {len(labels)} labels and {len(folds)} folds"
        )
    if np.min(labels) < 0 or np.max(labels) >= scores.shape[1]:
        raise DataError(
            f"labels from {np.min(labels)} to {np.max(labels)} don't fit to {scores.shape[1]} columns of scores"
        )
    if len(np.unique(folds)) < 2:
        raise DataError("probabilities are calibrated with cross-validation, which needs two folds or more; found one")
    return _below_best(scores)


def _below_best(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Subtract the largest score of its row from each score; all results are finite."""
    scores = np.asarray(scores, dtype=np.float64)
    if np.isnan(scores).any():
        row = int(np.argmax(np.isnan(scores).any(axis=1)))
        raise DataError(f"scores must be numbers, but row {row} contains NaN: fit the classifier again")
    scores = np.clip(scores, -_LARGEST, _LARGEST)
    gaps: NDArray[np.float64] = scores - scores.max(axis=1, keepdims=True, initial=-_LARGEST)
    return gaps


def _softmax(gaps: NDArray[np.float64], inverse: float) -> NDArray[np.float64]:
    powers: NDArray[np.float64] = np.exp(gaps * inverse)
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def _own_scale(scores: NDArray[Any]) -> float:
    """Give the factor by which the softmax of the scores has the classifier's own probabilities, if it has any.

    Of two classes, each column is the whole log odds (`featx.classifiers.class_scores`), which then lie between the
    columns twice.
    """
    return 0.5 if scores.shape[1] == 2 and np.array_equal(scores[:, 0], -scores[:, 1]) else 1.0


def _cross_fitted(
    gaps: NDArray[np.float64], labels: NDArray[np.integer[Any]], folds: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    probabilities = np.empty_like(gaps)
    for fold in np.unique(folds):
        out = folds == fold
        probabilities[out] = _softmax(gaps[out], _fit(gaps[~out], labels[~out]))
    return probabilities


def _fit(gaps: NDArray[np.float64], labels: NDArray[np.integer[Any]]) -> float:
    """Find the inverse temperature with the least smoothed log loss."""
    from scipy.optimize import brentq

    n, k = gaps.shape
    ranges = -gaps.min(axis=1)
    differing = ranges > 1.0 / _LARGEST
    if not differing.any():
        return 1.0
    typical = float(np.median(ranges[differing]))
    # Platt's smoothed target: the true class counts 1 - doubt, the k - 1 others share the doubt.
    doubt = 1.0 / (n + 2)
    true = gaps[np.arange(n), labels]
    target = (1.0 - doubt) * true + doubt * (gaps.sum(axis=1) - true) / (k - 1)

    # The derivative of the mean log loss by the inverse temperature b is mean(sum_j p_j g_j - target), where g are the
    # gaps and p = softmax(b g). It rises with b, since the loss is convex in b; its root is searched for over log b,
    # where b spans orders of magnitude.
    def slope(log_inverse: float) -> float:
        expected = (_softmax(gaps, float(np.exp(log_inverse))) * gaps).sum(axis=1)
        # In units of what is typical: sums of the largest scores there may be stay finite.
        return float(np.mean((expected - target) / typical))

    low = float(np.log(_FLATTEST / typical))
    if slope(low) >= 0:
        return float(np.exp(low))
    # The smoothed slope ends above 0, since the doubt is more than nothing.
    # Brackets the root in steps of a factor e, then e^2.
    high = low + 1.0
    while slope(high) < 0:
        low, high = high, high + 2.0
    return float(np.exp(brentq(slope, low, high, xtol=1e-6)))


def _log_loss(probabilities: NDArray[np.float64], labels: NDArray[np.integer[Any]]) -> float:
    true = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(true, _SMALLEST)).mean())


def _error(probabilities: NDArray[np.float64], labels: NDArray[np.integer[Any]]) -> float:
    return calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)
