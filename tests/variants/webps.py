"""Variants of WebP: lossy and lossless, with and without alpha, still and moving."""

import io
import itertools
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from variants.scene import HEIGHT, WIDTH, Samples, Variant, alpha, levels, over_white, quantised, scene

ALPHA, ANIMATION = 0x10, 0x02


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def riff(body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def encoded(samples: Samples, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(samples.astype(np.uint8)).save(file, "WEBP", **options)
    return file.getvalue()


def streams(data: bytes) -> bytes:
    """Take the chunks of the picture out of a still file."""
    return data[12:] if data[12:16] != b"VP8X" else data[30:]


def three(value: int) -> bytes:
    return value.to_bytes(3, "little")


def moving(*frames: tuple[bytes, int, int, int, int, int], opaque: bool, background: int) -> bytes:
    """Put frames (chunks, left, top, width, height, flags) on a canvas."""
    head = bytes([ANIMATION | (0 if opaque else ALPHA), 0, 0, 0]) + three(WIDTH - 1) + three(HEIGHT - 1)
    body = chunk(b"VP8X", head) + chunk(b"ANIM", struct.pack("<IH", background, 0))
    for data, left, top, width, height, flags in frames:
        place = three(left // 2) + three(top // 2) + three(width - 1) + three(height - 1) + three(100)
        body += chunk(b"ANMF", place + bytes([flags]) + data)
    return riff(body)


def variants() -> Iterator[Variant]:
    """Yield all variants of WebP."""
    samples = quantised(scene(), 8)
    shown = levels(samples, 8)
    clear = np.dstack([samples, quantised(alpha(), 8)])
    white = over_white(shown, levels(clear[:, :, 3], 8) / 255)
    for method, exact in itertools.product(range(7), (False, True)):
        for name, pixels, truth in (("opaque", samples, shown), ("alpha", clear, white)):
            data = encoded(pixels, lossless=True, method=method, exact=exact)
            yield Variant(name=f"webp lossless, {name}, method {method}, exact {exact}", data=data, truth=truth)
    for method, quality in itertools.product(range(7), (90, 100)):
        for name, pixels, truth in (("opaque", samples, shown), ("alpha", clear, white)):
            data = encoded(pixels, method=method, quality=quality)
            bound = 26 if quality == 90 else 20
            yield Variant(name=f"webp, {name}, method {method}, quality {quality}", data=data, truth=truth, bound=bound)
    for colours in (2, 4, 16, 200):  # which WebP packs into palettes
        few = np.array(Image.fromarray(samples.astype(np.uint8)).quantize(colours).convert("RGB"))
        yield Variant(name=f"webp of {colours} colours", data=encoded(few, lossless=True), truth=few.astype(float))
    for side in range(1, 8):
        part = samples[:side, : 8 - side]
        yield Variant(name=f"webp, {8 - side} x {side}", data=encoded(part, lossless=True), truth=levels(part, 8))
    left, top, width, height = 10, 6, 31, 20
    inner = clear[top : top + height, left : left + width]
    canvas = np.full((HEIGHT, WIDTH, 3), 255.0)
    canvas[top : top + height, left : left + width] = white[top : top + height, left : left + width]
    part, whole = streams(encoded(inner, lossless=True, exact=True)), streams(encoded(samples, lossless=True))
    place = left, top, width, height
    for flags, background in itertools.product(range(4), (0, 0xFF0000FF, 0xFFFFFFFF)):
        words = f"flags {flags}, background {background:x}"
        data = moving((whole, 0, 0, WIDTH, HEIGHT, flags), (part, *place, 0), opaque=True, background=background)
        yield Variant(name=f"webp, moving, whole first frame, {words}", data=data, truth=shown)
        data = moving((part, *place, flags), (whole, 0, 0, WIDTH, HEIGHT, 0), opaque=False, background=background)
        yield Variant(name=f"webp, moving, small first frame, {words}", data=data, truth=canvas)
