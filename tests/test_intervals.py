import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from featx.errors import DataError, UsageError
from featx.statistics import averages
from featx.statistics.intervals import Interval, skewed_mean, wilson, wilson_f1

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "coverage.py"


def test_wilson_is_the_solution_of_its_equation():
    # Wilson (1927): the ends are the p for which the observed share lies z standard errors away.
    for successes, n, level in [(0, 1, 0.95), (1, 1, 0.95), (7, 10, 0.9), (45, 50, 0.95), (990, 1000, 0.99)]:
        interval = wilson(successes, n, level=level)
        z = {0.9: 1.6448536, 0.95: 1.9599640, 0.99: 2.5758293}[level]
        for end in (interval.low, interval.high):
            if 0 < end < 1:
                assert abs(successes / n - end) / math.sqrt(end * (1 - end) / n) == pytest.approx(z, rel=1e-6)
    # The score interval of 7 in 10, as textbooks print it.
    assert (round(wilson(7, 10).low, 4), round(wilson(7, 10).high, 4)) == (0.3968, 0.8922)


@given(n=st.integers(1, 10**7), share=st.floats(0, 1), level=st.floats(0.5, 0.999))
def test_wilson_holds_the_share_and_mirrors(n, share, level):
    successes = round(share * n)
    interval, mirrored = wilson(successes, n, level=level), wilson(n - successes, n, level=level)
    assert 0 <= interval.low <= successes / n <= interval.high <= 1
    assert interval.low < interval.high
    assert mirrored.low == pytest.approx(1 - interval.high, abs=1e-12)
    wider, narrower = wilson(successes, n, level=0.9995), wilson(10 * successes, 10 * n, level=level)
    assert wider.high - wider.low > interval.high - interval.low > narrower.high - narrower.low
    assert (interval.level, interval.method) == (level, "wilson")


def test_wilson_covers_at_its_level():
    rng = np.random.default_rng(0)
    coverage = []
    for n in (20, 50, 200, 1000):
        intervals = [wilson(successes, n) for successes in range(n + 1)]
        low, high = np.array([one.low for one in intervals]), np.array([one.high for one in intervals])
        for p in np.linspace(0.5, 0.97, 20):
            drawn = rng.binomial(n, p, size=4000)
            coverage.append(np.mean((low[drawn] <= p) & (p <= high[drawn])))
    assert 0.945 < np.mean(coverage) < 0.96
    assert min(coverage) > 0.91


@pytest.mark.parametrize("events", [1, 2, 3])
def test_the_end_beyond_a_few_events_is_that_of_a_poisson_distribution(events):
    found = wilson(1000 - events, 1000)
    assert stats.poisson.sf(events - 1, 1000 * (1 - found.high)) == pytest.approx(0.05)
    assert wilson(events, 1000).low == pytest.approx(1 - found.high)


def test_wilson_covers_shares_near_one():
    n = 1000
    intervals = [wilson(successes, n) for successes in range(n + 1)]
    low, high = np.array([one.low for one in intervals]), np.array([one.high for one in intervals])
    shares = np.r_[0.9999, 0.99983, 0.9997, 0.9995, 0.999, 0.998, 0.995]
    held = [stats.binom.pmf(np.arange(n + 1), n, p)[(low <= p) & (p <= high)].sum() for p in shares]
    assert min(held) > 0.93


def test_wilson_knows_nothing_without_trials():
    assert wilson(0, 0) == Interval(low=0.0, high=1.0, level=0.95, method="wilson")


@pytest.mark.parametrize(("successes", "n", "level"), [(-1, 3, 0.95), (4, 3, 0.95), (1, 3, 0.0), (1, 3, 1.0)])
def test_wilson_refuses_what_is_no_count(successes, n, level):
    with pytest.raises(UsageError):
        wilson(successes, n, level=level)


# F1 of one class


