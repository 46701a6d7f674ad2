import logging

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from threadpoolctl import threadpool_limits

from featx.classifiers import RECIPES, make_classifier
from featx.errors import DataError, UsageError
from featx.selection import SelectionOptions, select

KINDS = [(name, kernel) for name, recipe in RECIPES.items() for kernel in recipe.grids]


def clusters(n=120, d=12, k=4, *, seed=0, spread=3.0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    centres = rng.normal(size=(k, d))
    X = (centres[y] + spread * rng.normal(size=(n, d))) * 10.0 ** rng.uniform(-2, 2, d)
    return X.astype(np.float32), y


@pytest.mark.parametrize(("name", "kernel"), KINDS)
@pytest.mark.parametrize("k", [2, 4])
def test_agrees_with_a_plain_grid_search_on_the_same_folds(name, kernel, k):
    X, y = clusters(k=k, d=150)  # more columns than rows in a fold, as with deep features
    ours = select(name, X, y, options=SelectionOptions(kernel=kernel, seed=3))
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    grid = list(RECIPES[name].grids[kernel])
    search = GridSearchCV(make_classifier(name, kernel=kernel), {"classifier__C": grid}, cv=folds)
    with threadpool_limits(limits=1):
        plain = search.fit(X, y)

    reference = np.array([plain.cv_results_[f"split{fold}_test_score"] for fold in range(5)]).T
    np.testing.assert_array_equal([row.scores for row in ours.rows], reference)
    np.testing.assert_allclose([row.mean for row in ours.rows], plain.cv_results_["mean_test_score"])
    np.testing.assert_allclose([row.std for row in ours.rows], plain.cv_results_["std_test_score"])
    assert [row.C for row in ours.rows] == grid
    assert plain.best_params_ == {"classifier__C": ours.C}

    best = plain.best_estimator_
    assert ours.oof is not None
    np.testing.assert_array_equal(ours.oof.labels, cross_val_predict(best, X, y, cv=folds))
    scores = cross_val_predict(best, X, y, cv=folds, method="decision_function")
    np.testing.assert_allclose(ours.oof.scores[:, 1] if k == 2 else ours.oof.scores, scores, rtol=1e-3, atol=1e-4)
    assert (ours.oof.probabilities is None) == (name == "svm")
    if ours.oof.probabilities is not None:
        np.testing.assert_allclose(
            ours.oof.probabilities, cross_val_predict(best, X, y, cv=folds, method="predict_proba"), atol=1e-5
        )


@pytest.mark.parametrize(("name", "kernel"), KINDS)
def test_a_held_out_row_changes_no_prediction_for_its_own_fold(name, kernel):
    """The scaler, the kernel's width and the classifier never saw a test row."""
    X, y = clusters()
    options = SelectionOptions(kernel=kernel, C=0.1)
    before = select(name, X, y, options=options).oof
    X[0] *= 1e4
    after = select(name, X, y, options=options).oof
    own = before.folds == before.folds[0]
    others = own.copy()
    others[0] = False
    np.testing.assert_array_equal(before.scores[others], after.scores[others])
    assert (before.scores[~own] != after.scores[~own]).any()


@pytest.mark.parametrize(("name", "kernel"), KINDS)
def test_repeats_to_the_last_bit_however_many_threads(name, kernel):
    X, y = clusters(n=200, d=300)
    runs = [select(name, X, y, options=SelectionOptions(kernel=kernel, n_jobs=jobs)) for jobs in (1, 2, -1, -1)]
    for run in runs[1:]:
        assert run.rows == runs[0].rows
        np.testing.assert_array_equal(run.oof.scores, runs[0].oof.scores)
    other = select(name, X, y, options=SelectionOptions(kernel=kernel, seed=1))
    assert (other.oof.folds != runs[0].oof.folds).any()


def test_of_equal_scores_the_smallest_value_is_chosen():
    X, y = clusters(spread=0.01)
    found = select("svm", X, y)
    best = max(row.mean for row in found.rows)
    ties = [row.C for row in found.rows if row.mean == best]
    assert len(ties) > 1
    assert ties.index(found.C) == 0


def test_reads_features_from_a_memory_map_as_from_memory(tmp_path):
    X, y = clusters()
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_array_equal(select("svm", mapped, y).oof.scores, select("svm", X, y).oof.scores)


def test_a_given_value_is_cross_validated_alone():
    X, y = clusters()
    found = select("logreg", X, y, options=SelectionOptions(C=0.3))
    assert found.C == 0.3
    assert [row.C for row in found.rows] == [0.3]
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
    assert f"{folds} folds, not 5" in record.getMessage()


TOO_FEW = [
    pytest.param([20, 1], None, "class 'bee' has one: add images, or give C", id="one image"),
    pytest.param([20, 20], ["a"] * 20 + ["b", "c"] * 10, "two groups or more .* class 'ant' has one", id="one group"),
]


@pytest.mark.parametrize(("counts", "groups", "said"), TOO_FEW)
def test_too_few_to_cross_validate(counts, groups, said, caplog):
    y = np.repeat([0, 1], counts)
    X = np.random.default_rng(0).normal(size=(len(y), 5))
    with pytest.raises(DataError, match=said):
        select("svm", X, y, groups=groups, classes=["ant", "bee"])
    found = select("svm", X, y, groups=groups, classes=["ant", "bee"], options=SelectionOptions(C=2.0))
    assert (found.C, found.folds, found.rows, found.oof) == (2.0, 0, (), None)
    assert "without" in caplog.text


def test_a_class_that_groups_keep_in_one_fold_is_named():
    # Every class is in two groups or more, and still the splitter puts all groups of one class into one fold.
    rows = ["g0 1", "g0 1", "g0 2", "g1 0", "g1 0", "g1 0", "g1 0", "g2 2", "g3 1", "g4 0", "g4 1"]
    groups = [row.split()[0] for row in rows]
    y = np.array([int(row.split()[1]) for row in rows])
    X = np.random.default_rng(0).normal(size=(len(y), 4))
    with pytest.raises(DataError, match="fell into one fold, since groups stay together"):
        select("logreg", X, y, groups=groups, classes=["ant", "bee", "cat"])
    options = SelectionOptions(C=0.1)
    assert select("logreg", X, y, groups=groups, classes=["ant", "bee", "cat"], options=options).oof is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda X, y: (X, np.zeros_like(y)), "two classes or more, found ant"),
        (lambda X, y: (X, y[:-1]), "found 119 labels"),
        (lambda X, y: (np.where(np.isclose(X, X[3, 2], rtol=0, atol=0), np.nan, X), y), "row 3 "),
        (lambda X, y: (X[:0], y[:0]), "two classes or more, found none"),
        (lambda X, y: (X[0], y), "matrix"),
    ],
)
def test_refuses_data_that_nothing_can_be_fitted_on(change, said):
    X, y = change(*clusters(k=2))
    with pytest.raises(DataError, match=said) as caught:
        select("svm", X, y, classes=["ant", "bee"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"folds": 1}, {"C": 0.0}, {"C": float("nan")}, {"n_jobs": 0}, {"folds": -3}])
def test_refuses_options_that_make_no_sense(options):
    with pytest.raises(UsageError):
        SelectionOptions(**options)


def test_refuses_unknown_names_before_any_work():
    with pytest.raises(UsageError, match="logreg, svm"):
        select("forest", np.zeros((0, 0)), np.zeros(0, int))
