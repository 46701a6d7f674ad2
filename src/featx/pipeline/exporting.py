"""Export of a feature store to a file for other programs, in blocks of rows."""

import contextlib
import csv
import importlib.util
import io
import logging
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from featx.errors import StoreError, UsageError
from featx.files import whole
from featx.pipeline.naming import export_path
from featx.pipeline.spreadsheets import safe_text

if TYPE_CHECKING:
    from featx.store import FeatureStore

logger = logging.getLogger(__name__)

Format = Literal["parquet", "npz", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)

BLOCK_BYTES = 16 << 20
"""Features held in memory at once; a row group of a parquet file."""


def export(
    store: "FeatureStore | Path | str",
    *,
    to: Format,
    out: Path | str | None = None,
    overwrite: bool = False,
    safe_csv: bool = False,
) -> Path:
    """Write a store's features, with paths, labels, split and groups, to a file for other programs.

    Every row is held against its checksum on its way. The file appears under its name when it is whole.

    Parameters
    ----------
    store : FeatureStore or path
        What to write.
    to : {"parquet", "npz", "csv"}
        ``parquet``: columns path, label, split and group where there are any, digest, and features as one column of
        lists of equal length; views, where there are any, as another, K times as long. ``npz``: arrays named as the
        attributes of `FeatureStore`, views and their spec among them. ``csv``: the columns of parquet but the views,
        with a column for each element of the feature (``feature_0``, ...), in nine digits, which are exact for float32;
        that views are left out is logged.
    out : path, optional
        File or folder; ``artifacts/exports/<store>.<format>`` by default.
    overwrite : bool
        Replace a file that is there.
    safe_csv : bool
        Put an apostrophe before paths and names in a csv which a spreadsheet would take for formulas; numbers stay as
        they are.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UsageError
        No such format, ``parquet`` without pyarrow, or `safe_csv` with another format than csv.
    StoreError
        `store` is no whole feature store or has damaged rows, the file is there already, or it can't be written.

    Notes
    -----
    A path is bytes, and need not be UTF-8. In csv its bytes stand as they are; in parquet, whose text must be UTF-8,
    the column has U+FFFD for them and a second one, named ``..._raw``, the bytes of every row; in npz they are
    surrogate escapes, as in `FeatureStore.paths` (`os.fsencode` gives the bytes).
    """
    from featx.store import open_store

    if to not in FORMATS:
        raise UsageError(f"`to={to}` is unknown; choose one of {', '.join(FORMATS)}")
    if (needed := _NEEDS.get(to)) and importlib.util.find_spec(needed) is None:
        raise UsageError(f"`to={to}` needs {needed}, which is not installed: run `pip install 'featx[{to}]'`")
    if safe_csv and to != "csv":
        raise UsageError(f"`safe_csv=True` works only with `to=csv`, not with `to={to}`: leave it out")
    store = open_store(store) if isinstance(store, Path | str) else store
    target = export_path(store.path, to=to, out=None if out is None else Path(out))
    if not overwrite:
        _refuse_present(target)
    with _new_file(target, overwrite=overwrite) as file:
        if safe_csv:
            _write_csv(file, store, safe=True)
        else:
            _WRITERS[to](file, store)
    return target


def _refuse_present(target: Path) -> None:
    if os.path.lexists(target):
        raise StoreError(
            f"{target} already exists; replace it with `overwrite=True`, or choose another name with `out`"
        )


