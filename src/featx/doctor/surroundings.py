"""Checks of this machine that load no large library."""

import fcntl
import importlib.metadata
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from featx.backbones import cached, configured_backend, table
from featx.batches.ring import Ring
from featx.cache import cache_fault, wanted_home
from featx.doctor.finding import Finding
from featx.machine import available_cores
from featx.ownership import anybody_writes
from featx.pipeline.filling.job import RunOptions
from featx.runtimes.choosing import gpu_for_keras
from featx.runtimes.options import DEFAULT_BATCH_SIZE
from featx.version import __version__
from featx.weights import fault_of_temporary, keras_home
from featx.words import counted

_NEEDED: dict[str, tuple[str, ...]] = {
    "numpy": ("numpy",),
    "keras": ("keras",),
    "h5py": ("h5py",),
    "scikit-learn": ("scikit-learn",),
    "opencv": ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
    "pillow": ("pillow",),
    "skops": ("skops",),
    "matplotlib": ("matplotlib",),
}
"""Package, and the names it is installed under."""

_BACKENDS: dict[str, tuple[str, ...]] = {
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-macos"),
    "jax": ("jax",),
    "torch": ("torch",),
}

_OPTIONAL: dict[str, tuple[str, ...]] = {"openvino": ("openvino",), "pandas": ("pandas",), "pyarrow": ("pyarrow",)}

# As an extraction with the default options and an ordinary backbone has it.
_BATCHES, _IMAGE_SIZE = 3, (224, 224)

_BLOCK, _BLOCKS = 1 << 20, 8

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))

_GPU_PLACES = {"dev/nvidia[0-9]*": "NVIDIA", "dev/dxg": "of Windows", "dev/kfd": "AMD"}


def examine(folder: Path) -> Iterator[Finding]:
    """Check versions, processor, devices, memory, weights, and the folders."""
    yield _featx()
    yield packages()
    yield _cores()
    yield gpu()
    yield _ring()
    yield _weights()
    yield cache("KERAS_HOME", keras_home(), "Keras's weights", fault=_public(keras_home()))
    yield cache(
        "FEATX_CACHE", wanted_home(), "exported backbones, digests of weights", fault=cache_fault(wanted_home())
    )
    yield working_folder(folder)


def _featx() -> Finding:
    system = f"{platform.system()} {platform.machine()}"
    return Finding(
        name="featx",
        state="ok",
        text=f"{__version__}, Python {platform.python_version()}, {system}",
        facts={"featx": __version__, "python": platform.python_version(), "system": system},
    )


def packages() -> Finding:
    """Return the versions of the packages that featx needs, without importing them."""
    backend = configured_backend()
    needed = _NEEDED | {backend: _BACKENDS.get(backend, (backend,))}
    found = {name: _version(names) for name, names in (needed | _OPTIONAL).items()}
    if missing := [name for name in needed if found[name] is None]:
        command = f"pip install {backend}" if missing == [backend] else "pip install --upgrade featx"
        text = f"{', '.join(missing)} not installed: run `{command}` (Keras's backend: {backend})"
        return Finding(name="packages", state="failed", text=text, facts={**found, "backend": backend})
    text = ", ".join(f"{name} {version}" for name, version in found.items() if version is not None)
    return Finding(name="packages", state="ok", text=text, facts={**found, "backend": backend})


def _version(names: tuple[str, ...]) -> str | None:
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _cores() -> Finding:
    usable, all_there = available_cores(), os.cpu_count() or 1
    text = f"{usable} of the {all_there} of this machine may be used" if usable < all_there else str(usable)
    return Finding(name="cores", state="ok", text=text, facts={"usable": usable, "machine": all_there})


def gpu(*, root: Path = Path("/")) -> Finding:
    """Report the GPUs and, if Keras can't use one, the reason.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``dev`` are.
    """
    names, driver = _gpus(root), _driver(root)
    visible, backend = os.environ.get("CUDA_VISIBLE_DEVICES"), configured_backend()
    usable = gpu_for_keras(root=root)
    facts = {
        "gpus": names,
        "driver": driver,
        "CUDA_VISIBLE_DEVICES": visible,
        "backend": backend,
        "usable": usable,
    }
    there = ", ".join(names) + (f", driver {driver}" if driver else "")
    if usable:
        return Finding(name="gpu", state="ok", text=f"{there or 'there'}: Keras on {backend} uses it", facts=facts)
    if not names:
        return Finding(name="gpu", state="ok", text="none, or its driver is missing: the CPU is used", facts=facts)
    if visible is not None and visible.strip() in ("", "-1", "NoDevFiles"):
        why = f"hidden by CUDA_VISIBLE_DEVICES={visible!r}: unset it to use the GPU"
    else:
        why = f"{backend} is installed without GPU support: `pip install 'featx[gpu]'` adds it for TensorFlow"
    return Finding(name="gpu", state="note", text=f"{there}: {why}", facts=facts)


