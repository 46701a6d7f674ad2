"""Variants of TIFF: every combination of the tags that decide what its bytes mean."""

import io
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from variants.scene import HEIGHT, WIDTH, Samples, Variant, alpha, grey, levels, over_white, quantised, repeated, scene
from variants.tiff import (
    CMYK,
    FLOAT,
    GREY,
    GREY_INVERTED,
    ICCLAB,
    LAB,
    PALETTE,
    RGB,
    SIGNED,
    SUBSAMPLINGS,
    UNSIGNED,
    YCBCR,
    Tags,
    tiff,
)

NAMES = {GREY_INVERTED: "inverted grey", GREY: "grey", RGB: "rgb", PALETTE: "palette", CMYK: "cmyk", YCBCR: "ycbcr"}
FULL_CHROMA = ((530, 3, (1, 1)),)
MORE_BITS = {(RGB, 16): 3, (CMYK, 16): 2}
"""Levels by which the rule for 16-bit colour (the high byte) may differ, where two samples make one."""


def colour_map(bits: int) -> Samples:
    return np.random.default_rng(bits).integers(0, 256, (2**bits, 3))


def colour_map_tag(bits: int) -> tuple[tuple[int, int, tuple[int, ...]], ...]:
    return ((320, 3, tuple(int(value) * 257 for value in colour_map(bits).T.ravel())),)


def ycbcr(rgb: Samples) -> Samples:
    """BT.601, full range, 0 to 1, as JPEG has it."""
    red, green, blue = np.moveaxis(rgb, 2, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([luma, (blue - luma) / 1.772 + 128 / 255, (red - luma) / 1.402 + 128 / 255], axis=-1)


def from_ycbcr(values: Samples) -> Samples:
    luma, blue, red = values[:, :, 0], values[:, :, 1] - 128, values[:, :, 2] - 128
    rgb = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=-1)
    return np.clip(rgb, 0, 255)


def picture(tags: Tags) -> Samples:
    """Give samples of the scene for these tags."""
    values: Samples = {
        GREY_INVERTED: lambda: grey()[:, :, np.newaxis],
        GREY: lambda: grey()[:, :, np.newaxis],
        PALETTE: lambda: grey()[:, :, np.newaxis],
        RGB: scene,
        CMYK: lambda: np.dstack([1 - scene(), 0.3 * grey()]),
        YCBCR: lambda: ycbcr(0.2 + 0.6 * scene()),
    }[tags.photometric]()
    if tags.extra[:1] == (1,) and tags.photometric != PALETTE:
        values = values * alpha()[:, :, np.newaxis]
    values = np.dstack([values, *[alpha()] * len(tags.extra)])
    if tags.sample_format == FLOAT:
        return values
    samples = quantised(values, tags.bits)
    return samples.astype(np.int64) - 2 ** (tags.bits - 1) if tags.sample_format == SIGNED else samples


def truth(samples: Samples, tags: Tags) -> Samples:
    """Compute the pixels that TIFF 6.0 gives these samples, 0 to 255."""
    values = levels(samples, tags.bits)
    if tags.photometric in (GREY, GREY_INVERTED):
        colours = repeated(values[:, :, 0])
        colours, rest = 255 - colours if tags.photometric == GREY_INVERTED else colours, values[:, :, 1:]
    elif tags.photometric == PALETTE:
        colours, rest = colour_map(tags.bits)[samples[:, :, 0].astype(int)].astype(float), values[:, :, 1:]
    elif tags.photometric == CMYK:
        colours, rest = (255 - values[:, :, :3]) * (255 - values[:, :, 3:4]) / 255, values[:, :, 4:]
    else:
        colours, rest = values[:, :, :3], values[:, :, 3:]
        colours = from_ycbcr(colours) if tags.photometric == YCBCR else colours
    if tags.extra[:1] in ((2,), (999,)):
        return over_white(colours, rest[:, :, 0] / 255)
    return np.minimum(colours + 255 - rest[:, :, :1], 255) if tags.extra[:1] == (1,) else colours


