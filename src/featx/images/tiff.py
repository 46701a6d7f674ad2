"""Kinds of TIFF that have a rule: a table over the tags that say how samples lie in the file, and what they mean."""

import functools
import io
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import TiffImagePlugin
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from featx.errors import ImageError
from featx.images.damage import RAISED_BY_BAD_BYTES
from featx.images.formats import ADVICE
from featx.words import counted

_SUBFILE, _SUB_PAGES, _RAW_VERSION = 254, 330, 50706
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_COUNTS, _PLANAR = 273, 277, 278, 279, 284
_PREDICTOR, _COLOUR_MAP, _TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_COUNTS = 317, 320, 322, 323, 324, 325
_INK_SET, _DOT_RANGE, _EXTRA, _SAMPLE_FORMAT = 332, 336, 338, 339
_COEFFICIENTS, _SUBSAMPLING, _REFERENCE = 529, 530, 532

_DECISIVE = (
    _SUBFILE,
    _SUB_PAGES,
    _RAW_VERSION,
    _BITS,
    _COMPRESSION,
    _PHOTOMETRIC,
    _FILL_ORDER,
    _SAMPLES,
    _PLANAR,
    _PREDICTOR,
    _COLOUR_MAP,
    _INK_SET,
    _DOT_RANGE,
    _EXTRA,
    _SAMPLE_FORMAT,
    _COEFFICIENTS,
    _SUBSAMPLING,
    _REFERENCE,
)

_COLOURS = {
    0: "grey (0 is white)",
    1: "grey",
    2: "RGB",
    3: "palette",
    4: "transparency mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIE L*a*b*",
    9: "ICC L*a*b*",
    10: "ITU L*a*b*",
    32803: "raw sensor data",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw data",
}
_CHANNELS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
_SAMPLE_KINDS = {1: "unsigned", 2: "signed", 3: "float", 4: "undefined", 5: "complex signed", 6: "complex float"}

_NONE, _JPEG = 1, 7
_FAX = frozenset({2, 3, 4})
_PREDICTED = frozenset({5, 8, 32946, 34925, 50000})
"""LZW, Deflate (two numbers), LZMA and Zstandard: the compressions that a predictor goes with."""
_LOSSLESS = frozenset({_NONE, 32773}) | _PREDICTED
_JPEG_COLOURS = frozenset({1, 2, 5, 6})

# Photometric interpretation and bits per sample -> values of ExtraSamples that have a rule, with interleaved samples
# and with a plane per sample. 0 is a sample without a meaning, 1 premultiplied alpha, 2 alpha; 999 is Corel's alpha.
_Extras = frozenset[tuple[int, ...]]
_NO_EXTRA: _Extras = frozenset({()})
_IGNORED: _Extras = frozenset({(), (0,)})
_RGB_EXTRAS: _Extras = frozenset({(), *((first, *(0,) * more) for first in (0, 1, 2) for more in (0, 1, 2)), (999,)})
_RGB_PLANES: _Extras = frozenset({(), (1,), (2,)})
_DEEP_EXTRAS: _Extras = frozenset({(), (0,), (1,), (2,)})
_KINDS: dict[tuple[int, int], tuple[_Extras, _Extras]] = {
    (0, 1): (_NO_EXTRA, _NO_EXTRA),
    (0, 2): (_NO_EXTRA, _NO_EXTRA),
    (0, 4): (_NO_EXTRA, _NO_EXTRA),
    (0, 8): (_NO_EXTRA, _NO_EXTRA),
    (1, 1): (_NO_EXTRA, _NO_EXTRA),
    (1, 2): (_NO_EXTRA, _NO_EXTRA),
    (1, 4): (_NO_EXTRA, _NO_EXTRA),
    (1, 8): (_IGNORED | {(2,)}, _NO_EXTRA),
    (1, 16): (_NO_EXTRA, _NO_EXTRA),
    (2, 8): (_RGB_EXTRAS, _RGB_PLANES),
    (2, 16): (_DEEP_EXTRAS, _RGB_PLANES),
    (3, 1): (_NO_EXTRA, _NO_EXTRA),
    (3, 2): (_NO_EXTRA, _NO_EXTRA),
    (3, 4): (_NO_EXTRA, _NO_EXTRA),
    (3, 8): (_IGNORED | {(2,)}, _NO_EXTRA),
    (5, 8): (_IGNORED | {(0, 0)}, _NO_EXTRA),
    (5, 16): (_NO_EXTRA, _NO_EXTRA),
    (6, 8): (_NO_EXTRA, frozenset()),
    (8, 8): (_NO_EXTRA, frozenset()),
}

