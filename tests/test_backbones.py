"""The table, weights of every format into our own graph, and features equal to Keras's own."""

import importlib
import importlib.util
import json
import os
import random
import subprocess
import sys
import urllib.error
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featx.backbones import Request, build, cached, feature_shape, find, resolve, table
from featx.backbones.origins import applications
from featx.errors import UsageError, WeightsError
from featx.weights import digest_tensors, locate

# Keras 3.15 itself, where it saves a file under numpy 2.4.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SMALL = "mobilenet-0.25"
SIDE = 32


@pytest.fixture(autouse=True)
def homes(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "keras" / "models").mkdir(parents=True)
    for folder in ("keras", "keras/models"):
        (tmp_path / folder).chmod(0o755)  # whatever the umask
    return tmp_path


@pytest.fixture(scope="module")
def keras():
    from featx.backbones.session import import_keras

    return import_keras()


@pytest.fixture(scope="module")
def parity():
    path = Path(__file__).parents[1] / "benchmarks" / "parity.py"
    spec = importlib.util.spec_from_file_location("parity", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def constructor(keras, entry):
    return getattr(keras.applications, entry.constructor.rpartition(".")[2])


@pytest.fixture(scope="module")
def files(keras, parity, tmp_path_factory):
    """The same small network in every format, with and without its top; and Keras's networks themselves."""
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    h5py = importlib.import_module("h5py")
    folder = tmp_path_factory.mktemp("weights")
    entry = find(SMALL)
    whole = constructor(keras, entry)(weights=None, **entry.arguments)
    parity.randomise(whole, seed=3)
    bare = constructor(keras, entry)(
        weights=None, include_top=False, pooling="avg", input_shape=(SIDE, SIDE, 3), **entry.arguments
    )
    bare.set_weights(whole.get_weights()[: len(bare.get_weights())])
    for name, model in (("top", whole), ("notop", bare)):
        model.save_weights(folder / f"{name}.weights.h5")
        model.save(folder / f"{name}.keras")
        model.save(folder / f"{name}_model.h5")
        with h5py.File(folder / f"{name}.h5", "w") as file:
            save_weights_to_hdf5_group(file, model)
    return folder, whole, bare


def request(**fields):
    return Request(**{"backbone": SMALL, "image_size": SIDE, **fields})


def pixels(number, side=SIDE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (number, side, side, 3), dtype=np.uint8)


def fresh_process(code, **variables):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run


# The table, without Keras.


def test_names_are_unique_and_plain():
    names = [entry.name for entry in table()]
    assert len({name.replace("-", "") for name in names}) == len(names)
    assert all(name == name.lower() for name in names)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("ResNet-50", "resnet50"),
        ("MobileNet_V2", "mobilenetv2"),
        ("mobilenet_v2-1.0", "mobilenetv2"),
        ("MobileNetV2_0.35", "mobilenetv2-0.35"),
        ("mobilenet_v3_small-0.75", "mobilenetv3small-0.75"),
        ("EfficientNetV2-B0", "efficientnetv2b0"),
        ("MEAN_COLOUR", "mean-colour"),
    ],
)
def test_spelling_does_not_matter(spelling, name):
    assert find(spelling).name == name


def test_every_name_finds_itself():
    assert all(find(entry.name) is entry for entry in table())


def test_an_unknown_name_lists_the_nearest():
    with pytest.raises(UsageError, match=r"resnet18.*resnet152"):
        find("resnet18")


