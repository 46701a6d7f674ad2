"""Fill a planned store and seal it: what is done survives a kill, a full disk and a loss of power.

A row's bytes go to their final place and are synced before its status says that it is done. What a status says is
therefore true whenever the process or the machine stops; the next run resumes from it.
"""

import contextlib
import datetime as dt
import itertools
import logging
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from featx.errors import StoreError
from featx.files import open_own
from featx.manifest import Failure
from featx.store import layout as hdf5
from featx.store.contents import failure_columns
from featx.store.disk import store_errors, sync, sync_folder, write_at
from featx.store.format import ALL_COLUMNS, BULK, checksums, content_digest, views_checksums
from featx.store.layout import Layout
from featx.store.locking import Lock
from featx.store.sealed import FeatureStore, open_store
from featx.store.text import decode
from featx.words import counted

logger = logging.getLogger(__name__)

PENDING, EXTRACTED, REUSED = 0, 1, 2

SYNC_SECONDS = 2.0
"""Work that a kill or a loss of power can cost, beyond the batch in flight."""


def partial_path(target: Path) -> Path:
    """Return the path of a store that isn't sealed yet."""
    return target.with_name(target.name + ".partial")


def sealing_path(target: Path) -> Path:
    """Return the path at which a store with failures is assembled."""
    return target.with_name(target.name + ".sealing")


