"""OpenVINO: exported once, kept whole, run without Keras, and giving Keras's features."""

import dataclasses
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import openvino
import pytest

from featx import children, runtimes
from featx.backbones import ExportError, Request, exported, exporting, failed_exports, resolve
from featx.errors import UsageError
from featx.machine import instruction_limit
from featx.runtimes import KERAS_ON_A_CPU, RuntimeOptions, choosing, executed, runtime
from featx.runtimes import openvino as on_openvino

REQUEST = Request(backbone="mobilenetv2-0.35", weights="none", image_size=64)
CAPABILITIES = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
LIMITED = instruction_limit() is not None
NATIVE = {"bfloat16": "BF16" in CAPABILITIES and not LIMITED, "float16": "FP16" in CAPABILITIES and not LIMITED}
ON_OPENVINO = RuntimeOptions(runtime="openvino", batch_size=32)


def pixels(number, side=64):
    return np.random.default_rng(0).integers(0, 256, (number, side, side, 3), dtype=np.uint8)


def cosines(found, wanted):
    return (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)


def at(precision, options=ON_OPENVINO):
    spec, source = resolve(dataclasses.replace(REQUEST, precision=precision))
    return dataclasses.replace(spec, runtime=executed(spec, options)), source


def native(precision):
    return pytest.param(
        precision,
        marks=pytest.mark.skipif(not NATIVE.get(precision, True), reason=f"this CPU does not execute {precision}"),
    )


@pytest.fixture
def entry(monkeypatch, tmp_path):
    """A cache folder to be damaged, with one exported graph and what `resolve` remembers; gives the graph's entry."""
    shared, own = Path(os.environ["FEATX_CACHE"]), tmp_path / "cache"
    entry = exported(*resolve(REQUEST)).graph.parent
    shutil.copytree(entry, own / entry.relative_to(shared))
    (own / "weights").mkdir()
    for file in (shared / "weights").glob("*.json"):
        shutil.copy(file, own / "weights")
    monkeypatch.setenv("FEATX_CACHE", str(own))
    return exported(*resolve(REQUEST)).graph.parent


