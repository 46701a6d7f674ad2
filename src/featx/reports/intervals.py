"""Intervals for the figures of a report."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from featx.errors import UsageError

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
    trials, where the usual normal approximation doesn't (Brown, Cai, DasGupta 2001). It takes the trials as
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
        raise UsageError(f"no interval for {successes} successes in {n} trials; give 0 <= successes <= trials")
    if not 0.0 < level < 1.0:
        raise UsageError(f"no interval of level {level}; give one between 0 and 1, such as {LEVEL}")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    failures = n - successes
    centre = (successes + z * z / 2) / (n + z * z)
    half = z * sqrt((successes * failures / n if n else 0.0) + z * z / 4) / (n + z * z)
    # Both ends are 0 and 1 there by the formula; rounding alone would leave 1e-17 of a share.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if failures == 0 else min(1.0, centre + half)
    return Interval(low=low, high=high, level=level, method="wilson")
