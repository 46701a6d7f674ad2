"""Images that keep a decoder busy for minutes, and decoders that never end: they cost an image, not the run."""

import functools
import io
import json
import logging
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import faulty_decoder
import featx
from conftest import Painter
from featx.batches import Decoders
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


@pytest.mark.timeout(60)
def test_a_page_is_made_without_the_thumbnails_of_images_that_stop_decoders(
    paint: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    source = paint(tmp_path / "images", each=4)
    for name, word in (("red/red 00.png", b" stuck"), ("green/green 01.png", b" abort")):
        with (source / name).open("ab") as file:
            file.write(word)
    model = featx.fit(featx.extract(source, backbone="mean-colour", out=tmp_path / "out.h5"), save=False)
    monkeypatch.syspath_prepend(str(Path(faulty_decoder.__file__).parent))
    monkeypatch.setattr("featx.pipeline.evaluation.thumbnails.DECODER", "faulty_decoder:thumbnail_into")
    with caplog.at_level(logging.WARNING):
        featx.score(model, out=tmp_path / "report.json", timeout=2)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    shown = dict(zip(data["rows"]["path"], data["rows"]["picture"], strict=True))
    assert {path for path, picture in shown.items() if picture < 0} == {"red/red 00.png", "green/green 01.png"}
    (said,) = [record.getMessage() for record in caplog.records if "no small picture" in record.getMessage()]
    assert said.startswith("2 images have no small picture on the page: ")
    assert {"1 timeout", "1 crashed"} == set(said.partition(": ")[2].split(", "))


def test_a_transformer_gives_up_on_an_image_that_stops_decoders(
    paint: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the process of the notebook it would hang, or end it."""
    monkeypatch.syspath_prepend(str(Path(faulty_decoder.__file__).parent))
    faulty = functools.partial(Decoders, decoder="faulty_decoder:decode_into")
    monkeypatch.setattr("featx.transformers.Decoders", faulty)
    (tmp_path / "bad.png").write_bytes(b"abort")
    with pytest.raises(featx.ImageError, match="every file must be an image") as caught:
        featx.ImageLoader().transform([tmp_path / "bad.png"])
    assert caught.value.reason == "crashed"
