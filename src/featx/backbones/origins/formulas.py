"""Networks that are given by a formula: their tensors are computed, and there is nothing to find or to check.

Each is loaded where it is asked for: the means of colours need nothing of the wavelets.
"""

from featx.backbones.table import Entry
from featx.weights import digest_tensors


def digest(entry: Entry, image_size: tuple[int, int]) -> str:
    """Compute the digest of a formula's tensors.

    Raises
    ------
    UsageError
        It can't take the image size.
    """
    if entry.family == "mean-colour":
        return digest_tensors(())
    from featx.backbones.scattering import tensors

    return digest_tensors(tensors(image_size, **entry.arguments))


def feature_map(entry: Entry, image_size: tuple[int, int]) -> tuple[int, ...]:
    """Return the shape of a feature that isn't pooled: height, width and channels.

    Raises
    ------
    UsageError
        It can't take the image size.
    """
    if entry.family == "mean-colour":
        return *image_size, 3
    from featx.backbones.scattering import feature_map as cells

    return cells(image_size, **entry.arguments)
