"""What becomes of files that break decoders: each outcome was looked at once, and is held from then on."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from featx.errors import ImageError
from featx.images import decode
from featx.spec import PixelRules

MATERIAL = os.environ.get("FEATX_MATERIAL")

pytestmark = [
    pytest.mark.material,
    pytest.mark.skipif(not MATERIAL, reason="FEATX_MATERIAL names no folder with the odd images"),
]

ROOT = Path(MATERIAL or ".") / "odd_images"

# Every file that is not named here is a row.
FAILURES = {
    "bomb/decompression_bomb.gif": "too-large",
    "bomb/decompression_bomb.ico": "unsupported",
    "bomb/png_decompression_dos.png": "too-large",
    "bomb/sharp_65536-uint32-limit.png": "too-large",
    "bomb/sharp_giant-image.jpg": "too-large",
    "corrupt/broken.png": "truncated",
    "corrupt/broken_data_stream.png": "truncated",
    "corrupt/crash-0c7e0e8e11ce787078f00b5b0ca409a167f070e0.tif": "truncated",
    "corrupt/not_enough_data.jp2": "unsupported",
    "corrupt/oom-225817ca0f8c663be7ab4b9e717b02c661e66834.tif": "truncated",
    "corrupt/seek_too_large.tif": "truncated",
    "corrupt/sharp_corrupt-header.jpg": "truncated",
    "corrupt/sharp_truncated.jpg": "truncated",
    "corrupt/sharp_truncated.png": "truncated",
    "corrupt/text_named.jpg": "not-an-image",
    "corrupt/truncated_end_chunk.png": "truncated",
    "corrupt/truncated_image.png": "truncated",
    "corrupt/truncated_jpeg.jpg": "truncated",
    "corrupt/unbound_variable.jp2": "unsupported",
    "corrupt/unknown_compression_method.png": "truncated",
    "corrupt/zero_byte.jpg": "empty",
    "corrupt/zero_width.gif": "truncated",
    "modes/python.ico": "unsupported",
    "modes/sharp_cielab-dagams.tiff": "unsupported",
    "modes/sharp_pitm.avif": "unsupported",
    "modes/sharp_relax.jp2": "unsupported",
    "modes/ultrahdr.jpg": "truncated",
}


def pixels(path: str, size: tuple[int, int] = (128, 128)) -> np.ndarray:
    return decode((ROOT / path).read_bytes(), PixelRules(image_size=size)).astype(int)


def test_every_odd_file_is_a_row_or_the_failure_it_should_be() -> None:
    files = sorted(file for file in ROOT.rglob("*") if file.is_file() and file.name != "INDEX.csv")
    found = {}
    for file in files:
        try:
            decode(file.read_bytes(), PixelRules(image_size=(64, 64)))
        except ImageError as error:
            found[str(file.relative_to(ROOT))] = error.reason
    assert found == FAILURES
    assert len(files) > 140


def test_one_picture_in_all_orientations_is_one_picture() -> None:
    for pattern, size in {"hopper_orientation_*.jpg": (128, 128), "hopper_orientation_*.webp": (128, 128)}.items():
        first, *others = sorted((ROOT / "exif_orientation").glob(pattern))
        expected = pixels(f"exif_orientation/{first.name}", size)
        for other in others:
            # Each was compressed anew, in its own direction.
            assert np.abs(pixels(f"exif_orientation/{other.name}", size) - expected).mean() < 6, other.name
    for name, size in {"Landscape": (120, 180), "Portrait": (180, 120)}.items():
        expected = pixels(f"exif_orientation/recurser/{name}_1.jpg", size)
        for orientation in range(9):
            turned = pixels(f"exif_orientation/recurser/{name}_{orientation}.jpg", size)
            assert np.abs(turned - expected).mean() < 6, (name, orientation)


@pytest.mark.parametrize(
    "path",
    [
        "hopper.Lab.tif",
        "hopper.bmp",
        "hopper.gif",
        "hopper.jpg",
        "hopper.tif",
        "hopper.webp",
        "hopper_idat_after_image_end.png",
    ],
)
def test_one_picture_in_all_formats_is_one_picture(path: str) -> None:
    assert np.abs(pixels(f"modes/{path}") - pixels("modes/hopper.png")).mean() < 6


def test_one_picture_in_three_kinds_of_transparency_is_one_picture() -> None:
    expected = pixels("transparency/transparent.png")
    assert np.array_equal(expected[0, 0], [255, 255, 255])
    for kind in ("gif", "webp"):
        assert np.abs(pixels(f"transparency/transparent.{kind}") - expected).mean() < 6


def test_bombs_cost_next_to_no_memory() -> None:
    script = """
import resource, sys
from pathlib import Path
from featx.errors import ImageError
from featx.images import decode
from featx.spec import PixelRules
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for file in Path(sys.argv[1]).iterdir():
    try:
        decode(file.read_bytes(), PixelRules(image_size=(64, 64)))
    except ImageError:
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    run = subprocess.run([sys.executable, "-c", script, str(ROOT / "bomb")], capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(run.stdout) * unit < 100e6
    assert run.stderr == ""
