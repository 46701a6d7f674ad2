"""Likely label errors: planted ones are found, few others are named, and what can't be judged takes no part."""

import json

import numpy as np
import pytest

from featx.errors import DataError
from featx.statistics.label_errors import LabelError, label_errors, likely_label_errors


def simulated(*, n: int, k: int, sharpness: float, flipped: float, seed: int) -> tuple[np.ndarray, ...]:
    """True labels, given labels of which some are flipped, and calibrated probabilities of the true ones."""
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.normal(size=(n, k))
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    true = (shares.cumsum(axis=1) > rng.random(n)[:, None]).argmax(axis=1)
    given = true.copy()
    rows = rng.permutation(n)[: round(flipped * n)]
    given[rows] = (true[rows] + rng.integers(1, k, len(rows))) % k
    return true, given, shares


@pytest.mark.parametrize(("k", "sharpness"), [(2, 6.0), (5, 6.0), (20, 8.0)])
def test_planted_errors_are_found_and_few_others_are_named(k: int, sharpness: float) -> None:
    true, given, shares = simulated(n=4000, k=k, sharpness=sharpness, flipped=0.05, seed=k)
    planted = true != given
    rows = likely_label_errors(given, shares, limit=None)
    assert planted[rows].mean() > 0.6
    assert planted[rows].sum() > 0.4 * planted.sum()
    assert planted[rows[:50]].mean() > 0.8
    clean = likely_label_errors(true, shares, limit=None)
    assert len(clean) < 0.03 * len(true)


def test_the_surest_come_first_and_the_limit_cuts_the_rest() -> None:
    _, given, shares = simulated(n=2000, k=4, sharpness=6.0, flipped=0.1, seed=1)
    every = likely_label_errors(given, shares, limit=None)
    assert np.array_equal(likely_label_errors(given, shares, limit=7), every[:7])
    margins = shares[every].max(axis=1) - shares[every, given[every]]
    assert (np.diff(margins) <= 0).all()


def test_it_is_indifferent_to_the_order_of_images_and_classes() -> None:
    _, given, shares = simulated(n=500, k=4, sharpness=6.0, flipped=0.1, seed=2)
    rng = np.random.default_rng(3)
    rows, columns = rng.permutation(500), rng.permutation(4)
    moved = likely_label_errors(np.argsort(columns)[given][rows], shares[rows][:, columns], limit=None)
    assert set(rows[moved]) == set(likely_label_errors(given, shares, limit=None))


def test_thresholds_are_each_class_s_own() -> None:
    """The predictor is sure of class 0 and never of class 1: what passes for sure differs by class."""
    labels = np.array([0] * 20 + [1] * 20)
    shares = np.array([[0.95, 0.04, 0.01]] * 20 + [[0.3, 0.6, 0.1]] * 20)
    shares[0] = [0.03, 0.65, 0.32]  # confident for class 1, whose mean is .6
    shares[20] = [0.80, 0.02, 0.18]  # not confident for class 0, whose mean is about .9
    assert likely_label_errors(labels, shares).tolist() == [0]


@pytest.mark.parametrize(
    ("labels", "shares"),
    [
        ([], np.empty((0, 3))),
        ([], np.empty((0, 0))),
        ([0], [[0.1, 0.9]]),
        ([-1, -1], [[0.1, 0.9], [0.9, 0.1]]),
        ([0, 1, 5], [[1, 0], [0, 1], [1, 0]]),
        ([0, 0, 0], [[1.0], [1.0], [1.0]]),
        ([0, 1], [[np.nan, np.nan], [0.0, 1.0]]),
        ([0, 1] * 10, np.full((20, 2), 0.5)),
    ],
)
def test_where_nothing_can_be_said_nothing_is(labels: list[int], shares: np.ndarray) -> None:
    assert likely_label_errors(np.array(labels, int), shares).tolist() == []


def test_images_without_a_label_change_nothing() -> None:
    _, given, shares = simulated(n=600, k=3, sharpness=6.0, flipped=0.1, seed=4)
    more = np.concatenate([given, [-1, 7]])
    wider = np.concatenate([shares, np.eye(3)[:2]])
    assert np.array_equal(likely_label_errors(more, wider), likely_label_errors(given, shares))


def test_what_is_named_can_be_written_and_read() -> None:
    _, given, shares = simulated(n=300, k=3, sharpness=6.0, flipped=0.1, seed=5)
    paths = [f"{row}.jpg" for row in range(300)]
    found = label_errors(paths, given, shares, classes=("a", "b", "c"), limit=5)
    rows = likely_label_errors(given, shares, limit=5)
    assert [one.path for one in found] == [paths[row] for row in rows]
    assert all(one.label == "abc"[given[row]] != one.predicted for one, row in zip(found, rows, strict=True))
    assert [one.confidence for one in found] == [shares[row].max() for row in rows]
    plain = json.loads(json.dumps([one.to_dict() for one in found]))
    assert tuple(LabelError.from_dict(one) for one in plain) == found


@pytest.mark.parametrize(
    ("paths", "labels", "shares", "classes"),
    [
        (["a"], [0, 1], [[1, 0], [0, 1]], "xy"),
        (["a", "b"], [0, 1], [[1, 0], [0, 1]], "xyz"),
        (["a", "b"], [0], [[1, 0], [0, 1]], "xy"),
        (["a", "b"], [[0, 1]], [[1, 0], [0, 1]], "xy"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(paths: list[str], labels: object, shares: object, classes: str) -> None:
    with pytest.raises(DataError):
        label_errors(paths, labels, shares, classes=tuple(classes))  # type: ignore[arg-type]
