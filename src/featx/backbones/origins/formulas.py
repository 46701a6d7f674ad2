"""Networks that are given by a formula: their tensors are computed, and there is nothing to find or to check."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from featx.backbones import scattering
from featx.backbones.table import Entry
from featx.weights import digest_tensors


def digest(entry: Entry, image_size: tuple[int, int]) -> str:
    """Compute the digest of a formula's tensors.

    Raises
    ------
    UsageError
        It can't take the image size.
    """
    return digest_tensors(_FORMULAS[entry.family].tensors(image_size, **entry.arguments))


def feature_map(entry: Entry, image_size: tuple[int, int]) -> tuple[int, ...]:
    """Return the shape of a feature that isn't pooled: height, width and channels.

    Raises
    ------
    UsageError
        It can't take the image size.
    """
    return _FORMULAS[entry.family].map(image_size, **entry.arguments)


@dataclass(frozen=True, kw_only=True)
class _Formula:
    """Functions of the image size for a formula: its tensors, and the shape of a feature that isn't pooled."""

    tensors: Callable[..., Iterable[NDArray[Any]]]
    map: Callable[..., tuple[int, ...]]


_FORMULAS = {
    "mean-colour": _Formula(tensors=lambda _: (), map=lambda image_size: (*image_size, 3)),
    "scattering": _Formula(tensors=scattering.tensors, map=scattering.feature_map),
}
