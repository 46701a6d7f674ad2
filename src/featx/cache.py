"""The cache folder of featx, and small results that are remembered in it."""

import functools
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from featx.files import parse_json, whole
from featx.ownership import make_private, others_rights, own_file

logger = logging.getLogger(__name__)


def cache_home() -> Path:
    """Return the cache folder that is used: the wanted one or, where other users may change that, a temporary one."""
    folder = wanted_home()
    return folder if cache_fault(folder) is None else _temporary_home(folder)


def cache_fault(folder: Path) -> str | None:
    """Say in one sentence why a cache folder isn't used; None where it is."""
    if (rights := others_rights(folder)) is None:
        return None
    return (
        f"{folder} isn't used as featx's cache, because {rights}; exported backbones are kept only for this run. Set "
        "FEATX_CACHE to a folder where only you may write, or remove these rights"
    )


@functools.cache
def _temporary_home(instead_of: Path) -> Path:
    """Make a cache folder for the rest of this process, and log why."""
    logger.warning("%s", cache_fault(instead_of))
    _temporary.append(tempfile.TemporaryDirectory(prefix="featx-cache-", ignore_cleanup_errors=True))
    return Path(_temporary[-1].name)


_temporary: list[tempfile.TemporaryDirectory[str]] = []
"""Folders that are removed when the process ends."""


def wanted_home() -> Path:
    """Return the cache folder that is wanted: FEATX_CACHE, else ``featx`` under XDG_CACHE_HOME or ``~/.cache``."""
    if configured := os.environ.get("FEATX_CACHE"):
        return Path(configured).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "featx"


def remembered(key: Sequence[str | int | None]) -> dict[str, Any] | None:
    """Return the value that `remember` kept under a key; None if there is none, or it can't be read or trusted."""
    try:
        with _index_file(key).open(encoding="utf-8") as file:
            entry = parse_json(file.read()) if own_file(os.fstat(file.fileno())) else None
    except (OSError, ValueError):
        return None
    # The key is stored too, so a renamed entry is ignored.
    if not isinstance(entry, dict) or entry.get("key") != list(key) or not isinstance(entry.get("value"), dict):
        return None
    return dict(entry["value"])


def all_remembered(kind: str) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Yield every key that begins with a word, and its value, in no particular order."""
    for file in (cache_home() / "weights").glob("*.json"):
        try:
            key = tuple(parse_json(file.read_text(encoding="utf-8"))["key"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if key[:1] == (kind,) and (value := remembered(key)) is not None:
            yield key, value


def remember(key: Sequence[str | int | None], value: Mapping[str, Any]) -> None:
    """Keep a small JSON value under a key, in a file of its own that appears whole or not at all.

    A cache folder that can't be written costs time on the next run and nothing else, so that is only logged.
    """
    target = _index_file(key)
    try:
        make_private(target.parent)
        with whole(target) as file:
            os.fchmod(file.fileno(), 0o600)  # others may not write to it, whatever the umask
            file.write(json.dumps({"key": list(key), "value": dict(value)}).encode("ascii"))
    except OSError as error:
        logger.info("nothing can be kept in %s: %s", target.parent, error)


def _index_file(key: Sequence[str | int | None]) -> Path:
    text = json.dumps(list(key), ensure_ascii=True)
    return cache_home() / "weights" / f"{hashlib.sha256(text.encode('ascii')).hexdigest()[:32]}.json"
