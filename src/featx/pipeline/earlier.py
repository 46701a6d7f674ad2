"""What earlier work has left at a target, and which of its rows hold for the images that are there now."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from featx.errors import SpecMismatch, StoreError
from featx.manifest import Failure, Manifest
from featx.spec import ExtractionSpec
from featx.store import FeatureStore, StoredRows, open_store, partial_path, rows_of


class KnownRows:
    """Features that can be copied because their image's content is known: from one file or several.

    Parameters
    ----------
    sources : sequence of StoredRows
        Each with the features (n, d) float32 of some digests.
    """

    def __init__(self, *sources: StoredRows) -> None:
        self._sources = sources

    @cached_property
    def digests(self) -> NDArray[np.uint8]:
        """Digests (k, 32) uint8 of the images whose features are known."""
        return np.concatenate([np.empty((0, 32), np.uint8), *(source.digests for source in self._sources)])

    def copy(self, digests: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Which of these digests (b, 32) are known, (b,) bool, and the features of those, (k, d) float32."""
        known = np.zeros(len(digests), bool)
        features = np.empty((len(digests), 0), np.float32)
        for source in self._sources:
            rows = source.find(digests)
            features = np.resize(features, (len(digests), source.features.shape[1])) if not features.size else features
            fresh = ~known & (rows >= 0)
            features[fresh] = source.features[rows[fresh]]
            known |= fresh
        return known, features[known]


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """The sealed store that a run replaces, matched with the images of now.

    Parameters
    ----------
    target : Path
        Where it stands.
    store : FeatureStore or None
        None where there was none, or where it is to be overwritten unseen.
    slots, rows : (m,) int64
        Images whose file is unchanged (path, size and modification time), and their rows in `store`.
    failures : dict of str to Failure
        Images that failed before, by path, and whose file is unchanged: reading them again would tell nothing new.
    unchanged : bool
        Whether the store is already what a run would make.
    """

    target: Path
    store: FeatureStore | None = None
    slots: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    failures: dict[str, Failure] = field(default_factory=dict)
    unchanged: bool = False

    @classmethod
    def at(cls, target: Path, images: Manifest, spec: ExtractionSpec, *, overwrite: bool) -> Self:
        """Look at what stands at a target.

        Raises
        ------
        StoreError
            It is no store, or one of another folder, or one that would lose most of its rows.
        SpecMismatch
            It was made under another spec.
        """
        if overwrite or not target.exists():
            return cls(target=target)
        store = _open(target, images, spec)
        return cls._match(store, images)

    @classmethod
    def _match(cls, store: FeatureStore, images: Manifest) -> Self:
        sizes, mtimes = images.sizes.tolist(), images.mtimes_ns.tolist()
        now = {path: (size, mtime) for path, size, mtime in zip(images.paths, sizes, mtimes, strict=True)}
        then = zip(store.paths, store.sizes.tolist(), store.mtimes_ns.tolist(), strict=True)
        row_of = {path: row for row, (path, size, mtime) in enumerate(then) if now.get(path) == (size, mtime)}
        failures = {
            failure.path: failure
            for failure in store.failures
            if now.get(failure.path) == (failure.size, failure.mtime_ns)
        }
        _refuse_loss(store, images, now)
        slots = [slot for slot, path in enumerate(images.paths) if path in row_of]
        return cls(
            target=store.path,
            store=store,
            slots=np.array(slots, np.int64),
            rows=np.array([row_of[images.paths[slot]] for slot in slots], np.int64),
            failures=failures,
            unchanged=len(slots) + len(failures) == len(images)
            and len(slots) == len(store)
            and len(failures) == len(store.failures)
            and _same_names(store, images, slots),
        )

    @property
    def digests(self) -> NDArray[np.uint8]:
        """Digests (m, 32) uint8 of the unchanged files, as they were read."""
        return np.empty((0, 32), np.uint8) if self.store is None else self.store.digests[self.rows]

    def known(self, spec: ExtractionSpec) -> KnownRows:
        """Every sound row that the store or an unfinished run there holds; none of a store to be overwritten."""
        places = [partial_path(self.target)] + ([] if self.store is None else [self.target])
        found = (rows_of(place, fingerprint=spec.fingerprint) for place in places)
        return KnownRows(*(rows for rows in found if rows is not None))


def taken(target: Path, images: Manifest, spec: ExtractionSpec) -> bool:
    """Whether something stands at a target that a run of these images under this spec may not replace."""
    if not target.exists():
        return False
    try:
        _open(target, images, spec)
    except StoreError:
        return True
    return False


def _open(target: Path, images: Manifest, spec: ExtractionSpec) -> FeatureStore:
    """Open the store of the same images under the same spec; anything else is refused."""
    advice = "overwrite replaces it (--overwrite), or choose another name (--out)"
    try:
        store = open_store(target)
    except StoreError as error:
        raise StoreError(f"{error}; {advice}") from error
    if differences := spec.differences(store.spec):
        raise SpecMismatch(f"{target} was made under another spec; {advice}", differences)
    if Path(store.root) != images.root:
        raise StoreError(f"{target} holds the images of {store.root}, not of {images.root}; {advice}")
    return store


def _same_names(store: FeatureStore, images: Manifest, slots: list[int]) -> bool:
    """Whether labels, classes, groups and split are still the same; the order of unchanged paths never differs."""
    groups = None if images.groups is None else [images.groups[slot] for slot in slots]
    return (
        tuple(store.classes) == images.classes
        and np.array_equal(store.labels, images.labels[slots])
        and (None if store.groups is None else list(store.groups)) == groups
        and store.split == images.split
    )


def _refuse_loss(store: FeatureStore, images: Manifest, now: dict[str, tuple[int, int]]) -> None:
    """Refuse to replace a store most of whose images are gone, as they are when a folder isn't mounted."""
    files = set(now.values())
    then = zip(store.paths, store.sizes.tolist(), store.mtimes_ns.tolist(), strict=True)
    lost = sum(path not in now and (size, mtime) not in files for path, size, mtime in then)
    if lost > len(store) / 2:
        raise StoreError(
            f"{lost} of the {len(store)} images of {store.path} are no longer in {images.root} (is a folder not "
            "mounted?); overwrite drops their rows (--overwrite), or choose another name (--out)"
        )
