"""`featx.tune`: from images and a fitted model to weights, a model and a record."""

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import featx
from featx import tune
from featx.errors import DataError, FeatxError, Interrupted, SpecMismatch, UsageError, WeightsError
from featx.pipeline.tuning.results import Places, finished
from featx.progress import Silent

pytestmark = [
    pytest.mark.keras,
    # Keras's own, where it saves weights.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

SIDE = 32
FROZEN = {"backbone": "mobilenet-0.25", "weights": "none", "image_size": SIDE, "progress": False}
OPTIONS = {"epochs": 2, "last": 2, "validation": 0.25, "seed": 1, "runtime": "keras", "progress": False}


class Epochs(Silent):
    """Notes the epochs, and may stop after one as Ctrl-C does."""

    def __init__(self, stop_after=None):
        self.numbers, self.texts, self.stop_after = [], [], stop_after

    def step(self, step):
        self.texts.append(step.text)
        if (epoch := getattr(step, "epoch", None)) is not None:
            self.numbers.append(epoch.number)
            if epoch.number == self.stop_after:
                raise KeyboardInterrupt


def draw(folder, *, each, seed):
    """Noisy images of two classes, one a little redder than the other, of any brightness."""
    rng = np.random.default_rng(seed)
    for number, name in enumerate(("blue", "red")):
        (folder / name).mkdir(parents=True)
        for index in range(each):
            tint = rng.integers(0, 90) + 35 * np.eye(3)[2 * (1 - number)]
            pixels = rng.integers(0, 130, (SIDE, SIDE, 3)) + tint
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{index:02}.png")
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Images, their features and models in a folder; the folder is the current one."""
    folder = tmp_path_factory.mktemp("project")
    before = Path.cwd()
    os.chdir(folder)
    try:
        draw(folder / "train", each=14, seed=0)
        draw(folder / "test", each=6, seed=1)
        store = featx.extract("train", **FROZEN)
        for clf in ("logreg", "svm"):
            featx.fit(store, clf=clf, C=0.01, progress=False)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture(autouse=True)
def _there(project, monkeypatch):
    monkeypatch.chdir(project)


LOGREG = "artifacts/models/train-mobilenet-0.25-logreg.skops"


@pytest.fixture(scope="module")
def tuned(project):
    before = Path.cwd()
    os.chdir(project)
    try:
        return tune("train", model=LOGREG, rate=3e-3, **OPTIONS | {"epochs": 4})
    finally:
        os.chdir(before)


def tensors(file):
    import h5py

    found = {}
    with h5py.File(file) as opened:
        opened["layers"].visititems(lambda name, item: found.update({name: item[()]} if hasattr(item, "shape") else {}))
    return found


def test_the_results_are_whole_and_agree_with_keras(tuned):
    """Weights that `extract` takes, features as Keras computes them, and a model that answers as the head in Keras."""
    from featx.backbones.session import import_keras

    keras = import_keras()
    assert tuned.taken > 0
    assert [one.number for one in tuned.epochs] == [0, 1, 2, 3, 4]
    network = keras.applications.MobileNet(
        include_top=False, weights=None, alpha=0.25, pooling="avg", input_shape=(SIDE, SIDE, 3)
    )
    network.load_weights(tuned.weights)  # Keras takes the file, whatever lies in it beside the weights
    store = featx.extract(
        "test", backbone="mobilenet-0.25", weights=tuned.weights, image_size=SIDE, out="own.h5", progress=False
    )
    assert store.fingerprint == tuned.model.spec.fingerprint
    pixels = np.stack([np.asarray(Image.open(Path("test", path)), np.float32) for path in store.paths])
    wanted = network.predict(pixels / 127.5 - 1, verbose=0)
    np.testing.assert_allclose(store.features, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    regression = tuned.model.pipeline[-1]
    right = (wanted @ regression.coef_[0] + regression.intercept_[0] > 0) == store.labels
    report = featx.score(tuned.model, store)
    assert report.metrics.accuracy == right.mean()
    assert (
        featx.score("artifacts/models/train-mobilenet-0.25-tuned.skops", "test", progress=False).metrics.accuracy
        == right.mean()
    )


def test_the_record_says_what_was_done_on_which_images(tuned):
    record = json.loads(tuned.record.read_text())
    model = featx.fit("artifacts/features/train-mobilenet-0.25.h5", clf="logreg", C=0.01, save=False, progress=False)
    digests = {bytes(one).hex() for one in model.digests}
    assert set(record["training"]) | set(record["validation"]) == digests
    assert not set(record["training"]) & set(record["validation"])
    assert (record["cut"], record["taken"], len(record["epochs"])) == ("conv_pw_11_relu", tuned.taken, 5)
    assert record["digest"] == tuned.model.spec.weights
    assert tuned.model.params["seconds"] == pytest.approx(sum(record["seconds"].values()), abs=0.1)
    page = tuned.page.read_text()
    assert page.count("<path") == 4  # loss and accuracy, of training and of validation
    assert f"{tuned.taken} (taken)" in page
    assert "<script" not in page
    assert tuned.epochs[tuned.taken].rank == max(one.rank for one in tuned.epochs)
    with pytest.raises(DataError, match="without cross-validation"):
        featx.score(tuned.model)


def test_nothing_stays_in_the_cache_and_the_same_tuning_is_not_done_twice(tuned, monkeypatch, tmp_path):
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path))
    watch = Epochs()
    again = tune("train", model=LOGREG, rate=3e-3, **OPTIONS | {"epochs": 4, "progress": watch})
    assert watch.numbers == []
    assert list((tmp_path / "tuning").iterdir()) == []
    assert (again.weights, again.taken, again.epochs) == (tuned.weights, tuned.taken, tuned.epochs)
    other = tune("train", model=LOGREG, rate=2e-3, **OPTIONS | {"epochs": 1})
    assert list((tmp_path / "tuning").iterdir()) == []
    assert other.weights.name == "train-mobilenet-0.25-2.weights.h5"  # a default name destroys no work


@pytest.mark.parametrize("ending", [".weights.h5", ".features.h5", ".html", ".json"])
@pytest.mark.parametrize("kind", ["tuned", "head"])
def test_files_of_others_keep_their_names(ending, kind, tmp_path):
    stem = "photos" if kind == "tuned" else "photos-head"
    (tmp_path / f"{stem}{ending}").write_bytes(b"years of work")
    found = Places.free("photos", kind=kind, out=tmp_path, key="k" * 64)
    # A head has neither weights nor features of its own.
    taken = kind == "tuned" or ending in (".html", ".json")
    assert found == Places.named("photos-2" if taken else "photos", kind=kind, out=tmp_path)


def test_an_interrupted_tuning_goes_on_under_its_name_and_no_other_takes_it(tmp_path):
    first = Places.named("photos", kind="tuned", out=tmp_path)
    with h5py.File(first.weights, "w") as file:
        file.create_group("featx").attrs["key"] = "k" * 64
    first.features.touch()
    assert Places.free("photos", kind="tuned", out=tmp_path, key="k" * 64) == first
    assert Places.free("photos", kind="tuned", out=tmp_path, key="o" * 64) != first


def test_without_its_weights_a_tuning_is_not_done(tuned, tmp_path):
    folder = tmp_path / "copied"
    shutil.copytree(tuned.weights.parent, folder)
    shutil.copy("artifacts/models/train-mobilenet-0.25-tuned.skops", folder)
    places = Places.named("train-mobilenet-0.25", kind="tuned", out=folder)
    key = json.loads(places.record.read_text())["key"]
    assert finished(places, key=key).weights == places.weights
    with h5py.File(places.weights, "r+") as file:
        file["featx"].attrs["key"] = "o" * 64
    assert finished(places, key=key) is None
    places.weights.unlink()
    assert finished(places, key=key) is None
    assert Places.free("train-mobilenet-0.25", kind="tuned", out=folder, key=key) == places


def test_what_lies_before_the_cut_and_all_statistics_are_as_they_were(tuned):
    from featx.backbones import Request, resolve
    from featx.training.tail import Backbone

    backbone = Backbone.load(*resolve(Request(backbone="mobilenet-0.25", weights="none", image_size=SIDE)))
    backbone.network.whole.save_weights("start.weights.h5")
    before, after = tensors("start.weights.h5"), tensors(tuned.weights)
    assert before.keys() == after.keys()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    # Four convolutions with the scale and the shift of their normalisation; its mean and variance stay.
    assert len(changed) == 4 + 2 * 4
    assert not [name for name in changed if name.startswith("batch") and name.endswith(("vars/2", "vars/3"))]


def test_interrupted_it_goes_on_to_the_same_weights(project):
    options = OPTIONS | {"rate": 1e-3, "epochs": 3, "seed": 4}
    whole = tune("train", model=LOGREG, out="whole", **options)
    with pytest.raises(Interrupted, match="2 of 3 epochs are kept"):
        tune("train", model=LOGREG, out="stopped", **options | {"progress": Epochs(stop_after=2)})
    assert not Path("stopped").exists()
    watch = Epochs()
    found = tune("train", model=LOGREG, out="stopped", **options | {"progress": watch})
    assert watch.numbers == [0, 1, 2, 3]
    one, other = tensors(whole.weights), tensors(found.weights)
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert np.array_equal(whole.model.pipeline[-1].coef_, found.model.pipeline[-1].coef_)


def test_a_head_is_trained_on_features_as_they_are(project):
    store = featx.extract("train", **FROZEN)
    found = tune("train", **FROZEN, last=0, head=16, epochs=3)
    assert found.weights is None
    assert found.model.spec == store.spec
    assert found.model.pipeline[-1].coefs_[0].shape == (256, 16)
    report = featx.score(
        found.model,
        featx.extract(
            "test", backbone="mobilenet-0.25", weights="none", image_size=SIDE, out="frozen-test.h5", progress=False
        ),
    )
    assert report.metrics.n == 12
    from_store = tune(store.path, last=0, head=16, epochs=3, out="from-store", progress=False)
    for one, other in zip(found.model.pipeline[-1].coefs_, from_store.model.pipeline[-1].coefs_, strict=True):
        assert np.array_equal(one, other)


def test_a_start_behind_another_pca_is_another_tuning(project):
    """The probe has the start's own, and with it other figures."""
    store = featx.open("artifacts/features/train-mobilenet-0.25.h5")
    said = Epochs()
    for pca in (None, 5):
        model = featx.fit(store, clf="logreg", C=0.01, pca=pca, save=False, progress=False)
        model = replace(model, calibration=None, origin=replace(model.origin, name="start"))
        tune("train", model=model, **OPTIONS | {"epochs": 1, "progress": said})
    assert not any("nothing is trained again" in text for text in said.texts)


def _few(folder):
    draw(folder, each=3, seed=2)


def _relabelled(folder):
    shutil.copytree("train", folder)
    swapped = [folder / name / "00.png" for name in ("blue", "red")]
    held = swapped[0].read_bytes()
    swapped[0].write_bytes(swapped[1].read_bytes())
    swapped[1].write_bytes(held)


def _renamed(folder):
    shutil.copytree("train", folder)
    (folder / "blue").rename(folder / "flat")


def _flat(folder):
    folder.mkdir()
    for path in Path("train/blue").iterdir():
        shutil.copy(path, folder)


def _others(folder):
    draw(folder, each=6, seed=9)


@pytest.mark.parametrize(
    ("make", "options", "error", "words"),
    [
        (None, {"model": "artifacts/models/train-mobilenet-0.25-svm.skops"}, UsageError, "is svm: fit one with"),
        (None, {"model": None}, UsageError, "starts from a model"),
        (None, {"last": None, "from_layer": "conv_pw_11_rel"}, UsageError, "nearest: .*conv_pw_11_relu"),
        (None, {"last": 50}, UsageError, r"last 1 to \d+ blocks"),
        (None, {"from_layer": "conv_pw_11_relu"}, UsageError, "give one of them"),
        (None, {"last": 0}, UsageError, "`head=256`"),
        (None, {"head": 8}, UsageError, "`last=0` only"),
        (None, {"rate": 3.0}, UsageError, "between 0 and 1"),
        (None, {"validation": 0.9}, UsageError, "at most 0.5"),
        (None, {"validation": "nowhere"}, FeatxError, "nowhere"),
        (None, {"backbone": "vgg16"}, UsageError, "leave out `backbone`"),
        (None, {"weights": "missing.h5"}, WeightsError, "there is no file"),
        (None, {"weights": "other.weights.h5"}, WeightsError, "another network"),
        (_few, {}, DataError, "5 images each: class 'blue' has 3"),
        (_relabelled, {}, DataError, r"2 of 28 images have another one.*'red' then, 'blue' now"),
        (_renamed, {}, DataError, "class 'flat', which the model doesn't know"),
        (_flat, {}, DataError, "no labels"),
        (_others, {}, DataError, "fitted on other images"),
    ],
)
def test_bad_input_is_refused_with_a_reason(make, options, error, words, project, tmp_path):
    source = "train" if make is None else tmp_path / "images"
    if make is not None:
        make(source)
    if options.get("weights") == "other.weights.h5" and not Path("other.weights.h5").exists():
        from featx.backbones.build import network
        from featx.backbones.table import find

        network(find("mobilenet-0.5"), layer=None, pooling=None, image_size=(SIDE, SIDE)).whole.save_weights(
            "other.weights.h5"
        )
    with pytest.raises(error, match=words):
        tune(source, **{"model": LOGREG, **OPTIONS} | options)


def test_activations_stay_only_where_the_same_command_goes_on_with_them(project, tmp_path, monkeypatch):
    from featx.pipeline.tuning import tail

    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))

    def kept():
        return len(list((tmp_path / "cache/tuning").iterdir()))

    def full(*_, **__):
        raise FeatxError("no space is left") from OSError(errno.ENOSPC, "No space left on device")

    def changed(*_, **__):
        raise FeatxError("the images changed meanwhile")

    _relabelled(tmp_path / "images")
    with pytest.raises(DataError, match="have another one"):
        tune(tmp_path / "images", model=LOGREG, **OPTIONS)
    assert kept() == 0
    with pytest.raises(DataError, match="have another one"):
        tune(tmp_path / "images", model=LOGREG, keep_cache=True, **OPTIONS)
    assert kept() == 1
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setattr(tail, "run", full)
    with pytest.raises(FeatxError, match="no space"):
        tune("train", model=LOGREG, **OPTIONS | {"validation": "test", "seed": 12})
    assert kept() == 2
    monkeypatch.setattr(tail, "run", changed)
    with pytest.raises(FeatxError, match="meanwhile"):
        tune("train", model=LOGREG, **OPTIONS | {"validation": "test", "seed": 12})
    assert kept() == 0


