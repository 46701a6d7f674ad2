"""Images that a backbone's weights were tuned on, among those that a model is fitted or tested on."""

import numpy as np
from numpy.typing import NDArray

NO_TEST = "not a test: the network was tuned on these images"
"""Mark of a cross-validated figure whose images the backbone has learnt with their labels."""


def among(digests: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mark the digests (n, 32) that are among others (t, 32), (n,) bool."""
    if not len(others):
        return np.zeros(len(digests), np.bool_)
    whole = np.dtype((np.void, 32))
    own, theirs = (np.ascontiguousarray(one, np.uint8).view(whole).ravel() for one in (digests, others))
    found: NDArray[np.bool_] = np.isin(own, theirs)
    return found
