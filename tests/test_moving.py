"""A project that moves to another folder: images, stores, models and weights are found again, and nothing is lost."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featx
from conftest import Painter
from featx.backbones import Request
from featx.errors import StoreError
from featx.files import moved
from featx.pipeline.filling.job import Extraction, Job, RunOptions
from featx.pipeline.filling.loop import extract_job
from featx.pipeline.filling.runner import weights_now

MEANS: dict[str, Any] = {"backbone": "mean-colour"}
STORE = Path("artifacts/features/train-mean-colour.h5")
MODEL = Path("artifacts/models/train-mean-colour-logreg.skops")


@pytest.fixture
def project(paint: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images, a store and a model, moved from ``old`` to ``new`` as a whole."""
    (tmp_path / "old").mkdir()
    monkeypatch.chdir(tmp_path / "old")
    paint(Path("data/train"))
    paint(Path("data/test"), each=3, seed=1)
    shutil.copyfile("data/train/red/red 00.png", "data/test/red/copy.png")
    featx.fit(featx.extract("data/train", **MEANS))
    (tmp_path / "old").rename(tmp_path / "new")
    monkeypatch.chdir(tmp_path / "new")
    return tmp_path / "new"


def extracted(source: Path, **options: Any) -> Extraction:
    (one,) = extract_job(Job(source=source, **options), [Request(**MEANS)], RunOptions(workers=2))
    return one


def test_rows_are_reused_by_content(project: Path) -> None:
    before = featx.open(STORE)
    one = extracted(Path("data/train"))
    assert (one.extracted, one.reused) == (0, 24)
    assert one.store is not None
    assert one.store.root == str(project / "data/train")
    np.testing.assert_array_equal(one.store.features, before.features)
    # From then on it is a store of this folder like any other.
    again = extracted(Path("data/train"))
    assert (again.reused, again.seconds) == (24, 0)


def test_a_file_of_the_same_name_size_and_time_is_read_all_the_same(project: Path) -> None:
    file = project / "data/train/red/red 00.png"
    status = file.stat()
    data = bytearray(file.read_bytes())
    data[-30] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    one = extracted(Path("data/train"))
    assert one.reused == 23


def test_a_store_of_other_images_is_still_refused(project: Path, paint: Painter) -> None:
    with pytest.raises(StoreError, match="has the features of the images in"):
        featx.extract(paint(Path("other/train"), seed=5), **MEANS)


def test_rows_are_checked_where_the_images_are_now(project: Path) -> None:
    found = featx.verify(STORE, sample=5)
    assert found.ok
    assert found.sample is not None
    assert found.sample.compared == 5
    # Elsewhere than the store they are found where they are said to be.
    (project / "data/train").rename(project.parent / "pictures")
    assert not featx.verify(STORE, sample=5).ok
    found = featx.verify(STORE, sample=5, root=project.parent / "pictures")
    assert found.sample is not None
    assert found.sample.compared == 5


def test_a_score_finds_the_training_store_beside_the_model(project: Path) -> None:
    report = featx.score(MODEL, "data/test")
    assert [(leak.path, leak.other) for leak in report.leaks] == [("red/copy.png", "red/red 00.png")]
    assert report.training_root == str(project / "data/train")
    assert not any("gone" in note for note in report.notes)
    # Also after the images were extracted again: the rows are the same, their file isn't.
    featx.extract("data/train", **MEANS)
    assert featx.score(MODEL, "data/test").training_root == str(project / "data/train")


def test_an_interrupted_run_goes_on_where_the_images_are_now(
    paint: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(featx.Silent):
        def advance(self, task: Path, *, done: int, failed: int) -> None:
            raise KeyboardInterrupt

    (tmp_path / "old").mkdir()
    monkeypatch.chdir(tmp_path / "old")
    paint(Path("train"))
    with pytest.raises(featx.errors.Interrupted):
        featx.extract("train", batch_size=4, progress=Stop(), **MEANS)
    (tmp_path / "old").rename(tmp_path / "new")
    monkeypatch.chdir(tmp_path / "new")
    one = extracted(Path("train"))
    assert one.reused >= 4
    assert one.reused + one.extracted == 24


def test_the_nearest_and_longest_comes_first(tmp_path: Path) -> None:
    for folder in ("a/p/data/train", "a/p/train", "a/data/train", "elsewhere/train"):
        (tmp_path / folder).mkdir(parents=True)
    near = tmp_path / "a/p/artifacts/features/x.h5"
    found = [str(path.relative_to(tmp_path)) for path in moved(Path("/old/data/train"), near=near)]
    assert found == ["a/p/data/train", "a/p/train", "a/data/train"]


def test_weights_are_found_near_what_was_made_with_them(tmp_path: Path) -> None:
    """A model that names a file which is gone takes the one that was moved with it, and its digest is checked then."""
    (tmp_path / "new/weights").mkdir(parents=True)
    file = tmp_path / "new/weights/mine.weights.h5"
    file.touch()
    near = tmp_path / "new/artifacts/models/x.skops"
    recorded = str(tmp_path / "old/weights/mine.weights.h5")
    assert weights_now(recorded, near=near) == str(file)
    assert weights_now(recorded, near=None) == recorded
    assert weights_now("imagenet", near=near) == "imagenet"
