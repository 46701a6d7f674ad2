"""Predictions with their confidence, and images left unlabelled where it is too low."""

import csv
import dataclasses
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import featx
from conftest import Painter
from featx.cli import app
from featx.cli.show.prediction import predictions as show_predictions
from featx.errors import SourceError, UsageError
from featx.model import Model
from featx.pipeline.prediction import predict_batches
from featx.selection.calibration import Calibration

MEANS = {"backbone": "mean-colour"}
BETWEEN = {"between": (125, 35, 120)}
"""A colour half way from red to blue."""


@pytest.fixture
def model(paint: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.chdir(tmp_path)
    paint(Path("new"), each=3, seed=1)
    paint(Path("new"), each=3, classes=BETWEEN)
    return featx.fit(featx.extract(paint(Path("data/train")), **MEANS), clf="svm")


def without_probabilities(model: Model) -> Model:
    return dataclasses.replace(model, calibration=None)


def test_confidence_is_the_probability_of_the_label(model: Model) -> None:
    found = featx.predict(model, "new")
    assert found.probabilities is not None
    assert found.confidence is not None
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    columns = [model.classes.index(label) for label in found.labels]
    np.testing.assert_array_equal(found.confidence, found.probabilities[np.arange(len(found)), columns])
    assert not found.abstained.any()
    assert found.min_confidence is None
    sure = np.array(["between" not in path for path in found.paths])
    assert found.confidence[sure].min() > found.confidence[~sure].max()


def test_the_confidence_is_of_the_label_also_where_another_class_is_likelier(model: Model) -> None:
    """An SVM's label is what its pairs vote for."""
    turned = dataclasses.replace(
        model,
        calibration=Calibration(
            temperature=1.0, error_before=0.0, error_after=0.0, log_loss_before=0.0, log_loss_after=0.0
        ),
    )
    scores = turned.scores
    object.__setattr__(turned, "scores", lambda X: -scores(X))
    found = featx.predict(turned, "new/red")
    assert found.labels.tolist() == ["red"] * 3
    np.testing.assert_array_equal(found.confidence, found.probabilities[:, model.classes.index("red")])
    assert (found.confidence < found.probabilities.max(axis=1)).all()


def test_below_the_confidence_asked_for_there_is_no_label(model: Model) -> None:
    every = featx.predict(model, "new")
    for asked in (0.0, float(np.median(every.confidence)), 1.0):
        found = featx.predict(model, "new", min_confidence=asked)
        np.testing.assert_array_equal(found.abstained, every.confidence < asked)
        np.testing.assert_array_equal(found.labels, np.where(every.confidence < asked, "", every.labels))
        np.testing.assert_array_equal(found.probabilities, every.probabilities)
        np.testing.assert_array_equal(found.confidence, every.confidence)
        assert found.min_confidence == asked
        for record, path in zip(found.records(), found.paths, strict=True):
            assert record["path"] == path
            assert record["abstained"] == (record["label"] == "") == (record["confidence"] < asked)
    assert featx.predict(model, "new", min_confidence=0.0).labels.tolist() == every.labels.tolist()


def test_batches_are_the_whole(model: Model) -> None:
    Path("broken.png").write_bytes(b"no image")
    with pytest.warns(featx.UnreadableWarning, match="^1 of 13 images"):
        whole = featx.predict(model, ["new", "broken.png"], min_confidence=0.7)
    parts = list(predict_batches(model, ["new", "broken.png"], min_confidence=0.7, batch_size=5))
    assert len(parts) > 2
    assert sum(map(len, parts)) == len(whole) == 12
    assert [path for part in parts for path in part.paths] == list(whole.paths)
    np.testing.assert_array_equal(np.concatenate([part.abstained for part in parts]), whole.abstained)
    np.testing.assert_array_equal(np.concatenate([part.labels for part in parts]), whole.labels)
    assert [failure.path for failure in whole.failures] == ["broken.png"]


@pytest.mark.parametrize("asked", [-0.1, 1.01, 80, float("nan")])
def test_refuses_what_is_no_probability(model: Model, asked: float) -> None:
    with pytest.raises(UsageError, match="0 to 1"):
        featx.predict(model, "new", min_confidence=asked)


def test_without_probabilities_there_are_margins(model: Model) -> None:
    plain = without_probabilities(model)
    found = featx.predict(plain, "new/red")
    assert (found.probabilities, found.confidence) == (None, None)
    assert not found.abstained.any()
    assert set(found.records()[0]) == {"path", "label", "abstained", "margins"}
    with pytest.raises(UsageError, match=r"no probabilities.* cross-validation"):
        featx.predict(plain, "nowhere.jpg", min_confidence=0.5)
    with pytest.raises(SourceError):
        featx.predict(plain, "nowhere.jpg")


def test_the_command_leaves_labels_empty_and_counts_them(model: Model) -> None:
    every = featx.predict(model, "new")
    asked = float(np.median(every.confidence))
    path = "artifacts/models/train-mean-colour-svm.skops"
    options = ["predict", "new", "nowhere.jpg", "--model", path, "--min-confidence", str(asked)]
    told = CliRunner().invoke(app, options, catch_exceptions=False)
    assert told.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(told.stdout)))
    assert list(rows[0]) == ["path", "label", "confidence", *(f"probability_{name}" for name in model.classes)]
    assert [row["path"] for row in rows] == list(every.paths)
    assert [row["label"] for row in rows] == np.where(every.confidence < asked, "", every.labels).tolist()
    assert [float(row["confidence"]) for row in rows] == pytest.approx(every.confidence, rel=1e-5)
    left = int((every.confidence < asked).sum())
    assert f"{left} of 12 images got no label: the confidence is below {asked:g}" in told.stderr
    assert "nowhere.jpg" in told.stderr
    assert "got no label" not in CliRunner().invoke(app, ["predict", "new", "--model", path]).stderr

    told = CliRunner().invoke(app, [*options, "--json"], catch_exceptions=False)
    found = json.loads(told.stdout)
    assert found["predictions"] == featx.predict(path, "new", min_confidence=asked).records()
    assert [failure["path"] for failure in found["failures"]] == ["nowhere.jpg"]
    assert not CliRunner().invoke(app, ["predict", "new", "--model", path, "--quiet", *options[-2:]]).stderr


