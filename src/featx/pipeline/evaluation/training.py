"""The feature store that a model was fitted on, where it still is the one."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError
from featx.files import moved
from featx.model import Model
from featx.store import FeatureStore, open_store


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """The images that a model was fitted on.

    Parameters
    ----------
    store : FeatureStore
        The store.
    rows : (n,) int64
        Its rows that the model was fitted on, in the model's order.
    """

    store: FeatureStore
    rows: NDArray[np.int64]

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of the images, relative to the root of the store."""
        return tuple(self.store.paths[row] for row in self.rows)

    def seen_from(self, root: str) -> tuple[str, ...]:
        """Paths of the images as seen from a folder."""
        below = os.path.relpath(self.store.folder, root)
        return tuple(os.path.normpath(Path(below, path)) for path in self.paths)


@dataclass(frozen=True, kw_only=True)
class Missing:
    """The training store isn't there.

    Parameters
    ----------
    reason : str
        One clause for people: it is gone, or another one now.
    """

    reason: str


def training_of(model: Model) -> Training | Missing:
    """Open the store that a model was fitted on."""
    recorded = Path(model.origin.path)
    beside = [] if model.file is None else moved(recorded, near=model.file)
    found = False
    for path in (recorded, *beside):
        try:
            store = open_store(path)
        except FeatxError:
            continue
        found = True
        if (rows := _fitted_rows(model, store)) is not None:
            return Training(store=store, rows=rows)
    return Missing(
        reason=f"the training store {recorded.name} {'was replaced by another one' if found else 'is missing'}"
    )


def _fitted_rows(model: Model, store: FeatureStore) -> NDArray[np.int64] | None:
    """Find the rows of a store that a model was fitted on; None where it isn't the store.

    Extracted again after its images were moved, it has other paths and times, and the same images.
    """
    rows = _rows_of(keys(model.digests), keys(store.digests))
    if rows is None or store.content_digest == model.origin.content_digest:
        return rows
    same = store.spec.fingerprint == model.spec.fingerprint and len(rows) == np.count_nonzero(store.labels >= 0)
    return rows if same else None


def keys(digests: NDArray[np.uint8]) -> list[bytes]:
    """Digests (n, 32) uint8 as n values to look up by."""
    data = np.ascontiguousarray(digests).tobytes()
    return [data[start : start + 32] for start in range(0, len(data), 32)]


def _rows_of(wanted: list[bytes], stored: list[bytes]) -> NDArray[np.int64] | None:
    """Rows of a store that a model was fitted on: it takes them in their order and may leave some out."""
    rows, at = [], 0
    for key in wanted:
        while at < len(stored) and stored[at] != key:
            at += 1
        if at == len(stored):
            return None
        rows.append(at)
        at += 1
    return np.array(rows, np.int64)
