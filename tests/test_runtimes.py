"""What executes a backbone: the same rows for every batch size, order and ragged end."""

import dataclasses
import importlib.util
import os
import platform
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import featx
from featx.backbones import Request, feature_shape, resolve
from featx.errors import UnreadableWarning, UsageError
from featx.progress import Silent
from featx.runtimes import (
    Runtime,
    RuntimeOptions,
    batch_size,
    choose,
    choosing,
    executed,
    runtime,
)
from featx.runtimes.choosing import gpu_for_keras
from featx.runtimes.fixed_shape import FixedShape
from featx.runtimes.mean_colour import MeanColourRuntime
from featx.spec import ExtractionSpec


@pytest.fixture(autouse=True)
def homes(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))


def pixels(number, height=32, width=32):
    return np.random.default_rng(0).integers(0, 256, (number, height, width, 3), dtype=np.uint8)


def relative_error(found, wanted):
    """The largest of any row."""
    return (np.linalg.norm(found - wanted, axis=1) / np.linalg.norm(wanted, axis=1)).max()


def mean_colour(**fields):
    return resolve(Request(backbone="mean-colour", **fields))


def test_mean_colour_can_be_computed_in_ones_head():
    run = runtime(*mean_colour(image_size=2), RuntimeOptions())
    image = np.array([[[0, 10, 255], [0, 20, 255]], [[0, 30, 255], [4, 40, 255]]], dtype=np.uint8)
    np.testing.assert_array_equal(run(np.stack([image, image[::-1]])), [[1, 25, 255], [1, 25, 255]])


@pytest.mark.parametrize(
    ("pooling", "features"),
    [("avg", [[2.0, 3.0, 4.0]]), ("max", [[3.0, 5.0, 8.0]]), ("none", [[1, 1, 0, 3, 5, 8]])],
)
def test_mean_colour_pools_as_asked(pooling, features):
    spec, source = mean_colour(image_size=(1, 2), pooling=pooling)
    run = runtime(spec, source, RuntimeOptions())
    found = run(np.array([[[[1, 1, 0], [3, 5, 8]]]], dtype=np.uint8))
    np.testing.assert_array_equal(found, features)
    assert found.dtype == np.float32
    assert np.prod(run.feature_shape) == found.shape[1]
    assert run.feature_shape == feature_shape(spec, source)


def test_mean_colour_is_a_runtime_that_needs_no_keras():
    run = runtime(*mean_colour(), RuntimeOptions(runtime="numpy"))
    assert isinstance(run, Runtime)
    assert (run.name, run.precision, run.device) == ("numpy", "float32", "cpu:0")
    images = pixels(9)
    np.testing.assert_array_equal(np.concatenate([run(images[:4]), run(images[4:])]), run(images))
    assert run(images[:0]).shape == (0, 3)
    run.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"runtime": "torchscript"}, ["`runtime=torchscript`", "keras"]),
        ({"runtime": "keras"}, ["`runtime=keras`", "numpy"]),
        ({"device": "gpu"}, ["`device=gpu`", "cpu"]),
        ({"batch_size": 0}, ["`batch_size=0`"]),
    ],
)
def test_options_that_make_no_sense(options, words):
    with pytest.raises(UsageError) as caught:
        runtime(*mean_colour(), RuntimeOptions(**options))
    assert all(word in str(caught.value) for word in words)


def test_reduced_precision_is_refused_where_it_is_not_executed():
    with pytest.raises(UsageError, match="bfloat16"):
        runtime(*mean_colour(precision="bfloat16"), RuntimeOptions())


@pytest.mark.parametrize("images", [pixels(2, 32, 31), pixels(2).astype(np.float32), pixels(2)[..., :1]])
def test_pixels_of_another_shape_are_a_bug(images):
    with pytest.raises(ValueError, match="images must be uint8 of shape"):
        runtime(*mean_colour(), RuntimeOptions())(images)


