import logging
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from featx.classifiers import RECIPES, Axis, make_classifier
from featx.errors import DataError, UsageError
from featx.selection import SelectionOptions, SweepRow, select
from featx.selection.grid import best, enclosed, points_of, widened
from featx.selection.planning import log_plan, plan_fit

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
"""scikit-learn warns of every network that ends after the passes it was given; featx doesn't."""

KINDS = [(name, kernel) for name, recipe in RECIPES.items() for kernel in recipe.grids]


def clusters(n=120, d=12, k=4, *, seed=0, spread=3.0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    centres = rng.normal(size=(k, d))
    X = (centres[y] + spread * rng.normal(size=(n, d))) * 10.0 ** rng.uniform(-2, 2, d)
    return X.astype(np.float32), y


PLAIN = {
    "logreg": LogisticRegression(max_iter=20_000, tol=1e-9),
    "svm linear": SVC(kernel="linear"),
    "svm rbf": SVC(kernel="rbf"),
    "knn": KNeighborsClassifier(),
    "centroid": NearestCentroid(),
    "ridge": RidgeClassifier(),
    "lda": LinearDiscriminantAnalysis(solver="lsqr"),
    "mlp": MLPClassifier((256,), max_iter=50, random_state=3),
}


def plain_scores(name, kernel, X, y, folds, points, *, weight=None):
    """Accuracy of scikit-learn's own classifiers, fold by fold and point by point; (points, folds)."""
    found = []
    for point in points:
        row = []
        for train, test in folds:
            scaler = StandardScaler().fit(X[train])
            known, unknown = scaler.transform(X[train]), scaler.transform(X[test])
            own = dict(point)
            if "gamma" in own:
                own["gamma"] /= known.shape[1] * known.astype(np.float64).var()
            if weight is not None:
                own["class_weight"] = weight
            classifier = clone(PLAIN.get(name) or PLAIN[f"{name} {kernel}"]).set_params(**own)
            row.append(float(np.mean(classifier.fit(known, y[train]).predict(unknown) == y[test])))
        found.append(row)
    return np.array(found)


@pytest.mark.parametrize(("name", "kernel"), KINDS)
@pytest.mark.parametrize(("k", "weight"), [(2, None), (4, None), (4, "balanced")])
def test_agrees_with_plain_classifiers_on_the_same_folds(name, kernel, k, weight):
    """Also beyond the grid's first values, with weights, and of uneven classes."""
    if weight is not None and not RECIPES[name].weighs_classes:
        pytest.skip(f"{name} has no class weights")
    X, y = clusters(k=k, d=150)  # more columns than rows in a fold, as with deep features
    y = np.where(np.arange(len(y)) < 30, 0, y)
    ours = select(name, X, y, options=SelectionOptions(kernel=kernel, seed=3, class_weight=weight))
    folds = list(StratifiedKFold(5, shuffle=True, random_state=3).split(X, y))
    points = [dict(row.params) for row in ours.rows]
    for point in points:
        if "gamma" in point:
            # Of all rows back to the multiple of a fold's own.
            point["gamma"] *= 150
    with threadpool_limits(limits=1):
        plain = plain_scores(name, kernel, X, y, folds, points, weight=weight)
    np.testing.assert_array_equal([row.scores for row in ours.rows], plain)
    np.testing.assert_allclose([row.mean for row in ours.rows], plain.mean(axis=1))
    np.testing.assert_allclose([row.std for row in ours.rows], plain.std(axis=1))
    assert ours.chosen.mean == pytest.approx(plain.mean(axis=1).max())
    accuracy = [np.mean(ours.oof.labels[test] == y[test]) for _, test in folds]
    np.testing.assert_array_equal(accuracy, ours.chosen.scores)


@pytest.mark.parametrize(("name", "step"), [("svm", SVC(kernel="linear")), ("logreg", PLAIN["logreg"])])
def test_is_what_a_grid_search_finds(name, step):
    X, y = clusters(d=150)
    ours = select(name, X, y, options=SelectionOptions(seed=3))
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    grid = [row.params["C"] for row in ours.rows]
    pipeline = Pipeline([("scaler", StandardScaler()), ("classifier", step)])
    plain = GridSearchCV(pipeline, {"classifier__C": grid}, cv=folds).fit(X, y)
    assert plain.best_params_ == {"classifier__C": ours.params["C"]}
    np.testing.assert_array_equal(ours.oof.labels, cross_val_predict(plain.best_estimator_, X, y, cv=folds))


@pytest.mark.parametrize(("name", "kernel"), KINDS)
def test_a_held_out_row_changes_no_prediction_for_its_own_fold(name, kernel):
    """The scaler, the components, the kernel's width, the classifier and the choice never saw a test row."""
    X, y = clusters(n=60)
    options = SelectionOptions(kernel=kernel, normalize="l2", pca=5, nested=True, folds=3)
    before = select(name, X, y, options=options)
    X[0, ::2] *= 1e4  # half of it, so that it changes when brought to length one too
    after = select(name, X, y, options=options)
    own = before.oof.folds == before.oof.folds[0]
    others = own.copy()
    others[0] = False
    # With the choice made inside, the fold's row has no say in the hyperparameters either.
    np.testing.assert_array_equal(before.nested.scores[others], after.nested.scores[others])
    assert (before.nested.scores[~own] != after.nested.scores[~own]).any()
    if before.params == after.params:
        np.testing.assert_array_equal(before.oof.scores[others], after.oof.scores[others])


@pytest.mark.parametrize(("name", "kernel"), KINDS)
def test_repeats_to_the_last_bit_however_many_threads(name, kernel):
    X, y = clusters(n=200, d=300)
    nested = False if name == "mlp" else None  # hundreds of networks would take a quarter of a minute
    options = [SelectionOptions(kernel=kernel, n_jobs=jobs, nested=nested) for jobs in (1, 2, -1, -1)]
    runs = [select(name, X, y, options=one) for one in options]
    for run in runs[1:]:
        assert run.rows == runs[0].rows
        np.testing.assert_array_equal(run.oof.scores, runs[0].oof.scores)
    other = select(name, X, y, options=SelectionOptions(kernel=kernel, seed=1, nested=nested))
    assert (other.oof.folds != runs[0].oof.folds).any()


def test_of_equal_scores_the_smallest_value_is_chosen():
    X, y = clusters(spread=0.01)
    for name, most in (("svm", min), ("ridge", max), ("knn", max)):
        found = select(name, X, y)
        best = max(row.mean for row in found.rows)
        ties = [next(iter(row.params.values())) for row in found.rows if row.mean == best]
        assert len(ties) > 1
        assert list(found.params.values()) == [most(ties)]
        assert len(found.rows) == len(points_of({"": next(iter(RECIPES[name].grids["linear"].values())).values}))


def row(params, *scores):
    return SweepRow(params=params, scores=scores)


LOW, HIGH = Axis(values=(0.01, 0.1, 1.0), widened_by=10.0), Axis(values=(1.0, 10.0), simpler="high", widened_by=10.0)


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ((0.9, 0.8, 0.7), (0.001, 0.01, 0.1, 1.0)),
        ((0.7, 0.8, 0.9), (0.01, 0.1, 1.0, 10.0)),
        ((0.7, 0.9, 0.8), None),
        ((0.9, 0.9, 0.8), None),  # a level flank goes on level
        ((0.7, 0.9, 0.9), None),
        ((0.9, 0.8, 0.9), None),
    ],
)
def test_a_grid_is_widened_where_its_best_lies_at_the_edge(means, expected):
    rows = [row({"C": C}, mean, mean) for C, mean in zip(LOW.values, means, strict=True)]
    found = widened({"C": LOW.values}, rows, {"C": LOW})
    assert (found and found["C"]) == expected


