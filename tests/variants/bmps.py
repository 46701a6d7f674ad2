"""Variants of BMP: all header versions, depths, bit fields and run lengths, by Microsoft's definition."""

import itertools
import struct
from collections.abc import Iterator

import numpy as np

from variants.scene import HEIGHT, WIDTH, Samples, Variant, alpha, grey, levels, over_white, quantised, scene

CORE, INFO, V2, V3, OS2, V4, V5 = 12, 40, 52, 56, 64, 108, 124
UNCOMPRESSED, RLE8, RLE4, FIELDS, JPEG, PNG, ALPHA_FIELDS = range(7)


def header(
    size: int, width: int, height: int, bits: int, compression: int, length: int, masks: tuple[int, ...], colours: int
) -> bytes:
    """Write the second header of a version, by its size."""
    if size == CORE:
        return struct.pack("<IHHHH", size, width, height, 1, bits)
    first = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, compression, length, 2835, 2835, colours, 0)
    masks = (*masks, 0, 0, 0, 0)[:4]
    if size in (INFO, OS2):
        return first + bytes(size - INFO)
    return (first + struct.pack("<4I", *masks) + (b"BGRs" if size >= V4 else b"")).ljust(size, b"\0")[:size]


def bmp(
    data: bytes,
    *,
    size: int,
    bits: int,
    height: int = HEIGHT,
    compression: int = UNCOMPRESSED,
    masks: tuple[int, ...] = (),
    palette: Samples | None = None,
) -> bytes:
    """Put headers, masks and palette before the rows."""
    count = 0 if palette is None else len(palette)
    second = header(size, WIDTH, height, bits, compression, len(data), masks, count)
    if size == INFO and compression in (FIELDS, ALPHA_FIELDS):
        second += struct.pack(f"<{len(masks)}I", *masks)
    if palette is not None:
        second += b"".join(bytes(colour[::-1]) + (b"" if size == CORE else b"\0") for colour in palette.tolist())
    start = 14 + len(second)
    return struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + second + data


