import contextlib
import io
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featx.errors import ImageError, UsageError
from featx.images import DEFAULT_MAX_PIXELS, decode, decode_into, decoding, geometry, jpeg, pillow
from featx.images.resizing import resize_into
from featx.spec import INTERPOLATIONS, RESIZES, PixelRules

Pixels = NDArray[np.uint8]


def photo(height: int = 60, width: int = 80, seed: int = 0) -> Pixels:
    """Smooth colours with some noise: compresses like a photo, symmetric in nothing."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def encode(pixels: Pixels | Image.Image, kind: str, **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(samples: bytes, *, width: int, height: int, depth: int, colour: int, **chunks: bytes) -> bytes:
    """Write a PNG of a kind that Pillow doesn't write; `samples` are its packed rows."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    stride = len(samples) // height
    rows = b"".join(b"\0" + samples[i * stride : (i + 1) * stride] for i in range(height))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
        + b"".join(chunk(name.encode(), body) for name, body in chunks.items())
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def own_size(data: bytes) -> Pixels:
    """Decode without any resampling."""
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
    return decode(data, PixelRules(image_size=(height, width)))


def by_pillow(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def reason(data: bytes, **options: Any) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, PixelRules(image_size=(8, 8)), **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value)
    return caught.value.reason


RGB = photo()
GREY = RGB[:, :, 0]
ALPHA = photo(seed=1)[:, :, 0]

WHOLE_FILES: dict[str, Callable[[], bytes]] = {
    "jpeg baseline": lambda: encode(RGB, "JPEG"),
    "jpeg full chroma": lambda: encode(RGB, "JPEG", subsampling=0, quality=95, optimize=True),
    "jpeg progressive": lambda: encode(RGB, "JPEG", progressive=True),
    "jpeg grey": lambda: encode(GREY, "JPEG"),
    "jpeg grey progressive": lambda: encode(GREY, "JPEG", progressive=True),
    "jpeg restart markers": lambda: encode(RGB, "JPEG", restart_marker_blocks=3),
    "jpeg flat": lambda: encode(np.full((64, 64, 3), 255, np.uint8), "JPEG", optimize=True),
    "jpeg with a thumbnail": lambda: encode(RGB, "JPEG", exif=b"Exif\0\0II*\0" + encode(photo(8, 8), "JPEG")),
    "jpeg cmyk": lambda: encode(Image.fromarray(RGB).convert("CMYK"), "JPEG"),
    "mpo": lambda: encode(RGB, "MPO", save_all=True, append_images=[Image.fromarray(photo(seed=2))]),
    "png": lambda: encode(RGB, "PNG"),
    "png alpha": lambda: encode(np.dstack([RGB, ALPHA]), "PNG"),
    "png palette": lambda: encode(Image.fromarray(RGB).quantize(16), "PNG"),
    "png interlaced rows of 1 bit": lambda: encode(Image.fromarray(GREY).convert("1"), "PNG"),
    "png 16 bits": lambda: cv2.imencode(".png", photo(24, 24).astype(np.uint16) * 211)[1].tobytes(),
    "apng": lambda: encode(photo(20, 20), "PNG", save_all=True, append_images=[Image.fromarray(photo(20, 20, seed=2))]),
    "bmp": lambda: encode(photo(20, 20), "BMP"),
    "bmp palette": lambda: encode(Image.fromarray(RGB).quantize(16), "BMP"),
    "gif": lambda: encode(Image.fromarray(RGB).quantize(32), "GIF"),
    "gif animated": lambda: encode(
        Image.fromarray(photo(20, 20)).quantize(32),
        "GIF",
        save_all=True,
        append_images=[Image.fromarray(photo(20, 20, seed=2))],
    ),
    "webp": lambda: encode(RGB, "WEBP"),
    "webp lossless": lambda: encode(photo(20, 20), "WEBP", lossless=True),
    "webp alpha": lambda: encode(np.dstack([RGB, ALPHA]), "WEBP"),
    "tiff": lambda: encode(photo(20, 20), "TIFF"),
    "tiff deflate": lambda: encode(photo(20, 20), "TIFF", compression="tiff_adobe_deflate"),
    "tiff lzw": lambda: encode(photo(20, 20), "TIFF", compression="tiff_lzw"),
    "tiff jpeg": lambda: encode(photo(20, 20), "TIFF", compression="jpeg"),
    "tiff packbits": lambda: encode(photo(20, 20), "TIFF", compression="packbits"),
    "tiff fax": lambda: encode(Image.fromarray(GREY).convert("1"), "TIFF", compression="group4"),
}


