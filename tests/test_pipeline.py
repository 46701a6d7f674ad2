"""The verbs on a backbone whose features can be computed in one's head."""

import dataclasses
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featx
from conftest import Painter
from featx import manifest
from featx.backbones import Request, resolve
from featx.pipeline.filling.earlier import Earlier
from featx.pipeline.filling.job import Extraction, Job, RunOptions
from featx.pipeline.filling.loop import _fill, extract_job
from featx.pipeline.filling.runner import BackboneRunner
from featx.pipeline.filling.store_filler import StoreFiller
from featx.pipeline.fitting import fit_all
from featx.pipeline.scoring import score_all
from featx.progress import SILENT, Silent

MEANS = {"backbone": "mean-colour"}


class Log(Silent):
    """A `Progress` that keeps what it is told."""

    def __init__(self) -> None:
        self.extractions: list[Extraction] = []
        self.advanced = 0

    def begin(self, task: Path, *, total: int, done: int) -> None:
        self.total, self.advanced = total, done

    def advance(self, task: Path, *, done: int, failed: int) -> None:
        self.advanced += done + failed

    def end(self, task: Path, extraction: Extraction) -> None:
        self.extractions.append(extraction)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def extraction(source: Path, **options: object) -> Extraction:
    (one,) = extract_job(Job(source=source, **options), [Request(**MEANS)], RunOptions(batch_size=4, workers=2))
    return one


def means(root: Path, paths: list[str]) -> np.ndarray:
    return np.array(
        [np.asarray(Image.open(root / path).resize((32, 32), Image.Resampling.BILINEAR)).mean((0, 1)) for path in paths]
    )


def test_a_row_holds_the_feature_of_its_own_image(paint: Painter) -> None:
    store = featx.extract(paint(Path("data/train")), **MEANS)
    assert store.path == Path("artifacts/features/train-mean-colour.h5").absolute()
    assert list(store.paths) == sorted(
        f"{name}/{name} {index:02}.png" for name in ("blue", "green", "red") for index in range(8)
    )
    assert [store.classes[label] for label in store.labels] == [path.split("/")[0] for path in store.paths]
    # Plain bilinear and Pillow's antialiased one differ in single pixels, hardly in their mean.
    np.testing.assert_allclose(store.features, means(Path("data/train"), list(store.paths)), atol=2)


@pytest.mark.parametrize("batch_size", [1, 5, 24, 100])
@pytest.mark.parametrize("workers", [1, 3])
def test_features_depend_on_neither_batch_nor_workers(paint: Painter, batch_size: int, workers: int) -> None:
    source = paint(Path("data/train"))
    one = featx.extract(source, **MEANS, out="one", batch_size=7, workers=2)
    two = featx.extract(source, **MEANS, out="two", batch_size=batch_size, workers=workers)
    assert np.array_equal(one.features, two.features)
    assert one.content_digest != ""
    assert list(one.paths) == list(two.paths)


def test_unchanged_images_are_not_touched(paint: Painter) -> None:
    source = paint(Path("data/train"))
    first = extraction(source)
    stamp = first.target.stat()
    for path in source.rglob("*.png"):
        path.chmod(0)
    again = extraction(source)
    assert (again.found, again.extracted, again.reused, again.failed) == (24, 0, 24, 0)
    assert (first.target.stat().st_mtime_ns, first.target.stat().st_ino) == (stamp.st_mtime_ns, stamp.st_ino)


def test_only_new_content_is_computed(paint: Painter) -> None:
    source = paint(Path("data/train"))
    extraction(source)
    (source / "red/red 00.png").unlink()
    (source / "red/red 01.png").rename(source / "red/renamed.png")
    os.utime(source / "red/red 02.png")
    Image.new("RGB", (9, 9), (1, 2, 3)).save(source / "green/green 03.png")
    Image.new("RGB", (9, 9), (3, 2, 1)).save(source / "blue/new.png")
    one = extraction(source)
    assert (one.found, one.extracted, one.reused, one.failed) == (24, 2, 22, 0)
    fresh = featx.extract(source, **MEANS, out="fresh.h5")
    assert np.array_equal(one.store.features, fresh.features)
    assert (list(one.store.paths), list(one.store.labels)) == (list(fresh.paths), list(fresh.labels))
    assert np.array_equal(one.store.digests, fresh.digests)


