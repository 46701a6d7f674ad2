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
from featx.store import FeatureStore, open_store


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """The sealed store that a run replaces, matched with the images of now.

    Parameters
    ----------
    store : FeatureStore or None
        None where there was none, or where it is to be overwritten unseen.
    slots, rows : (m,) int64
        Images whose file is unchanged (path, size and modification time), and their rows in `store`.
    failures : dict of str to Failure
        Images that failed before, by path, and whose file is unchanged: reading them again would tell nothing new.
    unchanged : bool
        Whether the store is already what a run would make.
    """

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
            return cls()
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
    def feature_shape(self) -> tuple[int, ...] | None:
        """Shape of one feature before it was flattened, where a store tells it."""
        return None if self.store is None else self.store.feature_shape

    @property
    def digests(self) -> NDArray[np.uint8] | None:
        """Digests (n, 32) uint8 of the images whose rows can be copied, wherever they lie now."""
        return None if self.store is None else np.asarray(self.store.digests)

    @cached_property
    def _by_digest(self) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        assert self.store is not None
        keys = _as_keys(np.asarray(self.store.digests))
        order = np.argsort(keys, kind="stable")
        return keys[order], order

    def rows_of(self, digests: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Rows (k,) of the store that hold the features of images with these digests (k, 32), all known to it."""
        keys, order = self._by_digest
        return order[np.searchsorted(keys, _as_keys(digests))]


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


def _as_keys(digests: NDArray[np.uint8]) -> NDArray[np.void]:
    """Digests (n, 32) uint8 as (n,) values that sort and compare as whole."""
    return np.ascontiguousarray(digests).view(np.dtype((np.void, 32))).ravel()


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
