import dataclasses
import hashlib
import json
import logging
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.dummy import DummyClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from featx.classifiers import RECIPES, ROWS_AT_ONCE, class_probabilities, class_scores, make_classifier
from featx.errors import DataError, ModelError, SpecMismatch
from featx.model import Model, Origin, TrainingData, fit_model
from featx.model.archive import FORMAT, SEAL, write
from featx.selection import SelectionOptions
from featx.spec import ExtractionSpec

SPEC = ExtractionSpec(
    backbone="mean-colour", weights="sha256:0", image_size=(32, 24), preprocessing="none", pooling="avg"
)
ORIGIN = Origin(
    name="train-mean-colour",
    path="artifacts/features/train-mean-colour.h5",
    content_digest="sha256:1",
    spec=SPEC,
    weights_source="none",
)
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
"""scikit-learn warns of every network that ends after the passes it was given; featx doesn't."""

KINDS = [(name, kernel) for name, recipe in RECIPES.items() for kernel in recipe.grids]


def training(n=80, d=6, classes=("ant", "bee", "cat"), *, labels=None, seed=0, **changes):
    rng = np.random.default_rng(seed)
    labels = np.arange(n, dtype=np.int32) % len(classes) if labels is None else np.asarray(labels, np.int32)
    X = (rng.normal(size=(10, d))[labels] + rng.normal(size=(n, d))).astype(np.float32)
    digests = rng.integers(0, 256, (n, 32), dtype=np.uint8)
    data = TrainingData(features=X, labels=labels, classes=classes, digests=digests, origin=ORIGIN)
    return dataclasses.replace(data, **changes)


@pytest.fixture
def model():
    return fit_model(training(), name="train-svm", clf="svm")


@pytest.fixture
def saved(model, tmp_path):
    path = tmp_path / "models" / "train-svm.skops"
    model.save(path)
    return path


