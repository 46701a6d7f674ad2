"""What a feature store's file holds and where: format 1, as ``docs/feature-store.md`` writes it down.

h5py makes the structure and tells where the bytes lie; the bytes themselves go in and out by position. So nothing
waits in a buffer that a kill would lose, and a full disk is an error before the first row.
"""

import hashlib
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

FORMAT = "featx feature store"
FORMAT_VERSION = 1

TEXT = "S"
"""Fixed-length UTF-8 of any length, filled up with zeros."""


class LayoutError(ValueError):
    """A file that isn't laid out as format 1 is; the message says where."""


@dataclass(frozen=True)
class Column:
    """What a dataset must be: whose rows it has, the type of an entry (numpy's code) and the shape of a row."""

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

GROUPS = ("failures",)

# What h5py raises where the bytes it reads make no sense; which one depends on where they stop making sense.
_H5PY_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError)

# So that every dataset begins on a cache line, and no reader is handed misaligned floats.
_ALIGNMENT = 64


@dataclass(frozen=True)
class Place:
    """Where the bytes of a dataset lie in the file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int

    @property
    def nbytes(self) -> int:
        """Length in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def row_nbytes(self) -> int:
        """Length of one row in bytes."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


@dataclass(frozen=True)
class Layout:
    """The attributes of a file and the places of its datasets."""

    attributes: dict[str, NDArray[Any]]
    places: dict[str, Place]

    @property
    def size(self) -> int:
        """Bytes of the file up to the end of its last dataset."""
        return max(place.offset + place.nbytes for place in self.places.values())

    def text(self, name: str) -> str:
        """A text attribute that is always UTF-8."""
        return bytes(self.attributes[name].item()).decode("utf-8", "replace")

    def read(self, fd: int, name: str, *, rows: slice = slice(None)) -> NDArray[Any]:
        """Rows of a dataset, as a read-only array in memory."""
        place = self.places[name]
        first, stop, _ = rows.indices(place.shape[0])
        shape = (max(stop - first, 0), *place.shape[1:])
        data = read_at(fd, shape[0] * place.row_nbytes, place.offset + first * place.row_nbytes)
        return np.frombuffer(data, place.dtype).reshape(shape)

    def read_all(self, fd: int) -> dict[str, NDArray[Any]]:
        """Every dataset but the features."""
        return {name: self.read(fd, name) for name in self.places if name != "features"}


def create(
    path: Path, *, attributes: Mapping[str, NDArray[Any]], columns: Mapping[str, NDArray[Any]], width: int
) -> Layout:
    """Write a file with everything in it but the features, whose space is reserved.

    Parameters
    ----------
    path : Path
        Replaced where it is there.
    attributes, columns : mapping of str to array
        By name, as in `ATTRIBUTES` and `COLUMNS`.
    width : int
        Length d of a feature.

    Returns
    -------
    Layout
        Where everything lies.

    Raises
    ------
    OSError
        The file can't be made, or there is no space for it.
    """
    features = (len(columns["paths"]), width)
    with h5py.File(path, "w", libver="earliest", locking=False, alignment_interval=_ALIGNMENT) as file:
        for name, value in sorted(attributes.items()):
            file.attrs.create(name, value, dtype=_stored(value.dtype))
        for group in GROUPS:
            file.create_group(group)
        # The features come last: all that is read at opening lies together at the beginning.
        for name in sorted(columns):
            _create_dataset(file, name, columns[name].dtype, columns[name].shape)
        _create_dataset(file, "features", np.dtype("<f4"), features)
    with path.open("r+b", buffering=0) as file:
        layout = scan(file)
        _reserve(file.fileno(), layout)
        for name, column in columns.items():
            write_at(file.fileno(), column, layout.places[name].offset)
        os.fsync(file.fileno())
    return layout


def scan(file: BinaryIO) -> Layout:
    """Find out what an open file holds, and hold it against the format.

    h5py is given the open file and not its name, so that what is read later through the same file is the same file,
    whatever has replaced it meanwhile, and so that HDF5's own locks are not needed.

    Raises
    ------
    LayoutError
        It isn't HDF5, or not laid out as format 1.
    """
    if not h5py.h5f.is_hdf5(_descriptor(file)) and file.read(8) != b"\x89HDF\r\n\x1a\n":
        raise LayoutError("is no HDF5 file")
    size = os.fstat(file.fileno()).st_size
    try:
        with h5py.File(file, "r") as h5:
            attributes = _attributes(h5)
            _check_version(attributes)
            places = _places(h5, size)
    except LayoutError:
        raise
    except _H5PY_ERRORS as error:
        raise LayoutError("is cut off or damaged") from error
    _check_members(attributes, ATTRIBUTES, "attribute")
    _check_members(places, COLUMNS, "dataset")
    return Layout(attributes, places)


def modify(path: Path, values: Mapping[str, NDArray[Any]]) -> None:
    """Change attributes in place: types and shapes stay, so a kill in between can't harm the file's structure."""
    with h5py.File(path, "r+", locking=False) as file:
        for name, value in values.items():
            file.attrs.modify(name, value.astype(file.attrs.get_id(name).dtype))


def content_digest(attributes: Mapping[str, NDArray[Any]], columns: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over attributes and datasets, 64 hexadecimal digits; of the features, only through their checksums.

    Each member gives the line ``<kind> <name> <dtype> [<shape>]\\n`` and then its bytes: all attributes, then all
    datasets, each sorted by name. The attribute ``content_digest`` itself is left out.
    """
    digest = hashlib.sha256()
    for kind, members in (("attribute", attributes), ("dataset", columns)):
        for name in sorted(members):
            if name != "content_digest":
                value = members[name]
                shape = ",".join(map(str, value.shape))
                digest.update(f"{kind} {name} {value.dtype.str} [{shape}]\n".encode())
                digest.update(value.tobytes())
    return digest.hexdigest()


