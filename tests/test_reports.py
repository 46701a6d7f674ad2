import io
import json
import logging
import math
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn import metrics as sk

from featx.errors import DataError, FeatxError
from featx.reports import Report, page, plot_confusion, rows
from featx.statistics import evaluate, wilson
from featx.statistics.metrics import Metrics

NAMES = tuple(f"class {i}" for i in range(400))


def softmax(scores):
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def random_case(n, k, seed, *, skill=1.5):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    scores = rng.normal(size=(n, k))
    scores[np.arange(n), y] += skill
    return y, scores


def make_report(k=3, n=60, seed=0, names=NAMES, unseen=0, **changes):
    y, scores = random_case(n, k, seed)
    y[: n // 4] = np.where(unseen, k, y[: n // 4])
    metrics = evaluate(y, scores.argmax(1), classes=names[: k + unseen], scores=scores, probabilities=softmax(scores))
    fields = {
        "model": "train-resnet50-svm",
        "scored_on": f"data/test ({n} images)",
        "backbone": "resnet50",
        "clf": "svm",
        "params": {"C": 0.1},
        "classes": names[:k],
        "metrics": metrics,
        "spec": '{"backbone":"resnet50","image_size":[224,224],"layer":null}',
        "fingerprint": "0" * 64,
    }
    return Report(**(fields | changes))


# Metrics


@pytest.mark.parametrize(
    ("n", "k", "skill"), [(500, 2, 1), (500, 6, 2), (40, 17, 0), (3, 12, 3), (2000, 100, 1), (1, 2, 0)]
)
@pytest.mark.parametrize("seed", range(3))
def test_figures_equal_those_of_scikit_learn(n, k, skill, seed):
    y, scores = random_case(n, k, seed, skill=skill)
    predicted, shares = scores.argmax(axis=1), softmax(scores)
    found = evaluate(y, predicted, classes=NAMES[:k], scores=scores, probabilities=shares)

    labels = range(k)
    present = sorted({*y, *predicted})
    np.testing.assert_array_equal(found.confusion, sk.confusion_matrix(y, predicted, labels=labels))
    columns = sk.precision_recall_fscore_support(y, predicted, labels=labels, zero_division=0)
    for name, column in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        np.testing.assert_allclose([getattr(one, name) for one in found.per_class], column, rtol=1e-12)
    assert found.classes == NAMES[:k]
    assert found.n == n
    assert found.accuracy == pytest.approx(sk.accuracy_score(y, predicted))
    recalls = sk.recall_score(y, predicted, labels=np.unique(y), average="macro", zero_division=0)
    assert found.balanced_accuracy == pytest.approx(recalls)
    assert found.macro_f1 == pytest.approx(sk.f1_score(y, predicted, labels=present, average="macro", zero_division=0))
    assert found.log_loss == pytest.approx(sk.log_loss(y, shares, labels=list(labels)))
    assert found.log_loss_left_out == 0
    if k > 5:
        assert found.top5_accuracy == pytest.approx(sk.top_k_accuracy_score(y, scores, k=5, labels=list(labels)))
    else:
        assert found.top5_accuracy is None
    assert found.intervals["accuracy"] == wilson(round(found.accuracy * n), n)
    assert 0 <= found.calibration_error <= 1


@pytest.mark.parametrize("probabilities", [True, False])
@pytest.mark.parametrize(("n", "k", "skill"), [(300, 8, 2), (40, 3, 9), (1, 2, 0), (30, 7, -9)])
def test_every_figure_has_an_interval_that_holds_it(n, k, skill, probabilities):
    y, scores = random_case(n, k, 0, skill=skill)
    shares = softmax(scores) if probabilities else None
    found = evaluate(y, scores.argmax(axis=1), classes=NAMES[:k], scores=scores, probabilities=shares)
    figures = ["accuracy", "balanced_accuracy", "macro_f1", "top5_accuracy", "log_loss", "calibration_error"]
    of_classes = [(one, name) for one in found.per_class for name in ("precision", "recall", "f1")]
    held = [(found, name) for name in figures if getattr(found, name) is not None] + of_classes
    assert len(held) == 3 * (k + 1) + (k > 5) + 2 * probabilities
    for one, name in held:
        interval = one.intervals[name]
        assert 0 <= interval.low <= getattr(one, name) + 1e-12, name
        assert getattr(one, name) - 1e-12 <= interval.high, name
        assert interval.low < interval.high, name
        assert (interval.level, bool(interval.method)) == (0.95, True)
    assert set(found.intervals) == {name for one, name in held if one is found}
    assert found.intervals["accuracy"].low <= found.intervals["accuracy"].high < math.inf


def test_a_report_of_an_earlier_version_has_no_interval_of_a_class_and_no_calibration_error():
    found = make_report().metrics
    plain = found.to_dict()
    del plain["calibration_error"]
    for one in plain["per_class"]:
        del one["intervals"]
    earlier = Metrics.from_dict(plain)
    assert (earlier.calibration_error, earlier.per_class[0].intervals) == (None, {})
    assert earlier.per_class[0].f1 == found.per_class[0].f1


def test_images_of_classes_never_seen_are_errors_and_have_no_loss():
    y, scores = random_case(200, 8, 0)
    predicted, shares = scores.argmax(axis=1), softmax(scores)
    known = evaluate(y, predicted, classes=NAMES[:8], scores=scores, probabilities=shares)

    y, scores, shares = np.r_[y, [8] * 30, [9] * 20], np.r_[scores, scores[:50]], np.r_[shares, shares[:50]]
    found = evaluate(y, scores.argmax(axis=1), classes=NAMES[:10], scores=scores, probabilities=shares)
    assert found.accuracy == pytest.approx(known.accuracy * 200 / 250)
    assert found.top5_accuracy == pytest.approx(known.top5_accuracy * 200 / 250)
    assert found.balanced_accuracy == pytest.approx(known.balanced_accuracy * 8 / 10)
    assert (found.log_loss, found.log_loss_left_out) == (known.log_loss, 50)
    assert [one.recall for one in found.per_class[8:]] == [0, 0]
    assert [one.support for one in found.per_class[8:]] == [30, 20]
    assert not found.confusion[:, 8:].any()

    only = evaluate([2, 2], [0, 1], classes=("a", "b", "c"), probabilities=[[1.0, 0.0], [0.5, 0.5]])
    assert (only.accuracy, only.log_loss, only.log_loss_left_out) == (0, None, 2)


def test_ties_among_the_top_five_count_against_the_true_class():
    y = np.arange(10)
    constant = evaluate(y, np.zeros(10, int), classes=NAMES[:10], scores=np.zeros((10, 10)))
    assert constant.top5_accuracy == 0.1  # the image whose class was predicted, and no other
    # Six classes share the highest score, or five do.
    for tied, expected in ((6, 0.0), (5, 1.0)):
        scores = np.r_[np.ones(tied), np.zeros(10 - tied)][None]
        found = evaluate([1], [0], classes=NAMES[:10], scores=scores)
        assert found.top5_accuracy == expected


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(6, 12))
@settings(max_examples=60, deadline=None)
def test_top_five_is_never_below_the_accuracy(seed, n, k):
    rng = np.random.default_rng(seed)
    y, predicted = rng.integers(0, k, n), rng.integers(0, k, n)
    found = evaluate(y, predicted, classes=NAMES[:k], scores=rng.integers(0, 3, (n, k)))
    assert found.top5_accuracy >= found.accuracy


