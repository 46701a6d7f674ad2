"""The source of a backbone's weights, and the digests of files and tensors.

Nothing here loads Keras: `featx.backbones` computes a digest the first time and leaves it in the index.
"""

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx.cache import remember, remembered
from featx.errors import WeightsError
from featx.files import meant
from featx.ownership import others_rights

TEMPORARY_HOME = Path("/tmp/.keras")  # noqa: S108
"""Keras's own choice of a folder where it can't write to the home folder; another user may have made it."""

_SIGNATURES = (b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x80\x02\x8a\x0al\xfc\x9cF")
"""First bytes of an HDF5 file, of a ``.keras``, which is a zip archive, and of a published checkpoint of PyTorch."""

UNTRAINED_SEED = 0
UNTRAINED = "none"
"""Source of weights that stores, models and reports record for an untrained backbone."""


@dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """The source of a backbone's weights.

    Parameters
    ----------
    kind : {"imagenet", "file", "none", "fixed"}
        ``imagenet``: Keras's published weights; ``file``: the user's; ``none``: untrained, drawn from a fixed seed;
        ``fixed``: the backbone is a formula and has none to choose.
    path : Path or None
        The file; None where there is none, or where it is not downloaded yet.
    recorded : str
        What stores and models keep beside the fingerprint; `locate` reads it back.
    """

    kind: Literal["imagenet", "file", "none", "fixed"]
    path: Path | None
    recorded: str


def keras_home() -> Path:
    """Return Keras's folder: KERAS_HOME, else ``~/.keras``, or ``/tmp/.keras`` where the home folder is read-only."""
    if configured := os.environ.get("KERAS_HOME"):
        return Path(configured).expanduser()
    home = Path("~").expanduser()
    return home / ".keras" if os.access(home, os.W_OK) else TEMPORARY_HOME


def fault_of_temporary(folder: Path) -> str | None:
    """Say why a folder that Keras chose in the temporary one isn't trusted; None if it is, or lies elsewhere."""
    return others_rights(folder) if folder.is_relative_to(TEMPORARY_HOME) else None


@contextlib.contextmanager
def without_strange_settings() -> Iterator[None]:
    """Keep Keras, at its import, from settings that another user left in the temporary folder."""
    if fault_of_temporary(keras_home()) is None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="featx-") as empty:
        os.environ["KERAS_HOME"] = empty
        try:
            yield
        finally:
            del os.environ["KERAS_HOME"]


def locate(weights: str, *, filename: str | None) -> WeightsSource:
    """Turn `weights` (or what a store recorded) into a source, without loading or downloading anything.

    Parameters
    ----------
    weights : str
        ``imagenet``, ``none``, or the path of a file. A file of one of these names is reached as ``./none``.
    filename : str or None
        What Keras's cache calls the published file; None for a backbone whose weights are fixed by a formula.

    Raises
    ------
    WeightsError
        The file does not exist, or is no ordinary file.
    """
    if filename is None:
        return WeightsSource(kind="fixed", path=None, recorded="fixed")
    if weights == "imagenet":
        path = keras_home() / "models" / filename
        return WeightsSource(kind="imagenet", path=path if path.is_file() else None, recorded="imagenet")
    if weights == UNTRAINED:
        return WeightsSource(kind="none", path=None, recorded=UNTRAINED)
    path = Path(weights).expanduser().absolute()
    if (other := _other_format(path)) is not None:
        raise WeightsError(
            f"`weights={weights}`: {path} is {other}, which featx can't read; load it with the program that made it, "
            "copy its tensors into the network of Keras, and give the file that "
            "`network.save_weights('NAME.weights.h5')` writes"
        )
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no file"
        raise WeightsError(
            f"`weights={weights}`: there is {found} at {path}{meant(Path(weights))}; give a weights file of Keras "
            "(.h5, .weights.h5, .keras), or write imagenet or none"
        )
    return WeightsSource(kind="file", path=path, recorded=str(path))


def _other_format(path: Path) -> str | None:
    """Say what a file or folder of weights is, by its name, where it is none of Keras's."""
    if path.is_dir():
        return "a SavedModel of TensorFlow" if (path / "saved_model.pb").is_file() else None
    with contextlib.suppress(OSError), path.open("rb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode) and file.read(8) == _SIGNATURES[0]:
            return None
    return next((what for suffixes, what in _OTHER_FORMATS.items() if path.name.lower().endswith(suffixes)), None)


_OTHER_FORMATS = {
    (".pt", ".pth", ".ckpt", ".bin"): "a checkpoint, most likely of PyTorch",
    (".safetensors",): "a file of safetensors",
    (".index", ".data-00000-of-00001"): "a part of a checkpoint of TensorFlow",
    (".onnx",): "a network for ONNX",
    (".tflite",): "a network for LiteRT",
    (".pb", ".pbtxt"): "a graph of TensorFlow",
    (".npz", ".npy"): "a file of NumPy arrays",
    (".pkl", ".pickle", ".joblib", ".skops"): "a file of Python objects",
}
"""Ends of names of files that other programs keep weights in, and what those are."""


def digest_tensors(tensors: Iterable[NDArray[Any]]) -> str:
    """Compute the digest of tensors, in their order: ``"sha256:"`` and 64 hexadecimal digits.

    Each contributes dtype, shape and little-endian bytes, so the file they came from doesn't matter and two tensors
    can't be told as one.
    """
    digest = hashlib.sha256()
    for tensor in tensors:
        little = np.ascontiguousarray(tensor, dtype=tensor.dtype.newbyteorder("<"))
        digest.update(f"{tensor.dtype.name}{list(tensor.shape)}\n".encode("ascii"))
        digest.update(little.reshape(-1).view(np.uint8).data)
    return f"sha256:{digest.hexdigest()}"


def file_digest(path: Path) -> str:
    """Compute SHA-256 of a file (64 hexadecimal digits), remembered while the file is untouched.

    Raises
    ------
    WeightsError
        The file can't be read, or holds no weights of Keras.
    """
    try:
        status = path.stat()
        key = ("file", str(path.resolve()), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if (known := remembered(key)) is not None and isinstance(known.get("sha256"), str):
            return str(known["sha256"])
        if not status.st_size:
            raise WeightsError(f"weights file {path} is empty; give a weights file of Keras")
        with path.open("rb") as file:
            # A file that isn't read for its weights is not read for its digest: it may have holes of any size.
            if not file.read(8).startswith(_SIGNATURES):
                raise WeightsError(
                    f"weights file {path} is not a weights file of Keras (.h5, .weights.h5 or .keras); give one of "
                    "these"
                )
            if 512 * getattr(status, "st_blocks", status.st_size) < status.st_size // 100:
                raise WeightsError(f"weights file {path} is almost empty: it was not copied completely; copy it again")
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"weights file {path} can't be read: {error.strerror or error}") from error
    remember(key, {"sha256": sha256})
    return sha256