_VALUE_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Type of a tag -> bytes of one value, where that is not 1."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The tags of a TIFF's first page that decide what its bytes mean, with the defaults of TIFF 6.0."""

    photometric: int | None
    bits: tuple[int, ...]
    sample_format: tuple[int, ...]
    extra: tuple[int, ...]
    planes: bool
    compression: int
    predictor: int
    fill_order: int
    big_endian: bool

    @classmethod
    def of(cls, tags: Mapping[int, Any], *, big_endian: bool) -> "Layout":
        """Read the layout from tags."""
        bits = _numbers(tags.get(_BITS, (1,)))
        samples = int(tags.get(_SAMPLES, 1))
        if not 0 < samples < 2**16:
            raise ImageError("truncated", f"tiff: {samples} samples per pixel")
        # Some files give one number for all samples, and some give more numbers than there are samples.
        bits = bits * samples if len(bits) == 1 else bits[:samples]
        if len(bits) != samples:
            raise ImageError(
                "truncated", f"tiff: it has {samples} samples per pixel, but numbers of bits for {len(bits)}"
            )
        return cls(
            photometric=tags.get(_PHOTOMETRIC),
            bits=bits,
            sample_format=tuple(sorted(set(_numbers(tags.get(_SAMPLE_FORMAT, (1,)))))),
            extra=_numbers(tags.get(_EXTRA, ())),
            planes=tags.get(_PLANAR, 1) == 2,
            compression=int(tags.get(_COMPRESSION, _NONE)),
            predictor=int(tags.get(_PREDICTOR, 1)),
            fill_order=int(tags.get(_FILL_ORDER, 1)),
            big_endian=big_endian,
        )

    def fault(self, tags: Mapping[int, Any]) -> str:
        """Say why there is no rule for this layout; "" if there is one."""
        if tags.get(_SUBFILE, 0) & 1 and (_SUB_PAGES in tags or _RAW_VERSION in tags):
            return "its first page is a small version of the picture, as in a camera's raw file"
        if self.photometric is None:
            return "it does not say what its samples mean (PhotometricInterpretation)"
        if self.sample_format != (1,):
            return "the range of values is not known for samples of this kind"
        if len(set(self.bits)) != 1:
            return "its samples have different sizes"
        bits = self.bits[0]
        if (extras := _KINDS.get((self.photometric, bits))) is None or not self._has_rule(extras):
            return "featx can't read this kind"
        if self.predictor not in (1, 2) or (self.predictor == 2 and self.compression not in _PREDICTED):
            return f"predictor {self.predictor} does not go with these samples and this compression"
        if self.fill_order != 1 and (self.fill_order != 2 or not self._is_reversible(bits)):
            return "its bits are stored in reverse order (FillOrder)"
        return self._fault_of_compression(bits) or self._fault_of_colours(tags)

    def _is_reversible(self, bits: int) -> bool:
        plain = (self.photometric in (0, 1, 3) and len(self.bits) == 1) or (
            self.photometric == 2 and len(self.bits) == 3
        )
        return plain and (bits <= 8 or (self.photometric == 1 and not self.big_endian))

    def _has_rule(self, extras: tuple[_Extras, _Extras]) -> bool:
        channels = _CHANNELS[self.photometric or 0]
        rest = len(self.bits) - channels
        # A plane of its own that means nothing needs no reading.
        extra = () if self.planes and not any(self.extra) and rest == len(self.extra) else self.extra
        # RGB of four samples: files of before 1992 have no tag for the fourth.
        fits = rest == len(self.extra) or (rest == 1 and not self.extra and self.photometric == 2 and not self.planes)
        return fits and extra in extras[self.planes]

    def _fault_of_compression(self, bits: int) -> str:
        allowed = self.compression in _LOSSLESS
        if self.compression in _FAX:
            allowed = self.photometric in (0, 1) and bits == 1 and len(self.bits) == 1
        elif self.compression == _JPEG:
            allowed = (
                self.photometric in _JPEG_COLOURS
                and bits == 8
                and not self.planes
                and len(self.bits) == _CHANNELS[self.photometric]
            )
        return "" if allowed else "featx can't read this compression, or not with such samples"

    def _fault_of_colours(self, tags: Mapping[int, Any]) -> str:
        if self.photometric == 5 and tags.get(_INK_SET, 1) != 1:
            return "its inks are not CMYK"
        if self.photometric == 5 and (given := _numbers(tags.get(_DOT_RANGE, ()))):
            dots = given[:2] if len(set(zip(given[::2], given[1::2], strict=False))) == 1 else ()
            if dots != (0, 2 ** self.bits[0] - 1):
                return "its inks do not use the whole range (DotRange)"
        if self.photometric == 3:
            colours = _numbers(tags.get(_COLOUR_MAP, ()))
            if len(colours) != 3 * 2 ** self.bits[0]:
                return "its palette does not have one colour for each value"
            if 0 < max(colours) < 256:
                return "its palette has colours of 8 bits, which TIFF does not allow"
        if self.photometric == 6 and self.compression != _JPEG:
            if tuple(tags.get(_SUBSAMPLING, (2, 2))) != (1, 1):
                return "its colours have fewer pixels than its brightness (subsampling)"
            reference = tuple(float(value) for value in tags.get(_REFERENCE, (0, 255, 128, 255, 128, 255)))
            coefficients = tuple(float(value) for value in tags.get(_COEFFICIENTS, (0.299, 0.587, 0.114)))
            if reference != (0, 255, 128, 255, 128, 255) or not _near(coefficients, (0.299, 0.587, 0.114)):
                return "its YCbCr is not that of JPEG"
        return ""

    def words(self) -> str:
        """Describe the layout in a few words."""
        colours = _COLOURS.get(self.photometric, f"colours {self.photometric}") if self.photometric is not None else "?"
        size = "/".join(str(bits) for bits in sorted(set(self.bits)))
        kinds = "/".join(_SAMPLE_KINDS.get(kind, f"kind {kind}") for kind in self.sample_format)
        count = counted(len(self.bits), "sample")
        parts = [colours, f"{count} of {size} bits ({kinds})"]
        if self.planes:
            parts.append("each in a plane of its own")
        if self.extra:
            parts.append(f"ExtraSamples {', '.join(map(str, self.extra))}")
        name = TiffImagePlugin.COMPRESSION_INFO.get(self.compression, "unknown")
        parts.append("uncompressed" if self.compression == _NONE else f"compression {self.compression} ({name})")
        return ", ".join(parts)


