"""Small pictures that take much memory: bytes are bounded, not only pixels."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from featx.errors import ImageError
from featx.images import decode
from featx.images.memory import BYTES_PER_PIXEL
from featx.spec import PixelRules
from test_images import png
from variants.tiff import Tags, tiff

SIDE = 2600
PIXELS = SIDE * SIDE

# Each picture is decoded in a fork, whose peak is its own.
MEASURED = """
import io, json, os, resource, sys
import cv2, numpy as np, pillow_heif
from PIL import Image
from featx.errors import ImageError
from featx.images import decode
from featx.spec import PixelRules

sys.path.insert(0, sys.argv[1])
from hostile.test_memory_of_pictures import PICTURES, PIXELS

UNIT = 1 if sys.platform == "darwin" else 1024
cv2.setNumThreads(1)
rules = PixelRules(image_size=(64, 64))
pillow_heif.register_heif_opener()
for kind in ("WEBP", "AVIF", "HEIF"):
    small = io.BytesIO()
    Image.new("RGB", (64, 64)).save(small, kind)
    decode(small.getvalue(), rules)


def in_a_fork(work):
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.write(writing, json.dumps(work()).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as answer:
        return json.loads(answer.read())


def decoded(path, most):
    with open(path, "rb") as file:
        data = file.read()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        decode(data, rules, max_pixels=most)
        outcome = "decoded"
    except ImageError as error:
        outcome = error.reason
    return outcome, UNIT * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def written(make, path):
    with open(path, "wb") as file:
        return file.write(make())


for name, make in PICTURES.items():
    path = os.path.join(sys.argv[2], "picture")
    in_a_fork(lambda: written(make, path))
    for most in (PIXELS - 1, PIXELS, 2 * PIXELS):
        print(json.dumps([name, most, *in_a_fork(lambda: decoded(path, most))]))
"""


def deep(colour: int, channels: int, **chunks: bytes) -> bytes:
    return png(bytes(2 * channels * PIXELS), width=SIDE, height=SIDE, depth=16, colour=colour, **chunks)


def saved(mode: str, kind: str, **options: object) -> bytes:
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new(mode, (SIDE, SIDE)).save(file, kind, **options)
    return file.getvalue()


# The photos of everyday, which are allowed at every size up to the limit of pixels.
PHOTOS = {
    "jpeg": lambda: saved("RGB", "JPEG"),
    "jpeg, progressive, full chroma": lambda: saved("RGB", "JPEG", progressive=True, subsampling=0),
    "png": lambda: saved("RGB", "PNG", compress_level=1),
    "png with alpha": lambda: saved("RGBA", "PNG", compress_level=1),
    "png of 16 bits of grey": lambda: deep(0, 1),
    "tiff": lambda: saved("RGB", "TIFF", compression="tiff_adobe_deflate"),
}
PICTURES = PHOTOS | {
    "png of 16 bits with alpha": lambda: deep(6, 4),
    "png of 16 bits with a colour key": lambda: deep(2, 3, tRNS=bytes(6)),
    "png of 16 bits of grey with alpha": lambda: deep(4, 2),
    "jpeg of cmyk, progressive": lambda: saved("CMYK", "JPEG", progressive=True),
    "webp": lambda: saved("RGB", "WEBP", method=0),
    "avif": lambda: saved("RGB", "AVIF", speed=10),
    "avif with alpha, full chroma": lambda: saved("RGBA", "AVIF", speed=10, subsampling="4:4:4"),
    "heif": lambda: saved("RGB", "HEIF"),
    "heif with alpha, full chroma": lambda: saved("RGBA", "HEIF", chroma=444),
    "tiff of 16 bits with alpha, one strip": lambda: tiff(
        np.zeros((SIDE, SIDE, 4), np.uint16), Tags(bits=16, extra=(2,), compression=8)
    ),
}


def test_no_picture_takes_more_memory_than_is_allowed(tmp_path: Path) -> None:
    """Allowed is what a progressive JPEG takes per pixel; a 16-bit PNG with alpha took three times as much."""
    command = [sys.executable, "-c", MEASURED, Path(__file__).parents[1], tmp_path]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 3 * len(PICTURES)
    for name, most, outcome, peak in lines:
        if most < PIXELS:
            assert outcome == "too-large", name
        elif name in PHOTOS or most == 2 * PIXELS:
            assert outcome == "decoded", (name, most)
        else:
            assert outcome == "too-large", (name, most)
        # Some room for what libraries load and keep.
        assert peak < (BYTES_PER_PIXEL * most if outcome == "decoded" else 0) + 12e6, (name, most, outcome, peak)


@pytest.mark.parametrize("compression", [1, 8])
def test_a_tile_larger_than_the_picture_is_refused_by_its_tags(compression: int) -> None:
    data = tiff(
        np.zeros((16, 16, 3), np.uint8),
        Tags(tile=(16, 16), compression=compression, more=((322, 4, (30_000,)), (323, 4, (30_000,)))),
    )
    with pytest.raises(ImageError, match="MB of memory") as caught:
        decode(data, PixelRules(image_size=(8, 8)))
    assert caught.value.reason == "too-large"