@pytest.mark.parametrize("make", WHOLE_FILES.values(), ids=WHOLE_FILES.keys())
def test_a_file_cut_anywhere_is_an_error_or_the_whole_picture(make: Callable[[], bytes], capfd: Any) -> None:
    data = make()
    rules = PixelRules(image_size=RGB.shape[:2])
    whole = decode(data, rules)
    reasons = set()
    cuts = range(len(data)) if len(data) < 4000 else np.random.default_rng(0).integers(0, len(data), 2000)
    for cut in cuts:
        try:
            pixels = decode(data[:cut], rules)
        except ImageError as error:
            reasons.add(error.reason)
        else:
            assert np.array_equal(pixels, whole), f"cut at {cut} of {len(data)}"
    assert "truncated" in reasons
    assert reasons <= {"empty", "not-an-image", "truncated"}
    if not data.startswith(b"II"):  # libtiff writes to stderr whatever its user wants
        assert capfd.readouterr().err == ""


@pytest.mark.parametrize("make", WHOLE_FILES.values(), ids=WHOLE_FILES.keys())
def test_flipped_bytes_give_pixels_or_an_error(make: Callable[[], bytes]) -> None:
    data = make()
    rng = np.random.default_rng(1)
    rules = PixelRules(image_size=(16, 16))
    for _ in range(150):
        broken = bytearray(data)
        for position in rng.integers(0, min(len(data), rng.choice([64, 700, len(data)])), rng.integers(1, 6)):
            broken[position] = rng.integers(0, 256)
        with contextlib.suppress(ImageError):
            assert decode(bytes(broken), rules, max_pixels=1_000_000).shape == (16, 16, 3)


def test_zeros_in_place_of_the_end_are_no_picture() -> None:
    data = encode(photo(200, 300), "JPEG")
    for kept in (1000, len(data) // 2, len(data) - 100):
        assert reason(data[:kept] + bytes(len(data) - kept)) == "truncated"


TRAILERS = {
    "zeros": bytes(100),
    "text": b"made by a camera" * 9,
    "another jpeg": encode(photo(9, 9), "JPEG"),
    "markers": b"\xff\xd9\xff\xda\0",
}


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
@pytest.mark.parametrize("trailer", TRAILERS.values(), ids=TRAILERS.keys())
def test_what_follows_a_jpeg_changes_nothing_and_costs_no_slow_path(
    trailer: bytes, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode(RGB, "JPEG", **options)
    expected = own_size(data)
    monkeypatch.delattr(pillow, "decode")
    assert np.array_equal(decode(data + trailer, PixelRules(image_size=RGB.shape[:2])), expected)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_without_its_end_marker_is_truncated(options: dict[str, Any]) -> None:
    assert reason(encode(RGB, "JPEG", **options)[:-2]) == "truncated"


JPEGS = {name: make for name, make in WHOLE_FILES.items() if name.startswith(("jpeg", "mpo")) and "cmyk" not in name}


@pytest.mark.parametrize("make", JPEGS.values(), ids=JPEGS.keys())
def test_fast_and_slow_path_agree_within_a_level(make: Callable[[], bytes]) -> None:
    data = make()
    header = jpeg.read_header(data)
    assert header is not None
    assert jpeg.is_whole(data, header)
    fast, orientation = decoding.decode_whole(data, DEFAULT_MAX_PIXELS)
    slow, same = pillow.decode(data, "jpeg", DEFAULT_MAX_PIXELS)
    assert np.abs(fast.astype(int) - slow).max() <= 1
    assert orientation == same


def scaled(samples: NDArray[Any]) -> Pixels:
    return np.rint(samples / 257).astype(np.uint8)


def over_white(colours: NDArray[Any], alpha: NDArray[Any]) -> Pixels:
    part = alpha[:, :, np.newaxis] / 255
    return np.floor(colours * part + 255 * (1 - part) + 0.5 + 1e-9).astype(np.uint8)


def repeated(grey: NDArray[Any]) -> Pixels:
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2).astype(np.uint8)


WORDS = np.random.default_rng(3).integers(0, 65_536, (6, 7, 4), dtype=np.uint16)
WORDS[0, 0], WORDS[0, 1] = 0, 65_535
BITS = WORDS[:, :, 0] > 30_000
PALETTE_IMAGE = Image.fromarray((BITS * 2).astype(np.uint8), "P")
PALETTE_IMAGE.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
PALETTE = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.uint8)[BITS * 2]
NIBBLES = np.arange(16, dtype=np.uint8).reshape(2, 8)
PACKED = ((NIBBLES[:, ::2] << 4) | NIBBLES[:, 1::2]).tobytes()
SMALL, SMALL_ALPHA = photo(6, 7), photo(6, 7, seed=5)[:, :, 1]