def has_rule(tags: Tags) -> bool:
    """Tell, in words of docs/pixels.md and not of the code, whether this combination is to be decoded."""
    meant = tags.extra if any(tags.extra) or tags.planar == 1 else ()
    extras = {
        (GREY, 8, 1): {(), (0,), (2,)},
        (PALETTE, 8, 1): {(), (0,), (2,)},
        (RGB, 8, 1): {(), (0,), (1,), (2,)},
        (RGB, 8, 2): {(), (1,), (2,)},
        (RGB, 16, 1): {(), (0,), (1,), (2,)},
        (RGB, 16, 2): {(), (1,), (2,)},
        (CMYK, 8, 1): {(), (0,)},
    }.get((tags.photometric, tags.bits, tags.planar), {()})
    depths = {
        GREY_INVERTED: (1, 2, 4, 8),
        GREY: (1, 2, 4, 8, 16),
        RGB: (8, 16),
        PALETTE: (1, 2, 4, 8),
        CMYK: (8, 16),
        YCBCR: (8,) if tags.planar == 1 else (),
    }
    unsigned = tags.sample_format in (None, UNSIGNED)
    reversible = tags.fill_order == 1 or (
        not meant
        and not tags.extra
        and (tags.photometric in (GREY_INVERTED, GREY, PALETTE) or tags.bits == 8)
        and tags.photometric not in (CMYK, YCBCR)
        and (tags.bits < 16 or tags.order == "<")
    )
    return unsigned and tags.bits in depths[tags.photometric] and meant in extras and reversible


def combinations() -> Iterator[tuple[str, Tags, Samples]]:
    """Yield colours x depths x kinds of numbers x planes x extra samples x ways to store them."""
    kinds = [
        (colours, bits, kind)
        for colours, bits, kind in itertools.product(NAMES, (1, 2, 4, 8, 12, 16, 32), (None, SIGNED, FLOAT))
        if not (kind == FLOAT and bits not in (16, 32)) and not (colours == PALETTE and (kind or bits > 8))
    ]
    ways: list[dict[str, Any]] = [
        {},
        {"order": ">"},
        {"rows": 7},
        {"tile": (16, 32)},
        {"tile": (16, 32), "order": ">", "compression": 8},
        {"rows": 7, "compression": 8, "big": True},
        {"compression": 32773, "order": ">"},
        {"compression": 8, "predictor": 2},
        {"compression": 8, "predictor": 2, "tile": (16, 32), "order": ">"},
        {"fill_order": 2},
        {"fill_order": 2, "order": ">", "rows": 7},
        {"fill_order": 2, "compression": 32773},
    ]
    for (colours, bits, kind), planar, extra, way in itertools.product(kinds, (1, 2), ((), (0,), (1,), (2,)), ways):
        if way.get("predictor") and (kind == FLOAT or bits not in (8, 16, 32)):
            continue
        more = colour_map_tag(bits) if colours == PALETTE else FULL_CHROMA if colours == YCBCR else ()
        tags = Tags(bits=bits, photometric=colours, sample_format=kind, planar=planar, extra=extra, more=more, **way)
        samples = picture(tags)
        name = f"tiff {NAMES[colours]}, {bits} bits, {kind or 'unsigned'}, planes {planar}, extra {extra}, {way}"
        yield name, tags, samples


def lossless() -> Iterator[Variant]:
    """Yield all combinations as files."""
    for name, tags, samples in combinations():
        decoded = has_rule(tags)
        shown = truth(samples, tags) if decoded else np.zeros((HEIGHT, WIDTH, 3))
        bound = MORE_BITS.get((tags.photometric, tags.bits), 1) if tags.extra or tags.photometric == CMYK else 1
        yield Variant(name=name, data=tiff(samples, tags), truth=shown, bound=bound, decoded=decoded)


def turned() -> Iterator[Variant]:
    """Yield orientations, in strips and tiles, of unequal sides."""
    ways: dict[int, Any] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90,
    }
    for (orientation, turn), compression, planar, tile in itertools.product(
        ways.items(), (1, 8), (1, 2), (None, (16, 32))
    ):
        tags = Tags(compression=compression, planar=planar, tile=tile, more=((274, 3, (orientation,)),))
        samples = quantised(scene(), 8)
        name = f"tiff of orientation {orientation}, compression {compression}, planes {planar}, tile {tile}"
        yield Variant(name=name, data=tiff(samples, tags), truth=turn(levels(samples, 8)))


