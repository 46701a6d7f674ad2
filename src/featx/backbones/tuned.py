"""Digests of the images that weights were tuned on, inside the weights file, so that they can't be parted.

They lie in a group of their own beside Keras's, which Keras doesn't look into: the file stays a file of weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
    found = _read(source.path)
    if found is None:
        return nothing
    images = found.images
    if images is None or images.dtype != np.uint8 or images.shape[1:] != (32,):
        raise WeightsError(
            f"weights file {source.path}: its list of the images that it was tuned on is damaged; tune again"
        )
    return images


def key_of(path: Path) -> str | None:
    """Read what tells the tuning that made a weights file from any other; None where none did."""
    found = _read(path)
    return None if found is None else found.key


def union(digests: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Join lists of digests (n, 32), each digest once, sorted."""
    every = np.concatenate([np.empty((0, 32), np.uint8), *digests])
    return np.unique(every, axis=0)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """The group that `save` wrote into a weights file; None stands for a part that is not as it was written."""

    key: str | None = None
    images: NDArray[np.uint8] | None = None


def _read(path: Path) -> _Found | None:
    """Read the group; None where the file has none, or can't be read at all."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if file.get(GROUP, getlink=True) is None:
                return None
            group = _own(file, GROUP)
            if not isinstance(group, h5py.Group):
                return _Found()
            return _Found(key=_key(group), images=_images(_own(group, IMAGES)))
    except (OSError, ValueError, RuntimeError):
        return None  # a .keras is an archive; and what can't be read is said when the weights are


def _own(group: Any, name: str) -> Any:
    """Return what a file itself has under a name; None for a link, which could lead to a pipe that is waited for."""
    import h5py

    try:
        return group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
    except (KeyError, OSError, RuntimeError):
        return None


def _key(group: Any) -> str | None:
    try:
        return str(group.attrs[KEY])
    except (KeyError, OSError, RuntimeError, TypeError, ValueError):
        return None


def _images(dataset: Any) -> NDArray[np.uint8] | None:
    import h5py

    # One of no shape at all (a null dataspace) has no size; what `save` writes is contiguous and in the file itself.
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None or dataset.size > 32 * _MOST:
        return None
    if dataset.external or dataset.is_virtual or dataset.chunks is not None:
        return None
    try:
        return np.asarray(dataset)
    except (OSError, RuntimeError, TypeError, ValueError):
        return None
