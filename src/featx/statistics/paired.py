"""Two models on the same images: the tests and intervals of their difference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.statistics import table
from featx.statistics.intervals import LEVEL, Interval, quantile

RESAMPLES = 2000
"""Resamples of the bootstrap."""

_AT_ONCE = 4_000_000  # counts drawn at once: 32 MB
_NONE = -1  # stands for a prediction that is no class's

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A figure of one model minus that of another.

    Parameters
    ----------
    value : float
        In [-1, 1].
    interval : Interval
        Its interval, for models scored on the same images.
    """

    value: float
    interval: Interval


def mcnemar(only_a: int, only_b: int) -> float:
    """P value of McNemar's test, as mid-p.

    Of the images that one of two equal models predicts right and the other wrong, either has half, binomially. The
    exact test calls a difference real far less often than its level; the mid-p counts half of the chance of what was
    seen, and keeps to the level in practice (Fagerland et al. 2013).

    Parameters
    ----------
    only_a, only_b : int
        Images that only the one or only the other model predicts right.

    Returns
    -------
    float
        In (0, 1]; 1 where the counts are equal.

    References
    ----------
    Q. McNemar (1947). Note on the sampling error of the difference between correlated proportions or percentages.
    Psychometrika 12, 153-157.

    M. W. Fagerland, S. Lydersen, P. Laake (2013). The McNemar test for binary matched-pairs data: mid-p and asymptotic
    are better than exact conditional. BMC Medical Research Methodology 13, 91.
    """
    discordant, fewer = only_a + only_b, min(only_a, only_b)
    ways, below = 1, 0  # of choosing 0 of them; sums of whole numbers, exact for any count
    for chosen in range(fewer):
        below += ways
        ways = ways * (discordant - chosen) // (chosen + 1)
    return min(1.0, float((2 * below + ways) / 2**discordant))


def tango(only_a: int, only_b: int, n: int, *, level: float = LEVEL) -> Interval:
    """Interval of the difference of two accuracies on the same images, by Tango's score method.

    It holds the differences that a score test doesn't reject, so it is never empty where the models don't differ.

    Parameters
    ----------
    only_a, only_b : int
        Images that only the one or only the other model predicts right.
    n : int
        Images, at least 1.
    level : float
        In (0, 1).

    Returns
    -------
    Interval
        Of the accuracy of a minus that of b, within [-1, 1].

    Raises
    ------
    UsageError
        A level outside (0, 1).

    References
    ----------
    T. Tango (1998). Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design. Statistics in Medicine 17 (8), 891-908.
    """
    z = quantile(level)

    def score(difference: float) -> float:
        """Count the standard errors by which the difference seen lies above a true one."""
        linear = (2 * n - only_a + only_b) * difference - only_a - only_b
        constant = -only_b * difference * (1 - difference)
        likely = (sqrt(max(0.0, linear**2 - 8 * n * constant)) - linear) / (4 * n)
        variance = n * (2 * likely + difference * (1 - difference))
        above = only_a - only_b - n * difference
        return above / sqrt(variance) if variance > 0 else float(np.copysign(np.inf, above))

    seen = (only_a - only_b) / n
    ends = []
    for outer, limit in ((-1.0, z), (1.0, -z)):
        inner = seen
        if inner != outer:
            for _ in range(60):
                middle = (inner + outer) / 2
                inner, outer = (middle, outer) if abs(score(middle)) < abs(limit) else (inner, middle)
        ends.append(inner)
    return Interval(low=ends[0], high=ends[1], level=level, method="Tango")


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number, by Holm's procedure.

    Parameters
    ----------
    p_values : sequence of float
        In [0, 1].

    Returns
    -------
    list of float
        In the same order; calling those below a level real is wrong at all with at most that probability.

    References
    ----------
    S. Holm (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6 (2),
    65-70.
    """
    adjusted, largest = [1.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def bootstrap(
    labels: Indices, a: Indices, b: Indices, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Difference]:
    """Differences of figures of two models that are functions of counts, by resampling images.

    Parameters
    ----------
    labels : (n,) int64
        True classes, at least 0.
    a, b : (n,) int64
        Predicted classes, at least 0.
    level : float
        Of the intervals, in (0, 1).
    resamples, seed : int
        How often n images are drawn, and from which seed.

    Returns
    -------
    dict of str to Difference
        By the name of each metric that has `of_counts` in `featx.statistics.table`: its value of a minus that of b,
        with a percentile interval. Drawn is from the n images and two more, one that only a has right and
        one that only b has, spread over the classes: models that agree on every image of a sample need not agree on
        every image. The interval is widened by the degrees of freedom that the classes take.

    Raises
    ------
    UsageError
        A level outside (0, 1).

    References
    ----------
    D. G. Bonett, R. M. Price (2012). Adjusted Wald confidence interval for a difference of binomial proportions based
    on paired data. Journal of Educational and Behavioral Statistics 37 (4), 479-488 (for the two images).
    """
    quantile(level)
    rng = np.random.default_rng(seed)
    k = int(max(labels.max(), a.max(), b.max())) + 1
    # Images of one cell are alike, so that one draw of how many there are stands for all of them.
    cells, counts = np.unique(np.column_stack([labels, a, b]), axis=0, return_counts=True)
    seen = _differences(counts[None], cells, k)[:, 0]
    support = np.bincount(labels, minlength=k)
    classes = np.flatnonzero(support)
    nowhere = np.full(len(classes), _NONE)
    further = [np.column_stack([classes, *two]) for two in ((classes, nowhere), (nowhere, classes))]
    cells = np.vstack([cells, *further])
    weights = np.concatenate([counts, *[support[classes] / len(labels)] * 2])
    weights /= weights.sum()
    at_once = max(1, _AT_ONCE // len(cells))
    sizes = [min(at_once, resamples - start) for start in range(0, resamples, at_once)]
    drawn = np.hstack([_differences(rng.multinomial(len(labels), weights, size=size), cells, k) for size in sizes])
    centres = drawn.mean(axis=1)
    tail = (1 - level) / 2
    ends = np.quantile(drawn, (tail, 1 - tail), axis=1)
    lows, highs = np.clip(centres + sqrt(1 + len(classes) / len(labels)) * (ends - centres), -1.0, 1.0)
    return {
        name: Difference(
            value=float(value), interval=Interval(low=float(low), high=float(high), level=level, method="bootstrap")
        )
        for name, value, low, high in zip(_resampled(), seen, lows, highs, strict=True)
    }


def _resampled() -> dict[str, Callable[[Array, Array, Array], Array]]:
    return {metric.name: metric.of_counts for metric in table.METRICS if metric.of_counts is not None}


def _differences(counts: NDArray[Any], cells: Indices, k: int) -> Array:
    """Differences (metrics, r) between a and b, for counts (r, u) of cells (u, 3) of label, a and b."""
    labels, counts = cells[:, 0], counts.astype(np.float64)
    support = counts @ _columns(labels, k)
    figures = []
    for predicted in (cells[:, 1], cells[:, 2]):
        right = counts @ (_columns(labels, k) * (predicted == labels)[:, None])
        named = counts @ _columns(predicted, k)
        figures.append([of_counts(right, support, named) for of_counts in _resampled().values()])
    return np.subtract(figures[0], figures[1], dtype=np.float64)


def _columns(classes: Indices, k: int) -> Array:
    return np.asarray(classes[:, None] == np.arange(k), dtype=np.float64)
