"""Models on the same images: which differences are real."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from featx.errors import DataError
from featx.statistics import table
from featx.statistics.intervals import LEVEL, Interval, wilson
from featx.statistics.paired import RESAMPLES, Difference, bootstrap, holm, mcnemar, tango
from featx.statistics.table import ByName, Metric
from featx.words import counted, some

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Comparison(ByName):
    """Two models on the same images.

    Each of the differences is an attribute too (``comparison.accuracy``).

    Parameters
    ----------
    a, b : str
        Their names.
    n : int
        Images.
    only_a, only_b : int
        Images that only the one or only the other predicts right; all others say nothing of the difference.
    by_metric : mapping of str to Difference
        Of `a` minus `b`, by the name of the metric: ``"accuracy"``, whose interval is Tango's, and those that have
        `of_counts` in `featx.statistics.table`, whose intervals are bootstrapped.
    p_value : float
        Of McNemar's test: how often two models of equal accuracy differ as much or more (mid-p).
    adjusted_p_value : float
        The same, corrected for the number of comparisons made (Holm).
    """

    a: str
    b: str
    n: int
    only_a: int
    only_b: int
    by_metric: Mapping[str, Difference]
    p_value: float
    adjusted_p_value: float

    @property
    def real(self) -> bool:
        """True where chance is no good explanation of the difference of accuracy."""
        return self.adjusted_p_value < 1 - self.by_metric["accuracy"].interval.level

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers and strings; the differences stand beside the other fields."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        differences = {name: asdict(difference) for name, difference in plain.pop("by_metric").items()}
        tests = {name: plain.pop(name) for name in ("p_value", "adjusted_p_value")}
        return plain | differences | tests | {"real": self.real}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave.

        Raises
        ------
        KeyError, TypeError
            A field is missing or isn't what it should be.
        """
        fields = {name: plain[name] for name in cls.__dataclass_fields__ if name != "by_metric"}
        differences = {
            name: Difference(value=plain[name]["value"], interval=Interval(**plain[name]["interval"]))
            for name in _compared()
            if name in plain or not _compared()[name].later
        }
        return cls(**fields, by_metric=differences)


def _compared() -> dict[str, Metric]:
    """Metrics that are compared between models, by name: the accuracy, then those that the bootstrap resamples."""
    return {one.name: one for one in table.METRICS if one.name == "accuracy" or one.of_counts is not None}


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """One model among several.

    Parameters
    ----------
    model : str
        Its name.
    accuracy : float
        In [0, 1].
    interval : Interval
        Of the accuracy, Wilson's. Intervals that overlap don't make a difference unreal: the images are the same.
    """

    model: str
    accuracy: float
    interval: Interval


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparisons:
    """Models that were scored on the same images.

    Parameters
    ----------
    scored_on : str
        For people.
    n : int
        Images.
    models : tuple of Ranked
        Best first.
    pairs : tuple of Comparison
        Of each model with each that is ranked below it.
    notes : tuple of str
        What a reader should know, one sentence each.
    """

    scored_on: str
    n: int
    models: tuple[Ranked, ...]
    pairs: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:

        ranked = some([f"{one.model} {one.accuracy:.1%}" for one in self.models])
        return f"<Comparisons of {counted(len(self.models), 'model')} on {counted(self.n, 'image')}: {ranked}>"

    def _repr_html_(self) -> str:
        from featx import notebook

        behind = ["", *(_behind(one) for one in self.with_best)]
        rows = [
            (one.model, f"{one.accuracy:.1%}", f"{one.interval.low:.1%} to {one.interval.high:.1%}", text)
            for one, text in zip(self.models, behind, strict=True)
        ]
        header = ("model", "accuracy", f"{LEVEL:.0%} interval", "behind the best")
        return notebook.html_table(
            f"{counted(self.n, 'image')}: {self.scored_on}", rows, header=header, notes=self.notes
        )

    def to_pandas(self) -> "pd.DataFrame":
        """Table for pandas of the models, best first.

        Returns
        -------
        pandas.DataFrame
            ``model`` (text); ``accuracy`` and the ends of its interval, ``low`` and ``high`` (float64, in [0, 1]); the
            same of the difference to the best model, ``behind``, ``behind_low`` and ``behind_high``, and the
            corrected p value of that difference, ``p_value`` (NaN for the best itself).

        Raises
        ------
        UsageError
            pandas isn't installed.
        """
        from featx import notebook

        differences = [None, *(one.by_metric["accuracy"] for one in self.with_best)]
        return notebook.pandas().DataFrame(
            {
                "model": notebook.text_column(one.model for one in self.models),
                "accuracy": [one.accuracy for one in self.models],
                "low": [one.interval.low for one in self.models],
                "high": [one.interval.high for one in self.models],
                "behind": [math.nan if one is None else one.value for one in differences],
                "behind_low": [math.nan if one is None else one.interval.low for one in differences],
                "behind_high": [math.nan if one is None else one.interval.high for one in differences],
                "p_value": [math.nan, *(one.adjusted_p_value for one in self.with_best)],
            }
        )

    @property
    def with_best(self) -> tuple[Comparison, ...]:
        """Comparisons of the best model with each other, in their order."""
        return self.pairs[: max(0, len(self.models) - 1)]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, strings, lists and dictionaries; each pair says whether it is real."""
        return {
            "scored_on": self.scored_on,
            "n": self.n,
            "models": [asdict(one) for one in self.models],
            "pairs": [one.to_dict() for one in self.pairs],
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave.

        Raises
        ------
        KeyError, TypeError
            A field is missing or isn't what it should be.
        """
        return cls(
            scored_on=plain["scored_on"],
            n=plain["n"],
            models=tuple(Ranked(**one | {"interval": Interval(**one["interval"])}) for one in plain["models"]),
            pairs=tuple(Comparison.from_dict(one) for one in plain["pairs"]),
            notes=tuple(plain["notes"]),
        )


