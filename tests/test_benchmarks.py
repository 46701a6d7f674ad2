"""The throughput benchmark still runs, and its arithmetic is right; how fast anything is, is not tested."""

import json
import os
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featx

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of the benchmarks that make figures and the page; they are scripts, not a package."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import records
    import results

    return types.SimpleNamespace(**vars(records) | vars(results))


def record(results: Any, *, row: str, rate: float | None = None, **fields: Any) -> Any:
    usual = {"section": "loop", "turn": 0, "backbone": "mobilenetv2", "images": 100, "wall": 1.0, "cpu": 1.0}
    return results.Record(**usual | {"others": 0.0, "memory": None, "more": {}} | fields, row=row, rate=rate)


def test_ratios_are_taken_within_a_turn(results: Any) -> None:
    # The machine is three times slower in the second turn; the ratio is 2 in each, that of the medians is not.
    rates = [(200.0, 100.0), (60.0, 30.0), (220.0, 110.0)]
    records = []
    for turn, (ours, theirs) in enumerate(rates):
        records.append(record(results, row="featx f32", rate=ours, turn=turn))
        records.append(record(results, row="tf.data", rate=theirs, turn=turn))
    records.append(record(results, row="featx f32", rate=1.0, turn=9))  # without its partner it says nothing
    found = results.Runs(records).ratios("loop", "mobilenetv2", ("featx f32", "tf.data"), results.faster)
    assert (found.median, found.least, found.most) == (2.0, 2.0, 2.0)


def test_the_share_is_one_where_the_halves_follow_one_another(results: Any) -> None:
    decoder, backbone = (record(results, row=row, rate=rate) for row, rate in (("d", 600.0), ("b", 300.0)))
    assert results.share(record(results, row="featx f32", rate=200.0), decoder, backbone) == pytest.approx(1.0)


@pytest.mark.parametrize(("rate", "reached"), [(300.0, "yes"), (200.0, "**no**")])
def test_a_target_missed_is_named(results: Any, rate: float, reached: str) -> None:
    records = [record(results, row="featx f32", rate=rate), record(results, row="tf.data", rate=100.0)]
    (target,) = [line for one in results.TARGETS if (line := one.line(results.Runs(records))) is not None]
    assert target[1].split()[0] == f"{rate / 100:.2f}"
    assert reached in target


def test_joined_findings_keep_every_turn_apart(results: Any) -> None:
    one = results.Findings(records=[record(results, row="tf.data", rate=1.0)], images=["a"], weights={}, skipped={})
    two = results.Findings.from_json(one.joined(one).to_json())
    assert [one.turn for one in two.records] == [0, 1]
    assert two.images == ["a"]


def test_pages_hold_no_path(results: Any) -> None:
    skipped = {"timm f32": "ImportError: cannot import name 'x' (/home/somebody/x.py)"}
    findings = results.Findings(records=[], images=[], weights={}, skipped=skipped)
    assert "/home" not in results.page(findings, [])


def test_the_pages_say_what_their_commands_write(results: Any) -> None:
    import stage_two_page

    pages = BENCHMARKS.parent / "docs"
    assert results.HOW in (pages / "benchmarks.md").read_text(encoding="utf-8")
    text = (pages / "stage-two.md").read_text(encoding="utf-8")
    assert stage_two_page.HOW in text
    assert stage_two_page.CHOSEN in text


def test_the_speeds_are_medians_over_the_turns(results: Any) -> None:
    # Another program has the machine in the second turn.
    rates = {"featx f32": (120.0, 9.0, 123.4), "backbone alone f32": (150.0, 140.0, 3.0)}
    records = [
        record(results, row=row, rate=rate, turn=turn, images=64, others=0.1 * turn)
        for row, found in rates.items()
        for turn, rate in enumerate(found)
    ]
    weights = {"mobilenetv2": "untrained"}
    findings = results.Findings(records=records, images=["64 images"], weights=weights, skipped={})
    found = results.speeds(findings, processor="a processor", cores=2)
    assert found["images_per_second"] == {"mobilenetv2": {"files_to_store": 120.0, "backbone_alone": 140.0}}
    assert (found["images"], found["repeats"], found["others"]) == (64, 3, 0.1)
    assert found["weights"] == weights