def test_relabelling_computes_nothing(paint: Painter) -> None:
    source = paint(Path("data/train"))
    extraction(source)
    (source / "red").rename(source / "crimson")
    one = extraction(source)
    assert (one.extracted, one.reused) == (0, 24)
    assert one.store.classes == ("blue", "crimson", "green")


def test_a_failure_moves_no_row_and_is_not_tried_again(paint: Painter) -> None:
    source = paint(Path("data/train"))
    (source / "green/green 03.png").write_bytes(b"no image at all")
    (source / "green/green 05.png").write_bytes((source / "green/green 05.png").read_bytes()[:900])
    watcher = Log()
    with pytest.warns(
        featx.UnreadableWarning, match=r"^2 of 24 images .* \(1 not-an-image, 1 truncated\): see store.failures$"
    ):
        store = featx.extract(source, **MEANS, progress=watcher)
    assert [(failure.path, failure.reason) for failure in store.failures] == [
        ("green/green 03.png", "not-an-image"),
        ("green/green 05.png", "truncated"),
    ]
    assert (watcher.total, watcher.advanced) == (24, 24)
    np.testing.assert_allclose(store.features, means(source, list(store.paths)), atol=2)
    again = extraction(source)
    assert (again.found, again.extracted, again.reused, again.failed) == (24, 0, 22, 2)
    paint(source)  # repaired
    mended = extraction(source)
    assert (mended.extracted + mended.reused, mended.failed) == (24, 0)