@pytest.mark.keras
def test_features_are_those_of_keras():
    images = pixels(9)
    spec, source = resolve(REQUEST)
    by_keras = runtime(spec, source, RuntimeOptions(runtime="keras", device="cpu", batch_size=9))
    run = runtime(spec, source, ON_OPENVINO)
    wanted, found = by_keras(images), run(images)
    error = np.linalg.norm(found - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
    assert error.max() <= 1e-5
    assert (run.name, run.precision, run.device) == ("openvino", "float32", "cpu:0")
    assert run.feature_shape == by_keras.feature_shape == (1280,)


@pytest.mark.keras
@pytest.mark.parametrize("precision", [native("float32"), native("bfloat16"), native("float16")])
def test_a_row_has_the_same_bits_in_every_batch(precision):
    images = pixels(40)
    run = runtime(*at(precision), ON_OPENVINO)
    together = run(images).copy()
    assert (together.shape, together.dtype) == ((40, 1280), np.float32)
    for size in (1, 7, 32):
        parts = [run(images[start : start + size]).copy() for start in range(0, 40, size)]
        np.testing.assert_array_equal(np.concatenate(parts), together)
    order = np.random.default_rng(1).permutation(40)
    np.testing.assert_array_equal(run(images[order]), together[order])
    assert np.abs(together - together[0]).max() > 1e-3 * np.abs(together).max()
    assert run(images[:0]).shape == (0, 1280)
    run.close()


@pytest.mark.keras
def test_pixels_are_taken_as_they_lie_in_memory():
    run = runtime(*resolve(REQUEST), ON_OPENVINO)
    images = pixels(6)
    wanted = run(images).copy()
    fixed = images.copy()
    fixed.flags.writeable = False
    np.testing.assert_array_equal(run(fixed), wanted)
    np.testing.assert_array_equal(run(np.asfortranarray(images)), wanted)
    np.testing.assert_array_equal(run(np.repeat(images, 2, axis=0)[::2]), wanted)
    with pytest.raises(ValueError, match="must be uint8"):
        run(images[:, :32])


@pytest.mark.keras
@pytest.mark.parametrize("precision", [native("bfloat16"), native("float16")])
def test_reduced_precision_is_what_the_spec_says_and_the_program_does(precision):
    spec, source = at(precision)
    assert spec.runtime == f"openvino:{precision}, first 3 convolutions float32"
    assert spec.fingerprint != resolve(REQUEST)[0].fingerprint
    run = runtime(spec, source, RuntimeOptions())
    assert (run.name, run.precision) == ("openvino", precision)
    program = run._request.get_compiled_model().get_runtime_model()
    facts = [node.get_rt_info() for node in program.get_ops()]
    found = Counter(
        fact["runtimePrecision"].astype(str) for fact in facts if fact["layerType"].astype(str) == "Convolution"
    )
    hint = {"bfloat16": "bf16", "float16": "f16"}[precision]
    assert found == {"f32": 3, hint: found.total() - 3}
    images = pixels(8)
    cosine = cosines(run(images), runtime(*resolve(REQUEST), ON_OPENVINO)(images))
    assert 0.99 < cosine.min() < 1 - 1e-6


@pytest.mark.keras
@pytest.mark.parametrize("precision", [name for name, able in NATIVE.items() if not able])
def test_a_precision_that_would_not_be_executed_is_refused(precision):
    spec, source = resolve(dataclasses.replace(REQUEST, precision=precision))
    with pytest.raises(UsageError, match=rf"`precision={precision}`: .*would use.*choose `precision=float32`"):
        executed(spec, ON_OPENVINO)
    with pytest.raises(UsageError, match=f"`precision={precision}`"):
        runtime(dataclasses.replace(spec, runtime=f"openvino:{precision}"), source, RuntimeOptions())


@pytest.mark.keras
@pytest.mark.parametrize(
    ("limit", "limited"),
    [("AVX2", True), ("avx512_core", True), ("DEFAULT", False), ("AVX512_CORE_BF16", False), ("", False)],
)
def test_a_limit_on_instructions_is_not_run_into(limit, limited, monkeypatch):
    """oneDNN obeys it, OpenVINO doesn't know of it, and the process would crash."""
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    monkeypatch.setattr(on_openvino, "_checked", on_openvino._checked.__wrapped__)
    assert (instruction_limit() is not None) == limited
    assert (instruction_limit("float16") is not None) == (limited or limit == "AVX512_CORE_BF16")
    if limited:
        spec, _ = resolve(dataclasses.replace(REQUEST, precision="bfloat16"))
        with pytest.raises(UsageError, match=f"limited by ONEDNN_MAX_CPU_ISA={limit.upper()}"):
            executed(spec, ON_OPENVINO)


@pytest.mark.keras
@pytest.mark.parametrize("said", [None, "keras-tensorflow:bfloat16", "openvino:bfloat16"])
def test_a_spec_is_executed_by_what_it_says_or_not_at_all(said):
    spec, source = resolve(dataclasses.replace(REQUEST, precision="bfloat16"))
    with pytest.raises(UsageError, match="`precision=bfloat16`"):
        runtime(dataclasses.replace(spec, runtime=said), source, ON_OPENVINO)


FRESH = """\
import sys
from featx.backbones import Request, resolve
from featx.runtimes import RuntimeOptions, runtime
import numpy as np
run = runtime(*resolve(Request(backbone="mobilenetv2-0.35", weights="none", image_size=64)), RuntimeOptions({options}))
features = run(np.zeros((3, 64, 64, 3), np.uint8))
heavy = {{"keras", "tensorflow", "sklearn", "pandas", "matplotlib", "cv2", "openvino.tools.ovc", "openvino_telemetry"}}
loaded = heavy & set(sys.modules)
print(run.name, features.shape, sorted(loaded), file=sys.stderr)
"""


@pytest.mark.keras
@pytest.mark.parametrize("cold", [False, True])
def test_neither_keras_nor_tensorflow_is_loaded_in_this_process(cold, entry):
    if cold:  # what resolve remembers stays
        shutil.rmtree(entry.parent)
    done = subprocess.run(
        [sys.executable, "-c", FRESH.format(options="device='cpu'")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "openvino (3, 1280) []\n")
    assert [path.name for path in entry.parent.iterdir()] == [entry.name]


def test_openvinos_converter_is_loaded_when_it_is_asked_for_and_not_before():
    code = """
import sys
import featx.runtimes.openvino
import openvino
names = {"openvino.tools.ovc", "openvino_telemetry", "ssl"}
before = names & set(sys.modules)
from openvino import convert_model
print(before, callable(convert_model), openvino.convert_model is convert_model, hasattr(openvino, "nonsense"))
"""
    environment = {**os.environ, "CI": "true"}  # in which the converter reports nothing
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set() True True False\n", "")


@pytest.mark.keras
@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "graph.bin").write_bytes((entry / "graph.bin").read_bytes()[:-1]),
        lambda entry: (entry / "graph.xml").write_text("<net/>"),
        lambda entry: (entry / "graph.bin").unlink(),
        lambda entry: (entry / "about.json").write_text("{"),
        lambda entry: (entry / "about.json").write_text('{"key": [], "sha256": {}, "feature_shape": [1280]}'),
        lambda entry: (entry / "about.json").unlink(),
    ],
)
def test_a_damaged_entry_is_made_again(damage, entry, monkeypatch, tmp_path, caplog):
    whole = tmp_path / "whole"
    shutil.copytree(entry, whole)
    damage(entry)

    def make(spec, source, folder, key):
        shutil.copytree(whole, folder, dirs_exist_ok=True)

    monkeypatch.setattr(exporting, "_make", make)
    found = exported(*resolve(REQUEST))
    assert "exported again" in caplog.text
    assert found.graph.parent == entry
    assert (entry / "graph.bin").read_bytes() == (whole / "graph.bin").read_bytes()
    assert list(entry.parent.iterdir()) == [entry]


