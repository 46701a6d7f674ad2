"""Confidence of a model against its accuracy, and the distance between the two."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from featx.errors import DataError, UsageError
from featx.statistics.intervals import LEVEL, Interval, quantile, wilson

BINS = 10
"""Bins where there are images enough."""
FEWEST = 10
"""Images of a bin, on average: with fewer images there are fewer bins."""

_RESAMPLES = 600
_STEPS = 25  # errors tried from 0 up; what lies between is interpolated
_METHOD = "parametric bootstrap, test inverted"

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Images of about the same confidence.

    Parameters
    ----------
    n : int
        How many, at least 1.
    confidence : float
        Their mean confidence, in [0, 1].
    accuracy : float
        The share of them that is right.
    interval : Interval
        Of the accuracy, Wilson's.
    """

    n: int
    confidence: float
    accuracy: float
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Confidence against accuracy.

    Parameters
    ----------
    n : int
        Images.
    bins : tuple of ReliabilityBin
        By rising confidence.
    error : float
        The calibration error: mean distance between confidence and accuracy over the bins, by their images, in [0, 1],
        without what chance alone adds; 0 where chance explains all.
    plug_in : float
        The same distance as it was seen, which is what others call the expected calibration error. Its expectation is
        too large: a perfectly calibrated model of 80 % accuracy shows 0.09 on 100 images, 0.03 on 1,000.
    interval : Interval
        Of the error.
    """

    n: int
    bins: tuple[ReliabilityBin, ...]
    error: float
    plug_in: float
    interval: Interval

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, strings, lists and dictionaries."""
        return asdict(self) | {"bins": [asdict(one) for one in self.bins]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave.

        Raises
        ------
        KeyError, TypeError
            A field is missing or isn't what it should be.
        """
        return cls(
            n=plain["n"],
            bins=tuple(ReliabilityBin(**one | {"interval": Interval(**one["interval"])}) for one in plain["bins"]),
            error=plain["error"],
            plug_in=plain["plug_in"],
            interval=Interval(**plain["interval"]),
        )


def reliability(
    confidence: ArrayLike, right: ArrayLike, *, bins: int = BINS, level: float = LEVEL, seed: int = 0
) -> Reliability:
    """Compare confidence and accuracy.

    Parameters
    ----------
    confidence : (n,) float
        Probability, in [0, 1], that the model gives to the class that it predicts.
    right : (n,) bool
        Whether it is of that class.
    bins : int
        At most so many bins, of about equal numbers of images; images of one confidence stay together, so that their
        order doesn't matter. There are fewer where a bin would have less than `FEWEST` images.
    level : float
        Of the intervals, in (0, 1).
    seed : int
        Of the simulation behind the error's interval.

    Returns
    -------
    Reliability
        error
            The calibration error under which a distance as large as the one seen is as likely as not.
        interval
            The errors under which the distance seen is neither too large nor too small to be chance: for a series of
            errors, each bin's number of right images is drawn from a binomial distribution around its confidence,
            shifted in the direction seen (drawn towards a common one where it is mostly noise; to the other side where
            a bin has no room). The upper end asks how often the distance is as small among those of a calibrated model
            (Read 2002), so that it is never 0.

    Raises
    ------
    DataError
        No image, confidences outside [0, 1], or arrays that don't fit each other.
    UsageError
        Fewer than one bin, or a level outside (0, 1).

    Notes
    -----
    The error is that of the binned model: shifts of both signs within a bin cancel. What it covers, and how often, is
    in `benchmarks/coverage.py`; of a calibrated model the lower end is wrong in 2.5 % of samples, and the upper never.

    References
    ----------
    M. P. Naeini, G. Cooper, M. Hauskrecht (2015). Obtaining well calibrated probabilities using Bayesian binning.
    Proceedings of the AAAI Conference on Artificial Intelligence 29.

    A. Kumar, P. Liang, T. Ma (2019). Verified uncertainty calibration. Advances in Neural Information Processing
    Systems 32 (on the bias of the plug-in estimate).

    A. L. Read (2002). Presentation of search results: the CLs technique. Journal of Physics G 28, 2693-2704.
    """
    sure, hits = np.asarray(confidence, dtype=np.float64), np.asarray(right)
    if sure.ndim != 1 or sure.shape != hits.shape or not len(sure):
        raise DataError(
            f"confidences of shape {sure.shape} don't fit to truths of shape {hits.shape}; give one of each per image"
        )
    if not (sure.min() >= 0.0 and sure.max() <= 1.0 + 1e-6):
        raise DataError(f"confidences must be probabilities from 0 to 1, found {sure.min():.4g} to {sure.max():.4g}")
    if bins < 1:
        raise UsageError(f"the number of bins must be 1 or more, and is {bins}")
    quantile(level)
    found = _binned(np.minimum(sure, 1.0), hits.astype(np.float64), bins=min(bins, max(1, len(sure) // FEWEST)))
    low, error, high = _error(found, level=level, rng=np.random.default_rng(seed))
    return Reliability(
        n=len(sure),
        bins=tuple(
            ReliabilityBin(n=int(n), confidence=float(c), accuracy=float(x / n), interval=wilson(int(x), int(n)))
            for n, c, x in zip(found.n, found.confidence, found.right, strict=True)
        ),
        error=error,
        plug_in=found.distance,
        interval=Interval(low=low, high=high, level=level, method=_METHOD),
    )


@dataclass(frozen=True, kw_only=True)
class _Binned:
    n: NDArray[np.int64]
    confidence: Array
    right: Array

    @property
    def weight(self) -> Array:
        return np.asarray(self.n / self.n.sum())

    @property
    def shift(self) -> Array:
        return self.right / self.n - self.confidence

    @property
    def distance(self) -> float:
        return float(self.weight @ np.abs(self.shift))


def _binned(confidence: Array, right: Array, *, bins: int) -> _Binned:
    edges = np.unique(np.quantile(confidence, np.arange(1, bins) / bins))
    place = np.searchsorted(edges, confidence, side="right")
    n, sure, hits = (np.bincount(place, weights, len(edges) + 1) for weights in (None, confidence, right))
    has = n > 0
    return _Binned(n=n[has].astype(np.int64), confidence=sure[has] / n[has], right=hits[has].astype(np.float64))


def _error(found: _Binned, *, level: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Lower end, median-unbiased estimate and upper end of the calibration error."""
    total, weight = found.n.sum(), found.weight
    # Never certain, also where all of a bin are right: two images drawn from the confidence stand beside its own.
    share = (found.right + 2 * found.confidence + 0.5 / total) / (found.n + 2 + 1 / total)
    deviation = np.sqrt(share * (1 - share))
    # The likely direction of the error. Shifts of the bins, in units of the deviation of one image, scatter by chance
    # with variance 1 / n about their true values. `between` is their scatter beyond that (by moments, as DerSimonian
    # and Laird 1986), and `kept` the share of a bin's own shift that shrinkage towards the common one leaves.
    shift = found.shift / deviation
    common = weight @ shift
    between = max(0.0, float(weight @ ((shift - common) ** 2 - 1 / found.n)))
    kept = between / (between + 1 / found.n)
    likely = deviation * (kept * shift + (1 - kept) * common)
    if weight @ np.abs(likely) < 1e-12:
        likely = -deviation
    furthest = found.distance + 5 * float(np.sqrt(weight**2 @ (deviation**2 / found.n))) + 4 / total
    return _inverted(found, likely, furthest=furthest, level=level, rng=rng)


def _inverted(
    found: _Binned, direction: Array, *, furthest: float, level: float, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Give the calibration errors that the distance seen does not refute: lower end, median, upper end.

    A confidence interval by inverting a test (Casella and Berger 2002, section 9.2.1). For each of several errors, the
    true shares of the bins are their confidences, shifted along `direction` until their mean distance is that error.
    Samples of the bins' sizes are drawn from these shares (a parametric bootstrap, Efron and Tibshirani 1993, section
    6.5). The chance that a sample shows a smaller distance than the one seen falls as the error grows. The ends are the
    errors where it is 1 - tail and tail; the error where it is one half is a median-unbiased estimate.
    """
    weight = found.weight
    size = weight @ np.abs(direction)
    up = direction > 0
    room, opposite = np.where(up, [1 - found.confidence, found.confidence], [found.confidence, 1 - found.confidence])
    sizes = np.linspace(0, furthest, _STEPS)[:, None] * np.abs(direction) / size
    # Where there is no room on the side that was seen, the error lies on the other.
    shifts = np.where(up == ((sizes <= room) | (room >= opposite)), sizes, -sizes)
    shares = np.clip(found.confidence + shifts, 0.0, 1.0)
    errors = np.abs(shares - found.confidence) @ weight
    drawn = rng.binomial(found.n, shares[:, None, :], size=(_STEPS, _RESAMPLES, len(found.n))) / found.n
    seen = np.abs(drawn - found.confidence) @ weight
    # Another sample would hold other confidences too, and with them more or less of the error.
    spread = np.sqrt(weight @ (np.abs(direction) / size - 1) ** 2 / found.n.sum())
    seen += (errors * spread)[:, None] * rng.standard_normal(seen.shape)
    below, equal = seen < found.distance - 1e-12, np.abs(seen - found.distance) <= 1e-12
    chance = np.minimum.accumulate((below + equal / 2).mean(axis=1))
    tail = (1 - level) / 2

    def at(target: float) -> float:
        return float(np.interp(-target, -chance, errors)) if chance[0] > target else 0.0

    return at(1 - tail), at(0.5), at(tail * float(chance[0]))
