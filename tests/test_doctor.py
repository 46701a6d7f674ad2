"""The self-check: a healthy machine passes, and each planted fault is caught and named."""

import dataclasses
import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import faulty_pixels
from featx.cli import main
from featx.doctor import examine, golden, runtimes, surroundings
from featx.errors import UsageError

ALL = {"cmyk.jpg", "colours.png", "grey16.png", "see-through.png", "turned.jpg", "turned.png"}

FAULTS = {
    "swapped": ALL - {"grey16.png"},
    "unturned": {"turned.jpg", "turned.png"},
    "mirrored": ALL,
    "averaged": ALL,
    "cubic": ALL,
    "cropped": ALL,
    "opaque": {"see-through.png"},
    "clipped": {"grey16.png"},
    "inverted": {"cmyk.jpg"},
}
"""What is wrong with a decoder, and the pictures that show it."""

ON_ARRAYS = {
    "swapped": lambda pixels: pixels[..., ::-1],
    "turned": lambda pixels: pixels[:, ::-1, ::-1],
    "mirrored": lambda pixels: pixels[:, :, ::-1],
    "shifted": lambda pixels: np.roll(pixels, 1, axis=2),
    "one level brighter": lambda pixels: np.minimum(pixels, 254) + 1,
}
"""What may be wrong with the pixels that a backbone gets."""


@pytest.fixture(autouse=True)
def _faulty_pixels_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(faulty_pixels.__file__).parent))


def test_a_healthy_machine_passes_without_keras(tmp_path: Path) -> None:
    loaded = "keras" in sys.modules
    found = list(examine(quick=True, folder=tmp_path))
    assert not [finding for finding in found if finding.state == "failed"]
    assert ("keras" in sys.modules) == loaded
    assert list(tmp_path.iterdir()) == []
    by_name = {finding.name: finding for finding in found}
    assert len(by_name) == len(found)
    assert by_name["pixels"].state == "ok"
    assert by_name["featx"].facts["featx"] == importlib.metadata.version("featx")
    assert by_name["keras"].state == "note"
    assert by_name["folder"].facts["locks"]
    assert by_name["folder"].facts["bytes_per_second"] > 0
    json.dumps([dataclasses.asdict(finding) for finding in found], allow_nan=False)


@pytest.mark.parametrize(("fault", "pictures"), FAULTS.items())
def test_a_decoder_with_a_fault_is_caught_by_the_pictures_that_show_it(fault: str, pictures: set[str]) -> None:
    formula = golden.known()[0]
    finding = runtimes.check_pixels(formula, golden.pixels(formula, decoder=f"faulty_pixels:{fault}"))
    assert finding.state == "failed"
    errors = finding.facts["errors"]
    # Far from the tolerance on either side, so that no rounding of another machine decides.
    assert {file for file, error in errors.items() if error > 3 * formula.tolerance} == pictures
    assert all(errors[file] < formula.tolerance / 4 for file in ALL - pictures)
    assert all(file in finding.text for file in pictures)


def test_a_decoder_that_can_do_nothing_is_a_finding_and_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = golden.pixels
    monkeypatch.setattr(golden, "pixels", lambda one: whole(one, decoder="no_such_module:decode"))
    (finding,) = runtimes.examine(quick=True)
    assert (finding.name, finding.state) == ("pixels", "failed")
    assert "no_such_module" in finding.text


def test_features_that_are_no_numbers_or_of_another_shape_are_wrong() -> None:
    network = golden.known()[1]
    right = network.features.astype(np.float32)
    assert network.wrong(right) == {}
    assert set(network.wrong(np.where(right > 0, np.nan, right))) == set(network.files)
    assert set(network.wrong(right[:, 1:])) == set(network.files)
    assert network.wrong(np.where(np.arange(len(right))[:, None] == 2, 0, right)) == {network.files[2]: 1.0}


