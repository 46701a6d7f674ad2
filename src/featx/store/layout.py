"""The layout of a feature store's file: created, scanned and changed through h5py.

h5py makes the structure and tells where the bytes lie; the bytes themselves go in and out by position. So nothing
waits in a buffer that a kill would lose, and a full disk is an error before the first row.
"""

# ruff: noqa: E402  (see below)

import functools
import itertools
import math
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

# As it is imported, h5py looks at all of `platform.uname()`, and for one part of it, the processor, Python runs the
# program `uname`: 7 ms, for what the system said already.
vars(platform.uname()).setdefault("processor", platform.machine())

import h5py
import numpy as np
from numpy.typing import NDArray

from featx.files import open_own
from featx.machine import memory_limit
from featx.store.disk import read_at, reserve, write_at
from featx.store.format import (
    BULK,
    FORMAT,
    GROUPS,
    TABLES,
    TEXT,
    LayoutError,
    check_members,
    checksums,
    views_checksums,
)

BLOCK_BYTES = 4 << 20
"""Features and views that are held in memory at once."""

# What h5py raises where the bytes it reads make no sense; which one depends on where they stop making sense.
_H5PY_ERRORS = (
    *(OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError),
    *(MemoryError, ArithmeticError),
)

# So that every dataset begins on a cache line, and no reader is handed misaligned floats.
_ALIGNMENT = 64

# More than the structure and the attributes take.
_STRUCTURE_BYTES = 128 << 10

# HDF5 keeps no attribute longer than this.
_LONGEST_ATTRIBUTE = 64 << 10
_LONGEST_TEXT = 2**20  # far above any path; a file with holes can announce more than a machine has


