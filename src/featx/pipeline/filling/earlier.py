"""The results of earlier runs at a target, and the rows of them that are still valid."""

import dataclasses
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from featx.batches import FileFacts
from featx.errors import Reason, SpecMismatch, StoreError, StoreInUse
from featx.manifest import Failure, Manifest
from featx.pipeline.naming import STORE_SUFFIXES
from featx.spec import ExtractionSpec, ViewsSpec
from featx.store import (
    FeatureStore,
    StoredRows,
    Unfinished,
    files_of,
    fingerprint_of,
    open_store,
    partial_path,
    rows_of,
    unfinished,
    views_spec_of,
)
from featx.words import counted

_ADVICE = "replace it with `overwrite=True`, or choose another name with `out`"


class KnownRows:
    """Features, and views where they are wanted, that can be copied by the digest of their image.

    Parameters
    ----------
    sources : sequence of StoredRows
        Each with the features (n, d) float32 of some digests.
    views : ViewsSpec or None
        Views that a row must have; features of rows with other views, or none, can be copied alone.
    """

    def __init__(self, *sources: StoredRows, views: ViewsSpec | None = None) -> None:
        self._sources = sources
        self._whole = [one for one in sources if views is None or one.views_fingerprint == views.fingerprint]
        self._views = views
        self.copied: Counter[Path] = Counter()
        """Rows that were copied from each source."""

    @cached_property
    def digests(self) -> NDArray[np.uint8]:
        """Digests of the images whose features, and views if wanted, are known, (k, 32) uint8."""
        return np.concatenate([np.empty((0, 32), np.uint8), *(source.digests for source in self._whole)])

    def copy(
        self, digests: NDArray[np.uint8]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32] | None]:
        """Look up digests (b, 32): a mask (b,) of the known ones, their features (k, d) and views (k, K, d) float32.

        The views are None where none are wanted.
        """
        known, found = self._look_up(digests, self._whole)
        width = self._whole[0].features.shape[1] if self._whole else 0
        features = np.empty((len(digests), width), np.float32)
        views = None if self._views is None else np.empty((len(digests), self._views.count, width), np.float32)
        for source, rows, fresh in found:
            features[fresh] = source.features[rows]
            if views is not None and source.views is not None:
                views[fresh] = source.views[rows]
        return known, features[known], None if views is None else views[known]

    def copy_features(self, digests: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Look up the features alone, whatever views are beside them: a mask (b,) and features (k, d) float32."""
        known, found = self._look_up(digests, self._sources)
        features = np.empty((len(digests), self._sources[0].features.shape[1] if self._sources else 0), np.float32)
        for source, rows, fresh in found:
            features[fresh] = source.features[rows]
        return known, features[known]

    def _look_up(
        self, digests: NDArray[np.uint8], sources: Sequence[StoredRows]
    ) -> tuple[NDArray[np.bool_], list[tuple[StoredRows, NDArray[np.int64], NDArray[np.bool_]]]]:
        """Find the first source of each digest: a mask of the known ones, and each source's rows with their places."""
        known, found = np.zeros(len(digests), bool), []
        for source in sources:
            rows = source.find(digests)
            fresh = ~known & (rows >= 0)
            found.append((source, rows[fresh], fresh))
            self.copied[source.path] += int(fresh.sum())
            known |= fresh
        return known, found


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """The sealed store that a run replaces, matched with the images as listed now.

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
    rows_by_path : (n,) int64
        Row in `store` of each image by its path alone, -1 where there is none.
    same_names : bool
        Whether the store has the same paths, labels, classes, groups and split.
    reread : bool
        Whether size and time of a file aren't enough: every image is to be read, and `slots` and `failures` only tell
        what to expect.
    overwrite : bool
        Whether what stands there is replaced, whatever it is: its rows are taken if they check out, and none of others.
    stamp : tuple of int or None
        What tells the file that stands at the target from any other; None where there is none.
    done : int
        Rows that an unfinished run has left.
    views : ViewsSpec or None
        Views of each image that the store is to have.
    """

    target: Path
    store: FeatureStore | None = None
    slots: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    failures: dict[str, Failure] = field(default_factory=dict)
    rows_by_path: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    same_names: bool = False
    reread: bool = False
    overwrite: bool = False
    stamp: tuple[int, int] | None = None
    done: int = 0
    views: ViewsSpec | None = None

    @classmethod
    def at(
        cls,
        target: Path,
        images: Manifest,
        spec: ExtractionSpec,
        *,
        overwrite: bool,
        reread: bool = False,
        retry: Collection[Reason] = (),
        views: ViewsSpec | None = None,
    ) -> Self:
        """Examine the store or the unfinished run at a target.

        Parameters
        ----------
        target : Path
            Where the store is to be.
        images : Manifest
            Its images.
        spec : ExtractionSpec
            Its spec.
        overwrite : bool
            Take no notice of what is there.
        reread : bool
            As in `Earlier`.
        retry : collection of Reason
            Failures to be tried again although their files are unchanged.
        views : ViewsSpec or None
            Views that the store is to have.

        Raises
        ------
        StoreError
            It is no store, or one of other images, or one that would lose most of its rows.
        SpecMismatch
            It was made under another spec.
        """
        stamp = _stamp(target)
        if overwrite:
            return cls(target=target, overwrite=True, reread=reread, stamp=stamp, views=views)
        begun = unfinished(target)
        if begun is not None:
            _refuse_to_drop(begun, target, images, spec)
        done = 0 if begun is None else begun.done
        if stamp is None:
            return cls(target=target, reread=reread, done=done, views=views)
        store = _open(target, images, spec)
        # In another folder a file of the same name and time may be another one: its bytes decide.
        moved = Path(store.root) != images.root
        matched = cls._match(store, images, reread=reread or moved, retry=retry)
        return dataclasses.replace(matched, stamp=stamp, done=done, views=views)

    @classmethod
    def _match(cls, store: FeatureStore, images: Manifest, *, reread: bool, retry: Collection[Reason]) -> Self:
        sizes, mtimes = images.sizes.tolist(), images.mtimes_ns.tolist()
        now = {path: (size, mtime) for path, size, mtime in zip(images.paths, sizes, mtimes, strict=True)}
        _refuse_loss(store, images, now)
        row_of = {path: row for row, path in enumerate(store.paths)}
        rows_by_path = np.array([row_of.get(path, -1) for path in images.paths], np.int64)
        there = np.flatnonzero(rows_by_path >= 0)
        rows = rows_by_path[there]
        same = (store.sizes[rows] == images.sizes[there]) & (store.mtimes_ns[rows] == images.mtimes_ns[there])
        return cls(
            target=store.path,
            store=store,
            slots=there[same],
            rows=rows[same],
            failures={
                failure.path: failure
                for failure in store.failures
                if now.get(failure.path) == (failure.size, failure.mtime_ns)
                and failure.reason not in retry
                and not _readable_now(failure, images)
            },
            rows_by_path=rows_by_path,
            same_names=Path(store.root) == images.root
            and len(there) == len(store)
            and len(images) == store.found
            and all(failure.path in now for failure in store.failures)
            and _same_names(store, images, there),
            reread=reread,
        )

    @property
    def unchanged(self) -> bool:
        """True if a run would make the same store again, as far as can be told without reading an image."""
        return (
            self.store is not None
            and self.has_views
            and self.same_names
            and not self.reread
            and len(self.slots) == len(self.store)
            and len(self.failures) == self.store.failed
        )

    @property
    def has_views(self) -> bool:
        """True if the store has the views that are wanted, and no others; also where there is no store."""
        return self.store is None or self.store.views_spec == self.views

    @property
    def digests(self) -> NDArray[np.uint8]:
        """Digests of the unchanged files, as they were read, (m, 32) uint8."""
        return np.empty((0, 32), np.uint8) if self.store is None else self.store.digests[self.rows]

    def known(self, spec: ExtractionSpec) -> list[StoredRows]:
        """Collect the sound rows of an unfinished run there and of the store, whatever images it is of."""
        return _sound_rows([partial_path(self.target), self.target], spec)

    def beside(self, spec: ExtractionSpec) -> list[StoredRows]:
        """Collect the sound rows of other stores of the spec in the same folder; none if `overwrite`."""
        if self.overwrite:
            return []
        try:
            files = sorted(self.target.parent.iterdir())
        except OSError:  # no folder yet, or one in which one may write, but not look
            return []
        others = (path for path in files if path.suffix.lower() in STORE_SUFFIXES and path.is_file())
        return _sound_rows(
            [path for path in others if path != self.target and fingerprint_of(path) == spec.fingerprint], spec
        )

    def check(self) -> None:
        """Make sure that no other run has replaced the store meanwhile.

        Raises
        ------
        StoreInUse
            It doesn't.
        """
        if _stamp(self.target) != self.stamp:
            raise StoreInUse(f"another process finished {self.target} at the same moment; run the same command again")

    def confirms(
        self, files: FileFacts, features: NDArray[np.float32], views: NDArray[np.float32] | None = None
    ) -> bool:
        """Tell whether the store, which may be damaged, has exactly these features (b, d) and views for these files."""
        if self.store is None or not self.has_views:
            return False
        rows = self.rows_by_path[files.slots]
        return bool(
            (rows >= 0).all()
            and np.array_equal(self.store.digests[rows], files.digests)
            and np.array_equal(self.store.mtimes_ns[rows], files.mtimes_ns)
            and self.store.features[rows].tobytes() == features.tobytes()
            and (self.store.views is None or views is None or self.store.views[rows].tobytes() == views.tobytes())
        )


def _sound_rows(places: Collection[Path], spec: ExtractionSpec) -> list[StoredRows]:
    found = (rows_of(place, fingerprint=spec.fingerprint) for place in places)
    return [rows for rows in found if rows is not None and len(rows)]


def views_there(target: Path) -> ViewsSpec | None:
    """Find the views of the store at a target, or else of an unfinished run; None where there are none."""
    text = views_spec_of(target)
    if text is None and (begun := unfinished(target)) is not None:
        text = begun.views_spec
    try:
        return ViewsSpec.from_json(text) if text else None
    except ValueError:  # of another featx, or damaged: opening the store says so
        return None


def taken(target: Path, images: Manifest, spec: ExtractionSpec) -> bool:
    """Tell whether a target holds something that a run of these images under this spec may not replace."""
    try:
        if (begun := unfinished(target)) is not None:
            _refuse_to_drop(begun, target, images, spec)
        if target.exists():
            _open(target, images, spec)
    except StoreError:
        return True
    return False


def _stamp(target: Path) -> tuple[int, int] | None:
    try:
        status = target.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_ino, status.st_mtime_ns


def _refuse_to_drop(begun: Unfinished, target: Path, images: Manifest, spec: ExtractionSpec) -> None:
    """Refuse to drop the rows of an interrupted run of other images or another spec."""
    what = f"{target} has {counted(begun.done, 'row')} of an unfinished run"
    if begun.fingerprint != spec.fingerprint:
        raise StoreError(f"{what} with other settings; {_ADVICE}")
    if begun.root != os.fspath(images.root) and not _moved(files_of(partial_path(target)), images):
        raise StoreError(f"{what} on the images of {begun.root}, not of {images.root}; {_ADVICE}")
    if begun.done > 2 * len(images):
        raise StoreError(f"{what}, but {images.root} has only {counted(len(images), 'image')} now; {_ADVICE}")


def _open(target: Path, images: Manifest, spec: ExtractionSpec) -> FeatureStore:
    """Open the store at a target; refuse one of other images or another spec."""
    try:
        store = open_store(target)
    except StoreError as error:
        raise StoreError(f"{error}; {_ADVICE}") from error
    if differences := spec.differences(store.spec):
        raise SpecMismatch(f"{target} was made with other settings; {_ADVICE}", differences)
    if Path(store.root) != images.root and not _moved(zip(store.paths, store.sizes.tolist(), strict=True), images):
        raise StoreError(f"{target} has the features of the images in {store.root}, not in {images.root}; {_ADVICE}")
    return store


def _moved(files: Iterable[tuple[str, int]], images: Manifest) -> bool:
    """Tell whether most of the files of another folder, by path and size, are among the images listed now."""
    now = set(zip(images.paths, images.sizes.tolist(), strict=True))
    found = [file in now for file in files]
    return sum(found) > len(found) / 2


def _readable_now(failure: Failure, images: Manifest) -> bool:
    """Tell whether a file that failed can be read now: neither rights nor what is installed changes its time."""
    if failure.reason == "unsupported":
        from featx.batches import has_reader_now

        return has_reader_now(failure.message)
    return failure.reason == "unreadable" and os.access(images.root / failure.path, os.R_OK)


def _same_names(store: FeatureStore, images: Manifest, slots: NDArray[np.int64]) -> bool:
    """Tell whether labels, classes, groups and split are the same for unchanged paths, whose order never differs."""
    groups = None if images.groups is None else [images.groups[slot] for slot in slots.tolist()]
    return (
        tuple(store.classes) == images.classes
        and np.array_equal(store.labels, images.labels[slots])
        and (None if store.groups is None else list(store.groups)) == groups
        and store.split == images.split
    )


def _refuse_loss(store: FeatureStore, images: Manifest, now: dict[str, tuple[int, int]]) -> None:
    """Refuse to replace a store if most of its images are gone, as when a folder isn't mounted."""
    files = set(now.values())
    then = zip(store.paths, store.sizes.tolist(), store.mtimes_ns.tolist(), strict=True)
    lost = sum(path not in now and (size, mtime) not in files for path, size, mtime in then)
    if lost > len(store) / 2:
        raise StoreError(
            f"{lost:,} of {counted(len(store), 'image')} in {store.path} {'is' if lost == 1 else 'are'} no longer in "
            f"{images.root} (perhaps a disk is not mounted); remove their features with `overwrite=True`, or choose "
            "another name with `out`"
        )