SAMPLES: dict[str, tuple[Callable[[], bytes], Pixels]] = {
    "rgb": (lambda: encode(SMALL, "PNG"), SMALL),
    "grey": (lambda: encode(SMALL[:, :, 0], "PNG"), repeated(SMALL[:, :, 0])),
    "1 bit png": (lambda: encode(Image.fromarray(BITS), "PNG"), repeated(BITS * 255)),
    "1 bit tiff": (lambda: encode(Image.fromarray(BITS), "TIFF"), repeated(BITS * 255)),
    "1 bit bmp": (lambda: encode(Image.fromarray(BITS), "BMP"), repeated(BITS * 255)),
    "palette png": (lambda: encode(PALETTE_IMAGE, "PNG"), PALETTE),
    "palette gif": (lambda: encode(PALETTE_IMAGE, "GIF"), PALETTE),
    "palette with one clear entry": (
        lambda: encode(PALETTE_IMAGE, "PNG", transparency=2),
        over_white(PALETTE, np.where(BITS, 0, 255)),
    ),
    "palette with alpha": (
        lambda: encode(PALETTE_IMAGE, "PNG", transparency=b"\x40\x00\xc0"),
        over_white(PALETTE, np.where(BITS, 0xC0, 0x40)),
    ),
    "gif with a clear entry": (
        lambda: encode(PALETTE_IMAGE, "GIF", transparency=0),
        over_white(PALETTE, np.where(BITS, 255, 0)),
    ),
    "rgba png": (lambda: encode(np.dstack([SMALL, SMALL_ALPHA]), "PNG"), over_white(SMALL, SMALL_ALPHA)),
    "rgba webp": (
        lambda: encode(np.dstack([SMALL, SMALL_ALPHA]), "WEBP", lossless=True, exact=True),
        over_white(SMALL, SMALL_ALPHA),
    ),
    "rgba tiff": (lambda: encode(np.dstack([SMALL, SMALL_ALPHA]), "TIFF"), over_white(SMALL, SMALL_ALPHA)),
    "grey with alpha": (
        lambda: encode(Image.merge("LA", [Image.fromarray(SMALL[:, :, 0]), Image.fromarray(SMALL_ALPHA)]), "PNG"),
        over_white(repeated(SMALL[:, :, 0]), SMALL_ALPHA),
    ),
    "rgb colour key": (
        lambda: encode(SMALL, "PNG", transparency=tuple(int(v) for v in SMALL[2, 3])),
        np.where((SMALL[2, 3] == SMALL).all(axis=2, keepdims=True), 255, SMALL).astype(np.uint8),
    ),
    "grey of 4 bits": (lambda: png(PACKED, width=8, height=2, depth=4, colour=0), repeated(NIBBLES * 17)),
    "grey of 4 bits, colour key": (
        lambda: png(PACKED, width=8, height=2, depth=4, colour=0, tRNS=b"\0\x05"),
        repeated(np.where(NIBBLES == 5, 255, NIBBLES * 17)),
    ),
    "grey of 16 bits png": (
        lambda: encode(Image.fromarray(WORDS[:, :, 0]), "PNG"),
        repeated(scaled(WORDS[:, :, 0])),
    ),
    "grey of 16 bits tiff": (
        lambda: encode(Image.fromarray(WORDS[:, :, 0]), "TIFF"),
        repeated(scaled(WORDS[:, :, 0])),
    ),
    "grey of 16 bits, colour key": (
        lambda: png(
            WORDS[:, :, 0].astype(">u2").tobytes(),
            width=7,
            height=6,
            depth=16,
            colour=0,
            tRNS=int(WORDS[3, 3, 0]).to_bytes(2, "big"),
        ),
        repeated(np.where(WORDS[:, :, 0] == WORDS[3, 3, 0], 255, scaled(WORDS[:, :, 0]))),
    ),
    "rgb of 16 bits": (
        lambda: png(WORDS[:, :, :3].astype(">u2").tobytes(), width=7, height=6, depth=16, colour=2),
        scaled(WORDS[:, :, :3]),
    ),
    "rgb of 16 bits, colour key": (
        lambda: png(
            WORDS[:, :, :3].astype(">u2").tobytes(),
            width=7,
            height=6,
            depth=16,
            colour=2,
            tRNS=WORDS[3, 3, :3].astype(">u2").tobytes(),
        ),
        over_white(scaled(WORDS[:, :, :3]), np.where((WORDS[3, 3] == WORDS).all(axis=2), 0, 255)),
    ),
    "rgba of 16 bits": (
        lambda: png(WORDS.astype(">u2").tobytes(), width=7, height=6, depth=16, colour=6),
        over_white(scaled(WORDS[:, :, :3]), scaled(WORDS[:, :, 3])),
    ),
    "grey with alpha of 16 bits": (
        lambda: png(WORDS[:, :, 2:].astype(">u2").tobytes(), width=7, height=6, depth=16, colour=4),
        over_white(repeated(scaled(WORDS[:, :, 2])), scaled(WORDS[:, :, 3])),
    ),
}


