"""A run computes what is new and nothing else, says exactly what failed, and takes other labels without images."""

import csv
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featx
from conftest import Painter
from featx.backbones import Request
from featx.cli import main
from featx.pipeline.filling.job import Extraction, Job, RunOptions
from featx.pipeline.filling.loop import extract_job
from featx.store import FeatureStore, partial_path

MEANS = {"backbone": "mean-colour"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def source(paint: Painter) -> Path:
    return paint(Path("data/train"), each=3)


def run(source: Path, *, max_pixels: int | None = None, **options: object) -> Extraction:
    (one,) = extract_job(
        Job(source=source, **options),
        [Request(**MEANS)],
        RunOptions(batch_size=4, workers=1, max_pixels=max_pixels),
    )
    assert one.found == one.extracted + one.reused + one.failed
    return one


def fresh(source: Path) -> FeatureStore:
    """One run on the folder as it is now, in a place of its own."""
    shutil.rmtree("fresh", ignore_errors=True)
    store = run(source, out=Path("fresh/store.h5")).store
    assert store is not None
    return store


def same(one: FeatureStore, other: FeatureStore) -> bool:
    return (
        np.array_equal(one.features, other.features)
        and np.array_equal(one.digests, other.digests)
        and np.array_equal(one.labels, other.labels)
        and np.array_equal(one.mtimes_ns, other.mtimes_ns)
        and (one.paths, one.classes, one.failures) == (other.paths, other.classes, other.failures)
    )


def counts(one: Extraction) -> tuple[int, int, int]:
    return one.extracted, one.reused, one.failed


def identity(path: Path) -> tuple[int, int]:
    return path.stat().st_ino, path.stat().st_mtime_ns


def exchange_unseen(one: Path, other: Path) -> None:
    """Exchange the content of two files, so that neither size nor time tells."""
    first, second = one.read_bytes(), other.read_bytes()
    length = max(len(first), len(second))
    stamp = one.stat().st_mtime_ns
    for path, data in ((one, second), (other, first)):
        path.write_bytes(data.ljust(length, b"\0"))
        os.utime(path, ns=(stamp, stamp))


def test_content_that_changed_unseen_is_found_on_request(source: Path) -> None:
    paths = [source / "red/red 00.png", source / "blue/blue 00.png"]
    exchange_unseen(*paths)  # so that both have one size and time
    first = run(source)
    exchange_unseen(*paths)
    assert run(source).store.content_digest == first.store.content_digest
    one = run(source, check="content")
    assert counts(one) == (0, 9, 0)  # each other's rows
    assert same(one.store, fresh(source))
    paths[0].write_bytes(paths[0].read_bytes()[:-1] + b"\1")
    os.utime(paths[0], ns=(paths[1].stat().st_mtime_ns,) * 2)
    assert counts(run(source, check="content")) == (1, 8, 0)


def test_a_check_that_finds_nothing_leaves_the_store_as_it_is(source: Path) -> None:
    (source / "red/broken.png").write_bytes(b"no image")
    first = run(source)
    before = identity(first.target)
    for options in ({"check": "content"}, {"retry_failed": True}, {"check": "content", "retry_failed": True}):
        assert counts(run(source, **options)) == (0, 9, 1)
        assert identity(first.target) == before
    assert sorted(path.name for path in first.target.parent.iterdir()) == [first.target.name]
    os.utime(source / "red/red 00.png")
    one = run(source, check="content")
    assert counts(one) == (0, 9, 1)
    assert same(one.store, fresh(source))


def test_a_check_trusts_no_row_that_an_interrupted_run_took_over(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [source / "red/red 00.png", source / "blue/blue 00.png"]
    exchange_unseen(*paths)
    first = run(source)
    exchange_unseen(*paths)
    Image.new("RGB", (9, 9), (3, 2, 1)).save(source / "blue/new.png")
    with monkeypatch.context() as patch:
        patch.setattr("featx.store.Partial.seal", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(featx.Interrupted):
            run(source)
    assert partial_path(first.target).exists()
    one = run(source, check="content")
    assert counts(one) == (0, 10, 0)
    assert same(one.store, fresh(source))


def test_rows_come_from_other_stores_of_the_same_spec(paint: Painter, source: Path) -> None:
    paint(Path("data/test"), each=2, seed=1)
    for one in extract_job(Job(source=Path("data")), [Request(**MEANS)], RunOptions(workers=1)):
        assert one.extracted == one.found
    shutil.copytree("data/train", "everything/all", copy_function=shutil.copyfile)
    shutil.copytree("data/test", "everything/all/more", copy_function=shutil.copyfile)
    Path("artifacts/features/broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    one = run(Path("everything"))
    assert counts(one) == (0, 15, 0)
    assert same(one.store, fresh(Path("everything")))


@pytest.mark.parametrize(
    "options", [{"overwrite": True}, {"out": Path("apart")}], ids=["overwritten", "in another folder"]
)
def test_rows_do_not_come_from_elsewhere(source: Path, options: dict) -> None:
    run(source)
    shutil.copytree(source, "again", copy_function=shutil.copyfile)
    assert counts(run(Path("again"), **options)) == (9, 0, 0)


def test_rows_of_another_spec_are_left_alone(source: Path) -> None:
    featx.extract(source, **MEANS, image_size=16)
    shutil.copytree(source, "again", copy_function=shutil.copyfile)
    assert counts(run(Path("again"))) == (9, 0, 0)


def test_a_failure_is_tried_again_only_where_that_could_help(source: Path) -> None:
    broken = source / "red/red 01.png"
    whole = broken.read_bytes()
    stamp = broken.stat().st_mtime_ns
    broken.write_bytes(whole[:-20].ljust(len(whole), b"\0"))
    os.utime(broken, ns=(stamp, stamp))
    assert counts(run(source)) == (8, 0, 1)
    broken.write_bytes(whole)
    os.utime(broken, ns=(stamp, stamp))  # mended unseen
    assert counts(run(source)) == (0, 8, 1)
    assert counts(run(source, retry_failed=True)) == (1, 8, 0)
    assert same(featx.open("artifacts/features/train-mean-colour.h5"), fresh(source))


def test_what_was_too_large_is_tried_again_where_a_limit_is_given(source: Path) -> None:
    Image.new("RGB", (90, 90), (3, 2, 1)).save(source / "blue/large.png")
    one = run(source, max_pixels=2000)
    assert counts(one) == (9, 0, 1)
    assert [(failure.path, failure.reason) for failure in one.failures] == [("blue/large.png", "too-large")]
    before = identity(one.target)
    assert counts(run(source)) == (0, 9, 1)
    assert counts(run(source, max_pixels=2000)) == (0, 9, 1)
    assert identity(one.target) == before
    assert counts(run(source, max_pixels=10_000)) == (1, 9, 0)
    assert counts(run(source, max_pixels=2000)) == (0, 10, 0)  # what is there already is not undone


def test_failures_are_listed_on_request(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source / "red/broken.png").write_bytes(b"no image, but commas")
    (source / "red/\udcff, none.png").write_bytes(b"")
    command = ["featx", "extract", "data/train", "-m", "mean-colour", "--failures", "lists/failures.csv", "--strict"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 3
    with Path("lists/failures.csv").open(newline="", errors="surrogateescape") as file:
        listed = list(csv.DictReader(file))
    store = featx.open("artifacts/features/train-mean-colour.h5")
    assert [(row["path"], row["reason"], row["message"]) for row in listed] == [
        (str(Path(store.root) / failure.path), failure.reason, failure.message) for failure in store.failures
    ]
    assert all(Path(row["path"]).exists() for row in listed)
    for path in ("red/broken.png", "red/\udcff, none.png"):
        (source / path).unlink()
    run(source, failures=Path("lists/failures.csv"))
    assert Path("lists/failures.csv").read_text() == "path,reason,message\n"
    with pytest.raises(featx.FeatxError, match="failures can't be written"):
        run(source, failures=Path("data/train/red/red 00.png/failures.csv"))


def test_other_checks_are_refused(source: Path) -> None:
    with pytest.raises(featx.UsageError, match="mtime, content"):
        featx.extract(source, **MEANS, check="size")


def write_labels(rows: list[tuple[str, ...]], *, header: tuple[str, ...] = ("path", "label")) -> Path:
    with Path("labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return Path("labels.csv")


def test_other_labels_need_no_image(source: Path) -> None:
    store = run(source).store
    shutil.rmtree(source)
    warm = [(path, "warm" if path.startswith("red") else "cold", "ignored") for path in store.paths]
    model = featx.fit(store, labels=write_labels(warm, header=("Path", "label", "note")), folds=3)
    assert model.classes == ("cold", "warm")
    assert model.labels.tolist() == [int(path.startswith("red")) for path in store.paths]
    absolute = [(f"{store.root}/{path}", label) for path, label, _ in warm]
    assert featx.fit(store, labels=write_labels(absolute), folds=3).labels.tolist() == model.labels.tolist()


def test_images_without_another_label_take_no_part(source: Path) -> None:
    (source / "red/broken.png").write_bytes(b"")
    store = run(source).store
    rows = [(path, path.split("/")[0]) for path in store.paths if not path.startswith("green")]
    rows += [("green/green 00.png", ""), ("red/broken.png", "red")]  # without a label; without a row
    model = featx.fit(store, labels=write_labels(rows), folds=3)
    assert model.classes == ("blue", "red")
    assert len(model.labels) == 6


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([("red/red 00.png", "a"), ("r.png", "a"), ("b.png", "b")], ("path", "label"), r"2 of 3 images.*'r\.png'"),
        ([("red/red 00.png", "a"), ("./red/red 00.png", "b")], ("path", "label"), "line 3: .*already named"),
        ([("", "a")], ("path", "label"), "line 2: the path is empty"),
        ([("red/red 00.png", "a")], ("path", "class"), "no column label, found path, class"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    source: Path, rows: list[tuple[str, ...]], header: tuple[str, ...], message: str
) -> None:
    store = run(source).store
    with pytest.raises(featx.SourceError, match=message):
        featx.fit(store, labels=write_labels(rows, header=header))
    with pytest.raises(featx.SourceError, match="No such file"):
        featx.fit(store, labels="none.csv")
    assert not Path("artifacts/models").exists()
