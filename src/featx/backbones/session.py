"""Use of Keras: imported late and quietly, used in a known state, and left as it was found."""

import collections
import contextlib
import importlib
import logging
import os
import platform
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError
from featx.files import parse_json
from featx.machine import instruction_limit
from featx.weights import keras_home

logger = logging.getLogger(__name__)

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
Pending = Callable[[], NDArray[np.float32]]
"""Waits for features (b, d) float32 that are being computed, in any thread; to be called once."""

Forward = Callable[[NDArray[np.uint8]], Pending]
"""Begins with images (b, H, W, 3) uint8, which must stay as they are until their features are there."""

_CHATTER = re.compile(r"WARNING: All log messages before absl|[IWE]\d{4} |\d{4}-\d\d-\d\d \S+: [IWE] |\s*$")


def import_keras() -> Any:
    """Import Keras with its backend, without TensorFlow's start-up chatter on stderr.

    A user's own TF_CPP_MIN_LOG_LEVEL is respected: where it is set, everything is shown.
    """
    if "keras" in sys.modules:
        import keras

        return keras
    quiet = _LOG_LEVEL not in os.environ
    with _tensorflow_settings(), _without_chatter() if quiet else contextlib.nullcontext():
        import keras

        if quiet:  # the search for a GPU chatters as well, once
            _backend("count_gpus")()
    return keras


@contextlib.contextmanager
def _tensorflow_settings() -> Iterator[None]:
    """Set the variables that TensorFlow reads at its import, unless the user did; unset them for child processes.

    TensorFlow uses oneDNN's convolutions unasked on newer processors only. On others they are faster as well (AVX2:
    MobileNetV2 1.9 times, ResNet50 1.3 times), and give a row the same bits anywhere in a batch, which Eigen's don't.
    """
    settings = {_LOG_LEVEL: "2"}
    if platform.machine().lower() in ("x86_64", "amd64"):
        # Not where the environment limits it: at bfloat16 TensorFlow would ask it for what it may not do.
        settings["TF_ENABLE_ONEDNN_OPTS"] = "0" if instruction_limit() else "1"
    added = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextlib.contextmanager
def fresh_names(*, policy: str = "float32") -> Iterator[None]:
    """Build layers as a fresh Keras process would: float32, channels last, and its names (``conv2d``, ``conv2d_1``).

    The caller's settings, names and random numbers go on afterwards as if nothing had been built. Another dtype policy
    (``mixed_bfloat16``) may be asked for.
    """
    keras = import_keras()
    # Private to Keras: it has no public way to reset the counters of layer names but clear_session(), which would
    # also destroy what the caller of the library has built. Seen in Keras 3.8 to 3.15.
    from keras.src.backend.common import global_state

    names = global_state.get_global_attribute("object_name_uids")
    # Initialisers draw their seeds from Python's generator.
    numbers = random.getstate()
    data_format, before = keras.config.image_data_format(), keras.config.dtype_policy()
    global_state.set_global_attribute("object_name_uids", collections.defaultdict(int))
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        random.setstate(numbers)
        keras.config.set_dtype_policy(before)
        keras.config.set_image_data_format(data_format)
        global_state.set_global_attribute("object_name_uids", names)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Let Keras print nothing: its messages and progress bars would go to stdout, among the data."""
    keras = import_keras()
    interactive = keras.config.is_interactive_logging_enabled()
    keras.config.disable_interactive_logging()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if interactive:
            keras.config.enable_interactive_logging()


def find_device(device: str) -> str:
    """Resolve ``auto``, ``cpu``, ``gpu`` or ``gpu:N`` to the name of a device that is there, such as ``"gpu:0"``.

    Raises
    ------
    UsageError
        No such word, or no such device for Keras's backend on this machine.
    """
    keras = import_keras()
    match = re.fullmatch(r"(auto|cpu|gpu)(?::(\d+))?", device.strip().lower())
    if match is None or (match[2] is not None and match[1] != "gpu"):
        raise UsageError(f"`device={device}`: not a device; give auto, cpu, gpu or gpu:N")
    if match[1] == "cpu":
        return "cpu:0"
    gpus, number = _backend("count_gpus")(), int(match[2] or 0)
    if number < gpus:
        return f"gpu:{number}"
    if match[1] == "auto":
        return "cpu:0"
    raise UsageError(
        f"`device={device}`: Keras on {keras.backend.backend()} sees {gpus} GPU(s) here; use `device=cpu` or auto, "
        "or install the backend with GPU support"
    )


def backend_name() -> str:
    """Return the name of Keras's backend, such as ``"tensorflow"``."""
    return str(import_keras().backend.backend())


def configured_backend() -> str:
    """Return the name of Keras's backend, current or configured; does not import Keras."""
    if (keras := sys.modules.get("keras")) is not None and hasattr(keras, "backend"):
        return str(keras.backend.backend())
    if configured := os.environ.get("KERAS_BACKEND"):
        return configured
    try:
        return str(parse_json((keras_home() / "keras.json").read_text(encoding="utf-8"))["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


def on_device(device: str) -> contextlib.AbstractContextManager[None]:
    """Place what is built inside on a device, by the name that `find_device` gave."""
    keras = import_keras()
    # PyTorch takes cpu:0 for another device than cpu, and a parameter moved there can't be frozen any more.
    place = "cpu" if device == "cpu:0" and keras.backend.backend() == "torch" else device
    context: contextlib.AbstractContextManager[None] = keras.device(place)
    return context


def limit_threads(threads: int | None) -> None:
    """Limit the backend's CPU threads; only logs where it is too late or there is no such setting."""
    if threads is None:
        return
    import_keras()
    try:
        _backend("limit_threads")(threads)
    except RuntimeError as error:
        logger.info("threads stay as they are: %s", error)


def exact_arithmetic() -> contextlib.AbstractContextManager[None]:
    """Switch off TF32, whose products have 10 bits, so that float32 on a GPU is true float32 inside."""
    import_keras()
    context: contextlib.AbstractContextManager[None] = _backend("exact")()
    return context


def compile_forward(model: Any, *, batch_size: int, device: str) -> Forward:
    """Compile the model into one program of one shape.

    Parameters
    ----------
    model : keras.Model
        From `featx.backbones.build`.
    batch_size : int
        Images per call, always.
    device : str
        From `find_device`.

    Returns
    -------
    Forward
        Of ``(batch_size, H, W, 3)`` images to ``(batch_size, d)`` features; inference only.

    Notes
    -----
    On a GPU every backend comes back before anything is computed, or even copied; on a CPU, JAX does too. Seen with
    JAX, PyTorch and TensorFlow on a CPU; no GPU was at hand.
    """
    compiled: Forward = _backend("compile")(model, (batch_size, *model.input_shape[1:]), device)
    return compiled


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


def _no_threads(threads: int) -> None:
    raise RuntimeError(f"this backend of Keras can't be told to use {threads} threads")


_BACKENDS: dict[str, dict[str, Callable[..., Any]]] = {
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


def _backend(what: str) -> Callable[..., Any]:
    import keras

    name = keras.backend.backend()
    if name not in _BACKENDS:
        raise UsageError(f"KERAS_BACKEND is {name}; featx runs Keras on {', '.join(_BACKENDS)}")
    return _BACKENDS[name][what]


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold back stderr of native code, then pass on every line that is no start-up message.

    TensorFlow logs before its log level is read (2.21: "All log messages before absl::InitializeLog()"), so no
    variable and no Python handler can keep those lines away.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # no stderr at all
        yield
        return
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if _CHATTER.match(line):
                    logger.debug("%s", line)
                else:
                    sys.stderr.write(f"{line}\n")
