"""`fit` and `fit_all`: options, files, ranking; what the command line says of them is in test_cli."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

import featx
from conftest import Painter
from featx.classifiers import RECIPES, make_classifier
from featx.cli import main
from featx.errors import DataError, ModelError, UsageError
from featx.model import Model
from featx.pipeline.fitting import ALL, fit_all
from featx.progress import Silent
from featx.selection import SelectionOptions
from featx.selection.planning import Plan, plan_fit

MEANS = {"backbone": "mean-colour", "image_size": 4}


@pytest.fixture
def store(paint: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> featx.FeatureStore:
    monkeypatch.chdir(tmp_path)
    return featx.extract(paint(Path("data/train")), **MEANS)


def test_every_option_of_the_choice_is_an_option_of_fit(store: featx.FeatureStore) -> None:
    model = featx.fit(
        store, clf="svm", class_weight="balanced", normalize="l2", pca=2, nested=True, rule="one-se", seed=3
    )
    assert list(model.pipeline.named_steps) == ["normalizer", "scaler", "pca", "classifier"]
    assert model.params["class_weight"] == "balanced"
    assert model.selection.rule == "one-se"
    assert model.selection.nested is not None
    plain = make_classifier("svm", C=model.params["C"], class_weight="balanced", normalize="l2", pca=2, seed=3).fit(
        store.features, store.labels
    )
    np.testing.assert_array_equal(plain.predict(store.features), model.pipeline.predict(store.features))


def test_all_fits_every_classifier_and_ranks_them(store: featx.FeatureStore) -> None:
    models = fit_all(clf=ALL, class_weight="balanced")
    assert {path.name for path in models} == {f"train-mean-colour-{name}.skops" for name in RECIPES}
    found = [model.accuracy for model in models.values()]
    assert found == sorted(found, reverse=True)
    for path, model in models.items():
        assert Model.load(path).clf == model.clf
        weighs = RECIPES[model.clf].weighs_classes
        assert model.params["class_weight"] == ("balanced" if weighs else None)
    best = featx.fit(store, clf=ALL, out="others")
    assert best.accuracy == max(found)
    assert len(list(Path("others").iterdir())) == len(RECIPES)
    with pytest.raises(UsageError, match="give a folder"):
        featx.fit(store, clf=ALL, out="one.skops")
    with pytest.raises(UsageError, match="give a folder"):
        fit_all(clf=ALL, out=Path("one.skops"))


def test_fewer_folds_are_warned_of_once_for_all_classifiers(
    store: featx.FeatureStore, paint: Painter, caplog: pytest.LogCaptureFixture
) -> None:
    few = featx.extract(paint(Path("few"), each=3), **MEANS)
    fit_all([few], clf=ALL, save=False)
    told = [record.getMessage() for record in caplog.records if "folds" in record.getMessage()]
    assert [text.partition(",")[0] for text in told] == ["3 folds in place of 5"]
    # The next call says it again.
    featx.fit(few, save=False)
    assert caplog.text.count("3 folds in place of 5") == 2


def test_a_store_that_none_can_be_fitted_on_is_named_and_the_others_get_their_models(
    store: featx.FeatureStore, paint: Painter, caplog: pytest.LogCaptureFixture
) -> None:
    alone = featx.extract(paint(Path("data/alone"), classes={"x": (1, 2, 3)}), **MEANS)
    Path("artifacts/features/broken.h5").write_bytes(store.path.read_bytes()[:-9000])
    models = fit_all(clf=ALL)
    assert {model.origin.name for model in models.values()} == {store.path.stem}
    assert len(models) == len(RECIPES)
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("no model was fitted: ")]
    assert len(told) == 2
    assert any("broken.h5" in one for one in told)
    assert f"no model was fitted: {alone.path}: a classifier needs images of at least two classes, found x" in told
    assert len(fit_all([alone, store])) == 1
    Path("artifacts/features/broken.h5").unlink()
    store.path.unlink()
    with pytest.raises(DataError, match=r"alone-mean-colour\.h5: a classifier needs"):  # the only one, and named too
        fit_all()


@pytest.mark.parametrize(("clf", "advised"), [("logreg", True), ("svm", True), ("knn", False), ("ridge", False)])
def test_c_is_advised_only_to_classifiers_that_have_it(
    paint: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clf: str, advised: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    source = paint(Path("data"), each=3)
    for path in sorted((source / "red").iterdir())[1:]:
        path.unlink()
    store = featx.extract(source, **MEANS)
    with pytest.raises(DataError, match="class 'red' has only one: add images") as raised:
        featx.fit(store, clf=clf)
    assert ("use `C=1`" in str(raised.value)) == advised
    with pytest.raises(DataError) as raised:
        featx.curve(store, clf="svm", folds=2, points=[2])
    assert "`C=1`" not in str(raised.value)  # a learning curve takes none


class Unsafe(GaussianNB):
    pass


def test_an_estimator_is_fitted_and_saved_where_it_is_safe_to_load(store: featx.FeatureStore) -> None:
    model = featx.fit(store, clf=GaussianNB())
    assert Model.load("artifacts/models/train-mean-colour-GaussianNB.skops").clf == model.clf == "GaussianNB"
    with pytest.raises(ModelError, match="Unsafe"):
        featx.fit(store, clf=Unsafe())
    assert featx.fit(store, clf=Unsafe(), save=False).clf == "Unsafe"
    assert [path.stem for path in Path("artifacts/models").iterdir()] == ["train-mean-colour-GaussianNB"]


def test_who_asks_is_told_what_a_fit_takes_before_it_starts(store: featx.FeatureStore) -> None:
    plans: list[Plan] = []

    class Log(Silent):
        def step(self, step: Plan) -> None:
            plans.append(step)

        def end(self, task: Path, result: Model) -> None:
            ended[task] = result

    ended: dict[Path, Model] = {}
    model = featx.fit(store, clf="svm", progress=Log())
    assert ended == {Path("artifacts/models/train-mean-colour-svm.skops"): model}
    assert [plan.solver for plan in plans] == ["gram"]
    assert "svm on 24 x" in plans[0].text


def test_the_same_seed_gives_the_same_coefficients(store: featx.FeatureStore) -> None:
    one, two = (featx.fit(store, seed=7, jobs=jobs, out=f"{jobs}.skops") for jobs in (1, 2))
    assert one.pipeline[-1].coef_.tobytes() == two.pipeline[-1].coef_.tobytes()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--clf", "all", "--no-nested"],
        ["--clf", "svm", "--kernel", "rbf", "--one-se", "--no-nested"],
        ["--nested", "--pca", "2", "--normalize", "l2"],
    ],
)
def test_the_command_shows_what_was_chosen(
    arguments: list[str], store: featx.FeatureStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for output in ([], ["--json"]):
        monkeypatch.setattr("sys.argv", ["featx", "fit", *arguments, *output])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code in (0, None)
    shown = capsys.readouterr()
    records = json.loads(shown.out)
    assert all(record["sweep"] for record in records)
    assert ("the best classifier (by cross-validation) first" in shown.err) == ("all" in arguments)
    assert ("one standard error" in shown.err) == ("--one-se" in arguments)
    assert ("settings chosen again for each part" in shown.err) == ("--nested" in arguments)
    for record in records:
        assert record["rule"] == ("one-se" if "--one-se" in arguments else "best")
        assert (record["nested_accuracy"] is not None) == ("--nested" in arguments)


def test_a_model_of_a_sweep_knows_its_row(store: featx.FeatureStore) -> None:
    model = featx.fit(store, clf="svm", kernel="rbf")
    assert model.selection.chosen in model.selection.rows
    assert model.selection.chosen.params == model.selection.params
    assert dataclasses.replace(model.selection, rows=()).chosen is None
    # The gamma recorded is the one of the final fit.
    assert model.pipeline[-1].gamma_ == model.params["gamma"]


def test_arrays_are_told_where_they_are_fitted(store: featx.FeatureStore) -> None:
    X, y = store.features, store.labels
    for call in (lambda: featx.fit(X, y), lambda: featx.fit(X), lambda: featx.fit(store, y)):
        with pytest.raises(UsageError, match=r"fit needs a feature store.*make_classifier\(\"logreg\"\)\.fit\(X, y\)"):
            call()
    assert make_classifier("logreg").fit(X, y).score(X, y) > 0.5


def test_the_choice_is_cross_validated_where_that_takes_seconds(store: featx.FeatureStore) -> None:
    assert featx.fit(store).selection.nested is not None
    assert featx.fit(store, nested=False).selection.nested is None
    # Nothing is chosen where C is given.
    assert featx.fit(store, C=1.0).selection.nested is None
    blueprint = SelectionOptions().blueprint("logreg")
    options = SelectionOptions(nested=None)
    assert [plan_fit(blueprint, (n, 2048), 10, options=options).nested for n in (100, 1_000_000)] == [True, False]


def test_too_few_images_to_choose_within_a_fold_leave_it_out(
    paint: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = featx.extract(paint(Path("few"), each=2), **MEANS)
    assert featx.fit(small).selection.nested is None
    with pytest.raises(featx.DataError):
        featx.fit(small, nested=True)