def of_libtiff() -> Iterator[Variant]:
    """Yield compressions that libtiff writes."""
    images = {
        "1": (grey() > 0.5) * 255.0,
        "L": np.rint(grey() * 255),
        "I;16": np.rint(grey() * 65535),
        "RGB": np.rint(scene() * 255),
        "CMYK": np.rint(np.dstack([1 - scene(), 0.3 * grey()]) * 255),
    }
    fax = ("tiff_ccitt", "group3", "group4")
    for mode, compression in itertools.product(images, ("tiff_lzw", "lzma", "zstd", "packbits", *fax)):
        if compression in fax and mode != "1":
            continue
        values = images[mode]
        kind = {"1": np.uint8, "I;16": np.uint16}.get(mode, np.uint8)
        image = Image.fromarray(values.astype(kind), None if mode != "CMYK" else "CMYK")
        image = image.convert("1", dither=Image.Dither.NONE) if mode == "1" else image
        file = io.BytesIO()
        image.save(file, "TIFF", compression=compression)
        shown = repeated(values / (257 if mode == "I;16" else 1)) if values.ndim == 2 else values
        if mode == "CMYK":
            shown = (255 - values[:, :, :3]) * (255 - values[:, :, 3:]) / 255
        yield Variant(name=f"tiff {mode}, {compression}", data=file.getvalue(), truth=shown)


def of_jpeg() -> Iterator[Variant]:
    """Yield strips and tiles that are JPEGs."""
    for colours, layout, planar in itertools.product(
        (GREY, RGB, CMYK, YCBCR), ({"rows": 16}, {"tile": (16, 32)}), (1, 2)
    ):
        for subsampling in SUBSAMPLINGS if colours == YCBCR and planar == 1 else [(1, 1)]:
            tags = Tags(
                photometric=colours,
                compression=7,
                planar=planar,
                more=((530, 3, subsampling),) if colours == YCBCR else (),
                **layout,
            )
            samples = picture(tags)
            yield Variant(
                name=f"tiff {NAMES[colours]} of jpeg, planes {planar}, chroma {subsampling}, {layout}",
                data=tiff(samples, tags),
                truth=truth(samples, tags),
                bound=12 if colours == YCBCR else 8,
                decoded=planar == 1,
            )


def lab() -> Iterator[Variant]:
    """Yield CIE L*a*b* of D50, of colours inside sRGB, by the formulas of CIE 15 and IEC 61966-2-1."""
    shown = 0.2 + 0.6 * scene()
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    to_d50 = np.array(  # of sRGB, with Bradford's adaptation
        [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
    )
    ratio = (linear @ to_d50.T) / np.array([0.96422, 1.0, 0.82521])
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, 2, 0)
    values = np.stack([(116 * y - 16) * 2.55, 500 * (x - y), 200 * (y - z)], axis=-1)
    samples = np.rint(values).astype(np.int64) % 256
    for planar, compression in itertools.product((1, 2), (1, 8)):
        yield Variant(
            name=f"tiff L*a*b*, planes {planar}, compression {compression}",
            data=tiff(samples, Tags(photometric=LAB, planar=planar, compression=compression)),
            truth=shown * 255,
            bound=8,  # a step of b* is three levels of blue
            decoded=planar == 1,
        )


