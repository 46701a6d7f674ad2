"""Entries of exported graphs in the cache folder: made whole, opened if they are sound and nobody else's."""

import contextlib
import dataclasses
import hashlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from featx.cache import cache_home
from featx.files import parse_json
from featx.ownership import make_private, own_file
from featx.weights import WeightsSource

logger = logging.getLogger(__name__)

GRAPH, WEIGHTS, ABOUT = "graph.xml", "graph.bin", "about.json"
FOLDER = "openvino"
"""Folder of the entries in the cache folder."""

_ABANDONED_S = 24 * 3600.0

Key = tuple[str | int | None, ...]


class ExportError(Exception):
    """A graph that can't be exported to OpenVINO's format; the choice of a runtime then falls back to Keras."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exported:
    """A graph in OpenVINO's format.

    Parameters
    ----------
    graph : Path
        The ``.xml``, its weights beside it: ``(b, H, W, 3)`` uint8, any b, to ``(b, d)`` float32.
    feature_shape : tuple of int
        Shape of one feature before it was flattened.
    """

    graph: Path
    feature_shape: tuple[int, ...]


@contextlib.contextmanager
def temporary(parent: Path) -> Iterator[Path]:
    """Make a folder that is removed afterwards, and remove those that killed processes left."""
    make_private(parent)
    for left in parent.glob(".making-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=".making-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def describe(folder: Path, key: Key, source: WeightsSource) -> None:
    """Complete an entry's description: its key, the source of its weights, and the digests of its files."""
    weights = {**dataclasses.asdict(source), "path": None if source.path is None else str(source.path.absolute())}
    about = parse_json((folder / ABOUT).read_text(encoding="ascii"))
    about |= {"key": list(key), "weights": weights}
    about |= {"sha256": {name: _digest(folder / name) for name in (GRAPH, WEIGHTS)}}
    (folder / ABOUT).write_text(json.dumps(about, indent=1), encoding="ascii")
    for name in (GRAPH, WEIGHTS, ABOUT):
        (folder / name).chmod(0o600)  # others may not write to it, whatever the umask


def settle(folder: Path, entry: Path, key: Key) -> Exported:
    """Rename a finished folder to the entry's name, unless another process was first."""
    for attempt in range(3):
        with contextlib.suppress(OSError):
            folder.rename(entry)
        if (found := open_entry(entry, key)) is not None:
            return found
        # What is there is damaged: out of the way, into the folder that will be removed.
        with contextlib.suppress(OSError):
            entry.rename(folder / f"damaged-{attempt}")
    raise ExportError(f"{entry} can't be replaced; delete this folder")


def open_entry(entry: Path, key: Key) -> Exported | None:
    """Open an entry; None if it is missing, no longer what was written, or may be what another user wrote."""
    if not entry.is_dir():
        return None
    if not _private(entry):
        logger.warning("%s may have been written by another user and is exported again", entry)
        return None
    try:
        about = parse_json((entry / ABOUT).read_text(encoding="ascii"))
        sound = about["key"] == list(key) and all(
            _digest(entry / name) == about["sha256"][name] for name in (GRAPH, WEIGHTS)
        )
        feature_shape = tuple(int(side) for side in about["feature_shape"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s can't be read and is exported again: %s", entry, error)
        return None
    if not sound:
        logger.warning("%s is damaged and is exported again", entry)
        return None
    return Exported(graph=entry / GRAPH, feature_shape=feature_shape)


def entries() -> dict[Path, dict[str, Any]]:
    """Return the description of every exported graph in the cache folder, by the graph's own folder."""
    found = {}
    for about in sorted((cache_home() / FOLDER).glob(f"*/{ABOUT}")):
        try:
            described = parse_json(about.read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        if isinstance(described, dict) and isinstance(described.get("key"), list):
            found[about.parent] = described
    return found


def described_source(about: dict[str, Any]) -> WeightsSource | None:
    """Return the source of the weights that an entry describes; None if there is none, or its file is gone."""
    try:
        source = WeightsSource(**about["weights"])
    except (KeyError, TypeError):  # as by an earlier version
        return None
    path = None if source.path is None else Path(source.path)
    if source.kind in ("imagenet", "file") and (path is None or not path.is_file()):
        return None
    return dataclasses.replace(source, path=path)


def _private(entry: Path) -> bool:
    try:
        return all(own_file((entry / name).lstat()) for name in ("", GRAPH, WEIGHTS, ABOUT))
    except OSError:  # incomplete, which opening it finds
        return True


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