@pytest.mark.keras
def test_of_two_that_export_at_once_the_second_takes_the_first_ones(entry, monkeypatch, tmp_path):
    first = tmp_path / "first"
    entry.rename(first)

    def make(spec, source, folder, key):
        shutil.copytree(first, folder, dirs_exist_ok=True)
        (folder / "graph.xml").write_text("<second/>")
        shutil.copytree(first, entry)  # the other process is done before this one

    monkeypatch.setattr(exporting, "_make", make)
    found = exported(*resolve(REQUEST))
    assert found.graph.read_bytes() == (first / "graph.xml").read_bytes()
    assert list(entry.parent.iterdir()) == [entry]


@pytest.mark.keras
def test_what_cannot_be_exported_runs_on_keras_and_says_so(entry, monkeypatch, caplog):
    def make(*_):
        raise ExportError("no such operation")

    shutil.rmtree(entry)
    monkeypatch.setattr(exporting, "_make", make)
    spec, source = resolve(REQUEST)
    run = runtime(spec, source, RuntimeOptions(device="cpu", batch_size=2))
    assert run.name.startswith("keras-")
    assert run(pixels(3)).shape == (3, 1280)
    assert "can't be exported to OpenVINO (no such operation)" in caplog.text
    assert "(no such operation)" in run.fallback
    assert KERAS_ON_A_CPU in run.fallback
    with pytest.raises(UsageError, match=r"`runtime=openvino`: .*no such operation.*use `runtime=keras`"):
        runtime(spec, source, ON_OPENVINO)


@pytest.mark.keras
def test_an_openvino_that_is_broken_or_missing_leaves_the_work_to_keras(entry, monkeypatch, caplog):
    spec, source = resolve(REQUEST)
    options = RuntimeOptions(device="cpu", batch_size=2)
    monkeypatch.setitem(sys.modules, "featx.runtimes.openvino", None)
    run = runtime(spec, source, options)
    assert run.name.startswith("keras-")
    assert run.fallback.startswith("OpenVINO can't be imported (")
    with pytest.raises(UsageError, match="`runtime=openvino`: OpenVINO can't be imported"):
        runtime(spec, source, ON_OPENVINO)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else found(name))
    run = runtime(spec, source, options)
    assert run.name.startswith("keras-")
    assert run.fallback == f"OpenVINO isn't installed: {KERAS_ON_A_CPU}"
    assert run.fallback in caplog.text
    assert runtime(spec, source, dataclasses.replace(options, runtime="keras")).fallback is None


@pytest.mark.keras
def test_a_gpu_that_keras_does_not_see_leaves_the_work_to_openvino(monkeypatch, caplog):
    for module in (runtimes, choosing):
        monkeypatch.setattr(module, "gpu_for_keras", lambda: True)
    monkeypatch.setattr(runtimes, "find_device", lambda device: "cpu:0")
    run = runtime(*resolve(REQUEST), RuntimeOptions())
    assert run.name == "openvino"
    assert "does not find this machine's GPU" in run.fallback
    assert run.fallback in caplog.text