def test_a_runtime_that_breaks_is_a_finding_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("libsomething.so.12: cannot open shared object file")

    monkeypatch.setattr(runtimes.runtimes, "runtime", broken)
    networks = golden.known()[1:]
    finding = runtimes.check("openvino", networks, {networks[0].spec.pixels: golden.pixels(networks[0])})
    assert finding.state == "failed"
    assert "libsomething.so.12" in finding.text


@pytest.mark.parametrize(("name", "state"), [("openvino", "note"), ("keras", "failed")])
def test_a_runtime_that_can_not_run_a_backbone_is_a_loss_where_another_can(name, state, monkeypatch) -> None:
    def refused(*_: object) -> None:
        raise UsageError("`runtime=openvino`: vgg16 can't be exported to OpenVINO (NameError: tensorflow)")

    monkeypatch.setattr(runtimes.runtimes, "runtime", refused)
    networks = golden.known()[1:]
    finding = runtimes.check(name, networks, {networks[0].spec.pixels: golden.pixels(networks[0])})
    assert finding.state == state
    assert "NameError: tensorflow" in finding.text


def test_backbones_that_fell_back_to_keras_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))
    assert list(runtimes._fallbacks()) == []
    monkeypatch.setattr(runtimes, "failed_exports", lambda: {"vgg16": "no such operation", "xception": "NameError"})
    (finding,) = runtimes._fallbacks()
    assert finding.state == "note"
    assert "vgg16: no such operation; xception: NameError" in finding.text
    assert "slower" in finding.text


def _nvidia(root: Path) -> None:
    for place, text in {
        "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t NVIDIA H100 80GB HBM3\nIRQ: 16\n",
        "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\n",
    }.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(text)


@pytest.mark.parametrize(
    ("there", "visible", "built", "state", "words"),
    [
        (False, None, True, "ok", ["none"]),
        (True, None, True, "ok", ["NVIDIA H100 80GB HBM3", "550.54.15", "uses it"]),
        (True, "", True, "note", ["H100", "CUDA_VISIBLE_DEVICES=''"]),
        (True, "-1", False, "note", ["H100", "CUDA_VISIBLE_DEVICES='-1'"]),
        (True, "0", False, "note", ["H100", "without GPU support", "featx[gpu]"]),
    ],
)
def test_a_gpu_is_named_and_why_it_is_not_used(tmp_path, monkeypatch, there, visible, built, state, words) -> None:
    from featx.runtimes import choosing

    if there:
        _nvidia(tmp_path)
    monkeypatch.setitem(choosing._BUILT_FOR_GPU, "tensorflow", lambda: built)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    finding = surroundings.gpu(root=tmp_path)
    assert finding.state == state
    assert all(word in finding.text for word in words)
    assert finding.facts["usable"] == (state == "ok" and there)


def test_folders_that_can_not_be_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for finding in (
        surroundings.cache("FEATX_CACHE", tmp_path / "file" / "cache", "graphs"),
        surroundings.working_folder(tmp_path / "nowhere"),
        surroundings.working_folder(tmp_path / "file"),
    ):
        assert finding.state == "note"
        assert str(tmp_path) in finding.text
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "graph").write_bytes(bytes(2_000_000))
    usable = surroundings.cache("FEATX_CACHE", tmp_path / "cache", "graphs")
    assert (usable.state, usable.facts["bytes"]) == ("ok", 2_000_000)


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version

    def without_pillow(name: str) -> str:
        if name == "pillow":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    assert surroundings.packages().state == "ok"
    monkeypatch.setattr(importlib.metadata, "version", without_pillow)
    finding = surroundings.packages()
    assert finding.state == "failed"
    assert "pillow not installed" in finding.text


