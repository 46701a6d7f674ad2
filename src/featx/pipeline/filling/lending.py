"""Trial of the stores that lend rows: the backbone computes a few of their rows again before any is taken.

Whoever writes a store can make all its checksums right, and one may have come with a downloaded folder.
"""

import hashlib
import logging
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from featx.batches import DecodeOptions, Decoders
from featx.files import open_regular
from featx.manifest import Manifest
from featx.pipeline.filling.runner import BackboneRunner
from featx.spec import ViewsSpec
from featx.store import StoredRows

logger = logging.getLogger(__name__)

TOLERANCES = {"float32": 1e-4, "bfloat16": 2e-2, "float16": 2e-2}
"""Most that a feature computed again may be off, as a share of its length, by the precision it is computed in.

Runtimes and processors agree to about 1e-6 at float32, and to 6e-3 at the others.
"""

ROWS = 3
"""Rows of each store that are computed again."""

READ = 256
"""Images that are read, at most, to find such rows; a store that shares hardly any image would save hardly any work."""

_LARGEST_FILE = 2**26


def confirmed(
    lenders: Sequence[StoredRows],
    images: Manifest,
    slots: NDArray[np.int64],
    runner: BackboneRunner,
    *,
    views: ViewsSpec | None = None,
) -> list[StoredRows]:
    """Select the stores whose rows the backbone confirms; log why any other is left out.

    Nothing but the digest of an image decides which rows are tried, since all else in such a store may be made up.

    Parameters
    ----------
    lenders : sequence of StoredRows
        Stores that may lend rows.
    images : Manifest
        Images of the store that is filled.
    slots : (s,) int64
        Images whose rows it lacks.
    runner : BackboneRunner
        Its backbone.
    views : ViewsSpec or None
        Views that the store is to have; those of a lender that has the same are tried too.
    """
    chosen = _choose(lenders, images, np.random.default_rng().permutation(slots)[:READ])
    wanted = sorted({slot for found in chosen for slot in found})
    if not wanted:
        return []
    options = DecodeOptions(
        workers=1, batch_size=len(wanted), max_pixels=runner.options.max_pixels, timeout_s=runner.options.timeout
    )
    with Decoders(runner.spec.pixels, options, views=views) as processes:
        batches = processes.batches(images.root, ((slot, images.paths[slot]) for slot in wanted))
        computed = []
        for batch in batches:
            if len(batch.images):
                features, of_views = runner.with_views(batch.images)
                computed.append((batch.decoded.digests.copy(), features.copy(), of_views))
    mark = "" if views is None else views.fingerprint
    return [lender for lender in lenders if _agrees(lender, computed, runner, views=mark)]


def distances(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float64]:
    """Distance (b,) of features (b, d) as a share of the longer one's length; NaN where that is none."""
    one, other = before.astype(np.float64), after.astype(np.float64)
    length = np.maximum(np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1))
    with np.errstate(invalid="ignore"):  # infinite in both
        apart = np.linalg.norm(one - other, axis=1)
    found: NDArray[np.float64] = np.divide(apart, length, out=apart.copy(), where=length > 0)
    found[((one == other) | (np.isnan(one) & np.isnan(other))).all(axis=1)] = 0
    return found


def distances_of_views(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float64]:
    """Largest distance (b,) between the views of an image (b, K, d), each as in `distances`; NaN where one is none."""
    count, views, width = before.shape
    apart = distances(before.reshape(-1, width), after.reshape(-1, width))
    found: NDArray[np.float64] = apart.reshape(count, views).max(axis=1)
    return found


def _choose(lenders: Sequence[StoredRows], images: Manifest, slots: NDArray[np.int64]) -> list[list[int]]:
    """Find some images for each store that it has rows of, reading as few as possible."""
    chosen: list[list[int]] = [[] for _ in lenders]
    for slot in slots.tolist():
        if not 0 <= images.sizes[slot] <= _LARGEST_FILE:
            continue
        lacking = [(lender, found) for lender, found in zip(lenders, chosen, strict=True) if len(found) < ROWS]
        if not lacking:
            break
        try:
            with open_regular(images.root / images.paths[slot]) as file:
                digest = hashlib.sha256(file.read()).digest()
        except OSError:  # a failure, when its turn comes
            continue
        for lender, found in lacking:
            if lender.find(np.frombuffer(digest, np.uint8).reshape(1, 32))[0] >= 0:
                found.append(slot)
    return chosen


_Computed = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32] | None]


def _agrees(lender: StoredRows, computed: Iterable[_Computed], runner: BackboneRunner, *, views: str) -> bool:
    """Compare a store's rows with computed ones, by the digest of their images; views where they are of one spec."""
    apart: list[float] = []
    for digests, features, of_views in computed:
        rows = lender.find(digests)
        here = rows >= 0
        if lender.features.shape[1] != features.shape[1]:
            apart += [np.inf] * int(here.sum())
        else:
            found = distances(lender.features[rows[here]], features[here])
            if of_views is not None and lender.views is not None and lender.views_fingerprint == views:
                found = np.maximum(found, distances_of_views(lender.views[rows[here]], of_views[here]))
            apart += found.tolist()
    tolerance = TOLERANCES[runner.spec.precision]
    if wrong := [one for one in apart if not one <= tolerance]:
        logger.warning(
            "no rows are copied from %s: %d of its rows were computed again, and %d of them differ, by up to %.2g of "
            "the length of the feature vector",
            lender.path,
            len(apart),
            len(wrong),
            max(wrong),
        )
    return bool(apart) and not wrong
