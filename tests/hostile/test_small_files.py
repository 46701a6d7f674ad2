"""Small files that announce much: what they would take is refused before it is taken."""

import io
import json
import os
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import featx
from conftest import Painter
from featx.weights import file_digest

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
import featx
try:
    {call}
except featx.FeatxError as error:
    print(error)
"""
"""An error of featx is expected with 3 GB of address space; a MemoryError would be a traceback."""


def refused(call: str, *arguments: object) -> str:
    """Run a call in a process of its own; give the one line that it is refused with."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED.format(call=call), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (line,) = done.stdout.splitlines()
    return line


@pytest.fixture
def store(paint: Painter, tmp_path: Path) -> featx.FeatureStore:
    return featx.extract(paint(tmp_path / "data"), backbone="mean-colour", out=tmp_path / "out.h5")


def test_a_model_does_not_unpack_to_more_than_its_size(store: featx.FeatureStore, tmp_path: Path) -> None:
    featx.fit(store, out=tmp_path / "model.skops")
    whole = (tmp_path / "model.skops").read_bytes()
    with zipfile.ZipFile(tmp_path / "bomb.skops", "w") as bomb, zipfile.ZipFile(io.BytesIO(whole)) as archive:
        for name in archive.namelist():
            bomb.writestr(name, archive.read(name))
        with bomb.open(zipfile.ZipInfo("more"), "w", force_zip64=True) as member:
            member._compressor = zipfile._get_compressor(zipfile.ZIP_DEFLATED)  # type: ignore[attr-defined]
            member._zinfo.compress_type = zipfile.ZIP_DEFLATED  # type: ignore[attr-defined]
            for _ in range(2048):
                member.write(bytes(2**20))
    assert (tmp_path / "bomb.skops").stat().st_size < 5 * 10**6
    from featx.model import Model

    with pytest.raises(featx.ModelError, match="unpack"):
        Model.load(tmp_path / "bomb.skops")


def with_holes(path: Path, *, width: int) -> None:
    """Give a store texts of so many bytes each, which take no place on the disk."""
    with h5py.File(path, "r+") as file:
        paths = file["paths"][:]
        del file["paths"]
        kind = h5py.h5t.py_create(h5py.string_dtype("utf-8", width), logical=True)
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_layout(h5py.h5d.CONTIGUOUS)
        creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        h5py.h5d.create(file.id, b"paths", kind, h5py.h5s.create_simple(paths.shape), dcpl=creation)


def test_a_store_with_holes_is_measured_before_it_is_read(store: featx.FeatureStore) -> None:
    with_holes(store.path, width=2**29)
    assert store.path.stat().st_blocks * 512 < 10**6
    assert "with texts of 536,870,912 bytes" in refused("featx.open(sys.argv[1])", store.path)


def test_memory_that_is_short_makes_no_sound_store_a_broken_one(
    store: featx.FeatureStore, monkeypatch: pytest.MonkeyPatch, paint: Painter, tmp_path: Path
) -> None:
    monkeypatch.setattr("featx.store.layout.memory_limit", lambda: 1000)
    assert len(featx.open(store.path)) == 24
    assert featx.verify(store.path).damaged == ()
    assert len(featx.extract(tmp_path / "data", backbone="mean-colour", out=tmp_path / "again.h5")) == 24
    with_holes(store.path, width=2**19)
    with pytest.raises(featx.StoreError, match=r"claims to have 0\.0 GB beside its features"):
        featx.open(store.path)


