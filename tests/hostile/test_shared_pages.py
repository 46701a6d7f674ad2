"""Pages are made to be shared: they hold no picture from outside the data folder, and no path of the machine."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import featx
from conftest import Painter
from featx import manifest
from featx.progress import Silent, Step

SECRET = "secretive"
"""A folder's name that stands in no page."""


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, step: Step) -> None:
        self.lines.append(step.text)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a test set of its own, which the current one may have."""
    monkeypatch.chdir(tmp_path)


def extract(source: Path, target: Path, said: Said | None = None) -> featx.FeatureStore:
    return featx.extract(source, backbone="mean-colour", out=target, progress=said or Silent())


def shown(page: Path) -> dict[str, bool]:
    """Tell which images of a page have a picture in it."""
    data = contents(page)
    return {path: number >= 0 for path, number in zip(data["rows"]["path"], data["rows"]["picture"], strict=True)}


def contents(page: Path) -> Any:
    return json.loads(page.read_text(encoding="utf-8").partition('id="data">')[2].partition("</script>")[0])


@pytest.fixture
def data(paint: Painter, tmp_path: Path) -> Path:
    """Two pictures and a class that lie elsewhere, one link that stays inside."""
    source = paint(tmp_path / SECRET / "data", each=4)
    album = paint(tmp_path / "album", classes={"lilac": (200, 160, 200), "red": (230, 30, 30)}, each=4, seed=1)
    (source / "lilac").symlink_to(album / "lilac")
    (source / "red/private 1.png").symlink_to(album / "red/red 01.png")
    (source / "red/private 2.png").symlink_to(os.path.relpath(album / "red/red 02.png", source / "red"))
    (source / "blue/again.png").symlink_to(source / "blue/blue 01.png")
    return source


def test_a_page_does_not_show_what_links_lead_to(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = Said()
    model = featx.fit(extract(data, tmp_path / "out.h5", said), save=False)
    assert [line for line in said.lines if "lie outside" in line] == [
        f"6 of 19 images lie outside {data}: links or a CSV lead there"
    ]
    with caplog.at_level(logging.WARNING):
        featx.score(model, out=tmp_path / "report.json")
    (warning,) = [record.getMessage() for record in caplog.records if "lie outside" in record.getMessage()]
    assert ": 6 images (" in warning
    assert "`show_outside=True`" in warning
    there = shown(tmp_path / "report.html")
    assert len(there) == 19
    assert {path for path, has in there.items() if not has} == {
        *(f"lilac/lilac {index:02}.png" for index in range(4)),
        "red/private 1.png",
        "red/private 2.png",
    }
    featx.score(model, out=tmp_path / "all.json", show_outside=True)
    assert all(shown(tmp_path / "all.html").values())


def test_a_folder_without_links_outside_is_not_spoken_of(paint: Painter, tmp_path: Path) -> None:
    """Also where the folder itself is reached by a link, and where one split links to another."""
    paint(tmp_path / "real" / "train")
    (tmp_path / "real" / "test" / "red").mkdir(parents=True)
    (tmp_path / "real/test/red/1.png").symlink_to(tmp_path / "real/train/red/red 01.png")
    (tmp_path / "data").symlink_to(tmp_path / "real")
    said = Said()
    featx.extract_all(tmp_path / "data", backbones=["mean-colour"], out=tmp_path / "out", progress=said)
    assert not [line for line in said.lines if "outside" in line]


def test_a_csv_leads_outside_too(paint: Painter, tmp_path: Path) -> None:
    album = paint(tmp_path / "album", each=1)
    (tmp_path / "data").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "data" / "own.png")
    rows = ["path", "own.png", str(album / "red/red 00.png"), "../album/blue/blue 00.png"]
    (tmp_path / "data" / "list.csv").write_text("\n".join(rows))
    (found,) = manifest.find(tmp_path / "data" / "list.csv")
    assert manifest.outside(found.root, found.paths) == set(found.paths) - {"own.png"}
    assert manifest.outside(found.root, [*found.paths, "nul\0", "gone/1.png"], also=[album]) == set()


def test_only_links_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A realpath for each of 10,000 files would cost as much as listing them several times."""
    (tmp_path / "data" / "cat").mkdir(parents=True)
    names = [f"cat/{index:03}.png" for index in range(300)]
    for name in names:
        (tmp_path / "data" / name).touch()
    (tmp_path / "data/cat/link.png").symlink_to(tmp_path / "data/cat/000.png")
    calls = []
    resolve = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path: calls.append(path) or resolve(path))
    assert manifest.outside(tmp_path / "data", [*names, "cat/link.png"]) == set()
    assert len(calls) == 3  # the root, the folder and the link


def test_a_page_holds_no_path_of_the_machine(
    data: Path, tmp_path: Path, paint: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its words, its data, the command and the places of training images; the report keeps what it needs."""
    (data / "blue" / "strange.png").write_bytes(b"no image")
    training = paint(tmp_path / SECRET / "elsewhere" / "train", each=5, seed=3)
    for name in ("red 01.png", "red 02.png"):  # a likely label error in training
        (training / "red" / name).rename(training / "blue" / name)
    featx.fit(extract(training, tmp_path / SECRET / "train.h5"), clf="logreg", out=tmp_path / SECRET / "model.skops")
    (data / "green" / "leaked.png").write_bytes((training / "green" / "green 01.png").read_bytes())
    listed = data / "list.csv"
    every = [*sorted(data.rglob("*.png")), tmp_path / "album/red/red 03.png"]
    listed.write_text("path,label\n" + "".join(f"{path},{path.parent.name}\n" for path in every))
    with pytest.warns(featx.UnreadableWarning):
        store = extract(listed, tmp_path / SECRET / "test.h5")
    monkeypatch.chdir(tmp_path / "album")
    command = f"featx score {listed} --model={tmp_path / SECRET}/model.skops"
    for gone in (False, True):
        if gone:
            (tmp_path / SECRET / "train.h5").unlink()
        featx.score(tmp_path / SECRET / "model.skops", store, out=tmp_path / "report.json", command=command)
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert SECRET not in page
        assert str(tmp_path) not in page
        assert "featx score list.csv --model=model.skops" in page
    assert json.loads((tmp_path / "report.json").read_text())["root"] == str(data)
