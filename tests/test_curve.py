"""The learning curve: nested, seeded draws, tested on images they never met; intervals that hold."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import featx
from conftest import Painter
from featx.cli import app
from featx.errors import DataError, FeatxError, SpecMismatch, StoreError, UsageError
from featx.pipeline.curves.draws import Design, Labelled, draws_of, numbers_of, sizes_of
from featx.pipeline.curves.verb import _only_store, curve
from featx.progress import Silent
from featx.reports.curve import COLUMNS, Curve
from featx.reports.curve_intervals import Trials, summarise

MEANS = {"backbone": "mean-colour"}
SHADES = {"dawn": (120, 100, 110), "dusk": (105, 100, 120), "noon": (125, 115, 105)}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def shades(folder: Path, *, each: int, seed: int = 0) -> Path:
    """Images of one colour each, which scatters so that few images don't tell the classes apart."""
    rng = np.random.default_rng(seed)
    for name, colour in SHADES.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(each):
            pixels = np.clip(np.round(colour + 12 * rng.normal(size=3)), 0, 255).astype(np.uint8)
            Image.fromarray(np.tile(pixels, (8, 8, 1))).save(folder / name / f"{index:02}.png")
    return folder


def trial_of(codes, groups=None, pools=None):
    codes = np.asarray(codes)
    data = Labelled(
        features=np.zeros((len(codes), 1), np.float32),
        codes=codes,
        classes=tuple("abc"[: codes.max() + 1]),
        groups=groups,
        digests=np.zeros((len(codes), 32), np.uint8),
    )
    pools = [np.arange(len(codes))] if pools is None else pools
    return Design(train=data, pools=pools, test=data, folds=np.zeros(len(codes), int), told="")


@pytest.mark.parametrize(
    ("largest", "points", "sizes"),
    [
        (3, None, [2, 3]),
        (80, None, [2, 5, 10, 20, 50, 80]),
        (52, None, [2, 5, 10, 20, 52]),
        (2, None, [2]),
        (80, [500, 8, 2, 8, 90], [2, 8, 80]),
        (80, [40], [40]),
    ],
)
def test_sizes(largest, points, sizes):
    assert sizes_of(largest, points) == sizes


def test_draws_are_balanced_nested_and_seeded():
    codes = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [40, 30, 6]))
    pools = [np.arange(0, 70), np.arange(10, 76)]
    trial = trial_of(codes, pools=pools)
    drawn = {2: 3, 5: 3, 20: 2, 40: 1}
    draws = list(draws_of(trial, drawn, seed=1))
    assert sorted((one.fold, one.repeat, one.size) for one in draws) == sorted(
        (fold, repeat, size) for fold in range(2) for size, times in drawn.items() for repeat in range(times)
    )
    by_key = {(one.fold, one.repeat, one.size): one.rows for one in draws}
    for (fold, repeat, size), rows in by_key.items():
        assert set(rows) <= set(pools[fold])
        there = np.bincount(codes[pools[fold]])
        assert np.bincount(codes[rows]).tolist() == np.minimum(size, there).tolist()
        for smaller in (other for other in drawn if other < size):
            assert set(by_key[fold, repeat, smaller]) <= set(rows)
    assert set(by_key[0, 0, 5]) != set(by_key[0, 1, 5])
    again = list(draws_of(trial, drawn, seed=1))
    assert all(np.array_equal(one.rows, other.rows) for one, other in zip(draws, again, strict=True))
    other = list(draws_of(trial, drawn, seed=2))
    assert any(not np.array_equal(one.rows, another.rows) for one, another in zip(draws, other, strict=True))


def test_a_draw_takes_group_after_group():
    codes = np.repeat([0, 1], 30)
    groups = tuple(f"g{row // 5}" for row in range(60))
    for draw in draws_of(trial_of(codes, groups), {10: 4}, seed=0):
        assert len({groups[row] for row in draw.rows}) == 4  # two whole groups of each class
    assert numbers_of(("a", "", "a", ""), 4).tolist() == [0, 1, 0, 2]


def test_all_that_there_is_is_the_accuracy_of_a_plain_cross_validation(paint: Painter) -> None:
    """The last size holds every training image of a fold, and its images are those of the folds of `fit`."""
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    store = featx.extract(shades(Path("data/train"), each=15), **MEANS)
    found = curve(store, clf="centroid", repeats=1)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    plain = cross_val_score(clone(featx.make_classifier("centroid")), store.features, store.labels, cv=folds)
    assert found.rows[-1].scores == pytest.approx(tuple(plain))
    assert found.rows[-1].images_per_class == 12
    assert found.rows[-1].images == 36
    assert found.n == 45


