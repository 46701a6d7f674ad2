import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.errors import DataError, UsageError
from featx.statistics.intervals import wilson
from featx.statistics.reliability import BINS, FEWEST, Reliability, reliability


def confidences(n, rng, *, shift=0.0):
    """Confidences, and whether each image is right, where accuracy falls short of confidence by the shift."""
    sure = rng.uniform(0.5, 1.0, n)
    return sure, rng.random(n) < sure - shift


def test_by_hand():
    # Two groups of ten: sure by .6 and right in 5, sure by .9 and right in all.
    found = reliability([0.6] * 10 + [0.9] * 10, [True] * 5 + [False] * 5 + [True] * 10, bins=2)
    assert [(one.n, one.accuracy) for one in found.bins] == [(10, 0.5), (10, 1.0)]
    assert [one.confidence for one in found.bins] == [pytest.approx(0.6), pytest.approx(0.9)]
    assert [one.interval for one in found.bins] == [wilson(5, 10), wilson(10, 10)]
    assert found.plug_in == pytest.approx(0.1)
    assert found.n == 20


@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.sampled_from([1, 3, 1000]))
@settings(max_examples=40, deadline=None)
def test_neither_the_order_of_images_nor_ties_matter(seed, n, levels):
    rng = np.random.default_rng(seed)
    sure = np.round(rng.random(n) * levels) / levels
    right = rng.random(n) < sure
    found = reliability(sure, right)
    order = rng.permutation(n)
    again = reliability(sure[order], right[order])
    assert [one.n for one in again.bins] == [one.n for one in found.bins]
    assert again.plug_in == pytest.approx(found.plug_in, abs=1e-12)
    assert sum(one.n for one in found.bins) == n
    assert 1 <= len(found.bins) <= max(1, min(BINS, n // FEWEST))
    by_confidence = [one.confidence for one in found.bins]
    assert by_confidence == sorted(by_confidence)
    assert 0 <= found.interval.low <= found.error <= found.interval.high <= 1
    assert found.interval.low < found.interval.high
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()
    assert Reliability.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_chance_is_not_taken_for_error():
    rng = np.random.default_rng(0)
    found = [reliability(*confidences(300, rng)) for _ in range(100)]
    assert np.mean([one.plug_in for one in found]) > 0.04
    assert np.mean([one.error for one in found]) < 0.6 * np.mean([one.plug_in for one in found])
    assert np.mean([one.error == 0 for one in found]) > 0.35
    assert np.mean([one.interval.low == 0 for one in found]) > 0.93
    assert all(one.interval.high > 0 for one in found)


@pytest.mark.parametrize(("shift", "n"), [(0.15, 100), (0.15, 1000), (0.04, 1000)])
def test_an_error_is_found_and_covered(shift, n):
    rng = np.random.default_rng(n)
    found = [reliability(*confidences(n, rng, shift=shift)) for _ in range(150)]
    assert np.median([one.error for one in found]) == pytest.approx(shift, rel=0.15)
    assert np.mean([one.interval.low <= shift <= one.interval.high for one in found]) > 0.9


def test_more_images_say_more():
    rng = np.random.default_rng(1)
    sure, right = confidences(5000, rng, shift=0.1)
    few, many = (reliability(sure[:n], right[:n]).interval for n in (200, 5000))
    assert many.high - many.low < 0.4 * (few.high - few.low)
    assert reliability(sure, right) == reliability(sure, right)  # the same seed


def test_certain_models():
    always = reliability(np.ones(50), np.ones(50, bool))
    never = reliability(np.ones(50), np.zeros(50, bool))
    assert (always.error, always.plug_in) == (0, 0)
    assert 0 < always.interval.high < 0.15  # 50 images don't show that it is never wrong
    assert (never.error, never.plug_in, never.interval.high) == (pytest.approx(1, abs=0.02), 1, 1)
    assert never.interval.low > 0.9


@pytest.mark.parametrize(
    ("sure", "right", "options", "error", "message"),
    [
        ([], [], {}, DataError, "shape"),
        ([0.5], [True, False], {}, DataError, "shape"),
        ([[0.5]], [[True]], {}, DataError, "shape"),
        ([1.5], [True], {}, DataError, "found 1.5"),
        ([-0.1], [True], {}, DataError, "found -0.1"),
        ([np.nan], [True], {}, DataError, "nan"),
        ([0.5], [True], {"bins": 0}, UsageError, "bins must be 1 or more"),
        ([0.5], [True], {"level": 1.0}, UsageError, "level"),
    ],
)
def test_what_is_no_confidence_is_refused(sure, right, options, error, message):
    with pytest.raises(error, match=message):
        reliability(sure, right, **options)