def test_a_store_without_labels_is_refused(project, tmp_path):
    _flat(tmp_path / "flat")
    store = featx.extract(tmp_path / "flat", backbone="mean-colour", out=tmp_path / "flat.h5", progress=False)
    with pytest.raises(DataError, match="no labels"):
        tune(store.path, model=LOGREG, **OPTIONS)


def test_without_space_nothing_is_begun(project, monkeypatch):
    from featx.pipeline.tuning import activations

    monkeypatch.setattr(activations.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    with pytest.raises(FeatxError, match=r"MB are needed for the activations, and 1 MB are free"):
        tune("train", model=LOGREG, **OPTIONS | {"seed": 99})


def test_weights_of_another_start_are_no_start(project, tuned):
    with pytest.raises(SpecMismatch, match="weights"):
        tune("train", model=LOGREG, weights=tuned.weights, **OPTIONS)


@pytest.fixture(scope="module")
def on_tuned(tuned, project):
    """Features of the training images under the tuned weights, and models fitted on them."""
    before = Path.cwd()
    os.chdir(project)
    try:
        wanted = FROZEN | {"weights": tuned.weights, "runtime": "keras"}
        store = featx.extract("train", **wanted, out="elsewhere/train-under-tuned.h5")
        models = [featx.fit(store, clf=clf, C=0.1, folds=3, progress=False) for clf in ("logreg", "svm")]
        return store, models
    finally:
        os.chdir(before)


def test_a_store_tells_by_itself_what_its_weights_were_tuned_on(on_tuned, tuned, tmp_path, monkeypatch):
    store, models = on_tuned
    record = json.loads(tuned.record.read_text())
    wanted = {*record["training"], *record["validation"]}
    alone = tmp_path / "alone.h5"
    shutil.copy(store.path, alone)
    monkeypatch.chdir(tmp_path)  # the weights and the record are out of sight
    opened = featx.open(alone)
    assert {bytes(one).hex() for one in opened.tuned_on} == wanted
    assert models[0].tuned.all()
    models[0].save("model.skops")
    assert featx.Model.load("model.skops").tuned.all()
    assert not featx.verify(alone).damaged


def test_no_cross_validated_figure_on_tuned_features_is_unmarked(on_tuned, capsys):
    """Not in Python, nor in the report's file, on the page, in a comparison, a curve, a description or a terminal."""
    from featx.cli.show.fitting import model as show_model
    from featx.cli.show.scoring import reports as show_reports
    from featx.pipeline.describing import describe

    store, models = on_tuned
    mark = "not a test: the network was tuned on these images"
    reports = [featx.score(model, progress=False) for model in models]
    for report, model in zip(reports, models, strict=True):
        assert mark in report.scored_on
        assert mark in repr(report)
        assert mark in repr(model)
        assert report.tuned_on == report.metrics.n == 28
        assert any("all of these images" in note for note in report.notes)
        assert mark in report.page.read_text()
        plain = json.loads(report.file.read_text())
        assert (mark in plain["scored_on"], plain["tuned_on"]) == (True, 28)
    ranking = featx.fit(store, clf="all", folds=3, save=False, progress=False).ranking
    assert repr(ranking).count(mark) == len(ranking)
    found = featx.compare(reports)
    assert mark in found.scored_on
    assert sum("is no test" in note for note in found.notes) == 2
    curve = featx.curve(store, points=[4], repeats=1, folds=3, progress=False)
    assert (mark in curve.tested_on, curve.tuned_on) == (True, 28)
    assert describe(store.path)["weights_tuned_on"] == {"images": 28, "of_these": 28}
    model_file = Path("artifacts/models") / f"{models[0].name}.skops"
    assert describe(model_file)["weights_tuned_on"] == {"images": 28, "of_these": 28}
    capsys.readouterr()
    show_reports(reports)
    show_model(model_file, models[0])
    shown = capsys.readouterr()
    assert shown.out.count("NO TEST") == 2
    assert mark in shown.out
    assert mark in shown.err


def test_images_that_were_tuned_on_are_named_and_taken_out(on_tuned, tuned, tmp_path):
    """By their content, whatever they are called; also where the model itself was fitted on others."""
    shutil.copytree("test", tmp_path / "test")
    for name in ("blue", "red"):
        shutil.copy(f"train/{name}/03.png", tmp_path / "test" / name / "holiday.png")
    draw(tmp_path / "others", each=8, seed=5)
    wanted = FROZEN | {"weights": tuned.weights, "runtime": "keras"}
    others = featx.extract(tmp_path / "others", **wanted, out=tmp_path / "others.h5")
    model = featx.fit(others, clf="logreg", C=0.1, folds=3, out=tmp_path / "model.skops", progress=False)
    assert not model.tuned.any()
    assert "not a test" not in featx.score(model, out=tmp_path / "crossed.json", progress=False).scored_on
    for one in (model, tuned.model):
        report = featx.score(one, tmp_path / "test", runtime="keras", out=tmp_path / "report.json", progress=False)
        named = {leak.path for leak in report.leaks if leak.where == "train-test"}
        assert named == {"blue/holiday.png", "red/holiday.png"}
        assert (report.metrics.n, report.counted.n, report.tuned_on) == (14, 12, 2)
        assert any("tuned on 2 of 14 images" in note for note in report.notes)


def test_tuning_again_remembers_the_first_images(tuned, tmp_path):
    from featx.backbones import tuned_on
    from featx.weights import locate

    draw(tmp_path / "more", each=8, seed=6)
    wanted = FROZEN | {"weights": tuned.weights, "runtime": "keras"}
    store = featx.extract(tmp_path / "more", **wanted, out=tmp_path / "more.h5")
    model = featx.fit(store, clf="logreg", C=0.1, folds=3, save=False, progress=False)
    again = tune(tmp_path / "more", model=model, out=tmp_path / "again", **OPTIONS | {"epochs": 1, "last": 1})
    found = {bytes(one).hex() for one in tuned_on(locate(str(again.weights), filename="x"))}
    first = json.loads(tuned.record.read_text())
    second = json.loads(again.record.read_text())
    assert found == {*first["training"], *first["validation"], *second["training"], *second["validation"]}


def test_where_no_epoch_is_better_the_model_is_as_it_was(project, tuned):
    found = tune("train", model=LOGREG, out="as-it-was", **OPTIONS | {"epochs": 1, "rate": 1e-9})
    assert found.taken == 0
    first = featx.Model.load(LOGREG)
    X = featx.open("artifacts/features/train-mobilenet-0.25.h5").features
    np.testing.assert_allclose(found.model.probabilities(X), first.probabilities(X), rtol=0, atol=1e-5)
    # The file of weights holds what was drawn, so that figures are those of an untrained network still.
    report = featx.score(found.model, "test", out="as-it-was/report.json", progress=False)
    assert report.untrained
    assert any("untrained" in note for note in report.notes)
    assert featx.Model.load(found.model.file).untrained
    assert not tuned.model.untrained


def test_views_and_validation_images_of_ones_own(project, tmp_path, monkeypatch):
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path))
    options = OPTIONS | {"validation": "test", "out": "with-views", "views": 2, "flip": False, "epochs": 1}
    found = tune("train", model=LOGREG, keep_cache=True, **options)
    assert (found.training, found.validation) == (28, 12)
    record = json.loads(found.record.read_text())
    assert (record["views"]["count"], record["views"]["flip"]) == (2, False)
    test = featx.extract("test", backbone="mean-colour", out=tmp_path / "test.h5", progress=False)
    assert sorted(record["validation"]) == sorted(bytes(one).hex() for one in test.digests)
    kept = [featx.open(path) for path in (tmp_path / "tuning").glob("activations-*.h5")]
    assert sorted(None if one.views is None else one.views.shape[:2] for one in kept if one.views is not None) == [
        (28, 2)
    ]
    assert len(kept) == 2
    plain = tune("train", model=LOGREG, **options | {"out": "without-views", "views": 0, "flip": True})
    assert [one.loss for one in plain.epochs][1] != [one.loss for one in found.epochs][1]


