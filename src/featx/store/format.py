"""Formats 1 and 2 as tables of attributes and datasets, and the digests over them (``docs/feature-store.md``)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FORMAT = "featx feature store"

PLAIN, WITH_VIEWS = 1, 2
"""Versions of the format: a store without views is written as version 1, as it always was."""

TEXT = "S"
"""Fixed-length UTF-8 of any length, filled up with zeros."""


class LayoutError(ValueError):
    """A file that isn't laid out as its format says; the message says where."""


@dataclass(frozen=True)
class Column:
    """Rules for one dataset: whose rows it has, the type of an entry (numpy's code) and the shape of a row."""

    count: str
    dtype: str
    inner: tuple[int | None, ...] = ()
    required: bool = True


COLUMNS = {
    "features": Column("rows", "<f4", (None,)),
    "paths": Column("rows", TEXT),
    "paths_raw": Column("rows", "|u1", (None,), required=False),
    "labels": Column("rows", "<i4"),
    "digests": Column("rows", "|u1", (32,)),
    "sizes": Column("rows", "<i8"),
    "mtimes_ns": Column("rows", "<i8"),
    "status": Column("rows", "|u1"),
    "checksums": Column("rows", "|u1", (32,)),
    "groups": Column("rows", TEXT, required=False),
    "groups_raw": Column("rows", "|u1", (None,), required=False),
    "classes": Column("classes", TEXT),
    "classes_raw": Column("classes", "|u1", (None,), required=False),
    "tuned_on": Column("tuned", "|u1", (32,), required=False),
    "failures/paths": Column("failures", TEXT),
    "failures/paths_raw": Column("failures", "|u1", (None,), required=False),
    "failures/reasons": Column("failures", TEXT),
    "failures/messages": Column("failures", TEXT),
    "failures/digests": Column("failures", "|u1", (32,)),
    "failures/sizes": Column("failures", "<i8"),
    "failures/mtimes_ns": Column("failures", "<i8"),
}
"""Every dataset."""

ATTRIBUTES = {
    "format": Column("", TEXT),
    "format_version": Column("", "<i8"),
    "featx_version": Column("", TEXT),
    "spec": Column("", TEXT),
    "fingerprint": Column("", TEXT),
    "feature_shape": Column("", "<i8", (None,)),
    "weights_source": Column("", TEXT),
    "weights_source_raw": Column("", "|u1", (None,), required=False),
    "runtime": Column("", TEXT),
    "precision": Column("", TEXT),
    "name": Column("", TEXT),
    "name_raw": Column("", "|u1", (None,), required=False),
    "split": Column("", TEXT, required=False),
    "split_raw": Column("", "|u1", (None,), required=False),
    "source": Column("", TEXT),
    "source_raw": Column("", "|u1", (None,), required=False),
    "root": Column("", TEXT),
    "root_raw": Column("", "|u1", (None,), required=False),
    "plan": Column("", TEXT),
    "found": Column("", "<i8"),
    "extracted": Column("", "<i8"),
    "reused": Column("", "<i8"),
    "failed": Column("", "<i8"),
    "created": Column("", TEXT),
    "seconds": Column("", "<f8"),
    "content_digest": Column("", TEXT),
}
"""Every attribute, all of them of the root group."""

VIEW_COLUMNS = {
    "views": Column("rows", "<f4", (None, None)),
    "views_checksums": Column("rows", "|u1", (32,)),
}
"""The datasets that format 2 has more."""

VIEW_ATTRIBUTES = {"views_spec": Column("", TEXT), "views_fingerprint": Column("", TEXT)}
"""The attributes that format 2 has more."""

ALL_COLUMNS = COLUMNS | VIEW_COLUMNS

TABLES = {
    PLAIN: (ATTRIBUTES, COLUMNS),
    WITH_VIEWS: (ATTRIBUTES | VIEW_ATTRIBUTES, ALL_COLUMNS),
}
"""Version of the format -> its attributes and datasets."""

GROUPS = ("failures",)