@pytest.fixture(scope="module")
def on_keras(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("FEATX_CACHE", str(tmp_path_factory.mktemp("cache")))
    spec, source = resolve(Request(backbone="mobilenetv2-0.35", weights="none", image_size=(64, 48)))
    run = runtime(spec, source, RuntimeOptions(runtime="keras", batch_size=8, threads=2, device="cpu"))
    patch.undo()
    return run


@pytest.mark.keras
def test_keras_gives_a_row_whatever_else_is_in_the_batch(on_keras):
    images = pixels(19, 64, 48)
    together = on_keras(images)
    assert isinstance(on_keras, Runtime)
    assert on_keras.feature_shape == (1280,)
    assert (together.shape, together.dtype) == ((19, 1280), np.float32)
    assert np.abs(together - together[0]).max() > 1e-3 * np.abs(together).max()
    assert relative_error(on_keras(images[::-1])[::-1], together) <= 1e-5
    assert relative_error(np.concatenate([on_keras(images[i : i + 1]) for i in range(19)]), together) <= 1e-5
    assert on_keras(images[:0]).shape == (0, 1280)


@pytest.mark.keras
def test_keras_leaves_the_pixels_alone(on_keras):
    images = pixels(8, 64, 48)
    before = images.copy()
    on_keras(images)
    np.testing.assert_array_equal(images, before)


@pytest.mark.keras
@pytest.mark.parametrize("device", ["gpu:99", "tpu", "cpu:1", "gpu:"])
def test_a_device_that_is_not_there(device, on_keras):
    from featx.backbones import find_device

    with pytest.raises(UsageError, match=f"`device={device}`"):
        find_device(device)


@pytest.mark.keras
def test_a_device_that_is(on_keras):
    from featx.backbones import find_device

    assert find_device("CPU") == "cpu:0"
    assert find_device("auto") in ("cpu:0", "gpu:0")
    assert on_keras.device == "cpu:0"
    assert "keras" in sys.modules


def spec_of(backbone="resnet50", **fields):
    return ExtractionSpec(
        backbone=backbone, weights="sha256:0", image_size=(224, 224), preprocessing="some.preprocess_input", **fields
    )


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A file system with so many GPUs, and a backend that is built for them or not."""

    def machine(*files, built=True):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        for backend in ("tensorflow", "torch", "jax"):
            monkeypatch.setitem(choosing._BUILT_FOR_GPU, backend, lambda: built)
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        return tmp_path

    return machine


@pytest.mark.parametrize(
    ("files", "built", "visible", "found"),
    [
        ([], True, None, False),
        (["dev/null"], True, None, False),
        (["proc/driver/nvidia/gpus/0000:01:00.0"], True, None, True),
        (["dev/nvidia0"], True, None, True),
        (["dev/nvidia0"], True, "0", True),
        (["dev/nvidia0"], True, "", False),
        (["dev/nvidia0"], True, "-1", False),
        (["dev/nvidia0"], False, None, False),
        (["dev/nvidiactl"], True, None, False),
    ],
)
def test_a_gpu_is_found_in_files(files, built, visible, found, machine, monkeypatch):
    root = machine(*files, built=built)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_for_keras(root=root) is found


@pytest.mark.parametrize(
    ("package", "file", "text", "able"),
    [
        ("tensorflow", "python/platform/build_info.py", "OrderedDict([('is_cuda_build', True)])", True),
        ("tensorflow", "python/platform/build_info.py", "OrderedDict([('is_cuda_build', False)])", False),
        ("tensorflow", "version.py", "", False),
        ("torch", "version.py", "__version__ = '2'\ncuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n", True),
        ("torch", "version.py", "__version__ = '2+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None", False),
    ],
)
def test_a_backend_built_for_the_cpu_is_not_taken_for_another(package, file, text, able, tmp_path, monkeypatch):
    (tmp_path / package / file).parent.mkdir(parents=True)
    (tmp_path / package / "__init__.py").touch()
    (tmp_path / package / file).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, package, raising=False)
    assert choosing._BUILT_FOR_GPU[package]() is able


@pytest.mark.parametrize(
    ("options", "fields", "gpu", "chosen"),
    [
        ({}, {}, False, "openvino"),
        ({}, {}, True, "keras"),
        ({"device": "cpu"}, {}, True, "openvino"),
        ({"device": "gpu:1"}, {}, False, "keras"),
        ({"runtime": "Keras"}, {}, False, "keras"),
        ({"runtime": "openvino"}, {}, True, "openvino"),
        ({}, {"backbone": "mean-colour"}, True, "numpy"),
        ({}, {"precision": "bfloat16", "runtime": "openvino:bfloat16"}, True, "openvino"),
        ({}, {"precision": "bfloat16", "runtime": "keras-torch:bfloat16"}, False, "keras"),
        ({"runtime": "keras"}, {"precision": "bfloat16", "runtime": "openvino:bfloat16"}, False, "keras"),
    ],
)
def test_what_is_chosen(options, fields, gpu, chosen, monkeypatch):
    monkeypatch.setattr(choosing, "gpu_for_keras", lambda: gpu)
    assert choose(spec_of(**fields), RuntimeOptions(**options)) == chosen


@pytest.mark.parametrize(
    ("options", "fields", "gpu", "size"),
    [
        ({}, {}, False, 32),
        ({}, {}, True, 64),
        ({"device": "cpu", "runtime": "keras"}, {}, True, 32),
        ({"device": "gpu:1"}, {}, False, 64),
        ({"runtime": "openvino"}, {}, True, 32),
        ({}, {"backbone": "mean-colour"}, True, 32),
        ({"batch_size": 5}, {}, True, 5),
    ],
)
def test_how_many_images_at_once(options, fields, gpu, size, monkeypatch):
    monkeypatch.setattr(choosing, "gpu_for_keras", lambda: gpu)
    assert batch_size(spec_of(**fields), RuntimeOptions(**options)) == size


def test_without_openvino_keras_is_chosen(monkeypatch):
    monkeypatch.setattr(choosing, "gpu_for_keras", lambda: False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert choose(spec_of(), RuntimeOptions()) == "keras"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"runtime": "openvino", "device": "gpu"}, "`device=gpu`: .*`runtime=keras`"),
        ({"runtime": "numpy"}, "`runtime=numpy`: resnet50 runs only with keras and openvino"),
        ({"runtime": "tpu"}, "`runtime=tpu` is unknown; choose one of auto, keras, openvino"),
    ],
)
def test_what_can_not_be_chosen(options, words):
    with pytest.raises(UsageError, match=words):
        choose(spec_of(), RuntimeOptions(**options))


def test_at_float32_the_spec_says_nothing_of_the_runtime():
    assert executed(spec_of(), RuntimeOptions()) is None
    keras = RuntimeOptions(runtime="keras")
    assert executed(spec_of(precision="float16"), keras) == "keras-tensorflow:float16"


class ResourceExhaustedError(Exception):
    """Of the name that TensorFlow gives it."""


class XlaRuntimeError(RuntimeError):
    """Of the name that JAX gives it."""


OUT_OF_MEMORY = [
    ResourceExhaustedError("OOM when allocating tensor"),
    XlaRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 bytes"),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
]


def program_for(room, error, sizes, *, late=False):
    """Programs that give each image's first value, and have memory for so many images.

    They read the images when the features are asked for, as a device may, and may find only then that it has no room.
    """

    def compile_for(size):
        def program(images):
            sizes.append(len(images))
            assert len(images) == size

            def features():
                if size > room:
                    raise error
                return images[:, 0, 0, :1].astype(np.float32)

            if size > room and not late:
                raise error
            return features

        return program

    return compile_for


class Device:
    """Programs of a device that computes nothing until it is told to; what it was given is read as late as that."""

    def __init__(self):
        self.go = threading.Event()
        self.given = []

    def compile_for(self, size):
        def program(images):
            self.given.append(size)

            def features():
                assert self.go.wait(10)
                return images[:, 0, 0, :1].astype(np.float32)

            return features

        return program


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
@pytest.mark.parametrize(("room", "settled"), [(64, 32), (31, 16), (5, 4), (1, 1)])
@pytest.mark.parametrize("late", [False, True])
def test_a_batch_is_halved_until_it_fits(error, room, settled, late, caplog):
    images, sizes = pixels(37), []
    run = FixedShape(program_for(room, error, sizes, late=late), batch_size=32, image_shape=(32, 32, 3))
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate(run(images)), images[:, 0, 0, :1])
    assert run.batch_size == settled == sizes[-1]
    assert sizes.count(32) == (4 if settled == 32 else 1)
    assert ("too little memory" in caplog.text) == (settled < 32)


def test_a_batch_of_one_that_does_not_fit_is_an_error():
    run = FixedShape(program_for(0, OUT_OF_MEMORY[0], []), batch_size=4, image_shape=(32, 32, 3))
    with pytest.raises(UsageError, match="`device=cpu`"):
        run(pixels(3))


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("call", [lambda run, images: run(images), lambda run, images: run.submit(images)()])
def test_any_other_error_goes_on_its_way(late, call):
    error, sizes = RuntimeError("cuDNN is broken"), []
    run = FixedShape(program_for(0, error, sizes, late=late), batch_size=4, image_shape=(32, 32, 3))
    with pytest.raises(RuntimeError, match="broken"):
        call(run, pixels(3))
    assert sizes == [4]


def test_the_next_batch_is_begun_before_the_first_is_computed_and_its_memory_used_again():
    device = Device()
    run = FixedShape(device.compile_for, batch_size=8, image_shape=(32, 32, 3))
    images = pixels(37)
    ring = np.empty((19, 32, 32, 3), np.uint8)
    pending = []
    for part in (images[:19], images[19:], images[:0]):  # two and a half programs each, and none
        ring[: len(part)] = part
        pending.append(run.submit(ring[: len(part)]))
        ring[:] = 0
    assert device.given == [8] * 6
    device.go.set()
    np.testing.assert_array_equal(np.concatenate([part for get in pending for part in get()]), images[:, 0, 0, :1])
    run.close()


@pytest.mark.parametrize(("room", "settled"), [(31, 16), (5, 4)])
@pytest.mark.parametrize("late", [False, True])
def test_memory_that_runs_out_under_batches_in_flight_halves_them_no_more_than_needed(room, settled, late, caplog):
    """Several were begun with the size that is too large; each is computed again, with the size that fits."""
    images, sizes = pixels(96), []
    run = FixedShape(program_for(room, OUT_OF_MEMORY[1], sizes, late=late), batch_size=32, image_shape=(32, 32, 3))
    pending = [run.submit(images[start : start + 32]) for start in (0, 32, 64)]
    np.testing.assert_array_equal(np.concatenate([part for get in pending for part in get()]), images[:, 0, 0, :1])
    assert run.batch_size == settled
    assert caplog.text.count("too little memory") == int(np.log2(32 // settled))
    run.close()


OTHER_BACKEND = """\
import sys
import numpy as np
from featx.backbones import Request, resolve
from featx.runtimes import RuntimeOptions, executed, runtime
images = np.load(sys.argv[1])
spec, source = resolve(Request(backbone="mobilenetv2-0.35", weights="none", image_size=(64, 48)))
run = runtime(spec, source, RuntimeOptions(runtime="keras", device="cpu", batch_size=8))
np.save(sys.argv[1], run(images[::-1])[::-1])  # lies in memory as nothing else does
print(run.name)
"""


@pytest.mark.keras
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_other_backends_of_keras_give_the_same_features(backend, on_keras, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    images, file = pixels(11, 64, 48), tmp_path / "images.npy"
    np.save(file, images)
    environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-c", OTHER_BACKEND, str(file)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == f"keras-{backend}", done.stderr
    wanted, found = on_keras(images), np.load(file)
    assert relative_error(found, wanted) <= 1e-5


BATCHES_IN_FLIGHT = """\
import sys
import numpy as np
from featx.backbones import Request, resolve
from featx.runtimes import Overlapping, RuntimeOptions, runtime
images = np.random.default_rng(0).integers(0, 256, (27, 64, 48, 3), dtype=np.uint8)
spec, source = resolve(Request(backbone="mobilenetv2-0.35", weights="none", image_size=(64, 48)))
run = runtime(spec, source, RuntimeOptions(runtime="keras", device="cpu", batch_size=8))
assert isinstance(run, Overlapping) and run.in_flight == 0
wanted = run(images).copy()
memory = np.empty((8, 64, 48, 3), np.uint8)
pending = []
for start in range(0, 27, 8):
    part = memory[: len(images[start : start + 8])]
    part[:] = images[start : start + 8]
    pending.append(run.submit(part))
    memory[:] = 0
found = np.concatenate([features() for features in pending])
run.close()
error, apart = (np.abs(one - wanted).max() / np.abs(wanted).max() for one in (found, wanted[::-1]))
print(run.name, error <= 1e-5, apart > 1e-3)
"""


@pytest.mark.keras
@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
def test_batches_in_flight_give_the_features_of_one_after_the_other(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-c", BATCHES_IN_FLIGHT], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == f"keras-{backend} True True", done.stderr


class Late(MeanColourRuntime):
    """A runtime that is given so many batches before it begins with the first, and may fail at one."""

    in_flight = 2

    def __init__(self, spec, fails_at=None):
        super().__init__(spec)
        self.fails_at = fails_at
        self.asked = 0
        self.most = 0
        self.waiting = []

    def submit(self, images):
        kept, number = images.copy(), len(self.waiting)
        self.waiting.append(number)
        self.most = max(self.most, len(self.waiting) - self.asked)

        def features():
            assert number == self.asked, "asked for in another order"
            self.asked += 1
            if number == self.fails_at:
                raise RuntimeError("the device is gone")
            return super(Late, self).__call__(kept)

        return features


@pytest.fixture
def late(monkeypatch):
    """Let mean-colour be computed late; gives the runtimes that are opened, and takes where the next one fails."""
    opened, fails_at = [], []

    def open_runtime(spec, source, options):
        opened.append(Late(spec, fails_at.pop() if fails_at else None))
        return opened[-1]

    def use():
        monkeypatch.setattr("featx.runtimes.mean_colour.open_runtime", open_runtime)
        return opened, fails_at

    return use


class Watched(Silent):
    """A `featx.progress.Progress` that counts."""

    def __init__(self):
        self.rows = self.failed = 0

    def begin(self, task, *, total, done):
        self.rows += done

    def advance(self, task, *, done, failed):
        self.rows += done
        self.failed += failed

    def end(self, task, result):
        self.extraction = result


def extracted(source, out, **options):
    watched = Watched()
    store = featx.extract(source, backbone="mean-colour", out=out, batch_size=4, workers=2, progress=watched, **options)
    assert (watched.rows, watched.failed) == (len(store), store.failed)
    return store, watched.extraction


def test_an_extraction_with_batches_in_flight_makes_the_same_store(paint, tmp_path, late):
    source = paint(tmp_path / "data", each=9)
    (source / "red/red 04 broken.png").write_bytes(b"no image")
    with pytest.warns(UnreadableWarning):
        wanted, counts = extracted(source, tmp_path / "one/wanted.h5")
    opened, _ = late()
    with pytest.warns(UnreadableWarning):
        found, late_counts = extracted(source, tmp_path / "two/found.h5")
    assert (found.paths, found.failures) == (wanted.paths, wanted.failures)
    np.testing.assert_array_equal(found.features, wanted.features)
    np.testing.assert_array_equal(found.digests, wanted.digests)
    assert (late_counts.extracted, late_counts.failed) == (counts.extracted, counts.failed) == (27, 1)
    assert opened[0].most == 3  # two in flight while the next is handed over
    assert opened[0].asked == 7


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are counted in /proc")
def test_decoders_come_up_while_the_backbone_is_made_ready(paint, tmp_path, monkeypatch):
    children = []

    def open_runtime(spec, source, options):
        tasks = Path("/proc/self/task").glob("*/children")
        children.append(sum(len(task.read_text().split()) for task in tasks))
        return MeanColourRuntime(spec)

    monkeypatch.setattr("featx.runtimes.mean_colour.open_runtime", open_runtime)
    extracted(paint(tmp_path / "data"), tmp_path / "features.h5")
    assert children == [2]


def test_a_device_that_fails_late_leaves_what_was_computed_before(paint, tmp_path, late):
    source, out = paint(tmp_path / "data", each=9), tmp_path / "features.h5"
    wanted, _ = extracted(source, tmp_path / "one/wanted.h5")
    opened, fails_at = late()
    fails_at.append(3)
    with pytest.raises(RuntimeError, match="the device is gone"):
        extracted(source, out)
    found, counts = extracted(source, out)
    assert (counts.reused, counts.extracted) == (12, 15)
    np.testing.assert_array_equal(found.features, wanted.features)
    assert len(opened) == 2


@pytest.mark.keras
def test_keras_at_reduced_precision_keeps_its_output_float32(on_keras):
    options = RuntimeOptions(runtime="keras", batch_size=8, device="cpu")
    spec, source = resolve(
        Request(backbone="mobilenetv2-0.35", weights="none", image_size=(64, 48), precision="bfloat16")
    )
    spec = dataclasses.replace(spec, runtime=executed(spec, options))
    assert spec.runtime == "keras-tensorflow:bfloat16"
    images = pixels(8, 64, 48)
    found, wanted = runtime(spec, source, options)(images), on_keras(images)
    cosine = (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
    assert found.dtype == np.float32
    assert 0.98 < cosine.min() < 1 - 1e-6
    spec, source = resolve(
        Request(backbone="mobilenetv2-0.35", weights="none", image_size=(64, 48), precision="float16")
    )
    with pytest.raises(UsageError, match="`precision=float16`"):
        runtime(dataclasses.replace(spec, runtime="keras-tensorflow:float16"), source, options)


@pytest.mark.keras
def test_float32_is_exact_where_it_is_asked_for_and_only_there():
    import tensorflow as tf

    from featx.backbones import exact_arithmetic

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    with exact_arithmetic():
        assert not tf.config.experimental.tensor_float_32_execution_enabled()
    assert tf.config.experimental.tensor_float_32_execution_enabled() == before


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({}, "1"),
        ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, "0"),
        ({"ONEDNN_MAX_CPU_ISA": "ALL"}, "1"),
        ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "0"),
        ({"TF_ENABLE_ONEDNN_OPTS": "1", "ONEDNN_MAX_CPU_ISA": "AVX2"}, "1"),
    ],
)
@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="oneDNN is asked for on x86 only")
def test_tensorflow_is_asked_for_onednn_unless_the_environment_limits_it(given, seen, monkeypatch):
    from featx.backbones import session

    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with session._tensorflow_settings():
        assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == seen
    assert dict(os.environ) == before
