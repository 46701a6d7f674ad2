"""The work of one score, counted: what it needs is opened, listed and computed once."""

import importlib
import types
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featx
from conftest import Painter
from featx.manifest import folders
from featx.pipeline.evaluation.judging import _never_predicted as never_predicted
from featx.statistics import evaluate
from featx.store import sealed

MEANS: dict[str, Any] = {"backbone": "mean-colour", "workers": 2}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each store is opened to be read, by the name of its file."""
    return _counted(monkeypatch, sealed.FeatureStore, "__init__", lambda _, path, *__: path.name)


def _counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, key: Callable[..., str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    original = getattr(owner, name)

    def counting(*args: Any, **options: Any) -> Any:
        counts[key(*args)] += 1
        return original(*args, **options)

    monkeypatch.setattr(owner, name, counting)
    return counts


def _fitted(paint: Painter) -> Path:
    """A model of `data/train` and its file."""
    paint(Path("data/train"))
    store = featx.extract("data/train", **MEANS)
    featx.fit(store, clf="logreg", out="model.skops")
    return Path("model.skops")


def test_one_score_on_test_images_opens_the_training_store_once(paint: Painter, opened: Counter[str]) -> None:
    model = _fitted(paint)
    paint(Path("data/test"), each=3, seed=1)
    opened.clear()
    assert featx.score(model).scored_on.startswith("data/test")
    assert opened["train-mean-colour.h5"] == 1


def test_one_cross_validated_score_opens_the_training_store_once(paint: Painter, opened: Counter[str]) -> None:
    model = _fitted(paint)
    opened.clear()
    assert featx.score(model).images is not None
    assert opened["train-mean-colour.h5"] == 1


@pytest.mark.parametrize("source", ["data", "data/test"])
def test_one_score_lists_each_folder_once(paint: Painter, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    model = _fitted(paint)
    paint(Path("data/test"), each=3, seed=1)
    listed = _counted(monkeypatch, folders, "visible", lambda folder: str(Path(folder).relative_to(Path.cwd())))
    report = featx.score(model, source)
    assert report.metrics.n == 9
    classes = [f"data/test/{name}" for name in ("blue", "green", "red")]
    assert {folder: listed[folder] for folder in classes} == dict.fromkeys(classes, 1)


def test_one_score_computes_the_calibration_once(paint: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _fitted(paint)
    module = importlib.import_module("featx.statistics.reliability")  # the package has a function of this name
    computed = _counted(monkeypatch, module, "_error", lambda _: "bootstrap")
    report = featx.score(model)
    assert report.reliability is not None
    assert report.metrics.calibration_error == report.reliability.error
    assert computed["bootstrap"] == 1


def test_a_class_that_is_never_predicted_is_named_with_what_may_help(paint: Painter) -> None:
    grey = {"common": (120, 120, 120), "rare": (120, 120, 120)}
    paint(Path("data/train"), classes={"common": grey["common"]}, each=60)
    paint(Path("data/train"), classes={"rare": grey["rare"]}, each=5, seed=1)
    store = featx.extract("data/train", **MEANS)
    report = featx.score(featx.fit(store, C=1e-4, folds=5, out="a.skops"))
    (note,) = [one for one in report.notes if one.startswith("classes that the model never predicted")]
    assert note.startswith("classes that the model never predicted: 'rare' (5 images)")
    assert '`class_weight="balanced"`' in note
    assert report.baseline.startswith("always answering 'common' would get 92.3%")
    # What was done already, and what a classifier can't do, is not advised.
    for options in ({"clf": "logreg", "C": 1e-4, "class_weight": "balanced"}, {"clf": "knn"}):
        notes = featx.score(featx.fit(store, folds=5, out="b.skops", **options)).notes
        assert not any("class_weight" in one for one in notes)


def test_a_class_that_nearly_has_the_name_of_one_of_the_model_is_said(paint: Painter) -> None:
    model = _fitted(paint)
    paint(Path("data/test"), each=3, classes={"Red": (200, 30, 30), "blue": (30, 30, 200), "other": (0, 0, 0)})
    notes = [note for note in featx.score(model).notes if "does not know the class" in note]
    assert [("'Red' and the model's 'red' differ only in case" in note, note.count("differ")) for note in notes] == [
        (True, 1),
        (False, 0),
    ]


def test_of_many_classes_that_the_model_does_not_know_or_never_predicts_few_are_named(paint: Painter) -> None:
    """A hundred of them would fill terminal and page, which has a table of all classes."""
    model = _fitted(paint)
    paint(Path("data/test"), each=1, classes={f"new {index}": (90, 90, 90) for index in range(8)} | {"Red": (9, 9, 9)})
    notes = [note for note in featx.score(model).notes if "does not know" in note]
    assert len(notes) == 6
    assert "'Red' and the model's 'red' differ" in notes[0]  # likely a slip, and before the others
    assert notes[-1] == "the model does not know 4 other classes either: their 4 images count as errors"

    labels = np.repeat(np.arange(9), [60, 2, 2, 2, 2, 3, 3, 3, 3])
    classes = ("common", *(f"rare {index}" for index in range(8)))
    figures = evaluate(labels, np.zeros_like(labels), classes=classes)
    (note,) = never_predicted(types.SimpleNamespace(classes=classes, clf="knn", params={}), figures)
    assert "'rare 4' (3 images), 'rare 5' (3 images)" in note  # the largest first
    assert note.endswith("'rare 0' (2 images) and 3 more")
