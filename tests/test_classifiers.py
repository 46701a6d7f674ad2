import itertools
import logging
import pickle
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import estimator_checks_generator
from threadpoolctl import threadpool_limits

from featx.classifiers import (
    RECIPES,
    ROWS_AT_ONCE,
    Blueprint,
    check_features,
    class_probabilities,
    class_scores,
    convergence_logged,
    make_classifier,
    trusted_steps,
)
from featx.classifiers.fitting import fit_pipeline, solver_of
from featx.classifiers.logistic import Logistic
from featx.classifiers.machines import OneVsRestLinear, PairwiseSVC
from featx.classifiers.recipes import load
from featx.errors import DataError, UsageError

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
"""scikit-learn warns of every network that ends after the passes it was given; featx doesn't."""

KINDS = [(name, kernel) for name, recipe in RECIPES.items() for kernel in recipe.grids]
SHARING = [
    (name, kernel, solver)
    for name, recipe in RECIPES.items()
    for kernel, solvers in recipe.solvers.items()
    for solver, kind in solvers.items()
    if solver != "blockwise" and {"fit", "judge"} & set(vars(load(kind)))
]
"""Solvers in memory that don't fit as scikit-learn does at every point."""


def clusters(n=120, d=12, k=4, *, seed=0, spread=3.0):
    """Overlapping Gaussian clusters whose columns have very different scales, as deep features do."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    centres = rng.normal(size=(k, d))
    X = (centres[y] + spread * rng.normal(size=(n, d))) * 10.0 ** rng.uniform(-2, 2, d)
    return X.astype(np.float32), y


PLAIN = {
    ("logreg", "linear"): lambda **kw: LogisticRegression(C=0.1, max_iter=5000, tol=1e-8, **kw),
    ("svm", "linear"): lambda **kw: SVC(kernel="linear", C=0.1, **kw),
    ("svm", "rbf"): lambda **kw: SVC(kernel="rbf", C=0.1, **kw),
    ("knn", "linear"): lambda: KNeighborsClassifier(5),
    ("centroid", "linear"): NearestCentroid,
    ("ridge", "linear"): lambda **kw: RidgeClassifier(alpha=1.0, **kw),
    ("lda", "linear"): lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1),
    ("mlp", "linear"): lambda: MLPClassifier((256,), alpha=1.0, max_iter=50, random_state=0),
}
C = {"logreg": {"C": 0.1}, "svm": {"C": 0.1}}


def decisions(fitted, X):
    return (getattr(fitted, "decision_function", None) or fitted.predict_proba)(X)


@pytest.mark.parametrize(("name", "kernel"), KINDS)
@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("how", ["ordinary", "solver"])
def test_is_the_plain_scikit_learn_pipeline(name, kernel, k, how):
    """Whether it is fitted by scikit-learn's own call or by the solver that shares work along a grid."""
    X, y = clusters(k=k)
    plain = make_pipeline(StandardScaler(), PLAIN[name, kernel]()).fit(X, y)
    if how == "ordinary":
        ours = make_classifier(name, kernel=kernel, **C.get(name, {})).fit(X, y)
        assert clone(ours).get_params()["classifier"].get_params() == ours[-1].get_params()
    else:
        solver = "gram" if name == "svm" else "direct"
        ours = fit_pipeline(Blueprint(clf=name, kernel=kernel), C.get(name, {}), X, y, solver=solver)
    np.testing.assert_array_equal(ours.predict(X), plain.predict(X))
    np.testing.assert_allclose(decisions(ours, X), decisions(plain, X), rtol=1e-3, atol=1e-3)
    assert all(isinstance(step, trusted_steps()) for _, step in ours.steps)


@pytest.mark.parametrize(("name", "kernel"), [kind for kind in KINDS if RECIPES[kind[0]].weighs_classes])
def test_balanced_weights_are_scikit_learn_s(name, kernel):
    X, y = clusters(n=160)
    y = np.where(np.arange(len(y)) < 90, 0, y)
    plain = make_pipeline(StandardScaler(), PLAIN[name, kernel](class_weight="balanced")).fit(X, y)
    solver = "gram" if name == "svm" else "direct"
    blueprint = Blueprint(clf=name, kernel=kernel, class_weight="balanced")
    ours = fit_pipeline(blueprint, C.get(name, {}), X, y, solver=solver)
    np.testing.assert_array_equal(ours.predict(X), plain.predict(X))
    unweighted = fit_pipeline(Blueprint(clf=name, kernel=kernel), C.get(name, {}), X, y, solver=solver)
    assert (ours.predict(X) != unweighted.predict(X)).any()