def rewrite(path, change):
    """Write the archive again with ``change(name, bytes)`` as members; None leaves one out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            changed = change(name, data)
            if changed is not None:
                archive.writestr(name, changed)


@pytest.mark.parametrize(("clf", "kernel"), KINDS)
@pytest.mark.parametrize("classes", [("ant", "bee"), ("ant", "bee", "cat")])
def test_is_the_plain_pipeline_refitted_on_all_rows(clf, kernel, classes):
    data = training(classes=classes)
    model = fit_model(data, name="m", clf=clf, options=SelectionOptions(kernel=kernel))
    chosen = model.selection.params
    plain = make_classifier(clf, kernel=kernel, **chosen).fit(data.features, data.labels)
    new = training(classes=classes, seed=0, n=50).features
    np.testing.assert_array_equal(model.predict(new), np.array(classes)[plain.predict(new)])
    scores = model.scores(new)
    assert scores.shape == (50, len(classes))
    # The solvers go closer to the minimum than scikit-learn's default tolerance does.
    np.testing.assert_allclose(scores, class_scores(plain, new), rtol=1e-2, atol=1e-2)
    np.testing.assert_array_equal(model.probabilities(new), model.calibration.probabilities(scores))
    of_svm = {"kernel": kernel} if clf == "svm" else {}
    assert model.params == {**chosen, **of_svm, "class_weight": None, "normalize": None, "pca": None, "seed": 0}


@pytest.mark.parametrize(("clf", "own"), [("logreg", True), ("svm", False), ("knn", True)])
def test_without_cross_validation_probabilities_are_the_classifier_s_own(clf, own):
    data = training()
    lonely = dataclasses.replace(data, labels=np.where(np.arange(80) == 3, 2, data.labels % 2))
    model = fit_model(data, name="m", clf=clf)
    bare = dataclasses.replace(model, calibration=None)
    found = bare.probabilities(data.features)
    assert (found is not None) == own
    if own:
        np.testing.assert_array_equal(found, class_probabilities(model.pipeline, data.features))
    if clf != "knn":
        fitted = fit_model(lonely, name="m", clf=clf, options=SelectionOptions(C=1.0))
        assert (fitted.calibration, fitted.selection.oof) == (None, None)


@pytest.mark.parametrize(("clf", "kernel"), KINDS)
def test_the_same_seed_gives_the_same_bits(clf, kernel):
    one, two = (
        fit_model(training(), name="m", clf=clf, options=SelectionOptions(kernel=kernel, n_jobs=jobs))
        for jobs in (1, 2)
    )
    X = training().features
    np.testing.assert_array_equal(one.scores(X), two.scores(X))


def test_rows_without_label_and_classes_without_rows_are_left_out(caplog):
    labels = np.array([0, 2, 3, -1] * 20)
    data = training(labels=labels, classes=("ant", "bee", "cat", "dog"), groups=tuple(f"g{i % 20}" for i in range(80)))
    with caplog.at_level(logging.INFO):
        model = fit_model(data, name="m", clf="logreg")
    assert model.classes == ("ant", "cat", "dog")
    assert "without a label, so left out: 20 of 80 images" in caplog.text
    assert "bee" in caplog.text
    np.testing.assert_array_equal(np.array(model.classes)[model.labels], np.array(data.classes)[labels[labels >= 0]])
    np.testing.assert_array_equal(model.digests, data.digests[labels >= 0])
    assert len(model.selection.oof.labels) == 60
    same = fit_model(
        dataclasses.replace(
            data,
            features=data.features[labels >= 0],
            labels=labels[labels >= 0],
            digests=data.digests[labels >= 0],
            groups=tuple(group for group, label in zip(data.groups, labels, strict=True) if label >= 0),
        ),
        name="m",
        clf="logreg",
    )
    np.testing.assert_array_equal(model.scores(data.features), same.scores(data.features))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": np.full(80, -1)}, "none of 80 images has a label"),
        ({"labels": np.zeros(80, int)}, "at least two classes, found ant"),
        ({"labels": np.arange(80) % 4}, "label number 3 is none of"),
        ({"labels": np.zeros(79, int)}, "number of labels"),
        ({"digests": np.zeros((3, 32), np.uint8)}, "number of labels"),
        ({"groups": ("a",)}, "number of labels"),
        ({"features": np.full((80, 6), np.nan)}, "row 0 "),
        ({"labels": np.array([1] + [0] * 79)}, "class 'bee' has only one: add images, or use `C=1`"),
    ],
)
def test_refuses_data_that_nothing_can_be_fitted_on(changes, said):
    with pytest.raises(DataError, match=said):
        fit_model(dataclasses.replace(training(), **changes), name="m", clf="svm")


def test_predicts_any_number_of_rows(model):
    X = training(n=30).features
    many = np.tile(X, (ROWS_AT_ONCE // 30 + 2, 1))
    assert len(many) > ROWS_AT_ONCE
    np.testing.assert_array_equal(model.predict(many), np.tile(model.predict(X), len(many) // 30))
    assert model.predict(X[:0]).shape == (0,)
    assert model.scores(X[:0]).shape == (0, 3)


@pytest.mark.parametrize("method", ["predict", "scores", "probabilities"])
@pytest.mark.parametrize(
    ("X", "said"),
    [
        (np.zeros((2, 7), np.float32), "length 6, found 7"),
        (np.full((2, 6), np.inf, np.float32), "row 0 "),
        (np.zeros(6, np.float32), "matrix"),
    ],
)
def test_refuses_other_features(method, X, said):
    fitted = fit_model(training(), name="m", clf="logreg", options=SelectionOptions(C=0.1))
    with pytest.raises(DataError, match=said):
        getattr(fitted, method)(X)


def test_refuses_features_of_another_spec(model):
    model.check(dataclasses.replace(SPEC))
    with pytest.raises(SpecMismatch, match="image_size") as caught:
        model.check(dataclasses.replace(SPEC, image_size=(64, 64), resize="crop"))
    assert set(caught.value.differences) == {"image_size", "resize"}
    assert caught.value.differences["resize"] == ("stretch", "crop")


CASES = [
    *[
        pytest.param(clf, SelectionOptions(kernel=kernel), ("ant", "bee", "cat"), id=f"{clf} {kernel}")
        for clf, kernel in KINDS
    ],
    pytest.param("logreg", SelectionOptions(C=0.1), ("ant", "bee"), id="two classes"),
    pytest.param("svm", SelectionOptions(nested=True, rule="one-se"), ("ant", "bee"), id="nested"),
    pytest.param("svm", SelectionOptions(normalize="l2", pca=4, class_weight="balanced"), ("ant", "bee"), id="steps"),
    pytest.param("svm", SelectionOptions(solver="blockwise"), ("ant", "bee", "cat"), id="svm in blocks"),
    pytest.param("logreg", SelectionOptions(solver="blockwise"), ("ant", "bee"), id="logreg in blocks"),
    pytest.param(GaussianNB(), SelectionOptions(), ("ant", "bee"), id="estimator"),
    pytest.param(make_pipeline(Normalizer(), GaussianNB()), SelectionOptions(), ("ant", "bee"), id="pipeline"),
    pytest.param("svm", SelectionOptions(), ("naïve café", "猫\n犬", "\udcff\udcfe x"), id="any name"),
]


@pytest.mark.parametrize(("clf", "options", "classes"), CASES)
def test_comes_back_from_its_file_as_it_was(clf, options, classes, tmp_path):
    fitted = fit_model(training(classes=classes), name="m", clf=clf, options=options)
    fitted.save(tmp_path / "m.skops")
    loaded = Model.load(str(tmp_path / "m.skops"))
    X = training(n=40).features
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))
    np.testing.assert_array_equal(loaded.scores(X), fitted.scores(X))
    for plain in ("name", "clf", "params", "classes", "origin", "spec", "versions", "created", "untrained", "width"):
        assert getattr(loaded, plain) == getattr(fitted, plain), plain
    assert loaded.origin.fingerprint == SPEC.fingerprint
    for array in ("labels", "digests"):
        np.testing.assert_array_equal(getattr(loaded, array), getattr(fitted, array), strict=True)
    for plain in ("params", "folds", "seed", "rows", "rule"):
        assert getattr(loaded.selection, plain) == getattr(fitted.selection, plain), plain
    assert loaded.calibration == fitted.calibration
    for part in ("oof", "nested"):
        before, after = getattr(fitted.selection, part), getattr(loaded.selection, part)
        assert (before is None) == (after is None)
        for name, value in ({} if before is None else vars(before)).items():
            if value is None:
                assert getattr(after, name) is None
            else:
                np.testing.assert_array_equal(getattr(after, name), value, strict=True)


def test_a_model_without_cross_validation_comes_back_too(tmp_path):
    data = dataclasses.replace(training(), labels=np.array([1] + [0] * 79))
    fitted = fit_model(data, name="m", clf="svm", options=SelectionOptions(C=1.0))
    fitted.save(tmp_path / "m.skops")
    loaded = Model.load(tmp_path / "m.skops")
    assert loaded.selection.oof is None
    assert loaded.selection.folds == 0
    np.testing.assert_array_equal(loaded.predict(data.features), fitted.predict(data.features))


def test_its_file_is_one_ordinary_skops_file(saved, model):
    own = ["featx.classifiers.machines.PairwiseSVC"]
    assert skops.io.get_untrusted_types(file=saved) == own
    contents = skops.io.load(saved, trusted=own)
    X = training().features
    np.testing.assert_array_equal(contents["pipeline"].predict(X), model.pipeline.predict(X))
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    assert saved.stat().st_mode & 0o044 == 0o044 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_is_written_whole_or_not_at_all(model, saved, monkeypatch):
    before = saved.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match="No space left"):
        model.save(saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


@pytest.mark.parametrize("target", ["folder", "file/model.skops"])
def test_a_place_that_can_not_be_written_is_named(model, tmp_path, target):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("here")
    with pytest.raises(ModelError, match=target):
        model.save(tmp_path / target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert list((tmp_path / "folder").iterdir()) == []


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


class Stranger:
    pass


def foreign(path):
    skops.io.dump({"pipeline": make_classifier("svm")}, path)


def planted(path):
    """A file that is whole, with a type that nobody trusts."""
    skops.io.dump({"pipeline": Stranger()}, path)
    with zipfile.ZipFile(path, "a") as archive:
        members = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
        archive.writestr(SEAL, json.dumps({"format": FORMAT, "format_version": 1, "members": members}))


def newer(path):
    def raise_version(name, data):
        return json.dumps({**json.loads(data), "format_version": 3}) if name == SEAL else data

    rewrite(path, raise_version)


def truncated(path):
    path.write_bytes(path.read_bytes()[:-2000])


def zipped_text(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def zipped_seal(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(SEAL, '["featx model"]')


def extra_member(path):
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.npy", b"x")


def folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (Path.unlink, "No such file"),
        (folder, "Is a directory"),
        (lambda path: path.write_bytes(b""), "is not a model"),
        (lambda path: path.write_text("not a zip"), "is not a model"),
        (truncated, "is not a model"),
        (zipped_text, "not a model written by featx"),
        (zipped_seal, "is not a model"),
        (foreign, "not a model written by featx"),
        (newer, "format 3, but this featx reads only formats up to 2"),
        (extra_member, "was changed"),
        (lambda path: rewrite(path, lambda name, data: None if name.endswith(".npy") else data), "was changed"),
        (planted, r"not safe to load, because it contains .*Stranger"),
        (lambda path: write(path, {"record": "{}"}), "contradict each other"),
        (lambda path: write(path, {"pipeline": 3, "record": "{}"}), "steps of the unknown type int"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(saved, spoil, said):
    spoil(saved)
    with pytest.raises(ModelError, match=said) as caught:
        Model.load(saved)
    assert "\n" not in str(caught.value)
    assert saved.name in str(caught.value)


class Strange(GaussianNB):
    """An estimator of nobody's library."""


