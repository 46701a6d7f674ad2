"""Caches, weights and stores that other users wrote, or may write to."""

import hashlib
import importlib
import json
import logging
import os
import re
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import featx
from conftest import Painter
from featx import cache, ownership, weights
from featx.backbones import Request, configured_backend, exported, find, resolve, table
from featx.backbones.origins import applications
from featx.cli.show.extraction import summary
from featx.doctor import golden, runtimes, surroundings
from featx.pipeline.extraction import extract_all
from featx.pipeline.filling import lending, runner
from featx.pipeline.filling.job import Extraction
from featx.store.format import content_digest
from featx.store.layout import scan

SMALL = {"backbone": "mobilenet-0.25", "weights": "none", "image_size": 32}


def test_a_cache_that_others_may_write_to_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shared = tmp_path / "shared" / "cache"
    shared.mkdir(parents=True)
    monkeypatch.setenv("FEATX_CACHE", str(shared))
    assert cache.cache_home() == shared
    cache.remember(("k",), {"x": 1})
    for open_to_all in (shared, shared.parent):
        open_to_all.chmod(0o777)
        with caplog.at_level(logging.WARNING, "featx"):
            cache._temporary_home.cache_clear()
            assert cache.remembered(("k",)) is None
        assert caplog.messages[-1].count("\n") == 0
        assert f"other users may write to {open_to_all}" in caplog.messages[-1]
        assert "FEATX_CACHE" in caplog.messages[-1]
        cache.remember(("k",), {"x": 2})
        assert cache.remembered(("k",)) == {"x": 2}  # for the rest of this process
        finding = surroundings.cache("FEATX_CACHE", shared, "graphs", fault=cache.cache_fault(shared))
        assert (finding.state, "isn't used" in finding.text) == ("note", True)
        open_to_all.chmod(0o755)
    assert cache.remembered(("k",)) == {"x": 1}
    (entry,) = (shared / "weights").iterdir()
    entry.chmod(0o666)  # somebody may have written it when the folder was open
    assert cache.remembered(("k",)) is None


def test_what_featx_makes_in_its_cache_is_its_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "new" / "cache"))
    before = os.umask(0)
    try:
        cache.remember(("k",), {"x": 1})
    finally:
        os.umask(before)
    made = [tmp_path / "new", *(tmp_path / "new").rglob("*")]
    assert len(made) == 4
    assert all(not path.stat().st_mode & 0o077 for path in made)
    assert cache.remembered(("k",)) == {"x": 1}


@pytest.fixture
def somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as another user than the one to whom the files of this test belong, who isn't root."""
    if os.geteuid() == 0:
        for path in (tmp_path, *tmp_path.rglob("*")):
            os.lchown(path, 4321, 4321)
    monkeypatch.setattr(os, "geteuid", lambda: 5432)


def test_folders_and_links_of_another_user_are_not_trusted(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o755)
    (tmp_path / "link").symlink_to("/usr")
    assert ownership.others_rights(folder) is None
    assert ownership.others_rights(Path("/usr/nowhere")) is None
    request.getfixturevalue("somebody_else")
    assert "another user" in str(ownership.others_rights(folder / "not" / "there"))
    assert "another user" in str(ownership.others_rights(tmp_path / "link"))
    assert ownership.others_rights(Path("/usr/nowhere")) is None  # root's
    assert not ownership.own_file(folder.stat())


def test_the_sticky_bit_guards_what_lies_below_and_not_the_folder_itself(tmp_path: Path) -> None:
    sticky = tmp_path / "tmp"
    (sticky / "cache").mkdir(parents=True, mode=0o755)
    sticky.chmod(0o1777)
    assert ownership.others_rights(sticky / "cache") is None
    assert ownership.others_rights(sticky / "later") is None
    assert f"may write to {sticky}" in str(ownership.others_rights(sticky))
    (tmp_path / "way").symlink_to(sticky)
    assert f"may write to {sticky}" in str(ownership.others_rights(tmp_path / "way"))
    sticky.chmod(0o777)
    (tmp_path / "way").unlink()
    (tmp_path / "way").symlink_to(sticky / "cache")
    assert f"may write to {sticky}" in str(ownership.others_rights(tmp_path / "way"))


