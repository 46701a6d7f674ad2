"""Repair damaged rows in a copy that replaces the store once it is whole and sound."""

import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from featx.errors import StoreError
from featx.files import open_own
from featx.store.disk import store_errors, sync_folder, write_at
from featx.store.format import checksums, content_digest, views_checksums
from featx.store.layout import Layout, modify, scan
from featx.store.locking import Lock
from featx.store.partial import EXTRACTED, REUSED
from featx.store.sealed import FeatureStore, open_store
from featx.store.verifying import check


class Repair:
    """The damaged rows of a sealed store, to be written anew: a context manager that holds the store's lock.

    The store itself is never written: rows go to a copy, `finish` puts it in the store's place, and leaving without
    that leaves the store as it was.

    Parameters
    ----------
    path : Path
        The store.
    root : Path or str, optional
        As for `open_store`.

    Attributes
    ----------
    store : FeatureStore
        The store as it is, opened.
    damaged : (m,) int64
        Its damaged rows, in order.

    Raises
    ------
    StoreError
        More than rows is damaged, or it can't be read or written.
    StoreInUse
        Another process writes it.
    """

    def __init__(self, path: Path, *, root: Path | str | None = None) -> None:
        self._path = Path(path).absolute()
        self._copy = self._path.with_name(self._path.name + ".repairing")
        with store_errors(self._path, "a repaired copy"):
            self._lock = Lock(self._path)
        try:
            # What was found before the lock was held may be of a store that has been replaced since.
            found = check(self._path)
            if found.broken:
                raise StoreError(
                    f"{self._path} can't be repaired row by row: {'; '.join(found.broken)}; extract it again with "
                    "`overwrite=True`"
                )
            self.store = open_store(self._path, root=root)
        except BaseException:
            self._lock.release()
            raise
        self.damaged = found.damaged
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()
        self._copy.unlink(missing_ok=True)
        self._lock.release()

    def write(
        self, rows: NDArray[np.int64], features: NDArray[np.float32], views: NDArray[np.float32] | None = None
    ) -> None:
        """Write features (b, d) float32, and views (b, K, d), into rows (b,) of the copy, with their checksums.

        A row that its old checksum agrees with is restored, to the bit; any other counts as extracted for this store.

        Raises
        ------
        StoreError
            The copy can't be written.
        """
        store = self.store
        if features.shape != (len(rows), store.features.shape[1]):
            raise ValueError(f"features of shape {features.shape} for {len(rows)} rows")
        new = checksums(features, store.digests[rows], store.sizes[rows], store.mtimes_ns[rows])
        restored = (new == store.checksums[rows]).all(axis=1)
        with store_errors(self._path, "a repaired copy"):
            if self._file is None:
                self._copy.unlink(missing_ok=True)  # a link would be followed
                shutil.copyfile(self._path, self._copy)
                self._file = open_own(self._copy)
                self._layout: Layout = scan(self._file)
            for index, row in enumerate(rows.tolist()):
                self._put("features", row, np.ascontiguousarray(features[index], "<f4"))
                if not restored[index]:
                    self._put("checksums", row, new[index])
                    self._put("status", row, np.array([EXTRACTED], np.uint8))
            if views is not None:
                of_views = views_checksums(views, store.digests[rows])
                for index, row in enumerate(rows.tolist()):
                    self._put("views", row, np.ascontiguousarray(views[index], "<f4"))
                    self._put("views_checksums", row, of_views[index])

    def finish(self) -> FeatureStore:
        """Put the copy in the store's place, once it is sound as a whole.

        Raises
        ------
        StoreError
            It isn't, or the disk refused; the store is as it was.
        """
        if self._file is None:
            return self.store
        with store_errors(self._path, "a repaired copy"):
            status = self._layout.read(self._file.fileno(), "status")
            counts = {
                "extracted": np.array(np.count_nonzero(status == EXTRACTED)),
                "reused": np.array(np.count_nonzero(status == REUSED)),
            }
            modify(self._copy, counts)
            layout = scan(self._file)
            digest = content_digest(layout.attributes, layout.read_all(self._file))
            modify(self._copy, {"content_digest": np.array(digest.encode())})
            os.fsync(self._file.fileno())
            found = check(self._copy)
            if found.broken or len(found.damaged):
                wrong = "; ".join((*found.broken, *found.paths))
                raise StoreError(f"{self._path}: the repaired copy is damaged, too ({wrong}); extract it again")
            self._copy.replace(self._path)
            sync_folder(self._path.parent)
        self._close()
        return open_store(self._path)

    def _put(self, name: str, row: int, value: NDArray[np.generic]) -> None:
        assert self._file is not None
        place = self._layout.places[name]
        write_at(self._file.fileno(), value, place.offset + row * place.row_nbytes)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
