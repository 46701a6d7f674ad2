"""Where weights come from, and their digests; none of it loads Keras."""

import json
import os

import numpy as np
import pytest

from featx import weights
from featx.errors import WeightsError

HDF5 = b"\x89HDF\r\n\x1a\n"


@pytest.fixture(autouse=True)
def homes(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "keras" / "models").mkdir(parents=True)
    return tmp_path


def test_keras_s_home_follows_the_environment(homes, monkeypatch):
    assert weights.keras_home() == homes / "keras"
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(homes))
    assert weights.keras_home() == homes / ".keras"


def test_imagenet_has_a_path_only_once_it_is_downloaded(homes):
    assert weights.locate("imagenet", filename="net.h5").path is None
    file = homes / "keras" / "models" / "net.h5"
    file.write_bytes(b"x")
    assert weights.locate("imagenet", filename="net.h5").path == file


def test_what_is_recorded_locates_the_same_source_again(homes, monkeypatch):
    (homes / "own.h5").write_bytes(b"x")
    monkeypatch.chdir(homes)
    for asked in ("imagenet", "none", "own.h5"):
        source = weights.locate(asked, filename="net.h5")
        monkeypatch.chdir("/")
        assert weights.locate(source.recorded, filename="net.h5") == source
        monkeypatch.chdir(homes)
    fixed = weights.locate("imagenet", filename=None)
    assert fixed.kind == "fixed"
    assert weights.locate(fixed.recorded, filename=None) == fixed


@pytest.mark.parametrize("asked", ["missing.h5", "."])
def test_a_file_that_is_none_is_refused_by_name(asked, homes, monkeypatch):
    monkeypatch.chdir(homes)
    with pytest.raises(WeightsError, match=r"there is (no file|a folder)") as caught:
        weights.locate(asked, filename="net.h5")
    assert str(homes / asked).rstrip("/.") in str(caught.value)


def test_digest_depends_on_dtype_shape_bytes_order_and_nothing_else():
    a, b = np.arange(6, dtype=np.float32), np.ones(2, dtype=np.float32)
    different = [
        (a, b),
        (b, a),
        (a,),
        (a.reshape(2, 3), b),
        (a.astype(np.float64), b),
        (a + 1, b),
        (np.concatenate([a, b]),),
        (a.view(np.int32), b),
        (),
        (np.float32(1.0).reshape(()),),
    ]
    assert len({weights.digest_tensors(tensors) for tensors in different}) == len(different)
    alike = [(a, b), (a.astype(">f4"), b), (np.repeat(a, 2)[::2], b), (np.asfortranarray(a), b)]
    assert len({weights.digest_tensors(tensors) for tensors in alike}) == 1


def test_file_digest_is_remembered_until_the_file_changes(homes):
    file = homes / "w.h5"
    file.write_bytes(HDF5 + b"one")
    one = weights.file_digest(file)
    (entry,) = (homes / "cache" / "weights").iterdir()
    kept = json.loads(entry.read_text())
    kept["value"]["sha256"] = "as remembered"
    entry.write_text(json.dumps(kept))
    assert weights.file_digest(file) == "as remembered"
    file.write_bytes(HDF5 + b"two")
    os.utime(file, ns=(kept["key"][4], kept["key"][4]))  # same size, same mtime
    assert weights.file_digest(file) not in (one, "as remembered")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("net.pth", "PyTorch"),
        ("NET.SAFETENSORS", "safetensors"),
        ("net.onnx", "ONNX"),
        ("net.ckpt", "checkpoint"),
        ("saved", "SavedModel"),
    ],
)
def test_weights_of_other_programs_are_named_with_the_way_out(homes, name, words):
    (homes / "saved").mkdir()
    (homes / "saved" / "saved_model.pb").write_bytes(b"")
    if name != "saved":
        (homes / name).write_bytes(b"PK")
    with pytest.raises(WeightsError, match=rf"{words}.*save_weights"):
        weights.locate(str(homes / name), filename="net.h5")


def test_file_digest_of_a_missing_file_is_a_weights_error(homes):
    with pytest.raises(WeightsError, match="can't be read"):
        weights.file_digest(homes / "gone.h5")