@pytest.mark.parametrize("clf", ["logreg", "svm", "knn"])
def test_from_a_store_to_a_curve_and_its_files(paint: Painter, clf: str) -> None:
    store = featx.extract(shades(Path("data/train"), each=10), **MEANS)
    calls: list[tuple[int, int]] = []

    class Log(Silent):
        def begin(self, task: Path, *, total: int, done: int) -> None:
            calls.append((done, total))

        def advance(self, task: Path, *, done: int, failed: int) -> None:
            calls.append((calls[-1][0] + done, calls[-1][1]))

        def end(self, task: Path, result: Curve) -> None:
            ended[task] = result

    ended: dict[Path, Curve] = {}
    found = curve(store, clf=clf, repeats=2, progress=Log())
    assert ended == {Path(f"artifacts/reports/train-mean-colour-{clf}-curve.json"): found}
    assert [row.images_per_class for row in found.rows] == [2, 5, 8]
    assert [row.draws for row in found.rows] == [10, 10, 5]
    assert calls == [(done, 25) for done in range(26)]
    for row in found.rows:
        assert 0 <= row.interval.low <= row.accuracy <= row.interval.high <= 1
        assert row.accuracy == pytest.approx(np.mean(row.scores))
    assert found.rows[-1].accuracy >= found.rows[0].accuracy
    assert any("too few images to choose" in note for note in found.notes)
    assert found.gain is not None
    assert (found.gain.start, found.gain.end) == (2, 8)

    written = Path(f"artifacts/reports/train-mean-colour-{clf}-curve.json")
    assert Curve.load(written) == found
    assert json.loads(written.read_text()) == json.loads(json.dumps(found.to_dict()))
    lines = list(csv.reader(io.StringIO(written.with_suffix(".csv").read_text())))
    assert tuple(lines[0]) == COLUMNS
    assert [float(line[3]) for line in lines[1:]] == pytest.approx([row.accuracy for row in found.rows], rel=1e-5)
    assert written.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_gives_the_same_curve(paint: Painter) -> None:
    store = featx.extract(shades(Path("data/train"), each=10), **MEANS)
    one, same = (curve(store, clf="svm", points=[5], repeats=1, seed=3, jobs=jobs) for jobs in (1, 2))
    assert one.rows == same.rows
    assert curve(store, clf="svm", points=[5], repeats=1, seed=4).rows != one.rows


def test_groups_stay_on_one_side(paint: Painter) -> None:
    """Images of a pair are alike beyond their class: only an image's twin can tell its label, and never does."""
    rng = np.random.default_rng(0)
    pairs = {f"{name}": (0, 0, 0) for name in "ab"}
    source = paint(Path("data/train"), each=0, classes=pairs)
    for name in "ab":
        for pair in range(15):
            pixels = np.broadcast_to(rng.integers(0, 256, 3), (20, 20, 3)).astype(np.uint8)
            for side in "xy":
                Image.fromarray(pixels).save(source / name / f"{pair:02}-{side}.png")
    store = featx.extract(source, **MEANS)
    leaking = curve(store, clf="knn", points=[24])
    found = curve(store, clf="knn", points=[24], group_by=r"/(\d+)-", out="grouped.json")
    assert leaking.rows[0].accuracy > 0.85
    assert found.rows[0].accuracy < 0.75
    assert Path("grouped.csv").exists()
    curve(store, clf="centroid", points=[24], out="there.csv")  # a folder, whatever it looks like
    assert sorted(path.suffix for path in Path("there.csv").iterdir()) == [".csv", ".json", ".png"]


def test_on_a_test_store(paint: Painter) -> None:
    train = featx.extract(shades(Path("data/train"), each=12), **MEANS)
    source = shades(Path("data/test"), each=9, seed=1)
    test = featx.extract(source, **MEANS)
    found = curve(train, clf="centroid", test=test, points=[3, 100])
    assert [(row.images_per_class, row.draws) for row in found.rows] == [(3, 10), (12, 1)]
    right = featx.fit(train, clf="centroid").predict(test.features) == np.asarray(test.classes)[test.labels]
    assert found.rows[-1].accuracy == pytest.approx(right.mean())
    assert found.n == 27
    paint(source, each=3, classes={"night": (0, 0, 0)})
    more = curve(train, clf="centroid", test=featx.extract(source, **MEANS), points=[100])
    assert more.rows[-1].accuracy == pytest.approx(right.mean() * 27 / 30)
    assert any("3 test images belong to classes" in note for note in more.notes)
    assert any("are also training images" in note for note in curve(train, clf="centroid", test=train).notes)


def test_refusals(paint: Painter) -> None:
    with pytest.raises(StoreError, match="extract"):
        _only_store()
    store = featx.extract(paint(Path("data/train"), each=4), **MEANS)
    assert _only_store() == Path("artifacts/features/train-mean-colour.h5")
    other = featx.extract("data/train", **MEANS, image_size=16, out="artifacts/features/small.h5")
    with pytest.raises(StoreError, match="name the one to use"):
        _only_store()
    with pytest.raises(SpecMismatch):
        curve(store, test=other)
    for wrong in ({"points": [1]}, {"points": []}, {"repeats": 0}, {"clf": "magic"}, {"kernel": "magic"}):
        with pytest.raises(UsageError):
            curve(store, **wrong)
    Path("labels.csv").write_text("path,label\n" + "".join(f"{path},one\n" for path in store.paths))
    with pytest.raises(DataError, match="two classes"):
        curve(store, labels="labels.csv")
    Path("bad.json").write_text("{}")
    with pytest.raises(FeatxError, match="is not a learning curve"):
        Curve.load("bad.json")


