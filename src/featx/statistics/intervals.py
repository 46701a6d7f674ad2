"""Intervals for the figures of a report."""

from dataclasses import dataclass, replace
from functools import cache
from math import cbrt, exp, factorial, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError, UsageError

LEVEL = 0.95
"""Level of every interval that a report shows."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A confidence interval.

    Parameters
    ----------
    low, high : float
        Its ends, in the unit of the figure that it belongs to.
    level : float
        Share of such intervals that hold the true value, in (0, 1).
    method : str
        How it was computed (``"wilson"``).
    """

    low: float
    high: float
    level: float
    method: str


def wilson(successes: int, n: int, *, level: float = LEVEL) -> Interval:
    """Interval of a proportion by Wilson's score method.

    It stays inside [0, 1], is never empty at 0 or n successes, and covers close to its level even for a few dozen
    trials, where the usual normal approximation doesn't (Brown, Cai, DasGupta 2001). Where one, two or (of over 50
    trials) three are not like the others, the end beyond them is the Poisson distribution's, as proposed there:
    Wilson's own misses a true share of 99.98 % in up to one of six samples of 1,000. It takes the trials as
    independent: photos of the same object or scene make it too narrow.

    Parameters
    ----------
    successes : int
        In 0 to n.
    n : int
        Trials; 0 gives the whole of [0, 1].
    level : float
        In (0, 1).

    Returns
    -------
    Interval
        Of the proportion, within [0, 1].

    Raises
    ------
    UsageError
        Counts that are none, or a level outside (0, 1).

    References
    ----------
    E. B. Wilson (1927). Probable inference, the law of succession, and statistical inference. Journal of the American
    Statistical Association 22 (158), 209-212.

    L. D. Brown, T. T. Cai, A. DasGupta (2001). Interval estimation for a binomial proportion. Statistical Science
    16 (2), 101-133.
    """
    if not 0 <= successes <= n:
        raise UsageError(f"there can't be {successes} successes in {n} trials; give 0 <= successes <= trials")
    z = quantile(level)
    failures = n - successes
    centre = (successes + z * z / 2) / (n + z * z)
    half = z * sqrt((successes * failures / n if n else 0.0) + z * z / 4) / (n + z * z)
    # Both ends are 0 and 1 there by the formula; rounding alone would leave 1e-17 of a share.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if failures == 0 else min(1.0, centre + half)
    few = range(1, min(n // 2, 2 if n <= 50 else 3) + 1)
    if successes in few:
        low = min(low, _least_mean(successes, level) / n)
    if failures in few:
        high = max(high, 1.0 - _least_mean(failures, level) / n)
    return Interval(low=low, high=high, level=level, method="wilson")


def wilson_f1(both: int, either: int, *, level: float = LEVEL) -> Interval:
    """Interval of the F1 of one class, from Wilson's of a proportion.

    Of the images that are of the class or are called so, those that are both are a proportion J (the Jaccard index),
    and F1 = 2 J / (1 + J) rises with it. So Wilson's interval of J becomes one of F1, and covers as often.

    Parameters
    ----------
    both : int
        Images of the class that are predicted as it.
    either : int
        Images of the class, or predicted as it, or both; 0 gives the whole of [0, 1].
    level : float
        In (0, 1).

    Returns
    -------
    Interval
        Of the F1, within [0, 1].

    Raises
    ------
    UsageError
        Counts that are none, or a level outside (0, 1).
    """
    share = wilson(both, either, level=level)
    low, high = (2 * end / (1 + end) for end in (share.low, share.high))
    return replace(share, low=low, high=high, method="wilson of the Jaccard index")


def skewed_mean(
    values: NDArray[np.float64], *, extra: float | None = None, weight: float = 0.5, level: float = LEVEL
) -> Interval:
    """Interval of the mean of values of at least 0 with a long right tail, such as losses.

    Student's t interval misses such a mean far too often on one side: a few large values make most of it, and a sample
    without them looks both small and certain. Hall's transformation corrects the t statistic for the skewness, and one
    further value, counted as a fraction of an observation in the spread and the skewness (not in the mean), stands for
    the large ones that a small sample may lack.

    Parameters
    ----------
    values : (n,) float64
        n of at least 1.
    extra : float, optional
        The further value: what a rare, large one would be.
    weight : float
        How much of an observation it counts for. 0.5 was the smallest that kept the coverage of the log loss at 94 % or
        more where one test set in eight holds no error at all (`benchmarks/coverage.py`).
    level : float
        In (0, 1).

    Returns
    -------
    Interval
        Of the mean, at least 0.

    Raises
    ------
    DataError
        There is no value.
    UsageError
        A level outside (0, 1).

    References
    ----------
    P. Hall (1992). On the removal of skewness by transformation. Journal of the Royal Statistical Society B 54 (1),
    221-228.
    """
    quantile(level)
    from scipy.special import stdtrit

    n = len(values)
    if n == 0:
        raise DataError("there are no values, so there is no mean")
    centred = np.asarray(values, dtype=np.float64)
    mean = float(centred.mean())
    centred = centred - mean
    squares, cubes, count = float((centred**2).sum()), float((centred**3).sum()), float(n)
    if extra is not None:
        squares += weight * (extra - mean) ** 2
        cubes += weight * (extra - mean) ** 3
        count += weight
    if count <= 1 or squares == 0.0:
        high = np.inf if n == 1 else mean
        return Interval(low=0.0 if n == 1 else mean, high=high, level=level, method="Hall's t")
    variance = squares / (count - 1)
    skewness = cubes / count / variance**1.5
    t = float(stdtrit(max(n - 1, 1), 0.5 + level / 2))
    error = sqrt(variance / n)
    low, high = (mean - error * _unskewed(end, skewness / sqrt(n)) for end in (t, -t))
    return Interval(low=max(0.0, low), high=high, level=level, method="Hall's t")


def quantile(level: float) -> float:
    """Number of standard errors that a two-sided interval of a level reaches to each side.

    Raises
    ------
    UsageError
        A level outside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise UsageError(f"the level of an interval can't be {level}; give a number between 0 and 1, such as {LEVEL}")
    return NormalDist().inv_cdf(0.5 + level / 2)


@cache
def _least_mean(events: int, level: float) -> float:
    """The mean of a Poisson distribution that shows so many events, or more, with a chance of 1 - level."""
    low, high = 0.0, float(events)
    for _ in range(60):
        mean = (low + high) / 2
        fewer = exp(-mean) * sum(mean**count / factorial(count) for count in range(events))
        low, high = (mean, high) if fewer > level else (low, mean)
    return low


def _unskewed(t: float, a: float) -> float:
    """Invert Hall's transformation t + a t^2 / 3 + a^2 t^3 / 27 + a / 6 of the t statistic."""
    if abs(a) < 1e-6:  # the limit is t, and the formula loses its digits
        return t
    return 3 / a * (cbrt(1 + a * (t - a / 6)) - 1)