DEEP = "[" * 32_000
STRANGE = {"deep": DEEP, "a number for a name": '{"backbone": 5}', "a list": "[]", "nothing": "", "no object": "17"}


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_strange_json_is_one_line(text: str, store: featx.FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(featx.FeatxError, match="is not a report"):
        featx.Report.load(tmp_path / "report.json")
    with pytest.raises(ValueError, match=r"JSON|Expecting value"):
        featx.ExtractionSpec.from_json(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [("backbone", 5), ("weights", None), ("image_size", 7), ("image_size", [2, -2]), ("pooling", []), ("decoder", "1")],
)
def test_a_spec_has_values_that_there_can_be(field: str, value: object, store: featx.FeatureStore) -> None:
    spec = json.loads(store.spec.to_json()) | {field: value}
    with pytest.raises(ValueError, match=field):
        featx.ExtractionSpec.from_json(json.dumps(spec))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of untrained weights."""
    from featx.backbones.session import import_keras

    path = tmp_path_factory.mktemp("weights") / "own.weights.h5"
    applications = import_keras().applications
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's own, of numpy
        applications.MobileNet(include_top=False, weights=None, alpha=0.25, input_shape=(32, 32, 3)).save_weights(path)
    return path


@pytest.mark.keras
def test_the_group_of_all_weights_is_in_their_own_file(weights: Path, tmp_path: Path, paint: Painter) -> None:
    """All that is read from there lies in one file, but not in the one that was given; a pipe there hung the run."""
    path = tmp_path / "given.h5"
    with h5py.File(path, "w") as file:
        file["model_weights"] = h5py.ExternalLink(str(weights), "/")
    source = paint(tmp_path / "data", each=2)
    with pytest.raises(featx.WeightsError, match="model_weights is in another file"):
        featx.extract(source, backbone="mobilenet-0.25", weights=path, image_size=32, out=tmp_path / "out.h5")


def in_another_file(file: h5py.File, name: str, shape: tuple[int, ...], secret: Path) -> None:
    file.create_dataset(name, shape, "float32", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def by_a_link(file: h5py.File, name: str, shape: tuple[int, ...], secret: Path) -> None:
    with h5py.File(secret.with_suffix(".h5"), "w") as other:
        other["x"] = np.zeros(shape, np.float32)
    file[name] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "x")


def as_a_view(file: h5py.File, name: str, shape: tuple[int, ...], secret: Path) -> None:
    with h5py.File(secret.with_suffix(".h5"), "w") as other:
        other["x"] = np.zeros(shape, np.float32)
    layout = h5py.VirtualLayout(shape, np.float32)
    layout[...] = h5py.VirtualSource(str(secret.with_suffix(".h5")), "x", shape)
    file.create_virtual_dataset(name, layout)


def of_long_texts(file: h5py.File, name: str, shape: tuple[int, ...], secret: Path) -> None:
    file.create_dataset(name, shape, "S10000000", chunks=(1,) * len(shape))


def in_a_large_piece(file: h5py.File, name: str, shape: tuple[int, ...], secret: Path) -> None:
    # Nothing is stored of it, but of a file that has it packed a gigabyte is unpacked.
    piece = (1,) * (len(shape) - 1) + (2**22,)
    file.create_dataset(name, shape, "float32", maxshape=(None,) * len(shape), chunks=piece, compression="gzip")


@pytest.mark.keras
@pytest.mark.parametrize("plant", [in_another_file, by_a_link, as_a_view, of_long_texts, in_a_large_piece])
def test_weights_are_numbers_in_their_own_file(plant, weights: Path, tmp_path: Path, paint: Painter) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(os.urandom(2**16))
    path = tmp_path / "own.weights.h5"
    path.write_bytes(weights.read_bytes())
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file["layers"].visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        name = f"layers/{names[0]}"
        shape = file[name].shape
        del file[name]
        plant(file, name, shape, secret)
    source = paint(tmp_path / "data", each=2)
    with pytest.raises(featx.WeightsError, match=r"is in another file|of type|does not contain|larger than itself"):
        featx.extract(source, backbone="mobilenet-0.25", weights=path, image_size=32, out=tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize("start", [b"", b"\x89HDF\r\n\x1a\n"])
def test_weights_with_holes_are_not_read_from_end_to_end(start: bytes, tmp_path: Path) -> None:
    """A model or a store names a file of weights; one of 4 TB on no space on the disk would be digested for an hour."""
    path = tmp_path / "own.weights.h5"
    path.write_bytes(start)
    os.truncate(path, 2**42)
    with pytest.raises(featx.WeightsError, match=r"not a weights file of Keras|almost empty"):
        file_digest(path)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc, whose files have no end or none known")
def test_a_file_of_the_kernel_is_no_weights() -> None:
    with pytest.raises(featx.WeightsError, match="is empty"):
        file_digest(Path("/proc/self/status"))


@pytest.mark.parametrize("column", ["labels", "predicted"])
def test_a_report_names_no_class_that_there_is_not(column: str, store: featx.FeatureStore, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    featx.score(featx.fit(store), out=path)
    report = json.loads(path.read_text())
    report["images"][column][0] = 10**9
    path.write_text(json.dumps(report))
    with pytest.raises(featx.FeatxError, match="an image has class number 1000000000"):
        featx.compare([path, path])
