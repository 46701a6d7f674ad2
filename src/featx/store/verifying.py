"""Check a whole file: every rule of ``docs/feature-store.md``, and every row's checksum."""

import datetime as dt
import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import REASONS
from featx.files import open_regular
from featx.spec import ExtractionSpec, ViewsSpec
from featx.store.disk import reason
from featx.store.format import TEXT, LayoutError, content_digest
from featx.store.layout import Layout, intact, scan
from featx.store.text import RAW, decode

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """Faults of a file that should be a feature store; none if `broken` and `damaged` are empty.

    Parameters
    ----------
    broken : tuple of str
        What the file as a whole breaks, a phrase for each rule.
    damaged : (m,) int64
        Rows that no longer are what their checksums say, in order.
    paths : tuple of str, length m
        Their images.
    rows : int
        Rows of the store; 0 where the file can't be read that far.
    """

    broken: tuple[str, ...] = ()
    damaged: NDArray[np.int64]
    paths: tuple[str, ...] = ()
    rows: int = 0


def check(path: Path) -> Findings:
    """Check a file against every rule of the format, and every row against its checksum.

    The features are read once, in blocks of a few megabytes; all else is held in memory, as by `open_store`.

    Parameters
    ----------
    path : Path
        The file.
    """
    nothing = np.empty(0, np.int64)
    try:
        with open_regular(path) as file:
            layout = scan(file)
            columns = layout.read_all(file)
            rows = np.arange(len(columns["features"]), dtype=np.int64)
            damaged = rows[~intact(layout, file.fileno(), rows)]
    except LayoutError as error:
        return Findings(broken=(str(error),), damaged=nothing)
    except OSError as error:
        return Findings(broken=(f"can't be read: {reason(error)}",), damaged=nothing)
    named = {name: columns[name][damaged] for name in ("paths", "paths" + RAW) if name in columns}
    return Findings(
        broken=tuple(_broken(layout, columns)), damaged=damaged, paths=decode(named, "paths"), rows=len(rows)
    )


def _broken(layout: Layout, columns: Mapping[str, NDArray[Any]]) -> list[str]:
    if not layout.text("content_digest"):
        return ["is unfinished"]
    try:
        found = [f"the checksum of {name} is wrong" for name in disagreements(layout, columns)]
    except LayoutError as error:
        found = [str(error)]
    found += [
        f"{name} is not UTF-8 filled up with zeros" for name, value in _texts(layout, columns) if not _text(value)
    ]
    for phrase, holds in _RULES.items():
        try:
            broken = not holds(layout.attributes, columns)
        except ValueError:  # text that is no UTF-8, JSON that is none
            broken = True
        if broken:
            found.append(phrase)
    return found


def _texts(layout: Layout, columns: Mapping[str, NDArray[Any]]) -> list[tuple[str, NDArray[Any]]]:
    members = [*layout.attributes.items(), *columns.items()]
    return [(name, value) for name, value in members if value.dtype.kind == TEXT]


def _text(value: NDArray[Any]) -> bool:
    """Tell whether texts are UTF-8 with zeros at their end only."""
    if not value.size:
        return True
    flat = np.ascontiguousarray(value).reshape(-1)
    characters = flat[:, None].view(np.uint8)
    if ((characters[:, :-1] == 0) & (characters[:, 1:] != 0)).any():
        return False
    try:
        for one in flat.tolist():
            one.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


Members = Mapping[str, NDArray[Any]]


def _word(attributes: Members, name: str) -> str:
    return bytes(attributes[name].item()).decode("utf-8")


def _names(columns: Members, name: str) -> NDArray[np.bytes_]:
    """Return names as the bytes that the file system has, which decide their order."""
    raw = columns.get(name + RAW)
    if raw is None or not raw.size:
        return columns[name]
    return np.ascontiguousarray(raw).view(f"S{raw.shape[1]}")[:, 0]


def _rising(names: NDArray[np.bytes_]) -> bool:
    return bool((names[:-1] < names[1:]).all())


def _stands_for(members: Members, name: str) -> bool:
    """Tell whether a text is the readable form of the bytes beside it."""
    if name + RAW not in members:
        return True
    raw, shown = np.atleast_2d(members[name + RAW]), np.atleast_1d(members[name])
    pairs = zip(raw, shown.tolist(), strict=True)
    return all(one.tobytes().rstrip(b"\0").decode("utf-8", "replace").encode() == text for one, text in pairs)


def _canonical_spec(attributes: Members) -> bool:
    try:
        return ExtractionSpec.from_json(_word(attributes, "spec")).to_json() == _word(attributes, "spec")
    except (TypeError, KeyError):
        return False


def _canonical_views(attributes: Members) -> bool:
    if "views_spec" not in attributes:
        return True
    return ViewsSpec.from_json(_word(attributes, "views_spec")).to_json() == _word(attributes, "views_spec")


