"""The small pictures of a store's images, read from the files once and kept in the cache folder."""

import hashlib
import logging
import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.batches import DecodeOptions, Decoders
from featx.cache import cache_home
from featx.errors import DecoderError
from featx.files import whole
from featx.leakage import SIDE, WIDTH, reduced
from featx.ownership import make_private, own_file
from featx.pipeline.filling.job import RunOptions
from featx.spec import PixelRules
from featx.store import FeatureStore
from featx.words import counted

logger = logging.getLogger(__name__)

RULES = PixelRules(image_size=(SIDE, SIDE), resize="stretch", interpolation="area")
"""Rules from an image to its small picture: the whole image, averaged over areas."""

_VERSION = 1
"""Version of the result of `featx.leakage.reduced`; raise it when that changes."""

_BATCH = 64
_LATEST = 64
"""Files kept in the cache folder; the others are those used longest ago."""


def pictures(
    store: FeatureStore, *, until: float, options: RunOptions | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read the images of a store again, small.

    Parameters
    ----------
    store : FeatureStore
        Its images are read from where they were, and held against its digests. Files of the same digest are read once.
    until : float
        Time of `time.monotonic` after which no further image is read. What was read is kept: the next call goes on.
    options : RunOptions, optional
        Decoder processes, and their limits.

    Returns
    -------
    pictures : (n, WIDTH) uint8
        As `featx.leakage.reduced` makes them.
    seen : (n,) bool
        Where there is one: not for files that are gone, changed or unreadable, or that there was no time for.
    """
    _, first, every = np.unique(_as_values(store.digests), return_index=True, return_inverse=True)
    entry = _entry(store.digests)
    kept = _load(entry, len(store))
    wanted = [row for row in np.sort(first).tolist() if not kept[row, WIDTH]]
    if wanted and _read(store, wanted, kept, until, options or RunOptions()):
        _spread(kept, every)
        _save(entry, kept)
    return kept[:, :WIDTH], kept[:, WIDTH].astype(np.bool_)


def _as_values(digests: NDArray[np.uint8]) -> NDArray[np.void]:
    return np.ascontiguousarray(digests).view(np.dtype((np.void, 32))).reshape(len(digests))


def _spread(kept: NDArray[np.uint8], every: NDArray[np.intp]) -> None:
    """Give all files of one digest what one of them gave."""
    seen = np.flatnonzero(kept[:, WIDTH])
    source = np.full(int(every.max(initial=-1)) + 1, -1)
    source[every[seen]] = seen
    rows = np.flatnonzero((source[every] >= 0) & (kept[:, WIDTH] == 0))
    kept[rows] = kept[source[every[rows]]]


def _read(store: FeatureStore, rows: list[int], kept: NDArray[np.uint8], until: float, options: RunOptions) -> int:
    """Fill in as many rows as there is time for, and say how many."""
    root, count = store.folder, 0
    if not root.is_dir() or time.monotonic() >= until:
        return 0
    how = DecodeOptions(
        workers=options.decoders, batch_size=_BATCH, timeout_s=options.timeout, max_pixels=options.max_pixels
    )
    logger.info("reading %s of %s again, to compare them as pictures", counted(len(rows), "image"), store.path.name)
    try:
        with Decoders(RULES, how) as processes:
            for batch in processes.batches(root, ((row, store.paths[row]) for row in rows), until=until):
                slots = batch.decoded.slots
                unchanged = (batch.decoded.digests == store.digests[slots]).all(axis=1)
                kept[slots[unchanged], :WIDTH] = reduced(batch.images[unchanged])
                kept[slots[unchanged], WIDTH] = 1
                count += int(unchanged.sum())
    except DecoderError as error:
        logger.warning("images can't be compared as pictures: %s", error)
    return count


def _entry(digests: NDArray[np.uint8]) -> Path:
    key = hashlib.sha256(f"pictures {_VERSION} {SIDE} {RULES.decoder}\n".encode("ascii"))
    key.update(digests.tobytes())
    return cache_home() / "pictures" / f"{key.hexdigest()[:32]}.npy"


def _load(entry: Path, n: int) -> NDArray[np.uint8]:
    """Load the pictures that an earlier run kept; the last column is 1 where there is one."""
    try:
        kept: NDArray[np.uint8] = np.empty((0, 0), np.uint8)
        if own_file(entry.stat()):
            kept = np.load(entry, allow_pickle=False)
            os.utime(entry)
    except (OSError, ValueError, EOFError):
        kept = np.empty((0, 0), np.uint8)
    if kept.shape == (n, WIDTH + 1) and kept.dtype == np.uint8:
        return kept
    return np.zeros((n, WIDTH + 1), np.uint8)


def _save(entry: Path, kept: NDArray[np.uint8]) -> None:
    """Keep pictures for the next run; a cache that can't be written costs time and nothing else."""
    try:
        make_private(entry.parent)
        with whole(entry) as file:
            os.fchmod(file.fileno(), 0o600)
            np.save(file, kept, allow_pickle=False)
        by_use = sorted(entry.parent.glob("*.npy"), key=lambda file: file.stat().st_mtime_ns)
        for old in by_use[:-_LATEST]:
            old.unlink(missing_ok=True)
    except OSError as error:
        logger.info("small pictures are not kept in %s: %s", entry.parent, error.strerror or error)