@dataclass(frozen=True)
class Place:
    """Position, type and shape of a dataset in the file."""

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
        """Length of the file in bytes, up to the end of its last dataset."""
        return max(place.offset + place.nbytes for place in self.places.values())

    @property
    def bulk(self) -> list[str]:
        """Names of the datasets that are mapped: the features, and the views where there are any."""
        return [name for name in BULK if name in self.places]

    @property
    def views(self) -> int:
        """Number of views of each image; 0 in a store without."""
        return self.places["views"].shape[1] if "views" in self.places else 0

    def text(self, name: str) -> str:
        """Return a text attribute that is always UTF-8."""
        return bytes(self.attributes[name].item()).decode("utf-8", "replace")

    def read(self, fd: int, name: str, *, first: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Read the rows of a dataset from `first` to before `stop`, as a read-only array in memory."""
        place = self.places[name]
        count = (place.shape[0] if stop is None else stop) - first
        data = read_at(fd, count * place.row_nbytes, place.offset + first * place.row_nbytes)
        return np.frombuffer(data, place.dtype).reshape(count, *place.shape[1:])

    def read_rows(self, fd: int, name: str, block: NDArray[np.int64]) -> NDArray[Any]:
        """Read the rows of one block that `blocks` gave."""
        first = int(block[0])
        return self.read(fd, name, first=first, stop=int(block[-1]) + 1)[block - first]

    def blocks(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Split sorted rows into blocks whose features and views span no more than a few megabytes of the file."""
        span = max(1, BLOCK_BYTES // max(1, sum(self.places[name].row_nbytes for name in self.bulk)))
        while len(rows):
            stop = int(np.searchsorted(rows, rows[0] + span))
            yield rows[:stop]
            rows = rows[stop:]

    def read_all(self, file: BinaryIO) -> dict[str, NDArray[Any]]:
        """Read every dataset: features and views as read-only maps (arrays where they are empty), others in memory."""
        held = sum(place.nbytes for name, place in self.places.items() if name not in BULK)
        on_disk = 512 * os.fstat(file.fileno()).st_blocks
        if held > max(on_disk, memory_limit() // 2):  # a file with holes can announce more than there is memory
            raise LayoutError(
                f"claims to have {held / 1e9:,.1f} GB beside its features, but has only {on_disk / 1e9:,.1f} GB on disk"
            )
        columns = {name: self.read(file.fileno(), name) for name in self.places if name not in BULK}
        for name in self.bulk:
            place = self.places[name]
            columns[name] = (
                np.memmap(file, place.dtype, "r", place.offset, place.shape)
                if place.nbytes
                else self.read(file.fileno(), name)
            )
        return columns


def create(
    path: Path,
    *,
    attributes: Mapping[str, NDArray[Any]],
    columns: Mapping[str, NDArray[Any]],
    width: int,
    views: int = 0,
) -> Layout:
    """Write a file with everything but the features and views, and reserve their space.

    Parameters
    ----------
    path : Path
        Replaced where it is there.
    attributes, columns : mapping of str to array
        By name, as in the tables of `featx.store.format`.
    width : int
        Length d of a feature.
    views : int
        Number K of views of each image.

    Returns
    -------
    Layout
        Where everything lies.

    Raises
    ------
    OSError
        The file can't be made, or there is no space for it.
    """
    n = len(columns["paths"])
    size = n * (1 + views) * width * 4 + sum(column.nbytes for column in columns.values())
    path.unlink(missing_ok=True)  # a link would be followed
    with path.open("xb", buffering=0) as file:
        # HDF5 gives up its file without a clear error where it can't grow: find out before.
        os.ftruncate(file.fileno(), size + _STRUCTURE_BYTES)
        reserve(file.fileno(), size + _STRUCTURE_BYTES, tail=0)
    with h5py.File(path, "w", libver="earliest", locking=False, alignment_interval=_ALIGNMENT) as file:
        for name, value in sorted(attributes.items()):
            file.attrs.create(name, value, dtype=_stored(value.dtype))
        for group in GROUPS:
            file.create_group(group)
        # Features and views come last: all that is read at opening lies together at the beginning.
        for name in sorted(columns):
            _create_dataset(file, name, columns[name].dtype, columns[name].shape)
        _create_dataset(file, "features", np.dtype("<f4"), (n, width))
        if views:
            _create_dataset(file, "views", np.dtype("<f4"), (n, views, width))
    with open_own(path) as file:
        layout = scan(file)
        unwritten = [layout.places[name].offset for name in layout.bulk if layout.places[name].nbytes]
        reserve(file.fileno(), layout.size, tail=layout.size - min(unwritten, default=layout.size))
        for name, column in columns.items():
            write_at(file.fileno(), column, layout.places[name].offset)
        os.fsync(file.fileno())
    return layout


def scan(file: BinaryIO) -> Layout:
    """Read the layout of an open file, and check it against the format.

    h5py is given the open file and not its name, so that what is read later through the same file is the same file,
    whatever has replaced it meanwhile, and so that HDF5's own locks are not needed.

    Raises
    ------
    LayoutError
        It isn't HDF5, or not laid out as a format that this featx knows.
    """
    if os.pread(file.fileno(), 8, 0) != b"\x89HDF\r\n\x1a\n":
        raise LayoutError("is not an HDF5 file")
    size = os.fstat(file.fileno()).st_size
    try:
        with h5py.File(file, "r") as h5:
            attributes = _attributes(h5)
            attribute_table, dataset_table = TABLES[_version(attributes)]
            places = _places(h5, size)
    except LayoutError:
        raise
    except _H5PY_ERRORS as error:
        raise LayoutError("is cut off or damaged") from error
    check_members(attributes, attribute_table, "attribute")
    check_members(places, dataset_table, "dataset")
    if "views" in places and places["views"].shape[2] != places["features"].shape[1]:
        raise LayoutError("has views of another length than its features")
    return Layout(attributes, places)


def modify(path: Path, values: Mapping[str, NDArray[Any]]) -> None:
    """Change attributes in place; their types and shapes stay, so a kill can't harm the file's structure."""
    with h5py.File(path, "r+", locking=False) as file:
        for name, value in values.items():
            file.attrs.modify(name, value.astype(file.attrs.get_id(name).dtype))


def intact(layout: Layout, fd: int, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Compare rows, given sorted, with their checksums, in blocks of a few megabytes; True where they agree."""
    good = np.zeros(len(rows), np.bool_)
    first = 0
    for block in layout.blocks(rows):
        names = ("features", "digests", "sizes", "mtimes_ns", "checksums")
        read = {name: layout.read_rows(fd, name, block) for name in names}
        found = checksums(read["features"], read["digests"], read["sizes"], read["mtimes_ns"])
        same = (found == read["checksums"]).all(axis=1)
        if layout.views:
            views = layout.read_rows(fd, "views", block)
            expected = layout.read_rows(fd, "views_checksums", block)
            same &= (views_checksums(views, read["digests"]) == expected).all(axis=1)
        good[first : first + len(block)] = same
        first += len(block)
    return good


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


def _attributes(h5: h5py.File) -> dict[str, NDArray[Any]]:
    attributes = {}
    for name in h5.attrs:
        found = h5.attrs.get_id(name)
        dtype, shape = found.dtype, found.shape
        if not _is_plain(found, dtype) or math.prod(shape) * dtype.itemsize > _LONGEST_ATTRIBUTE:
            raise LayoutError(f"has the attribute {name!r} of an unknown type")
        value = np.zeros(shape, dtype)
        found.read(value)
        attributes[name] = value
    return attributes


def _version(attributes: Mapping[str, NDArray[Any]]) -> int:
    """Find the version of the format; refuse what is no feature store, or one of another version."""
    kind = attributes.get("format")
    if kind is None or kind.shape or kind.item() != FORMAT.encode():
        raise LayoutError("is an HDF5 file, but not a feature store")
    version = attributes.get("format_version")
    if version is None or version.shape or version.item() not in TABLES:
        made_by = attributes.get("featx_version", np.array(b"another version")).tobytes().rstrip(b"\0").decode()
        raise LayoutError(
            f"has format version {version}, written by featx {made_by}, but this featx reads only versions "
            f"{' and '.join(map(str, TABLES))}: use the version of featx that wrote it, or a newer one"
        )
    return int(version)


def _places(h5: h5py.File, size: int) -> dict[str, Place]:
    places = {}
    for name in _names(h5):
        member = h5py.h5o.open(h5.id, name.encode())
        if h5py.h5a.get_num_attrs(member):
            raise LayoutError(f"has attributes of {name!r}, where only the root group has any")
        if isinstance(member, h5py.h5g.GroupID) and name in GROUPS:
            continue
        if not isinstance(member, h5py.h5d.DatasetID):
            raise LayoutError(f"has {name!r}, which is no dataset")
        dtype = member.dtype
        if not _is_plain(member, dtype):
            raise LayoutError(f"has {name!r} of an unknown type")
        if dtype.kind == TEXT and dtype.itemsize > _LONGEST_TEXT:
            raise LayoutError(f"has {name!r} with texts of {dtype.itemsize:,} bytes, which is too long")
        place = Place(dtype, member.shape, member.get_offset() or 0)
        creation = member.get_create_plist()
        contiguous = creation.get_layout() == h5py.h5d.CONTIGUOUS and bool(place.offset or not place.nbytes)
        if not contiguous or creation.get_nfilters() or creation.get_external_count():
            raise LayoutError(f"has {name!r}, which isn't contiguous")
        if place.offset + place.nbytes > size:
            raise LayoutError("is cut off")
        places[name] = place
    _check_apart(places)
    return places


def _is_plain(member: h5py.h5d.DatasetID | h5py.h5a.AttrID, dtype: np.dtype[Any]) -> bool:
    """Tell whether a member is stored as the plain text or numbers that numpy's code names, alike for any reader."""
    if dtype.kind not in "Siuf" or member.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        return False
    return bool(member.get_type().equal(_type(dtype.str)))


@functools.lru_cache
def _type(code: str) -> h5py.h5t.TypeID:
    return h5py.h5t.py_create(_stored(np.dtype(code)), logical=True)


def _check_apart(places: Mapping[str, Place]) -> None:
    """Refuse datasets that share bytes."""
    in_order = sorted((place.offset, place.offset + place.nbytes, name) for name, place in places.items())
    taken = [one for one in in_order if one[0] < one[1]]
    for (_, stop, name), (first, _, other) in itertools.pairwise(taken):
        if first < stop:
            raise LayoutError(f"has {name!r} and {other!r} at the same place in the file")


def _names(h5: h5py.File) -> Iterable[str]:
    for prefix, group in (("", h5), *((f"{group}/", h5[group]) for group in GROUPS)):
        for name in group:
            # A soft or external link could lead anywhere.
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise LayoutError(f"has {prefix + name!r}, which is a link")
            yield prefix + name
