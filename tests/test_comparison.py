import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from typer.testing import CliRunner

from featx.cli.compare import compare as command
from featx.cli.show.comparing import comparisons
from featx.errors import DataError, FeatxError, UsageError
from featx.leakage import Leak
from featx.pipeline.comparing import compare as compare_reports
from featx.pipeline.comparing import compare_all
from featx.reports import Report
from featx.reports.images import Images
from featx.statistics import evaluate
from featx.statistics.comparison import Comparisons, compare, rank
from featx.statistics.paired import holm, mcnemar, tango

CLASSES = ("bird", "cat", "dog")


def models(n, accuracies, seed=0, *, k=3):
    """Labels, and predictions that are right with these probabilities; what is hard for one is hard for all."""
    rng = np.random.default_rng(seed)
    labels, hard = rng.integers(0, k, n), rng.random(n)
    predicted = []
    for accuracy in accuracies:
        wrong = 0.7 * hard + 0.3 * rng.random(n) > np.quantile(0.7 * hard + 0.3 * rng.random(n), accuracy)
        predicted.append(np.where(wrong, (labels + rng.integers(1, k, n)) % k, labels))
    return labels, predicted


# Tests and intervals


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_a_mid_p_of_the_binomial(only_a, only_b):
    m, fewer = only_a + only_b, min(only_a, only_b)
    expected = 2 * stats.binom.cdf(fewer, m, 0.5) - stats.binom.pmf(fewer, m, 0.5)
    assert mcnemar(only_a, only_b) == pytest.approx(min(1, expected))
    assert mcnemar(only_b, only_a) == mcnemar(only_a, only_b)


def test_mcnemar_of_very_many_images():
    assert mcnemar(6000, 6000) == 1
    assert mcnemar(6300, 6000) == pytest.approx(2 * stats.norm.sf(300 / math.sqrt(12300)), rel=0.02)


@pytest.mark.parametrize(("only_a", "only_b", "n"), [(10, 2, 50), (1, 0, 44), (30, 31, 400), (0, 5, 20)])
def test_tango_is_the_solution_of_its_equation(only_a, only_b, n):
    def score(difference):
        # The likelihood's maximum where the difference is fixed, found without Tango's formula.
        def loss(q):
            return -(
                stats.multinomial.logpmf(
                    [only_a, only_b, n - only_a - only_b], n, [q + difference, q, 1 - 2 * q - difference]
                )
            )

        least, most = max(0, -difference) + 1e-12, (1 - difference) / 2 - 1e-12
        q = optimize.minimize_scalar(loss, bounds=(least, most), method="bounded", options={"xatol": 1e-12}).x
        return (only_a - only_b - n * difference) / math.sqrt(n * (2 * q + difference - difference**2))

    found = tango(only_a, only_b, n)
    assert score(found.low) == pytest.approx(1.959964, abs=1e-3)
    assert score(found.high) == pytest.approx(-1.959964, abs=1e-3)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 1000))
def test_tango_holds_the_difference_and_mirrors(only_a, only_b, more):
    n = only_a + only_b + more
    found, mirrored = tango(only_a, only_b, n), tango(only_b, only_a, n)
    assert -1 <= found.low <= (only_a - only_b) / n <= found.high <= 1
    assert found.low < found.high
    assert mirrored.low == pytest.approx(-found.high, abs=1e-9)
    assert (found.low <= 0 <= found.high) == (abs(only_a - only_b) <= 1.959964 * math.sqrt(only_a + only_b))


def test_tango_at_its_ends():
    assert tango(20, 0, 20).high == 1
    assert tango(0, 20, 20).low == -1
    assert tango(0, 0, 100).high == pytest.approx(-tango(0, 0, 100).low)