@contextlib.contextmanager
def _new_file(target: Path, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """Open a file that gets its name once it is written to the end, and is removed otherwise."""
    try:
        with whole(target) as file:
            yield file
            if not overwrite:
                _refuse_present(target)
    except OSError as error:
        raise StoreError(
            f"{target} can't be written: {error.strerror or error}; choose another place with `out`, or free some space"
        ) from error


def _parts(store: "FeatureStore", width: int) -> Iterator[slice]:
    """Cut the rows into parts of a few megabytes of `width` numbers each."""
    rows = max(1, BLOCK_BYTES // (4 * width))
    for start in range(0, len(store), rows):
        yield slice(start, min(start + rows, len(store)))


def _blocks(store: "FeatureStore") -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield the rows in order and checked, a few megabytes at once."""
    from featx.store.format import checksums

    for part in _parts(store, store.features.shape[1]):
        features = np.array(store.features[part])
        found = checksums(features, store.digests[part], store.sizes[part], store.mtimes_ns[part])
        _refuse_damaged(store, part, found, store.checksums)
        yield part, features


def _checked_views(store: "FeatureStore", part: slice) -> NDArray[np.float32]:
    """Read the views of some rows, held against their checksums."""
    from featx.store.format import views_checksums

    assert store.views is not None
    assert store.views_checksums is not None
    views = np.array(store.views[part])
    _refuse_damaged(store, part, views_checksums(views, store.digests[part]), store.views_checksums)
    return views


def _refuse_damaged(store: "FeatureStore", part: slice, found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> None:
    if len(bad := np.flatnonzero((found != expected[part]).any(axis=1))):
        raise StoreError(
            f"{store.path} is damaged: row {part.start + bad[0]} has changed since it was written; `featx verify` "
            "finds all such rows, and repairs them with `repair=True`"
        )


def _columns(store: "FeatureStore") -> dict[str, Callable[[slice], list[str] | list[str | None]]]:
    """Make the columns of text: for each name, a function that gives a slice of it."""
    names = [*store.classes, None]
    columns: dict[str, Callable[[slice], list[str] | list[str | None]]] = {
        "path": lambda part: list(store.paths[part]),
        "label": lambda part: [names[label] for label in store.labels[part]],
    }
    if (split := store.split) is not None:
        columns["split"] = lambda part: [split] * len(store.labels[part])
    if (groups := store.groups) is not None:
        columns["group"] = lambda part: list(groups[part])
    columns["digest"] = lambda part: [bytes(digest).hex() for digest in store.digests[part]]
    return columns


def _write_csv(file: IO[bytes], store: "FeatureStore", *, safe: bool = False) -> None:
    columns, width = _columns(store), store.features.shape[1]
    if store.views_spec is not None:
        logger.warning(
            "the %d views of each image are left out of the csv: parquet and npz hold them", store.views_spec.count
        )
    # All text in quotes: a path may hold commas, quotes and line ends of every kind.
    text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="", write_through=True)
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow([*columns, *(f"feature_{i}" for i in range(width))])
    numbers = ",%.9g" * width + "\n"
    line = io.StringIO()
    quoted = csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="")
    for part, features in _blocks(store):
        for words, feature in zip(zip(*(give(part) for give in columns.values()), strict=True), features, strict=True):
            quoted.writerow(map(safe_text, words) if safe else words)
            text.write(line.getvalue() + numbers % tuple(feature.tolist()))
            line.seek(0)
            line.truncate()
    text.detach()


def _write_npz(file: IO[bytes], store: "FeatureStore") -> None:
    with zipfile.ZipFile(file, "w") as archive:
        with _member(archive, "features", store.features.dtype, store.features.shape) as member:
            for _, features in _blocks(store):
                member.write(features.data)
        if store.views is not None:
            with _member(archive, "views", store.views.dtype, store.views.shape) as member:
                for part in _parts(store, store.views.shape[1] * store.views.shape[2]):
                    member.write(_checked_views(store, part).data)
        for name in ("labels", "digests"):
            values = getattr(store, name)
            with _member(archive, name, values.dtype, values.shape) as member:
                member.write(np.ascontiguousarray(values).data)
        _write_text(archive, "paths", store.paths)
        _write_text(archive, "classes", store.classes)
        if store.groups is not None:
            _write_text(archive, "groups", store.groups)
        views = None if store.views_spec is None else store.views_spec.to_json()
        for name, value in (("split", store.split), ("spec", store.spec.to_json()), ("views_spec", views)):
            if value is not None:
                _write_text(archive, name, [value], shape=())


@contextlib.contextmanager
def _member(archive: zipfile.ZipFile, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Iterator[IO[bytes]]:
    """Open an array of an ``.npz`` for writing in parts; `numpy.savez` would need all of it in memory."""
    # ZipInfo has no time of its own, so the same store gives the same file.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, header)
        yield member


def _write_text(
    archive: zipfile.ZipFile, name: str, values: Sequence[str], *, shape: tuple[int, ...] | None = None
) -> None:
    dtype = np.dtype(f"<U{max(map(len, values), default=0) or 1}")
    rows = max(1, BLOCK_BYTES // dtype.itemsize)
    with _member(archive, name, dtype, (len(values),) if shape is None else shape) as member:
        for start in range(0, len(values), rows):
            member.write(np.array(values[start : start + rows], dtype).tobytes())


def _write_parquet(file: IO[bytes], store: "FeatureStore") -> None:
    import pyarrow as pa
    import pyarrow.parquet

    # One column of lists and not one for each element: a spatial feature has 100,000, and of 2,048 columns each row
    # group keeps statistics and a place of its own, so that writing took 2.4 times and reading 1.6 times as long.
    columns, width = _columns(store), store.features.shape[1]
    raw = {name for name in columns if any(not _is_text(value) for value in columns[name](slice(None)))}
    kinds: dict[str, Any] = {}
    for name in columns:
        kinds[name] = pa.dictionary(pa.int32(), pa.string()) if name in ("label", "split") else pa.string()
        if name in raw:
            kinds[f"{name}_raw"] = pa.binary()
    kinds["features"] = pa.list_(pa.float32(), width)
    about = {"featx": store.featx_version, "spec": store.spec.to_json(), "fingerprint": store.fingerprint}
    if store.views_spec is not None:
        kinds["views"] = pa.list_(pa.float32(), width * store.views_spec.count)
        about["views_spec"] = store.views_spec.to_json()
    schema = pa.schema(list(kinds.items()), metadata=about)
    with pyarrow.parquet.ParquetWriter(
        file, schema, compression="zstd", use_dictionary=[name for name in kinds if name not in ("features", "views")]
    ) as writer:
        for part, features in _blocks(store):
            arrays: dict[str, Any] = {}
            for name, give in columns.items():
                values = give(part)
                arrays[name] = pa.array([_readable(value) for value in values]).cast(kinds[name])
                if name in raw:
                    arrays[f"{name}_raw"] = pa.array(
                        [None if value is None else os.fsencode(value) for value in values], pa.binary()
                    )
            arrays["features"] = pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), width)
            if store.views_spec is not None:
                views = _checked_views(store, part).reshape(-1)
                arrays["views"] = pa.FixedSizeListArray.from_arrays(pa.array(views), width * store.views_spec.count)
            writer.write_table(pa.table(list(arrays.values()), schema=schema))


def _is_text(value: str | None) -> bool:
    return value is None or value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)


def _readable(value: str | None) -> str | None:
    return value if value is None or _is_text(value) else os.fsencode(value).decode("utf-8", "replace")


_WRITERS: dict[Format, "Callable[[IO[bytes], FeatureStore], None]"] = {
    "parquet": _write_parquet,
    "npz": _write_npz,
    "csv": _write_csv,
}

_NEEDS: dict[Format, str] = {"parquet": "pyarrow"}
"""Package that a format needs and that featx doesn't require; the extra has the format's name."""
