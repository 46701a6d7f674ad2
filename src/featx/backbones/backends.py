"""Functions that differ between Keras's backends, which are imported where they are used."""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError

Pending = Callable[[], NDArray[np.float32]]
"""Waits for features (b, d) float32 that are being computed, in any thread; to be called once."""

Forward = Callable[[NDArray[np.uint8]], Pending]
"""Begins with images (b, H, W, 3) uint8, which must stay as they are until their features are there."""


def _tensorflow_gpus() -> int:
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def _tensorflow_threads(threads: int) -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def _tensorflow_compile(model: Any, shape: tuple[int, ...], device: str) -> Forward:
    import tensorflow as tf

    with tf.device(device):
        program = tf.function(
            lambda images: model(images, training=False), input_signature=[tf.TensorSpec(shape, tf.uint8)]
        ).get_concrete_function()

    def forward(images: Any) -> Pending:
        with tf.device(device):
            features = program(tf.convert_to_tensor(images))
        return lambda: np.asarray(features.numpy(), dtype=np.float32)

    return forward


@contextlib.contextmanager
def _tensorflow_exact() -> Iterator[None]:
    import tensorflow as tf

    config = tf.config.experimental
    allowed = config.tensor_float_32_execution_enabled()
    config.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        config.enable_tensor_float_32_execution(allowed)


def _jax_gpus() -> int:
    jax = importlib.import_module("jax")
    return sum(device.platform in ("gpu", "cuda", "rocm") for device in jax.devices())


def _jax_compile(model: Any, shape: tuple[int, ...], device: str) -> Forward:
    jax = importlib.import_module("jax")
    kind, _, number = device.partition(":")
    place = jax.devices(kind)[int(number or 0)]
    # Weights are arguments: as constants they would be folded into the program and take its memory twice.
    weights = [
        jax.device_put([variable.value for variable in variables], place)
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    pixels = jax.ShapeDtypeStruct(shape, np.uint8, sharding=jax.sharding.SingleDeviceSharding(place))
    program = (
        jax.jit(lambda held, images: model.stateless_call(*held, images, training=False)[0])
        .lower(weights, pixels)
        .compile()
    )

    def forward(images: Any) -> Pending:
        features = program(weights, jax.device_put(images, place))
        return lambda: np.asarray(features, dtype=np.float32)

    return forward


def _jax_exact() -> contextlib.AbstractContextManager[None]:
    context: contextlib.AbstractContextManager[None] = importlib.import_module("jax").default_matmul_precision(
        "highest"
    )
    return context


def _torch_gpus() -> int:
    torch = importlib.import_module("torch")
    return int(torch.cuda.device_count())


def _torch_threads(threads: int) -> None:
    torch = importlib.import_module("torch")
    torch.set_num_threads(threads)


def _torch_compile(model: Any, _shape: tuple[int, ...], device: str) -> Forward:
    torch = importlib.import_module("torch")
    place = device.replace("gpu", "cuda") if device.startswith("gpu") else "cpu"

    def forward(images: Any) -> Pending:
        with torch.inference_mode(), on_device(device):
            pixels = torch.tensor(np.ascontiguousarray(images))  # it takes no negative strides
            if place != "cpu":  # only from pinned memory does a copy go on by itself
                pixels = pixels.pin_memory().to(place, non_blocking=True)
            features = model(pixels, training=False)
        return lambda: np.asarray(features.cpu().numpy(), dtype=np.float32)

    return forward


@contextlib.contextmanager
def _torch_exact() -> Iterator[None]:
    torch = importlib.import_module("torch")
    places = (torch.backends.cuda.matmul, torch.backends.cudnn)
    allowed = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = False
        yield
    finally:
        for place, was in zip(places, allowed, strict=True):
            place.allow_tf32 = was


def on_device(device: str) -> contextlib.AbstractContextManager[None]:
    """Place what is built inside on a device; Keras is loaded already."""
    import keras

    # PyTorch takes cpu:0 for another device than cpu, and a parameter moved there can't be frozen any more.
    place = "cpu" if device == "cpu:0" and keras.backend.backend() == "torch" else device
    context: contextlib.AbstractContextManager[None] = keras.device(place)
    return context


def _no_threads(threads: int) -> None:
    raise RuntimeError(f"with this backend of Keras, the number of threads can't be set to {threads}")


BACKENDS: dict[str, dict[str, Callable[..., Any]]] = {
    "tensorflow": {
        "count_gpus": _tensorflow_gpus,
        "limit_threads": _tensorflow_threads,
        "compile": _tensorflow_compile,
        "exact": _tensorflow_exact,
    },
    "jax": {
        "count_gpus": _jax_gpus,
        "limit_threads": _no_threads,
        "compile": _jax_compile,
        "exact": _jax_exact,
    },
    "torch": {
        "count_gpus": _torch_gpus,
        "limit_threads": _torch_threads,
        "compile": _torch_compile,
        "exact": _torch_exact,
    },
}
"""Name of each backend of Keras that featx knows: the functions that differ between them."""


def backend(what: str) -> Callable[..., Any]:
    """Give a function of the backend that Keras was loaded with, by its name in `BACKENDS`."""
    import keras

    name = keras.backend.backend()
    if name not in BACKENDS:
        raise UsageError(f"Keras's backend is {name}, but featx needs one of {', '.join(BACKENDS)}")
    return BACKENDS[name][what]
