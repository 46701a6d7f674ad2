"""Variants of PNG: the kinds of PngSuite, written by the definition (PNG, third edition)."""

import itertools
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from variants.scene import Samples, Variant, alpha, grey, levels, over_white, quantised, repeated, scene

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGB_ALPHA: (8, 16)}
NAMES = {GREY: "grey", RGB: "rgb", PALETTE: "palette", GREY_ALPHA: "grey and alpha", RGB_ALPHA: "rgb and alpha"}
# Adam7: first row, first column, step of rows, step of columns.
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def packed(samples: Samples, depth: int) -> Samples:
    """Pack samples ``(h, w, c)`` to rows of bytes."""
    rows = samples.reshape(len(samples), -1)
    if depth == 16:
        return np.frombuffer(rows.astype(">u2").tobytes(), np.uint8).reshape(len(rows), -1)
    places = np.arange(depth - 1, -1, -1, dtype=np.uint64)
    bits = rows.astype(np.uint64)[:, :, np.newaxis] >> places & 1
    return np.packbits(bits.astype(np.uint8).reshape(len(rows), -1), axis=1)


def filtered(rows: Samples, step: int, kind: int) -> bytes:
    """Filter rows of bytes; `step` is the number of bytes of a pixel, `kind` 0 to 4, or 5 for all of them in turn."""
    now = rows.astype(int)
    left, up = np.zeros_like(now), np.zeros_like(now)
    left[:, step:], up[1:] = now[:, :-step] if step < now.shape[1] else 0, now[:-1]
    corner = np.zeros_like(now)
    corner[1:] = left[:-1]
    guess = left + up - corner
    apart = [np.abs(guess - other) for other in (left, up, corner)]
    paeth = np.where((apart[0] <= apart[1]) & (apart[0] <= apart[2]), left, np.where(apart[1] <= apart[2], up, corner))
    bases = [np.zeros_like(now), left, up, (left + up) // 2, paeth]
    kinds = [index % 5 if kind == 5 else kind for index in range(len(now))]
    return b"".join(
        bytes([which]) + ((now[row] - bases[which][row]) % 256).astype(np.uint8).tobytes()
        for row, which in enumerate(kinds)
    )


def png(samples: Samples, depth: int, colour: int, *chunks: bytes, interlaced: bool = False, kind: int = 0) -> bytes:
    """Write samples ``(h, w, c)`` with these chunks before the data, which is in two chunks."""
    height, width, channels = samples.shape
    step = max(1, channels * depth // 8)
    parts = [samples[top::down, left::right] for top, left, down, right in PASSES] if interlaced else [samples]
    raw = zlib.compress(b"".join(filtered(packed(part, depth), step, kind) for part in parts if part.size))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    data = chunk(b"IDAT", raw[: len(raw) // 2]) + chunk(b"IDAT", raw[len(raw) // 2 :])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + data + chunk(b"IEND", b"")


def picture(colour: int, depth: int) -> Samples:
    values = {
        GREY: lambda: grey()[:, :, np.newaxis],
        PALETTE: lambda: grey()[:, :, np.newaxis],
        RGB: scene,
        GREY_ALPHA: lambda: np.dstack([grey(), alpha()]),
        RGB_ALPHA: lambda: np.dstack([scene(), alpha()]),
    }[colour]()
    return quantised(values, depth)


def colours_of(depth: int) -> Samples:
    return np.random.default_rng(depth).integers(0, 256, (2**depth, 3)).astype(np.uint8)


def truth(samples: Samples, colour: int, depth: int) -> Samples:
    if colour == PALETTE:
        return colours_of(depth)[samples[:, :, 0].astype(int)].astype(float)
    values = levels(samples, depth)
    shown = repeated(values[:, :, 0]) if colour in (GREY, GREY_ALPHA) else values[:, :, :3]
    return over_white(shown, values[:, :, -1] / 255) if colour in (GREY_ALPHA, RGB_ALPHA) else shown


# What a PNG may say about colours, times and texts: none of it changes a pixel.
IGNORED = {
    "gAMA": struct.pack(">I", 100_000),
    "gAMA ": struct.pack(">I", 45_455),
    "cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    "sRGB": b"\0",
    "pHYs": struct.pack(">IIB", 1, 4, 0),
    "tIME": struct.pack(">HBBBBB", 2020, 1, 1, 0, 0, 0),
    "tEXt": b"Title\0picture",
    "cICP": bytes([9, 16, 0, 1]),
}


def variants() -> Iterator[Variant]:
    """Yield all variants of PNG."""
    for colour, interlaced in itertools.product(DEPTHS, (False, True)):
        for depth in DEPTHS[colour]:
            samples = picture(colour, depth)
            shown = truth(samples, colour, depth)
            palette = (chunk(b"PLTE", colours_of(depth).tobytes()),) if colour == PALETTE else ()
            name = f"png {NAMES[colour]} of {depth} bits{', interlaced' if interlaced else ''}"
            # Colour and opacity are each scaled to 8 bits.
            bound = 2 if depth == 16 and colour in (GREY_ALPHA, RGB_ALPHA) else 1
            for kind in range(6):
                data = png(samples, depth, colour, *palette, interlaced=interlaced, kind=kind)
                yield Variant(name=f"{name}, filter {kind}", data=data, truth=shown, bound=bound)
            for said, body in IGNORED.items():
                data = png(samples, depth, colour, chunk(said[:4].encode(), body), *palette, interlaced=interlaced)
                yield Variant(name=f"{name}, {said}", data=data, truth=shown, bound=bound)
            if colour in (GREY, RGB, PALETTE):
                yield from clear(samples, depth, colour, palette, interlaced)
            if colour in (RGB, RGB_ALPHA):
                data = png(samples, depth, colour, chunk(b"PLTE", colours_of(4).tobytes()), interlaced=interlaced)
                yield Variant(name=f"{name}, suggested palette", data=data, truth=shown, bound=bound)
            background = {PALETTE: b"\1", GREY: b"\0\1", GREY_ALPHA: b"\0\1"}.get(colour, b"\0\1\0\2\0\3")
            data = png(samples, depth, colour, *palette, chunk(b"bKGD", background), interlaced=interlaced)
            yield Variant(name=f"{name}, background", data=data, truth=shown, bound=bound)
    for side in range(1, 10):
        for interlaced, colour in itertools.product((False, True), (GREY, RGB, RGB_ALPHA)):
            samples = picture(colour, 8)[:side, : 10 - side]
            data = png(samples, 8, colour, interlaced=interlaced)
            name = f"png {NAMES[colour]}, {10 - side} x {side}{', interlaced' if interlaced else ''}"
            yield Variant(name=name, data=data, truth=truth(samples, colour, 8))


def clear(samples: Samples, depth: int, colour: int, palette: tuple[bytes, ...], interlaced: bool) -> Iterator[Variant]:
    """Yield kinds of tRNS: one colour is clear, or entries of the palette have an opacity."""
    name = f"png {NAMES[colour]} of {depth} bits{', interlaced' if interlaced else ''}"
    shown = truth(samples, colour, depth)
    if colour == PALETTE:
        for number in sorted({1, 2**depth // 2, 2**depth}):
            opacity = np.full(2**depth, 255)
            opacity[:number] = np.random.default_rng(1).integers(0, 256, number)
            body = opacity[:number].astype(np.uint8).tobytes()
            data = png(samples, depth, colour, *palette, chunk(b"tRNS", body), interlaced=interlaced)
            white = over_white(shown, opacity[samples[:, :, 0].astype(int)] / 255)
            yield Variant(name=f"{name}, {number} clear entries", data=data, truth=white)
        return
    key = samples[20, 30]
    # Of a neighbour in the low byte, which a decoder of 8 bits takes for the same.
    body = key.astype(">u2").tobytes()
    data = png(samples, depth, colour, chunk(b"tRNS", body), interlaced=interlaced)
    white = np.where((samples == key).all(axis=2, keepdims=True), 255.0, shown)
    yield Variant(name=f"{name}, a clear colour", data=data, truth=white)