def _counts(attributes: Members) -> bool:
    found, *parts = (int(attributes[name]) for name in ("found", "extracted", "reused", "failed"))
    return min(parts) >= 0 and found == sum(parts)


def _sealed_at(attributes: Members) -> bool:
    dt.datetime.strptime(_word(attributes, "created"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC)
    return True


_RULES: dict[str, Callable[[Members, Members], bool]] = {
    "the paths are not sorted and unique": lambda _, columns: _rising(_names(columns, "paths")),
    "the classes are not sorted and unique": lambda _, columns: _rising(_names(columns, "classes")),
    "the paths of the failures are not sorted and unique": lambda _, columns: _rising(
        _names(columns, "failures/paths")
    ),
    "an image has both a row and a failure": lambda _, columns: (
        not len(np.intersect1d(_names(columns, "paths"), _names(columns, "failures/paths"), assume_unique=True))
    ),
    "a path, a class or a group is empty": lambda _, columns: all(
        bool((columns[name] != b"").all())
        for name in ("paths", "classes", "groups", "failures/paths")
        if name in columns
    ),
    "a text differs from the bytes beside it": lambda attributes, columns: all(
        _stands_for(members, name.removesuffix(RAW))
        for members in (attributes, columns)
        for name in members
        if name.endswith(RAW)
    ),
    "a reason of a failure is unknown": lambda _, columns: bool(
        np.isin(columns["failures/reasons"], np.array(REASONS, "S")).all()
    ),
    "the size of an image is negative": lambda _, columns: bool(
        (columns["sizes"] >= 0).all() and (columns["failures/sizes"] >= -1).all()
    ),
    "the number of images found is not the sum of extracted, reused and failed": lambda attributes, _: _counts(
        attributes
    ),
    "the fingerprint is not the SHA-256 of the spec": lambda attributes, _: (
        hashlib.sha256(attributes["spec"].item()).hexdigest() == _word(attributes, "fingerprint")
    ),
    "the spec is not canonical JSON": lambda attributes, _: _canonical_spec(attributes),
    "the spec of the views is not canonical JSON": lambda attributes, _: _canonical_views(attributes),
    "a digest is not 64 hexadecimal digits": lambda attributes, _: all(
        _DIGEST.fullmatch(_word(attributes, name)) for name in ("fingerprint", "plan", "content_digest")
    ),
    "the time when it was made is not a time": lambda attributes, _: _sealed_at(attributes),
    "the seconds that it took are not a number of seconds": lambda attributes, _: (
        math.isfinite(seconds := float(attributes["seconds"])) and seconds >= 0
    ),
    "the shape of a feature is not a shape": lambda attributes, _: bool((attributes["feature_shape"] > 0).all()),
}
"""Rules beyond `disagreements`: the message for a broken one, and the test that must hold."""


def disagreements(layout: Layout, columns: Mapping[str, NDArray[Any]]) -> list[str]:
    """List what no longer agrees with what the file says about itself, except the rows' checksums.

    Raises
    ------
    LayoutError
        The spec can't be read.
    """
    attributes = layout.attributes
    status = np.bincount(columns["status"], minlength=3)
    counts = (0, int(attributes["extracted"]), int(attributes["reused"]))
    failed = len(columns["failures/paths"])
    labels, classes = columns["labels"], len(columns["classes"])
    try:
        fingerprint = ExtractionSpec.from_json(layout.text("spec")).fingerprint
    except (ValueError, TypeError, KeyError) as error:
        raise LayoutError(
            f"has a spec that this featx can't read (written by {layout.text('featx_version')})"
        ) from error
    rules = {
        "content_digest": content_digest(attributes, columns) == layout.text("content_digest"),
        "fingerprint": fingerprint == layout.text("fingerprint"),
        "feature_shape": math.prod(attributes["feature_shape"].tolist()) == columns["features"].shape[1],
        "status": tuple(status.tolist()) == counts,
        "failed": int(attributes["failed"]) == failed,
        "found": int(attributes["found"]) == len(labels) + failed,
        "labels": not len(labels) or (labels.min() >= -1 and labels.max() < classes),
        **_rules_of_views(layout, columns),
    }
    return [name for name, holds in rules.items() if not holds]


def _rules_of_views(layout: Layout, columns: Mapping[str, NDArray[Any]]) -> dict[str, bool]:
    if "views" not in columns:
        return {}
    try:
        spec = ViewsSpec.from_json(layout.text("views_spec"))
    except ValueError as error:
        raise LayoutError(
            f"has a spec of views that this featx can't read (written by {layout.text('featx_version')})"
        ) from error
    return {
        "views_fingerprint": spec.fingerprint == layout.text("views_fingerprint"),
        "views": spec.count == columns["views"].shape[1],
    }
