"""The filler of one store, from the rows of earlier runs and from the batches of this one."""

import dataclasses
import functools
import logging
import math
import os
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from featx.batches import Batch, FileFacts
from featx.errors import SourceError
from featx.manifest import Failure, Manifest
from featx.pipeline.filling.earlier import Earlier, KnownRows
from featx.pipeline.filling.job import Extraction
from featx.pipeline.filling.runner import BackboneRunner
from featx.store import Provenance, plan, remove_leftovers

if TYPE_CHECKING:
    from featx.backbones import Pending

logger = logging.getLogger(__name__)

COPY_ROWS = 4096
"""Rows copied from an older store at once, so that memory stays bounded."""


class StoreFiller:
    """Writer of one store from batches that several backbones may share: a context manager.

    Parameters
    ----------
    target : Path
        The store.
    images : Manifest
        Its images.
    runner : BackboneRunner
        Its backbone.
    earlier : Earlier
        What stands at the target.
    """

    def __init__(self, target: Path, images: Manifest, runner: BackboneRunner, earlier: Earlier) -> None:
        self.target = target
        self.images = images
        self.runner = runner
        self.earlier = earlier
        self._failures = {} if earlier.reread else dict(earlier.failures)
        self._lenders: list[Path] = []
        self._start: float | None = None
        self._in_flight: deque[tuple[FileFacts, Pending, NDArray[np.float32] | None]] = deque()
        self._views_computed = 0

    def planned(self) -> Extraction:
        """Return the extraction that a run would do, for a dry run."""
        self._failures = dict(self.earlier.failures) | self._absent()
        readable = len(self.images) - len(self._failures)
        reused = min(max(len(self.earlier.rows), self.earlier.done), readable)
        if self.earlier.views is not None:
            self._views_computed = readable - reused if self.earlier.has_views else readable
        return self._extraction(extracted=readable - reused, reused=reused)

    def _absent(self) -> dict[str, Failure]:
        """Images that were missing when they were listed, as failures."""
        paths = [self.images.paths[slot] for slot in np.flatnonzero(self.images.sizes < 0).tolist()]
        return {
            path: Failure(
                path=path, reason="missing", message="there is no such file", digest=None, size=-1, mtime_ns=-1
            )
            for path in paths
        }

    def unchanged(self) -> Extraction | None:
        """Return the finished extraction if the store is already what a run would make; else None."""
        if not self.earlier.unchanged or self.earlier.store is None:
            return None
        store = self.earlier.store
        remove_leftovers(self.target)
        return dataclasses.replace(self._extraction(extracted=0, reused=len(store)), store=store)

    @functools.cached_property
    def known(self) -> KnownRows:
        """Features that can be copied by their image's digest, also from other stores if files must be read.

        The rows of this target's own runs are taken as they are. What may be anybody's, another store or one that was
        brought here from elsewhere, is tried first, and so is what is to be overwritten.
        """
        self._begin()
        earlier, spec, root = self.earlier, self.runner.spec, os.fspath(self.images.root)
        needed = self.images.sizes >= 0
        if not earlier.reread:
            # not setdiff1d: it imports numpy.ma, a twentieth of the time in which a run starts
            needed[earlier.slots] = earlier.views is not None and not earlier.has_views
            needed[np.array([self._slots[path] for path in earlier.failures], np.int64)] = False
        pending = np.flatnonzero(needed)
        at_target = earlier.known(spec)
        own = [rows for rows in at_target if rows.root == root and not earlier.overwrite]
        lenders = [rows for rows in at_target if rows not in own]
        if len(pending):
            lenders += earlier.beside(spec)
        if lenders:
            from featx.pipeline.filling.lending import confirmed

            lenders = confirmed(lenders, self.images, pending, self.runner, views=earlier.views)
        self._lenders = [lender.path for lender in lenders]
        return KnownRows(*own, *lenders, views=earlier.views)

    def _begin(self) -> None:
        """Start the clock of this store, unless it runs."""
        if self._start is None:
            self._start = time.perf_counter()
            self._starting = "runtime" not in vars(self.runner)
            self._runner_seconds = self.runner.seconds

    def __enter__(self) -> Self:
        """Plan the store, or resume it, and copy the rows of unchanged files."""
        self._begin()
        provenance = Provenance(
            weights_source=self.runner.source.recorded,
            runtime=self.runner.runtime.name,
            precision=self.runner.runtime.precision,
            views=self.earlier.views,
            tuned_on=self.runner.tuned_on,
        )
        self._start_seconds = self.runner.start_seconds if self._starting else 0.0
        self._partial = plan(
            self.target,
            self.images,
            self.runner.spec,
            feature_shape=self.runner.feature_shape,
            provenance=provenance,
            resume=not self.earlier.reread,  # what an interrupted run took over by size and time is read as well
        )
        self._as_before = self.earlier.same_names and not self._partial.done
        self._computed = 0
        self._write_seconds = 0.0
        try:
            self.earlier.check()
            self._announce_size()  # once there is room for it
            if not self.earlier.reread:
                self._copy_unchanged()
        except BaseException:
            self._partial.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._partial.close()

    @property
    def settled(self) -> int:
        """Number of images that have their row, or are known to fail."""
        return self._partial.done + len(self._failures)

    def pending(self) -> list[int]:
        """List the slots whose image must be read."""
        return [slot for slot in self._partial.pending.tolist() if self.images.paths[slot] not in self._failures]

    def take(self, batch: Batch) -> tuple[int, int]:
        """Write the rows of a batch, computing the unknown ones; return the numbers of rows and failures.

        Rows that are still being computed are written, and counted, by a later call or by `finish`.
        """
        before = self.settled
        wanted = self._wanted(batch.known)
        self._copy(_chosen(batch.known, wanted))
        wanted = self._wanted(batch.decoded)
        copied = self._copy(_chosen(batch.decoded, wanted), where=wanted)
        self._compute(batch, wanted & ~copied)
        failures = [failure for failure in batch.failures if self._lacks(failure.path)]
        self._failures |= {failure.path: self._as_listed(failure) for failure in failures}
        return self.settled - before - len(failures), len(failures)

    def finish(self) -> int:
        """Write the rows that are still being computed, and return their number."""
        before = self.settled
        self._write_computed(left=0)
        return self.settled - before

    def seal(self, seconds: dict[str, float]) -> Extraction:
        """Complete the store; if the old one has the same contents, it is left as it is.

        Parameters
        ----------
        seconds : dict of str to float
            Where the time of decoding went.

        Raises
        ------
        SourceError
            No image could be read: there is no store to make.
        """
        images = self.images
        assert self._start is not None
        if len(self._failures) == len(images):
            first = next(iter(self._failures.values()))
            self._partial.discard()
            one = len(images) == 1
            none = "the only file" if one else f"none of the {len(images):,} files"
            could = "could not" if one else "could"
            raise SourceError(
                f"{none} in {images.source} {could} be read as an image ({'' if one else 'the first, '}"
                f"{first.path!r}: {first.message})"
            )
        reused = self._partial.done - self._computed
        failures = tuple(self._failures[path] for path in images.paths if path in self._failures)
        store = self.earlier.store
        if store is not None and self._as_before and store.failures == failures:
            self._partial.discard()
        else:
            store = self._partial.seal(failures)
        return dataclasses.replace(
            self._extraction(extracted=self._computed, reused=reused),
            seconds=time.perf_counter() - self._start,
            timings={
                "start": self._start_seconds,
                **seconds,
                "backbone": self.runner.seconds - self._runner_seconds,
                "write": self._write_seconds,
            },
            store=store,
            lent={path: self.known.copied[path] for path in self._lenders if self.known.copied[path]},
        )

    def _extraction(self, *, extracted: int, reused: int) -> Extraction:
        return Extraction(
            target=self.target,
            spec=self.runner.spec,
            feature_shape=self.runner.feature_shape,
            found=len(self.images),
            extracted=extracted,
            reused=reused,
            failed=len(self._failures),
            classes=self.images.counts,
            failures=tuple(self._failures[path] for path in self.images.paths if path in self._failures),
            untrained=self.runner.untrained,
            fallback=self.runner.fallback,
            views=0 if self.earlier.views is None else self.earlier.views.count,
            views_computed=self._views_computed,
        )

    def _announce_size(self) -> None:
        shape = self.runner.feature_shape
        if len(shape) > 1:
            width, sides = math.prod(shape), " x ".join(map(str, shape))
            views = 0 if self.earlier.views is None else self.earlier.views.count
            size = 4e-6 * width * len(self.images) * (1 + views)
            logger.warning(
                "features of shape %s become one row: %d numbers for each image, %.1f MB in total", sides, width, size
            )

    def _copy_unchanged(self) -> None:
        """Copy the rows of files that are unchanged and need not be read."""
        earlier = self.earlier
        todo = np.isin(earlier.slots, self._partial.pending)
        slots, rows, digests = earlier.slots[todo], earlier.rows[todo], earlier.digests[todo]
        for start in range(0, len(slots), COPY_ROWS):
            block = slice(start, start + COPY_ROWS)
            assert earlier.store is not None
            self._copy(
                FileFacts(
                    slots=slots[block],
                    digests=digests[block],
                    sizes=earlier.store.sizes[rows[block]],
                    mtimes_ns=earlier.store.mtimes_ns[rows[block]],
                )
            )

    def _copy(self, files: FileFacts, *, where: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Write the rows of files whose content is known; return a mask of those, spread over `where` if given."""
        known, features, views = self.known.copy(files.digests)
        if len(features):
            self._write(_chosen(files, known), features, views, reused=True)
        if where is None:
            return known
        spread = where.copy()
        spread[where] = known
        return spread

    def _compute(self, batch: Batch, wanted: NDArray[np.bool_]) -> None:
        if not wanted.any():
            return
        if self.earlier.views is None:
            images = batch.images if wanted.all() else batch.images[wanted]
            self._in_flight.append((_chosen(batch.decoded, wanted), self.runner.submit(images), None))
            self._write_computed(left=self.runner.in_flight)
            return
        # Where an older store has the features, only the views are computed.
        known, features = self.known.copy_features(batch.decoded.digests[wanted])
        for which, first, copied in ((~known, 0, None), (known, 1, features)):
            if not which.any():
                continue
            chosen = wanted.copy()
            chosen[wanted] = which
            images = batch.images[chosen, first:]
            pending = self.runner.submit(images.reshape(-1, *images.shape[2:]))
            self._in_flight.append((_chosen(batch.decoded, chosen), pending, copied))
            self._write_computed(left=self.runner.in_flight)

    def _write_computed(self, *, left: int) -> None:
        """Write computed rows in the order of their images, until no more than `left` batches are in flight."""
        while len(self._in_flight) > left:
            files, pending, copied = self._in_flight.popleft()
            features, views = pending(), None
            if self.earlier.views is not None:
                rows = features.reshape(len(files), -1, features.shape[1])
                features, views = (rows[:, 0], rows[:, 1:]) if copied is None else (copied, rows)
                self._views_computed += len(files)
            self._write(files, features, views, reused=copied is not None)
            self._computed += 0 if copied is not None else len(files)

    def _write(
        self, files: FileFacts, features: NDArray[np.float32], views: NDArray[np.float32] | None, *, reused: bool
    ) -> None:
        start = time.perf_counter()
        partial = self._partial
        partial.write(files.slots, features, files.digests, files.sizes, files.mtimes_ns, reused=reused, views=views)
        self._as_before = self._as_before and reused and self.earlier.confirms(files, features, views)
        self._write_seconds += time.perf_counter() - start

    def _wanted(self, files: FileFacts) -> NDArray[np.bool_]:
        """Mark the files that this store still lacks; another one that shares the batches may need more of them."""
        return self._partial.lacks(files.slots)

    def _lacks(self, path: str) -> bool:
        return path not in self._failures and bool(self._partial.lacks(np.array([self._slots[path]]))[0])

    @functools.cached_property
    def _slots(self) -> dict[str, int]:
        return {path: slot for slot, path in enumerate(self.images.paths)}

    def _as_listed(self, failure: Failure) -> Failure:
        """Complete a failure with the file's size and time as listed, if its decoder died before it could report them.

        By these the next run knows that the file is still the same. A file that has gone since it was listed keeps
        none: it is read when it is back, as whole folders are whose disk was gone for a while.
        """
        if failure.mtime_ns != -1 or failure.reason == "missing":
            return failure
        slot = self._slots[failure.path]
        return dataclasses.replace(
            failure, size=int(self.images.sizes[slot]), mtime_ns=int(self.images.mtimes_ns[slot])
        )


def common_digests(fillers: Sequence[StoreFiller]) -> NDArray[np.uint8]:
    """Find the digests (k, 32) uint8 that every store knows; images with them need no decoding at all."""
    return functools.reduce(_intersection, (filler.known.digests for filler in fillers))


def _intersection(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    whole = np.dtype((np.void, 32))
    shared = np.intersect1d(np.ascontiguousarray(one).view(whole), np.ascontiguousarray(other).view(whole))
    return shared.view(np.uint8).reshape(-1, 32)


def _chosen(files: FileFacts, which: NDArray[np.bool_]) -> FileFacts:
    if which.all():
        return files
    return FileFacts(
        slots=files.slots[which],
        digests=files.digests[which],
        sizes=files.sizes[which],
        mtimes_ns=files.mtimes_ns[which],
    )
