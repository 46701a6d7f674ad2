"""The table of metrics: all that is known of each, in one row.

`Metrics`, its JSON, the comparison of models, the tables of reports, the terminal and the page are made from the rows.
A new metric is a function here and a row in `METRICS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx.statistics import averages
from featx.statistics.intervals import LEVEL, Interval, skewed_mean, wilson
from featx.statistics.scored_images import ScoredImages

TOP = 5
"""Number of classes that the top-5 accuracy looks at; it is given where the model knows more."""

Array = NDArray[np.float64]
Unit = Literal["%", "", "nats"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """The value of a metric and its interval.

    Parameters
    ----------
    value : float
        In the unit of the metric; a share in [0, 1] where that is per cent.
    interval : Interval
        In the same unit.
    """

    value: float
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A row of the table.

    Parameters
    ----------
    name : str
        Its attribute of `Metrics` and its key in JSON.
    title : str
        Its name on the page.
    explanation : str
        One sentence about it on the page.
    unit : {"%", "", "nats"}
        A share that is shown as a percentage, a plain number, or a number in nats; the latter two with three decimals.
    measure : callable
        From scored images to the value and its interval; None where the metric doesn't apply to them.
    needs_probabilities : bool
        Is None without probabilities, and `measure` isn't called.
    heading : str
        Head of its column in tables of reports; a metric without one isn't in these tables.
    ends_in_tables : bool
        The ends of its interval have columns there too.
    of_counts : callable or None
        From images of each class that are predicted right, images of each class, and images predicted as each class,
        each (r, k), to r values. A metric that has it is compared between models, by a bootstrap.
    later : bool
        Added to the format of reports after its first version: it stands at the end of the JSON, and a report without
        it can be read. True for every new metric.
    """

    name: str
    title: str
    explanation: str
    unit: Unit
    measure: Callable[[ScoredImages], Figure | None]
    needs_probabilities: bool = False
    heading: str = ""
    ends_in_tables: bool = False
    of_counts: Callable[[Array, Array, Array], Array] | None = None
    later: bool = False


class ByName:
    """Makes the entries of a mapping attributes too, for classes that hold a value for each metric."""

    def __getattr__(self, name: str) -> Any:
        # Copying and unpickling ask for attributes before there are any.
        named: Mapping[str, Any] = self.__dict__.get("by_metric", {})
        if name in named:
            return named[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.__dict__.get("by_metric", {})]


def accuracy(images: ScoredImages) -> Figure:
    """Share of images predicted right; the interval is Wilson's."""
    right = int(np.diagonal(images.confusion).sum())
    return Figure(value=right / len(images), interval=wilson(right, len(images)))


def balanced_accuracy(images: ScoredImages) -> Figure:
    """Mean recall over the classes that have images; a score interval as Wilson's (`featx.statistics.averages`)."""
    return _averaged(averages.balanced_accuracy(images.confusion))


def macro_f1(images: ScoredImages) -> Figure:
    """Mean F1 over the classes that have images or were predicted (scikit-learn's default); a score interval."""
    return _averaged(averages.macro_f1(images.confusion))


def top5_accuracy(images: ScoredImages) -> Figure | None:
    """Share of images whose class is the predicted one or among the four others of the highest score.

    Given for models of more than five classes; the interval is Wilson's. A tie counts against the true class: of
    classes with its score it comes last, so that constant scores earn nothing. An image of a class that the model never
    had is a miss. Without scores the probabilities are used.
    """
    if images.scores is None or images.known <= TOP:
        return None
    among = _among_top(images.true, images.predicted, images.scores)
    return Figure(value=among / len(images), interval=wilson(among, len(images)))


def log_loss(images: ScoredImages) -> Figure | None:
    """Mean of ``-log p`` of the true class, over the images of classes that the model has.

    Images of other classes are left out, since an impossible class has no finite loss; None where no image is left. p
    is at least the epsilon of its type, as in scikit-learn. The interval is Hall's, for the mean of skewed values; half
    an observation of the expected cost of an error is counted in the spread.
    """
    assert images.probabilities is not None
    losses = _losses(images.true, images.probabilities)
    if not len(losses):
        return None
    extra = _loss_of_an_error(images.predicted, images.probabilities)
    return Figure(value=float(losses.mean()), interval=skewed_mean(losses, extra=extra))