def test_a_grid_of_two_is_widened_along_each_by_itself():
    axes = {"C": LOW, "gamma": HIGH}
    values = {name: axis.values for name, axis in axes.items()}
    rows = [row(point, 0.9 if point == {"C": 0.1, "gamma": 10.0} else 0.5, 0.5) for point in points_of(values)]
    assert widened(values, rows, axes) == {"C": LOW.values, "gamma": (1.0, 10.0, 100.0)}


@pytest.mark.parametrize(("axis", "choice"), [(LOW, 0.1), (replace(LOW, simpler="high"), 1.0)])
def test_the_rule_of_one_standard_error_takes_the_simplest_that_is_good_enough(axis, choice):
    rows = [
        row({"C": 0.01}, 0.5, 0.6),
        row({"C": 0.1}, 0.79, 0.81),
        row({"C": 1.0}, 0.78, 0.82),
        row({"C": 10.0}, 0.81, 0.83),
    ]
    assert rows[3].standard_error == pytest.approx(0.01)
    assert rows[best(rows, {"C": axis})].params == {"C": 10.0}
    rows[3] = row({"C": 10.0}, 0.80, 0.83)
    assert rows[best(rows, {"C": axis}, rule="one-se")].params == {"C": 10.0 if axis.simpler == "high" else choice}


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ((0.6, 0.9, 0.8, 0.7), True),
        ((0.6, 0.9, 0.8, 0.85), True),
        ((0.7, 0.9, 0.8, 0.895), False),  # within a standard error of the best
        ((0.6, 0.7, 0.9, 0.8), False),  # only one that falls short
        ((0.6, 0.7, 0.8, 0.9), False),
        ((0.9, 0.8, 0.7, 0.6), False),  # it may be better below, or rise yet
        ((0.895, 0.9, 0.8, 0.7), False),
        ((0.9, 0.8), False),
    ],
)
def test_a_grid_is_left_where_its_best_lies_within(means, expected):
    assert enclosed([row({"C": 10.0**i}, mean - 0.01, mean + 0.01) for i, mean in enumerate(means)]) is expected


