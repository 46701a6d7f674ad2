"""The table of classifiers is the one place: a row, and a file for what is its own, add a classifier everywhere."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import featx
from conftest import Painter
from featx.classifiers import RECIPES, Axis, Recipe, make_classifier, trusted_steps
from featx.classifiers.direct import Direct
from featx.classifiers.recipes import load
from featx.classifiers.streaming import Streaming
from featx.model import Model
from featx.pipeline.curves.trials import Fitter
from featx.pipeline.fitting import fit_all
from featx.selection import SelectionOptions
from featx.selection.planning import plan_fit
from test_architecture import HEAVY

OWN_FILE = """
from featx.classifiers.direct import Direct


class Bayes(Direct):
    @staticmethod
    def cost(work):
        return work.seconds(once=0.0, each=1e-9 * work.train * work.d), 7
"""

ROW = Recipe(
    about="naive Bayes",
    estimator="sklearn.naive_bayes.GaussianNB",
    grids={"linear": {"var_smoothing": Axis(values=(1e-9, 1e-3), simpler="high")}},
    defaults={"var_smoothing": 1e-9},
    untuned={"var_smoothing": 1e-3},
    solvers={"linear": {"direct": "bayes.Bayes"}},
)


@pytest.fixture
def bayes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A classifier more: a file of its own and a row."""
    (tmp_path / "bayes.py").write_text(OWN_FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(RECIPES, "bayes", ROW)
    return "bayes"


@pytest.fixture
def store(paint: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> featx.FeatureStore:
    monkeypatch.chdir(tmp_path)
    return featx.extract(paint(Path("data/train")), backbone="mean-colour", image_size=4)


def test_a_new_row_is_planned_chosen_fitted_saved_and_read(bayes: str, store: featx.FeatureStore) -> None:
    assert isinstance(make_classifier(bayes)[-1], GaussianNB)
    assert GaussianNB in trusted_steps()
    model = featx.fit(store, clf=bayes)
    assert len(model.selection.rows) == 2
    assert model.params["var_smoothing"] in (1e-9, 1e-3)
    assert model.calibration is not None
    again = Model.load("artifacts/models/train-mean-colour-bayes.skops")
    np.testing.assert_array_equal(again.predict(store.features), model.predict(store.features))
    options = SelectionOptions()
    blueprint = options.blueprint(bayes)
    plan = plan_fit(blueprint, store.features.shape, 2, options=options)
    assert (plan.solver, plan.bytes) == ("direct", 7)
    assert Fitter(blueprint=blueprint, options=options).untuned == {"var_smoothing": 1e-3}


def test_a_new_row_is_one_of_all(bayes: str, store: featx.FeatureStore) -> None:
    assert bayes in {model.clf for model in fit_all(clf="all").values()}
    featx.fit(store, clf="all", out="others")
    assert Path("others/train-mean-colour-bayes.skops").exists()


def test_a_new_row_is_in_the_help() -> None:
    code = f"""
import sys
from featx.classifiers.table import RECIPES
from featx.classifiers.recipes import Recipe
RECIPES["bayes"] = Recipe(about="naive Bayes", grids={{"linear": {{}}, "wide": {{}}}}, weighs_classes=True)
from featx.cli import main
sys.argv = ["featx", "fit", "--help"]
try:
    main()
finally:
    print({set(HEAVY)} & set(sys.modules), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"}
    )
    assert (done.returncode, done.stderr.strip()) == (0, "set()")
    said = " ".join(done.stdout.replace("│", " ").split())
    every = "on the images tried), bayes (naive Bayes); all fits"
    for words in (every, "linear|rbf|wide", "(logreg, svm, ridge, bayes)"):
        assert words in said


def test_a_classifier_without_a_solver_of_its_own_is_fitted_as_scikit_learn_does(store: featx.FeatureStore) -> None:
    row = Recipe(about="naive Bayes", estimator=ROW.estimator, grids={"linear": {}})
    assert load(row.solvers["linear"]["direct"]) is Direct
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "bayes", row)
        model = featx.fit(store, clf="bayes", save=False)
    plain = make_pipeline(StandardScaler(), GaussianNB()).fit(store.features, store.labels)
    np.testing.assert_array_equal(model.pipeline.predict(store.features), plain.predict(store.features))


@pytest.mark.parametrize("name", RECIPES)
def test_a_row_fits_together(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.about
    assert recipe.solvers.keys() == recipe.grids.keys()
    for kernel, solvers in recipe.solvers.items():
        assert solvers.keys() <= {"gram", "direct", "blockwise"}
        for kind, solver in solvers.items():
            assert issubclass(load(solver), Streaming if kind == "blockwise" else Direct)
        assert ("blockwise" in solvers) <= (recipe.loss is not None)
        assert recipe.grids[kernel].keys() <= recipe.defaults.keys()
    assert recipe.untuned.keys() <= recipe.defaults.keys()


def test_model_files_may_hold_what_they_could_before_there_was_a_table() -> None:
    assert {kind.__name__ for kind in trusted_steps()} == {
        "Normalizer",
        "StandardScaler",
        "PCA",
        "LogisticRegression",
        "PairwiseSVC",
        "OneVsRestLinear",
        "SVC",
        "KNeighborsClassifier",
        "NearestCentroid",
        "RidgeClassifier",
        "LinearDiscriminantAnalysis",
        "MLPClassifier",
    }