def checksums(
    features: NDArray[np.float32], digests: NDArray[np.uint8], sizes: NDArray[np.int64], mtimes_ns: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """SHA-256 of each row: the bytes of its feature, its digest, its size and its time, in this order.

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


def intact(layout: Layout, fd: int, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each of some rows, sorted, still is what its checksum says; read in blocks of a few megabytes."""
    good = np.zeros(len(rows), np.bool_)
    step = block_rows(layout.places["features"].row_nbytes)
    first = 0
    while first < len(rows):
        stop = int(np.searchsorted(rows, rows[first] + step))
        window = slice(int(rows[first]), int(rows[stop - 1]) + 1)
        local = rows[first:stop] - rows[first]
        read = {name: layout.read(fd, name, rows=window)[local] for name in ROW_COLUMNS}
        found = checksums(read["features"], read["digests"], read["sizes"], read["mtimes_ns"])
        good[first:stop] = (found == read["checksums"]).all(axis=1)
        first = stop
    return good


ROW_COLUMNS = ("features", "digests", "sizes", "mtimes_ns", "checksums")
"""What is written when a row is done; the rest is known when the store is planned."""


def block_rows(row_nbytes: int) -> int:
    """Rows that are read or copied at once: about 4 MiB."""
    return max(1, (4 << 20) // max(1, row_nbytes))


def read_at(fd: int, length: int, offset: int) -> bytes:
    """Read so many bytes; LayoutError where the file ends before."""
    parts = []
    while length > 0:
        # One read gives 2 GiB at most.
        part = os.pread(fd, length, offset)
        if not part:
            raise LayoutError("is cut off")
        parts.append(part)
        length -= len(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def write_at(fd: int, values: NDArray[Any], offset: int) -> None:
    """Write an array's bytes, all of them."""
    rest = memoryview(np.ascontiguousarray(values).reshape(-1).view(np.uint8) if values.size else b"")
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest = rest[written:]
        offset += written


def _create_dataset(file: h5py.File, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.CONTIGUOUS)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    creation.set_obj_track_times(False)
    kind = h5py.h5t.py_create(_stored(dtype), logical=True)
    h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple(shape), dcpl=creation)


def _stored(dtype: np.dtype[Any]) -> np.dtype[Any]:
    stored: np.dtype[Any] = h5py.string_dtype("utf-8", dtype.itemsize) if dtype.kind == TEXT else dtype
    return stored


def _reserve(fd: int, layout: Layout) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, layout.size)
        return
    # macOS has no such call; there the space is taken by writing to it.
    place = layout.places["features"]
    zeros = np.zeros(4 << 20, np.uint8)
    for start in range(0, place.nbytes, len(zeros)):
        write_at(fd, zeros[: place.nbytes - start], place.offset + start)


def _descriptor(file: BinaryIO) -> bytes:
    return f"/dev/fd/{file.fileno()}".encode()


def _attributes(h5: h5py.File) -> dict[str, NDArray[Any]]:
    attributes = {}
    for name in h5.attrs:
        found = h5.attrs.get_id(name)
        if found.dtype.kind not in "Siuf":
            raise LayoutError(f"has the attribute {name!r} of an unknown type")
        value = np.zeros(found.shape, found.dtype)
        found.read(value)
        attributes[name] = value
    return attributes


def _check_version(attributes: Mapping[str, NDArray[Any]]) -> None:
    kind = attributes.get("format")
    if kind is None or kind.shape or kind.item() != FORMAT.encode():
        raise LayoutError("is HDF5, but no feature store")
    version = attributes.get("format_version")
    if version is None or version.shape or version.item() != FORMAT_VERSION:
        made_by = attributes.get("featx_version", np.array(b"another version")).tobytes().rstrip(b"\0").decode()
        raise LayoutError(
            f"has format version {version}, written by featx {made_by}; this featx reads {FORMAT_VERSION}: "
            "use the featx that wrote it, or a newer one"
        )


def _places(h5: h5py.File, size: int) -> dict[str, Place]:
    places = {}
    for name in _names(h5):
        dataset = h5[name]
        if isinstance(dataset, h5py.Group) and name in GROUPS:
            continue
        if not isinstance(dataset, h5py.Dataset):
            raise LayoutError(f"has {name!r}, which is no dataset")
        place = Place(dataset.dtype, dataset.shape, dataset.id.get_offset() or 0)
        if place.nbytes and (dataset.id.get_create_plist().get_layout() != h5py.h5d.CONTIGUOUS or not place.offset):
            raise LayoutError(f"has {name!r}, which isn't contiguous")
        if place.offset + place.nbytes > size:
            raise LayoutError("is cut off")
        places[name] = place
    return places


def _names(h5: h5py.File) -> Iterable[str]:
    for prefix, group in (("", h5), *((f"{group}/", h5[group]) for group in GROUPS)):
        for name in group:
            # A soft or external link could lead anywhere.
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise LayoutError(f"has {prefix + name!r}, which is a link")
            yield prefix + name


def _check_members(
    found: Mapping[str, Place] | Mapping[str, NDArray[Any]], wanted: Mapping[str, Column], kind: str
) -> None:
    counts: dict[str, int] = {}
    for name, member in found.items():
        if name not in wanted:
            raise LayoutError(f"has the unknown {kind} {name!r}")
        column = wanted[name]
        shape = member.shape
        if column.count:
            if not shape or counts.setdefault(column.count, shape[0]) != shape[0]:
                raise LayoutError(f"has the {kind} {name!r} of shape {shape}, where others have {counts}")
            shape = shape[1:]
        fits = len(shape) == len(column.inner) and all(a in (b, None) for a, b in zip(column.inner, shape, strict=True))
        same = member.dtype.kind == TEXT if column.dtype == TEXT else member.dtype.str == column.dtype
        if not fits or not same:
            raise LayoutError(f"has the {kind} {name!r} of type {member.dtype.str} and shape {member.shape}")
    for name, column in wanted.items():
        if column.required and name not in found:
            raise LayoutError(f"lacks the {kind} {name!r}")