@pytest.mark.parametrize(("make", "expected"), SAMPLES.values(), ids=SAMPLES.keys())
def test_samples_of_every_kind_become_rgb(make: Callable[[], bytes], expected: Pixels) -> None:
    found = decode(make(), PixelRules(image_size=expected.shape[:2]))
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert np.array_equal(found, expected)


def test_16_bits_of_colour_in_a_tiff_are_within_a_level() -> None:
    data = cv2.imencode(".tiff", WORDS[:, :, 2::-1])[1].tobytes()
    assert np.abs(own_size(data).astype(int) - scaled(WORDS[:, :, :3])).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_looks_like_the_rgb_it_came_from(kind: str) -> None:
    cmyk = Image.fromarray(photo(64, 64)).convert("CMYK")
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    assert np.abs(own_size(encode(cmyk, kind, **options)).astype(int) - photo(64, 64)).max() <= 6


def test_lab_becomes_rgb() -> None:
    lab = np.zeros((2, 2, 3), np.uint8)
    lab[0, 0], lab[0, 1], lab[1, 0] = (255, 0, 0), (128, 0, 0), (136, 80, 67)
    white, grey, red, black = own_size(encode(Image.fromarray(lab, "LAB"), "TIFF")).reshape(4, 3).astype(int)
    assert white.min() > 250
    assert np.ptp(grey) <= 3
    assert 100 < grey[0] < 135
    assert red[0] > 200 > 100 > max(red[1:])
    assert black.max() < 5


@pytest.mark.parametrize("samples", [np.float32, np.int32])
def test_samples_without_a_known_range_are_unsupported(samples: Any) -> None:
    assert reason(encode(Image.fromarray(GREY.astype(samples)), "TIFF")) == "unsupported"


UPRIGHT: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    0: lambda a: a,
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
    9: lambda a: a,
}


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    options: dict[str, Any] = {"WEBP": {"lossless": True}, "MPO": {"save_all": True}}.get(kind, {})
    stored = own_size(encode(RGB, kind, **options))
    expected = UPRIGHT[orientation](stored)
    data = encode(RGB, kind, exif=exif, **options)
    assert np.array_equal(decode(data, PixelRules(image_size=expected.shape[:2])), expected)
    if kind == "JPEG":
        slow = geometry.upright(*pillow.decode(data, "jpeg", DEFAULT_MAX_PIXELS))
        assert np.abs(slow.astype(int) - expected).max() <= 1