@pytest.mark.parametrize("rule", ["best", "one-se"])
@pytest.mark.parametrize("name", ["svm", "logreg"])
def test_blocks_of_rows_leave_the_grid_and_choose_as_if_they_had_not(name, rule, caplog, monkeypatch):
    X, y = clusters(n=600, d=150, spread=6.0)
    rng = np.random.default_rng(1)
    y = np.where(rng.random(600) < 0.15, rng.integers(0, 4, 600), y)
    options = SelectionOptions(solver="blockwise", rule=rule)
    with caplog.at_level(logging.INFO):
        left = select(name, X, y, options=options)
    monkeypatch.setattr("featx.selection.choosing.enclosed", lambda _rows: False)
    whole = select(name, X, y, options=options)
    assert len(left.rows) < len(whole.rows)
    assert f"nothing beyond {left.rows[-1].params['C']:g} is tried" in caplog.text
    assert left.params == whole.params
    assert left.rows == whole.rows[: len(left.rows)]


@pytest.mark.parametrize("name", ["svm", "logreg"])
@pytest.mark.parametrize(("share", "gap"), [(0.2, 0.1), (0.3, 0.05)])
def test_a_plateau_of_the_most_frequent_class_does_not_end_a_sweep(name, share, gap):
    """The classes differ along a direction of little variance, where the weakest classifiers see nothing."""
    rng, n = np.random.default_rng(0), 400
    y = (np.arange(n) < n * share).astype(int)
    common, apart = rng.normal(size=n), gap * rng.normal(size=(2, n)) / 10
    X = np.column_stack([common + apart[0] + gap * y, common + apart[1], rng.normal(size=(n, 20))])
    found = select(name, X.astype(np.float32), y, options=SelectionOptions(solver="blockwise", nested=True))
    assert found.rows[0].mean == pytest.approx(1 - share)
    assert found.chosen.mean > 0.98
    assert np.mean(found.nested.labels == y) > 0.97


def test_a_sweep_is_widened_until_its_best_lies_within(caplog):
    X, y = clusters(n=300, d=4, spread=0.8)
    X = X[:, :3] - X[:, :3].mean(axis=0)
    y = (X[:, 0] ** 2 + X[:, 1] ** 2 > np.median(X[:, 0] ** 2 + X[:, 1] ** 2)).astype(int)
    with caplog.at_level(logging.INFO):
        found = select("svm", X, y, options=SelectionOptions(kernel="rbf"))
    tried = sorted({one.params["C"] for one in found.rows})
    assert found.chosen.mean == max(one.mean for one in found.rows)
    if len(tried) > len(RECIPES["svm"].grids["rbf"]["C"].values):
        assert "at the edge of the grid" in caplog.text
    assert len(found.rows) == len(tried) * len({one.params["gamma"] for one in found.rows})


def test_nested_folds_choose_for_themselves():
    X, y = clusters(n=80, spread=6.0)
    found = select("knn", X, y, options=SelectionOptions(nested=True, seed=5))
    np.testing.assert_array_equal(found.nested.folds, found.oof.folds)
    for fold in range(found.folds):
        out = found.nested.folds == fold
        inner = select("knn", X[~out], y[~out], options=SelectionOptions(seed=5))
        plain = make_classifier("knn", **inner.params).fit(X[~out], y[~out])
        np.testing.assert_array_equal(found.nested.labels[out], plain.predict(X[out]))
    single = select("centroid", X, y, options=SelectionOptions(nested=True))
    np.testing.assert_array_equal(single.nested.labels, single.oof.labels)