def test_a_group_of_one_is_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o775)
    monkeypatch.setattr(ownership, "_private_group", lambda number: True)
    assert ownership.others_rights(folder) is None
    monkeypatch.setattr(ownership, "_private_group", lambda number: False)
    assert "may write" in str(ownership.others_rights(folder))


def scale_constant(entry: Path, by: float) -> None:
    """Forge an exported graph: its largest constant scaled, its digests put right."""
    import openvino
    from openvino import opset13

    graph = entry / "graph.xml"
    model = openvino.Core().read_model(graph)
    floats = [
        node
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Constant" and node.get_element_type() == openvino.Type.f32
    ]
    node = max(floats, key=lambda one: one.get_data().size)
    node.output(0).replace(opset13.constant(np.asarray(node.get_data()) * np.float32(by)).output(0))
    openvino.serialize(model, entry / "forged.xml")
    del model, node, floats
    for ending in ("xml", "bin"):
        (entry / f"forged.{ending}").replace(entry / f"graph.{ending}")
    about = json.loads((entry / "about.json").read_text())
    about["sha256"] = {name: hashlib.sha256((entry / name).read_bytes()).hexdigest() for name in about["sha256"]}
    (entry / "about.json").write_text(json.dumps(about))


@pytest.mark.keras
def test_a_forged_graph_is_told_by_sample_and_doctor(
    paint: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))
    source = paint(tmp_path / "data", each=2)
    right = featx.extract(source, **SMALL, runtime="openvino", out=tmp_path / "right.h5")
    assert featx.verify(right.path, sample=3).ok
    (finding,) = runtimes.exports(golden.known()[1].tolerance)
    assert finding.state == "ok", finding.text
    graph = exported(*resolve(Request(**SMALL))).graph
    scale_constant(graph.parent, 1.01)
    wrong = featx.extract(source, **SMALL, runtime="openvino", out=tmp_path / "apart" / "wrong.h5")
    assert featx.verify(wrong.path).ok  # checksums can't tell
    assert np.abs(wrong.features - right.features).max() > 1e-3 * np.abs(right.features).max()
    for store in (right, wrong):
        found = featx.verify(store.path, sample=3)
        assert not found.ok
        assert len(found.sample.differing) == 3
        assert str(graph.parent) in " ".join(found.problems)
    (finding,) = runtimes.exports(golden.known()[1].tolerance)
    assert finding.state == "failed"
    assert str(graph.parent) in finding.text
    graph.parents[2].chmod(0o777)
    again = featx.extract(source, **SMALL, runtime="openvino", out=tmp_path / "again" / "again.h5")
    assert np.array_equal(again.features, right.features)


def in_keras_cache(folder: Path, name: str, data: bytes = b"anything") -> Path:
    """Put a file where Keras keeps its weights."""
    (folder / "models").mkdir(parents=True)
    for made in (folder, folder / "models"):
        made.chmod(0o755)
    (folder / "models" / name).write_bytes(data)
    return folder / "models" / name


def test_the_table_of_tensors_is_of_what_the_backbones_load() -> None:
    files = {name for entry in table() for name in (entry.weights_file, entry.weights_file_top)}
    assert set(applications.TENSORS) <= files


def test_weights_in_a_folder_of_everybody_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    file = in_keras_cache(tmp_path / "keras", str(find("resnet50").weights_file))
    for public in (file.parent, file.parents[1]):
        public.chmod(0o777)
        with pytest.raises(featx.WeightsError, match="every user may write") as caught:
            resolve(Request(backbone="resnet50"))
        assert str(file) in str(caught.value)
        assert "KERAS_HOME" in str(caught.value)
        public.chmod(0o755)