def test_a_small_run_of_the_benchmark_of_a_step(run_benchmark):
    size = ("--backbone", "mobilenet-0.25", "--weights", "none", "--image-size", "32")
    said = run_benchmark("tuning.py", "step", *size, "--steps", "1", "--repeats", "2")
    found = json.loads(said.splitlines()[-1])
    assert (found["cut"], found["turns"]) == ("conv_pw_11_relu", 2)
    median, low, high = found["wall"]["from pixels / cached"]
    assert 0 < low <= median <= high


COLOURS = {"backbone": "mean-colour", "progress": False}


def test_a_head_learns_the_same_whether_or_not_the_store_has_views(tmp_path, monkeypatch):
    """It is trained on the images alone, so views beside them change nothing."""
    draw(tmp_path / "d/train", each=6, seed=3)
    monkeypatch.chdir(tmp_path)
    found = []
    for views in (0, 2):
        store = featx.extract("d/train", backbone="mean-colour", views=views, out=f"{views}.h5", progress=False)
        assert (store.views is None) == (views == 0)
        head = tune(store.path, last=0, head=4, epochs=3, out=f"out-{views}", progress=False)
        found.append([(one.loss, one.validation_loss) for one in head.epochs])
    assert found[0] == found[1]


def test_images_without_a_label_stay_in_the_store_of_a_head(tmp_path, monkeypatch):
    """The default store is the user's, with all images; the head learns from those that have a label."""
    draw(tmp_path / "d/train", each=6, seed=3)
    for number in range(3):
        shutil.copy(tmp_path / f"d/train/red/0{number}.png", tmp_path / f"d/train/later{number}.png")
    monkeypatch.chdir(tmp_path)
    before = featx.extract("d/train", **COLOURS)
    found = tune("d/train", **COLOURS, last=0, head=4, epochs=1)
    after = featx.open(before.path)
    assert after.paths == before.paths
    assert (after.labels < 0).sum() == 3
    assert (after.reused, found.training + found.validation) == (before.reused, 12)  # nothing was extracted again
    assert len(found.model.digests) == len(found.model.labels) == 12
    assert min(found.model.labels) == 0
    from_store = tune(before.path, last=0, head=4, epochs=1, out="from-store", progress=False)
    assert (from_store.training, from_store.epochs[1].loss) == (found.training, found.epochs[1].loss)