def test_any_estimator_is_cross_validated():
    X, y = clusters()
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for estimator in (GaussianNB(), Pipeline([("scaler", StandardScaler()), ("naive", GaussianNB())])):
        found = select(estimator, X, y)
        plain = Pipeline([("scaler", StandardScaler()), ("naive", GaussianNB())])
        np.testing.assert_array_equal(found.oof.labels, cross_val_predict(plain, X, y, cv=folds))
        assert (found.params, len(found.rows)) == ({}, 1)


def test_blocks_of_rows_give_the_logistic_regression_of_memory():
    X, y = clusters(n=300, d=30, k=3)
    memory, blocks = (select("logreg", X, y, options=SelectionOptions(solver=how)) for how in ("direct", "blockwise"))
    difference = np.array([one.mean for one in memory.rows]) - [one.mean for one in blocks.rows[: len(memory.rows)]]
    assert np.abs(difference).max() < 0.005
    assert select("svm", X, y, options=SelectionOptions(solver="blockwise")).chosen.mean > 0.6


@pytest.mark.parametrize(
    ("clf", "options"),
    [
        ("knn", {"solver": "gram"}),
        ("svm", {"solver": "blockwise", "kernel": "rbf"}),
        ("logreg", {"solver": "blockwise", "pca": 3}),
        ("knn", {"C": 1.0}),
        ("logreg", {"pca": 13}),
        ("logreg", {"pca": 12, "folds": 10}),
    ],
)
def test_refuses_options_that_do_not_go_together(clf, options):
    X, y = clusters(n=13 if options.get("folds") else 120, k=2)
    with pytest.raises(UsageError) as caught:
        select(clf, X, y, options=SelectionOptions(**{"folds": 5, **options}))
    assert "\n" not in str(caught.value)


def test_a_plan_says_what_a_fit_takes_and_warns_of_a_long_one(caplog):
    blueprint = SelectionOptions().blueprint("logreg")
    plan = plan_fit(blueprint, (4_000, 2_048), 10, options=SelectionOptions())
    assert plan.solver in ("direct", "blockwise")
    assert plan.seconds is not None
    assert "4,000 x 2,048" in plan.text
    assert plan_fit(blueprint, (100_000, 2_048), 10, options=SelectionOptions()).solver == "blockwise"
    longer = plan_fit(blueprint, (4_000, 2_048), 10, options=SelectionOptions(nested=True))
    assert longer.seconds > plan.seconds
    with caplog.at_level(logging.INFO):
        log_plan(replace(plan, seconds=30.0))
        log_plan(replace(plan, seconds=601.0))
    assert [entry.levelname for entry in caplog.records] == ["INFO", "WARNING"]


def test_reads_features_from_a_memory_map_as_from_memory(tmp_path):
    X, y = clusters()
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_array_equal(select("svm", mapped, y).oof.scores, select("svm", X, y).oof.scores)


def test_a_given_value_is_cross_validated_alone():
    X, y = clusters()
    found = select("logreg", X, y, options=SelectionOptions(C=0.3))
    assert found.params == {"C": 0.3}
    assert [dict(one.params) for one in found.rows] == [{"C": 0.3}]
    assert found.oof is not None


@pytest.mark.parametrize(("name", "kernel"), KINDS)
def test_constant_features_are_harmless(name, kernel):
    X, y = clusters()
    X[:, :3] = 7
    assert select(name, X, y, options=SelectionOptions(kernel=kernel)).rows
    found = select(name, np.full_like(X, 0.1), y, options=SelectionOptions(kernel=kernel))
    assert found.rows[0].mean == pytest.approx(0.25, abs=0.05)


def test_a_group_is_never_on_both_sides():
    X, y = clusters()
    # A group holds images of all classes; the last twenty images belong to none.
    groups = [f"g{i // 10}" for i in range(100)] + [""] * 20
    found = select("logreg", X, y, options=SelectionOptions(C=0.1), groups=groups)
    folds = found.oof.folds
    for group in set(groups[:100]):
        assert len({folds[i] for i in range(100) if groups[i] == group}) == 1
    assert len(set(folds[100:])) > 1
    assert found.folds == 5