def test_importing_the_table_loads_nothing_heavy():
    code = (
        "import sys, featx.backbones, featx.runtimes, featx.weights\n"
        "print([m for m in ('keras', 'tensorflow', 'h5py', 'sklearn', 'scipy', 'cv2') if m in sys.modules])"
    )
    assert fresh_process(code).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"resize": "squash"}, ["`resize=squash`", "stretch"]),
        ({"interpolation": "nearest"}, ["`interpolation=nearest`", "lanczos"]),
        ({"precision": "float8"}, ["`precision=float8`", "bfloat16"]),
        ({"pooling": "mean"}, ["`pooling=mean`", "avg"]),
        ({"image_size": 0}, ["`image_size=0`"]),
        ({"image_size": (3, 4, 5)}, ["`image_size=(3, 4, 5)`"]),
        ({"backbone": "mean-colour", "layer": "fc2"}, ["`layer=fc2`", "formula"]),
    ],
)
def test_options_that_make_no_sense(fields, words):
    with pytest.raises(UsageError) as caught:
        resolve(request(**fields))
    assert all(word in str(caught.value) for word in words)


def test_weights_do_not_apply_to_a_formula(homes):
    (homes / "w.h5").write_bytes(b"")
    with pytest.raises(UsageError, match="formula"):
        resolve(request(backbone="mean-colour", weights=str(homes / "w.h5")))


def test_a_published_file_with_the_top_serves_without_it(homes):
    entry = find(SMALL)
    assert cached(entry, top=False) is None
    top = homes / "keras" / "models" / entry.weights_file_top
    top.write_bytes(b"")
    assert cached(entry, top=False) == cached(entry, top=True) == top
    bare = homes / "keras" / "models" / entry.weights_file
    bare.write_bytes(b"")
    assert (cached(entry, top=False), cached(entry, top=True)) == (bare, top)


# Against Keras.


@pytest.mark.keras
def test_the_table_holds_all_that_keras_offers(keras):
    offered = {name for name in dir(keras.applications) if name[0].isupper()}
    taken = [entry.constructor for entry in table() if not (entry.formula or entry.package)]
    assert offered == {constructor.removeprefix("keras.applications.") for constructor in taken}
    for entry in table():
        if entry.constructor:
            module, _, function = entry.preprocessing.rpartition(".")
            assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:`input_shape` is undefined or non-square")
@pytest.mark.parametrize("size", [(96, 96), (128, 128), (160, 160), (200, 200), (128, 160)])
@pytest.mark.parametrize("name", ["mobilenet-0.5", "mobilenetv2-0.35", "mobilenetv3small", "resnet50"])
def test_the_weights_are_those_that_keras_takes_for_the_image_size(name, size, keras, monkeypatch):
    from keras.src.utils import file_utils

    entry, asked = find(name), []

    def get_file(file, *args, **kwargs):
        asked.append(file)
        raise RuntimeError

    monkeypatch.setattr(file_utils, "get_file", get_file)
    with pytest.raises(RuntimeError):
        constructor(keras, entry)(include_top=False, input_shape=(*size, 3), **entry.arguments)
    assert asked == [entry.published_for(size).weights_file]


@pytest.mark.keras
@pytest.mark.parametrize("name", ["mobilenet-0.5", "mobilenetv2-0.35", "mobilenetv3small-minimalistic", "vgg16"])
def test_the_table_says_what_keras_does(name, keras, monkeypatch):
    from keras.src.utils import file_utils

    entry, asked = find(name), []

    def get_file(file, *args, **kwargs):
        asked.append(file)
        raise RuntimeError

    monkeypatch.setattr(file_utils, "get_file", get_file)
    for top in (False, True) if name != "vgg16" else (False,):
        with pytest.raises(RuntimeError):
            constructor(keras, entry)(include_top=top, input_shape=(*entry.image_size, 3), **entry.arguments)
    assert asked == [entry.weights_file, entry.weights_file_top][: len(asked)]
    model = constructor(keras, entry)(include_top=False, weights=None, pooling="avg", **entry.arguments)
    assert (model.output_shape[-1], model.count_params()) == (entry.width, entry.parameters)