def test_the_package_has_what_the_benchmark_writes() -> None:
    from featx.backbones import advice

    written = json.loads(Path(advice.__file__).with_name("speeds.json").read_text(encoding="utf-8"))
    measured = advice.speeds()
    assert list(measured.files_to_store) == list(measured.backbone_alone) == list(advice.USES)
    assert measured.machine == f"{written['cores']} cores of {written['processor']}"
    assert min(measured.files_to_store.values()) > 0
    assert written["repeats"] >= 3
    assert set(written["weights"]) == set(advice.USES)


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_small_run(tmp_path: Path) -> None:
    keep, page, records = tmp_path / "kept", tmp_path / "page.md", tmp_path / "records.json"
    command = [sys.executable, str(BENCHMARKS / "throughput.py"), "--small", "--keep", str(keep)]
    command += ["--write", str(page), "--records", str(records), "--sections", "loop", "unchanged", "--made"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stdout + done.stderr

    found = {one["row"]: one for one in json.loads(records.read_text())["records"] if one["section"] != "warm"}
    assert {"featx f32", "decoder alone", "backbone alone f32", "tf.data", "one at a time"} <= set(found)
    assert {"featx extract", "interpreter alone"} <= set(found)
    for name, one in found.items():
        assert one["rate"] is None or one["rate"] > 0, name
    assert found["interpreter alone"]["wall"] < found["featx extract"]["wall"]
    text = page.read_text()
    assert "timm f32, mobilenetv2-0.35: no --timm-python was given" in text
    assert str(tmp_path) not in text
    assert str(Path.home()) not in text

    # All did the same work: the features of the same images in the same order, of the same network where it's trained.
    stores = [featx.open(file) for file in keep.rglob("*.h5")]
    ours, again = (store.features for store in stores if len(store) == 16 and store.spec.precision == "float32")
    assert np.array_equal(ours, again)
    theirs = {len(features): features for features in map(np.load, keep.rglob("*.npy"))}
    assert {count: features.shape for count, features in theirs.items()} == {4: (4, 1280), 16: ours.shape}
    if os.environ.get("FEATX_MATERIAL"):
        assert list(cosines(theirs[16], ours).argmax(axis=1)) == list(range(16))
        nearest = cosines(theirs[4], ours)
        assert nearest.max(axis=1).min() > 0.9
        assert len(set(nearest.argmax(axis=1))) == 4


def cosines(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(a, b) cosines of the rows of one with the rows of the other."""
    some, others = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (some, others))
    return some @ others.T


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_small_run_of_stage_two(tmp_path: Path) -> None:
    page, records = tmp_path / "page.md", tmp_path / "records.json"
    command = [sys.executable, str(BENCHMARKS / "stage_two.py"), "--small", "--write", str(page)]
    command += ["--records", str(records), "--sections", "linear", "rbf", "logreg", "map"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stdout + done.stderr

    found = {(one["case"], one["row"]): one["found"] for one in json.loads(records.read_text())["runs"]}
    for case in ("linear", "rbf"):
        ours, theirs = found[case, "featx"], found[case, "GridSearchCV"]
        assert ours["table"] == theirs["table"]
        assert ours["equal"] == 1
    ours, theirs = (np.array(found["logreg", row]["table"]) for row in ("featx", "LogisticRegressionCV"))
    assert np.abs(ours - theirs).max() < 0.1
    assert all(one["seconds"] > 0 for one in found.values())
    text = page.read_text()
    assert "## Large sets" in text
    assert str(tmp_path) not in text


def test_a_choice_that_the_reference_scores_lower_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from stage_two_page import Run, apart, behind

    usual = {"case": "linear", "turn": 0, "row": "featx", "shape": (9, 2, 3), "wall": 1.0, "others": 0, "memory": 1.0}
    ours = Run(**usual, found={"table": [[0.5, 0.7], [0.8, 0.8]], "place": 1})
    theirs = Run(**usual, found={"table": [[0.9, 0.9], [0.8, 0.7]], "place": 0})
    assert behind(ours, theirs) == pytest.approx(15)
    assert apart(ours, theirs) == pytest.approx(40)


def test_a_page_made_again_from_its_records_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from stage_two_page import Findings, Run, page

    size = (50_000, 2_048, 10)
    told = {"table": [[0.9, 0.8]], "seconds": 160.0, "features": 410.0, "solver": "blockwise"}
    run = Run(case="large", turn=0, row="featx", shape=size, wall=170.0, others=0.0, memory=900.0, found=told)
    findings = Findings(runs=[run], skipped={})
    assert "under 15 minutes and 8 GB: yes" in page(findings, [])
    assert page(Findings.from_json(findings.to_json()), []) == page(findings, [])


@pytest.mark.parametrize("name", ["centroid", "knn", "ridge", "lda"])
def test_own_solvers_and_scikit_learn_are_measured_on_the_same_fold(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import solvers

    solvers.prepare(tmp_path / "features", n=200, d=16)
    own, plain = (solvers.measure(tmp_path / "features", name, own=own) for own in (True, False))
    assert own["labels"] == plain["labels"]
    assert own["right"] == plain["right"]
    assert min(own["memory"], plain["memory"], own["seconds"], plain["seconds"]) >= 0


def test_the_gain_by_views_is_that_of_the_averages(
    run_benchmark: Callable[..., str], paint: Callable[..., Path], tmp_path: Path
) -> None:
    """The printed gain is the difference of the printed accuracies, with its sign."""
    folder = paint(tmp_path / "images", each=6)
    words = ("--backbone", "mean-colour", "--weights", "none", "--image-size", "16", "--views", "1", "--no-flip")
    out = run_benchmark("views.py", str(folder), *words)
    assert "images: 18 images, 1 view of each, five folds" in out
    shares = [float(found) for found in re.findall(r"(?:views|averaged|gain) +([-+]?[\d.]+)%", out)]
    without, _, averaged, gain = shares
    assert gain == pytest.approx(averaged - without, abs=0.11)
