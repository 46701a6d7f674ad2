"""The matrix of variants: each is equal to its truth within its bound, or refused in words; none is wrong."""

import collections
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from featx.errors import ImageError
from featx.images import DEFAULT_MAX_PIXELS
from featx.images.decoding import decode_whole
from featx.images.geometry import upright
from variants import tiffs
from variants.scene import Variant

FORMATS: dict[str, tuple[Callable[[], Iterator[Variant]], int, int]] = {
    "tiff": (tiffs.variants, 740, 6619),
}
"""Format -> its variants, and how many of them are decoded and refused."""


def outcome(variant: Variant) -> str:
    """Return "decoded" or "refused", or else what is wrong."""
    try:
        pixels = upright(*decode_whole(variant.data, DEFAULT_MAX_PIXELS))
    except ImageError as error:
        if error.reason == "unsupported" and "; " in str(error):
            return "refused"
        return f"{error.reason}: {error}"
    if pixels.shape != variant.truth.shape:
        return f"shape {pixels.shape}, not {variant.truth.shape}"
    apart = float(np.abs(pixels - variant.truth).max())
    return "decoded" if apart <= variant.bound + 0.01 else f"off by {apart:.1f} levels of {variant.bound}"


@pytest.mark.parametrize("kind", FORMATS)
def test_every_variant_is_right_or_refused(kind: str) -> None:
    variants, decoded, refused = FORMATS[kind]
    wrong, counts = [], collections.Counter[str]()
    for variant in variants():
        found = outcome(variant)
        counts[found] += 1
        if found != ("decoded" if variant.decoded else "refused"):
            wrong.append(f"{variant.name}: {found}")
    assert not wrong, "\n".join([f"{len(wrong)} wrong", *wrong[:30]])
    assert counts == {"decoded": decoded, "refused": refused}
