"""Probabilities from scores: better than none, by measure, and never less than harmless."""

import json

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from featx.errors import DataError
from featx.selection.calibration import Calibration, calibration_error, cross_calibrated, fit_calibration
from featx.statistics.reliability import reliability


def drawn(n=600, k=4, *, temperature=0.3, seed=0, folds=5):
    """Scores whose softmax at one temperature is the truth, and labels drawn from it."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, k))
    truth = softmax(scores / temperature, axis=1)
    labels = np.minimum((truth.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1), k - 1)
    return scores.astype(np.float32), labels, np.arange(n) % folds, truth


def log_loss(probabilities, labels):
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-15)).mean())


@pytest.mark.parametrize("k", [2, 4, 30])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_finds_the_temperature_that_the_labels_were_drawn_with(k, temperature):
    scores, labels, folds, _ = drawn(4000, k, temperature=temperature, seed=k)
    for scale in (1e-6, 1.0, 1e3):
        found = fit_calibration(scale * scores, labels, folds)
        assert found.temperature == pytest.approx(scale * temperature, rel=0.2)


def test_the_temperature_is_the_minimum_that_a_general_solver_finds():
    scores, labels, folds, _ = drawn(200, 3, seed=5)
    n, k = scores.shape
    target = np.full((n, k), 1 / (n + 2) / (k - 1))
    target[np.arange(n), labels] = 1 - 1 / (n + 2)
    slow = minimize_scalar(
        lambda log: -(target * log_softmax(scores / np.exp(log), axis=1)).sum(), bounds=(-6, 6), method="bounded"
    )
    assert fit_calibration(scores, labels, folds).temperature == pytest.approx(np.exp(slow.x), rel=1e-4)


def test_probabilities_are_probabilities_and_keep_the_ranking():
    scores, labels, folds, truth = drawn(3000)
    found = fit_calibration(scores, labels, folds)
    probabilities = found.probabilities(scores)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(probabilities.argsort(axis=1), scores.argsort(axis=1))
    np.testing.assert_allclose(probabilities, truth, atol=0.06)
    assert found.error_after < 0.4 * found.error_before
    np.testing.assert_allclose(found.probabilities(scores + 100), probabilities, rtol=1e-3)


def test_the_errors_are_cross_validated():
    """An image's own label changes nothing of the probabilities of its fold."""
    scores, labels, folds, _ = drawn(60)
    before = cross_calibrated(scores, labels, folds)
    other = labels.copy()
    other[folds == 2] = (labels[folds == 2] + 1) % 4
    after = cross_calibrated(scores, other, folds)
    np.testing.assert_array_equal(before[folds == 2], after[folds == 2])
    assert (before[folds != 2] != after[folds != 2]).any()
    found = fit_calibration(scores, labels, folds)
    assert found.log_loss_after == pytest.approx(log_loss(before, labels))
    assert found.error_after == calibration_error(before.max(axis=1), before.argmax(axis=1) == labels)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("temperature", [0.02, 1.0, 50.0])
def test_never_worse_than_nothing(seed, temperature):
    scores, labels, folds, _ = drawn(25, 3, temperature=temperature, seed=seed)
    found = fit_calibration(scores, labels, folds)
    assert found.log_loss_after <= found.log_loss_before == pytest.approx(log_loss(softmax(scores, axis=1), labels))


def test_the_log_odds_of_two_classes_count_once_before():
    """Columns of two classes hold the log odds and their negation; the classifier's own probability is its sigmoid."""
    rng = np.random.default_rng(0)
    odds = 3 * rng.normal(size=2000)
    labels = (rng.random(2000) < 1 / (1 + np.exp(-odds))).astype(int)
    found = fit_calibration(np.column_stack([-odds, odds]), labels, np.arange(2000) % 5)
    assert found.error_before < 0.03
    assert found.temperature == pytest.approx(2, rel=0.1)


def _separated():
    scores, _, folds, _ = drawn(100)
    return scores, scores.argmax(axis=1), folds


