"""Images of a feature store as a notebook shows them: thumbnails with class and path."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from featx.errors import UsageError
from featx.manifest import outside
from featx.notebook import escaped
from featx.pipeline.evaluation.thumbnails import SIDE, Thumbnailer
from featx.store import FeatureStore, open_store
from featx.words import counted

FIRST = 24
"""Images that are shown where none are named."""

MOST = 500
"""Images that are shown at most: a notebook keeps every thumbnail."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Gallery:
    """Thumbnails of images of a feature store, with the class and the path of each.

    Parameters
    ----------
    store : Path
        The store.
    rows : tuple of int, length n
        Its rows that are shown.
    labels : tuple of str, length n
        Names of their classes; empty for an image without a label.
    paths : tuple of str, length n
        As in the store.
    thumbnails : mapping of str to bytes
        A JPEG file for each path whose image is still the one that was extracted.
    missing : mapping of str to str
        For every other path a few words: why there is no thumbnail.
    note : str
        A sentence about rows that were left out; empty where none were.
    """

    store: Path
    rows: tuple[int, ...]
    labels: tuple[str, ...]
    paths: tuple[str, ...]
    thumbnails: Mapping[str, bytes]
    missing: Mapping[str, str]
    note: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        without = f", {len(self.missing):,} without a picture" if self.missing else ""
        return f"<Gallery of {counted(len(self), 'image')} of {self.store.name}{without}>"

    def _repr_html_(self) -> str:
        images = zip(self.rows, self.labels, self.paths, strict=True)
        figures = "".join(self._figure(row, label or "no label", path) for row, label, path in images)
        note = f"<p>{escaped(self.note)}</p>" if self.note else ""
        return f"<div style='display:flex;flex-wrap:wrap;gap:12px'>{figures}</div>{note}"

    def _figure(self, row: int, label: str, path: str) -> str:
        title = escaped(f"row {row}: {path}")
        if path in self.thumbnails:
            data = base64.b64encode(self.thumbnails[path]).decode("ascii")
            style = f"max-width:{SIDE}px;max-height:{SIDE}px;margin:0"
            picture = f"<img style='{style}' alt='{title}' src='data:image/jpeg;base64,{data}'>"
        else:
            picture = f"<span style='opacity:.7'>{escaped(self.missing[path])}</span>"
        frame = (
            f"display:flex;align-items:center;justify-content:center;height:{SIDE}px;background:rgba(128,128,128,.1)"
        )
        return (
            f"<figure style='margin:0;width:{SIDE}px' title='{title}'><div style='{frame}'>{picture}</div>"
            f"<figcaption style='line-height:1.3;overflow-wrap:anywhere'><b>{escaped(label)}</b><br>"
            f"<small>{escaped(path)}</small></figcaption></figure>"
        )


def show(
    store: FeatureStore | Path | str, rows: ArrayLike | slice | None = None, *, show_outside: bool = False
) -> Gallery:
    """Show images of a feature store in a notebook, as thumbnails with class and path.

    Only an image that is still the one that was extracted is shown; a few words stand in place of any other. Thumbnails
    are made by processes of their own, so a broken file costs no more than its own picture.

    Parameters
    ----------
    store : FeatureStore or path
        The store.
    rows : (n,) int, (len(store),) bool or slice, optional
        Rows to show, in this order; by default the first 24. At most 500 are shown.
    show_outside : bool
        Show images outside the folder of the data too, which links or a CSV lead to. A notebook is often shared, and
        they may be anybody's.

    Returns
    -------
    Gallery
        A notebook shows it where it is the last line of a cell, or by ``display(...)``.

    Raises
    ------
    UsageError
        Rows that the store doesn't have.
    StoreError
        `store` is no whole feature store.

    Examples
    --------
    >>> featx.show(store, store.labels == store.classes.index("cat"))
    """
    store = store if isinstance(store, FeatureStore) else open_store(store)
    chosen = _chosen(rows, len(store))
    shown = chosen[:MOST]
    paths = [store.paths[row] for row in shown.tolist()]
    elsewhere = frozenset() if show_outside else outside(store.folder, paths, also=_whole(store))
    digests = {path: store.digests[row].tobytes() for path, row in zip(paths, shown.tolist(), strict=True)}
    thumbnails: dict[str, bytes] = {}
    if wanted := [path for path in paths if path not in elsewhere]:
        with Thumbnailer() as thumbnailer:
            thumbnails = thumbnailer.thumbnails(store.folder, wanted, digests=digests)
    labels = store.labels[shown].tolist()
    left_out = len(chosen) - len(shown)
    return Gallery(
        store=store.path,
        rows=tuple(shown.tolist()),
        labels=tuple(store.classes[label] if label >= 0 else "" for label in labels),
        paths=tuple(paths),
        thumbnails=thumbnails,
        missing=_missing(paths, thumbnails, elsewhere),
        note=f"these are the first {MOST} of {len(chosen):,} images; choose fewer rows to see the others"
        if left_out
        else "",
    )


def _whole(store: FeatureStore) -> list[str]:
    """Give the folder of whose splits a store holds one: images of another split are of the same data."""
    return [store.source] if store.folder.is_relative_to(store.source) else []


def _missing(paths: Sequence[str], thumbnails: Mapping[str, bytes], elsewhere: frozenset[str]) -> dict[str, str]:
    return {
        path: "outside the data folder: show_outside=True shows it"
        if path in elsewhere
        else "missing, or changed since"
        for path in paths
        if path not in thumbnails
    }


def _chosen(rows: ArrayLike | slice | None, count: int) -> NDArray[np.int64]:
    """Give the rows that are meant, as numbers from 0.

    Raises
    ------
    UsageError
        There are no such rows.
    """
    every = np.arange(count)
    if rows is None:
        return every[:FIRST]
    if isinstance(rows, slice):
        return every[rows]
    wanted: NDArray[Any] = np.atleast_1d(np.asarray(rows))
    if not wanted.size:
        return every[:0]
    try:
        if wanted.ndim != 1 or wanted.dtype.kind not in "iub":
            raise IndexError(f"{wanted.dtype} of shape {wanted.shape}")
        found: NDArray[np.int64] = every[wanted]
    except IndexError as error:
        raise UsageError(
            f"rows must be numbers from 0 to {count - 1}, or a mask of {count} values True or False: {error}"
        ) from error
    return found