def test_figures_without_scores_or_with_one_class_or_one_image():
    found = evaluate([0, 0], [0, 1], classes=("a", "b", "c"))
    assert (found.top5_accuracy, found.log_loss, found.log_loss_left_out) == (None, None, 0)
    assert (found.accuracy, found.balanced_accuracy) == (0.5, 0.5)
    assert found.macro_f1 == pytest.approx((2 / 3 + 0) / 2)  # c neither has images nor was predicted
    single = evaluate([0], [0], classes=("a",), probabilities=np.ones((1, 1)))
    assert (single.accuracy, single.log_loss, single.confusion.tolist()) == (1.0, 0.0, [[1]])
    sure_and_wrong = evaluate([1], [0], classes=("a", "b"), probabilities=[[1.0, 0.0]])
    assert 30 < sure_and_wrong.log_loss < 40
    float32 = evaluate([1], [0], classes=("a", "b"), probabilities=np.float32([[1.0, 0.0]]))
    assert float32.log_loss == pytest.approx(-math.log(np.finfo(np.float32).eps))


def test_a_report_cannot_be_changed_by_its_reader():
    found = evaluate([0, 1], [0, 1], classes=("a", "b"))
    with pytest.raises(ValueError, match="read-only"):
        found.confusion[0, 0] = 7
    with pytest.raises(ValueError, match="read-only"):
        Metrics.from_dict(found.to_dict()).confusion[0, 0] = 7