def test_an_estimator_that_is_not_safe_to_load_is_not_saved(tmp_path):
    data = training()
    model = fit_model(data, name="m", clf=Strange())
    assert model.clf == "Strange"
    assert len(model.predict(data.features)) == 80
    with pytest.raises(ModelError, match=r"would not be safe: it contains .*Strange.* another estimator") as caught:
        model.save(tmp_path / "m.skops")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_pickle_is_never_executed(tmp_path):
    path, touched = tmp_path / "m.skops", tmp_path / "touched"
    path.write_bytes(pickle.dumps(Bomb(touched)))
    with pytest.raises(ModelError, match="is not a model"):
        Model.load(path)
    assert not touched.exists()
    pickle.loads(path.read_bytes())
    assert touched.exists()


def test_a_change_to_any_member_is_noticed(saved):
    whole = saved.read_bytes()
    with zipfile.ZipFile(saved) as archive:
        names = [name for name in archive.namelist() if name != SEAL]
    assert len(names) > 5
    for victim in names:
        saved.write_bytes(whole)
        rewrite(saved, lambda name, data, victim=victim: data[:-1] + bytes([data[-1] ^ 1]) if name == victim else data)
        with pytest.raises(ModelError, match="was changed"):
            Model.load(saved)


def test_a_flipped_bit_is_noticed_or_harmless(saved, model):
    whole, X = saved.read_bytes(), training().features
    expected, refused = model.scores(X), 0
    for position in np.random.default_rng(0).integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[position] ^= 4
        saved.write_bytes(damaged)
        try:
            loaded = Model.load(saved)
        except ModelError:
            refused += 1
        else:  # a date in the archive, say
            np.testing.assert_array_equal(loaded.scores(X), expected)
    assert refused > 30


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pipeline": make_pipeline(DummyClassifier()).fit([[0]], [0])}, "steps of the unknown type DummyClassifier"),
        ({"classes": ("ant",)}, "the shape of classes, oof doesn.t fit"),
        ({"digests": np.zeros((80, 20), np.uint8)}, "the shape of digests doesn.t fit"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(model, tmp_path, changes, said):
    dataclasses.replace(model, **changes).save(tmp_path / "m.skops")
    with pytest.raises(ModelError, match=said):
        Model.load(tmp_path / "m.skops")


def test_another_scikit_learn_is_announced(model, tmp_path, caplog):
    dataclasses.replace(model, versions={**model.versions, "scikit-learn": "0.1"}).save(tmp_path / "m.skops")
    with caplog.at_level(logging.WARNING):
        Model.load(tmp_path / "m.skops")
    assert "fitted with scikit-learn 0.1" in caplog.text
    caplog.clear()
    model.save(tmp_path / "m.skops")
    Model.load(tmp_path / "m.skops")
    assert not caplog.records
