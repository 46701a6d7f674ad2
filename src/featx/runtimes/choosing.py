"""Choice of the runtime that executes a spec, without importing any of them."""

import importlib.metadata
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

from featx.backbones import configured_backend, find
from featx.errors import UsageError
from featx.runtimes.options import DEFAULT_BATCH_SIZE, RuntimeOptions
from featx.spec import ExtractionSpec

RUNTIMES = {
    "keras": "featx.runtimes.keras",
    "openvino": "featx.runtimes.openvino",
    "numpy": "featx.runtimes.mean_colour",
}
"""Each module has a function ``open_runtime(spec, source, options)``."""

_GPU_FILES = ("proc/driver/nvidia/gpus/*", "dev/nvidia[0-9]*", "dev/dxg", "dev/kfd")


def choose(spec: ExtractionSpec, options: RuntimeOptions) -> str:
    """Name the runtime that is to execute a spec: what was asked for or, for ``auto``, the best that can.

    That is Keras where there is a GPU that it can use, else OpenVINO, and Keras where OpenVINO isn't installed. A spec
    of reduced precision names its own. Nothing is imported, so a GPU may turn out to be unusable later.

    Returns
    -------
    {"keras", "openvino", "numpy"}

    Raises
    ------
    UsageError
        No such runtime, or one that can't execute this spec or use this device.
    """
    wanted = options.runtime.lower()
    if wanted not in ("auto", *RUNTIMES):
        raise UsageError(f"`runtime={options.runtime}` is unknown; choose one of auto, {', '.join(RUNTIMES)}")
    only = find(spec.backbone).runtime
    able = [only] if only is not None else [name for name in RUNTIMES if name != "numpy"]
    if wanted not in ("auto", *able):
        names = " and ".join(able)
        raise UsageError(
            f"`runtime={options.runtime}`: {spec.backbone} runs only with {names}; use `runtime={able[0]}` or auto"
        )
    if wanted == "auto" and spec.runtime is not None:
        wanted = spec.runtime.partition(":")[0].partition("-")[0]
    device = options.device.strip().lower().partition(":")[0]
    if wanted == "openvino" and device == "gpu":
        raise UsageError(
            f"`device={options.device}`: OpenVINO runs only on the CPU here; use `runtime=keras`, or `device=cpu`"
        )
    if wanted != "auto":
        return wanted
    if only is not None:
        return only
    return "keras" if gpu_wanted(options) or importlib.util.find_spec("openvino") is None else "openvino"


def batch_size(spec: ExtractionSpec, options: RuntimeOptions) -> int:
    """Return the number of images to give at once to the runtime that `choose` names.

    Raises
    ------
    UsageError
        As `choose`.
    """
    if options.batch_size is not None:
        return options.batch_size
    chosen = choose(spec, options)
    return DEFAULT_BATCH_SIZE["keras on a gpu" if chosen == "keras" and gpu_wanted(options) else chosen]


def gpu_for_keras(*, root: Path = Path("/")) -> bool:
    """Tell whether this machine has a GPU, this process may use it, and Keras's backend is built for one.

    Found from files alone. Apple's GPUs are not looked for.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``dev`` are.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1", "NoDevFiles"):
        return False
    if not any(next(root.glob(pattern), None) for pattern in _GPU_FILES):
        return False
    return _BUILT_FOR_GPU.get(configured_backend(), lambda: False)()


def gpu_wanted(options: RuntimeOptions) -> bool:
    """Tell whether a run is to use a GPU: one was asked for, or one that Keras can use was found and not refused."""
    device = options.device.strip().lower().partition(":")[0]
    return device == "gpu" or (device != "cpu" and gpu_for_keras())


def _tensorflow_for_gpu() -> bool:
    return any(f"'{kind}', True" in _text("tensorflow", "python/platform/build_info.py") for kind in _TENSORFLOW_KINDS)


def _torch_for_gpu() -> bool:
    text = _text("torch", "version.py")
    return any(line.startswith(("cuda", "hip")) and not line.endswith("None") for line in text.splitlines())


def _jax_for_gpu() -> bool:
    names = (distribution.name or "" for distribution in importlib.metadata.distributions())
    return any(name.lower().replace("_", "-").startswith(("jax-cuda", "jax-rocm")) for name in names)


_TENSORFLOW_KINDS = ("is_cuda_build", "is_rocm_build")

_BUILT_FOR_GPU: dict[str, Callable[[], bool]] = {
    "tensorflow": _tensorflow_for_gpu,
    "torch": _torch_for_gpu,
    "jax": _jax_for_gpu,
}


def _text(package: str, file: str) -> str:
    """Read a file of a package without importing the package; empty if there is none."""
    try:
        found = importlib.util.find_spec(package)
        folders = [] if found is None else found.submodule_search_locations or []
        return "".join((Path(folder) / file).read_text(encoding="utf-8") for folder in folders)
    except (OSError, ValueError):
        return ""