def test_validation_images_may_lack_a_class_and_have_none_that_is_new(project, tmp_path):
    """For a head as for the network."""
    shutil.copytree("test/red", tmp_path / "one/red")
    shutil.copytree("test", tmp_path / "new")
    (tmp_path / "new/blue").rename(tmp_path / "new/green")
    head = COLOURS | {"last": 0, "head": 4, "epochs": 1, "out": tmp_path / "out"}
    tail = OPTIONS | {"model": LOGREG, "epochs": 1, "out": tmp_path / "out"}
    for options in (head, tail):
        found = tune("train", **options | {"validation": tmp_path / "one"})
        assert (found.training, found.validation) == (28, 6)
        with pytest.raises(DataError, match=r"validation images of 'green', a class that .*train doesn't have"):
            tune("train", **options | {"validation": tmp_path / "new"})


HEAD = COLOURS | {"last": 0, "head": 4, "epochs": 1}


def test_no_validation_image_is_a_training_image(tmp_path, monkeypatch):
    """By content: copies inside the source stay on one side, and those elsewhere are left out, with a note."""
    draw(tmp_path / "train", each=6, seed=3)
    for name in ("blue", "red"):
        for path in sorted((tmp_path / "train" / name).iterdir()):
            shutil.copy(path, path.with_name(f"again-{path.name}"))
    draw(tmp_path / "other", each=4, seed=4)
    shutil.copy(tmp_path / "train/red/01.png", tmp_path / "other/red/new-name.png")
    monkeypatch.chdir(tmp_path)
    for seed in range(3):
        record = json.loads(tune("train", **HEAD, validation=0.4, seed=seed).record.read_text())
        assert not set(record["training"]) & set(record["validation"])
        assert len(record["training"]) + len(record["validation"]) == 24
    watch = Epochs()
    found = tune("train", **HEAD | {"progress": watch}, validation="other")
    assert (found.training, found.validation) == (24, 8)
    note = "1 validation image is a copy of a training image and is left out"
    assert note in watch.texts
    assert found.notes == (note,)
    shutil.copytree("train/red", "copies/red")
    with pytest.raises(DataError, match="no validation image that is not a training image too"):
        tune("train", **HEAD, validation="copies")