def test_a_jpeg_without_exif_is_decoded_without_pillow(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(encode(RGB, "JPEG"))
    code = "import sys; from pathlib import Path; from featx.images import decode; from featx.spec import PixelRules; "
    code += "decode(Path('photo.jpg').read_bytes(), PixelRules(image_size=(8, 8))); print('PIL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("resize", RESIZES)
def test_turning_first_or_last_gives_the_same_pixels(resize: Any, interpolation: Any) -> None:
    """The big picture is flipped, the small one transposed: to the last bit what the rules say, at any odd size."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        h, w = (int(side) for side in rng.integers(1, 400, 2))
        rules = PixelRules(
            image_size=tuple(map(int, rng.integers(1, 200, 2))), resize=resize, interpolation=interpolation
        )
        stored = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
        for orientation in geometry.ORIENTATIONS:
            found, expected = np.empty((2, *rules.image_size, 3), np.uint8)
            geometry.upright_into(stored.copy(), orientation, rules, found)
            resize_into(np.ascontiguousarray(UPRIGHT[orientation](stored)), rules, expected)
            assert np.array_equal(found, expected), (orientation, stored.shape, rules)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_photo_is_turned_in_its_own_memory(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    photo = np.zeros((600, 800, 3), np.uint8)
    data = encode(photo, "JPEG", exif=exif)
    decode(data, PixelRules(image_size=(8, 8)))  # what is imported on the way doesn't count
    tracemalloc.start()
    decode(data, PixelRules(image_size=(8, 8)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.1 * photo.nbytes


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(40), b"\xff" * 99],
)
def test_a_broken_exif_fails_no_image(kind: str, exif: bytes) -> None:
    rules = PixelRules(image_size=RGB.shape[:2])
    assert np.array_equal(decode(encode(RGB, kind, exif=exif), rules), decode(encode(RGB, kind), rules))


FIRSTS = {"GIF": {}, "WEBP": {"lossless": True}, "TIFF": {}, "PNG": {}, "MPO": {}}


@pytest.mark.parametrize(("kind", "options"), FIRSTS.items())
def test_of_several_pictures_the_first_counts(kind: str, options: dict[str, Any]) -> None:
    first = Image.fromarray(photo(20, 30)).quantize(64).convert("RGB")
    second = Image.fromarray(photo(20, 30, seed=9))
    several = encode(first, kind, save_all=True, append_images=[second], **options)
    assert np.array_equal(own_size(several), own_size(encode(first, kind, **options)))


def test_an_apngs_own_picture_counts_and_not_its_animation() -> None:
    first, *frames = (Image.fromarray(photo(20, 30, seed=seed)) for seed in range(3))
    data = encode(first, "PNG", save_all=True, append_images=frames, default_image=True)
    assert np.array_equal(own_size(data), photo(20, 30, seed=0))


STRANGERS = {
    "empty": (b"", "empty"),
    "text": (b"this is not an image", "not-an-image"),
    "text that starts like a bmp": (b"BMW 320i, 2011, blue, and much more", "not-an-image"),
    "zeros": (bytes(1000), "not-an-image"),
    "pdf": (b"%PDF-1.7\n", "not-an-image"),
    "mp4": (b"\0\0\0\x18ftypmp42", "not-an-image"),
    "jpeg 2000": (encode(photo(8, 8), "JPEG2000"), "unsupported"),
    "ico": (encode(photo(16, 16), "ICO"), "unsupported"),
    "pnm": (encode(photo(8, 8), "PPM"), "unsupported"),
    "heic without a picture": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "truncated"),
    "avif without a picture": (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "truncated"),
    "jpeg xl": (b"\xff\x0a\xfa\x1f", "unsupported"),
    "psd": (b"8BPS\0\1" + bytes(20), "unsupported"),
    "svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">', "unsupported"),
    "jpeg of 12 bits": (encode(RGB, "JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"), "unsupported"),
}


@pytest.mark.parametrize(("data", "expected"), STRANGERS.values(), ids=STRANGERS.keys())
def test_strangers(data: bytes, expected: str) -> None:
    assert reason(data) == expected


HUGE = 60_000
BOMBS = {
    "png": png(b"\0", width=HUGE, height=1, depth=8, colour=0).replace(
        struct.pack(">II", HUGE, 1), struct.pack(">II", HUGE, HUGE)
    ),
    "gif": b"GIF89a"
    + struct.pack("<HH", HUGE, HUGE)
    + b"\x80\0\0"
    + bytes(6)
    + b","
    + struct.pack("<HHHHB", 0, 0, HUGE, HUGE, 0)
    + b"\2\1\0\0;",
    "bmp": b"BM" + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, HUGE, HUGE, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(45),
    "jpeg": (lambda data: data.replace(struct.pack(">HH", 60, 80), struct.pack(">HH", HUGE, HUGE), 1))(
        encode(RGB, "JPEG")
    ),
    "webp": b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + (HUGE - 1).to_bytes(3, "little") * 2 + bytes(40),
    "webp lossless": b"RIFF\x40\0\0\0WEBPVP8L\x20\0\0\0\x2f" + (0x0FFFFFFF).to_bytes(4, "little") + bytes(40),
    "tiff": (lambda data: data)(encode(Image.new("1", (20_000, 20_000)), "TIFF", compression="group4")),
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS.keys())
def test_a_size_over_the_limit_is_refused_by_the_header_alone(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def allocates(*_: Any, **__: Any) -> None:
        raise AssertionError("pixels were allocated")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load_prepare", allocates)
    monkeypatch.setattr(cv2, "imdecode", allocates)
    if data[8:12] != b"WEBP":
        monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", None)
    crc = data.find(b"IHDR")
    if crc > 0:
        data = data[: crc + 17] + struct.pack(">I", zlib.crc32(data[crc : crc + 17])) + data[crc + 21 :]
    assert reason(data) == "too-large"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"])
def test_the_limit_is_the_largest_number_of_pixels_allowed(kind: str) -> None:
    data = encode(RGB, kind)
    decode(data, PixelRules(image_size=(8, 8)), max_pixels=60 * 80)
    assert reason(data, max_pixels=60 * 80 - 1) == "too-large"


def test_a_text_chunk_that_unpacks_to_gigabytes_is_refused() -> None:
    data = png(bytes(64), width=8, height=8, depth=8, colour=0, zTXt=b"k\0\0" + zlib.compress(bytes(30_000_000)))
    assert reason(data) == "too-large"


def bilinear(pixels: Pixels, height: int, width: int) -> NDArray[np.float64]:
    """Half-pixel centres, edges repeated, no antialiasing: ``tf.image.resize`` with ``antialias=False``."""

    def taps(old: int, new: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        centre = (np.arange(new) + 0.5) * old / new - 0.5
        low = np.floor(centre).astype(int)
        return np.clip(low, 0, old - 1), np.clip(low + 1, 0, old - 1), centre - low

    (y0, y1, fy), (x0, x1, fx) = taps(pixels.shape[0], height), taps(pixels.shape[1], width)
    rows = pixels[y0] * (1 - fy)[:, None, None] + pixels[y1] * fy[:, None, None]
    return rows[:, x0] * (1 - fx)[None, :, None] + rows[:, x1] * fx[None, :, None]  # type: ignore[no-any-return]


@pytest.mark.parametrize("size", [(224, 224), (24, 31), (1, 1), (30, 40), (300, 7), (60, 80), (120, 160)])
def test_stretch_is_keras_plain_bilinear(size: tuple[int, int]) -> None:
    found = decode(encode(RGB, "PNG"), PixelRules(image_size=size))
    assert np.abs(found - bilinear(RGB, *size)).max() <= 1


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("shape", [(60, 80), (80, 60), (1, 200), (200, 1), (1, 1), (70, 70)])
def test_every_rule_keeps_a_flat_colour(resize: Any, interpolation: Any, shape: tuple[int, int]) -> None:
    flat = np.full((*shape, 3), (200, 100, 50), np.uint8)
    found = decode(encode(flat, "PNG"), PixelRules(image_size=(48, 64), resize=resize, interpolation=interpolation))
    inside = found[found.any(axis=2)]
    assert np.array_equal(np.unique(inside, axis=0), [[200, 100, 50]])
    if resize != "pad":
        assert len(inside) == 48 * 64


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_no_resampling_at_the_size_that_is_asked_for(resize: Any, interpolation: Any, kind: str) -> None:
    data = encode(RGB, kind)
    found = decode(data, PixelRules(image_size=(60, 80), resize=resize, interpolation=interpolation))
    assert np.abs(found.astype(int) - by_pillow(data)).max() <= (1 if kind == "JPEG" else 0)


CROPS = {  # (h, w) of the image, (H, W) asked for -> (top, left, height, width) of the window
    "wide to square": ((60, 80), (32, 32), (0, 10, 60, 60)),
    "tall to square": ((81, 60), (32, 32), (10, 0, 60, 60)),
    "odd rest, smaller half before": ((60, 81), (32, 32), (0, 10, 60, 60)),
    "to a wide one": ((60, 60), (20, 40), (15, 0, 30, 60)),
    "to a tall one": ((60, 61), (40, 20), (0, 15, 60, 30)),
    "a line": ((1, 500), (32, 32), (0, 249, 1, 1)),
}


@pytest.mark.parametrize(("shape", "size", "window"), CROPS.values(), ids=CROPS.keys())
def test_crop_is_the_stretch_of_the_central_window(
    shape: tuple[int, int], size: tuple[int, int], window: tuple[int, int, int, int]
) -> None:
    pixels, (top, left, height, width) = photo(*shape), window
    inner = np.ascontiguousarray(pixels[top : top + height, left : left + width])
    found = decode(encode(pixels, "PNG"), PixelRules(image_size=size, resize="crop"))
    assert np.array_equal(found, decode(encode(inner, "PNG"), PixelRules(image_size=size)))


PADS = {  # (h, w), (H, W) -> (top, left, height, width) of the picture
    "wide to square": ((60, 80), (32, 32), (4, 0, 24, 32)),
    "tall to square": ((80, 60), (32, 32), (0, 4, 32, 24)),
    "odd rest, smaller half before": ((50, 80), (32, 33), (5, 0, 21, 33)),
    "to a wide one": ((60, 60), (20, 40), (0, 10, 20, 20)),
    "a line": ((1, 500), (32, 32), (15, 0, 1, 32)),
}


@pytest.mark.parametrize(("shape", "size", "box"), PADS.values(), ids=PADS.keys())
def test_pad_is_the_stretch_into_the_middle_of_black(
    shape: tuple[int, int], size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    pixels, (top, left, height, width) = photo(*shape), box
    expected = np.zeros((*size, 3), np.uint8)
    expected[top : top + height, left : left + width] = decode(
        encode(pixels, "PNG"), PixelRules(image_size=(height, width))
    )
    assert np.array_equal(decode(encode(pixels, "PNG"), PixelRules(image_size=size, resize="pad")), expected)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_slot_of_a_ring_is_filled_and_its_neighbours_are_not(kind: str, resize: Any) -> None:
    rules = PixelRules(image_size=(24, 31), resize=resize)
    data = encode(RGB, kind)
    ring = np.full((3, 24, 31, 3), 7, np.uint8)
    decode_into(data, rules, ring[1])
    assert np.array_equal(ring[1], decode(data, rules))
    assert (ring[[0, 2]] == 7).all()
    decode_into(memoryview(data), rules, ring[:, :, ::-1][2][:, ::-1])
    assert np.array_equal(ring[2], ring[1])


def test_wrong_calls_are_refused() -> None:
    data = encode(RGB, "PNG")
    with pytest.raises(UsageError, match="version 99"):
        decode(data, PixelRules(image_size=(8, 8), decoder=99))
    for out in (np.empty((8, 9, 3), np.uint8), np.empty((8, 8, 3), np.float32)):
        with pytest.raises(ValueError, match="out must be uint8"):
            decode_into(data, PixelRules(image_size=(8, 8)), out)  # type: ignore[arg-type]