@pytest.mark.parametrize("k", [2, 3, 6])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("penalty", [1e-4, 0.01, 1.0, 100.0])
def test_pairwise_machine_is_libsvm_s(kernel, penalty, k):
    """Votes, ties and margins are those of SVC, of uneven classes, of any labels, on rows it never saw."""
    rng = np.random.default_rng(k)
    X, y = clusters(n=150, k=k, d=40, spread=2.0)
    X, y = StandardScaler().fit_transform(X), y[rng.permutation(len(y))] // (rng.integers(1, 3, len(y)))
    new = rng.normal(size=(300, 40))
    ours = PairwiseSVC(C=penalty, kernel=kernel).fit(X, y)
    plain = SVC(C=penalty, kernel=kernel).fit(X, y)
    np.testing.assert_array_equal(ours.predict(new), plain.predict(new))
    np.testing.assert_array_equal(ours.support_, plain.support_)
    np.testing.assert_allclose(ours.decision_function(new), plain.decision_function(new), rtol=1e-5, atol=1e-7)
    one_to_one = plain.set_params(decision_function_shape="ovo").decision_function(new)
    margins = -ours.margins(new)[:, 0] if len(ours.classes_) == 2 else ours.margins(new)
    np.testing.assert_allclose(margins, one_to_one, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(class_scores(ours, new), class_scores(plain, new), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("machine", [PairwiseSVC(), PairwiseSVC(kernel="rbf"), OneVsRestLinear()], ids=str)
def test_own_estimators_keep_scikit_learn_s_contract(machine):
    for estimator, check in estimator_checks_generator(machine):
        check(estimator)


@pytest.mark.parametrize(("name", "kernel"), KINDS)
@pytest.mark.parametrize("k", [2, 4])
def test_scores_have_a_column_per_class_and_rank_as_the_labels_do(name, kernel, k):
    X, y = clusters(k=k)
    fitted = make_classifier(name, kernel=kernel, **C.get(name, {})).fit(X, y)
    scores, labels = class_scores(fitted, X), fitted.predict(X)
    assert scores.shape == (len(X), k)
    if name == "svm" and k > 2:
        # A label is the class with the most pairs won, a score the least margin of a class: one that wins all leads.
        every = scores.max(axis=1) > 0
        assert every.mean() > 0.9
        np.testing.assert_array_equal(scores.argmax(axis=1)[every], labels[every])
    else:
        np.testing.assert_array_equal(scores[np.arange(len(X)), labels], scores.max(axis=1))
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("estimator", [RandomForestClassifier(20), GaussianNB(), DecisionTreeClassifier()])
def test_any_estimator_is_fitted_after_the_scaler_and_scored(estimator):
    X, y = clusters()
    ours = make_classifier(estimator, seed=3).fit(X, y)
    assert [type(step) for _, step in ours.steps] == [StandardScaler, type(estimator)]
    again = make_classifier(estimator, seed=3).fit(X, y)
    np.testing.assert_array_equal(class_scores(ours, X), class_scores(again, X))
    assert not hasattr(estimator, "classes_")
    whole = make_pipeline(Normalizer(), GaussianNB())
    assert [type(step) for _, step in make_classifier(whole).steps] == [Normalizer, GaussianNB]


def test_steps_come_in_their_order():
    steps = make_classifier("svm", normalize="l2", pca=3).named_steps
    assert list(steps) == ["normalizer", "scaler", "pca", "classifier"]
    X, y = clusters()
    blueprint = Blueprint(clf="logreg", normalize="l2", pca=3)
    fitted = fit_pipeline(blueprint, {"C": 1.0}, X, y, solver="direct")
    np.testing.assert_array_equal(fitted.predict(X), blueprint.pipeline({"C": 1.0}).fit(X, y).predict(X))
    assert fitted[:-1].transform(X).shape == (len(X), 3)


def test_probabilities_where_there_are_any():
    X, y = clusters()
    for name in ("svm", "centroid", "ridge"):
        assert class_probabilities(make_classifier(name).fit(X, y), X) is None
    for name in ("logreg", "knn", "lda", "mlp"):
        probabilities = class_probabilities(make_classifier(name).fit(X, y), X)
        assert probabilities is not None
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


@pytest.fixture
def restless():
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize(("name", "kernel", "solver"), SHARING)
def test_chains_judged_at_once_give_what_they_give_one_by_one(name, kernel, solver):
    X, y = clusters(n=400, d=300)
    points = [
        dict(zip(RECIPES[name].grids[kernel], point, strict=True))
        for point in itertools.product(*(axis.values for axis in RECIPES[name].grids[kernel].values()))
    ]

    blueprint = Blueprint(clf=name, kernel=kernel)

    def judged(threads):
        fitted = solver_of(blueprint, solver)(blueprint, X[:300], y[:300], X[300:])
        with threadpool_limits(limits=1), ThreadPoolExecutor(threads) as pool:
            return [verdict for verdicts in pool.map(fitted.judge, fitted.chains(points)) for verdict in verdicts]

    expected = judged(1)
    for _ in range(100 if len(solver_of(blueprint, solver).chains(points)) > 1 else 1):
        for verdict, other in zip(judged(8), expected, strict=True):
            np.testing.assert_array_equal(verdict.labels, other.labels)
            np.testing.assert_array_equal(verdict.scores, other.scores)


@pytest.mark.parametrize(("name", "kernel", "solver"), SHARING)
def test_judging_changes_nothing_that_threads_share(name, kernel, solver):
    """A solver that made something at its first points would be found half made by others, in one of many runs."""
    X, y = clusters()
    X /= X.std(axis=0)
    grid = RECIPES[name].grids[kernel]
    points = itertools.product(*(axis.values for axis in grid.values()))
    blueprint = Blueprint(clf=name, kernel=kernel)
    fitted = solver_of(blueprint, solver)(blueprint, X[:90], y[:90], X[90:])

    def shared():
        # In a dict, a chain leaves what it found for its own next points, under a key of its own.
        return {name: pickle.dumps(value) for name, value in vars(fitted).items() if not isinstance(value, dict)}

    before = shared()
    for chain in fitted.chains([dict(zip(grid, point, strict=True)) for point in points]):
        fitted.judge(chain)
        assert shared() == before


@pytest.mark.parametrize("shape", [(60, 200), (200, 60)])
@pytest.mark.parametrize("k", [2, 5])
def test_logistic_regression_reaches_scikit_learn_s_minimum(shape, k):
    """For every C, also those it comes to from a smaller one; of more columns than rows, or of fewer."""
    n, d = shape
    X, y = clusters(n=n, d=d, k=k)
    X = StandardScaler().fit_transform(X @ np.random.default_rng(1).normal(size=(d, d)).astype(np.float32))
    solver = Logistic(Blueprint(clf="logreg"), X.copy(), y)
    for penalty in (1e-4, 1e-2, 1.0, 100.0):
        ours = solver.fit({"C": penalty})
        plain = LogisticRegression(C=penalty, max_iter=20_000, tol=1e-9).fit(X.astype(np.float64), y)
        np.testing.assert_array_equal(ours.predict(X), plain.predict(X))
        np.testing.assert_allclose(ours.predict_proba(X), plain.predict_proba(X), atol=1e-3)
        assert np.linalg.norm(ours.coef_ - plain.coef_) < 3e-3 * np.linalg.norm(plain.coef_)


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
        ("knn", {"C": 1.0}, "'knn' has no C: its hyperparameters are n_neighbors"),
        ("knn", {"class_weight": "balanced"}, "can't use `class_weight`"),
        ("svm", {"class_weight": "even"}, "None, balanced"),
        ("svm", {"normalize": "l1"}, "None, l2"),
        ("svm", {"pca": 0}, "1 or more"),
        (GaussianNB(), {"kernel": "rbf"}, "in the estimator itself"),
        (GaussianNB, {}, "a scikit-learn estimator"),
        (make_pipeline(GaussianNB()), {"pca": 3}, "steps of the pipeline itself"),
    ],
)
def test_refuses_what_makes_no_sense(name, options, said):
    with pytest.raises(UsageError, match=said) as caught:
        make_classifier(name, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "kernel"), KINDS)
def test_grids_ascend(name, kernel):
    for axis in RECIPES[name].grids[kernel].values():
        assert list(axis.values) == sorted(set(axis.values))
        assert axis.values[0] > 0


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
    assert record.getMessage().startswith("3 fits stopped before the best solution was reached")
    assert "\n" not in record.getMessage()