class Partial:
    """A planned store that is being filled. Made by `plan`.

    Leaving the context closes it: what is done stays for the next run.
    """

    def __init__(self, target: Path, layout: Layout, lock: Lock) -> None:
        self.target = target
        self.path = partial_path(target)
        self._layout = layout
        self._lock = lock
        self._start = time.monotonic()
        self._file: BinaryIO = open_own(self.path)
        self._fd = self._file.fileno()
        self._status = self._sound_status()
        # Rows from first to before stop hold all statuses not yet written; None after a sync failed.
        self._unwritten: tuple[int, int] | None = (len(self._status), 0)
        self._synced = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._status)

    @property
    def pending(self) -> NDArray[np.int64]:
        """Slots without a row, in order."""
        return np.flatnonzero(self._status == PENDING).astype(np.int64)

    @property
    def done(self) -> int:
        """Number of slots that have their row."""
        return int(np.count_nonzero(self._status))

    def lacks(self, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell for each of these slots (b,) whether it still has no row, (b,) bool."""
        lacking: NDArray[np.bool_] = self._status[slots] == PENDING
        return lacking

    def write(
        self,
        slots: NDArray[np.int64],
        features: NDArray[np.float32],
        digests: NDArray[np.uint8],
        sizes: NDArray[np.int64],
        mtimes_ns: NDArray[np.int64],
        *,
        reused: bool,
        views: NDArray[np.float32] | None = None,
    ) -> None:
        """Write rows into their slots.

        Parameters
        ----------
        slots : (b,) int64
            Pending ones.
        features : (b, d) float32
        digests : (b, 32) uint8
            SHA-256 of the image files' bytes.
        sizes, mtimes_ns : (b,) int64
            Of the image files as they were read.
        reused : bool
            Whether the features were copied from an older store.
        views : (b, K, d) float32 or None
            Features of the views; None in a store without.

        Raises
        ------
        StoreError
            They can't be written; rows written before are kept.
        """
        if self._status[slots].any():
            raise ValueError("a slot that has its row can't be written again")
        columns = {
            "features": np.ascontiguousarray(features, "<f4"),
            "digests": np.ascontiguousarray(digests, np.uint8),
            "sizes": np.ascontiguousarray(sizes, "<i8"),
            "mtimes_ns": np.ascontiguousarray(mtimes_ns, "<i8"),
        }
        columns["checksums"] = checksums(**columns)
        if (views is not None) != (self._layout.views > 0):
            raise ValueError("views are written where the store has them, and only there")
        if views is not None:
            columns["views"] = np.ascontiguousarray(views, "<f4")
            columns["views_checksums"] = views_checksums(columns["views"], columns["digests"])
        for name, column in columns.items():
            if column.shape != (len(slots), *self._layout.places[name].shape[1:]):
                raise ValueError(f"{name} of shape {column.shape} for {len(slots)} slots")
        with store_errors(self.target, "more rows"):
            for start, stop in _runs(slots):
                for name, column in columns.items():
                    place = self._layout.places[name]
                    write_at(self._fd, column[start:stop], place.offset + int(slots[start]) * place.row_nbytes)
        self._status[slots] = REUSED if reused else EXTRACTED
        if len(slots) and self._unwritten is not None:
            first, stop = self._unwritten
            self._unwritten = (min(first, int(slots.min())), max(stop, int(slots.max()) + 1))
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Make what is written so far survive a kill and a loss of power; `write` does so every two seconds.

        Raises
        ------
        StoreError
            The disk refused.
        """
        if self._unwritten is None:
            raise StoreError(f"{self.path}: writing to the disk failed earlier; run the same extraction again")
        first, stop = self._unwritten
        if first < stop:
            with store_errors(self.target, "more rows"):
                try:
                    sync(self._fd)
                except OSError:
                    # The system forgets which pages it couldn't write, and a second sync would succeed: from here on
                    # no status may be written.
                    self._unwritten = None
                    raise
                write_at(self._fd, self._status[first:stop], self._layout.places["status"].offset + first)
            self._unwritten = (len(self._status), 0)
        self._synced = time.monotonic()

    def seal(self, failures: Sequence[Failure]) -> FeatureStore:
        """Complete the store and put it in the target's place in one step, replacing what is there.

        Without failures the partial store is renamed. With failures the rows are streamed, in the order of the
        manifest, into a new file, which is renamed.

        Parameters
        ----------
        failures : sequence of Failure
            One for every slot that is still pending.

        Returns
        -------
        FeatureStore
            The target, opened.

        Raises
        ------
        StoreError
            It can't be written; the partial store is kept.
        RuntimeError
            The failures aren't those of the pending slots.
        """
        self.flush()
        columns = {name: self._layout.read(self._fd, name) for name in self._layout.places if name not in BULK}
        failures = _in_order(failures, columns, self.pending)
        whole = sealing_path(self.target) if failures else self.path
        with store_errors(self.target, "the finished store"), contextlib.ExitStack() as on_error:
            if failures:
                on_error.callback(whole.unlink, missing_ok=True)
                self._stream_into(whole, columns | failure_columns(failures))
            self._finish(whole, failed=len(failures))
            open_store(whole)  # which checks it: nothing is replaced by a file that can't be opened
            whole.replace(self.target)
            on_error.pop_all()
            sync_folder(self.target.parent)
            self.discard()
        return open_store(self.target)

    def discard(self) -> None:
        """Remove the partial store and close."""
        self.path.unlink(missing_ok=True)
        self._unwritten = None
        self.close()

    def close(self) -> None:
        """Keep the finished rows for the next run and release the lock; further calls do nothing."""
        if self._file.closed:
            return
        try:
            if self._unwritten is not None:
                self.flush()
                sync(self._fd)
        finally:
            self._file.close()
            self._lock.release()

    def _sound_status(self) -> NDArray[np.uint8]:
        """Read the status of the slots, and mark rows that don't agree with their checksum as pending."""
        status = self._layout.read(self._fd, "status").copy()
        status[status > REUSED] = PENDING
        done = np.flatnonzero(status).astype(np.int64)
        bad = done[~hdf5.intact(self._layout, self._fd, done)]
        if len(bad):
            logger.warning("%s: %s extracted again", self.path, counted(len(bad), "damaged row is", "damaged rows are"))
            status[bad] = PENDING
            write_at(self._fd, status, self._layout.places["status"].offset)
        return status

    def _stream_into(self, path: Path, columns: dict[str, NDArray[Any]]) -> None:
        keep = np.flatnonzero(self._status).astype(np.int64)
        kept = {name: value[keep] if ALL_COLUMNS[name].count == "rows" else value for name, value in columns.items()}
        width, views = self._layout.places["features"].shape[1], self._layout.views
        layout = hdf5.create(path, attributes=self._layout.attributes, columns=kept, width=width, views=views)
        done = 0
        with open_own(path) as file:
            for block in self._layout.blocks(keep):
                for name in layout.bulk:
                    place = layout.places[name]
                    rows = self._layout.read_rows(self._fd, name, block)
                    write_at(file.fileno(), rows, place.offset + done * place.row_nbytes)
                done += len(block)
            sync(file.fileno())

    def _finish(self, path: Path, *, failed: int) -> None:
        """Write the last attributes, the content digest after all others."""
        counts = {
            "found": len(self),
            "extracted": np.count_nonzero(self._status == EXTRACTED),
            "reused": np.count_nonzero(self._status == REUSED),
            "failed": failed,
            "created": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode(),
            "seconds": time.monotonic() - self._start,
        }
        hdf5.modify(path, {name: np.array(value) for name, value in counts.items()})
        with open_own(path) as file:
            layout = hdf5.scan(file)
            digest = content_digest(layout.attributes, layout.read_all(file))
            hdf5.modify(path, {"content_digest": np.array(digest.encode())})
            os.fsync(file.fileno())


def _in_order(
    failures: Sequence[Failure], columns: dict[str, NDArray[Any]], pending: NDArray[np.int64]
) -> list[Failure]:
    """Sort failures by their slots."""
    pending_rows = {name: column[pending] for name, column in columns.items() if name in ("paths", "paths_raw")}
    by_path = {failure.path: failure for failure in failures}
    paths = decode(pending_rows, "paths")
    if set(paths) != set(by_path) or len(failures) != len(paths):
        raise RuntimeError(f"{len(pending)} slots have no row, but {len(failures)} failures are given for others")
    return [by_path[path] for path in paths]


def _runs(slots: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Find the runs of consecutive slots, as positions from start to before stop."""
    bounds = [0, *(np.flatnonzero(np.diff(slots) != 1) + 1).tolist(), len(slots)]
    return itertools.pairwise(bounds) if len(slots) else iter(())
