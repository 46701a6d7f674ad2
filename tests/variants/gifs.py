"""Variants of GIF: palettes, transparency, interlacing and frames, by the definition of GIF89a."""

import itertools
import struct
from collections.abc import Iterator

import numpy as np

from variants.scene import HEIGHT, WIDTH, Samples, Variant, grey, quantised


def palette_of(bits: int, seed: int) -> Samples:
    return np.random.default_rng(seed).integers(0, 256, (2**bits, 3)).astype(np.uint8)


def lzw(values: Samples, bits: int, *, growing: bool) -> bytes:
    """Encode indexes: by a table that grows, or by literals with a clear code before the codes grow."""
    least = max(2, bits)
    clear, end = 2**least, 2**least + 1
    total, filled, out = 0, 0, bytearray()

    def put(code: int, width: int) -> None:
        nonlocal total, filled
        total |= code << filled
        filled += width
        while filled >= 8:
            out.append(total & 255)
            total >>= 8
            filled -= 8

    width, table, following = least + 1, {(value,): value for value in range(clear)}, end + 1
    put(clear, width)
    known: tuple[int, ...] = ()
    for value in values.ravel().astype(int).tolist():
        if not growing:
            if following == 2**width:
                put(clear, width)
                following = end + 1
            put(value, width)
            following += 1
            continue
        if (*known, value) in table:
            known = (*known, value)
            continue
        put(table[known], width)
        if following < 4096:
            table[(*known, value)] = following
            width += following == 2**width
            following += 1
        else:
            put(clear, width)
            width, following = least + 1, end + 1
            table = {(value,): value for value in range(clear)}
        known = (value,)
    if known:
        put(table[known], width)
    put(end, width)
    put(0, 7)
    blocks = b"".join(bytes([len(out[i : i + 255])]) + out[i : i + 255] for i in range(0, len(out), 255))
    return bytes([least]) + blocks + b"\0"


def frame(
    values: Samples, bits: int, *, at: tuple[int, int] = (0, 0), local: Samples | None, interlaced: bool, growing: bool
) -> bytes:
    """Write one picture."""
    height, width = values.shape
    flags = interlaced << 6 | (0 if local is None else 0x80 | bits - 1)
    if interlaced:
        values = np.concatenate([values[first::step] for first, step in ((0, 8), (4, 8), (2, 4), (1, 2))])
    head = b"," + struct.pack("<HHHHB", at[1], at[0], width, height, flags)
    return head + (b"" if local is None else local.tobytes()) + lzw(values, bits, growing=growing)


def gif(
    *frames: bytes, bits: int, palette: Samples | None, background: int = 0, version: bytes = b"89a", more: bytes = b""
) -> bytes:
    """Put the screen before frames and extensions."""
    flags = 0 if palette is None else 0x80 | bits - 1
    screen = struct.pack("<HHBBB", WIDTH, HEIGHT, flags, background, 0)
    return b"GIF" + version + screen + (b"" if palette is None else palette.tobytes()) + more + b"".join(frames) + b";"


def control(transparent: int | None, disposal: int = 0) -> bytes:
    flags = disposal << 2 | (transparent is not None)
    return b"!\xf9\4" + struct.pack("<BHB", flags, 10, transparent or 0) + b"\0"


LOOP = b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0"
COMMENT = b"!\xfe\5hello\0"
PLACES = {"whole": (0, 0, HEIGHT, WIDTH), "inside": (5, 9, 20, 30), "at the end": (18, 23, 20, 30)}


def variants() -> Iterator[Variant]:
    """Yield all variants of GIF."""
    for bits, local, interlaced, growing, clear in itertools.product(
        range(1, 9), (False, True), (False, True), (False, True), (False, True)
    ):
        for (place, (top, left, height, width)), disposal, version in itertools.product(
            PLACES.items(), (0, 2) if clear else (0,), (b"87a", b"89a") if not clear else (b"89a",)
        ):
            everywhere, own = palette_of(bits, 1), palette_of(bits, 2)
            values = quantised(grey(), bits).astype(int)[top : top + height, left : left + width]
            transparent = int(values[3, 3]) if clear else None
            used = own if local else everywhere
            shown = used[values].astype(float)
            background = 2**bits - 1
            # What no frame covers has the background's colour, or shows white through.
            canvas = (
                np.full((HEIGHT, WIDTH, 3), 255.0) if clear else np.tile(everywhere[background], (HEIGHT, WIDTH, 1))
            )
            if clear:
                shown[values == transparent] = 255
            canvas = canvas.astype(float)
            canvas[top : top + height, left : left + width] = shown
            picture = frame(
                values, bits, at=(top, left), local=own if local else None, interlaced=interlaced, growing=growing
            )
            data = gif(
                (control(transparent, disposal) if clear else b"") + picture,
                bits=bits,
                palette=everywhere,
                background=background,
                version=version,
                more=LOOP + COMMENT if clear else b"",
            )
            words = f"{'own' if local else 'common'} palette, {place}, clear {transparent}, disposal {disposal}"
            yield Variant(
                name=f"gif of {bits} bits, {words}, interlaced {interlaced}, codes grow {growing}, {version!r}",
                data=data,
                truth=canvas,
                bound=0,
            )
    yield from odd()


def odd() -> Iterator[Variant]:
    """Yield palettes that are grey or missing, and what follows the first frame."""
    index = quantised(grey(), 8).astype(int)
    greys = np.arange(256, dtype=np.uint8)[:, np.newaxis].repeat(3, axis=1)
    options = {"interlaced": False, "growing": True}
    part, at = index[5:25, 9:39], (5, 9)
    for background in (0, 200):
        canvas = np.full((HEIGHT, WIDTH, 3), float(background))
        canvas[5:25, 9:39] = greys[part]
        for own in (None, greys):
            data = gif(frame(part, 8, at=at, local=own, **options), bits=8, palette=greys, background=background)
            name = f"gif of grey, {'common' if own is None else 'own'} palette, background {background}"
            yield Variant(name=name, data=data, truth=canvas, bound=0)
        canvas = np.full((HEIGHT, WIDTH, 3), 255.0)
        canvas[5:25, 9:39] = palette_of(8, 3)[part]
        data = gif(
            frame(part, 8, at=at, local=palette_of(8, 3), **options), bits=8, palette=None, background=background
        )
        yield Variant(name=f"gif of no common palette, background {background}", data=data, truth=canvas, bound=0)
    colours = palette_of(8, 4)
    first = frame(index, 8, local=None, **options)
    for disposal, clear in itertools.product(range(4), (None, 5)):
        second = control(clear, disposal) + frame(index[::-1], 8, local=colours[::-1], **options)
        data = gif(control(None, disposal) + first, second, bits=8, palette=colours, more=LOOP)
        yield Variant(
            name=f"gif of two frames, {disposal}, {clear}", data=data, truth=colours[index].astype(float), bound=0
        )