def test_the_command_is_the_function(paint: Painter) -> None:
    store = featx.extract(shades(Path("data/train"), each=6), **MEANS)
    told = CliRunner().invoke(app, ["curve", "--clf", "centroid", "--points", "2,4", "--json"], catch_exceptions=False)
    assert json.loads(told.stdout)["rows"] == [
        row.to_dict() | {"scores": list(row.scores)} for row in curve(store, clf="centroid", points=[2, 4]).rows
    ]
    shown = CliRunner().invoke(
        app, ["curve", str(store.path), "--clf", "centroid", "--points", "2,4"], catch_exceptions=False
    )
    assert "95 % interval" in shown.stdout
    with pytest.raises(UsageError, match="whole numbers"):
        CliRunner().invoke(app, ["curve", "--points", "2,x"], catch_exceptions=False)


def simulated(rng, accuracies, *, n=200, draw=0.0, repeats=3, scatter=1.0):
    """Trials of one pool in which an image is right with a chance of its own, and each draw is better or worse."""
    trials = []
    images = scatter * rng.normal(size=(n, 1))
    for size, accuracy in accuracies.items():
        from scipy.special import expit, logit

        chances = expit(logit(accuracy) + images + draw * rng.normal(size=(1, repeats)))
        trials.append(
            Trials(images_per_class=size, images=2.0 * size, right=rng.random((n, repeats)) < chances, shared=0.0)
        )
    return trials


@pytest.mark.parametrize("draw", [0.0, 0.3, 1.0])
def test_intervals_cover_images_and_draws(draw):
    from scipy.special import expit, logit

    rng = np.random.default_rng(0)
    fresh = rng.normal(size=(200_000, 2))
    expected = float(expit(logit(0.8) + fresh[:, 0] + draw * fresh[:, 1]).mean())
    one, units = np.zeros(200, int), np.arange(200)
    hits, gains = [], []
    for _ in range(300):
        rows, gain = summarise(simulated(rng, {10: 0.8, 20: 0.8}, draw=draw, repeats=10), folds=one, units=units)
        hits += [row.interval.low <= expected <= row.interval.high for row in rows]
        gains.append(gain.interval.low <= 0 <= gain.interval.high)
    assert np.mean(hits) > 0.92
    assert np.mean(gains) > 0.92


def test_intervals_widen_with_what_makes_them_uncertain():
    rng = np.random.default_rng(0)
    one = np.zeros(400, int)

    def width(right, units):
        trials = Trials(images_per_class=10, images=20.0, right=right, shared=0.0)
        interval = summarise([trials], folds=one, units=units)[0][0].interval
        return interval.high - interval.low

    def right(n, **how):
        return simulated(rng, {10: 0.8}, n=n, repeats=10, **how)[0].right

    single, pairs = np.arange(400), np.arange(400) // 2
    plain = width(right(400, scatter=9.0), single)
    # Pairs of images that are right together are worth as much as one.
    assert width(np.repeat(right(200, scatter=9.0), 2, axis=0), pairs) == pytest.approx(2**0.5 * plain, rel=0.15)
    assert width(right(400, draw=1.0), single) > 1.5 * width(right(400), single)
    one = np.zeros(200, int)
    right = [Trials(images_per_class=10, images=20.0, right=np.ones((200, 3), bool), shared=0.0)]
    perfect = summarise(right, folds=one, units=np.arange(200))[0][0]
    assert (perfect.accuracy, perfect.interval.high) == (1, 1)
    assert 0.95 < perfect.interval.low < 1


@pytest.mark.parametrize("value", [True, False])
def test_a_curve_may_end_with_all_images_right_or_all_wrong(value):
    """Draws that share most images say nothing of their variance: it is taken from the size before, and isn't 0."""
    (before,) = simulated(np.random.default_rng(0), {10: 0.6}, draw=2.0)
    last = Trials(images_per_class=20, images=40.0, right=np.full((200, 3), value), shared=0.95)
    end = summarise([before, last], folds=np.zeros(200, int), units=np.arange(200))[0][-1]
    assert end.accuracy == value
    assert (end.interval.high == 1) == value
    assert 0 < (end.interval.low if value else 1 - end.interval.high) < 1


def test_a_gain_is_told_for_what_it_is():
    rng = np.random.default_rng(0)
    folds, units = np.zeros(2000, int), np.arange(2000)
    _, grown = summarise(simulated(rng, {10: 0.6, 40: 0.9}, n=2000), folds=folds, units=units)
    assert grown.difference == pytest.approx(0.13, abs=0.03)
    assert grown.interval.low > 0
    assert "Each doubling from 10 to 40 images per class" in grown.sentence
    _, same = summarise(simulated(rng, {10: 0.8, 20: 0.8}, n=2000), folds=folds, units=units)
    assert "more images may not help" in same.sentence
    assert "from" not in same.sentence
    assert summarise(simulated(rng, {10: 0.8}), folds=folds[:200], units=units[:200])[1] is None