def calibration_error(images: ScoredImages) -> Figure:
    """Distance between the probability of the predicted class and the share of images that are of it.

    Corrected for chance (`featx.statistics.reliability`); the interval is a parametric bootstrap's.
    """
    found = images.reliability
    assert found is not None
    return Figure(value=found.error, interval=found.interval)


def _balanced_accuracy_of_counts(right: Array, support: Array, _: Array) -> Array:
    has = support > 0
    recall = np.divide(right, support, out=np.zeros_like(right), where=has)
    return np.asarray(recall.sum(axis=1) / has.sum(axis=1))


def _macro_f1_of_counts(right: Array, support: Array, named: Array) -> Array:
    either = support + named
    f1 = np.divide(2 * right, either, out=np.zeros_like(right), where=either > 0)
    return np.asarray(f1.sum(axis=1) / (either > 0).sum(axis=1))


METRICS: tuple[Metric, ...] = (
    Metric(
        name="accuracy",
        title="Accuracy",
        explanation="Share of the images that are classified right.",
        unit="%",
        measure=accuracy,
        heading="accuracy",
        ends_in_tables=True,
    ),
    Metric(
        name="balanced_accuracy",
        title="Balanced accuracy",
        explanation="The accuracy of each class by itself, averaged: a rare class counts as much as a common one.",
        unit="%",
        measure=balanced_accuracy,
        heading="balanced",
        of_counts=_balanced_accuracy_of_counts,
    ),
    Metric(
        name="macro_f1",
        title="Macro F1",
        explanation="Recall and precision (see below) in one number, averaged over the classes; 1 is perfect.",
        unit="",
        measure=macro_f1,
        heading="macro F1",
        of_counts=_macro_f1_of_counts,
    ),
    Metric(
        name="top5_accuracy",
        title="Top-5 accuracy",
        explanation="How often the true class is among the five best guesses of the model.",
        unit="%",
        measure=top5_accuracy,
        heading="top-5",
    ),
    Metric(
        name="log_loss",
        title="Log loss",
        explanation="Penalty for confident mistakes; 0 is perfect.",
        unit="nats",
        measure=log_loss,
        needs_probabilities=True,
        heading="log loss",
    ),
    Metric(
        name="calibration_error",
        title="Calibration error",
        explanation="By how much the stated confidence differs, on average, from the share that is really right.",
        unit="%",
        measure=calibration_error,
        needs_probabilities=True,
        later=True,
    ),
)
"""Every metric, in the order in which they are shown; the first one, the accuracy, ranks models."""


def _averaged(found: averages.Averages) -> Figure:
    interval = Interval(low=float(found.low), high=float(found.high), level=LEVEL, method="score interval")
    return Figure(value=float(found.value), interval=interval)


def _among_top(true: NDArray[np.int64], predicted: NDArray[np.int64], scores: NDArray[Any]) -> int:
    """Count images whose class is the predicted one, or among the others of the highest scores."""
    rows = np.flatnonzero(true < scores.shape[1])
    true, predicted, scores = true[rows], predicted[rows], scores[rows]
    every = np.arange(len(rows))
    ahead = scores >= scores[every, true][:, None]
    ahead[every, true] = False
    # The predicted class is one of the five whatever its score: scikit-learn's SVC may vote against its scores.
    ahead[every, predicted] = False
    return int(np.count_nonzero((predicted == true) | (ahead.sum(axis=1) < TOP - 1)))


def _losses(true: NDArray[np.int64], probabilities: NDArray[Any]) -> Array:
    """Compute the losses of the images whose class the model has."""
    rows = np.flatnonzero(true < probabilities.shape[1])
    own = probabilities[rows, true[rows]].astype(np.float64)
    # Clipped at 1 too: a float32 share may exceed it by a rounding, and a loss is never negative.
    return np.asarray(-np.log(np.clip(own, np.finfo(probabilities.dtype).eps, 1.0)))


def _loss_of_an_error(predicted: NDArray[np.int64], probabilities: NDArray[Any]) -> float:
    """Compute the expected loss of an error, if the model errs where and as often as it says."""
    epsilon = float(np.finfo(probabilities.dtype).eps)
    others = probabilities.astype(np.float64)
    others[np.arange(len(predicted)), predicted] = 0.0
    share = float(others.sum())
    if share < epsilon:
        return -float(np.log(epsilon))
    # Mean of -log p over the other classes, each weighted by its own probability p.
    return float(-(others * np.log(np.clip(others, epsilon, 1.0))).sum()) / share