ONE = [[0.5, 0.5]]


@pytest.mark.parametrize(
    ("y_true", "y_pred", "options", "message"),
    [
        ([], [], {}, "no image"),
        ([-1], [0], {}, "from -1"),
        ([2], [0], {}, "2 classes"),
        ([0], [2], {}, "2 classes"),
        ([0], [1], {"scores": [[1.0]]}, "1 class$"),
        ([0.5], [0], {}, "float64"),
        ([[0]], [0], {}, "shape"),
        ([0], [0, 1], {}, "of \\[2\\] images"),
        ([0], [0], {"scores": ONE * 2}, "of \\[1, 2\\] images"),
        ([0], [0], {"scores": [0.1]}, "shape"),
        ([0], [0], {"scores": [[0.1, 0.2, 0.3]]}, "at most 2"),
        ([0], [0], {"scores": [[0.1, math.nan]]}, "not numbers"),
        ([0], [0], {"probabilities": [[0.5, 0.6]]}, "sum to"),
        ([0], [0], {"probabilities": [[1.5, -0.5]]}, "-0.5"),
        ([0], [0], {"scores": ONE, "probabilities": [[1.0]]}, "different shapes"),
    ],
)
def test_what_cannot_be_scored_is_refused(y_true, y_pred, options, message):
    with pytest.raises(DataError, match=message):
        evaluate(y_true, y_pred, classes=("a", "b"), **options)


# Report


text = st.text(st.characters(codec=None, exclude_categories=()), max_size=12)  # with surrogates, as file names have


@given(
    names=st.lists(text, min_size=2, max_size=8, unique=True),
    unseen=st.integers(0, 1),
    C=st.none() | st.floats(1e-9, 1e9),
    failures=st.lists(st.tuples(text, st.sampled_from(["missing", "truncated"])), max_size=3),
    notes=st.lists(text, max_size=2),
    spec=st.dictionaries(text, st.none() | st.integers() | text | st.lists(st.integers()), max_size=3),
    untrained=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_json_round_trip_is_exact(names, unseen, C, failures, notes, spec, untrained):
    report = make_report(
        len(names) - unseen,
        names=tuple(names),
        unseen=unseen,
        params={"C": C},
        failures=tuple(failures),
        notes=tuple(notes),
        spec=json.dumps(spec, indent=1, ensure_ascii=False),
        untrained=untrained,
        versions={"featx": "0.1"},
    )
    written = report.to_json()
    assert written.isascii()
    assert Report.from_json(written) == report
    assert Report.from_json(written).to_json() == written
    assert json.loads(written)["spec"] == spec
    assert report.unseen == tuple(names[len(names) - unseen :])


def test_reports_that_differ_are_not_equal():
    report = make_report()
    assert report != make_report(seed=1, created=report.created)
    assert report == make_report(created=report.created)
    assert report.metrics != "no metrics"


def test_json_has_null_for_what_is_no_finite_number():
    report = make_report()
    report = replace(
        report,
        params={"C": math.inf},
        metrics=replace(report.metrics, by_metric={**report.metrics.by_metric, "log_loss": math.nan}),
    )

    def refuse(constant):
        raise AssertionError(constant)

    plain = json.loads(report.to_json(), parse_constant=refuse)
    assert (plain["params"]["C"], plain["metrics"]["log_loss"]) == (None, None)
    assert Report.from_json(report.to_json()).metrics.log_loss is None


def test_a_later_field_is_left_aside_and_a_later_format_refused():
    report = make_report()
    plain = json.loads(report.to_json())
    assert Report.from_json(json.dumps(plain | {"calibration": {"error": 0.1}})) == report
    with pytest.raises(ValueError, match="format version 2"):
        Report.from_json(json.dumps(plain | {"format_version": 2}))


def without(name):
    plain = json.loads(make_report().to_json())
    del plain[name]
    return json.dumps(plain)


def changed(name, value):
    return json.dumps(json.loads(make_report().to_json()) | {name: value})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[1]",
        '"featx-report"',
        "\x80",
        make_report().to_json()[:-20],
        without("format"),
        without("metrics"),
        without("model"),
        changed("metrics", {}),
        changed("metrics", None),
        changed("classes", ["other"]),
        changed("failures", [1]),
        changed("spec", [1]),
    ],
)
def test_a_file_that_is_no_report_is_named(tmp_path, content):
    path = tmp_path / "some.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(FeatxError, match=re.escape(str(path))):
        Report.load(path)


