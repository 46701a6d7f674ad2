"""Predicted costs: their order and their switches."""

from dataclasses import replace

import pytest

from featx.classifiers import RECIPES
from featx.classifiers.cost import predict_cost
from featx.classifiers.workload import START, Workload
from featx.errors import UsageError

GB = 10**9
KINDS = [(name, kernel) for name, recipe in RECIPES.items() for kernel in recipe.grids]


def cost(clf="svm", kernel="linear", *, memory=16 * GB, **size):
    usual = {"n": 4_000, "d": 2_048, "k": 10, "grid": 7, "folds": 5}
    return predict_cost(clf, kernel, Workload(**usual | size), available_memory=memory)


@pytest.mark.parametrize(("clf", "kernel"), KINDS)
@pytest.mark.parametrize("size", ["n", "d", "k", "grid", "folds"])
def test_more_costs_more(clf: str, kernel: str, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start = {"n": 500, "d": 64, "k": 2, "grid": 1, "folds": 2}
    for solver, kind in RECIPES[clf].solvers[kernel].items():
        with monkeypatch.context() as patch:
            patch.setitem(RECIPES, clf, replace(RECIPES[clf], solvers={kernel: {solver: kind}}))
            found = [cost(clf, kernel, **start | {size: start[size] * factor}) for factor in (1, 2, 4, 8, 16)]
        seconds, sizes = [one.seconds for one in found], [one.bytes for one in found]
        assert seconds == sorted(seconds)
        assert sizes == sorted(sizes)
        assert min(seconds) > 0
        assert {one.solver for one in found} == {solver}
        if size == "n":
            assert seconds[-1] - START > 4 * (seconds[0] - START)


def test_gram_matrices_are_taken_while_they_fit() -> None:
    assert cost().solver == "gram"
    assert cost(memory=GB // 4).solver == "blockwise"
    assert cost(n=50_000).solver == "blockwise"
    assert "GB" in cost(n=50_000).why
    assert cost(n=50_000).bytes < 2 * GB


def test_gram_matrices_that_take_long_give_way_to_what_is_faster() -> None:
    plenty = 10**15
    slow = cost(n=200_000, memory=plenty)
    assert slow.solver == "blockwise"
    assert " s" in slow.why


def test_there_is_a_solver_where_nothing_fits() -> None:
    for clf, kernel in KINDS:
        found = cost(clf, kernel, n=1_000_000, memory=1)
        assert found.solver in RECIPES[clf].solvers[kernel]
        assert found.seconds > 0


def test_logistic_regression_larger_than_memory_is_fitted_in_blocks() -> None:
    assert cost("logreg", n=100, d=1_280).solver == "direct"
    assert cost("logreg", n=1_000_000, memory=4 * GB).solver == "blockwise"
    features = 100_000 * 2_048 * 4
    large = cost("logreg", n=100_000, memory=1_000 * GB)
    assert large.solver == "blockwise"
    assert large.bytes < features


def test_a_long_fit_is_foreseen() -> None:
    assert cost().seconds < 60
    assert cost(kernel="rbf", n=100_000).seconds > 600


def test_unknown_classifiers_have_no_cost() -> None:
    with pytest.raises(UsageError, match="forest"):
        cost("forest")
