"""The matrix of variants: each is equal to its truth within its bound, or refused in words; none is wrong."""

import collections
import functools
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from featx.errors import ImageError
from featx.images import DEFAULT_MAX_PIXELS, pillow, thumbnail
from featx.images.decoding import decode_whole
from featx.images.geometry import upright
from variants import bmps, gifs, jpegs, pngs, tiffs, webps
from variants.scene import Samples, Variant
from variants.tiff import Tags, tiff

FORMATS: dict[str, tuple[Callable[[], Iterator[Variant]], int, int]] = {
    "bmp": (bmps.variants, 210, 133),
    "gif": (gifs.variants, 782, 0),
    "jpeg": (jpegs.variants, 114, 17),
    "png": (pngs.variants, 548, 0),
    "tiff": (tiffs.variants, 740, 6621),
    "webp": (webps.variants, 91, 0),
}
"""Format -> its variants, and how many of them are decoded and refused."""


def whole(data: bytes) -> Samples:
    return upright(*decode_whole(data, DEFAULT_MAX_PIXELS))


def by_pillow(data: bytes) -> Samples:
    return upright(*pillow.decode(data, "jpeg", DEFAULT_MAX_PIXELS))


def outcome(variant: Variant, decoded: Callable[[bytes], Samples] = whole) -> str:
    """Return "decoded" or "refused", or else what is wrong."""
    try:
        pixels = decoded(variant.data)
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
    assert not wrong, "\n".join([f"{len(wrong)} wrong", *wrong[:200]])
    assert counts == collections.Counter(decoded=decoded, refused=refused)


def test_the_page_has_the_numbers() -> None:
    page = (Path(__file__).parents[2] / "docs/pixels.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| (\w+) \|.*\| (\d+), (\d+) \|$", page, re.MULTILINE)
    expected = {name: (decoded, refused) for name, (_, decoded, refused) in FORMATS.items()}
    assert {name.lower(): (int(decoded), int(refused)) for name, decoded, refused in found} == expected


def test_the_slower_way_to_decode_a_jpeg_is_as_right() -> None:
    """Pillow reads what cv2 doesn't; where both can, both are right."""
    ordinary = [variant for variant in jpegs.variants() if variant.decoded]
    assert {outcome(variant, by_pillow) for variant in ordinary} == {"decoded"}


def quarters(pixels: Samples) -> Samples:
    """Give the mean colour of each quarter."""
    return cv2.resize(pixels.astype(np.float32), (2, 2), interpolation=cv2.INTER_AREA)


@functools.cache
def some_of_all() -> list[Variant]:
    """Give all JPEGs, and one in 25 of the other formats, that are wide enough to be made smaller."""
    variants = [variant for variant in jpegs.variants() if variant.decoded]
    for kind in ("bmp", "gif", "png", "tiff", "webp"):
        variants += [variant for variant in FORMATS[kind][0]() if variant.decoded][::25]
    return [variant for variant in variants if max(variant.truth.shape[:2]) >= 50]


@pytest.mark.parametrize(("side", "bound"), [(6, 15), (12, 6), (50, 6)])
def test_thumbnails_show_the_same(side: int, bound: float) -> None:
    """JPEGs are decoded at a quarter, half and the whole of their size; all others as a whole."""
    for variant in some_of_all():
        small = cv2.imdecode(np.frombuffer(thumbnail(variant.data, side=side, quality=98), np.uint8), cv2.IMREAD_COLOR)
        assert max(small.shape[:2]) == side
        apart = np.abs(quarters(small[:, :, ::-1]) - quarters(variant.truth))
        assert apart.max() < 4 * bound, variant.name
        assert apart.mean() < bound, variant.name


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")  # tifffile's own, with NumPy 2.5
def test_tifffile_reads_the_same_samples() -> None:
    """The writer of the variants is held against another reader, without which both might be wrong alike."""
    tifffile = pytest.importorskip("tifffile")
    same = 0
    for index, (name, tags, samples) in enumerate(tiffs.combinations()):
        if index % 7 and not tiffs.has_rule(tags):
            continue
        try:
            found = tifffile.imread(io.BytesIO(tiff(samples, tags)))
        except (NotImplementedError, ValueError):  # bits that it reads only with a further library
            continue
        if not found.size:  # signed numbers of fewer than 8 bits, which it doesn't read
            continue
        expected = samples.squeeze()
        if tags.planar == 2 and expected.ndim == 3:
            expected = np.moveaxis(expected, 2, 0)
        assert np.squeeze(found).shape == expected.shape, name
        assert np.allclose(np.squeeze(found).astype(float), expected.astype(float), atol=1e-2), name
        same += 1
    assert same >= 1000


MISSING = {
    "fewer strips than rows": {"rows": 7, "more": ((278, 4, (3,)),)},
    "a strip that is not in the file": {"rows": 7, "places": {3: 0}},
    "a tile that is not in the file": {"tile": (16, 16), "places": {2: 0}},
    "a strip of no bytes": {"rows": 7, "counts": {3: 0}},
}


@pytest.mark.parametrize("compression", [1, 8])
@pytest.mark.parametrize("missing", MISSING.values(), ids=MISSING)
def test_a_tiff_with_missing_parts_is_truncated(missing: dict[str, Any], compression: int) -> None:
    """Pillow left them black, or read the header as pixels."""
    samples = np.full((40, 40, 3), 200, np.uint8)
    with pytest.raises(ImageError) as caught:
        whole(tiff(samples, Tags(compression=compression, **missing)))
    assert caught.value.reason == "truncated"