def open_tiff(data: bytes | memoryview) -> tuple[TiffImageFile, int]:
    """Open a TIFF that has a rule; refuse any other, before a pixel is read.

    Returns
    -------
    TiffImageFile, int
        The image, and the bytes of one strip or tile as libtiff unpacks it.

    Raises
    ------
    ImageError
        ``unsupported``: no rule. ``truncated``: strips or tiles are missing.
    """
    image = None
    try:
        image = TiffImageFile(io.BytesIO(data))
        tags = image.tag_v2
    except RAISED_BY_BAD_BYTES:
        # Pillow has other words for kinds that it doesn't know.
        if (read := _read_tags(data)) is None:
            raise
        tags = read
    layout = _check_rule(tags, data)
    if image is not None:
        _check_parts(tags, layout, len(data))
    if layout.compression == _NONE and (layout.planes or layout.fill_order != 1):
        # Pillow's own reader mixes up planes of 16 bits, and bits that are stored the other way round.
        image = _by_libtiff(data)
    return TiffImageFile(io.BytesIO(data)) if image is None else image, _block_bytes(tags, layout)


def _by_libtiff(data: bytes | memoryview) -> TiffImageFile:
    before = TiffImagePlugin.READ_LIBTIFF
    TiffImagePlugin.READ_LIBTIFF = True
    try:
        return TiffImageFile(io.BytesIO(data))
    finally:
        TiffImagePlugin.READ_LIBTIFF = before


