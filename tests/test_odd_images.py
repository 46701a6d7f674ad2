"""What becomes of files that break decoders: each outcome was looked at once, and is held from then on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

import featx
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


# What makes a file of each orientation from 2 on, out of the upright picture.
TURNS = (
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.ROTATE_180,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_90,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_270,
)


def apart(store: featx.FeatureStore) -> float:
    """Largest distance of any two features, as a share of their length."""
    features = store.features.astype(float)
    return float((np.linalg.norm(features[:, None] - features[None], axis=2) / np.linalg.norm(features, axis=1)).max())


@pytest.mark.parametrize(
    "pattern",
    ["hopper_orientation_*.jpg", "hopper_orientation_*.webp", "recurser/Landscape_*.jpg", "recurser/Portrait_*.jpg"],
)
def test_one_picture_in_all_orientations_has_one_colour(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "data").mkdir()
    for file in (ROOT / "exif_orientation").glob(pattern):
        shutil.copy(file, tmp_path / "data")
    store = featx.extract(tmp_path / "data", backbone="mean-colour", out=tmp_path / "store.h5")
    assert (store.failed, len(store) >= 7) == (0, True)
    assert apart(store) < 0.01


@pytest.mark.keras
def test_one_picture_in_all_orientations_has_one_feature(tmp_path: Path) -> None:
    """By a real network, of one photo turned without loss: it sees even how a JPEG was compressed anew."""
    (tmp_path / "data").mkdir()
    with Image.open(ROOT / "exif_orientation/recurser/Landscape_1.jpg") as photo:
        for orientation, turn in enumerate((None, *TURNS), start=1):
            exif = Image.Exif()
            exif[ExifTags.Base.Orientation] = orientation
            turned = photo.convert("RGB") if turn is None else photo.convert("RGB").transpose(turn)
            for ending in ("png", "tif"):
                turned.save(tmp_path / f"data/{orientation}.{ending}", exif=exif)
    weights = ROOT.parent / "weights/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    store = featx.extract(tmp_path / "data", backbone="mobilenetv2", weights=weights, out=tmp_path / "store.h5")
    assert len(store) == 16
    assert apart(store) < 0.01


# Loaded into the decoder process: its peak so far, after each image.
PEAKS = """
import os, resource
from pathlib import Path
from featx.batches import worker

real = worker._Job.run

def run(self, *task):
    try:
        return real(self, *task)
    finally:
        with Path(os.environ["PEAKS"]).open("a") as peaks:
            peaks.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}\\n")

worker._Job.run = run
"""


def test_a_picture_of_four_gigapixels_costs_next_to_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a whole extraction: the peak of its decoder process beside that of one that reads a small picture."""
    (tmp_path / "sitecustomize.py").write_text(PEAKS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PEAKS", str(tmp_path / "peaks"))
    (tmp_path / "data").mkdir()
    shutil.copy(ROOT / "modes/hopper.png", tmp_path / "data/0 small.png")
    shutil.copy(ROOT / "bomb/sharp_65536-uint32-limit.png", tmp_path / "data/1 bomb.png")
    with pytest.warns(featx.UnreadableWarning):
        store = featx.extract(tmp_path / "data", backbone="mean-colour", out=tmp_path / "store.h5", workers=1)
    assert [(failure.path, failure.reason) for failure in store.failures] == [("1 bomb.png", "too-large")]
    small, bomb = map(int, (tmp_path / "peaks").read_text().split())
    assert (bomb - small) * (1 if sys.platform == "darwin" else 1024) < 100e6
