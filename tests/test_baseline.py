"""A small network of one's own: what it is trained and scored on, its report, and what is refused."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import featx
from conftest import COLOURS, Painter
from featx.cli import app
from featx.errors import DataError, Interrupted, UnreadableWarning, UsageError
from featx.pipeline.baseline import pixels
from featx.pipeline.baseline.sets import find_sets, one_in
from featx.pipeline.baseline.verb import recipe_of
from featx.pipeline.filling.job import Job
from featx.progress import Silent
from featx.reports import Report
from featx.training.recipe import Recipe
from featx.training.scratch import Pixels, train_from_scratch

EACH = 7


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paint: Painter) -> Path:
    monkeypatch.chdir(tmp_path)
    paint(Path("data/train"), each=EACH)
    paint(Path("data/test"), each=4, seed=1)
    return Path("data")


def sets(source: Path | str, *, group_by: str | None = None, seed: int = 0):
    return find_sets(Job(source=Path(source), seed=seed), group_by=group_by)


@pytest.mark.parametrize("source", ["data", "data/train", "data/train/"])
def test_the_test_set_beside_the_training_images_is_taken(data: Path, source: str, paint: Painter) -> None:
    paint(data / "val", each=3, seed=2)
    found = sets(source)
    assert (len(found.training), len(found.test), found.name, found.scored_on) == (3 * EACH, 12, "test", "data/test")
    shutil.rmtree(data / "test")
    found = sets(source)
    assert (len(found.test), found.name, found.scored_on) == (9, "val", "data/val")
    assert found.remarks == ("there is no test set, so the validation set was used",)


def test_without_one_a_part_is_held_out_evenly_by_group_and_that_is_said(data: Path) -> None:
    shutil.rmtree(data / "test")
    found = sets("data/train", seed=3)
    assert not set(found.training.paths) & set(found.test.paths)
    assert len(found.training) + len(found.test) == 3 * EACH
    assert set(found.test.labels) == {0, 1, 2}
    assert found.test.paths == sets("data/train", seed=3).test.paths != sets("data/train", seed=4).test.paths
    assert re.search(r"no test set .* drawn with seed 3, were held out of training", found.remarks[0])
    assert found.name == "train-held-out-seed3"
    found = sets("data/train", group_by=r" (\d\d)", seed=3)
    assert not set(found.training.groups or "x") & set(found.test.groups or "x")
    assert "images of one group together" in found.remarks[0]


def test_groups_stay_together_in_every_division() -> None:
    labels = np.repeat(np.arange(2), 12).astype(np.int32)
    groups = [str(row // 3) for row in range(24)]
    for seed in range(5):
        rows, held = one_in(labels, ["a", "b"], groups, part=4, seed=seed)
        assert not {groups[row] for row in rows} & {groups[row] for row in held}
        assert set(labels[held]) == {0, 1}


def test_a_class_of_one_group_cannot_be_divided(data: Path) -> None:
    shutil.rmtree(data / "test")
    with pytest.raises(DataError, match=r"all images of class 'blue' are of one group, .* `group_by` find smaller"):
        sets("data/train", group_by=r"(blue|green|red)")


def test_a_csv_with_splits_is_divided_by_them(data: Path) -> None:
    rows = [f"{path},{path.parent.name},{path.parent.parent.name}" for path in sorted(data.rglob("*.png"))]
    Path("images.csv").write_text("\n".join(["path,label,split", *rows]))
    found = sets("images.csv")
    assert (len(found.training), len(found.test), found.scored_on) == (3 * EACH, 12, "images.csv, test")


def test_images_without_a_label_are_left_out_and_counted(data: Path) -> None:
    rows = [f"{path},{path.parent.name},{path.parent.parent.name}" for path in sorted(data.rglob("*.png"))]
    rows[0], rows[-1] = (f"{rows[at].split(',')[0]},,{rows[at].split(',')[2]}" for at in (0, -1))
    Path("images.csv").write_text("\n".join(["path,label,split", *rows]))
    found = sets("images.csv")
    assert len(found.training) + len(found.test) == len(rows) - 2
    assert len(found.notes) == 2
    assert all("without a label was left out" in note for note in found.notes)


def one_class() -> None:
    for name in ("blue", "green"):
        shutil.rmtree(Path("data/train", name))


def few() -> None:
    for path in sorted(Path("data/train/red").iterdir())[4:]:
        path.unlink()


def no_labels() -> None:
    for path in sorted(Path("data/train").rglob("*.png")):
        path.rename(Path("data/train") / path.name)
    for name in COLOURS:
        Path("data/train", name).rmdir()


def new_class() -> None:
    Path("data/test/red").rename("data/test/Red")


def no_training() -> None:
    Path("data/train").rename("data/val")


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (one_class, {}, r"only one class, 'red'.*two classes or more"),
        (few, {}, r"class 'red' has 4 images, .* needs 5 of each class"),
        (no_labels, {}, r"no labels to learn from: put the images of each class into a folder"),
        (new_class, {}, r"data/test has the class 'Red' \(4 images\), which data/train doesn't have.*differ only in"),
        (no_training, {}, r"the splits val, test and none called train"),
        (None, {"epochs": 0}, r"`epochs=0`: at least 1"),
        (None, {"group_by": "nothing"}, r"`group_by=nothing` finds nothing"),
    ],
    ids=lambda one: one.__name__ if callable(one) else None,
)
def test_what_cannot_be_trained_or_scored_is_refused_before_anything_is_read(
    data: Path, change, options, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if change is not None:
        change()
    monkeypatch.setattr("featx.pipeline.baseline.verb.decode", None)
    with pytest.raises((DataError, UsageError), match=said) as raised:
        featx.baseline(data, **options)
    assert "\n" not in str(raised.value)
    assert not Path("artifacts").exists()


def test_more_images_than_fit_into_memory_are_refused_before_anything_is_read(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "available_memory", lambda: 100_000)
    monkeypatch.setattr("featx.pipeline.baseline.verb.decode", None)
    with pytest.raises(UsageError, match=r"the pixels of 33 images need 0\.0 GB of memory"):
        featx.baseline(data)


def test_few_images_are_shown_more_often() -> None:
    assert recipe_of(10_000, epochs=None, seed=0).epochs == 30
    assert 30 < recipe_of(500, epochs=None, seed=0).epochs < recipe_of(100, epochs=None, seed=0).epochs <= 150
    assert recipe_of(100, epochs=2, seed=0).epochs == 2


class Watcher(Silent):
    def __init__(self) -> None:
        self.total = self.done = self.ended = 0

    def begin(self, task: Path, *, total: int, done: int) -> None:
        self.total = total

    def advance(self, task: Path, *, done: int, failed: int) -> None:
        self.done += done + failed

    def end(self, task: Path, result: object) -> None:
        self.ended += 1


def one_epoch(training: Pixels, validation: Pixels, recipe: Recipe, **options: object):
    """Stop a training early."""
    return train_from_scratch(training, validation, replace(recipe, epochs=1), **options)


@pytest.mark.keras
def test_a_network_learns_repeatably_and_its_report_is_compared_with_models(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One training after the other in one process, since loading TensorFlow takes longer than all of them."""
    shutil.copyfile("data/train/red/red 03.png", "data/test/red/again.png")
    Path("data/train/red/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    watcher = Watcher()
    with pytest.warns(UnreadableWarning, match="1 of 35 images can't be read"):
        report = featx.baseline("data/train", epochs=20, progress=watcher)
    assert (watcher.done, watcher.ended) == (watcher.total, 1)
    assert report.counted.accuracy > 0.9  # of colours that a glance tells apart
    assert report.file == Path("artifacts/reports/train-baseline-on-test.json").absolute()
    assert {path.suffix for path in report.file.parent.iterdir()} == {".json", ".html", ".csv", ".png"}
    assert Report.load(report.file) == report
    assert report.scored_on == "data/test (13 images)"
    assert [(one.path, one.other, one.kind) for one in report.leaks] == [("red/again.png", "red/red 03.png", "exact")]
    assert report.without_leaks is not None
    assert report.without_leaks.n == 12
    assert any("1 training image could not be read and was left out: red/broken.png" in note for note in report.notes)
    assert report.params["flip"] is True
    html = report.file.with_suffix(".html").read_text(encoding="utf-8")
    assert "small network on the pixels, trained from scratch, scored on" in html
    assert "Fingerprint of the features" not in html
    assert str(Path.cwd()) not in html

    Path("data/train/red/broken.png").unlink()  # which changes nothing
    again = featx.baseline("data/train", epochs=20, out="again.json", progress=False)
    np.testing.assert_array_equal(again.images.confidence, report.images.confidence)
    other = featx.baseline("data/train", epochs=2, seed=1, flip=False, out="other.json", progress=False)
    assert (other.images.confidence != report.images.confidence).any()

    model = featx.fit(featx.extract("data/train", backbone="mean-colour"))
    frozen = featx.score(model, "data/test")
    for found in (featx.compare([report, frozen]), *featx.compare_all()):
        assert {one.model for one in found.models} == {"train-baseline", "train-mean-colour-logreg"}
        assert found.n == 12  # without the copy of a training image

    result = CliRunner().invoke(app, ["baseline", "data/train", "--epochs", "20", "--json", "--quiet"])
    assert result.exit_code == 0, result.output
    plain = json.loads(result.stdout)
    assert plain["images"]["confidence"] == report.images.confidence.tolist()
    assert plain["command"].startswith("featx")
    # Another folder of that name has a report of its own.
    for name in ("train", "test"):
        shutil.copytree(Path("data", name), Path("more", name))
    watcher = Watcher()
    monkeypatch.setattr("featx.pipeline.baseline.verb.train_from_scratch", one_epoch)
    second = featx.baseline("more", epochs=9, progress=watcher)
    assert (second.params["epochs_trained"], watcher.done) == (1, watcher.total)
    assert second.file != report.file
    assert Report.load(report.file).training_root == report.training_root


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("featx.pipeline.baseline.verb.train_from_scratch", stop)
    return


@pytest.mark.usefixtures("stopping")
def test_a_stopped_training_leaves_nothing(data: Path) -> None:
    with pytest.raises(Interrupted, match="nothing was written"):
        featx.baseline(data)
    assert not Path("artifacts").exists()


@pytest.mark.keras
@pytest.mark.material
@pytest.mark.slow
def test_signs_of_digits_are_told_apart(material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least 96 of 100, which no small network reaches that forgets to shuffle, to scale or to end its training."""
    monkeypatch.chdir(tmp_path)
    report = featx.baseline(material / "images" / "sign_digits", flip=False, epochs=10, progress=False)
    assert report.metrics.n == 413
    assert report.metrics.accuracy >= 0.96
