"""Metrics of scored images, as a whole and class by class."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from featx.statistics import table
from featx.statistics.intervals import Interval, wilson, wilson_f1
from featx.statistics.scored_images import ScoredImages, scored_images
from featx.words import counted

if TYPE_CHECKING:
    import pandas as pd


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


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Metrics(table.ByName):
    """The metrics of one set of scored images.

    Each metric of `featx.statistics.table.METRICS` is an attribute too (``metrics.balanced_accuracy``).

    Parameters
    ----------
    n : int
        Images scored, at least 1.
    by_metric : mapping of str to float or None
        By the name of the metric, its value; None where it doesn't apply. ``"accuracy"``, ``"balanced_accuracy"`` and
        ``"macro_f1"`` are in [0, 1]; ``"top5_accuracy"`` too, and None for a model of five classes or fewer, or without
        scores; ``"log_loss"`` is in nats, and None without probabilities, or where no image is of a class that the
        model knows; ``"calibration_error"`` is in [0, 1], and None without probabilities.
    log_loss_left_out : int
        Images left out of the log loss, being of a class that the model never had.
    per_class : tuple of ClassMetrics, length k
        In the order of the classes.
    confusion : (k, k) int64, read-only
        Images by true class (rows) and predicted class (columns).
    intervals : mapping of str to Interval
        By the name of the metric, of each that is not None.
    """

    n: int
    by_metric: Mapping[str, float | None]
    log_loss_left_out: int
    per_class: tuple[ClassMetrics, ...]
    confusion: NDArray[np.int64]
    intervals: Mapping[str, Interval]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the rows and columns of the confusion matrix."""
        return tuple(one.name for one in self.per_class)

    @property
    def figures(self) -> tuple[tuple[table.Metric, float, Interval | None], ...]:
        """Row of the table, value and interval of every metric that isn't None."""
        values = ((metric, getattr(self, metric.name)) for metric in table.METRICS)
        return tuple((metric, value, self.intervals.get(metric.name)) for metric, value in values if value is not None)

    @property
    def headline(self) -> str:
        """Accuracy, its interval and the number of images, for people."""
        interval = self.intervals["accuracy"]
        ends = f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %"
        return f"accuracy {100 * self.accuracy:.1f} % ({100 * interval.level:g} % interval {ends}, n = {self.n:,})"

    def __repr__(self) -> str:
        return f"<Metrics: {self.headline}>"

    def _repr_html_(self) -> str:
        return self.as_html(f"{counted(len(self.classes), 'class', 'classes')}, {counted(self.n, 'image')}")

    def as_html(self, title: str, *, notes: Sequence[str] = ()) -> str:
        """Write the figures of the whole with their intervals as an HTML table, for a notebook."""
        from featx import notebook

        rows = []
        for metric, value, interval in self.figures:
            form = ".1%" if metric.unit == "%" else ".3f"
            ends = "" if interval is None else f"{interval.low:{form}} to {interval.high:{form}}"
            rows.append((metric.title, f"{value:{form}}", ends))
        header = ("figure", "value", f"{self.intervals['accuracy'].level:.0%} interval")
        return notebook.html_table(title, rows, header=header, notes=notes)

    def to_pandas(self) -> "pd.DataFrame":
        """Table for pandas of all figures, as `featx.Report.to_pandas` gives it.

        Raises
        ------
        UsageError
            pandas isn't installed.
        """
        from featx import notebook

        rows: list[tuple[str, str | None, float, Interval | None, int]] = [
            (metric.name, None, value, interval, self.n) for metric, value, interval in self.figures
        ]
        rows += [
            (name, one.name, getattr(one, name), one.intervals.get(name), one.support)
            for one in self.per_class
            for name in ("precision", "recall", "f1")
        ]
        return notebook.pandas().DataFrame(
            {
                "figure": notebook.text_column(row[0] for row in rows),
                "class": notebook.text_column(row[1] for row in rows),
                "value": [row[2] for row in rows],
                "low": [math.nan if row[3] is None else row[3].low for row in rows],
                "high": [math.nan if row[3] is None else row[3].high for row in rows],
                "n": [row[4] for row in rows],
                "method": notebook.text_column(None if row[3] is None else row[3].method for row in rows),
            }
        )

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, Metrics) else NotImplemented

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, strings, lists and dictionaries."""
        first, later = ({one.name: self.by_metric.get(one.name) for one in some} for some in _by_age())
        return {
            "n": self.n,
            **first,
            "log_loss_left_out": self.log_loss_left_out,
            "per_class": [asdict(one) for one in self.per_class],
            "confusion": self.confusion.tolist(),
            "intervals": {name: asdict(interval) for name, interval in self.intervals.items()},
            **later,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            A field is missing or isn't what it should be.
        """
        first, later = _by_age()
        values = {one.name: plain[one.name] for one in first} | {one.name: plain.get(one.name) for one in later}
        per_class = tuple(ClassMetrics.from_dict(one) for one in plain["per_class"])
        confusion = np.asarray(plain["confusion"], dtype=np.int64)
        if confusion.shape != (len(per_class), len(per_class)):
            raise ValueError(f"a confusion matrix of shape {confusion.shape} for {len(per_class)} classes")
        confusion.flags.writeable = False
        return cls(
            n=plain["n"],
            by_metric=values,
            log_loss_left_out=plain["log_loss_left_out"],
            per_class=per_class,
            confusion=confusion,
            intervals=_intervals(plain["intervals"]),
        )


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
        As `measured` gives them.

    Raises
    ------
    DataError
        No image, an index outside the classes, arrays that don't fit each other, scores that are no numbers, or
        probabilities that are none.
    """
    return measured(scored_images(y_true, y_pred, classes=classes, scores=scores, probabilities=probabilities))


def measured(images: ScoredImages) -> Metrics:
    """Compute every metric of the table, and the figures of each class.

    Parameters
    ----------
    images : ScoredImages
        Checked predictions.

    Returns
    -------
    Metrics
        by_metric, intervals
            Each as the function of its row in `featx.statistics.table` says.
        per_class
            Precision and recall with Wilson's intervals, given how often the class was predicted or has images; F1 with
            Wilson's of the share that is both among the images that are either.

    Notes
    -----
    The intervals take images as independent. Pooled predictions of a cross-validation are slightly dependent, through
    the training images that the folds share, and photos of one object more so.
    """
    found = {
        metric.name: None if metric.needs_probabilities and images.probabilities is None else metric.measure(images)
        for metric in table.METRICS
    }
    unseen = 0 if images.probabilities is None else int(np.count_nonzero(images.true >= images.known))
    return Metrics(
        n=len(images),
        by_metric={name: None if figure is None else figure.value for name, figure in found.items()},
        log_loss_left_out=unseen,
        per_class=_per_class(images),
        confusion=images.confusion,
        intervals={name: figure.interval for name, figure in found.items() if figure is not None},
    )


def _by_age() -> tuple[list[table.Metric], list[table.Metric]]:
    """Divide the table into the metrics of the first version of the reports' format, and later ones."""
    return [one for one in table.METRICS if not one.later], [one for one in table.METRICS if one.later]


def _per_class(images: ScoredImages) -> tuple[ClassMetrics, ...]:
    confusion = images.confusion
    right, support, named = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall, f1 = _ratio(right, named), _ratio(right, support), _ratio(2 * right, support + named)
    return tuple(
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
        for i, name in enumerate(images.classes)
    )


def _intervals(plain: Mapping[str, Mapping[str, Any]]) -> dict[str, Interval]:
    return {name: Interval(**interval) for name, interval in plain.items()}


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
