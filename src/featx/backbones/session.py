"""Use of Keras: imported late and quietly, used in a known state, and left as it was found."""

import collections
import contextlib
import importlib
import importlib.util
import logging
import os
import platform
import random
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from featx.backbones import backends
from featx.backbones.backends import BACKENDS, Forward, backend
from featx.errors import UsageError
from featx.files import parse_json
from featx.machine import instruction_limit
from featx.weights import fault_of_temporary, keras_home, without_strange_settings
from featx.words import counted

logger = logging.getLogger(__name__)

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_CHATTER = re.compile(r"WARNING: All log messages before absl|[IWE]\d{4} |\d{4}-\d\d-\d\d \S+: [IWE] |\s*$")


def import_keras() -> Any:
    """Import Keras with its backend, without TensorFlow's start-up chatter on stderr.

    A user's own TF_CPP_MIN_LOG_LEVEL is respected: where it is set, everything is shown.
    """
    if "keras" in sys.modules:
        import keras

        return keras
    quiet = _LOG_LEVEL not in os.environ
    _check_backend(configured_backend())
    with without_strange_settings(), _tensorflow_settings(), _without_chatter() if quiet else contextlib.nullcontext():
        try:
            import keras
        except (ImportError, OSError, AttributeError, ValueError, RuntimeError) as error:
            said = str(error).strip().partition("\n")[0]
            raise UsageError(
                f"Keras can't be loaded with its backend {configured_backend()} ({type(error).__name__}: {said}): "
                f"repair the installation or the file {keras_home() / 'keras.json'}, or choose another backend with "
                "the environment variable KERAS_BACKEND"
            ) from error

        if quiet:  # the search for a GPU chatters as well, once
            backend("count_gpus")()
    return keras


def _check_backend(name: str) -> None:
    """Refuse a backend that featx doesn't know or that isn't installed; Keras would end with a long traceback."""
    where = "KERAS_BACKEND" if os.environ.get("KERAS_BACKEND") else str(keras_home() / "keras.json")
    if name not in BACKENDS:
        raise UsageError(f"{where} is {name}, but featx needs one of {', '.join(BACKENDS)}")
    if importlib.util.find_spec(name) is None:
        raise UsageError(
            f"{name} is not installed, but {where} names it as Keras's backend: run `pip install {name}`, or set "
            "KERAS_BACKEND to a backend that is installed"
        )


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
        raise UsageError(f"`device={device}` is not a device; give auto, cpu, gpu or gpu:N")
    if match[1] == "cpu":
        return "cpu:0"
    gpus, number = backend("count_gpus")(), int(match[2] or 0)
    if number < gpus:
        return f"gpu:{number}"
    if match[1] == "auto":
        return "cpu:0"
    raise UsageError(
        f"`device={device}`: Keras on {keras.backend.backend()} sees {counted(gpus, 'GPU')} here; use `device=cpu` or "
        "auto, or install the backend with GPU support"
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
    if fault_of_temporary(keras_home()) is not None:
        return "tensorflow"
    try:
        return str(parse_json((keras_home() / "keras.json").read_text(encoding="utf-8"))["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


def on_device(device: str) -> contextlib.AbstractContextManager[None]:
    """Place what is built inside on a device, by the name that `find_device` gave."""
    import_keras()
    return backends.on_device(device)


def limit_threads(threads: int | None) -> None:
    """Limit the backend's CPU threads; only logs where it is too late or there is no such setting."""
    if threads is None:
        return
    import_keras()
    try:
        backend("limit_threads")(threads)
    except RuntimeError as error:
        logger.info("the number of threads is not changed: %s", error)


def exact_arithmetic() -> contextlib.AbstractContextManager[None]:
    """Switch off TF32, whose products have 10 bits, so that float32 on a GPU is true float32 inside."""
    import_keras()
    context: contextlib.AbstractContextManager[None] = backend("exact")()
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
    compiled: Forward = backend("compile")(model, (batch_size, *model.input_shape[1:]), device)
    return compiled


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
