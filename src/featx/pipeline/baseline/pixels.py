"""The small pixels of images, decoded once and kept in memory."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.batches import DecodeOptions, Decoders
from featx.errors import UsageError
from featx.machine import available_memory
from featx.manifest import Failure, Manifest
from featx.pipeline.filling.job import RunOptions
from featx.progress import Progress
from featx.spec import PixelRules
from featx.training.scratch import SIDE

RULES = PixelRules(image_size=(SIDE, SIDE), interpolation="area")
"""Rules from an image to its small pixels: the whole image, averaged over areas."""

MEMORY_SHARE = 0.5
"""Share of the available memory that the pixels may take."""

_BATCH = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoded:
    """Images that could be read.

    Parameters
    ----------
    rows : (m,) int64
        Their rows in the manifest, ascending.
    images : (m, SIDE, SIDE, 3) uint8
        RGB.
    digests : (m, 32) uint8
        SHA-256 of their files.
    failures : tuple of Failure
        The others.
    """

    rows: NDArray[np.int64]
    images: NDArray[np.uint8]
    digests: NDArray[np.uint8]
    failures: tuple[Failure, ...]


def check_memory(count: int) -> None:
    """Refuse images whose pixels wouldn't fit into memory, before any is read.

    Raises
    ------
    UsageError
        The message says how much memory is needed.
    """
    # The rows that could be read are copied together where some could not.
    needed, room = 2 * count * math.prod(RULES.image_size) * 3, MEMORY_SHARE * available_memory()
    if needed > room:
        raise UsageError(
            f"the pixels of {count:,} images need {needed / 1e9:,.1f} GB of memory, and {room / 1e9:,.1f} GB can be "
            "used: give fewer images"
        )


def decode(images: Manifest, options: RunOptions, *, task: Path, progress: Progress) -> Decoded:
    """Read all images of a manifest; `progress` is told of each under the name `task`."""
    pixels = np.zeros((len(images), SIDE, SIDE, 3), np.uint8)
    digests, seen = np.zeros((len(images), 32), np.uint8), np.zeros(len(images), np.bool_)
    failures: list[Failure] = []
    how = DecodeOptions(
        workers=options.decoders, batch_size=_BATCH, timeout_s=options.timeout, max_pixels=options.max_pixels
    )
    with Decoders(RULES, how) as processes:
        for batch in processes.batches(images.root, enumerate(images.paths)):
            slots = batch.decoded.slots
            pixels[slots], digests[slots], seen[slots] = batch.images, batch.decoded.digests, True
            failures += batch.failures
            progress.advance(task, done=len(slots), failed=len(batch.failures))
    rows = np.flatnonzero(seen)
    if len(rows) < len(images):
        pixels, digests = pixels[rows], digests[rows]
    return Decoded(rows=rows, images=pixels, digests=digests, failures=tuple(failures))
