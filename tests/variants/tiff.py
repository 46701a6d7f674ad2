"""Writer of TIFF files by their definition (TIFF 6.0, its supplements, BigTIFF), in every combination of tags."""

import io
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from variants.scene import Samples

GREY_INVERTED, GREY, RGB, PALETTE, MASK, CMYK, YCBCR, LAB, ICCLAB = 0, 1, 2, 3, 4, 5, 6, 8, 9
UNSIGNED, SIGNED, FLOAT = 1, 2, 3


@dataclass(frozen=True, kw_only=True)
class Tags:
    """The tags that decide how samples lie in a TIFF.

    `tile` is (height, width) of tiles; `rows` is the number of rows of a strip; `more` has other tags.
    `places` and `counts` have false offsets and numbers of bytes of single strips or tiles.
    """

    bits: int = 8
    photometric: int = RGB
    sample_format: int | None = None
    planar: int = 1
    compression: int = 1
    predictor: int = 1
    fill_order: int = 1
    extra: tuple[int, ...] = ()
    rows: int | None = None
    tile: tuple[int, int] | None = None
    order: str = "<"
    big: bool = False
    more: tuple[tuple[int, int, tuple[int, ...]], ...] = ()
    places: Mapping[int, int] = field(default_factory=dict)
    counts: Mapping[int, int] = field(default_factory=dict)


SUBSAMPLINGS = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0"}

_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def tiff(samples: Samples, tags: Tags) -> bytes:
    """Write samples ``(h, w, c)`` or ``(h, w)`` with these tags."""
    samples = samples if samples.ndim == 3 else samples[:, :, np.newaxis]
    height, width, channels = samples.shape
    planes = [samples] if tags.planar == 1 else [samples[:, :, i : i + 1] for i in range(channels)]
    block = tags.tile or (tags.rows or height, width)
    blocks = [
        _block(plane[top : top + block[0], left : left + block[1]], tags)
        for plane in planes
        for top in range(0, height, block[0])
        for left in range(0, width, block[1])
    ]
    entries: list[tuple[int, int, tuple[int, ...]]] = [
        (256, 4, (width,)),
        (257, 4, (height,)),
        (258, 3, (tags.bits,) * channels),
        (259, 3, (tags.compression,)),
        (262, 3, (tags.photometric,)),
        (277, 3, (channels,)),
        (284, 3, (tags.planar,)),
    ]
    if tags.tile:
        entries += [(322, 4, (tags.tile[1],)), (323, 4, (tags.tile[0],))]
    else:
        entries.append((278, 4, (block[0],)))
    if tags.sample_format is not None:
        entries.append((339, 3, (tags.sample_format,) * channels))
    if tags.predictor != 1:
        entries.append((317, 3, (tags.predictor,)))
    if tags.fill_order != 1:
        entries.append((266, 3, (tags.fill_order,)))
    if tags.extra:
        entries.append((338, 3, tags.extra))
    where, counts = (324, 325) if tags.tile else (273, 279)
    given = {tag for tag, _, _ in tags.more}
    entries = [entry for entry in entries if entry[0] not in given] + list(tags.more)
    return _file(entries, blocks, where, counts, tags)


def _block(samples: Samples, tags: Tags) -> bytes:
    if tags.tile:
        rest = tags.tile[0] - samples.shape[0], tags.tile[1] - samples.shape[1]
        samples = np.pad(samples, ((0, rest[0]), (0, rest[1]), (0, 0)), mode="edge")
    raw = _packed(samples, tags)
    if tags.compression in (8, 32946):
        raw = zlib.compress(raw)
    elif tags.compression == 7:
        return _as_jpeg(samples, tags)
    elif tags.compression == 32773:
        raw = b"".join(bytes([len(raw[i : i + 100]) - 1]) + raw[i : i + 100] for i in range(0, len(raw), 100))
    return raw.translate(_REVERSED) if tags.fill_order == 2 else raw


