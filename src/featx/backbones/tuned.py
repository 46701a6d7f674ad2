"""Digests of the images that weights were tuned on, inside the weights file, so that they can't be parted.

They lie in a group of their own beside Keras's, which Keras doesn't look into: the file stays a file of weights.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import WeightsError
from featx.weights import WeightsSource

GROUP = "featx"
IMAGES = "tuned_on"
KEY = "key"

_MOST = 2**24
"""Digests that are read at most: half a gigabyte."""


def save(network: Any, path: Path, images: NDArray[np.uint8], *, key: str) -> None:
    """Write the weights of a network with the digests of the images that they were tuned on.

    Parameters
    ----------
    network : keras.Model
        The whole network.
    path : Path
        File ending in ``.weights.h5``.
    images : (n, 32) uint8
        Digests of the images that weights were learnt from or chosen by.
    key : str
        What tells this tuning from any other.
    """
    import h5py

    network.save_weights(path)
    with h5py.File(path, "r+") as file:
        group = file.create_group(GROUP)
        group.attrs[KEY] = key
        group.create_dataset(IMAGES, data=np.ascontiguousarray(images, np.uint8))


def tuned_on(source: WeightsSource) -> NDArray[np.uint8]:
    """Read the digests (n, 32) uint8 of the images that weights were tuned on; n is 0 where they weren't.

    Raises
    ------
    WeightsError
        The file says that its weights were tuned, and not legibly on what.
    """
    nothing = np.empty((0, 32), np.uint8)
    if source.kind != "file" or source.path is None:
        return nothing
    found = _read(source.path, IMAGES)
    if found is None:
        return nothing
    if isinstance(found, str) or found.dtype != np.uint8 or found.shape[1:] != (32,):
        raise WeightsError(
            f"weights file {source.path}: its list of the images that it was tuned on is damaged; tune again"
        )
    return found


def key_of(path: Path) -> str | None:
    """Read what tells the tuning that made a weights file from any other; None where none did."""
    found = _read(path, KEY)
    return None if found is None else str(found)


def union(digests: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Join lists of digests (n, 32), each digest once, sorted."""
    every = np.concatenate([np.empty((0, 32), np.uint8), *digests])
    return np.unique(every, axis=0)


def _read(path: Path, name: str) -> NDArray[np.uint8] | str | None:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            # A link could lead to another file, or to a pipe that would be waited for.
            if GROUP not in file or not isinstance(file.get(GROUP, getlink=True), h5py.HardLink):
                return None
            group = file[GROUP]
            if name == KEY:
                return str(group.attrs[KEY]) if KEY in group.attrs else None
            if name not in group or not isinstance(group.get(name, getlink=True), h5py.HardLink):
                return None
            dataset = group[name]
            if dataset.external or dataset.is_virtual or dataset.chunks is not None or dataset.size > 32 * _MOST:
                return np.empty((0, 0), np.uint8)
            return np.asarray(dataset)
    except (OSError, KeyError, ValueError, RuntimeError):
        return None  # a .keras is an archive; and what can't be read is said when the weights are