@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # Keras 3.15
def test_other_weights_are_not_called_imagenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from featx.backbones.build import network

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    entry = find("mobilenet-0.25")
    network(entry, layer=None, pooling="avg", image_size=(32, 32)).whole.save_weights(tmp_path / "own.weights.h5")
    file = in_keras_cache(tmp_path / "keras", str(entry.weights_file), (tmp_path / "own.weights.h5").read_bytes())
    request = Request(backbone=entry.name, image_size=32)
    for _ in range(2):  # nothing of it is remembered
        with pytest.raises(featx.WeightsError, match="doesn't hold the weights published") as caught:
            resolve(request)
        assert f"`weights={file}`" in str(caught.value)
    _, source = resolve(Request(backbone=entry.name, image_size=32, weights=str(file)))
    assert source.kind == "file"


@pytest.mark.keras
def test_the_real_weights_are_called_imagenet(material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, file in enumerate(sorted((material / "weights").glob("*.h5"))):
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / f"{number}"))
        in_keras_cache(tmp_path / f"{number}", file.name, file.read_bytes())
        (entry,) = (one for one in table() if file.name in (one.weights_file, one.weights_file_top))
        spec, source = resolve(Request(backbone=entry.name))
        assert (source.kind, source.path) == ("imagenet", tmp_path / f"{number}" / "models" / file.name)
        assert spec.weights in applications.TENSORS.values()


@pytest.mark.keras
@pytest.mark.parametrize("name", ["mobilenetv3small-minimalistic", "vgg16"])
def test_a_file_is_held_against_keras_s_own_hash(name: str, tmp_path: Path) -> None:
    entry = find(name)
    code = Path(str(importlib.import_module(f"keras.src.applications.{entry.family}").__file__)).read_text()
    hashes = {applications._keras_hash(entry, str(file)) for file in (entry.weights_file, entry.weights_file_top)}
    assert len(hashes) == 2
    assert all(re.search(rf'"{one}"', code) for one in hashes)
    file = in_keras_cache(tmp_path / "keras", str(entry.weights_file))
    with pytest.raises(featx.WeightsError, match="isn't the file that Keras publishes") as caught:
        applications.check(None, entry, file, top=False)
    assert hashlib.md5(b"anything").hexdigest() in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.keras
def test_what_has_no_digest_must_lie_where_nobody_else_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = find("mobilenet-0.5")
    file = in_keras_cache(tmp_path / "keras", str(entry.weights_file))
    applications.check(None, entry, file, top=False)
    file.parent.chmod(0o775)
    monkeypatch.setattr(ownership, "_private_group", lambda number: False)
    with pytest.raises(featx.WeightsError, match="other users may write"):
        applications.check(None, entry, file, top=False)


@pytest.mark.keras
def test_keras_s_temporary_folder_may_be_another_user_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from featx.backbones.session import import_keras

    import_keras()
    for place in (weights, applications):
        monkeypatch.setattr(place, "TEMPORARY_HOME", tmp_path / "tmp" / ".keras")
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert weights.keras_home() == tmp_path / "tmp" / ".keras"
    in_keras_cache(weights.keras_home(), "other.h5")
    with weights.without_strange_settings():
        assert "KERAS_HOME" not in os.environ
    weights.keras_home().chmod(0o777)
    with weights.without_strange_settings():
        assert not list(Path(os.environ["KERAS_HOME"]).iterdir())
    assert "KERAS_HOME" not in os.environ
    with pytest.raises(featx.WeightsError, match="set KERAS_HOME"):
        applications.obtain(find("mobilenet-0.5"), top=False)
    (weights.keras_home() / "keras.json").write_text('{"backend": "jax"}')
    monkeypatch.delitem(sys.modules, "keras")
    assert configured_backend() == "tensorflow"


MEANS = {"backbone": "mean-colour", "workers": 1}


