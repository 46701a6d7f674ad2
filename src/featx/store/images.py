"""The pixels of a store's images, decoded again from their files and held against the store's digests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.batches import DecodeOptions, Decoders
from featx.errors import StoreError, UsageError
from featx.machine import available_cores
from featx.spec import PixelRules
from featx.words import counted

_BATCH = 64
_MOST_WORKERS = 8
_TIMEOUT_S = 60.0


def sides(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return height and width of a size in pixels.

    Raises
    ------
    UsageError
        It is no size.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise UsageError(f"{size} is not a size: give one side, or height and width, in pixels")
    return height, width


def read_pixels(
    folder: Path, paths: Sequence[str], digests: NDArray[np.uint8], rules: PixelRules, *, max_pixels: int | None
) -> NDArray[np.uint8]:
    """Decode images again into one array.

    Parameters
    ----------
    folder : Path
        Folder that the paths are relative to.
    paths : sequence of str, length n
        The image files.
    digests : (n, 32) uint8
        SHA-256 of the bytes that they had.
    rules : PixelRules
        How pixels are made.
    max_pixels : int or None
        As in `DecodeOptions`.

    Returns
    -------
    (n, H, W, 3) uint8

    Raises
    ------
    StoreError
        An image is gone, can't be read or has other bytes; or there is no memory for so many pixels.
    """
    try:
        pixels = np.empty((len(paths), *rules.image_size, 3), np.uint8)
    except MemoryError as error:
        raise StoreError(
            f"the pixels of {counted(len(paths), 'image')} of {rules.image_size[0]} x {rules.image_size[1]} don't fit "
            "into memory: give a smaller size"
        ) from error
    if not len(paths):
        return pixels
    options = DecodeOptions(
        workers=min(available_cores(), _MOST_WORKERS, len(paths)),
        batch_size=min(_BATCH, len(paths)),
        max_pixels=max_pixels,
        timeout_s=_TIMEOUT_S,
    )
    lost: dict[str, str] = {}
    with Decoders(rules, options) as processes:
        for batch in processes.batches(folder, enumerate(paths)):
            slots = batch.decoded.slots
            pixels[slots] = batch.images
            changed = slots[(batch.decoded.digests != digests[slots]).any(axis=1)]
            lost |= {paths[row]: "it has changed since its features were computed" for row in changed.tolist()}
            lost |= {failure.path: failure.message for failure in batch.failures}
    if lost:
        path, why = next(iter(lost.items()))
        raise StoreError(
            f"{len(lost):,} of {counted(len(paths), 'image')} in {folder} can't be used (the first is {path}: {why}); "
            "extract again, or name the folder that they are in now: featx.open(store, root=FOLDER)"
        )
    return pixels
