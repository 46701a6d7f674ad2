"""Links, pipes and second names that stand where featx writes or reads files of its own."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import h5py
import numpy as np
import pytest

import featx
from conftest import Painter
from featx.backbones.tuned import key_of, tuned_on
from featx.errors import WeightsError
from featx.pipeline.tuning.keeping import save_weights
from featx.training.tail import Backbone
from featx.weights import locate

VICTIM = b"a letter to a friend"

Plant = Callable[[Path, Path], None]

PLANTS: dict[str, Plant] = {
    "link": lambda place, victim: place.symlink_to(victim),
    "dangling link": lambda place, victim: place.symlink_to(victim.with_name("nobody")),
    "second name": lambda place, victim: os.link(victim, place),
    "pipe": lambda place, victim: os.mkfifo(place),
}

pytestmark = pytest.mark.timeout(60)  # a pipe that is opened hangs


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_bytes(VICTIM)
    return path


def extract(source: Path, target: Path) -> featx.FeatureStore:
    return featx.extract(source, backbone="mean-colour", out=target)


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
@pytest.mark.parametrize("ending", [".lock", ".partial", ".planning", ".sealing", ".repairing"])
def test_a_file_beside_a_store_leads_nowhere(
    ending: str, plant: Plant, paint: Painter, tmp_path: Path, victim: Path
) -> None:
    source, target = paint(tmp_path / "data"), tmp_path / "out.h5"
    plant(tmp_path / f"out.h5{ending}", victim)
    if ending == ".lock":
        with pytest.raises(featx.StoreError, match="delete it"):
            extract(source, target)
        (tmp_path / "out.h5.lock").unlink()
    assert len(extract(source, target)) == 24
    assert victim.read_bytes() == VICTIM
    assert not (tmp_path / "nobody").exists()


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
def test_nor_does_one_beside_a_store_that_is_repaired(
    plant: Plant, paint: Painter, tmp_path: Path, victim: Path
) -> None:
    source, target = paint(tmp_path / "data"), tmp_path / "out.h5"
    features = extract(source, target).features.tobytes()
    offset = target.read_bytes().index(features) + 12
    with target.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff")
    plant(tmp_path / "out.h5.repairing", victim)
    featx.verify(target, repair=True)
    assert featx.verify(target).damaged == ()
    assert featx.open(target).features.tobytes() == features
    assert victim.read_bytes() == VICTIM


@pytest.mark.parametrize("plant", [PLANTS["pipe"], lambda place, victim: place.symlink_to("/dev/zero")])
def test_a_store_that_is_no_file_is_refused(plant: Plant, tmp_path: Path, victim: Path) -> None:
    plant(tmp_path / "out.h5", victim)
    with pytest.raises(featx.StoreError, match="not a regular file"):
        featx.open(tmp_path / "out.h5")
    for load, error in ((featx.Model.load, featx.ModelError), (featx.Report.load, featx.FeatxError)):
        with pytest.raises(error, match="not a regular file"):
            load(tmp_path / "out.h5")


@pytest.mark.parametrize("name", ["model.skops", "report.json", "report.html", "report.png"])
def test_models_and_reports_replace_a_link(name: str, paint: Painter, tmp_path: Path, victim: Path) -> None:
    store = extract(paint(tmp_path / "data"), tmp_path / "out.h5")
    (tmp_path / name).symlink_to(victim)
    if name.startswith("report"):
        featx.score(featx.fit(store, save=False), out=tmp_path / "report.json")
        assert not (tmp_path / name).is_symlink()
    else:
        with pytest.raises(featx.ModelError):
            featx.fit(store, out=tmp_path / name)
    assert victim.read_bytes() == VICTIM


def test_folders_that_lead_to_each_other_are_entered_once(tmp_path: Path) -> None:
    """Two links in each folder to the next double the walk with each: 2 to the 40 folders here."""
    for level in range(40):
        folder = tmp_path / "data" / "cat" / f"{level:02}"
        folder.mkdir(parents=True)
        (folder / "image.png").write_bytes(b"no image")
        for name in ("left", "right") if level < 39 else ():
            (folder / name).symlink_to(folder.with_name(f"{level + 1:02}"))
    from featx import manifest

    (found,) = manifest.find(tmp_path / "data")
    assert found.paths == tuple(f"cat/{level:02}/image.png" for level in range(40))


def test_a_folder_is_listed_where_it_stands_and_not_where_a_link_to_it_does(tmp_path: Path) -> None:
    (tmp_path / "data" / "zebra").mkdir(parents=True)
    (tmp_path / "data" / "zebra" / "1.png").write_bytes(b"")
    (tmp_path / "data" / "ape").symlink_to("zebra")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "2.png").write_bytes(b"")
    (tmp_path / "data" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "dog").symlink_to(tmp_path / "elsewhere")
    from featx import manifest

    (found,) = manifest.find(tmp_path / "data")
    assert found.paths == ("cat/2.png", "zebra/1.png")


LISTS: dict[str, Callable[[h5py.File, Path], object]] = {
    "group as list": lambda file, pipe: file.create_group("featx/tuned_on"),
    "list of no shape": lambda file, pipe: file.create_dataset("featx/tuned_on", data=h5py.Empty("u1")),
    "list of other numbers": lambda file, pipe: file.create_dataset("featx/tuned_on", data=[1.5]),
    "list of text": lambda file, pipe: file.create_dataset("featx/tuned_on", data="all of them"),
    "no list": lambda file, pipe: file.create_group("featx"),
    "list in the group's place": lambda file, pipe: file.create_dataset("featx", data=[1]),
    "link to nothing": lambda file, pipe: file.__setitem__("featx", h5py.SoftLink("/nothing")),
    "link to a pipe": lambda file, pipe: file.__setitem__("featx", h5py.ExternalLink(str(pipe), "/featx")),
    "list in a pipe": lambda file, pipe: file.__setitem__("featx/tuned_on", h5py.ExternalLink(str(pipe), "/x")),
}


@pytest.mark.parametrize("make", LISTS.values(), ids=LISTS)
def test_weights_whose_list_of_images_is_no_list_are_not_taken_for_untuned(
    make: Callable[[h5py.File, Path], object], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(tmp_path / "own.weights.h5", "w") as file:
        make(file, tmp_path / "pipe")
    with pytest.raises(WeightsError, match=r"list of the images that it was tuned on is damaged"):
        tuned_on(locate(str(tmp_path / "own.weights.h5"), filename="x"))
    assert key_of(tmp_path / "own.weights.h5") is None


def test_weights_are_written_through_no_link(tmp_path: Path, victim: Path) -> None:
    class Whole:
        """A network that writes as Keras does: under the name that it is given, whatever is there."""

        def save_weights(self, path: Path) -> None:
            with h5py.File(path, "w") as file:
                file["layers"] = np.arange(3)

    key = hashlib.sha256(b"a tuning that others can foresee").hexdigest()
    target = tmp_path / "out" / "own.weights.h5"
    target.parent.mkdir()
    (target.parent / f".{key[:16]}.partial.weights.h5").symlink_to(victim)
    backbone = cast(Backbone, SimpleNamespace(network=SimpleNamespace(whole=Whole())))
    save_weights(target, backbone, np.zeros((2, 32), np.uint8), key=key)
    assert victim.read_bytes() == VICTIM
    assert key_of(target) == key
    assert len(tuned_on(locate(str(target), filename="x"))) == 2
    assert {path.name for path in target.parent.iterdir() if not path.is_symlink()} == {target.name}