def forge_rows(path: Path, *, by: float = 2.0) -> None:
    """Change every feature of a store, and put its checksums and digest right."""
    with h5py.File(path, "r+") as file:
        file["features"][:] = file["features"][:] * np.float32(by)
        names = ("features", "digests", "sizes", "mtimes_ns")
        rows = zip(*(file[name][:] for name in names), strict=True)
        sums = [hashlib.sha256(b"".join(part.tobytes() for part in row)).digest() for row in rows]
        file["checksums"][:] = np.array([list(one) for one in sums], np.uint8)
    with path.open("rb") as file:
        layout = scan(file)
        digest = content_digest(layout.attributes, layout.read_all(file))
    with h5py.File(path, "r+") as file:
        file.attrs.modify("content_digest", np.array(digest.encode(), file.attrs.get_id("content_digest").dtype))


def run_extract(source: Path, out: Path, **options: bool) -> Extraction:
    (one,) = extract_all(source, backbones=["mean-colour"], workers=1, out=out, **options)
    return one


def test_a_store_beside_the_target_lends_no_row_that_is_not_confirmed(
    paint: Painter, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    source = paint(tmp_path / "data", each=3)
    right = featx.extract(source, **MEANS, out=tmp_path / "right.h5")
    honest = run_extract(source, tmp_path / "honest.h5")
    assert (honest.extracted, honest.reused, honest.lent) == (0, 9, {right.path: 9})
    summary(honest, dry_run=False)
    assert f"9 rows were copied from {right.path}" in capsys.readouterr().err
    honest.target.unlink()
    forge_rows(right.path)
    assert featx.verify(right.path).ok  # no checksum can tell
    with caplog.at_level(logging.WARNING, "featx"):
        deceived = run_extract(source, tmp_path / "deceived.h5")
    assert (deceived.extracted, deceived.reused, deceived.lent) == (9, 0, {})
    assert np.array_equal(deceived.store.features * 2, featx.open(right.path).features)
    (message,) = (one for one in caplog.messages if "no rows are copied" in one)
    assert str(right.path) in message


def test_nor_does_a_store_that_came_with_the_images(
    paint: Painter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = paint(tmp_path / "theirs" / "data", each=3)
    featx.extract(source, **MEANS, out=tmp_path / "theirs" / "store.h5")
    forge_rows(tmp_path / "theirs" / "store.h5")
    (tmp_path / "theirs").rename(tmp_path / "downloaded")
    with caplog.at_level(logging.WARNING, "featx"):
        one = run_extract(tmp_path / "downloaded" / "data", tmp_path / "downloaded" / "store.h5")
    assert (one.extracted, one.reused) == (9, 0)
    assert any("no rows are copied" in message for message in caplog.messages)


def test_nor_does_a_store_that_is_overwritten(
    paint: Painter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = paint(tmp_path / "data", each=3)
    target = run_extract(source, tmp_path / "store.h5").target
    again = run_extract(source, target, overwrite=True)
    assert again.reused == 9
    summary(again, dry_run=False)
    assert "9 rows were copied from the store that was replaced" in capsys.readouterr().err
    forge_rows(target)
    assert run_extract(source, target, overwrite=True).reused == 0


def test_rows_of_the_target_itself_are_not_tried(
    paint: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = paint(tmp_path / "data", each=3)
    run_extract(source, tmp_path / "own.h5")
    (source / "red" / "new.png").write_bytes((source / "red" / "red 00.png").read_bytes())
    monkeypatch.setattr(lending, "_choose", lambda *_: pytest.fail("rows are tried"))
    again = run_extract(source, tmp_path / "own.h5")
    assert (again.extracted, again.reused, again.lent) == (0, 10, {})
    with monkeypatch.context() as patch:
        patch.setattr(runner.BackboneRunner, "runtime", property(lambda _: pytest.fail("a backbone is loaded")))
        assert run_extract(source, tmp_path / "own.h5").reused == 10  # unchanged
