"""Where a backbone's weights come from, and the digest of their tensors, remembered so that asking again is cheap.

Nothing here loads Keras: `featx.backbones` computes a digest the first time and leaves it in the index.
"""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx.errors import WeightsError

logger = logging.getLogger(__name__)

UNTRAINED_SEED = 0
UNTRAINED = "none"
"""What stores, models and reports record where no trained weights were used."""


@dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """Where the weights come from.

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
    return (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras"  # noqa: S108  Keras's own choice


def cache_home() -> Path:
    """Return featx's cache folder: FEATX_CACHE, else ``featx`` under XDG_CACHE_HOME or ``~/.cache``."""
    if configured := os.environ.get("FEATX_CACHE"):
        return Path(configured).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "featx"


def locate(weights: str, *, filename: str | None) -> WeightsSource:
    """Turn ``--weights`` (or what a store recorded) into a source, without loading or downloading anything.

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
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no file"
        raise WeightsError(
            f"--weights {weights}: found {found} at {path}; give a weights file of Keras (.h5, .weights.h5, .keras), "
            "or the word imagenet or none"
        )
    return WeightsSource(kind="file", path=path, recorded=str(path))


def digest_tensors(tensors: Iterable[NDArray[Any]]) -> str:
    """Digest of tensors, in their order: ``"sha256:"`` and 64 hexadecimal digits.

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
    """SHA-256 of a file (64 hexadecimal digits), remembered while the file is untouched.

    Raises
    ------
    WeightsError
        The file can't be read.
    """
    try:
        status = path.stat()
        key = ("file", str(path.resolve()), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if (known := remembered(key)) is not None and isinstance(known.get("sha256"), str):
            return str(known["sha256"])
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"weights file {path} can't be read: {error.strerror or error}") from error
    remember(key, {"sha256": sha256})
    return sha256


def remembered(key: Sequence[str | int | None]) -> dict[str, Any] | None:
    """Give back what `remember` kept under this key; None where nothing is, or it can't be read or trusted."""
    try:
        entry = json.loads(_index_file(key).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    # The key is kept inside as well: a file that was renamed or copied by hand answers for nothing.
    if not isinstance(entry, dict) or entry.get("key") != list(key) or not isinstance(entry.get("value"), dict):
        return None
    return dict(entry["value"])


def all_remembered(kind: str) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Yield every key that begins with this word and its value, as `remembered` would give it; in no order."""
    for file in (cache_home() / "weights").glob("*.json"):
        try:
            key = tuple(json.loads(file.read_text(encoding="utf-8"))["key"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if key[:1] == (kind,) and (value := remembered(key)) is not None:
            yield key, value


def remember(key: Sequence[str | int | None], value: Mapping[str, Any]) -> None:
    """Keep a small JSON value under a key, one file each: whole or not at all, whoever else writes.

    A cache folder that can't be written costs time on the next run and nothing else, so that is only logged.
    """
    target = _index_file(key)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=target.parent, delete=False, encoding="utf-8") as file:
            json.dump({"key": list(key), "value": dict(value)}, file)
        Path(file.name).replace(target)
    except OSError as error:
        logger.info("not remembered in %s: %s", target.parent, error)


def _index_file(key: Sequence[str | int | None]) -> Path:
    text = json.dumps(list(key), ensure_ascii=True)
    return cache_home() / "weights" / f"{hashlib.sha256(text.encode('ascii')).hexdigest()[:32]}.json"