BULK = ("features", "views")
"""Datasets that are mapped and never read as a whole; they count by the checksums of their rows."""

ROW_COLUMNS = ("features", "digests", "sizes", "mtimes_ns", "checksums", *VIEW_COLUMNS)
"""Columns written when a row is done, besides its status; the others are known when the store is planned."""


class Member(Protocol):
    """An attribute or a dataset, in memory or in a file."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of an entry."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length along each axis."""


def content_digest(attributes: Mapping[str, NDArray[Any]], columns: Mapping[str, NDArray[Any]]) -> str:
    r"""Compute SHA-256 over attributes and datasets as 64 hexadecimal digits; `BULK` counts by its checksums.

    Each member gives the line ``<kind> <name> <dtype> [<shape>]\n`` and then its bytes: all attributes, then all
    datasets, each sorted by name. The attribute ``content_digest`` itself is left out.
    """
    digest = hashlib.sha256()
    for kind, members in (("attribute", attributes), ("dataset", columns)):
        for name in sorted(members):
            if name != "content_digest":
                value = members[name]
                shape = ",".join(map(str, value.shape))
                digest.update(f"{kind} {name} {value.dtype.str} [{shape}]\n".encode())
                digest.update(b"" if name in BULK else np.ascontiguousarray(value).data)
    return digest.hexdigest()


def checksums(
    features: NDArray[np.float32], digests: NDArray[np.uint8], sizes: NDArray[np.int64], mtimes_ns: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Compute SHA-256 of each row: the bytes of its feature, its digest, its size and its time, in this order.

    Parameters
    ----------
    features : (b, d) '<f4'
    digests : (b, 32) uint8
    sizes, mtimes_ns : (b,) '<i8'

    Returns
    -------
    (b, 32) uint8
    """
    rows = np.ascontiguousarray(features, "<f4")
    tails = np.concatenate(
        [digests, *(np.ascontiguousarray(one, "<i8")[:, None].view(np.uint8) for one in (sizes, mtimes_ns))], axis=1
    )
    found = bytearray()
    for row, tail in zip(rows, tails, strict=True):
        digest = hashlib.sha256(row)
        digest.update(tail)
        found += digest.digest()
    return np.frombuffer(bytes(found), np.uint8).reshape(-1, 32)


def views_checksums(views: NDArray[np.float32], digests: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Compute SHA-256 of the views of each row: their bytes, then the digest of the image.

    Parameters
    ----------
    views : (b, K, d) '<f4'
    digests : (b, 32) uint8

    Returns
    -------
    (b, 32) uint8
    """
    rows = np.ascontiguousarray(views, "<f4")
    found = b"".join(
        hashlib.sha256(row.tobytes() + digest.tobytes()).digest() for row, digest in zip(rows, digests, strict=True)
    )
    return np.frombuffer(found, np.uint8).reshape(-1, 32)


def check_members(found: Mapping[str, Member], wanted: Mapping[str, Column], kind: str) -> None:
    """Compare attributes or datasets with their table; LayoutError names the first that doesn't fit."""
    counts: dict[str, int] = {}
    for name, member in found.items():
        if name not in wanted:
            raise LayoutError(f"has an unknown {kind} {name!r}")
        column = wanted[name]
        shape = member.shape
        if column.count:
            if not shape or counts.setdefault(column.count, shape[0]) != shape[0]:
                raise LayoutError(f"has the {kind} {name!r} of shape {shape}, but others have {counts}")
            shape = shape[1:]
        fits = len(shape) == len(column.inner) and all(a in (b, None) for a, b in zip(column.inner, shape, strict=True))
        same = member.dtype.kind == TEXT if column.dtype == TEXT else member.dtype.str == column.dtype
        if not fits or not same:
            raise LayoutError(f"has the {kind} {name!r} of type {member.dtype.str} and shape {member.shape}")
    for name, column in wanted.items():
        if column.required and name not in found:
            raise LayoutError(f"lacks the {kind} {name!r}")
