"""Fits on views and averages over them: what scikit-learn's sample weights would give, and no view across a fold."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import featx
from conftest import Painter
from featx import errors
from featx.cli import main
from featx.model import Model, Origin, TrainingData, fit_model
from featx.pipeline.evaluation.judging import cross_validated, on_store
from featx.selection import SelectionOptions
from featx.selection.calibration import cross_calibrated, fit_calibration
from featx.spec import ExtractionSpec, ViewsSpec
from featx.store import FeatureStore

K = 3
SPEC = ExtractionSpec(backbone="mean-colour", weights="none", image_size=(8, 8), preprocessing="none")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def data(n: int = 60, d: int = 12, *, signal: float = 1.0, spread: float = 0.5, seed: int = 0) -> TrainingData:
    """Images of three classes that overlap, and views near them."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    features = (rng.normal(size=(n, d)) + signal * np.eye(3, d)[labels]).astype(np.float32)
    views = (features[:, None] + spread * rng.normal(size=(n, K, d))).astype(np.float32)
    return TrainingData(
        features=features,
        labels=labels,
        classes=("a", "b", "c"),
        digests=rng.integers(0, 256, (n, 32), dtype=np.uint8),
        origin=Origin(name="train", path="train.h5", content_digest="0" * 64, spec=SPEC, weights_source="none"),
        views=views,
        views_spec=ViewsSpec(count=K),
    )


def fitted(given: TrainingData, clf: str = "logreg", **options: Any) -> Model:
    return fit_model(given, name="model", clf=clf, options=SelectionOptions(n_jobs=1, **options))


def rows(given: TrainingData) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    """Every picture as a row, with its label and its share of the weight of an image."""
    pictures = np.concatenate([given.features[:, None], given.views], axis=1)
    X = pictures.reshape(-1, pictures.shape[2])
    return X, np.repeat(given.labels, 1 + K), np.full(len(X), 1 / (1 + K))


@pytest.mark.parametrize("solver", ["direct", "blockwise"])
def test_logistic_regression_is_that_of_sample_weights(solver: str) -> None:
    given = data()
    model = fitted(given, C=0.1, solver=solver)
    X, y, weights = rows(given)
    scaler = StandardScaler().fit(X)
    expected = LogisticRegression(C=0.1, tol=1e-8, max_iter=5000).fit(scaler.transform(X), y, sample_weight=weights)
    found = model.pipeline.steps[-1][1]
    assert np.allclose(model.pipeline.steps[0][1].mean_, scaler.mean_, atol=1e-5)
    assert np.allclose(found.coef_, expected.coef_, atol=2e-3)
    assert model.params["C"] == 0.1
    assert found.get_params()["C"] == pytest.approx(0.1 / (1 + K))


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_a_support_vector_machine_is_that_of_sample_weights(kernel: str) -> None:
    given = data()
    model = fitted(given, "svm", C=0.5, kernel=kernel, solver="gram")
    X, y, weights = rows(given)
    X = StandardScaler().fit_transform(X.astype(np.float64))
    expected = SVC(C=0.5, kernel=kernel).fit(X, y, sample_weight=weights)
    found = model.pipeline.steps[-1][1]
    assert np.allclose(found.decision_function(X), expected.decision_function(X), atol=5e-3)


def test_ridge_is_that_of_sample_weights() -> None:
    given = data()
    model = fitted(given, "ridge")
    X, y, weights = rows(given)
    expected = RidgeClassifier(alpha=model.params["alpha"]).fit(StandardScaler().fit_transform(X), y, weights)
    assert np.allclose(model.pipeline.steps[-1][1].coef_, expected.coef_, atol=1e-4)


@pytest.mark.parametrize("clf", ["lda", "centroid"])
def test_classifiers_without_a_penalty_of_the_sum_fit_on_every_picture(clf: str) -> None:
    given = data()
    X, y, _ = rows(given)
    params = fitted(given, clf).params
    plain = featx.make_classifier(clf, **{name: params[name] for name in ("shrinkage",) if name in params}).fit(X, y)
    assert np.array_equal(np.array(("a", "b", "c"))[plain.predict(X)], fitted(given, clf).predict(X))


@pytest.mark.parametrize(("clf", "solver"), [("logreg", "direct"), ("logreg", "blockwise"), ("svm", "gram")])
def test_no_view_crosses_a_fold(clf: str, solver: str) -> None:
    """Features that say nothing of the class, and views that are copies of them.

    With a copy of a held-out image among the training rows, nearly all images would be right; honestly, a third is.
    """
    given = data(n=90, d=200, signal=0.0, spread=0.0)
    model = fitted(given, clf, solver=solver, nested=True)
    assert model.selection.oof is not None
    assert model.selection.nested is not None
    for found in (model.selection.oof, model.selection.nested):
        assert np.mean(found.labels == model.labels) < 0.6
        assert np.mean(found.views.mean(axis=1).argmax(axis=1) == model.labels) < 0.6
        assert np.allclose(found.views, found.scores[:, None], atol=1e-3)  # of a copy, the image's own
    # That it could be told: on the training rows all are right.
    assert np.mean(model.predict(given.features) == np.array(("a", "b", "c"))[given.labels]) > 0.95