@pytest.mark.keras
@pytest.mark.parametrize(("program", "words"), [("false", "ended with code 1"), ("no-such-program", "No such file")])
def test_an_exporting_process_that_dies_is_no_more_than_a_reason(program, words, entry, monkeypatch):
    spec, source = resolve(REQUEST)
    shutil.rmtree(entry)
    monkeypatch.setattr(children, "_interpreter", lambda: shutil.which(program) or f"/{program}")
    monkeypatch.delitem(sys.modules, "keras")
    with pytest.raises(ExportError, match=words):
        exported(spec, source)
    assert list(entry.parent.iterdir()) == []


@pytest.mark.keras
def test_a_lasting_failure_is_not_tried_again(entry, monkeypatch):
    spec, source = resolve(REQUEST)
    shutil.rmtree(entry)
    calls = []

    def child(arguments, **_):
        calls.append(arguments)
        folder = Path(json.loads(arguments[-1])["arguments"][-1])
        (folder / "failure.json").write_text('{"reason": "no such operation", "lasting": true}')
        return subprocess.CompletedProcess(arguments, 1, "", "")

    monkeypatch.setattr(subprocess, "run", child)
    monkeypatch.delitem(sys.modules, "keras")
    assert failed_exports() == {}
    for _ in range(2):
        with pytest.raises(ExportError, match="no such operation"):
            exported(spec, source)
    assert len(calls) == 1
    assert failed_exports() == {"mobilenetv2-0.35": "no such operation"}
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0")
    assert failed_exports() == {}
    with pytest.raises(ExportError, match="no such operation"):
        exported(spec, source)
    assert len(calls) == 2


@pytest.mark.keras
def test_a_full_disk_says_nothing_of_the_backbone(tmp_path, monkeypatch):
    def full(model, graph):
        raise RuntimeError("can't serialize")

    monkeypatch.setattr(exporting, "_convert", full)
    with pytest.raises(ExportError, match="can't serialize"):
        exporting.export(*resolve(REQUEST), tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OSError, match="No space left"):
        exporting.export(*resolve(REQUEST), tmp_path)


@pytest.mark.keras
def test_a_graph_that_is_another_function_is_no_export(tmp_path, monkeypatch):
    from featx.backbones import build

    spec, source = resolve(REQUEST)
    model, _ = build(spec, source)
    exporting.export(spec, source, tmp_path)
    exporting._compare(model, tmp_path / "graph.xml", spec.image_size)
    model.set_weights([0.9 * tensor for tensor in model.get_weights()])
    with pytest.raises(ExportError, match="different features"):
        exporting._compare(model, tmp_path / "graph.xml", spec.image_size)


@pytest.mark.keras
def test_spatial_features_and_layers_are_exported_too():
    images = pixels(3)
    for fields in ({"pooling": "none"}, {"layer": "block_3_expand_relu", "pooling": "max"}):
        spec, source = resolve(dataclasses.replace(REQUEST, **fields))
        found = runtime(spec, source, ON_OPENVINO)
        wanted = runtime(spec, source, RuntimeOptions(runtime="keras", device="cpu", batch_size=3))
        assert found.feature_shape == wanted.feature_shape
        np.testing.assert_allclose(found(images), wanted(images), rtol=1e-3, atol=1e-5 * np.abs(wanted(images)).max())


@pytest.mark.material
@pytest.mark.keras
@pytest.mark.skipif(not NATIVE["bfloat16"], reason="this CPU does not execute bfloat16")
def test_bfloat16_is_near_float32_with_real_weights(material):
    import cv2

    weights = material / "weights" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    files = sorted((material / "images" / "flowers5_dev").rglob("*.jpg"))[::5]
    images = np.stack([cv2.resize(cv2.imread(str(file))[..., ::-1], (224, 224)) for file in files])
    features = []
    for precision in ("float32", "bfloat16"):
        spec, source = resolve(Request(backbone="mobilenetv2", weights=str(weights), precision=precision))
        spec = dataclasses.replace(spec, runtime=executed(spec, ON_OPENVINO))
        features.append(runtime(spec, source, ON_OPENVINO)(images))
    cosine = cosines(*features)
    assert len(images) >= 40
    assert cosine.mean() >= 0.998
    assert cosine.min() >= 0.99
