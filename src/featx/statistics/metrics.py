"""From true and predicted classes to figures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from featx.errors import DataError
from featx.statistics import averages
from featx.statistics.intervals import LEVEL, Interval, skewed_mean, wilson, wilson_f1
from featx.statistics.reliability import reliability

TOP = 5
"""How many classes the top-5 accuracy looks at; it is given where the model knows more."""


@dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """The figures of one class; a division by zero gives 0.

    Parameters
    ----------
    name : str
        The class.
    precision : float
        Share of the images predicted as this class that are of it.
    recall : float
        Share of the images of this class that are predicted as it.
    f1 : float
        Harmonic mean of the two.
    support : int
        Images of this class.
    intervals : mapping of str to Interval
        Of ``"precision"``, ``"recall"`` and ``"f1"``; the whole of [0, 1] where nothing is known.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    intervals: Mapping[str, Interval] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read back what `dataclasses.asdict` gave.

        Raises
        ------
        TypeError
            A field is missing or isn't what it should be.
        """
        return cls(**{**plain, "intervals": _intervals(plain.get("intervals", {}))})


@dataclass(frozen=True, kw_only=True, eq=False)
class Metrics:
    """What scoring found, in figures; see `evaluate` for their definitions.

    Parameters
    ----------
    n : int
        Images scored, at least 1.
    accuracy, balanced_accuracy, macro_f1 : float
        In [0, 1].
    top5_accuracy : float or None
        In [0, 1]; None for a model of five classes or fewer, or without scores.
    log_loss : float or None
        In nats; None without probabilities, or where no image is of a class that the model knows.
    log_loss_left_out : int
        Images left out of the log loss, being of a class that the model never had.
    per_class : tuple of ClassMetrics, length k
        In the order of the classes.
    confusion : (k, k) int64, read-only
        Images by true class (rows) and predicted class (columns).
    intervals : mapping of str to Interval
        By the name of the figure (``"accuracy"``), of each that is not None.
    calibration_error : float or None
        In [0, 1]; None without probabilities.
    """

    n: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    top5_accuracy: float | None
    log_loss: float | None
    log_loss_left_out: int
    per_class: tuple[ClassMetrics, ...]
    confusion: NDArray[np.int64]
    intervals: Mapping[str, Interval]
    calibration_error: float | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the rows and columns of the confusion matrix."""
        return tuple(one.name for one in self.per_class)

    @property
    def headline(self) -> str:
        """Accuracy, its interval and the number of images, for people."""
        interval = self.intervals["accuracy"]
        ends = f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %"
        return f"accuracy {100 * self.accuracy:.1f} % ({100 * interval.level:g} % interval {ends}, n = {self.n:,})"

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, Metrics) else NotImplemented

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, strings, lists and dictionaries."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["per_class"] = [asdict(one) for one in self.per_class]
        plain["confusion"] = self.confusion.tolist()
        plain["intervals"] = {name: asdict(interval) for name, interval in self.intervals.items()}
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            A field is missing or isn't what it should be.
        """
        fields = {name: plain[name] for name in cls.__dataclass_fields__ if name != "calibration_error"}
        fields["calibration_error"] = plain.get("calibration_error")
        fields["per_class"] = tuple(ClassMetrics.from_dict(one) for one in plain["per_class"])
        k = len(fields["per_class"])
        confusion = np.asarray(plain["confusion"], dtype=np.int64)
        if confusion.shape != (k, k):
            raise ValueError(f"a confusion matrix of shape {confusion.shape} for {k} classes")
        fields["confusion"] = _frozen(confusion)
        fields["intervals"] = _intervals(plain["intervals"])
        return cls(**fields)


def evaluate(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    classes: Sequence[str],
    scores: ArrayLike | None = None,
    probabilities: ArrayLike | None = None,
) -> Metrics:
    """Score predictions.

    Parameters
    ----------
    y_true : (n,) int
        True classes, indices into `classes`; every image has one.
    y_pred : (n,) int
        Predicted classes, indices into `classes`.
    classes : sequence of str, length k
        The model's classes in its order, then those that it never had. An image of the latter is always an error.
    scores : (n, m) float, optional
        The larger the likelier, one column for each of the model's m <= k classes.
    probabilities : (n, m) float, optional
        Rows in [0, 1] that sum to 1.

    Returns
    -------
    Metrics
        accuracy
            Share of images predicted right; its interval is Wilson's.
        balanced_accuracy
            Mean recall over the classes that have images; its interval is a score interval, as Wilson's is
            (`featx.statistics.averages`).
        macro_f1
            Mean F1 over the classes that have images or were predicted (scikit-learn's default); its interval likewise.
        top5_accuracy
            Share of images whose class is the predicted one or among the four others of the highest score, for m > 5;
            its interval is Wilson's. A tie counts against the true class: of classes with its score it comes last, so
            that constant scores earn nothing. An image of a class that the model never had is a miss. Without scores
            the probabilities are used.
        log_loss
            Mean of ``-log p`` of the true class, over the images of classes that the model has (an impossible class
            has no finite loss); those left out are counted. p is at least the epsilon of its type, as in scikit-learn.
            Its interval is Hall's, for the mean of skewed values; half an observation of what an error is expected to
            cost is counted in the spread.
        calibration_error
            Distance between the probability of the predicted class and the share of images that are of it
            (`featx.statistics.reliability`), corrected for chance; its interval is a parametric bootstrap's.
        per_class
            Precision and recall with Wilson's intervals, given how often the class was predicted or has images; F1 with
            Wilson's of the share that is both among the images that are either.

    Raises
    ------
    DataError
        No image, an index outside the classes, arrays that don't fit each other, scores that are no numbers, or
        probabilities that are none.

    Notes
    -----
    The intervals take images as independent. Pooled predictions of a cross-validation are slightly dependent, through
    the training images that the folds share, and photos of one object more so.
    """
    k = len(classes)
    margins = _matrix("scores", scores, k=k)
    shares = _matrix("probabilities", probabilities, k=k)
    given = [matrix for matrix in (margins, shares) if matrix is not None]
    if len({matrix.shape for matrix in given}) > 1:
        raise DataError(f"scores and probabilities of different shapes: {given[0].shape} and {given[1].shape}")
    known = given[0].shape[1] if given else k
    true = _indices("y_true", y_true, below=k)
    predicted = _indices("y_pred", y_pred, below=known)
    n = len(true)
    if n == 0:
        raise DataError("no image with a label to score; give images in one folder per class")
    if len(predicted) != n or any(len(matrix) != n for matrix in given):
        found = [len(predicted), *map(len, given)]
        raise DataError(f"{n} true classes, but predictions, scores or probabilities of {found} images; give one each")

    confusion = np.bincount(true * k + predicted, minlength=k * k).reshape(k, k).astype(np.int64)
    right, support, named = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall, f1 = _ratio(right, named), _ratio(right, support), _ratio(2 * right, support + named)
    correct = int(right.sum())
    intervals = {"accuracy": wilson(correct, n)}
    balanced, macro = averages.balanced_accuracy(confusion), averages.macro_f1(confusion)
    intervals["balanced_accuracy"], intervals["macro_f1"] = _interval(balanced), _interval(macro)
    top5 = None
    if given and known > TOP:
        among = _among_top(true, predicted, given[0])
        top5 = among / n
        intervals["top5_accuracy"] = wilson(among, n)
    log_loss = calibration_error = None
    if shares is not None:
        losses = _losses(true, shares)
        if len(losses):
            log_loss = float(losses.mean())
            intervals["log_loss"] = skewed_mean(losses, extra=_loss_of_an_error(predicted, shares))
        confidence = np.minimum(shares[np.arange(n), predicted].astype(np.float64), 1.0)
        calibration = reliability(confidence, true == predicted)
        calibration_error, intervals["calibration_error"] = calibration.error, calibration.interval
    return Metrics(
        n=n,
        accuracy=correct / n,
        balanced_accuracy=float(balanced.value),
        macro_f1=float(macro.value),
        top5_accuracy=top5,
        log_loss=log_loss,
        log_loss_left_out=0 if shares is None else int(np.count_nonzero(true >= known)),
        per_class=tuple(
            ClassMetrics(
                name=name,
                precision=float(precision[i]),
                recall=float(recall[i]),
                f1=float(f1[i]),
                support=int(support[i]),
                intervals={
                    "precision": wilson(int(right[i]), int(named[i])),
                    "recall": wilson(int(right[i]), int(support[i])),
                    "f1": wilson_f1(int(right[i]), int(support[i] + named[i] - right[i])),
                },
            )
            for i, name in enumerate(classes)
        ),
        confusion=_frozen(confusion),
        intervals=intervals,
        calibration_error=calibration_error,
    )


def _interval(found: averages.Averages) -> Interval:
    return Interval(low=float(found.low), high=float(found.high), level=LEVEL, method="score interval")


def _intervals(plain: Mapping[str, Mapping[str, Any]]) -> dict[str, Interval]:
    return {name: Interval(**interval) for name, interval in plain.items()}


def _indices(name: str, values: ArrayLike, *, below: int) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise DataError(f"{name} of shape {array.shape} and type {array.dtype}; give one class index per image")
    if array.size and not 0 <= array.min() <= array.max() < below:
        raise DataError(f"{name} holds indices from {array.min()} to {array.max()}; there are {below} classes, from 0")
    return array.astype(np.int64)


def _matrix(name: str, values: ArrayLike | None, *, k: int) -> NDArray[Any] | None:
    if values is None:
        return None
    array = np.asarray(values)
    if array.ndim != 2 or not 1 <= array.shape[1] <= k:
        raise DataError(f"{name} of shape {array.shape}; give a row per image and a column per class, at most {k}")
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float64)
    if np.isnan(array).any():
        raise DataError(f"{name} hold {np.isnan(array).sum()} values that are no numbers")
    return array


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _among_top(true: NDArray[np.int64], predicted: NDArray[np.int64], scores: NDArray[Any]) -> int:
    """Images whose class is the predicted one, or among the others of the highest scores."""
    rows = np.flatnonzero(true < scores.shape[1])
    true, predicted, scores = true[rows], predicted[rows], scores[rows]
    every = np.arange(len(rows))
    ahead = scores >= scores[every, true][:, None]
    ahead[every, true] = False
    # The predicted class is one of the five whatever its score: scikit-learn's SVC may vote against its scores.
    ahead[every, predicted] = False
    return int(np.count_nonzero((predicted == true) | (ahead.sum(axis=1) < TOP - 1)))


def _losses(true: NDArray[np.int64], probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """The losses of the images whose class the model has."""
    epsilon = np.finfo(probabilities.dtype).eps
    sums = probabilities.sum(axis=1, dtype=np.float64)
    if probabilities.min() < 0 or not np.allclose(sums, 1.0, rtol=0, atol=np.sqrt(np.finfo(np.float32).eps)):
        found = f"a least value of {probabilities.min():.4g} and rows that sum to {sums.min():.4g} to {sums.max():.4g}"
        raise DataError(f"probabilities with {found}; give values of at least 0, and rows that sum to 1")
    rows = np.flatnonzero(true < probabilities.shape[1])
    own = probabilities[rows, true[rows]].astype(np.float64)
    # Clipped at 1 too: a float32 share may exceed it by a rounding, and a loss is never negative.
    return np.asarray(-np.log(np.clip(own, epsilon, 1.0)))


def _loss_of_an_error(predicted: NDArray[np.int64], probabilities: NDArray[Any]) -> float:
    """What an error costs, if the model errs where and as often as it says."""
    epsilon = float(np.finfo(probabilities.dtype).eps)
    others = probabilities.astype(np.float64)
    others[np.arange(len(predicted)), predicted] = 0.0
    share = float(others.sum())
    if share < epsilon:
        return -float(np.log(epsilon))
    return float(-(others * np.log(np.clip(others, epsilon, 1.0))).sum()) / share


def _frozen(array: NDArray[np.int64]) -> NDArray[np.int64]:
    array.flags.writeable = False
    return array