@pytest.mark.keras
@pytest.mark.parametrize(
    ("name", "batch_sizes"),
    [("mobilenetv2-0.35", (1, 7, 32)), ("vgg16", (7,)), ("densenet121", (32,))],  # tf, caffe and torch scaling
)
def test_features_equal_keras_predict(name, batch_sizes, parity, tmp_path):
    error, _, spread, _ = parity.compare(find(name), (64, 64), tmp_path, batch_sizes=batch_sizes)
    assert error <= parity.TOLERANCE
    assert spread > 1e-2


@pytest.mark.keras
def test_published_efficientnet_is_scaled_as_keras_scales_it(keras, parity, tmp_path, monkeypatch):
    from keras.src.utils import file_utils

    from featx.backbones.build import network
    from featx.backbones.loading import load

    entry = find("efficientnetb0")
    donor = constructor(keras, entry)(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))
    parity.randomise(donor, seed=1)
    normalization = next(layer for layer in donor.layers if type(layer).__name__ == "Normalization")
    normalization.adapt_mean.assign([0.485, 0.456, 0.406])
    normalization.adapt_variance.assign([0.229, 0.224, 0.225])
    file = tmp_path / "published.weights.h5"
    donor.save_weights(file)
    monkeypatch.setattr(file_utils, "get_file", lambda *args, **kwargs: str(file))
    published = constructor(keras, entry)(
        include_top=False, weights="imagenet", pooling="avg", input_shape=(SIDE, SIDE, 3)
    )
    built = network(entry, layer=None, pooling="avg", image_size=(SIDE, SIDE))
    load(built.whole, entry, locate(str(file), filename=entry.weights_file), top=False)
    images = pixels(4).astype("float32")
    wanted = published.predict_on_batch(images)
    assert np.abs(built.cut.predict_on_batch(images) - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.keras
@pytest.mark.parametrize(
    "name",
    [f"{top}{ending}" for top in ("top", "notop") for ending in (".weights.h5", ".keras", "_model.h5", ".h5")],
)
def test_every_format_gives_the_same_tensors(name, files):
    folder, _, bare = files
    spec, source = resolve(request(weights=str(folder / name)))
    assert spec.weights == digest_tensors(bare.get_weights())
    assert source.recorded == str(folder / name)


@pytest.mark.keras
@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
@pytest.mark.parametrize("way", ["functional", "frozen", "in part", "sequential", "deep", "deeper"])
def test_a_network_inside_a_model_of_ones_own_is_found(files, keras, tmp_path, ending, way):
    """As Keras's guides build it: the network is one layer of a model, and was frozen or trained there.

    A ``.h5`` lists the tensors of a layer that is a network with the trainable ones first, also among those of the
    layers around it.
    """
    _, _, bare = files
    network = keras.models.clone_model(bare)
    network.set_weights(bare.get_weights())
    network.trainable = way != "frozen"
    if way in ("in part", "deeper"):
        for layer in network.layers[: len(network.layers) // 2]:
            layer.trainable = False
    images = keras.Input((SIDE, SIDE, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, -1)(images)
    if way == "sequential":
        model = keras.Sequential([network, keras.layers.Dense(2)])
    elif way.startswith("deep"):
        inner = keras.Model(images, keras.layers.Dense(4)(network(scaled)))
        if way == "deeper":
            coloured = keras.layers.Conv2D(3, 3, padding="same")(scaled)
            inner = keras.Model(images, keras.layers.Dense(4)(inner(coloured)))
        model = keras.Sequential([inner, keras.layers.Dense(2)])
    else:
        model = keras.Model(images, keras.layers.Dense(2)(network(scaled)))
    file = tmp_path / f"own{ending}"
    (model.save_weights if ending == ".weights.h5" else model.save)(file)
    assert resolve(request(weights=str(file)))[0].weights == digest_tensors(bare.get_weights())


@pytest.mark.keras
def test_a_network_of_numbered_layers_is_found_deep_inside_a_model(keras, tmp_path):
    """Keras numbers layers on and on: in a process that built other networks before, all numbers are larger."""
    entry = find("xception")
    before = keras.applications.Xception(include_top=False, weights=None, input_shape=(71, 71, 3), pooling="avg")
    bare = keras.applications.Xception(include_top=False, weights=None, input_shape=(71, 71, 3), pooling="avg")
    assert {layer.name for layer in before.layers} != {layer.name for layer in bare.layers}
    images = keras.Input((71, 71, 3))
    inner = keras.Model(images, keras.layers.Dense(4)(bare(keras.layers.Conv2D(3, 3, padding="same")(images))))
    file = tmp_path / "own.h5"
    keras.Sequential([inner, keras.layers.Dense(2)]).save(file)
    spec, _ = resolve(Request(backbone=entry.name, image_size=71, weights=str(file)))
    assert spec.weights == digest_tensors(bare.get_weights())


@pytest.mark.keras
@pytest.mark.parametrize("ending", [".h5", ".weights.h5"])
def test_a_network_that_a_model_holds_twice_is_not_guessed(files, keras, tmp_path, ending):
    _, _, bare = files
    first, second = keras.models.clone_model(bare), keras.models.clone_model(bare)
    first.name, second.name = "left", "right"
    images = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(images, keras.layers.Concatenate()([first(images), second(images)]))
    file = tmp_path / f"twins{ending}"
    (model.save_weights if ending == ".weights.h5" else model.save)(file)
    with pytest.raises(WeightsError, match=r"2 times.*get_layer"):
        resolve(request(weights=str(file)))


@pytest.mark.keras
def test_features_and_their_shape(files, keras):
    folder, _, bare = files
    images = pixels(5)
    maps = keras.Model(bare.input, bare.layers[-2].output).predict(
        keras.applications.mobilenet.preprocess_input(images.astype("float32")), verbose=0
    )
    weights = str(folder / "notop.weights.h5")
    for pooling, wanted in (("avg", maps.mean((1, 2))), ("max", maps.max((1, 2))), ("none", maps.reshape(5, -1))):
        spec, source = resolve(request(weights=weights, pooling=pooling))
        model, shape = build(spec, source)
        assert shape == feature_shape(spec, source) == (maps.shape[1:] if pooling == "none" else maps.shape[-1:])
        np.testing.assert_allclose(model.predict_on_batch(images), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.keras
def test_the_model_is_frozen(files):
    folder, _, _ = files
    model, _ = build(*resolve(request(weights=str(folder / "notop.weights.h5"))))
    before = model.get_weights()
    first = np.asarray(model(pixels(8), training=True))
    assert model.trainable_weights == []
    again = np.asarray(model(pixels(8), training=False))
    np.testing.assert_allclose(first, again, rtol=0, atol=1e-5 * np.abs(again).max())
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert model.input_shape == (None, SIDE, SIDE, 3)
    assert str(model.inputs[0].dtype) == "uint8"


@pytest.mark.keras
def test_a_layer_by_its_name_in_a_fresh_process(files, keras):
    folder, whole, _ = files
    keras.layers.GlobalAveragePooling2D()  # in this process the counters of names have moved on
    weights = str(folder / "top.h5")
    spec, source = resolve(request(weights=weights, layer="global_average_pooling2d", image_size=None))
    model, shape = build(spec, source)
    assert (spec.pooling, shape) == ("avg", (256,))  # the layer keeps its two dimensions of size 1
    spec, source = resolve(request(weights=weights, layer="predictions", image_size=None))
    assert spec.pooling is None
    model, shape = build(spec, source)
    images = pixels(2, side=224)
    wanted = whole.predict(keras.applications.mobilenet.preprocess_input(images.astype("float32")), verbose=0)
    assert shape == (1000,)
    np.testing.assert_allclose(model.predict_on_batch(images), wanted, rtol=1e-4, atol=1e-8)
    after = keras.layers.GlobalAveragePooling2D().name
    assert after.rpartition("_")[2].isdigit()  # the caller's own counters go on where they were


@pytest.mark.keras
@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        (
            {"layer": "predictions", "image_size": None, "weights": "notop.h5"},
            WeightsError,
            ["give a file with the top"],
        ),
        ({"layer": "predictions"}, UsageError, ["32x32", "224x224"]),
        ({"layer": "predictions", "image_size": None, "pooling": "max"}, UsageError, ["`pooling=max`", "vector"]),
        ({"layer": "conv_pw_13_rel"}, UsageError, ["conv_pw_13_rel", "conv_pw_13_relu"]),
        ({"image_size": 31}, UsageError, ["31x31", "at least 32", "224x224"]),
        ({"backbone": "mobilenet-0.5"}, WeightsError, ["conv1", "(3, 3, 3, 16)", "(3, 3, 3, 8)"]),
        ({"backbone": "mobilenetv2-0.35"}, WeightsError, ["260", "137"]),
        ({"weights": "short.h5"}, WeightsError, ["short.h5", "truncated"]),
        ({"weights": "short.keras"}, WeightsError, ["short.keras"]),
        ({"weights": "text.h5"}, WeightsError, ["text.h5"]),
        ({"weights": "empty.h5"}, WeightsError, ["empty.h5"]),
        ({"weights": "other.h5"}, WeightsError, ["no weights of Keras"]),
        ({"weights": "other.keras"}, WeightsError, ["model.weights.h5"]),
        (
            {"weights": "lacking.weights.h5"},
            WeightsError,
            ["does not contain the whole network", "conv_dw_2_bn/moving_mean"],
        ),
    ],
)
def test_what_does_not_fit_is_refused(fields, error, words, files, tmp_path):
    h5py = importlib.import_module("h5py")
    folder, _, _ = files
    whole = (folder / "top.h5").read_bytes()
    (tmp_path / "top.h5").write_bytes(whole)
    (tmp_path / "notop.h5").write_bytes((folder / "notop.h5").read_bytes())
    (tmp_path / "short.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "short.keras").write_bytes((folder / "top.keras").read_bytes()[:5000])
    (tmp_path / "text.h5").write_text("<html>not found</html>")
    (tmp_path / "empty.h5").write_bytes(b"")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["features"] = np.zeros(3)
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    (tmp_path / "lacking.weights.h5").write_bytes((folder / "notop.weights.h5").read_bytes())
    with h5py.File(tmp_path / "lacking.weights.h5", "r+") as file:
        del file["layers/batch_normalization_3/vars/2"]
    weights = str(tmp_path / fields.pop("weights", "top.h5"))
    with pytest.raises(error) as caught:
        resolve(request(weights=weights, **fields))
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


@pytest.mark.keras
def test_the_code_of_a_keras_file_is_never_read(files, tmp_path):
    folder, _, _ = files
    odd = tmp_path / "odd.keras"
    with zipfile.ZipFile(folder / "notop.keras") as archive, zipfile.ZipFile(odd, "w") as other:
        other.writestr("config.json", "this is no configuration at all")
        other.writestr("model.weights.h5", archive.read("model.weights.h5"))
    assert resolve(request(weights=str(odd)))[0] == resolve(request(weights=str(folder / "notop.keras")))[0]


@pytest.mark.keras
def test_weights_that_changed_are_noticed(files):
    folder, _, _ = files
    spec, source = resolve(request(weights=str(folder / "notop.h5")))
    with pytest.raises(WeightsError, match="expected the digest sha256:0,"):
        build(replace(spec, weights="sha256:0"), source)


@pytest.mark.keras
def test_the_published_file_in_the_cache_needs_no_network(files, homes, keras, monkeypatch):
    from keras.src.utils import file_utils

    monkeypatch.setattr(file_utils, "urlretrieve", lambda *args: pytest.fail("a download"))
    folder, _, _ = files
    name = find(SMALL).weights_file
    (homes / "keras" / "models" / name).write_bytes((folder / "notop.h5").read_bytes())
    own, _ = resolve(request(weights=str(folder / "notop.h5")))
    monkeypatch.setitem(applications.TENSORS, name, own.weights)  # as if these had been published
    spec, source = resolve(request())
    assert source.recorded == "imagenet"
    assert spec.weights == resolve(request(weights=str(folder / "notop.h5")))[0].weights


@pytest.mark.keras
@pytest.mark.parametrize("broken", [False, True])
def test_a_failed_download_says_what_to_do_and_prints_nothing(broken, homes, keras, monkeypatch, capfd):
    from keras.src.utils import file_utils

    def urlretrieve(*args):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(file_utils, "urlretrieve", urlretrieve)
    monkeypatch.setattr(keras.src.backend.config, "_KERAS_DIR", str(homes / "keras"))
    entry = find(SMALL)
    if broken:
        (homes / "keras" / "models" / entry.weights_file).write_bytes(b"\x89HDF\r\n\x1a\n half")
    with pytest.raises(WeightsError) as caught:
        resolve(request())
    told = str(caught.value)
    for word in (entry.weights_file, str(homes / "keras" / "models"), "`weights=FILE`"):
        assert word in told
    assert 0 < told.index("`backbone=efficientnet-lite0`") < told.index("`backbone=scattering`")
    assert capfd.readouterr().out == ""


@pytest.mark.keras
def test_untrained_tensors_are_the_same_in_every_process_and_the_second_loads_no_keras(homes):
    state, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002
    spec, source = resolve(request(weights="none"))
    assert random.getstate() == state
    assert np.array_equal(np.random.get_state()[1], numbers[1])  # noqa: NPY002
    assert source.recorded == "none"

    code = (
        "import json, sys\n"
        "from featx.backbones import Request, resolve, feature_shape\n"
        f"spec, source = resolve(Request(backbone={SMALL!r}, image_size={SIDE}, weights='none'))\n"
        "feature_shape(spec, source)\n"
        "print(json.dumps([spec.to_json(), 'keras' in sys.modules]))"
    )
    other = str(homes / "another cache")
    runs = [fresh_process(code, FEATX_CACHE=other, PYTHONHASHSEED=str(i)) for i in (1, 2)]
    assert [json.loads(run.stdout) for run in runs] == [[spec.to_json(), True], [spec.to_json(), False]]
    assert [run.stderr for run in runs] == ["", ""]


@pytest.mark.keras
def test_untrained_features_do_not_vanish():
    model, _ = build(*resolve(request(weights="none", backbone="mobilenetv2-0.35")))
    features = model.predict_on_batch(pixels(4))
    assert 1e-3 < np.abs(features).mean() < 1e3


@pytest.mark.keras
def test_keras_settings_of_the_caller_neither_matter_nor_change(files, keras, monkeypatch):
    folder, _, _ = files
    wanted = build(*resolve(request(weights=str(folder / "notop.h5"))))[0].predict_on_batch(pixels(3))
    monkeypatch.setenv("FEATX_CACHE", str(folder / "fresh"))
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.config.set_image_data_format("channels_first")
    try:
        found = build(*resolve(request(weights=str(folder / "notop.h5"))))[0].predict_on_batch(pixels(3))
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        assert keras.config.image_data_format() == "channels_first"
    finally:
        keras.config.set_dtype_policy("float32")
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.keras
@pytest.mark.material
@pytest.mark.skipif("FEATX_MATERIAL" not in os.environ, reason="needs real weights: FEATX_MATERIAL is not set")
def test_published_files_with_and_without_the_top_give_the_same_digest():
    folder = Path(os.environ["FEATX_MATERIAL"]) / "weights"
    bare, top = (
        resolve(request(weights=str(folder / f"mobilenet_2_5_224_tf{ending}.h5")))[0] for ending in ("_no_top", "")
    )
    assert bare == top
