"""Images that keep a decoder busy for minutes, and decoders that never end: they cost an image, not the run."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from featx.errors import ImageError
from featx.images import decode, thumbnail
from featx.spec import PixelRules

RULES = PixelRules(image_size=(4, 4))


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def progressive(side: int, scans: int, *, between: bytes = b"") -> bytes:
    """A grey JPEG whose every scan goes over all of it again, in 20 bytes."""
    frame = struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0"
    one_code = bytes([1]) + bytes(15)
    head = [segment(0xDB, b"\0" + b"\1" * 64), segment(0xC2, frame)]
    head += [segment(0xC4, b"\x00" + one_code + b"\0"), segment(0xC4, b"\x10" + one_code + b"\xe0")]
    first = segment(0xDA, b"\1\1\0" + bytes((0, 0, 0)))
    others = segment(0xDA, b"\1\1\0" + bytes((1, 63, 0)))
    return (
        b"\xff\xd8"
        + between.join([*head, *[scan + bytes(8) for scan in (first, *[others] * (scans - 1))]])
        + b"\xff\xd9"
    )


def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded() -> None:
    """The largest that the limit of pixels allows would take minutes; of this size both would be decoded at once."""
    assert decode(progressive(16, 100), RULES).shape == (4, 4, 3)
    for data in (progressive(16, 101), progressive(13_000, 600)):
        for attempt in (lambda data=data: decode(data, RULES), lambda data=data: thumbnail(data, side=4)):
            with pytest.raises(ImageError, match="more than 100 scans") as caught:
                attempt()
            assert caught.value.reason == "too-large"


def test_nor_do_bytes_between_its_segments_hide_them() -> None:
    """libjpeg passes over them, and Pillow decodes what is no ordinary JPEG."""
    assert decode(progressive(16, 100, between=b"\xff\xff"), RULES).shape == (4, 4, 3)
    with pytest.raises(ImageError, match="more than 100 scans"):
        decode(progressive(16, 101, between=b"\0\0"), RULES)


def test_markers_that_are_no_scans_of_the_picture_are_not_counted() -> None:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(file, "JPEG", progressive=True, comment=b"\xff\xda\0\2" * 200)
    scans = b"\xff\xda\0\2" * 200  # of a film behind the picture, as some cameras write it
    assert decode(file.getvalue() + scans, RULES).shape == (4, 4, 3)