def odd() -> Iterator[Variant]:
    """Yield what has no rule, and rules for rare tags."""
    rgb, hues = quantised(scene(), 8), quantised(np.dstack([1 - scene(), 0.3 * grey()]), 8)
    shown = levels(rgb, 8)
    cmyk = Tags(photometric=CMYK)
    palette = Tags(photometric=PALETTE, bits=4)
    luma = Tags(photometric=YCBCR)
    index, values = quantised(grey(), 4), quantised(ycbcr(0.2 + 0.6 * scene()), 8)
    full = np.dstack([rgb, quantised(alpha(), 8)])
    refused = {
        "tiff of 5 bands": (quantised(np.dstack([scene(), scene()[:, :, :2]]), 8), Tags(photometric=GREY)),
        "tiff of 200 bands": (np.repeat(rgb[:, :, :1], 200, axis=2), Tags(photometric=GREY, planar=2)),
        "tiff of 4 bands, a plane for each": (full, Tags(planar=2)),
        "tiff of JPEG 2000": (rgb, Tags(more=((259, 3, (34712,)),))),
        "tiff of an unknown compression": (rgb, Tags(more=((259, 3, (50002,)),))),
        "tiff of no meaning": (rgb, Tags(photometric=RGB, more=((262, 3, (99,)),))),
        "tiff of raw sensor data": (rgb[:, :, 0], Tags(photometric=32803)),
        "tiff of a mask": (quantised(grey(), 1), Tags(photometric=4, bits=1)),
        "tiff of ICC L*a*b*": (rgb, Tags(photometric=ICCLAB)),
        "tiff of 16-bit L*a*b*": (rgb, Tags(photometric=LAB, bits=16)),
        "tiff of unequal bits": (rgb, Tags(more=((258, 3, (8, 8, 16)),))),
        "tiff of unequal kinds": (rgb, Tags(more=((339, 3, (1, 1, 2)),))),
        "tiff of undefined samples": (rgb, Tags(sample_format=4)),
        "tiff of floats, predicted": (
            scene(),
            Tags(bits=32, sample_format=FLOAT, compression=8, more=((317, 3, (3,)),)),
        ),
        "tiff predicted without a compression": (rgb, Tags(predictor=2)),
        "tiff of a raw file's preview": (rgb, Tags(more=((254, 4, (1,)), (330, 4, (8,))))),
        "tiff of a digital negative's preview": (rgb, Tags(more=((254, 4, (1,)), (50706, 1, (1, 4, 0, 0))))),
        "tiff of five inks": (hues, replace(cmyk, more=((332, 3, (2,)),))),
        "tiff of inks from 16 to 235": (hues, replace(cmyk, more=((336, 3, (16, 235)),))),
        "tiff of a palette of 8 bits": (index, replace(palette, more=((320, 3, tuple(range(48))),))),
        "tiff of half a palette": (index, replace(palette, more=((320, 3, (65535,) * 24),))),
        "tiff of no palette": (index, palette),
        "tiff of subsampled ycbcr": (values, replace(luma, more=((530, 3, (2, 2)),))),
        "tiff of ycbcr that is subsampled by default": (values, luma),
        "tiff of ycbcr from 16 to 235": (
            values,
            replace(luma, more=(*FULL_CHROMA, (532, 12, (16, 235, 128, 240, 128, 240)))),
        ),
        "tiff of other ycbcr": (values, replace(luma, more=(*FULL_CHROMA, (529, 12, (0.2126, 0.7152, 0.0722))))),
    }
    for name, (samples, tags) in refused.items():
        yield Variant(name=name, data=tiff(samples, tags), truth=shown, decoded=False)
    white = over_white(shown, levels(full[:, :, 3], 8) / 255)
    first = np.dstack([full, full[:, :, :2]])
    accepted = {
        "tiff of four samples, not named": (full, Tags(), white),
        "tiff of Corel's alpha": (full, Tags(extra=(999,)), white),
        "tiff of alpha and two more": (first, Tags(extra=(2, 0, 0)), white),
        "tiff of three more": (first, Tags(extra=(0, 0, 0)), shown),
        "tiff of one number of bits for three samples": (rgb, Tags(more=((258, 3, (8,)),)), shown),
        "tiff of too many numbers of bits": (rgb, Tags(more=((258, 3, (8, 8, 8, 1)),)), shown),
        "tiff of inks from 0 to 255": (hues, replace(cmyk, more=((336, 3, (0, 255)),)), truth(hues, cmyk)),
        "tiff of ycbcr, whole range": (
            values,
            replace(luma, more=(*FULL_CHROMA, (532, 12, (0, 255, 128, 255, 128, 255)))),
            truth(values, luma),
        ),
    }
    for name, (samples, tags, pixels) in accepted.items():
        yield Variant(name=name, data=tiff(samples, tags), truth=pixels)


def variants() -> Iterator[Variant]:
    """Yield all variants of TIFF."""
    for part in (lossless, turned, of_libtiff, of_jpeg, lab, odd):
        yield from part()
