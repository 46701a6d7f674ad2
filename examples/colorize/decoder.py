"""A small network from the maps of an encoder to the colours of a picture, and its training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from lab import to_lab, to_rgb
from numpy.typing import NDArray

Maps = list[NDArray[np.float32]]

SCALE = 50.0
"""The a* and b* that the network gives as 1."""


def lightness(grey: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Compute L* (n, side, side, 1) of grey pictures (n, h, w, 3), as the mean over each place, from 0 to 1."""
    values = to_lab(grey[..., :1].repeat(3, axis=-1))[..., :1] / 100
    return _shrunk(values, side)


def colours(rgb: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Compute a* and b* (n, side, side, 2) of pictures (n, h, w, 3), as the mean over each place."""
    return _shrunk(to_lab(rgb)[..., 1:], side)


def painted(grey: NDArray[np.uint8], ab: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Give grey pictures (n, h, w, 3) the colours (n, side, side, 2), smoothly enlarged."""
    import cv2

    height, width = grey.shape[1:3]
    out = np.empty_like(grey)
    for at, (picture, small) in enumerate(zip(grey, ab, strict=True)):
        large = cv2.resize(np.ascontiguousarray(small), (width, height), interpolation=cv2.INTER_LINEAR)
        out[at] = to_rgb(np.concatenate([to_lab(picture)[..., :1], large], axis=-1))
    return out


def build(maps: Maps, side: int, *, seed: int) -> Any:
    """Build a network that joins maps (n, h, w, c), the coarsest first, up to a*, b* of `side` x `side`.

    The maps are brought to mean 0 and variance 1 by those of the given ones, which must be for training only.
    """
    import keras

    keras.utils.set_random_seed(seed)
    inputs = [keras.Input(one.shape[1:]) for one in maps]
    x = None
    for at in np.argsort([one.shape[1] for one in maps], kind="stable").tolist():
        mean, variance = maps[at].mean(axis=(0, 1, 2)), maps[at].var(axis=(0, 1, 2)) + 1e-6
        part = keras.layers.Normalization(mean=mean.tolist(), variance=variance.tolist())(inputs[at])
        if x is not None:
            if x.shape[1] != part.shape[1]:
                x = keras.layers.Resizing(*part.shape[1:3], interpolation="bilinear")(x)
            part = keras.layers.Concatenate()([part, x])
        width = 48 if part.shape[1] <= 8 else 32 if part.shape[1] <= 16 else 16
        x = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(part)
        x = keras.layers.SpatialDropout2D(0.1)(x)
    if x.shape[1] != side:
        x = keras.layers.Resizing(side, side, interpolation="bilinear")(x)
    return keras.Model(inputs, keras.layers.Conv2D(2, 1)(x))


def train(network: Any, maps: Maps, ab: NDArray[np.float32], *, epochs: int) -> None:
    """Train a network on the absolute error of a* and b*."""
    import keras

    batch = 16
    steps = epochs * -(-len(ab) // batch)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    network.compile(optimizer=keras.optimizers.Adam(rate), loss="mae")
    network.fit(list(maps), ab / SCALE, batch_size=batch, epochs=epochs, verbose=0)


def predict(network: Any, maps: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Compute a* and b* (n, side, side, 2)."""
    found: NDArray[np.float32] = SCALE * network.predict(list(maps), verbose=0)
    return found


def _shrunk(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    n, height, width, channels = values.shape
    blocks = values.reshape(n, side, height // side, side, width // side, channels)
    return blocks.mean(axis=(2, 4), dtype=np.float32)