def _behind(pair: Comparison) -> str:
    difference = pair.by_metric["accuracy"]
    points = f"{100 * difference.value:.1f} points"
    ends = f"({100 * difference.interval.low:.1f} to {100 * difference.interval.high:.1f})"
    return f"{points} {ends}" + ("" if pair.real else ", no clear difference")


def compare(
    labels: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    *,
    names: tuple[str, str] = ("a", "b"),
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare the predictions of two models for the same images.

    Parameters
    ----------
    labels : (n,) int
        True classes, at least 0.
    a, b : (n,) int
        Predicted classes.
    names : pair of str
        Of the models.
    level : float
        Of the intervals, in (0, 1).
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    Comparison
        Its p value stands alone, so that the adjusted one is the same.

    Raises
    ------
    DataError
        No image, or arrays that don't fit each other.
    UsageError
        A level outside (0, 1).
    """
    true, first, second = (np.asarray(values, dtype=np.int64) for values in (labels, a, b))
    if true.ndim != 1 or not len(true) or {first.shape, second.shape} != {true.shape}:
        raise DataError(
            f"there are {len(true)} labels, but predictions of shape {first.shape} and {second.shape}; give one per "
            "image"
        )
    right_a, right_b = first == true, second == true
    only_a, only_b = int(np.count_nonzero(right_a & ~right_b)), int(np.count_nonzero(right_b & ~right_a))
    accuracy = Difference(value=(only_a - only_b) / len(true), interval=tango(only_a, only_b, len(true), level=level))
    resampled = bootstrap(true, first, second, level=level, resamples=resamples, seed=seed)
    p_value = mcnemar(only_a, only_b)
    return Comparison(
        a=names[0],
        b=names[1],
        n=len(true),
        only_a=only_a,
        only_b=only_b,
        by_metric={"accuracy": accuracy, **resampled},
        p_value=p_value,
        adjusted_p_value=p_value,
    )


def rank(
    labels: ArrayLike, predictions: Mapping[str, ArrayLike], *, scored_on: str = "", notes: Sequence[str] = ()
) -> Comparisons:
    """Rank models by accuracy, and compare each with each.

    Parameters
    ----------
    labels : (n,) int
        True classes, at least 0.
    predictions : mapping of str to (n,) int
        By name of the model, its predicted classes for the same images.
    scored_on : str
        What the images are, for people.
    notes : sequence of str
        What a reader should know.

    Returns
    -------
    Comparisons
        The p values are corrected for the number of pairs by Holm's procedure, so that at most one time in twenty any
        difference is called real that isn't. All pairs count: which model is the best was seen on the same images.

    Raises
    ------
    DataError
        No image, or arrays that don't fit each other.
    """
    true = np.asarray(labels, dtype=np.int64)
    predicted = {name: np.asarray(values, dtype=np.int64) for name, values in predictions.items()}
    if not len(true) or any(values.shape != true.shape for values in predicted.values()):
        found = [values.shape for values in predicted.values()]
        raise DataError(f"there are {len(true)} labels, but predictions of {found}; give one per image")
    right = {name: int(np.count_nonzero(values == true)) for name, values in predicted.items()}
    order = sorted(predicted, key=lambda name: (-right[name], name))
    pairs = [compare(true, predicted[a], predicted[b], names=(a, b)) for a, b in combinations(order, 2)]
    adjusted = holm([pair.p_value for pair in pairs])
    return Comparisons(
        scored_on=scored_on,
        n=len(true),
        models=tuple(
            Ranked(model=name, accuracy=right[name] / len(true), interval=wilson(right[name], len(true)))
            for name in order
        ),
        pairs=tuple(replace(pair, adjusted_p_value=p) for pair, p in zip(pairs, adjusted, strict=True)),
        notes=tuple(notes),
    )
