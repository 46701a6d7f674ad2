"""The images that a score is on, its files and its list: test sets, validation sets, folds."""

import csv
import dataclasses
import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featx
from conftest import Painter
from featx.cli import main
from featx.errors import DataError, UsageError
from featx.reports import Report

MEANS: dict[str, Any] = {"backbone": "mean-colour", "workers": 1}
MODEL = "train-mean-colour-logreg"
REPORTS = Path("artifacts/reports")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # Half of the time of a score, and no matter of these tests.
    monkeypatch.setattr("featx.reports.plot_confusion", lambda *_: None)


def splits(paint: Painter, *names: str, root: str = "photos") -> featx.Model:
    """A model of the training part of a folder of splits, each of which has a store."""
    for seed, name in enumerate(names):
        paint(Path(root, name), each=8 - seed, seed=seed)
    train = next(
        one.store for one in featx.extract_all(root, backbones=["mean-colour"], workers=1) if one.store is not None
    )
    return featx.fit(train, C=0.1, folds=3)


def written() -> set[str]:
    return {path.name for path in REPORTS.glob("*.json")}


def listed(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def test_the_validation_set_that_was_extracted_is_scored_on(paint: Painter) -> None:
    report = featx.score(splits(paint, "train", "val"))
    assert (report.scored_on, report.metrics.n) == ("photos/val (21 images)", 21)
    assert "there is no test set, so the validation set was used" in report.remarks
    assert written() == {f"{MODEL}-on-val.json"}


def test_a_test_set_comes_before_a_validation_set_which_is_named(paint: Painter) -> None:
    model = splits(paint, "train", "val", "test")
    (report,) = featx.score_all()
    assert report.scored_on == "photos/test (18 images)"
    assert report.remarks == ("not used: the validation set photos/val (21 images)",)
    # The folder of everybody's habit stays first, and the others are named.
    paint(Path("data/test"), each=2, seed=9)
    report = featx.score(model)
    assert report.scored_on == "data/test (6 images)"
    assert len(report.remarks) == 2


def test_parts_extracted_one_by_one_and_columns_of_a_csv_belong_together(paint: Painter) -> None:
    model = splits(paint, "train", "val")
    for path in Path("artifacts/features").glob("val*"):
        path.unlink()
    featx.extract("photos/val", **MEANS)
    assert featx.score(model).scored_on == "photos/val (21 images)"

    rows = ["path,label,split"]
    rows += [f"{path},{path.parent.name},{path.parts[1]}" for path in sorted(Path("photos").rglob("*.png"))]
    Path("images.csv").write_text("\n".join(rows))
    stores = [one.store for one in featx.extract_all("images.csv", backbones=["mean-colour"], out="csv")]
    assert stores[0] is not None
    report = featx.score(featx.fit(stores[0], out="csv.skops"))
    assert report.scored_on == "images.csv, val (21 images)"


@pytest.mark.parametrize("case", ["elsewhere", "spec", "unlabelled"])
def test_a_set_that_does_not_belong_to_the_training_store_is_not_taken(paint: Painter, case: str) -> None:
    model = splits(paint, "train")
    if case == "elsewhere":
        featx.extract(paint(Path("others/test"), seed=1), **MEANS)
    elif case == "spec":
        featx.extract(paint(Path("photos/test"), seed=1), image_size=8, **MEANS)
    else:
        paint(Path("flat"), each=2, seed=1)
        Path("flat/red").rename("photos/test")
        featx.extract("photos/test", **MEANS)
    assert featx.score(model).scored_on.startswith("cross-validation")


def test_reports_of_two_sets_stand_side_by_side_and_are_compared_within_one(paint: Painter) -> None:
    splits(paint, "train", "val", "test")
    featx.fit(Path("artifacts/features/train-mean-colour.h5"), clf="centroid")
    other = "train-mean-colour-centroid"
    featx.score_all()
    featx.score_all(source="photos/val")
    assert written() == {f"{model}-on-{name}.json" for model in (MODEL, other) for name in ("test", "val")}
    assert sorted((one.n, len(one.models)) for one in featx.compare_all()) == [(18, 2), (21, 2)]
    assert {one.model for one in featx.compare_all()[0].models} == {MODEL, other}
    models = [Path(f"artifacts/models/{name}.skops") for name in (MODEL, other)]
    assert featx.compare(models).n == 18  # the test set
    assert [one.n for one in featx.compare_all(models)] == [18, 21]
    # The sets in which each model has a report are told where none is shared.
    for path in (REPORTS / f"{MODEL}-on-val.json", REPORTS / f"{other}-on-test.json"):
        path.unlink()
    with pytest.raises(DataError, match=rf"{MODEL} on test; {other} on val"):
        featx.compare(models)


def test_a_cross_validated_report_keeps_its_name_and_an_older_file_is_replaced_in_comparisons(paint: Painter) -> None:
    model = splits(paint, "train")
    featx.score(model)
    assert written() == {f"{MODEL}.json"}
    paint(Path("photos/test"), each=2, seed=3)
    report = featx.score(model, "photos/test")
    # Before sets had names, the report of a test set had this one, and no key for the set.
    plain = dataclasses.replace(report, test_set="", created="2020-01-01T00:00:00+00:00")
    plain.save(REPORTS / f"{MODEL}.json")
    dataclasses.replace(report, model="other").save(REPORTS / "other-on-test.json")
    (found,) = featx.compare_all()
    assert {one.model for one in found.models} == {MODEL, "other"}


def test_two_sets_of_one_name_have_a_report_each_and_one_that_grew_or_moved_keeps_its_own(paint: Painter) -> None:
    model = splits(paint, "train")
    first = featx.score(model, paint(Path("a/test"), each=4, seed=5))
    second = featx.score(model, paint(Path("b/test"), each=4, seed=6))
    assert first.test_set == "test"
    assert second.test_set.startswith("test-")
    assert len(written()) == 2
    paint(Path("a/test"), each=5, seed=5)
    assert featx.score(model, "a/test").test_set == "test"
    Path("a").rename("c")
    assert featx.score(model, "c/test").test_set == "test"
    assert len(written()) == 2


def test_a_very_long_name_of_a_set_still_gives_a_file(paint: Painter) -> None:
    model = splits(paint, "train")
    name = "ä" * 100
    assert featx.score(model, paint(Path(name), each=1, seed=5)).test_set not in ("", name)
    assert len(written()) == 1


def test_the_list_of_images_is_the_report_with_the_surest_mistakes_first(paint: Painter) -> None:
    model = splits(paint, "train", "test")
    for index in range(3):
        Path(f"photos/test/red/red {index:02}.png").rename(f"photos/test/blue/wrong {index}.png")
    report = featx.score(model, "photos/test")
    rows = listed(REPORTS / f"{MODEL}-on-test.csv")
    assert report.images is not None
    images, classes = report.images, report.classes
    assert [row["right"] for row in rows] == ["false"] * 3 + ["true"] * 18
    assert {row["path"] for row in rows[:3]} == {f"blue/wrong {index}.png" for index in range(3)}
    sure = [float(row["confidence"]) for row in rows]
    assert sure[:3] == sorted(sure[:3], reverse=True)
    assert sure[3:] == sorted(sure[3:])
    assert {row["set"] for row in rows} == {"test"}
    expected = {
        path: (classes[label], classes[guess])
        for path, label, guess in zip(images.paths, images.labels, images.predicted, strict=True)
    }
    assert {row["path"]: (row["label"], row["predicted"]) for row in rows} == expected


def test_the_list_names_the_fold_that_an_image_was_held_out_in(paint: Painter) -> None:
    model = splits(paint, "train")
    report = featx.score(model)
    found = model.selection.nested or model.selection.oof
    assert found is not None
    assert report.images is not None
    assert report.images.folds is not None
    np.testing.assert_array_equal(report.images.folds, found.folds)
    assert Report.load(REPORTS / f"{MODEL}.json").images == report.images
    folds = dict(zip(report.images.paths, found.folds.tolist(), strict=True))
    assert {row["path"]: row["set"] for row in listed(REPORTS / f"{MODEL}.csv")} == {
        path: f"fold {fold + 1}" for path, fold in folds.items()
    }
    # Without the training store nobody knows the paths, and a list of another score would be a lie.
    Path("artifacts/features/train-mean-colour.h5").unlink()
    assert featx.score(model).images is None
    assert not (REPORTS / f"{MODEL}.csv").exists()


def test_the_list_keeps_the_bytes_of_names_and_is_safe_for_a_spreadsheet_where_asked(paint: Painter) -> None:
    model = splits(paint, "train")
    paint(Path("photos/test"), each=1, seed=1)
    strange = os.fsencode("photos/test/red/") + b"caf\xe9.png"
    os.rename(b"photos/test/red/red 00.png", strange)  # noqa: PTH104  (bytes)
    Path("photos/test/blue/blue 00.png").rename("photos/test/blue/x.png")
    Path("photos/test/green").rename("photos/test/=green")
    featx.score(model, "photos/test", out="plain.json")
    featx.score(model, "photos/test", out="safe.json", safe_csv=True)
    assert b"caf\xe9.png" in Path("plain.csv").read_bytes()
    plain, safe = ({row["path"]: row for row in listed(Path(name))} for name in ("plain.csv", "safe.csv"))
    assert plain["=green/green 00.png"]["label"] == "=green"
    assert safe["'=green/green 00.png"]["label"] == "'=green"


def test_the_list_replaces_no_file_of_the_user(paint: Painter) -> None:
    model = splits(paint, "train")
    Path("mine.csv").write_text("path,label\nphotos/train/red/red 00.png,red\n")
    with pytest.raises(UsageError, match=r"would replace mine\.csv"):
        featx.score(model, "mine.csv", out="mine.json")
    assert Path("mine.csv").read_text().startswith("path,label\n")
    assert not Path("mine.json").exists()
    for _ in range(2):  # its own list it replaces
        featx.score(model, "mine.csv", out="other.json", safe_csv=True)


def test_the_command_names_the_list_and_the_set(
    paint: Painter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    splits(paint, "train", "val")
    monkeypatch.setattr(sys, "argv", ["featx", "score", "--safe-csv"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    told = capsys.readouterr()
    assert "photos/val (21 images)" in told.out
    assert f"0 of 21 images were classified wrongly: artifacts/reports/{MODEL}-on-val.csv" in told.err
    assert f"artifacts/reports/{MODEL}-on-val.html" in told.err
    assert Path(f"artifacts/reports/{MODEL}-on-val.csv").read_text().startswith('"path","label"')


def test_a_class_of_which_no_image_could_be_read_is_no_class_of_a_score(
    paint: Painter, caplog: pytest.LogCaptureFixture
) -> None:
    for part in ("train", "test"):
        for folder in ("empty", "broken"):
            Path("photos", part, folder).mkdir(parents=True)
        Path("photos", part, "broken/1.png").write_bytes(b"no image at all")
    with caplog.at_level(logging.WARNING), pytest.warns(featx.UnreadableWarning):
        model = splits(paint, "train", "test")
    assert model.classes == ("blue", "green", "red")
    (warning,) = [one.getMessage() for one in caplog.records if "will never predict them" in one.getMessage()]
    assert warning.endswith(": broken")
    with pytest.warns(featx.UnreadableWarning):
        report = featx.score(model, "photos/test")
    assert report.metrics.classes == model.classes
    assert report.failures == (("broken/1.png", report.failures[0][1]),)
