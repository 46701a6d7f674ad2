"""Results as a notebook shows them: short, escaped whatever a class is called, and as tables of pandas."""

import dataclasses
import os
import re
import shutil
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import featx
from conftest import Painter
from featx.notebook import html_table
from featx.statistics.metrics import Metrics
from featx.statistics.table import METRICS
from featx.training.checkpoints import Epoch
from featx.words import some

HOSTILE = ("<script>alert(1)</script>", "a\"b'c & <b>", "`out`", os.fsdecode(b"caf\xe9"))
"""Names of classes, which are names of folders."""


@pytest.fixture(scope="module", autouse=True)
def _here(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATX_CACHE", str(shared_cache))
        patch.chdir(tmp_path_factory.mktemp("notebook"))
        yield


@pytest.fixture(scope="module")
def results(paint: Painter) -> SimpleNamespace:
    # A folder's name can't hold a slash.
    names = [name.replace("/", "∕") for name in HOSTILE]
    paint(Path("data/train"), classes={name: (60 * index, 255 - 60 * index, 90) for index, name in enumerate(names)})
    Path("data/train", names[0], "broken <i>.png").write_bytes(b"")
    with pytest.warns(featx.UnreadableWarning):
        store = featx.extract("data/train", backbone="mean-colour")
    model = featx.fit(store, clf="svm")
    with pytest.warns(featx.UnreadableWarning):
        found = featx.predict(model, "data/train")
    return SimpleNamespace(names=names, store=store, model=model, report=featx.score(model), found=found)


@pytest.fixture(scope="module")
def more(results: SimpleNamespace, all_models: dict[Path, featx.Model]) -> SimpleNamespace:
    """The other public results."""
    with pytest.warns(featx.UnreadableWarning):
        (extraction,) = featx.extract_all("data/train", backbones=["mean-colour"])
    other = featx.score(featx.fit(results.store, clf="centroid"))
    return SimpleNamespace(
        extraction=extraction,
        verification=featx.verify(results.store.path),
        comparisons=featx.compare([results.report, other]),
        curve=featx.curve(results.store, clf="centroid", points=[2], repeats=1),
        spec=results.store.spec,
        views=featx.ViewsSpec(count=4),
        metrics=results.report.metrics,
        ranking=next(iter(all_models.values())).ranking,
        tuned=featx.Tuned(
            name="train-mean-colour",
            model=results.model,
            weights=None,
            record=Path("artifacts/weights/<b>.json"),
            epochs=tuple(epoch(number) for number in range(3)),
            taken=1,
            training=27,
            validation=5,
            notes=("a note about <i>",),
        ),
    )


def epoch(number: int) -> Epoch:
    figures = dict.fromkeys(("rate", "loss", "accuracy", "validation_loss", "validation_accuracy", "seconds"), 0.5)
    return Epoch(number=number, **figures)


@pytest.fixture(scope="module")
def all_models(results: SimpleNamespace) -> dict[Path, featx.Model]:
    return featx.fit_all([results.store], clf="all")


def test_every_public_result_is_short_and_shown_as_a_table(results: SimpleNamespace, more: SimpleNamespace) -> None:
    shown = {**vars(results), **vars(more)}
    classes = {type(value).__name__ for value in shown.values()} - {"list"} | {"Failure", "Gallery", "Step"}
    verbs_give = {name for name in featx.__all__ if isinstance(getattr(featx, name), type)}
    verbs_give -= {name for name in verbs_give if issubclass(getattr(featx, name), Exception)}
    assert verbs_give - classes == {"Backbone", "ImageLoader", "Progress", "Silent"}  # scikit-learn's, and observers
    for name, value in vars(more).items():
        html = value._repr_html_()
        assert Tags(html).tags <= {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "p"}, name
        html.encode("utf-8")
        assert "\n" not in repr(value)
        assert len(repr(value)) < 400, name
    assert repr(results.store.failures[0]).endswith("reason='empty', message='the file is empty')")
    counts = "33 images: 0 new, 32 reused, 1 unreadable"
    assert repr(more.extraction) == f"<Extraction of train-mean-colour.h5: {counts}>"
    assert counts in Tags(more.extraction._repr_html_()).text
    assert repr(more.verification) == "<Verification of train-mean-colour.h5: 32 rows, sound>"
    damaged = dataclasses.replace(more.verification, damaged=("a <b>.png",))
    assert "1 problem" in repr(damaged)
    assert "1 of 32 rows is damaged: a <b>.png" in Tags(damaged._repr_html_()).text
    assert repr(more.metrics) == f"<Metrics: {more.metrics.headline}>"


def test_comparisons_and_curves_are_tables_of_pandas(more: SimpleNamespace) -> None:
    frame = more.comparisons.to_pandas()
    assert frame["model"].tolist() == [one.model for one in more.comparisons.models]
    (pair,) = more.comparisons.with_best
    assert frame.loc[1, ["behind", "behind_low", "p_value"]].tolist() == [
        pair.by_metric["accuracy"].value,
        pair.by_metric["accuracy"].interval.low,
        pair.adjusted_p_value,
    ]
    assert frame.loc[0, ["behind", "p_value"]].isna().all()
    assert "95% interval" in Tags(more.curve._repr_html_()).text
    curve = more.curve.to_pandas()
    assert curve["images_per_class"].tolist() == [row.images_per_class for row in more.curve.rows]
    assert curve["high"].tolist() == [row.interval.high for row in more.curve.rows]
    pd.testing.assert_frame_equal(
        more.metrics.to_pandas(), featx.Report.to_pandas(SimpleNamespace(metrics=more.metrics))
    )


def test_all_classifiers_give_the_best_with_its_ranking(
    results: SimpleNamespace, all_models: dict[Path, featx.Model]
) -> None:
    models = all_models
    best = featx.fit(results.store, clf="all", save=False)
    assert results.model.ranking is None
    ranking = next(iter(models.values())).ranking
    assert [one.file for one in ranking.models] == [path.absolute() for path in models]
    assert [one.file for one in best.ranking.models] == [None] * len(models)
    assert [one.clf for one in best.ranking.models] == [model.clf for model in models.values()]
    assert (best.ranking.models[0].name, best.ranking.models[0].params) == (best.name, best.params)
    frame = ranking.to_pandas()
    assert frame["accuracy"].tolist() == [model.accuracy for model in models.values()]
    assert frame["accuracy"].is_monotonic_decreasing
    assert repr(ranking).startswith(f"<Ranking of 7 classifiers on train-mean-colour: {ranking.models[0].clf} ")
    assert featx.Model.load(ranking.models[0].file).ranking is None


def test_without_cross_validation_there_is_nothing_to_rank_by(more: SimpleNamespace) -> None:
    row = dataclasses.replace(more.ranking.models[0], accuracy=None, std=None, file=None)
    ranking = featx.Ranking(store="x.h5", models=(row,))
    assert "not cross-validated" in repr(ranking)
    assert "not cross-validated" in ranking._repr_html_()
    assert ranking.to_pandas()["accuracy"].isna().all()


class Frames(HTMLParser):
    """What the frames of a page show."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.frames: list[dict[str, str | None]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.frames.append({"tag": tag, **dict(attrs)})


def test_the_page_of_a_report_is_a_path_that_a_notebook_shows(results: SimpleNamespace) -> None:
    report = featx.Report.load(shutil.copy(results.report.file, "copy.json"))
    assert report.page is None
    shutil.copy(results.report.page, "copy.html")
    assert report.page == Path("copy.html").absolute()
    (frame,) = Frames(report.page._repr_html_()).frames
    assert frame["tag"] == "iframe"
    written = report.page.read_text(encoding="utf-8")
    assert frame["srcdoc"].replace('<base href="about:srcdoc">', "", 1) == written != frame["srcdoc"]
    assert frame["sandbox"] == "allow-scripts"  # its scripts can't reach the notebook
    assert report.page.parent._repr_html_() is None
    loaded = featx.Report.load(report.file)
    assert (loaded, loaded.page) == (report, report.page)
    assert '"file"' not in report.to_json()
    report.page.unlink()
    assert report.page is None
    assert featx.Report.from_json(report.to_json()).page is None


class Tags(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += f"{data}\n"


@pytest.mark.parametrize("name", ["store", "model", "report", "found"])
def test_a_table_holds_nothing_but_its_own_tags(name: str, results: SimpleNamespace) -> None:
    shown = getattr(results, name)
    html = shown._repr_html_()
    page = Tags(html)
    assert page.tags <= {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "p"}
    html.encode("utf-8")  # a notebook is a file in UTF-8
    if name in ("store", "model"):
        assert all(one.encode("utf-8", "backslashreplace").decode() in page.text for one in results.names)
    assert len(html) < 20_000
    assert "\n" not in repr(shown)
    assert len(repr(shown)) < 500


def test_a_model_says_what_it_is(results: SimpleNamespace) -> None:
    model = results.model
    text = Tags(model._repr_html_()).text
    for word in ("svm", "linear", "mean-colour", "32 images", f"C = {model.params['C']:.4g}", "4: ", "cross-validated"):
        assert word in text
    assert repr(model).startswith("<Model train-mean-colour-svm: svm (C = ")
    assert "4 classes · 32 images" in repr(model)
    sweep = model.to_pandas()
    assert list(sweep.columns) == ["C", "mean", "std", "chosen"]
    assert sweep.loc[sweep["chosen"], "C"].tolist() == [model.params["C"]]
    assert sweep["mean"].tolist() == [row.mean for row in model.selection.rows]


def test_a_report_shows_every_figure_with_its_interval(results: SimpleNamespace) -> None:
    report = results.report
    text = Tags(report._repr_html_()).text
    interval = report.metrics.intervals["accuracy"]
    for words in ("Balanced accuracy", "Macro F1", "Log loss", f"{interval.low:.1%} to {interval.high:.1%}"):
        assert words in text
    frame = report.to_pandas()
    whole = frame[frame["class"].isna()].set_index("figure")
    assert whole.loc["accuracy", "value"] == report.metrics.accuracy
    assert (whole.loc["accuracy", "low"], whole.loc["accuracy", "high"]) == (interval.low, interval.high)
    assert whole.loc["log_loss", "value"] == report.metrics.log_loss
    assert set(frame["class"].dropna()) == set(results.names)
    for one in report.metrics.per_class:
        row = frame[(frame["class"] == one.name) & (frame["figure"] == "recall")].iloc[0]
        assert (row["value"], row["n"], row["low"]) == (one.recall, one.support, one.intervals["recall"].low)
    assert frame.dtypes[["value", "low", "high"]].tolist() == [np.float64] * 3


def test_no_figure_is_forgotten(results: SimpleNamespace) -> None:
    metrics: Metrics = results.report.metrics
    names = {metric.name for metric in METRICS if getattr(metrics, metric.name) is not None}
    assert {metric.name for metric, _, _ in metrics.figures} == names
    assert set(metrics.intervals) <= names


def test_predictions_are_a_table(results: SimpleNamespace) -> None:
    found: featx.Predictions = results.found
    frame = found.to_pandas()
    assert frame["path"].tolist() == list(found.paths)
    assert frame["label"].tolist() == found.labels.tolist()
    assert frame["confidence"].tolist() == found.confidence.tolist()
    assert list(frame.columns[4:]) == [f"probability_{name}" for name in found.classes]
    np.testing.assert_array_equal(frame.iloc[:, 4:].to_numpy(), found.probabilities)
    text = Tags(found._repr_html_()).text
    assert "the first 10 of 32" in text
    assert "broken <i>.png" in text
    assert re.match(r"<Predictions of 32 images · \d+ .*· 1 failed>", repr(found))
    with pytest.warns(featx.UnreadableWarning):
        unsure = featx.predict(results.model, "data/train", min_confidence=1.0)
    assert unsure.to_pandas()["label"].isna().tolist() == unsure.abstained.tolist()
    assert "without a label" in repr(unsure)


def test_predictions_without_probabilities_have_margins(results: SimpleNamespace) -> None:
    found = dataclasses.replace(results.found, probabilities=None, confidence=None)
    frame = found.to_pandas()
    assert [name for name in frame.columns if name.startswith("margin_")] == [
        f"margin_{name}" for name in found.classes
    ]
    assert "confidence" not in frame.columns
    assert "32 images" in found._repr_html_()


def test_nothing_predicted_is_a_table_too(results: SimpleNamespace) -> None:
    found: featx.Predictions = results.found
    part = slice(0, 0)
    nothing = dataclasses.replace(
        found,
        paths=(),
        labels=found.labels[part],
        abstained=found.abstained[part],
        confidence=found.confidence[part],
        probabilities=found.probabilities[part],
        margins=found.margins[part],
        seen=found.seen[part],
    )
    assert repr(nothing) == "<Predictions of 0 images · none labelled · 1 failed>"
    assert len(nothing.to_pandas()) == 0
    assert "0 images" in nothing._repr_html_()


@pytest.mark.parametrize("name", ["store", "model", "report", "found"])
def test_without_pandas_the_extra_is_named(
    name: str, results: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(getattr(results, name).to_pandas(), pd.DataFrame)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(featx.UsageError, match=r"pip install 'featx\[pandas\]'"):
        getattr(results, name).to_pandas()


def test_long_lists_are_cut() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some([str(number) for number in range(1_200)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 1,190 more"
    assert html_table("<t>", []) == (
        "<div><table><caption style='text-align:left'>&lt;t&gt;</caption><tbody></tbody></table></div>"
    )