def test_holm_as_other_programs_have_it():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # R's p.adjust
    assert holm([0.7, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


# Two models


def test_a_comparison_by_hand():
    labels = [0, 0, 0, 1, 1, 1]
    found = compare(labels, [0, 0, 0, 1, 1, 0], [0, 0, 1, 1, 0, 1], names=("new", "old"))
    assert (found.a, found.b, found.n, found.only_a, found.only_b) == ("new", "old", 6, 2, 1)
    assert found.accuracy.value == pytest.approx(1 / 6)
    assert found.balanced_accuracy.value == pytest.approx((1 - 2 / 3 + 2 / 3 - 2 / 3) / 2)
    assert found.macro_f1.value == pytest.approx((6 / 7 + 4 / 5) / 2 - 2 / 3)
    assert found.p_value == mcnemar(2, 1)
    assert found.accuracy.interval == tango(2, 1, 6)
    assert not found.real


@given(st.integers(0, 2**32 - 1), st.integers(3, 60), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_the_other_way_round_and_in_another_order(seed, n, k):
    rng = np.random.default_rng(seed)
    labels, a, b = rng.integers(0, k, (3, n))
    found, mirrored = compare(labels, a, b), compare(labels, b, a)
    assert mirrored.p_value == found.p_value
    assert (found.only_a, found.only_b) == (mirrored.only_b, mirrored.only_a)
    order = rng.permutation(n)
    assert compare(labels[order], a[order], b[order]) == found
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        one, other = getattr(found, name), getattr(mirrored, name)
        assert one.value == pytest.approx(-other.value, abs=1e-12)
        assert one.interval.low < one.interval.high
        tolerance = 1e-9 if name == "accuracy" else 0.25 * (one.interval.high - one.interval.low)
        assert one.interval.low == pytest.approx(-other.interval.high, abs=tolerance)


def test_models_that_agree_on_every_image_are_not_known_to_be_equal():
    labels, (a,) = models(50, [0.9])
    found = compare(labels, a, a)
    assert (found.accuracy.value, found.p_value, found.real) == (0, 1, False)
    for one in (found.accuracy, found.balanced_accuracy, found.macro_f1):
        assert -0.2 < one.interval.low < 0 < one.interval.high < 0.2


def test_the_same_images_tell_more_than_the_intervals_of_each():
    labels = np.zeros(1000, int)
    worse, better = np.arange(1000) < 200, np.arange(1000) < 180  # wrong on 180 together
    found = rank(labels, {"worse": worse.astype(int), "better": better.astype(int)})
    assert found.models[1].interval.high > found.models[0].interval.low
    assert found.pairs[0].real
    assert found.pairs[0].accuracy.interval.low > 0


@pytest.mark.parametrize("figure", ["accuracy", "balanced_accuracy", "macro_f1"])
def test_a_difference_is_covered(figure):
    rng = np.random.default_rng(0)
    labels, (a, b) = models(100_000, [0.85, 0.8], k=4)
    truth = getattr(compare(labels, a, b, resamples=1), figure).value
    held = []
    for seed in range(300):
        images = rng.integers(0, len(labels), 150)
        interval = getattr(compare(labels[images], a[images], b[images], seed=seed, resamples=500), figure).interval
        held.append(interval.low <= truth <= interval.high)
    assert np.mean(held) > 0.91


def test_no_comparison_of_what_does_not_fit():
    with pytest.raises(DataError, match="2 labels"):
        compare([0, 1], [0, 1], [0])
    with pytest.raises(DataError, match="0 labels"):
        compare([], [], [])
    with pytest.raises(DataError, match="2 labels"):
        rank([0, 1], {"a": [0, 1], "b": [0]})
    with pytest.raises(UsageError, match="level"):
        compare([0, 1], [0, 1], [1, 1], level=2.0)


# Several models


def test_ranked_best_first_and_corrected_for_all_pairs():
    labels, predicted = models(400, [0.7, 0.9, 0.8, 0.9])
    found = rank(labels, dict(zip("abcd", predicted, strict=True)), scored_on="here", notes=("a note",))
    assert [one.accuracy for one in found.models] == sorted((one.accuracy for one in found.models), reverse=True)
    assert {one.model for one in found.models} == set("abcd")
    assert len(found.pairs) == 6
    order = [one.model for one in found.models]
    assert all(order.index(pair.a) < order.index(pair.b) for pair in found.pairs)
    assert [pair.b for pair in found.with_best] == order[1:]
    assert {pair.a for pair in found.with_best} == {order[0]}
    assert [pair.adjusted_p_value for pair in found.pairs] == holm([pair.p_value for pair in found.pairs])
    assert [pair.real for pair in found.pairs] == [pair.adjusted_p_value < 0.05 for pair in found.pairs]
    plain = json.loads(json.dumps(found.to_dict()))
    assert Comparisons.from_dict(plain) == found
    assert [one["real"] for one in plain["pairs"]] == [pair.real for pair in found.pairs]


def test_equal_models_are_rarely_called_different():
    alarms = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        right = rng.random((4, 120)) < 0.85
        p_values = [
            mcnemar(int((right[a] & ~right[b]).sum()), int((right[b] & ~right[a]).sum()))
            for a in range(4)
            for b in range(a)
        ]
        alarms += min(holm(p_values)) < 0.05
    assert alarms / 300 < 0.08


# Reports


def digest(path):
    return hashlib.sha256(path.encode()).hexdigest()


def make_report(model, labels, predicted, *, paths=None, classes=CLASSES, **changes):
    paths = paths or tuple(f"{CLASSES[label]}/{index:04}.jpg" for index, label in enumerate(labels))
    images = Images(paths=paths, digests=tuple(map(digest, paths)), labels=labels, predicted=predicted)
    fields = {
        "model": model,
        "scored_on": f"data/test ({len(labels)} images)",
        "backbone": "resnet50",
        "clf": "svm",
        "params": {"C": 0.1},
        "classes": classes,
        "metrics": evaluate(labels, predicted, classes=classes),
        "spec": "{}",
        "fingerprint": "0" * 64,
        "images": images,
    }
    return Report(**(fields | changes))


def shuffled(report, *, seed=0, folder="", keep=None):
    """The same score with the images in another order, in another folder, or only some of them."""
    images = report.images
    order = np.random.default_rng(seed).permutation(len(images))[:keep]
    columns = {
        "paths": tuple(folder + images.paths[row] for row in order),
        "digests": tuple(images.digests[row] for row in order),
        "labels": images.labels[order],
        "predicted": images.predicted[order],
    }
    metrics = evaluate(columns["labels"], columns["predicted"], classes=report.metrics.classes)
    return replace(report, images=Images(**columns), metrics=metrics)


@pytest.fixture
def scored():
    labels, predicted = models(200, [0.95, 0.7, 0.94])
    return [make_report(f"model-{name}", labels, one) for name, one in zip("abc", predicted, strict=True)]


def test_reports_are_paired_by_their_images(scored):
    labels = scored[0].images.labels
    expected = rank(labels, {one.model: one.images.predicted for one in scored}, scored_on=scored[0].scored_on)
    assert compare_reports(scored) == expected
    moved = [scored[0], *(shuffled(one, seed=7, folder="elsewhere/") for one in scored[1:])]
    assert compare_reports(moved) == expected
    unread = [replace(one, images=replace(one.images, digests=("",) * 200)) for one in scored]
    assert compare_reports([unread[0], *map(shuffled, unread[1:])]) == expected


def test_classes_may_stand_in_another_order(scored):
    turned = make_report(
        "model-b", 2 - scored[1].images.labels, 2 - scored[1].images.predicted, paths=scored[1].images.paths,
        classes=CLASSES[::-1],
    )  # fmt: skip
    assert compare_reports([scored[0], turned]).to_dict() == compare_reports(scored[:2]).to_dict()


def test_copies_of_one_image_stay_apart(scored):
    digests = tuple(digest(str(index // 2)) for index in range(200))
    copies = [replace(one, images=replace(one.images, digests=digests)) for one in scored]
    assert compare_reports([copies[0], *map(shuffled, copies[1:])]) == compare_reports(scored)


def test_other_images_are_named_and_the_common_ones_compared_on_request(scored):
    fewer = shuffled(scored[1], keep=150)
    with pytest.raises(
        DataError,
        match=r"50 images only with the first, 0 images only with the second.*`common=True`.*150 images that "
        "they",
    ):
        compare_reports([scored[0], fewer])
    found = compare_reports([scored[0], fewer], common=True)
    assert found.n == 150
    assert any("150 images" in note for note in found.notes)
    labels = np.zeros(5, int)
    apart = make_report("other", labels, labels, paths=tuple(f"x{index}" for index in range(5)))
    with pytest.raises(DataError, match="they share none"):
        compare_reports([scored[0], apart], common=True)


def leaks_of(report, rows, *, kind="exact", where="train-test"):
    paths = [report.images.paths[row] for row in rows]
    return tuple(Leak(path=path, other="a.jpg", kind=kind, where=where, labels=("", "")) for path in paths)


def test_images_that_any_model_was_trained_on_are_left_out(scored, tmp_path):
    """What one model has learnt by heart would count for it, and tell nothing of new images."""
    a, b, c = scored
    a = replace(a, leaks=leaks_of(a, range(20)) + leaks_of(a, [50], where="train-train"))
    moved = shuffled(b, seed=3, folder="elsewhere/")
    place = {digest: row for row, digest in enumerate(moved.images.digests)}
    b = replace(moved, leaks=leaks_of(moved, [place[digest] for digest in b.images.digests[15:30]], kind="near"))
    b = replace(b, tuned_on=15)
    found = compare_reports([a, b, c], page=tmp_path / "page.html")
    kept = {one.model: one.images.predicted[30:] for one in scored}
    expected = rank(c.images.labels[30:], kept, scored_on=c.scored_on)
    assert replace(found, notes=()) == expected
    (note,) = found.notes
    assert note.startswith("compared on the 170 images that no model was trained on; left out: 30 images")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "170 images that no model was trained on" in page
    assert f">{100 * expected.models[0].accuracy:.1f}" in page
    everything = replace(a, leaks=leaks_of(a, range(200)))
    found = compare_reports([everything, c])
    assert found.n == 200
    assert any("no test" in note for note in found.notes)
    copies = replace(c.images, digests=(c.images.digests[0],) * 2 + c.images.digests[2:])
    both = [replace(one, images=replace(copies, predicted=one.images.predicted)) for one in scored[::2]]
    found = compare_reports([replace(both[0], leaks=leaks_of(both[0], [1])), both[1]])
    assert found.n == 198
    assert "that is a copy" not in found.notes[0]


def test_what_cannot_be_compared_is_refused(scored):
    with pytest.raises(UsageError, match="1 report to compare"):
        compare_reports(scored[:1])
    with pytest.raises(DataError, match="model-b has no list of its images"):
        compare_reports([scored[0], replace(scored[1], images=None)])
    labels = scored[1].images.labels.copy()
    labels[:3] = (labels[:3] + 1) % 3
    other = make_report("model-b", labels, scored[1].images.predicted, paths=scored[0].images.paths)
    with pytest.raises(DataError, match="3 of 200 images have a different label"):
        compare_reports([scored[0], other])


def test_two_reports_of_one_model_are_told_apart(scored):
    again = replace(scored[1], model=scored[0].model)
    assert {one.model for one in compare_reports([scored[0], again]).models} == {"model-a", "model-a #2"}


@pytest.fixture
def folder(tmp_path, monkeypatch, scored):
    monkeypatch.chdir(tmp_path)
    for report in scored:
        report.save(Path("artifacts/reports") / f"{report.model}.json")
    return tmp_path


def test_all_reports_by_what_they_are_on(folder, scored):
    labels, predicted = models(90, [0.9, 0.8], seed=5)
    paths = tuple(f"second/{index}" for index in range(90))
    for name, one in zip("xy", predicted, strict=True):
        make_report(name, labels, one, paths=paths).save(f"artifacts/reports/{name}.json")
    make_report("alone", labels[:9], labels[:9], paths=paths[:9]).save("artifacts/reports/alone.json")
    (folder / "artifacts/reports/curve.json").write_text("{}")
    replace(scored[0], images=None).save("artifacts/reports/older.json")
    found = compare_all()
    assert sorted((one.n, len(one.models)) for one in found) == [(90, 2), (200, 3)]
    assert compare_all([Path(f"artifacts/models/{one.model}.skops") for one in scored]) == [compare_reports(scored)]


def test_reports_that_stand_alone_are_named_in_one_line(folder, scored, caplog):
    labels = np.zeros(5, int)
    for number in range(5):
        paths = tuple(f"{number}/{index}" for index in range(5))
        make_report(f"lone-{number}", labels, labels, paths=paths).save(f"artifacts/reports/lone-{number}.json")
    compare_all()
    (record,) = caplog.records
    told = record.getMessage()
    assert told.startswith("not compared, because no other model was scored on the same images: lone-")
    assert told.endswith(" and 2 more")
    assert told.count("data/test (5 images)") == 3


def test_nothing_to_compare(tmp_path, monkeypatch, scored):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="there is no report under"):
        compare_all()
    scored[0].save("artifacts/reports/a.json")
    with pytest.raises(DataError, match="there is only one report under"):
        compare_all()
    labels = np.zeros(5, int)
    make_report("b", labels, labels, paths=tuple("vwxyz")).save("artifacts/reports/b.json")
    with pytest.raises(DataError, match=r"no two of the 2 reports under .* the same images"):
        compare_all()
    with pytest.raises(FeatxError, match="nowhere"):
        compare_all(["nowhere.json", "nowhere.json"])


def run(*arguments):
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [*arguments])


def test_the_command_shows_what_the_library_returns(folder, scored):
    expected = compare_reports(scored)
    done = run("--json")
    assert json.loads(done.stdout) == [expected.to_dict()]
    assert json.loads(run(*[f"artifacts/reports/{one.model}.json" for one in scored], "--json").stdout) == [
        expected.to_dict()
    ]
    table = run().stdout
    lines = [line for line in table.splitlines() if line.startswith("model-")]
    assert [line.split()[0] for line in lines] == [one.model for one in expected.models]
    for line, pair in zip(lines[1:], expected.with_best, strict=True):
        assert ("real" in line, "no clear difference" in line) == (pair.real, not pair.real)
        assert f" {pair.accuracy.value + 0.0:.1%}" in line
    assert {pair.real for pair in expected.with_best} == {True, False}
    assert scored[0].scored_on in table


@pytest.mark.parametrize(("count", "said"), [(2, ""), (6, "with fewer models than 6, smaller differences can be seen")])
def test_the_price_of_many_models_is_said(capsys, count, said):
    labels, predicted = models(60, [0.9] * count)
    comparisons([compare_reports([make_report(f"m{number}", labels, one) for number, one in enumerate(predicted)])])
    told = " ".join(capsys.readouterr().err.split())
    assert said in told
    assert ("with fewer models" in told) == bool(said)
    assert ("corrected by Holm's method because 15 pairs of models are tested" in told) == (count == 6)


# The images of a report


def test_images_round_trip_and_cannot_be_changed():
    images = Images(
        paths=("a", "b"), digests=("0f", ""), labels=[0, 1], predicted=[1, 1], confidence=np.float32([0.5, 1.0000001])
    )
    assert Images.from_dict(json.loads(json.dumps(images.to_dict()))) == images
    assert images != replace(images, confidence=None)
    assert (len(images), images.right.tolist(), images.confidence.max()) == (2, [False, True], 1.0)
    with pytest.raises(ValueError, match="read-only"):
        images.labels[0] = 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paths": ("a",)}, "lengths"),
        ({"labels": [0, -1]}, "negative"),
        ({"confidence": [0.5]}, "lengths"),
        ({"confidence": [0.5, 1.5]}, "1.5"),
        ({"confidence": [0.5, math.nan]}, "nan"),
    ],
)
def test_columns_that_are_none_are_refused(changes, message):
    fields = {"paths": ("a", "b"), "digests": ("", ""), "labels": [0, 1], "predicted": [1, 1]}
    with pytest.raises(ValueError, match=message):
        Images(**(fields | changes))
