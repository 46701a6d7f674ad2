"""Small networks as classifiers: what scikit-learn's own doesn't do, or does to the surprise of users."""

import logging

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from featx.classifiers import Blueprint, class_scores, convergence_logged
from featx.classifiers.fitting import fit_pipeline
from featx.selection import SelectionOptions, select


def blobs(k, *, spread=1.0, n=60, d=5):
    rng = np.random.default_rng(0)
    y = np.arange(n) % k
    return (rng.normal(size=(k, d))[y] + spread * rng.normal(size=(n, d))).astype(np.float32), y


@pytest.mark.parametrize("k", [2, 3])
def test_scores_are_logarithms_of_probabilities_also_where_those_round_to_one(k):
    """A calibration needs to know of two sure images which one is surer."""
    X, y = blobs(k)
    with convergence_logged(Blueprint(clf="mlp").recipe):
        network = fit_pipeline(Blueprint(clf="mlp"), {}, X, y, solver="direct")
    np.testing.assert_allclose(class_scores(network, X), np.log(network.predict_proba(X)), rtol=1e-4, atol=1e-5)
    far = X * np.float32(1e4)
    assert (network.predict_proba(far).max(axis=1) == 1).any()
    scores = class_scores(network, far)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores.argmax(axis=1), network.predict(far))
    assert len(np.unique(scores.min(axis=1))) == len(far)


def test_an_estimator_with_another_activation_is_scored_by_its_probabilities():
    X, y = blobs(3)
    with convergence_logged():
        network = MLPClassifier((4,), activation="tanh", max_iter=20, random_state=0).fit(X, y)
    np.testing.assert_allclose(class_scores(network, X), np.log(network.predict_proba(X)), rtol=1e-6)


def test_a_fit_ends_after_its_passes_without_a_warning(caplog):
    X, y = blobs(3, spread=5.0)
    with caplog.at_level(logging.WARNING):
        found = select("mlp", X, y, options=SelectionOptions(folds=3, nested=False))
        with convergence_logged(Blueprint(clf="mlp").recipe):
            network = fit_pipeline(Blueprint(clf="mlp"), found.params, X, y, solver="direct")[-1]
    assert network.n_iter_ == network.max_iter
    assert caplog.text == ""
    estimator = MLPClassifier((4,), max_iter=3)
    with caplog.at_level(logging.WARNING):
        select(estimator, X, y, options=SelectionOptions(folds=3))
    assert "3 fits stopped before the best solution was reached" in caplog.text


def test_the_seed_decides_the_network():
    X, y = blobs(3)

    def weights(seed):
        return fit_pipeline(Blueprint(clf="mlp", seed=seed), {}, X, y, solver="direct")[-1].coefs_[0]

    with convergence_logged(Blueprint(clf="mlp").recipe):
        one, again, other = weights(1), weights(1), weights(2)
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_nothing_is_kept_that_only_a_continued_training_needs():
    """The optimizer's state is twice the weights, and no type that a model file may hold."""
    X, y = blobs(3)
    with convergence_logged(Blueprint(clf="mlp").recipe):
        network = fit_pipeline(Blueprint(clf="mlp"), {}, X, y, solver="direct")[-1]
    large = [name for name, value in vars(network).items() if "optimizer" in name or "random" in type(value).__name__]
    assert large == []
