"""Results as a notebook shows them: short, escaped whatever a class is called, and as tables of pandas."""

import dataclasses
import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import featx
from conftest import Painter
from featx.notebook import html_table, some
from featx.statistics.metrics import Metrics
from featx.statistics.table import METRICS

HOSTILE = ("<script>alert(1)</script>", "a\"b'c & <b>", "`out`", os.fsdecode(b"caf\xe9"))
"""Names of classes, which are names of folders."""


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paint: Painter) -> SimpleNamespace:
    monkeypatch.chdir(tmp_path)
    # A folder's name can't hold a slash.
    names = [name.replace("/", "∕") for name in HOSTILE]
    paint(Path("data/train"), classes={name: (60 * index, 255 - 60 * index, 90) for index, name in enumerate(names)})
    Path("data/train", names[0], "broken <i>.png").write_bytes(b"")
    store = featx.extract("data/train", backbone="mean-colour")
    model = featx.fit(store, clf="svm")
    return SimpleNamespace(
        names=names, store=store, model=model, report=featx.score(model), found=featx.predict(model, "data/train")
    )


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
    unsure = featx.predict(results.model, "data/train", min_confidence=1.0)
    assert unsure.to_pandas()["label"].isna().tolist() == unsure.abstained.tolist()
    assert "left unlabelled" in repr(unsure)


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