def test_saved_whole_or_not_at_all(tmp_path):
    report, path = make_report(), tmp_path / "artifacts" / "reports" / "a.json"
    report.save(path)
    assert Report.load(path) == report
    other = replace(report, model="another")
    other.save(path)
    assert Report.load(path) == other
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]

    (tmp_path / "file").write_text("mine")
    for unwritable in (tmp_path / "file" / "a.json", tmp_path / "artifacts"):
        with pytest.raises(FeatxError, match=re.escape(str(unwritable))):
            report.save(unwritable)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["artifacts", "file"]
    with pytest.raises(FeatxError, match=r"nowhere\.json"):
        Report.load(tmp_path / "nowhere.json")


def test_rows_are_flat_and_the_best_comes_first():
    reports = [make_report(k=6, n=200, seed=seed, model=f"m{seed}") for seed in range(5)]
    table = rows(reports)
    assert [row["accuracy"] for row in table] == sorted((r.metrics.accuracy for r in reports), reverse=True)
    assert {tuple(row) for row in table} == {tuple(table[0])}
    for row in table:
        assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
        assert all(value is None or isinstance(value, str | int | float) for value in row.values())
    assert rows([]) == []
    assert [row["model"] for row in rows([make_report(model="b"), make_report(model="a")])] == ["a", "b"]


def test_a_report_shows_as_one_line():
    report = make_report()
    assert len(repr(report).splitlines()) == 1
    for shown in (report.model, report.scored_on, f"{100 * report.metrics.accuracy:.1f} %"):
        assert shown in repr(report)


# The picture

ODD_NAMES = (
    "$\\frac{1$",
    "日本語の名前",
    "العربية",
    "new\nline\ttab",
    "हिन्दी",
    "🐱",
    "bad\udcff",
    "e\u0301",
    "",
    "\u200b\x00",
    "n" * 300,
)


@pytest.mark.parametrize("right", range(9))
def test_a_score_is_held_against_what_needs_no_model(right):
    """Six images of `a` and two of `b`: always answering `a` gets 75 %, a random guess of three classes 33.3 %."""
    y = np.array([0] * 6 + [1] * 2)
    predicted = np.where(np.arange(8) < right, y, 2)
    report = make_report(metrics=evaluate(y, predicted, classes=NAMES[:3]))
    assert report.baseline == f"always answering {NAMES[0]!r} would get 75.0% right, guessing at random 33.3%"
    if right <= 6:
        assert report.doubt == f"this is no better than always answering {NAMES[0]!r}"
    else:
        # Even 8 of 8 leave the interval's lower end at 67.6 %.
        assert report.doubt.startswith("8 images are too few to show that this is better than")
    assert report.baseline in report._repr_html_().replace("&#x27;", "'")


def test_the_figures_that_count_are_those_without_images_fitted_on():
    honest, all_of_them = (evaluate([0, 1, 2] * n, [0, 1, k] * n, classes=NAMES[:3]) for n, k in ((20, 1), (30, 2)))
    report = make_report(metrics=all_of_them, without_leaks=honest)
    assert report.counted is honest
    assert "accuracy 66.7 %" in repr(report)
    assert "66.7%" in report._repr_html_()
    (row,) = rows([report])
    assert (row["accuracy"], row["n"]) == (honest.accuracy, 60)
    text = (
        page.render(report, thumbnails={}).replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")
    )
    assert "<strong>66.7 %</strong>" in text
    assert "100.0 % including the 30 images that it was fitted on" in text