def rows(values: Samples, bits: int, *, top_down: bool = False) -> bytes:
    """Pack numbers ``(h, w)`` of so many bits, each row to a multiple of four bytes."""
    values = values if top_down else values[::-1]
    if bits >= 8:
        raw = values.astype("<u4").view(np.uint8).reshape(*values.shape, 4)[:, :, : bits // 8].reshape(len(values), -1)
    else:
        places = np.arange(bits - 1, -1, -1, dtype=np.uint64)
        packed = (values.astype(np.uint64)[:, :, np.newaxis] >> places & 1).astype(np.uint8)
        raw = np.packbits(packed.reshape(len(values), -1), axis=1)
    return np.pad(raw, ((0, 0), (0, -raw.shape[1] % 4))).astype(np.uint8).tobytes()


def in_fields(samples: list[Samples], masks: tuple[int, ...]) -> Samples:
    """Put a sample of 0 to 1 into each field; gives the numbers."""
    whole = np.zeros((HEIGHT, WIDTH), np.uint64)
    for values, mask in zip(samples, masks, strict=True):
        if mask:
            shift = (mask & -mask).bit_length() - 1
            whole |= quantised(values, mask.bit_count()) << np.uint64(shift)
    return whole


def from_fields(samples: list[Samples], masks: tuple[int, ...]) -> Samples:
    """Compute the colours, 0 to 255, that the fields hold; white behind them where there is a mask for alpha."""
    got = [
        levels(quantised(values, mask.bit_count()), mask.bit_count())
        for values, mask in zip(samples, masks, strict=True)
        if mask
    ]
    shown = np.dstack(got[:3])
    return over_white(shown, got[3] / 255) if len(got) == 4 else shown


def runs(values: Samples, bits: int, *, jumps: bool) -> bytes:
    """Encode rows as runs, literals and, if asked for, jumps over zeros."""
    out = bytearray()
    per_byte = 8 // bits
    for row in values[::-1].astype(int).tolist():
        x = 0
        while x < len(row):
            end = x + 1
            while end < len(row) and row[end] == row[x] and end - x < 250:
                end += 1
            if jumps and row[x] == 0 and end - x > 2:
                out += bytes([0, 2, end - x, 0])
            elif end - x > 2 or len(row) - x < 4:
                value = row[x]
                out += bytes([end - x, value if bits == 8 else value << 4 | value])
            else:
                part = row[x : min(x + 9, len(row))]
                end = x + len(part)
                padded = part + [0] * (-len(part) % per_byte)
                packed = bytes(
                    part_bytes if bits == 8 else part_bytes << 4 | padded[i + 1]
                    for i, part_bytes in enumerate(padded)
                    if i % per_byte == 0
                )
                out += bytes([0, len(part)]) + packed + bytes(len(packed) % 2)
            x = end
        out += b"\0\0"
    return bytes(out + b"\0\1")


def plain() -> Iterator[Variant]:
    """Yield palettes and whole bytes in all versions, upright and top-down."""
    for size, bits, top_down in itertools.product(
        (CORE, INFO, V2, V3, OS2, V4, V5), (1, 2, 4, 8, 24, 32), (False, True)
    ):
        if size == CORE and (top_down or bits == 32):
            continue
        height = -HEIGHT if top_down else HEIGHT
        name = f"bmp, header of {size} bytes, {bits} bits{', top-down' if top_down else ''}"
        if bits <= 8:
            palette = np.random.default_rng(bits).integers(0, 256, (2**bits, 3)).astype(np.uint8)
            index = quantised(grey(), bits)
            data = bmp(rows(index, bits, top_down=top_down), size=size, bits=bits, height=height, palette=palette)
            # Two bits are Windows CE's own.
            yield Variant(name=name, data=data, truth=palette[index.astype(int)].astype(float), decoded=bits != 2)
            if size != CORE:
                half = palette[: max(2, 2**bits // 2)]
                index = np.minimum(index, len(half) - 1)
                data = bmp(rows(index, bits, top_down=top_down), size=size, bits=bits, height=height, palette=half)
                shown = half[index.astype(int)].astype(float)
                yield Variant(name=f"{name}, half a palette", data=data, truth=shown, decoded=bits != 2)
            continue
        samples = quantised(scene(), 8)
        values = samples[:, :, 0] << np.uint64(16) | samples[:, :, 1] << np.uint64(8) | samples[:, :, 2]
        for fourth in (0, 255, 7) if bits == 32 else (0,):
            whole = values | np.uint64(fourth << 24)
            data = bmp(rows(whole, bits, top_down=top_down), size=size, bits=bits, height=height)
            yield Variant(name=f"{name}, fourth byte {fourth}", data=data, truth=levels(samples, 8))


FIELD_MASKS = {
    "565": (16, (0xF800, 0x07E0, 0x001F)),
    "555": (16, (0x7C00, 0x03E0, 0x001F)),
    "565 of bgr": (16, (0x001F, 0x07E0, 0xF800)),
    "444": (16, (0x0F00, 0x00F0, 0x000F)),
    "1555": (16, (0x7C00, 0x03E0, 0x001F, 0x8000)),
    "4444": (16, (0x0F00, 0x00F0, 0x000F, 0xF000)),
    "888 of bgrx": (32, (0xFF0000, 0xFF00, 0xFF)),
    "888 of rgbx": (32, (0xFF, 0xFF00, 0xFF0000)),
    "888 of xbgr": (32, (0xFF000000, 0xFF0000, 0xFF00)),
    "888 of xrgb": (32, (0xFF00, 0xFF0000, 0xFF000000)),
    "8888 of bgra": (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    "8888 of rgba": (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
    "8888 of abgr": (32, (0xFF000000, 0xFF0000, 0xFF00, 0xFF)),
    "8888 of argb": (32, (0xFF00, 0xFF0000, 0xFF000000, 0xFF)),
    "101010": (32, (0x3FF00000, 0x000FFC00, 0x000003FF)),
    "2101010": (32, (0x3FF00000, 0x000FFC00, 0x000003FF, 0xC0000000)),
    "888 in 24": (24, (0xFF0000, 0xFF00, 0xFF)),
    "888 in 24 of rgb": (24, (0xFF, 0xFF00, 0xFF0000)),
}
READ_FIELDS = {
    "565",
    "555",
    "888 of bgrx",
    "888 of xbgr",
    "8888 of bgra",
    "8888 of rgba",
    "8888 of abgr",
    "888 in 24",
}


def fields() -> Iterator[Variant]:
    """Yield masks of bits in all versions that have them."""
    channels = [*np.moveaxis(scene(), 2, 0), alpha()]
    for size, (name, (bits, masks)), top_down in itertools.product(
        (INFO, V2, V3, V4, V5), FIELD_MASKS.items(), (False, True)
    ):
        if len(masks) == 4 and size == V2:
            continue
        compression = ALPHA_FIELDS if len(masks) == 4 and size == INFO else FIELDS
        samples = channels[: len(masks)]
        data = bmp(
            rows(in_fields(samples, masks), bits, top_down=top_down),
            size=size,
            bits=bits,
            height=-HEIGHT if top_down else HEIGHT,
            compression=compression,
            masks=masks,
        )
        yield Variant(
            name=f"bmp, header of {size} bytes, fields {name}{', top-down' if top_down else ''}",
            data=data,
            truth=from_fields(samples, masks),
            decoded=name in READ_FIELDS and compression == FIELDS,
        )
    masks = FIELD_MASKS["555"][1]
    for size in (CORE, INFO, V2, V3, V4, V5):
        data = bmp(rows(in_fields(channels[:3], masks), 16), size=size, bits=16)
        yield Variant(name=f"bmp, header of {size} bytes, 16 bits", data=data, truth=from_fields(channels[:3], masks))


def compressed() -> Iterator[Variant]:
    """Yield run lengths, and pictures of other formats in a BMP."""
    for (bits, compression), size, jumps in itertools.product(((8, RLE8), (4, RLE4)), (INFO, V4, V5), (False, True)):
        palette = np.random.default_rng(bits).integers(0, 256, (2**bits, 3)).astype(np.uint8)
        index = quantised(grey(), bits)
        index[10:20, 5:30] = 0
        index[30:35, 20:] = np.arange(WIDTH - 20) % 2**bits
        data = bmp(runs(index, bits, jumps=jumps), size=size, bits=bits, compression=compression, palette=palette)
        yield Variant(
            name=f"bmp, header of {size} bytes, runs of {bits} bits{', jumps' if jumps else ''}",
            data=data,
            truth=palette[index.astype(int)].astype(float),
        )
    nothing = np.zeros((HEIGHT, WIDTH, 3))
    for compression, bits in ((JPEG, 0), (PNG, 0), (RLE8, 24), (RLE8, 4), (RLE4, 8), (11, 32), (99, 24)):
        data = bmp(bytes(4 * HEIGHT * WIDTH), size=INFO, bits=bits, compression=compression)
        yield Variant(name=f"bmp, compression {compression}, {bits} bits", data=data, truth=nothing, decoded=False)
    for compression, bits in ((FIELDS, 1), (JPEG, 24)):
        data = bmp(bytes(4 * HEIGHT * WIDTH), size=OS2, bits=bits, compression=compression)
        yield Variant(name=f"bmp of OS/2, compression {compression}", data=data, truth=nothing, decoded=False)
    data = bmp(bytes(4 * HEIGHT * WIDTH), size=INFO, bits=24)
    data = data[:14] + struct.pack("<I", 16) + data[18:]
    yield Variant(name="bmp, header of 16 bytes", data=data, truth=nothing, decoded=False)


def variants() -> Iterator[Variant]:
    """Yield all variants of BMP."""
    for part in (plain, fields, compressed):
        yield from part()