@pytest.mark.parametrize(
    ("counts", "grouped", "folds"),
    [((40, 3), False, 3), ((40, 2), False, 2), ((30, 30, 4), False, 4), ((40, 40), True, 4)],
)
def test_folds_are_lowered_to_what_the_rarest_class_allows(counts, grouped, folds, caplog):
    y = np.repeat(np.arange(len(counts)), counts)
    X = np.random.default_rng(0).normal(size=(len(y), 5))
    groups = [f"g{i % 4}" for i in range(len(y))] if grouped else None
    with caplog.at_level(logging.WARNING):
        found = select("logreg", X, y, groups=groups, classes=["ant", "bee", "cat"])
    assert found.folds == folds
    assert {len(row.scores) for row in found.rows} == {folds}
    (record,) = caplog.records
    assert f"{folds} folds in place of 5, because" in record.getMessage()


@pytest.mark.parametrize("folds", [3, 5])
def test_fewer_folds_are_warned_of_once_where_the_choice_is_cross_validated_too(folds, caplog):
    """The folds within each fold, which have one image less of the rarest class, add no warning of their own."""
    y = np.repeat([0, 1], [40, 3])
    X = np.random.default_rng(0).normal(size=(len(y), 5))
    with caplog.at_level(logging.WARNING):
        found = select("logreg", X, y, options=SelectionOptions(nested=True, folds=folds), classes=["ant", "bee"])
    assert found.nested is not None
    expected = ["3 folds in place of 5, because class 'bee' has only 3 images"] if folds == 5 else []
    assert [record.getMessage() for record in caplog.records] == expected


TOO_FEW = [
    pytest.param([20, 1], None, "class 'bee' has only one: add images, or use `C=1`", id="one image"),
    pytest.param([20, 20], ["a"] * 20 + ["b", "c"] * 10, "two groups of each .* 'ant' has only one", id="one group"),
]


@pytest.mark.parametrize(("counts", "groups", "said"), TOO_FEW)
def test_too_few_to_cross_validate(counts, groups, said, caplog):
    y = np.repeat([0, 1], counts)
    X = np.random.default_rng(0).normal(size=(len(y), 5))
    with pytest.raises(DataError, match=said):
        select("svm", X, y, groups=groups, classes=["ant", "bee"])
    found = select("svm", X, y, groups=groups, classes=["ant", "bee"], options=SelectionOptions(C=2.0))
    assert (found.params, found.folds, found.rows, found.oof) == ({"C": 2.0}, 0, (), None)
    assert "without" in caplog.text


def test_a_class_that_groups_keep_in_one_fold_is_named():
    # Every class is in two groups or more, and still the splitter puts all groups of one class into one fold.
    rows = ["g0 1", "g0 1", "g0 2", "g1 0", "g1 0", "g1 0", "g1 0", "g2 2", "g3 1", "g4 0", "g4 1"]
    groups = [row.split()[0] for row in rows]
    y = np.array([int(row.split()[1]) for row in rows])
    X = np.random.default_rng(0).normal(size=(len(y), 4))
    with pytest.raises(DataError, match="came into one fold, because groups stay together"):
        select("logreg", X, y, groups=groups, classes=["ant", "bee", "cat"])
    options = SelectionOptions(C=0.1)
    assert select("logreg", X, y, groups=groups, classes=["ant", "bee", "cat"], options=options).oof is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda X, y: (X, np.zeros_like(y)), "at least two classes, found ant"),
        (lambda X, y: (X, y[:-1]), "found 119 labels"),
        (lambda X, y: (np.where(np.isclose(X, X[3, 2], rtol=0, atol=0), np.nan, X), y), "row 3 "),
        (lambda X, y: (X[:0], y[:0]), "at least two classes, found none"),
        (lambda X, y: (X[0], y), "matrix"),
    ],
)
def test_refuses_data_that_nothing_can_be_fitted_on(change, said):
    X, y = change(*clusters(k=2))
    with pytest.raises(DataError, match=said) as caught:
        select("svm", X, y, classes=["ant", "bee"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{"folds": 1}, {"C": 0.0}, {"C": float("nan")}, {"n_jobs": 0}, {"folds": -3}, {"rule": "x"}, {"solver": "x"}],
)
def test_refuses_options_that_make_no_sense(options):
    with pytest.raises(UsageError):
        SelectionOptions(**options)


def test_refuses_unknown_names_before_any_work():
    with pytest.raises(UsageError, match="logreg, svm"):
        select("forest", np.zeros((0, 0)), np.zeros(0, int))
