"""What executes a backbone: the same rows for every batch size, order and ragged end."""

import sys

import numpy as np
import pytest

from featx.backbones import Request, feature_shape, resolve
from featx.errors import UsageError
from featx.runtimes import Runtime, RuntimeOptions, runtime


@pytest.fixture(autouse=True)
def homes(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))


def pixels(number, height=32, width=32):
    return np.random.default_rng(0).integers(0, 256, (number, height, width, 3), dtype=np.uint8)


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
        ({"runtime": "torchscript"}, ["--runtime torchscript", "keras"]),
        ({"runtime": "keras"}, ["--runtime keras", "numpy"]),
        ({"device": "gpu"}, ["--device gpu", "cpu"]),
        ({"batch_size": 0}, ["--batch-size 0"]),
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
    with pytest.raises(ValueError, match="wanted"):
        runtime(*mean_colour(), RuntimeOptions())(images)


@pytest.fixture(scope="module")
def on_keras(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("FEATX_CACHE", str(tmp_path_factory.mktemp("cache")))
    spec, source = resolve(Request(backbone="mobilenetv2-0.35", weights="none", image_size=(64, 48)))
    run = runtime(spec, source, RuntimeOptions(batch_size=8, threads=2, device="cpu"))
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
    np.testing.assert_array_equal(on_keras(images[::-1])[::-1], together)
    np.testing.assert_array_equal(np.concatenate([on_keras(images[i : i + 1]) for i in range(19)]), together)
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

    with pytest.raises(UsageError, match=f"--device {device}"):
        find_device(device)


@pytest.mark.keras
def test_a_device_that_is(on_keras):
    from featx.backbones import find_device

    assert find_device("CPU") == "cpu:0"
    assert find_device("auto") in ("cpu:0", "gpu:0")
    assert on_keras.device == "cpu:0"
    assert "keras" in sys.modules