def test_files_that_nobody_takes_for_images_are_not_warned_of(paint: Painter) -> None:
    source = paint(Path("data/train"))
    (source / "green/notes.txt").write_text("where I took them")
    (source / "red/Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(featx.extract(source, **MEANS).failures) == 2
    (source / "green/green 05.png").write_bytes(b"")
    with pytest.warns(featx.UnreadableWarning, match=r"^1 of 24 images can't be read and is left out \(1 empty\)"):
        featx.extract(source, **MEANS)


@pytest.mark.parametrize(
    ("limits", "forbidden"),
    [
        ({"strict": True}, True),
        ({"max_errors": "0"}, True),
        ({"max_errors": "1"}, False),
        ({"max_errors": "3%"}, True),
        ({"max_errors": "50%"}, False),
        ({}, False),
    ],
)
def test_failures_are_forbidden_only_on_request(paint: Painter, limits: dict, forbidden: bool) -> None:
    source = paint(Path("data/train"))
    (source / "red/broken.png").write_bytes(b"")
    refused, warned = pytest.raises(featx.TooManyFailures, match="1 of 25"), pytest.warns(featx.UnreadableWarning)
    with refused if forbidden else warned:
        featx.extract(source, **MEANS, **limits)
    assert len(featx.open("artifacts/features/train-mean-colour.h5")) == 24


def test_another_spec_is_refused_with_its_difference(paint: Painter) -> None:
    source = paint(Path("data/train"))
    store = featx.extract(source, **MEANS)
    before = store.path.read_bytes()
    with pytest.raises(featx.SpecMismatch, match="image_size") as caught:
        featx.extract(source, **MEANS, image_size=16)
    assert caught.value.differences == {"image_size": ((16, 16), (32, 32))}
    assert store.path.read_bytes() == before
    assert featx.extract(source, **MEANS, image_size=16, overwrite=True).spec.image_size == (16, 16)


def test_an_unmounted_folder_does_not_empty_a_store(paint: Painter) -> None:
    source = paint(Path("data/train"))
    featx.extract(source, **MEANS)
    for path in (*(source / "red").iterdir(), *(source / "blue").iterdir()):
        path.unlink()
    with pytest.raises(featx.StoreError, match="16 of 24 images"):
        featx.extract(source, **MEANS)
    assert len(featx.extract(source, **MEANS, overwrite=True)) == 8


def test_a_dry_run_writes_nothing(paint: Painter) -> None:
    one = extraction(paint(Path("data/train")), dry_run=True)
    assert (one.found, one.extracted, one.feature_shape) == (24, 24, (3,))
    assert not Path("artifacts").exists()


def test_a_limit_is_balanced_and_has_its_own_name(paint: Painter) -> None:
    store = featx.extract(paint(Path("data/train")), **MEANS, limit=6)
    assert np.bincount(store.labels).tolist() == [2, 2, 2]
    assert store.path.name == "train-mean-colour-limit6.h5"
    other = featx.extract("data/train", **MEANS, limit=6, seed=1)
    assert other.path.name == "train-mean-colour-limit6-seed1.h5"
    assert other.paths != store.paths


def test_the_size_of_spatial_features_is_announced(paint: Painter, caplog: pytest.LogCaptureFixture) -> None:
    store = featx.extract(paint(Path("data/train")), **MEANS, pooling="none")
    assert (store.feature_shape, store.features.shape) == ((32, 32, 3), (24, 3072))
    assert "32 x 32 x 3 become one row: 3072 numbers for each image" in caplog.text


def test_a_store_per_split(paint: Painter) -> None:
    for split in ("train", "val", "test"):
        paint(Path("data") / split, each=2)
    stores = [one.store for one in extract_job(Job(source=Path("data")), [Request(**MEANS)], RunOptions())]
    assert sorted(store.path.name for store in stores) == [
        "test-mean-colour.h5",
        "train-mean-colour.h5",
        "val-mean-colour.h5",
    ]
    assert extraction(Path("data/test")).extracted == 0  # the same store, asked for directly
    with pytest.raises(featx.UsageError, match="split="):
        featx.extract("data", **MEANS)
    assert featx.extract("data", split="val", **MEANS).split == "val"


def test_from_a_folder_to_a_score_and_labels(paint: Painter) -> None:
    paint(Path("data/train"))
    paint(Path("data/test"), each=3, seed=1)
    model = featx.fit(featx.extract("data/train", **MEANS), clf="svm")
    report = featx.score(model)
    assert report.metrics.accuracy == 1
    assert report.metrics.n == 9
    assert Path("artifacts/reports/train-mean-colour-svm-on-test.png").stat().st_size > 1000
    found = featx.predict(
        Path("artifacts/models/train-mean-colour-svm.skops"), ["data/test/red", "data/test/blue/blue 01.png"]
    )
    assert found.labels.tolist() == ["red", "red", "red", "blue"]
    assert found.paths[-1] == "data/test/blue/blue 01.png"


def test_without_a_test_folder_the_score_is_cross_validated(paint: Painter) -> None:
    model = featx.fit(featx.extract(paint(Path("data/train")), **MEANS))
    report = featx.score(model)
    assert "cross-validation" in report.scored_on
    assert report.metrics.n == 24


def test_a_class_that_training_never_had_counts_as_errors(paint: Painter) -> None:
    model = featx.fit(featx.extract(paint(Path("data/train")), **MEANS))
    paint(Path("data/test"), each=3, seed=1)
    paint(Path("data/test"), each=1, classes={"aqua": (0, 200, 200)})
    report = featx.score(model)
    assert report.metrics.accuracy == pytest.approx(9 / 10)
    assert any("aqua" in note for note in report.notes)


def test_two_specs_of_one_backbone_are_scored_side_by_side(paint: Painter) -> None:
    paint(Path("data/test"), each=3, seed=1)
    source = paint(Path("data/train"))
    large = featx.fit(featx.extract(source, **MEANS))
    small = featx.fit(featx.extract(source, **MEANS, image_size=8, out="artifacts/features/small.h5"))
    assert featx.score(large).metrics.accuracy == featx.score(small).metrics.accuracy == 1
    assert len(list(Path("artifacts/features").glob("test-*.h5"))) == 2


def test_a_store_of_another_spec_is_no_test_set(paint: Painter) -> None:
    source = paint(Path("data/train"))
    model = featx.fit(featx.extract(source, **MEANS))
    with pytest.raises(featx.SpecMismatch, match="image_size"):
        featx.score(model, featx.extract(source, **MEANS, image_size=16, out="other.h5"))


def test_groups_by_a_pattern_stay_in_one_fold(paint: Painter) -> None:
    store = featx.extract(paint(Path("data/train")), **MEANS)
    model = featx.fit(store, group_by=r"(\d)\.png", folds=4)
    folds = model.selection.oof.folds
    for digit in range(8):
        assert (
            len({int(fold) for fold, path in zip(folds, store.paths, strict=True) if path.endswith(f"{digit}.png")})
            == 1
        )
    with pytest.raises(featx.UsageError, match="finds nothing in"):
        featx.fit(store, group_by="photographer")


def test_the_transformers_give_the_features_of_extract(paint: Painter) -> None:
    from sklearn.base import clone
    from sklearn.pipeline import make_pipeline

    source = paint(Path("data/train"))
    store = featx.extract(source, **MEANS)
    files = [source / path for path in store.paths]
    features = make_pipeline(featx.ImageLoader(image_size=32), featx.Backbone("mean-colour")).transform(files)
    assert np.array_equal(features, store.features)
    classifier = make_pipeline(
        featx.ImageLoader(image_size=32), clone(featx.Backbone("mean-colour")), featx.make_classifier("logreg")
    )
    assert classifier.fit(files, store.labels).score(files, store.labels) == 1
    (source / "red/red 00.png").write_bytes(b"")
    with pytest.raises(featx.ImageError, match=r"red 00\.png"):
        featx.ImageLoader().transform(files)


def test_several_stores_filled_together_are_those_filled_alone(paint: Painter) -> None:
    """Each lacks other rows: one all, one those of new images; batches hold what either lacks."""
    source = paint(Path("data/train"))
    (source / "red/broken.png").write_bytes(b"broken")
    with pytest.warns(featx.UnreadableWarning):
        featx.extract(source, **MEANS, pooling="max", out="max.h5")
    Image.new("RGB", (9, 9), (3, 2, 1)).save(source / "blue/new.png")
    (source / "green/green 00.png").rename(source / "green/renamed.png")
    with pytest.warns(featx.UnreadableWarning):
        alone = {name: featx.extract(source, **MEANS, pooling=name, out=f"alone/{name}.h5") for name in ("avg", "max")}
    (images,) = manifest.find(source)
    fillers = []
    for name in alone:
        target = Path(f"{name}.h5").absolute()
        spec, weights = resolve(Request(**MEANS, pooling=name))
        runner = BackboneRunner(spec, weights, RunOptions(batch_size=4))
        fillers.append(StoreFiller(target, images, runner, Earlier.at(target, images, spec, overwrite=False)))
    together = dict(zip(alone, _fill(images, fillers, SILENT), strict=True))
    assert (together["avg"].extracted, together["avg"].reused, together["avg"].failed) == (25, 0, 1)
    assert (together["max"].extracted, together["max"].reused, together["max"].failed) == (1, 24, 1)
    for name, store in alone.items():
        assert np.array_equal(together[name].store.features, store.features)
        assert list(together[name].store.paths) == list(store.paths)


def test_each_backbone_needs_a_name_of_its_own(paint: Painter) -> None:
    job = Job(source=paint(Path("data/train")))
    with pytest.raises(featx.UsageError, match="several stores"):
        extract_job(job, [Request(**MEANS), Request(**MEANS, image_size=16)], RunOptions())


def test_overwriting_takes_the_rows_that_check_out(paint: Painter) -> None:
    source = paint(Path("data/train"))
    target = extraction(source).target
    one = extraction(source, overwrite=True)
    assert (one.extracted, one.reused) == (0, 24)
    # What stands there may be of other images, of another spec, or no store.
    one = extraction(paint(Path("other/train"), seed=3), overwrite=True)
    assert (one.extracted, one.reused) == (24, 0)
    extraction(source, overwrite=True)
    (two,) = extract_job(
        Job(source=source, overwrite=True), [Request(**MEANS, image_size=16)], RunOptions(batch_size=4, workers=2)
    )
    assert (two.extracted, two.reused) == (24, 0)
    target.write_bytes(b"no store")
    assert extraction(source, overwrite=True).extracted == 24


def test_a_score_on_training_images_says_so(paint: Painter) -> None:
    model = featx.fit(featx.extract(paint(Path("data/train")), **MEANS))
    assert any("fitted on 24 of 24" in note for note in featx.score(model, "data/train").notes)
    paint(Path("data/test"), each=3, seed=1)
    assert not any("fitted on" in note for note in featx.score(model, "data/test").notes)


def test_classes_whose_names_sort_otherwise_as_bytes_are_scored_right(paint: Painter) -> None:
    names = ["a", os.fsdecode(b"\xe9t\xe9"), "한국"]
    classes = dict(zip(names, ((250, 0, 0), (0, 250, 0), (0, 0, 250)), strict=True))
    model = featx.fit(featx.extract(paint(Path("data/train"), classes=classes), **MEANS))
    report = featx.score(model, paint(Path("data/test"), each=2, seed=1, classes=classes))
    assert report.metrics.accuracy == 1


def test_a_model_has_the_name_of_its_file(paint: Painter) -> None:
    featx.fit(featx.extract(paint(Path("data/train")), **MEANS))
    first = Path("artifacts/models/train-mean-colour-logreg.skops")
    copy = first.with_name("mine.skops")
    copy.write_bytes(first.read_bytes())
    assert [report.model for report in score_all()] == ["mine", "train-mean-colour-logreg"]
    elsewhere = Path("elsewhere/mine.skops")
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(copy.read_bytes())
    with pytest.raises(featx.UsageError, match="same name"):
        score_all([copy, elsewhere])


def test_one_model_of_another_spec_does_not_keep_others_from_their_score(paint: Painter) -> None:
    source = paint(Path("data/train"))
    store = featx.extract(source, **MEANS)
    featx.fit(store)
    featx.fit(featx.extract(source, **MEANS, image_size=16, out="artifacts/features/small.h5"))
    assert [report.model for report in score_all(source=store)] == ["train-mean-colour-logreg"]


def test_folders_are_predicted_wherever_they_are(paint: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    model = featx.fit(featx.extract(paint(Path("data/train"), each=3), **MEANS))
    Path("empty").mkdir()
    Path("below").mkdir()
    monkeypatch.chdir("below")
    given = ["../data/train/red", "../empty", "../data/../data/train/blue/blue 00.png", "x" * 300]
    with pytest.warns(featx.UnreadableWarning, match="^2 of 6 images"):
        found = featx.predict(model, given)
    assert found.labels.tolist() == ["red"] * 3 + ["blue"]
    assert all(Path(path).exists() for path in found.paths)
    assert [failure.path for failure in found.failures] == ["../empty", "x" * 300]


def _interrupted(source: Path, **how: object) -> None:
    """Stop an extraction after its first batches, as Ctrl-C would."""

    class Stop(Log):
        def advance(self, task: Path, *, done: int, failed: int) -> None:
            super().advance(task, done=done, failed=failed)
            if self.advanced >= 8:
                raise KeyboardInterrupt

    with pytest.raises(featx.Interrupted, match="are kept"):
        featx.extract(source, **MEANS, batch_size=4, progress=Stop(), **how)


def test_an_interrupted_run_is_not_dropped_for_other_work(paint: Painter) -> None:
    ours, theirs = paint(Path("a/train")), paint(Path("b/train"), seed=1)
    _interrupted(ours)
    with pytest.raises(featx.StoreError, match="8 rows of an unfinished run"):
        featx.extract(theirs, **MEANS)
    with pytest.raises(featx.StoreError, match="other settings"):
        featx.extract(ours, **MEANS, pooling="max")
    assert extraction(ours, dry_run=True).reused == 8
    one = extraction(ours)
    assert (one.extracted, one.reused) == (16, 8)
    _interrupted(ours, overwrite=True)
    assert len(featx.extract(theirs, **MEANS, overwrite=True)) == 24


def test_a_store_that_another_run_finished_meanwhile_is_not_replaced(paint: Painter) -> None:
    source = paint(Path("data/train"))
    (images,) = manifest.find(source)
    target = Path("artifacts/features/train-mean-colour.h5").absolute()
    spec, weights = resolve(Request(**MEANS))
    filler = StoreFiller(
        target, images, BackboneRunner(spec, weights, RunOptions()), Earlier.at(target, images, spec, overwrite=False)
    )
    other = featx.extract(source, **MEANS, pooling="max")
    with pytest.raises(featx.StoreInUse, match="another process"), filler:
        pass
    assert featx.open(target).spec == other.spec


def test_a_folder_that_was_scored_on_is_not_trained_on(paint: Painter) -> None:
    model = featx.fit(featx.extract(paint(Path("data/train")), **MEANS))
    featx.score(model, paint(Path("data/holdout"), each=3, seed=1))
    assert [path.name for path in fit_all()] == ["train-mean-colour-logreg.skops"]


def test_untrained_weights_are_named_all_the_way(paint: Painter) -> None:
    from featx.weights import UNTRAINED, locate

    assert locate("none", filename="weights.h5").recorded == UNTRAINED
    source = paint(Path("data/train"))
    store = featx.extract(source, **MEANS)
    model = dataclasses.replace(
        featx.fit(store), origin=dataclasses.replace(featx.fit(store).origin, weights_source=UNTRAINED)
    )
    report = featx.score(model)
    assert report.untrained
    assert any("untrained" in note for note in report.notes)
