"""The worked example that colours grey photos: its colour arithmetic, and both of its commands at small size."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import Painter

EXAMPLE = Path(__file__).parents[1] / "examples" / "colorize"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a script of the example in this process, which may have loaded what is slow to import."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLE)
    for name in ("lab", "decoder"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def run(script: str, *arguments: str) -> None:
        monkeypatch.setattr("sys.argv", [str(EXAMPLE / script), *arguments])
        runpy.run_path(str(EXAMPLE / script), run_name="__main__")

    return run


def test_lab_is_that_of_the_standard_and_comes_back(run: Callable[..., None]) -> None:
    lab = runpy.run_path(str(EXAMPLE / "lab.py"))
    known = {(255, 255, 255): (100, 0, 0), (0, 0, 0): (0, 0, 0), (255, 0, 0): (53.24, 80.09, 67.20)}
    known |= {(0, 255, 0): (87.73, -86.18, 83.18), (0, 0, 255): (32.30, 79.19, -107.86)}
    for rgb, expected in known.items():
        np.testing.assert_allclose(lab["to_lab"](np.array(rgb, np.uint8)), expected, atol=0.02)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(lab["to_rgb"](lab["to_lab"](pixels)), pixels)
    # A step of L* alone is its own distance.
    grey = np.full((1, 4, 4, 3), 119, np.uint8)
    other = np.full((1, 4, 4, 3), 255, np.uint8)
    assert lab["delta_e"](grey, other) == pytest.approx(100 - lab["to_lab"](grey)[0, 0, 0, 0], abs=0.01)
    assert lab["colourfulness"](grey) == pytest.approx(0, abs=1e-6)


def test_a_painted_picture_keeps_its_light_and_shade(run: Callable[..., None]) -> None:
    painted = runpy.run_path(str(EXAMPLE / "decoder.py"))["painted"]
    to_lab = runpy.run_path(str(EXAMPLE / "lab.py"))["to_lab"]
    grey = np.random.default_rng(0).integers(60, 200, (2, 33, 47, 1), dtype=np.uint8).repeat(3, axis=-1)
    ab = np.empty((2, 8, 8, 2), np.float32)
    ab[0], ab[1] = (0, 0), (8, -6)
    found = painted(grey, ab)
    np.testing.assert_array_equal(found[0], grey[0])
    np.testing.assert_allclose(to_lab(found[1])[..., 0], to_lab(grey[1])[..., 0], atol=1)
    np.testing.assert_allclose(to_lab(found[1])[..., 1:].mean(axis=(0, 1)), (8, -6), atol=0.2)


@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3.15 and NumPy 2
def test_both_commands_at_small_size(
    run: Callable[..., None], paint: Painter, capsys: pytest.CaptureFixture[str]
) -> None:
    paint(Path("photos"), each=2)
    network = ["--backbone", "mobilenet-0.25", "--layers", "conv_pw_1_relu,conv_pw_3_relu", "--weights", "none"]
    run("train.py", "photos", *network, "--size", "32", "--epochs", "1", "--folds", "2", "--out", "made")
    table = (Path("made") / "table.md").read_text(encoding="utf-8")
    assert table in capsys.readouterr().out
    rows = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert rows == ["grey", "mean colour", "mean per lightness", "lightness alone", "encoder", "the photo itself"]
    with Image.open("made/pictures.jpg") as pictures:
        assert pictures.size == (6 * 32, 3 * 32)
    assert json.loads(Path("made/decoder.json").read_text(encoding="utf-8"))["size"] == 32

    grey = np.random.default_rng(0).integers(60, 200, (33, 47), dtype=np.uint8)
    Image.fromarray(grey).save("grey.png")
    run("colour.py", "grey.png", "coloured.png", "--model", "made")
    with Image.open("coloured.png") as picture:
        coloured = np.asarray(picture)
    assert coloured.shape == (33, 47, 3)
    assert (coloured != coloured[..., :1]).any()

    with pytest.raises(SystemExit) as stop:
        run("train.py", "photos", "--size", "100")
    assert stop.value.code == 2