def test_images_of_classes_never_seen_cannot_be_guessed():
    report = make_report(n=400, unseen=1)
    known = sum(one.support for one in report.metrics.per_class[:3])
    assert report.baseline.endswith(f"guessing at random {known / 400 / 3:.1%}")
    assert 0 < known < 400


@pytest.mark.parametrize(
    ("k", "names", "unseen"), [(1, NAMES, 0), (2, NAMES, 1), (10, ODD_NAMES, 1), (60, NAMES, 0), (230, NAMES, 0)]
)
def test_the_picture_is_drawn_without_a_warning(tmp_path, caplog, k, names, unseen):
    report = make_report(k, n=400, names=names, unseen=unseen, untrained=bool(unseen))
    path = tmp_path / "pictures" / "confusion.png"
    with caplog.at_level(logging.WARNING):
        plot_confusion(report, path)
    assert not caplog.records
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        assert image.format == "PNG"
        assert 500 < image.width < 2600
        assert 500 < image.height < 2600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_picture_shows_the_counts(tmp_path):
    # A dark diagonal on light ground where all is right, the reverse where all is wrong.
    k = 12
    y = np.arange(k).repeat(5)
    shades = []
    for predicted in (y, (y + 1) % k):
        metrics = evaluate(y, predicted, classes=NAMES[:k])
        report = make_report(k, metrics=metrics)
        plot_confusion(report, tmp_path / "a.png")
        pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
        dark = (np.abs(pixels - (8, 48, 107)).sum(axis=2) < 12).nonzero()  # the darkest of "Blues"
        inside = dark[1] < 0.85 * pixels.shape[1]  # without the bar
        shades.append((np.median(dark[1][inside] - dark[0][inside]), inside.sum()))
    (right, area), (wrong, area_wrong) = shades
    assert area == pytest.approx(area_wrong, rel=0.05)
    assert wrong > right + 20


def test_a_colour_is_a_share_of_the_true_class(tmp_path):
    # All images of a small and of a large class predicted as the latter: both rows have one cell of 100 %.
    metrics = evaluate([0] * 10 + [1] * 90, [1] * 100, classes=NAMES[:2])
    plot_confusion(make_report(2, metrics=metrics), tmp_path / "a.png")
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    columns = (np.abs(pixels - (8, 48, 107)).sum(axis=2) < 12).mean(axis=0)
    assert np.quantile(columns, 0.9) > 0.6  # a column of that colour from top to bottom, titles and names aside


def test_a_class_without_images_is_grey(tmp_path):
    greys = []
    for y in ([0, 1, 2], [0, 1, 1]):
        metrics = evaluate(y, y, classes=NAMES[:3])
        plot_confusion(make_report(metrics=metrics), tmp_path / "a.png")
        pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
        greys.append(np.mean((pixels == 224).all(axis=2)))
    assert greys[0] < 0.01
    assert greys[1] > 0.1


def test_reports_load_nothing_heavy_and_leave_pyplot_alone(tmp_path):
    code = (
        "import sys, featx.reports as r, featx.statistics as s\n"
        "heavy = {'matplotlib', 'sklearn', 'scipy', 'h5py', 'cv2', 'tensorflow', 'keras'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "ours = {m.split('.')[1] for m in sys.modules if m.startswith('featx.')}\n"
        "assert ours <= {'errors', 'files', 'leakage', 'reports', 'statistics', 'version', 'words'}, ours\n"
        "m = s.evaluate([0, 1], [0, 0], classes=('a', 'b'))\n"
        "report = r.Report(model='m', scored_on='s', backbone='b', clf='svm', params={}, classes=('a', 'b'),\n"
        "                  metrics=m, spec='{}', fingerprint='f')\n"
        "r.plot_confusion(report, sys.argv[1])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.png")], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