def _constant():
    return np.zeros((40, 3)), np.arange(40) % 3, np.arange(40) % 4


def _opposite():
    scores, labels, folds = _separated()
    return -scores, labels, folds


def _huge():
    scores, labels, folds, _ = drawn(200)
    return scores.astype(float) * 1e300, labels, folds


def _tiny():
    scores, labels, folds, _ = drawn(200)
    return scores.astype(float) * 1e-300, labels, folds


def _infinite():
    scores, labels, folds, _ = drawn(200)
    scores[0] = [np.inf, -np.inf, 0, np.inf]
    scores[1] = -np.inf
    scores[2, 1] = np.inf
    return scores, labels, folds


def _absent():
    scores, labels, _, _ = drawn(100)
    return scores, labels, (labels == 1).astype(int)


def _one_of_each():
    return np.eye(3), np.arange(3), np.arange(3)


@pytest.mark.parametrize(
    "case",
    [_separated, _constant, _opposite, _huge, _tiny, _infinite, _absent, _one_of_each],
    ids=lambda case: case.__name__,
)
def test_degenerate_scores(case):
    scores, labels, folds = case()
    found = fit_calibration(scores, labels, folds)
    assert np.isfinite(list(found.to_dict().values())[1:]).all()
    assert found.temperature > 0
    assert found.log_loss_after <= found.log_loss_before
    probabilities = found.probabilities(scores)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities >= 0).all()


def test_separated_classes_are_not_believed_beyond_their_number():
    """Of n images that are all right, the confidence stays about as far below 1 as one error more would say."""
    scores, labels, folds = _separated()
    errors = [
        1 - fit_calibration(scores[:n], labels[:n], folds[:n]).probabilities(scores).max(axis=1).mean()
        for n in (20, 100)
    ]
    assert 0.002 < errors[1] < errors[0] < 0.2


def test_scores_that_tell_nothing_become_uniform():
    scores, labels, folds = _opposite()
    np.testing.assert_allclose(fit_calibration(scores, labels, folds).probabilities(scores), 0.25, atol=1e-2)


def test_it_survives_json():
    scores, labels, folds, _ = drawn(100)
    found = fit_calibration(scores, labels, folds)
    assert Calibration.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize(
    "change", [{"method": "magic"}, {"temperature": 0.0}, {"temperature": float("nan")}, {"more": 1}]
)
def test_refuses_what_it_did_not_write(change):
    scores, labels, folds, _ = drawn(100)
    with pytest.raises((TypeError, ValueError)):
        Calibration.from_dict(fit_calibration(scores, labels, folds).to_dict() | change)


BAD = {
    "one fold": lambda scores, labels, folds: (scores, labels, folds * 0),
    "one column": lambda scores, labels, folds: (scores[:, :1], labels * 0, folds),
    "fewer labels": lambda scores, labels, folds: (scores, labels[1:], folds),
    "no rows": lambda scores, labels, folds: (scores[:0], labels[:0], folds[:0]),
    "a label without a column": lambda scores, labels, folds: (scores, labels + 1, folds),
    "no numbers": lambda scores, labels, folds: (np.where(scores > 1, np.nan, scores), labels, folds),
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_refuses_what_it_can_not_calibrate(change):
    scores, labels, folds, _ = drawn(100)
    with pytest.raises(DataError) as caught:
        fit_calibration(*change(scores, labels, folds))
    assert "\n" not in str(caught.value)


def test_calibration_error():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 20_000)
    right = rng.random(20_000) < confidence
    assert calibration_error(confidence, right) < 0.02
    assert calibration_error(confidence, rng.random(20_000) < confidence - 0.3) == pytest.approx(0.3, abs=0.02)
    few = np.round(confidence[:137], 1)  # with ties
    for sure in (confidence[:137], few, confidence[:9]):
        assert calibration_error(sure, right[: len(sure)]) == pytest.approx(
            reliability(sure, right[: len(sure)]).plug_in
        )
    assert calibration_error(np.ones(5), np.array([True, True, True, True, False])) == pytest.approx(0.2)