def test_the_command_says_what_the_function_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["featx", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0), capsys.readouterr().out

    monkeypatch.chdir(tmp_path)
    code, out = run("doctor", "--quick")
    assert code == 0
    states = [line.split()[0] for line in out.splitlines()]
    assert set(states) == {"ok", "note"}
    code, out = run("doctor", "--quick", "--json")
    assert code == 0
    assert [finding["state"] for finding in json.loads(out)] == states
    whole = golden.pixels
    monkeypatch.setattr(golden, "pixels", lambda one: whole(one, decoder="faulty_pixels:swapped"))
    code, out = run("doctor", "--quick")
    assert code == 1
    (line,) = (line for line in out.splitlines() if line.startswith("FAILED"))
    assert "colours.png" in line
    code, out = run("--quiet", "doctor", "--quick")
    assert (code, out.count("\n")) == (1, 1)


@pytest.fixture(scope="module")
def networks() -> list[golden.Known]:
    return golden.known()[1:]


@pytest.fixture(scope="module")
def pixels(networks) -> runtimes.Pixels:
    return {networks[0].spec.pixels: golden.pixels(networks[0])}


@pytest.mark.keras
@pytest.mark.parametrize("name", ["keras", "openvino"])
def test_each_runtime_gives_the_known_features_and_no_fault_does(name, networks, pixels) -> None:
    finding = runtimes.check(name, networks, pixels)
    assert finding.state == "ok", finding.text
    assert set(finding.facts["networks"]) == {network.spec.backbone for network in networks}
    assert finding.facts["precisions"]["float32"] < 1e-5
    # Reduced precision is truly executed, and would never pass for float32.
    assert all(
        error > 10 * networks[-1].tolerance
        for precision, error in finding.facts["precisions"].items()
        if precision != "float32"
    )
    (rules,) = pixels
    for network in networks:
        for fault, apply in ON_ARRAYS.items():
            features, _ = runtimes._features(network, name, np.ascontiguousarray(apply(pixels[rules])))
            # Every picture but the grey one, whose channels are alike, and by far.
            off = {file: error for file, error in network.errors(features).items() if error > 3 * network.tolerance}
            assert set(off) >= set(network.files) - {"grey16.png"}, (network.spec.backbone, fault)


@pytest.mark.keras
def test_a_runtime_with_the_preprocessing_of_another_family_is_caught(networks, pixels, monkeypatch, tmp_path) -> None:
    from keras.applications import densenet, mobilenet, vgg16

    families = {"vgg16": vgg16, "mobilenet-0.25": mobilenet}
    own = {name: family.preprocess_input for name, family in families.items()}
    for number, wrong in enumerate([own["vgg16"], own["mobilenet-0.25"], densenet.preprocess_input, _untouched]):
        # A cache of its own: an export of the right graph is there already.
        monkeypatch.setenv("FEATX_CACHE", str(tmp_path / f"cache{number}"))
        for network in networks:
            if wrong is own[network.spec.backbone]:
                continue
            monkeypatch.setattr(families[network.spec.backbone], "preprocess_input", wrong)
            for name in ("keras", "openvino"):
                finding = runtimes.check(name, [network], pixels)
                assert finding.state == "failed", (network.spec.backbone, wrong, name)
                assert all(file in finding.text for file in network.files)


def _untouched(pixels, data_format=None):
    return pixels


@pytest.mark.keras
def test_what_is_known_comes_from_keras_and_pillow_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled files are what their maker makes, which computes without featx's own path."""
    place = Path(__file__).parents[1] / "benchmarks" / "golden.py"
    description = importlib.util.spec_from_file_location("golden_maker", place)
    maker = importlib.util.module_from_spec(description)
    description.loader.exec_module(maker)
    monkeypatch.setattr(sys, "argv", ["golden.py", str(tmp_path)])
    maker.main()
    made = json.loads((tmp_path / "known.json").read_text())
    assert len(made) == len(golden.known())
    for bundled, fresh in zip(golden.known(), made, strict=True):
        assert json.loads(bundled.spec.to_json()) == {**fresh["spec"]}
        values = np.array([fresh["features"][file] for file in bundled.files])
        assert bundled.wrong(values) == {}