def test_as_large_a_share_is_held_out_as_was_asked_for(tmp_path, monkeypatch, caplog):
    """Of every class, by images and by groups; none is so rare that somebody is told of folds."""
    draw(tmp_path / "train", each=20, seed=3)
    for number in range(15):
        (tmp_path / f"train/red/{number:02}.png").unlink()
    monkeypatch.chdir(tmp_path)
    shutil.move("train/red/19.png", "train/red/29.png")
    store = featx.extract("train", **COLOURS)
    for share, blue, red in ((0.4, 8, 2), (0.15, 3, 1), (np.float32(0.3), 6, 2)):
        record = json.loads(tune("train", **HEAD, validation=share).record.read_text())
        name = {bytes(digest).hex(): path for digest, path in zip(store.digests, store.paths, strict=True)}
        held = [name[one].partition("/")[0] for one in record["validation"]]
        assert (held.count("blue"), held.count("red")) == (blue, red)
    assert not [one for one in caplog.records if "folds" in one.getMessage()]
    # Numbers with the same tens are a group: two of each class.
    record = json.loads(tune("train", **HEAD, validation=0.4, group_by=r"\w+/\d").record.read_text())
    held, trained = ({name[one][:-5] for one in record[part]} for part in ("validation", "training"))
    assert held
    assert not held & trained
    assert {one.partition("/")[0] for one in trained} == {"blue", "red"}
    with pytest.raises(UsageError, match="must be a regular expression"):
        tune("train", **HEAD, group_by="(")
    with pytest.raises(DataError, match="class 'blue' can't be divided"):
        tune("train", **HEAD, group_by=r"\w+/")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"validation": 1}, "number above 0 and at most 0.5"),
        ({"validation": float("nan")}, "number above 0"),
        ({"validation": "0.2"}, "is text: give a share as a number"),
        ({"validation": "test", "group_by": "."}, "leave one of them out"),
        ({"seed": -1}, "`seed=-1`: a whole number of at least 0"),
        ({"rate": "a"}, "`rate=a`: a learning rate is a number between 0 and 1"),
        ({"epochs": 1.5}, "`epochs=1.5`: a whole number of at least 1"),
        ({"last": -1}, "`last=-1`: a whole number of at least 0"),
    ],
)
def test_numbers_that_make_no_sense_are_named(options, words, project):
    with pytest.raises(UsageError, match=words):
        tune("train", **OPTIONS | {"model": LOGREG} | options)