def _gpus(root: Path) -> list[str]:
    models = []
    for file in sorted(root.glob("proc/driver/nvidia/gpus/*/information")):
        lines = (line.partition(":") for line in _text(file).splitlines())
        models.append(next((value.strip() for key, _, value in lines if key.strip() == "Model"), "NVIDIA"))
    return models or [f"a GPU ({kind})" for place, kind in _GPU_PLACES.items() if next(root.glob(place), None)]


def _driver(root: Path) -> str | None:
    words = _text(root / "proc/driver/nvidia/version").split()
    return next((word for word in words if word.count(".") in (1, 2) and word.replace(".", "").isdecimal()), None)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _ring() -> Finding:
    options = RunOptions()
    slots = _BATCHES * (options.batch_size or DEFAULT_BATCH_SIZE["openvino"])
    size = Ring.size(slots=slots, image_size=_IMAGE_SIZE, workers=options.decoders)
    facts = {"bytes": size, "workers": options.decoders}
    try:
        Ring.allocate(slots=slots, image_size=_IMAGE_SIZE, workers=options.decoders).close()
    except (OSError, MemoryError) as error:
        text = (
            f"{_bytes(size)} of shared memory are not available ({_said(error)}): free some memory, or lower "
            "`batch_size`"
        )
        return Finding(name="memory", state="failed", text=text, facts=facts)
    text = (
        f"{_bytes(size)} can be shared with {counted(options.decoders, 'process', 'processes')} that "
        f"{'reads' if options.decoders == 1 else 'read'} images"
    )
    return Finding(name="memory", state="ok", text=text, facts=facts)


def _weights() -> Finding:
    here = [one.name for one in table() if any(cached(one, top=top) for top in (False, True))]
    folder = keras_home() / "models"
    text = (
        ", ".join(here)
        if here
        else f"none yet; Keras will download them into {folder} when they are needed, or give a file with "
        "`weights=FILE`"
    )
    return Finding(name="weights", state="ok" if here else "note", text=text, facts={"imagenet": here})


def _public(folder: Path) -> str | None:
    if (fault := fault_of_temporary(folder)) is None and not anybody_writes(folder / "models"):
        return None
    reason = fault or "every user of this machine may write there"
    return f"no weights are downloaded into {folder}, because {reason}: set KERAS_HOME to a folder of your own"


def cache(name: str, folder: Path, what: str, *, fault: str | None = None) -> Finding:
    """Report if a cache folder can be used, and how much is in it; `fault` says why it is not."""
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    size = sum(_size(Path(parent, file)) for parent, _, files in os.walk(folder) for file in files)
    facts = {"path": str(folder), "writable": writable, "bytes": size}
    if fault is not None:
        return Finding(name=name, state="note", text=fault, facts=facts)
    if not writable:
        text = (
            f"{folder} can't be written, so nothing is kept there; change its rights, or set {name} to another folder"
        )
        return Finding(name=name, state="note", text=text, facts=facts)
    return Finding(name=name, state="ok", text=f"{folder} ({what}): {_bytes(size)}, writable", facts=facts)


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except OSError:  # gone meanwhile
        return 0


def working_folder(folder: Path) -> Finding:
    """Test a folder by writing to it: its speed, its free space, and if a lock keeps other processes out."""
    folder = folder.absolute()
    facts: dict[str, Any] = {"path": str(folder)}
    try:
        free = shutil.disk_usage(folder).free
        with tempfile.TemporaryDirectory(prefix=".featx-doctor-", dir=folder) as made:
            speed = _write_speed(Path(made, "written"))
            locks = _locks(Path(made, "locked"))
    except OSError as error:
        text = f"{folder} can't be written ({_said(error)}): choose another folder for results with `out`"
        return Finding(name="folder", state="note", text=text, facts=facts)
    facts |= {"free": free, "bytes_per_second": round(speed), "locks": locks}
    text = f"{folder}: {_bytes(speed)}/s when writing, {_bytes(free)} free"
    if not locks:
        text += "; file locks don't work here: never run two extractions into one file"
    return Finding(name="folder", state="ok" if locks else "note", text=text, facts=facts)


def _write_speed(file: Path) -> float:
    block = os.urandom(_BLOCK)
    start = time.perf_counter()
    with file.open("wb", buffering=0) as written:
        for _ in range(_BLOCKS):
            written.write(block)
        os.fsync(written.fileno())
    return _BLOCK * _BLOCKS / (time.perf_counter() - start)


def _locks(file: Path) -> bool:
    """Test that a lock is given, and not given twice."""
    with file.open("wb") as first, file.open("wb") as second:
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def _bytes(size: float) -> str:
    unit, name = next((one for one in _UNITS if size >= one[0]), _UNITS[-1])
    return f"{size / unit:,.1f} {name}"


def _said(error: BaseException) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
