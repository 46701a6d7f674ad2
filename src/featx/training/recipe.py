"""The way in which a network is trained, and its learning rate at every step."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The way in which a network is trained.

    Parameters
    ----------
    epochs : int
        Passes over the training images.
    rate : float
        Highest learning rate of Adam.
    warmup : int
        Epochs in which the rate rises to it; afterwards it falls to 0 along a cosine.
    batch_size : int
        Images of one step.
    patience : int
        Epochs without a better one after which training ends.
    seed : int
        Of the order of images and of everything else that is drawn.
    """

    epochs: int = 15
    rate: float = 1e-3
    warmup: int = 2
    batch_size: int = 32
    patience: int = 8
    seed: int = 0

    def rate_at(self, step: int, steps: int) -> float:
        """Return the learning rate of a step, of so many in an epoch; both counted from 0."""
        rising, every = min(self.warmup, self.epochs - 1) * steps, self.epochs * steps
        if step < rising:
            return self.rate * (step + 1) / rising
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / (every - rising)))