@given(both=st.integers(0, 10**5), more=st.integers(0, 10**5))
def test_the_interval_of_an_f1_is_that_of_a_proportion(both, more):
    interval = wilson_f1(both, both + more)
    f1 = 2 * both / (2 * both + more) if both else 0.0
    assert 0 <= interval.low <= f1 + 1e-12
    assert f1 - 1e-12 <= interval.high <= 1
    share = wilson(both, both + more)
    for end, of_share in ((interval.low, share.low), (interval.high, share.high)):
        assert end / (2 - end) == pytest.approx(of_share)  # F1 back to the Jaccard index
    assert interval.method == "wilson of the Jaccard index"


# A mean of skewed values


def test_without_skewness_it_is_students_interval():
    values = np.r_[np.arange(20.0), 40 - np.arange(20.0)]
    found = skewed_mean(values)
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), values.std(ddof=1) / math.sqrt(len(values)))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_it_solves_halls_equation():
    values = np.random.default_rng(0).exponential(size=50)
    found, n = skewed_mean(values), len(values)
    a = stats.skew(values) * ((n - 1) / n) ** 1.5 / math.sqrt(n)
    t = stats.t.ppf(0.975, n - 1)
    for end, expected in ((found.low, t), (found.high, -t)):
        seen = (values.mean() - end) / (values.std(ddof=1) / math.sqrt(n))
        assert seen + a * seen**2 / 3 + a**2 * seen**3 / 27 + a / 6 == pytest.approx(expected)


@given(st.lists(st.floats(0, 40), min_size=1, max_size=50), st.floats(0.1, 50), st.floats(0.01, 100))
def test_it_holds_the_mean_and_follows_the_unit(values, extra, unit):
    values = np.array(values)
    found, scaled = skewed_mean(values, extra=extra), skewed_mean(values * unit, extra=extra * unit)
    assert 0 <= found.low <= values.mean() * (1 + 1e-9)
    assert values.mean() <= found.high * (1 + 1e-9)
    assert (scaled.low, scaled.high) == (pytest.approx(found.low * unit), pytest.approx(found.high * unit))


def test_a_sample_without_a_large_value_is_not_certain():
    small = np.full(100, 0.01)
    assert skewed_mean(small).high == pytest.approx(0.01)
    # What 1 in 33 images may be, by the rule of three, times what each costs.
    assert 0.5 < skewed_mean(small, extra=4.0).high / (4 * 0.03) < 3


def test_it_covers_where_students_interval_does_not():
    rng = np.random.default_rng(0)
    drawn = rng.exponential(size=(4000, 60)) ** 2
    held = np.mean([(one := skewed_mean(values)).low <= 2 <= one.high for values in drawn])
    low, high = stats.t.interval(0.95, 59, drawn.mean(axis=1), drawn.std(axis=1, ddof=1) / math.sqrt(60))
    assert held > 0.92
    assert held > np.mean((low <= 2) & (high >= 2)) + 0.03


def test_no_mean_of_nothing():
    with pytest.raises(DataError, match="no values"):
        skewed_mean(np.array([]))
    assert skewed_mean(np.array([3.0])).low == 0
    with pytest.raises(UsageError, match="level"):
        skewed_mean(np.ones(3), level=1.0)


# Averages over classes


def drawn(shares, n, sets, rng):
    return rng.multinomial(n, shares.ravel(), size=sets).reshape(sets, *shares.shape)


def shares_of(k, accuracy, rng, uneven=1.0):
    support = np.geomspace(1, uneven, k)
    support /= support.sum()
    error = np.linspace(0.5, 1.5, k)
    error *= (1 - accuracy) / (support @ error)
    where = rng.dirichlet(np.ones(k), size=k) * (1 - np.eye(k))
    shares = (support * error)[:, None] * where / where.sum(axis=1, keepdims=True)
    return shares + np.diag(support * (1 - error))


