"""Rows of an older or unfinished store that can be copied by digest."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.files import open_regular
from featx.store.disk import reason
from featx.store.format import LayoutError
from featx.store.layout import intact, scan
from featx.store.partial import partial_path
from featx.store.text import decode
from featx.words import counted

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredRows:
    """The finished, undamaged rows of a store.

    Parameters
    ----------
    path : Path
        The store, sealed or partial.
    root : str
        Folder of its images, as it was made.
    digests : (m, 32) uint8
        SHA-256 of the image files' bytes, sorted, unique.
    rows : (m,) int64
        Row of `features` for each digest.
    features : (n, d) float32
        All features of the file, done or not; read-only and mapped. They stay readable after the file is replaced.
    feature_shape : tuple of int
        Shape of one feature before it was flattened.
    views : (n, K, d) float32 or None
        Views of the images, as `features`; None in a store without.
    views_fingerprint : str
        Fingerprint of the views' spec; empty without views.
    """

    path: Path
    root: str
    digests: NDArray[np.uint8]
    rows: NDArray[np.int64]
    features: NDArray[np.float32]
    feature_shape: tuple[int, ...]
    views: NDArray[np.float32] | None = None
    views_fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def find(self, digests: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Look up digests (b, 32): their rows (b,) of `features`, -1 for unknown ones."""
        if not len(self):
            return np.full(len(digests), -1, np.int64)
        known, wanted = _keys(self.digests), _keys(digests)
        at = np.searchsorted(known, wanted).clip(max=len(known) - 1)
        return np.where(known[at] == wanted, self.rows[at], -1)


def fingerprint_of(path: Path) -> str | None:
    """Read the fingerprint of a feature store, sealed or partial, without its rows; None for any other file."""
    try:
        with open_regular(path) as file:
            return scan(file).text("fingerprint")
    except (LayoutError, OSError):
        return None


def views_spec_of(path: Path) -> str | None:
    """Read the JSON of the spec of a store's views, empty where it has none; None for any other file."""
    try:
        with open_regular(path) as file:
            layout = scan(file)
            return layout.text("views_spec") if layout.views else ""
    except (LayoutError, OSError):
        return None


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """An unfinished store of an interrupted run.

    Parameters
    ----------
    fingerprint, root : str
        As in `FeatureStore`.
    done : int
        Rows that are there.
    views_spec : str
        JSON of the spec of its views; empty without views.
    """

    fingerprint: str
    root: str
    done: int
    views_spec: str = ""


def unfinished(target: Path) -> Unfinished | None:
    """Describe the unfinished store of an interrupted run for a target; None if there is none."""
    try:
        with open_regular(partial_path(target)) as file:
            layout = scan(file)
            done = int(np.count_nonzero(layout.read(file.fileno(), "status")))
            return Unfinished(
                fingerprint=layout.text("fingerprint"),
                root=layout.text("root"),
                done=done,
                views_spec=layout.text("views_spec") if layout.views else "",
            )
    except (LayoutError, OSError):
        return None


def files_of(path: Path) -> list[tuple[str, int]]:
    """List the files whose rows a sealed or partial store has, by path and size in bytes; none if it can't be read."""
    try:
        with open_regular(path) as file:
            columns = scan(file).read_all(file)
    except (LayoutError, OSError):
        return []
    done = np.flatnonzero(columns["status"])
    return list(zip(np.array(decode(columns, "paths"), object)[done], columns["sizes"][done].tolist(), strict=True))


def rows_of(path: Path, *, fingerprint: str) -> StoredRows | None:
    """Collect the rows that can be copied from a sealed or partial store, of whatever images.

    Every row is read once and held against its checksum; damaged ones are left out.

    Parameters
    ----------
    path : Path
        A sealed store, or what `partial_path` gives.
    fingerprint : str
        Of the spec that the rows must have been made under.

    Returns
    -------
    StoredRows or None
        None where there is no such file, it can't be read, or it was made under another spec.
    """
    try:
        with open_regular(path) as file:
            layout = scan(file)
            if layout.text("fingerprint") != fingerprint:
                return None
            done = np.flatnonzero(layout.read(file.fileno(), "status")).astype(np.int64)
            good = intact(layout, file.fileno(), done)
            columns = layout.read_all(file)
    except FileNotFoundError:
        return None
    except (LayoutError, OSError) as error:
        said = reason(error) if isinstance(error, OSError) else error
        logger.warning("no rows can be copied from %s: %s", path, said)
        return None
    if not good.all():
        logger.warning(
            "%s: %s left out", path, counted(int(np.count_nonzero(~good)), "damaged row is", "damaged rows are")
        )
    rows = done[good]
    _, first = np.unique(_keys(columns["digests"][rows]), return_index=True)
    rows = rows[first]
    return StoredRows(
        path=path,
        root=layout.text("root"),
        digests=columns["digests"][rows],
        rows=rows,
        features=columns["features"],
        feature_shape=tuple(layout.attributes["feature_shape"].tolist()),
        views=columns.get("views"),
        views_fingerprint=layout.text("views_fingerprint") if "views" in columns else "",
    )


def _keys(digests: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """View digests (n, 32) as (n,) values that sort and compare as a whole."""
    return np.ascontiguousarray(digests).view("S32").reshape(-1)