def test_groups_stay_together_with_their_views() -> None:
    given = data(n=90, d=200, signal=0.0, spread=0.0)
    twins = np.repeat(given.features[::2], 2, axis=0)
    labels = np.repeat(given.labels[::2], 2)
    groups = tuple(str(row // 2) for row in range(90))
    given = TrainingData(
        **{
            **vars(given),
            "features": twins,
            "labels": labels,
            "views": np.repeat(twins[:, None], K, 1),
            "groups": groups,
        }
    )
    assert (fitted(given).accuracy or 0) < 0.6


def test_hyperparameters_are_chosen_by_the_images_alone() -> None:
    model = fitted(data())
    chosen, oof = model.selection.chosen, model.selection.oof
    assert chosen is not None
    assert oof is not None
    by_fold = [np.mean(oof.labels[oof.folds == fold] == model.labels[oof.folds == fold]) for fold in range(5)]
    assert np.allclose(chosen.scores, by_fold)
    assert oof.views.shape == (60, K, 3)


def test_averages_are_those_of_the_image_and_its_views() -> None:
    given = data()
    model = fitted(given)
    oof = model.selection.oof
    judged = cross_validated(model, None, views=True)
    found = model.selection.nested or oof
    averages = np.empty_like(found.scores, np.float64)
    for fold in range(5):
        out = found.folds == fold
        fit = fit_calibration(found.scores[~out], model.labels[~out], found.folds[~out])
        pictures = [found.scores[out], *(found.views[out, k] for k in range(K))]
        averages[out] = np.mean([fit.probabilities(one) for one in pictures], axis=0)
    assert np.allclose(judged.probabilities, averages, atol=1e-4)
    assert not np.allclose(averages, cross_calibrated(found.scores, model.labels, found.folds), atol=1e-2)
    X, V = given.features[:5], given.views[:5]
    by_hand = (model.probabilities(X) + sum(model.probabilities(V[:, k]) for k in range(K))) / (1 + K)
    assert np.allclose(model.probabilities(X, views=V), by_hand)
    assert np.allclose(judged.probabilities.sum(axis=1), 1)
    assert np.array_equal(judged.predicted, judged.probabilities.argmax(axis=1))


def test_averages_of_copies_are_the_probabilities_themselves() -> None:
    model = fitted(data(spread=0.0))
    plain, averaged = cross_validated(model, None), cross_validated(model, None, views=True)
    assert np.allclose(plain.probabilities, averaged.probabilities, atol=1e-5)


def test_a_model_remembers_its_views() -> None:
    model = fitted(data())
    model.save("with.skops")
    again = Model.load("with.skops")
    assert again.views == ViewsSpec(count=K)
    assert np.array_equal(again.selection.oof.views, model.selection.oof.views)
    assert again.said_of_views == (
        "the model was also fitted on 3 views (turned, zoomed, shifted, in other colours, half of them mirrored) of "
        "each training image"
    )
    given = data()
    fitted(replace(given, views=None, views_spec=None)).save("without.skops")
    assert Model.load("without.skops").views is None
    versions = {}
    for name in ("with", "without"):
        with zipfile.ZipFile(f"{name}.skops") as archive:
            versions[name] = json.loads(archive.read("featx.json"))["format_version"]
    assert versions == {"with": 2, "without": 1}  # an older featx reads a model without views, and says why not others


def test_images_without_a_label_take_their_views_with_them() -> None:
    given = data()
    labelled = np.arange(60) % 5 > 0
    part = {name: getattr(given, name)[labelled] for name in ("features", "labels", "views", "digests")}
    labels, views = np.where(labelled, given.labels, -1), np.where(labelled[:, None, None], given.views, np.nan)
    one, other = fitted(replace(given, labels=labels, views=views)), fitted(replace(given, **part))
    assert np.array_equal(one.pipeline.steps[-1][1].coef_, other.pipeline.steps[-1][1].coef_)


def test_classifiers_that_cant_take_views_say_why() -> None:
    with pytest.raises(errors.UsageError, match="nearest neighbours would be views of one image"):
        fitted(data(), "knn")
    with pytest.raises(errors.UsageError, match=r"LogisticRegression.*would count as several"):
        fitted(data(), LogisticRegression())


def test_views_that_dont_fit_into_memory_are_foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featx.selection.stacking.available_memory", lambda: 10_000)
    with pytest.raises(errors.DataError, match="60 images and 3 views of each take"):
        fitted(data())


@pytest.fixture
def store(paint: Painter) -> FeatureStore:
    return extracted(paint(Path("data/train"), each=6), views=2, flip=False, seed=4)


def extracted(source: Path, **options: Any) -> FeatureStore:
    return featx.extract(source, backbone="mean-colour", image_size=16, workers=1, progress=False, **options)


def test_score_and_predict_average(store: FeatureStore, paint: Painter) -> None:
    model = featx.fit(store, views=True, jobs=1, progress=False)
    assert model.name == "train-mean-colour-logreg-views"
    plain = featx.fit(store, jobs=1, progress=False)
    assert plain.views is None
    other = paint(Path("data/other"), each=3, seed=1)
    report = featx.score(model, other, views=True, workers=1, progress=False)
    made = featx.open("artifacts/features/other-mean-colour.h5")
    assert made.views_spec == store.views_spec
    expected = model.probabilities(made.features, views=made.views)
    assert report.images is not None
    assert np.allclose(report.images.confidence, expected.max(axis=1))
    assert report.model == "train-mean-colour-logreg-views-averaged"
    assert "the probabilities of each image are averages over the image and 2 views of it" in report.remarks
    assert model.said_of_views in report.remarks
    page = report.page.read_text()
    assert "also fitted on 2 views" in page
    more = extracted(other, views=3, flip=False, seed=9)  # others of the same recipe do as well, and are kept
    kept = featx.score(model, other, views=True, workers=1, progress=False)
    assert "the probabilities of each image are averages over the image and 3 views of it" in kept.remarks
    assert featx.open(more.path).views_spec == more.views_spec
    alone = featx.score(model, other, workers=1, progress=False)
    assert alone.page != report.page
    assert model.said_of_views in alone.remarks
    assert featx.open(made.path).views is not None  # a score without views drops none
    found = featx.predict(model, [str(other)], views=2, workers=1, progress=False)
    order = [made.paths.index(str(Path(path).relative_to(other))) for path in found.paths]
    assert np.allclose(found.probabilities, expected[order])
    assert np.allclose(found.confidence, found.probabilities.max(axis=1))
    one = featx.predict(model, [str(other)], views=1, workers=1, progress=False)
    assert np.allclose(one.probabilities, model.probabilities(made.features, views=made.views[:, :1])[order])


def test_what_lacks_views_says_how_to_get_them(store: FeatureStore, paint: Painter) -> None:
    other = paint(Path("data/other"), each=3, seed=1)
    bare, mirrored = extracted(other, out="bare.h5"), extracted(other, out="mirrored.h5", views=2)
    model, plain = featx.fit(store, views=True, jobs=1, progress=False), featx.fit(store, jobs=1, progress=False)
    with pytest.raises(errors.DataError, match=r"bare\.h5 has no views to fit on: make some with `featx extract`"):
        featx.fit(bare, views=True, progress=False)
    with pytest.raises(errors.DataError, match=r"no views to average over.*`views=2` and `flip=False`"):
        featx.score(model, bare, views=True, progress=False)
    with pytest.raises(errors.SpecMismatch, match=r"made otherwise[\s\S]*flip"):
        featx.score(model, mirrored, views=True, progress=False)
    for ask in (
        lambda: featx.score(plain, store, views=True, progress=False),
        lambda: featx.predict(plain, [str(other)], views=2, progress=False),
    ):
        with pytest.raises(errors.UsageError, match="was fitted without views"):
            ask()
    with pytest.raises(errors.UsageError, match="1 to 64 views"):
        featx.predict(model, [str(other)], views=0, progress=False)
    model.check(mirrored.spec)  # without views they are features as any
    on_store(model, mirrored)


def test_all_classifiers_but_the_neighbours_are_fitted_on_views(store: FeatureStore) -> None:
    best = featx.fit(store, clf="all", views=True, jobs=1, progress=False)
    assert best.ranking is not None
    assert {row.clf for row in best.ranking.models} == {"logreg", "svm", "centroid", "ridge", "lda", "mlp"}
    assert all(row.file is not None and row.file.stem.endswith("-views") for row in best.ranking.models)


def test_the_commands_fit_score_and_predict_with_views(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: object) -> str:
        monkeypatch.setattr("sys.argv", ["featx", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        found = capsys.readouterr()
        assert not ended.value.code, found.err
        return found.out

    run("fit", store.path, "--views", "--jobs", 1)
    model = Path("artifacts/models/train-mean-colour-logreg-views.skops")
    assert json.loads(run("info", model, "--json"))["views"]["count"] == 2
    assert "also fitted on 2 views" in run("info", model)
    report = json.loads(run("score", "--views", "--json", "-j", 1))[0]
    assert report["model"] == "train-mean-colour-logreg-views-averaged"
    told = json.loads(run("predict", "data/train/red", "--views", 3, "--json", "-j", 1))
    expected = featx.predict(model, "data/train/red", views=3, workers=1, progress=False)
    assert [one["confidence"] for one in told["predictions"]] == pytest.approx(expected.confidence.tolist())