def _read_tags(data: bytes | memoryview) -> ImageFileDirectory_v2 | None:
    file = io.BytesIO(data)
    header = file.read(8)
    if 43 in header[2:4]:
        header += file.read(8)
    try:
        tags = ImageFileDirectory_v2(header)
        file.seek(tags.next)
        tags.load(file)
    except RAISED_BY_BAD_BYTES:
        return None
    return tags


def _check_rule(tags: Mapping[int, Any], data: bytes | memoryview) -> Layout:
    layout, fault = _judged(_values(tags), bytes(data[:2]) == b"MM")
    if fault:
        if not _has_whole_table(data):
            raise ImageError("truncated", "tiff: the table of tags is cut off")
        raise ImageError("unsupported", f"tiff: {layout.words()}: {fault}; {ADVICE}")
    return layout


def _values(tags: Mapping[int, Any]) -> tuple[Any, ...]:
    # Pillow's `get` is slow for tags that are missing.
    return tuple(tags[tag] if tag in tags else None for tag in _DECISIVE)  # noqa: SIM401


@functools.lru_cache(64)  # the files of a folder are mostly of one kind
def _judged(values: tuple[Any, ...], big_endian: bool) -> tuple[Layout, str]:
    tags = {tag: value for tag, value in zip(_DECISIVE, values, strict=True) if value is not None}
    layout = Layout.of(tags, big_endian=big_endian)
    return layout, layout.fault(tags)


def _has_whole_table(data: bytes | memoryview) -> bool:
    """Tell whether all tags of the first page, and their values, are inside the file."""
    order, wide = ("<" if bytes(data[:2]) == b"II" else ">"), 43 in data[2:4]
    pointer, least = ("Q", 8) if wide else ("I", 4)
    try:
        (table,) = struct.unpack_from(order + pointer, data, least)
        (count,) = struct.unpack_from(order + ("Q" if wide else "H"), data, table)
        position = table + (8 if wide else 2)
        for _ in range(count):
            _, form, number, value = struct.unpack_from(f"{order}HH{pointer}{pointer}", data, position)
            size = number * _VALUE_BYTES.get(form, 1)
            if size > least and value + size > len(data):
                return False
            position += 4 + 2 * least
    except (struct.error, OverflowError):
        return False
    return bool(count)


def _check_parts(tags: Mapping[int, Any], layout: Layout, size: int) -> None:
    """Refuse a TIFF with missing strips or tiles, which libtiff would fill with white and Pillow with black."""
    tiled = _TILE_OFFSETS in tags
    offsets = tags.get(_TILE_OFFSETS if tiled else _STRIP_OFFSETS, ())
    counts = tags.get(_TILE_COUNTS if tiled else _STRIP_COUNTS, ())
    height, width = _block(tags)
    needed = math.ceil(tags[_LENGTH] / height) * math.ceil(tags[_WIDTH] / width)
    needed *= len(layout.bits) if layout.planes else 1
    if len(offsets) < needed or min(offsets, default=0) < 1 or min(counts, default=1) < 1:
        raise ImageError("truncated", "tiff: strips or tiles are missing")
    if any(offset + count > size for offset, count in zip(offsets, counts, strict=False)):
        raise ImageError("truncated", "tiff: pixel data is missing at the end of the file")


def _block(tags: Mapping[int, Any]) -> tuple[int, int]:
    """Return height and width of a strip or tile."""
    if _TILE_OFFSETS in tags:
        block = int(tags.get(_TILE_LENGTH, 0)), int(tags.get(_TILE_WIDTH, 0))
    else:
        block = min(int(tags.get(_ROWS_PER_STRIP, tags[_LENGTH])), int(tags[_LENGTH])), int(tags[_WIDTH])
    if min(block) < 1:
        raise ImageError("truncated", "tiff: strips or tiles without a size")
    return block


def _block_bytes(tags: Mapping[int, Any], layout: Layout) -> int:
    height, width = _block(tags)
    samples = 1 if layout.planes else len(layout.bits)
    # JPEG of YCbCr is unpacked to four bytes.
    return height * width * max(4 if layout.photometric == 6 else 1, math.ceil(samples * max(layout.bits) / 8))


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(int(number) for number in value) if isinstance(value, tuple | list) else (int(value),)


def _near(found: tuple[float, ...], expected: tuple[float, ...]) -> bool:
    return len(found) == len(expected) and all(abs(a - b) < 1e-3 for a, b in zip(found, expected, strict=True))
