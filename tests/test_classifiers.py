import logging
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from featx.classifiers import (
    RECIPES,
    ROWS_AT_ONCE,
    check_features,
    class_probabilities,
    class_scores,
    convergence_logged,
    make_classifier,
    trusted_steps,
)
from featx.errors import DataError, UsageError

KINDS = [(name, kernel) for name, recipe in RECIPES.items() for kernel in recipe.grids]


def clusters(n=120, d=12, k=4, *, seed=0, spread=3.0):
    """Overlapping Gaussian clusters whose columns have very different scales, as deep features do."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    centres = rng.normal(size=(k, d))
    X = (centres[y] + spread * rng.normal(size=(n, d))) * 10.0 ** rng.uniform(-2, 2, d)
    return X.astype(np.float32), y


PLAIN = {
    ("logreg", "linear"): lambda C: LogisticRegression(C=C, max_iter=5000),
    ("svm", "linear"): lambda C: SVC(kernel="linear", C=C),
    ("svm", "rbf"): lambda C: SVC(kernel="rbf", C=C),
}


@pytest.mark.parametrize(("name", "kernel"), KINDS)
@pytest.mark.parametrize("k", [2, 4])
def test_is_the_plain_scikit_learn_pipeline(name, kernel, k):
    X, y = clusters(k=k)
    ours = make_classifier(name, C=0.1, kernel=kernel).fit(X, y)
    plain = make_pipeline(StandardScaler(), PLAIN[name, kernel](0.1)).fit(X, y)
    np.testing.assert_array_equal(ours.predict(X), plain.predict(X))
    np.testing.assert_array_equal(ours.decision_function(X), plain.decision_function(X))
    assert clone(ours).get_params()["classifier__C"] == 0.1
    assert all(isinstance(step, trusted_steps()) for _, step in ours.steps)


@pytest.mark.parametrize(("name", "kernel"), KINDS)
@pytest.mark.parametrize("k", [2, 4])
def test_scores_have_a_column_per_class_and_rank_as_the_labels_do(name, kernel, k):
    X, y = clusters(k=k)
    fitted = make_classifier(name, C=0.1, kernel=kernel).fit(X, y)
    scores, labels = class_scores(fitted, X), fitted.predict(X)
    assert scores.shape == (len(X), k)
    if name == "svm" and k > 2:
        # A score is a number of votes and a fraction below 1/3: the label may only differ among equal votes.
        scores = np.round(scores)
    np.testing.assert_array_equal(scores[np.arange(len(X)), labels], scores.max(axis=1))


def test_probabilities_where_there_are_any():
    X, y = clusters()
    assert class_probabilities(make_classifier("svm").fit(X, y), X) is None
    probabilities = class_probabilities(make_classifier("logreg").fit(X, y), X)
    assert probabilities is not None
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("forest", {}, "logreg, svm"),
        ("SVM", {}, "'SVM'"),
        ("svm", {"kernel": "poly"}, "linear, rbf"),
        ("logreg", {"kernel": "rbf"}, "'logreg' has no kernel 'rbf'"),
        ("svm", {"C": 0.0}, "above zero"),
        ("svm", {"C": -1.0}, "above zero"),
        ("logreg", {"C": float("nan")}, "nan"),
        ("logreg", {"C": float("inf")}, "inf"),
    ],
)
def test_refuses_what_makes_no_sense(name, options, said):
    with pytest.raises(UsageError, match=said) as caught:
        make_classifier(name, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "kernel"), KINDS)
def test_grids_ascend(name, kernel):
    grid = RECIPES[name].grids[kernel]
    assert list(grid) == sorted(set(grid))
    assert grid[0] > 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 7])
def test_names_the_row_that_is_not_finite(value, row):
    X = np.zeros((ROWS_AT_ONCE + 8, 2), np.float32)
    check_features(X)
    X[row:, 1] = value
    with pytest.raises(DataError, match=f"row {row} "):
        check_features(X)


@pytest.mark.parametrize("X", [np.zeros(3), np.zeros((2, 3, 4)), np.zeros((3, 0)), np.zeros((3, 2), int)])
def test_refuses_what_is_no_matrix_of_features(X):
    with pytest.raises(DataError, match="matrix"):
        check_features(X)


def test_a_fit_that_stops_early_is_logged_and_other_warnings_stay(caplog):
    X, y = clusters()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with caplog.at_level(logging.WARNING), convergence_logged():
            for _ in range(3):
                LogisticRegression(max_iter=1).fit(X, y)
            warnings.warn("something else", UserWarning, stacklevel=1)
    assert [str(entry.message) for entry in seen] == ["something else"]
    (record,) = caplog.records
    assert record.getMessage().startswith("3 fits stopped before they converged")
    assert "\n" not in record.getMessage()