@pytest.mark.parametrize(("right", "each", "k"), [(8, 10, 2), (95, 100, 3), (20, 20, 5), (0, 7, 2), (5, 10, 4)])
def test_of_classes_alike_it_is_wilsons_interval(right, each, k):
    wrong = each - right
    confusion = np.diag([right] * k) + np.roll(np.diag([wrong] * k), 1, axis=1)
    found, proportion = averages.balanced_accuracy(confusion), wilson(right * k, each * k)
    assert float(found.value) == pytest.approx(right / each)
    assert float(found.low) == pytest.approx(proportion.low, abs=1e-6)
    assert float(found.high) == pytest.approx(proportion.high, abs=1e-6)


@pytest.mark.parametrize("figure", [averages.balanced_accuracy, averages.macro_f1])
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 8), n=st.integers(1, 200), level=st.floats(0.5, 0.99))
@settings(max_examples=40, deadline=None)
def test_the_interval_of_an_average_holds_it(figure, seed, k, n, level):
    rng = np.random.default_rng(seed)
    confusion = rng.multinomial(n, rng.dirichlet(np.full(k * k, 0.3))).reshape(k, k)
    found, wider = figure(confusion, level=level), figure(confusion, level=0.995)
    assert 0 <= wider.low <= found.low <= found.value <= found.high <= wider.high <= 1
    assert wider.low < wider.high
    order = rng.permutation(k)
    again = figure(np.stack([confusion, confusion[np.ix_(order, order)]]), level=level)
    np.testing.assert_allclose(again.low, float(found.low), atol=1e-9)  # neither order nor company matters
    np.testing.assert_allclose(again.high, float(found.high), atol=1e-9)


def test_a_class_of_few_images_makes_the_average_uncertain():
    many = averages.balanced_accuracy([[500, 0], [0, 500]])
    few = averages.balanced_accuracy([[995, 0], [0, 5]])
    assert 1 - few.low > 3 * (1 - many.low)
    # A class of no images is in neither.
    assert float(averages.balanced_accuracy([[9, 1, 0], [1, 9, 0], [0, 0, 0]]).low) == pytest.approx(
        float(averages.balanced_accuracy([[9, 1], [1, 9]]).low), abs=0.01
    )


@pytest.mark.parametrize(("k", "n", "uneven"), [(2, 300, 1.0), (5, 300, 1.0), (10, 100, 1.0), (10, 300, 5.0)])
@pytest.mark.parametrize("accuracy", [0.6, 0.9, 0.98])
def test_averages_are_covered(k, n, uneven, accuracy):
    rng = np.random.default_rng(k)
    shares = shares_of(k, accuracy, rng, uneven)
    confusion = drawn(shares, n, 2000, rng)
    recall = np.diag(shares) / shares.sum(axis=1)
    f1 = 2 * np.diag(shares) / (shares.sum(axis=1) + shares.sum(axis=0))
    has = confusion.sum(axis=2) > 0
    for figure, each in ((averages.balanced_accuracy, recall), (averages.macro_f1, f1)):
        truth, found = (each * has).sum(axis=1) / has.sum(axis=1), figure(confusion)
        held = np.mean((found.low <= truth) & (truth <= found.high))
        assert 0.93 < held < 0.98, (figure.__name__, held)


@pytest.mark.slow
def test_a_small_run_of_the_benchmark():
    figures = ["accuracy", "recall", "f1", "balanced_accuracy", "macro_f1", "log_loss", "false_alarms"]
    command = [sys.executable, str(BENCHMARK), "--sets", "200", "--sizes", "300", "--accuracies", "0.9"]
    done = subprocess.run(
        [*command, "--classes", "5", "--figures", *figures], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stdout + done.stderr
    cells = [float(line.split("|")[2].strip(" *")) for line in done.stdout.splitlines() if " images | " in line]
    assert len(cells) == len(figures) + 2  # two kinds of probabilities, two families of models
    assert min(cells[:-2]) > 88
    assert max(cells[-2:]) < 12