def test_the_command_writes_margins_where_there_are_no_probabilities(model: Model) -> None:
    without_probabilities(model).save("plain.skops")
    told = CliRunner().invoke(app, ["predict", "new/blue", "--model", "plain.skops"], catch_exceptions=False)
    rows = list(csv.DictReader(io.StringIO(told.stdout)))
    assert list(rows[0]) == ["path", "label", *(f"margin_{name}" for name in model.classes)]
    assert {row["label"] for row in rows} == {"blue"}


def test_images_that_the_model_was_fitted_on_are_counted(model: Model) -> None:
    """By their content, under any name."""
    shutil.copyfile("data/train/red/red 00.png", "new/red/again.png")
    path = "artifacts/models/train-mean-colour-svm.skops"
    found = featx.predict(model, ["new", "data/train/blue"], batch_size=4)
    assert [Path(one).name for one, seen in zip(found.paths, found.seen, strict=True) if seen] == [
        "again.png",
        *(f"blue {index:02}.png" for index in range(8)),
    ]
    assert "9 already seen in training" in repr(found)
    told = CliRunner().invoke(app, ["predict", "new", "--model", path], catch_exceptions=False)
    assert "1 of 13 images was used to fit the model: the model has already seen these" in told.stderr
    told = CliRunner().invoke(app, ["predict", "new", "--model", path, "--json", "--quiet"], catch_exceptions=False)
    assert json.loads(told.stdout)["seen"] == ["new/red/again.png"]
    assert not told.stderr
    Path("new/red/again.png").unlink()
    assert "already seen" not in CliRunner().invoke(app, ["predict", "new", "--model", path]).stderr


def test_what_is_no_path_is_told_the_way(paint: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = featx.extract(paint(Path("train")), backbone="mean-colour")
    model = featx.fit(store)
    picture = Image.open(Path("train") / store.paths[0])
    for image in (picture, np.asarray(picture)):
        with pytest.raises(featx.UsageError, match=r'featx\.Backbone\("mean-colour"\)\.transform\(X\)'):
            featx.predict(model, [image])
    # The way leads there.
    paths = [Path("train") / path for path in store.paths]
    pixels = featx.ImageLoader(image_size=store.spec.image_size).transform(paths)
    assert list(model.predict(featx.Backbone("mean-colour").transform(pixels))) == [path.parent.name for path in paths]
    with pytest.raises(featx.UsageError, match="no images to predict"):
        featx.predict(model, [])
    for source in (paths, store.to_pandas()):
        with pytest.raises(
            featx.UsageError, match=r"images must be given as a folder or a CSV file, found .*(to_csv|path)"
        ):
            featx.extract(source, backbone="mean-colour")
    store.to_pandas()[["path", "label"]].to_csv("train/images.csv", index=False)
    assert list(featx.extract("train/images.csv", backbone="mean-colour").labels) == list(store.labels)


def predictions_of(classes: int, *, probable: bool) -> featx.Predictions:
    each = np.full((1, classes), 1 / classes)
    return featx.Predictions(
        paths=("new.jpg",),
        labels=np.array(["class 7"]),
        abstained=np.array([False]),
        confidence=np.array([0.9]) if probable else None,
        classes=tuple(f"class {index}" for index in range(classes)),
        probabilities=each if probable else None,
        margins=each,
        failures=(),
        seen=np.array([False]),
    )


@pytest.mark.parametrize(("columns", "shown"), [("80", False), ("200", True)])
def test_few_probabilities_are_shown_where_a_line_has_room_for_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str, shown: bool
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show_predictions([predictions_of(5, probable=True)], json=False)
    told = capsys.readouterr()
    assert ("probability_class 4" in told.out) == shown
    assert ("featx predict ... > labels.csv" in " ".join(told.err.split())) != shown
    assert max(map(len, told.out.splitlines())) <= int(columns)


@pytest.mark.parametrize("probable", [True, False])
def test_a_terminal_shows_no_hundred_columns_and_a_file_gets_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, probable: bool
) -> None:
    found = predictions_of(102, probable=probable)
    for terminal in (True, False):
        monkeypatch.setattr(sys.stdout, "isatty", lambda answer=terminal: answer)
        show_predictions([found], json=False)
        told = capsys.readouterr()
        header, row = csv.reader(io.StringIO(told.out))
        sure = ["0.9"] if probable else []
        assert row[: 2 + len(sure)] == ["new.jpg", "class 7", *sure]
        assert len(header) == len(row) == 2 + len(sure) + (0 if terminal else 102)
        assert ("of the 102 classes" in told.err) == terminal