def _as_jpeg(samples: Samples, tags: Tags) -> bytes:
    """A whole JPEG, as each strip or tile is one; its channels are those of the TIFF."""
    mode = {1: "L", 3: "YCbCr" if tags.photometric == YCBCR else "RGB", 4: "CMYK"}[samples.shape[2]]
    # Pillow inverts CMYK as Adobe's files have it, which those in a TIFF are not.
    samples = 255 - samples if mode == "CMYK" else samples
    image = Image.frombytes(mode, samples.shape[1::-1], samples.astype(np.uint8).tobytes())
    file = io.BytesIO()
    subsampling = next((values for tag, _, values in tags.more if tag == 530), (1, 1))
    options = {"subsampling": SUBSAMPLINGS[subsampling]} if mode == "YCbCr" else {"keep_rgb": True, "subsampling": 0}
    image.save(file, "JPEG", quality=97, **options)
    return file.getvalue()


def _packed(samples: Samples, tags: Tags) -> bytes:
    height = len(samples)
    if tags.sample_format == FLOAT:
        return samples.astype(f"{tags.order}f{tags.bits // 8}").tobytes()
    if tags.predictor == 2:
        before = np.zeros_like(samples)
        before[:, 1:] = samples[:, :-1]
        samples = (samples.astype(np.int64) - before.astype(np.int64)) % 2**tags.bits
    if tags.bits in (8, 16, 32, 64):
        kind = "i" if tags.sample_format == SIGNED and tags.predictor == 1 else "u"
        return samples.astype(f"{tags.order}{kind}{tags.bits // 8}").tobytes()
    rows = samples.reshape(height, -1).astype(np.uint64)
    places = np.arange(tags.bits - 1, -1, -1, dtype=np.uint64)
    return np.packbits((rows[:, :, np.newaxis] >> places & 1).astype(np.uint8).reshape(height, -1), axis=1).tobytes()


def _file(
    entries: list[tuple[int, int, tuple[int, ...]]], blocks: list[bytes], where: int, counts: int, tags: Tags
) -> bytes:
    o, wide = tags.order, tags.big
    pointer, start = ("Q", 16) if wide else ("I", 8)
    kind = 16 if wide else 4
    entries = sorted(
        [
            *entries,
            (where, kind, (0,) * len(blocks)),
            (counts, kind, tuple(tags.counts.get(i, len(data)) for i, data in enumerate(blocks))),
        ]
    )
    fixed = struct.calcsize(f"{o}{pointer}")
    table = (8 if wide else 2) + len(entries) * (20 if wide else 12) + fixed
    sizes = {3: "H", 4: "I", 16: "Q", 2: "B", 1: "B", 7: "B", 12: "d"}
    outside = sum(
        size + size % 2
        for _, form, values in entries
        if (size := struct.calcsize(f"{o}{len(values)}{sizes[form]}")) > fixed
    )
    offsets, position = [], start + table + outside
    for data in blocks:
        offsets.append(position)
        position += len(data) + len(data) % 2
    body, rest, beyond = b"", b"", start + table
    for tag, form, values in entries:
        values = tuple(tags.places.get(i, at) for i, at in enumerate(offsets)) if tag == where else values
        data = struct.pack(f"{o}{len(values)}{sizes[form]}", *values)
        head = struct.pack(f"{o}HH{pointer}", tag, form, len(values))
        if len(data) <= fixed:
            body += head + data.ljust(fixed, b"\0")
        else:
            body += head + struct.pack(f"{o}{pointer}", beyond + len(rest))
            rest += data + bytes(len(data) % 2)
    magic = {"<": b"II", ">": b"MM"}[o]
    first = struct.pack(f"{o}HHHQ", 43, 8, 0, start) if wide else struct.pack(f"{o}HI", 42, start)
    count = struct.pack(f"{o}{'Q' if wide else 'H'}", len(entries))
    pixels = b"".join(data + bytes(len(data) % 2) for data in blocks)
    return magic + first + count + body + bytes(fixed) + rest + pixels
