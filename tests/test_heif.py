"""AVIF and HEIF, which phones write: pixels, turning, memory, and runs without a reader."""

import io
import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, ImageOps

import featx
from featx.errors import ImageError
from featx.images import decode, heif
from featx.images.decoding import decode_whole
from featx.images.formats import sniff
from featx.spec import PixelRules

pytestmark = pytest.mark.skipif(not AvifImagePlugin.SUPPORTED, reason="this Pillow was built without AVIF")

KINDS = ("avif", "heif")
LIMIT = 10**7
ORIENTATION = 0x0112


def picture(height: int = 40, width: int = 64, *, alpha: bool = False) -> Image.Image:
    """Smooth colours that differ in each corner, half transparent on the right if asked."""
    down, across = np.mgrid[0:height, 0:width]
    planes = [255 * across / width, 255 * down / height, np.where(across + down < 30, 220, 40)]
    if alpha:
        planes.append(np.where(across < width // 2, 255, 0))
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    if kind == "avif":
        image.save(file, "AVIF", **{"quality": 100, "subsampling": "4:4:4", "speed": 10} | options)
    else:
        pillow_heif.register_heif_opener()
        image.save(file, "HEIF", **{"quality": -1, "chroma": 444} | options)
    return file.getvalue()


def whole(data: bytes) -> NDArray[np.uint8]:
    return decode_whole(data, LIMIT)[0]


def upright(data: bytes) -> NDArray[np.int_]:
    """Decode at the upright picture's own size."""
    pixels, orientation = decode_whole(data, LIMIT)
    height, width = pixels.shape[:2] if orientation < 5 else pixels.shape[1::-1]
    return decode(data, PixelRules(image_size=(height, width))).astype(int)


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_of_the_picture(kind: str) -> None:
    image = picture()
    data = encode(image, kind)
    assert sniff(data) == kind
    # Lossless in YCbCr of 8 bits, which keeps RGB to 2 levels.
    assert np.abs(whole(data).astype(int) - np.asarray(image)).max() <= 3


@pytest.mark.parametrize("kind", KINDS)
def test_transparent_pixels_are_white(kind: str) -> None:
    pixels = whole(encode(picture(alpha=True), kind))
    assert pixels[:, 40:].min() >= 253
    assert np.abs(pixels[:, :24].astype(int) - np.asarray(picture())[:, :24]).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_turned_once(kind: str, orientation: int) -> None:
    """The writers keep Exif and turn the picture by the container as well, as phones do."""
    image = picture()
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encode(image, kind, exif=exif.tobytes())
    image.getexif()[ORIENTATION] = orientation
    wanted = np.asarray(ImageOps.exif_transpose(image)).astype(int)
    found = upright(data)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 4


def test_ten_bits_are_read_as_eight() -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    deep = np.broadcast_to(ramp[None, :, None], (40, 64, 3)).copy()
    file = io.BytesIO()
    pillow_heif.from_bytes(mode="RGB;16", size=(64, 40), data=deep.tobytes()).save(file, quality=-1, chroma=444)
    assert b"pixi" in file.getvalue()
    assert np.abs(whole(file.getvalue()).astype(int) - (deep / 257)).max() <= 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_picture_of_several_is_taken(kind: str) -> None:
    file, first, second = io.BytesIO(), picture(), Image.new("RGB", (64, 40), "black")
    if kind == "avif":
        options = {"save_all": True, "append_images": [second], "quality": 100, "subsampling": "4:4:4"}
        first.save(file, "AVIF", **options)
    else:
        several = pillow_heif.from_pillow(first)
        several.add_from_pillow(second)
        several.save(file, quality=-1, chroma=444, primary_index=0)
    assert np.abs(whole(file.getvalue()).astype(int) - np.asarray(first)).max() <= 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_size_over_the_limit_is_refused_before_anything_is_decoded(kind: str, monkeypatch: Any) -> None:
    data = encode(picture(), kind)
    with pytest.raises(ImageError) as caught:
        decode_whole(data, 40 * 64 - 1)
    assert caught.value.reason == "too-large"
    # The header's size, in the item property `ispe`, and no such picture behind it.
    place = data.index(b"ispe") + 8
    huge = data[:place] + struct.pack(">II", 30_000, 30_000) + data[place + 8 :]
    with pytest.raises(ImageError) as caught:
        decode_whole(huge, 30_000 * 30_000 - 1)
    assert caught.value.reason in ("too-large", "truncated")
    monkeypatch.setattr("featx.images.pillow.check_size", lambda *_: None)
    with pytest.raises(ImageError):
        decode_whole(huge, 10**6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_file_is_a_failure(kind: str) -> None:
    data = encode(picture(), kind)
    for content in (data[: len(data) // 2], data[:-1], data[:60], data[:60] + bytes(len(data) - 60)):
        with pytest.raises(ImageError) as caught:
            decode_whole(content, LIMIT)
        assert caught.value.reason in ("truncated", "unsupported", "not-an-image")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_with_changed_bytes_is_a_picture_or_a_failure(kind: str) -> None:
    data, rng, reasons = encode(picture(), kind), np.random.default_rng(0), set()
    for _ in range(150):
        changed = bytearray(data)
        for place in rng.integers(0, len(data), 4):
            changed[place] = rng.integers(0, 256)
        try:
            pixels = whole(bytes(changed))
        except ImageError as error:
            reasons.add(error.reason)
        else:
            assert (pixels.dtype, pixels.ndim) == (np.uint8, 3)
    assert reasons <= {"truncated", "unsupported", "not-an-image", "too-large"}


def test_without_a_reader_the_failure_names_what_brings_it_and_is_tried_again_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "phone" / "cat"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"{number}.heic").write_bytes(encode(picture(width=64 + number), "heif"))
    (folder / "plain.png").write_bytes(b"")
    picture().save(folder / "plain.png")
    # The decoders are processes of their own, which find this package in place of the real one.
    broken = tmp_path / "broken"
    (broken / "pillow_heif").mkdir(parents=True)
    (broken / "pillow_heif" / "__init__.py").write_text("raise ImportError")
    options = {"backbone": "mean-colour", "workers": 1, "progress": False}
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        patch.setenv("PYTHONPATH", str(broken))
        with pytest.warns(featx.UnreadableWarning):
            store = featx.extract("phone", **options)
    assert len(store) == 1
    assert {failure.reason for failure in store.failures} == {"unsupported"}
    assert all(heif.HEIF_EXTRA in failure.message for failure in store.failures)
    again = featx.extract("phone", **options)
    assert (len(again), again.failed) == (4, 0)


def test_a_pillow_without_avif_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(picture(), "avif")
    monkeypatch.setattr(AvifImagePlugin, "SUPPORTED", False)
    with pytest.raises(ImageError, match=re.escape(heif.AVIF_EXTRA)) as caught:
        decode_whole(data, LIMIT)
    assert not heif.readable_now(str(caught.value))
    monkeypatch.undo()
    assert heif.readable_now(str(caught.value))


def test_a_failure_that_an_earlier_featx_recorded_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = (
        "{} images are not decoded; convert it to one of bmp, gif",
        "featx can't read {} images; convert it to one of",
    )
    for way in ways:
        for kind in ("AVIF", "HEIF"):
            assert heif.readable_now(way.format(kind))
        # Other formats are read by no featx, and would be opened in every run.
        assert not heif.readable_now(way.format("JPEG XL"))
    assert not heif.readable_now("avif: the decoder said: AVIF images; convert it to another")
    monkeypatch.setattr(AvifImagePlugin, "SUPPORTED", False)
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    assert not any(heif.readable_now(way.format(kind)) for way in ways for kind in ("AVIF", "HEIF"))
