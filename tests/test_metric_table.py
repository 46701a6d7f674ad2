"""The table of metrics: a row is all that a new metric needs besides its function."""

import dataclasses
import json

import numpy as np
import pytest

from featx.cli.show.scoring import reports as show_reports
from featx.leakage import Leak
from featx.reports import Report, rows
from featx.reports.page.rendering import render
from featx.statistics import evaluate, table, wilson
from featx.statistics.comparison import Comparison, rank
from featx.statistics.scored_images import ScoredImages
from test_reports import NAMES, make_report, random_case, softmax


def first_class_right(images: ScoredImages) -> table.Figure:
    """Share of all images that are of the first class and predicted right."""
    right = int(images.confusion[0, 0])
    return table.Figure(value=right / len(images), interval=wilson(right, len(images)))


NEW = table.Metric(
    name="first_class_right",
    title="First class right",
    explanation="A sentence about the first class.",
    unit="%",
    measure=first_class_right,
    heading="first",
    ends_in_tables=True,
    of_counts=lambda right, support, named: right[:, 0] / support.sum(axis=1),
    later=True,
)


@pytest.fixture
def _new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "METRICS", (*table.METRICS, NEW))


@pytest.mark.usefixtures("_new")
def test_a_new_row_is_in_the_report_and_in_its_file() -> None:
    report = make_report()
    metrics = report.metrics
    value = metrics.confusion[0, 0] / metrics.n
    assert metrics.by_metric[NEW.name] == metrics.first_class_right == value  # type: ignore[comparison-overlap]
    assert metrics.intervals[NEW.name] == wilson(int(metrics.confusion[0, 0]), metrics.n)
    plain = json.loads(report.to_json())["metrics"]
    assert list(plain)[-1] == NEW.name
    assert (plain[NEW.name], plain["intervals"][NEW.name]["method"]) == (value, "wilson")
    assert Report.from_json(report.to_json()) == report
    assert NEW.name in dir(metrics)


@pytest.mark.usefixtures("_new")
def test_a_new_row_is_in_tables_on_the_terminal_and_on_the_page(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    report = make_report()
    report = dataclasses.replace(report, without_leaks=report.metrics, leaks=(leak(),), training_root="", notes=())
    value, interval = report.metrics.by_metric[NEW.name], report.metrics.intervals[NEW.name]
    assert value is not None
    (row,) = rows([report])
    assert (row[NEW.name], row[f"{NEW.name}_low"], row[f"{NEW.name}_high"]) == (value, interval.low, interval.high)
    show_reports([report])
    shown = capsys.readouterr().out
    assert NEW.heading in shown.splitlines()[1]
    assert f"{value:.1%}" in shown
    assert f"{interval.low:.1%} - {interval.high:.1%}" in shown
    text = render(report, thumbnails={}, training={}, positions=None)
    assert f"<dt>{NEW.title}</dt>" in text
    assert NEW.explanation in text
    assert f'<th scope="row">{NEW.title}</th>' in text  # the figures without leaked images


def leak() -> Leak:
    return Leak(path="a", other="b", kind="exact", where="train-test", labels=("a", "a"))


@pytest.mark.usefixtures("_new")
def test_a_new_row_is_compared_between_models() -> None:
    labels, scores = random_case(200, 3, 0)
    better, worse = scores.argmax(axis=1), np.where(np.arange(200) % 2, 0, scores.argmax(axis=1))
    (pair,) = rank(labels, {"better": better, "worse": worse}).pairs
    ours = [np.mean((labels == 0) & (predicted == 0)) for predicted in (better, worse)]
    assert pair.by_metric[NEW.name].value == pytest.approx(ours[0] - ours[1])
    assert pair.first_class_right.interval.method == "bootstrap"
    assert Comparison.from_dict(json.loads(json.dumps(pair.to_dict()))) == pair


def test_a_file_of_before_the_new_row_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    report = make_report()
    labels, scores = random_case(60, 3, 0)
    (pair,) = rank(labels, {"a": scores.argmax(axis=1), "b": labels}).pairs
    monkeypatch.setattr(table, "METRICS", (*table.METRICS, NEW))
    metrics = Report.from_json(report.to_json()).metrics
    assert metrics.by_metric[NEW.name] is None
    assert metrics.balanced_accuracy == report.metrics.balanced_accuracy
    assert f"<dt>{NEW.title}</dt>" not in render(
        dataclasses.replace(report, metrics=metrics), thumbnails={}, training={}, positions=None
    )
    assert Comparison.from_dict(pair.to_dict()) == pair


def test_what_needs_probabilities_is_none_without_them() -> None:
    y, scores = random_case(40, 3, 0)
    without = evaluate(y, scores.argmax(axis=1), classes=NAMES[:3], scores=scores)
    given = evaluate(y, scores.argmax(axis=1), classes=NAMES[:3], scores=scores, probabilities=softmax(scores))
    for metric in table.METRICS:
        assert (without.by_metric[metric.name] is None) == (
            metric.needs_probabilities or metric.name == "top5_accuracy"
        )
        assert (given.by_metric[metric.name] is None) == (metric.name == "top5_accuracy")


def test_the_rows_have_names_of_their_own_and_a_sentence_each() -> None:
    assert len({metric.name for metric in table.METRICS}) == len(table.METRICS)
    assert table.METRICS[0].name == "accuracy"
    for metric in table.METRICS:
        assert metric.name.isidentifier()
        assert metric.title
        assert metric.explanation.endswith(".")


def test_the_keys_of_the_file_are_those_of_its_first_version() -> None:
    keys = ["n", "accuracy", "balanced_accuracy", "macro_f1", "top5_accuracy", "log_loss", "log_loss_left_out"]
    keys += ["per_class", "confusion", "intervals", "calibration_error"]
    assert list(make_report().metrics.to_dict()) == keys


def test_metrics_can_be_copied_and_know_no_other_attribute() -> None:
    import copy
    import pickle

    metrics = make_report().metrics
    assert copy.deepcopy(metrics) == pickle.loads(pickle.dumps(metrics)) == metrics
    with pytest.raises(AttributeError, match="precision"):
        _ = metrics.precision
