"""Grey pixels: an image that is extracted as grey is, in all that follows, a greyscale copy of itself."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featx
from conftest import Painter
from featx.cli import main
from featx.errors import SpecMismatch, UsageError
from featx.images import decode
from featx.images.augment import decode_with_views_into
from featx.images.geometry import in_colours
from featx.spec import ExtractionSpec, PixelRules, ViewsSpec

SPEC = ExtractionSpec(backbone="mean-colour", weights="sha256:0", image_size=(8, 8), preprocessing="none")


def copy_in_grey(path: Path, folder: Path) -> Path:
    """Write the greyscale copy that Pillow makes of the upright image."""
    from PIL import ImageOps

    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(path) as image:
        ImageOps.exif_transpose(image).convert("L").save(folder / f"{path.stem}.png")
    return folder / f"{path.stem}.png"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Make a noisy picture of odd sides that its EXIF data turns by a quarter."""
    pixels = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    return tmp_path / "photo.png"


def test_grey_is_the_formula_of_the_page_and_pillows() -> None:
    levels = np.append(np.arange(0, 256, 6), [1, 254, 255]).astype(np.uint8)
    pixels = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 46, 3)
    red, green, blue = np.moveaxis(pixels.astype(np.int64), -1, 0)
    expected = (19595 * red + 38470 * green + 7471 * blue + 32768) // 65536
    np.testing.assert_array_equal(expected, np.asarray(Image.fromarray(pixels).convert("L")))
    kept = pixels.copy()
    pixels.setflags(write=False)
    for found in (in_colours(pixels, "grey"), in_colours(kept.copy(), "grey")):
        np.testing.assert_array_equal(found, np.repeat(expected[..., None], 3, axis=-1))
    np.testing.assert_array_equal(pixels, kept)  # a decoder's own array is not written over
    assert in_colours(pixels, "rgb") is pixels


def test_large_pictures_are_turned_grey_in_strips() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (601, 1000, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).convert("L"))
    np.testing.assert_array_equal(in_colours(pixels, "grey"), np.repeat(expected[..., None], 3, axis=-1))


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "area", "lanczos"])
def test_pixels_and_views_are_those_of_a_greyscale_copy(photo: Path, resize: str, interpolation: str) -> None:
    """So a model of grey features predicts a photo and a grey print of it alike."""
    copy = copy_in_grey(photo, photo.parent / "grey")
    size = {"image_size": (24, 20), "resize": resize, "interpolation": interpolation}
    grey, plain = PixelRules(**size, colours="grey"), PixelRules(**size)
    found = decode(photo.read_bytes(), grey)
    np.testing.assert_array_equal(found, decode(copy.read_bytes(), plain))
    assert (found == found[..., :1]).all()

    views = ViewsSpec(count=2)
    both = np.zeros((2, 3, 24, 20, 3), np.uint8)
    for path, rules, out in ((photo, grey, both[0]), (copy, plain, both[1])):
        decode_with_views_into(path.read_bytes(), rules, out, views=views, digest=bytes(32))
    np.testing.assert_array_equal(both[0], both[1])
    np.testing.assert_array_equal(both[0, 0], found)


def test_a_spec_in_colour_is_written_as_before_there_was_grey() -> None:
    """Stores and models of earlier versions stay what they are."""
    assert SPEC.fingerprint == "ad8686d4fb05fde6e44207ebc60b3b3c812910bc640094da657a5a327460e32c"
    assert "colours" not in json.loads(SPEC.to_json())
    assert ExtractionSpec.from_json(SPEC.to_json()) == SPEC

    grey = ExtractionSpec(**{**vars(SPEC), "colours": "grey"})
    assert ExtractionSpec.from_json(grey.to_json()) == grey
    assert grey.fingerprint != SPEC.fingerprint
    assert SPEC.differences(grey) == {"colours": ("rgb", "grey")}
    assert grey.pixels.colours == "grey"
    for other in ("rgb", "blue", None):  # the first has another writing, and so would have two fingerprints
        with pytest.raises(ValueError, match="impossible values of colours"):
            ExtractionSpec.from_json(json.dumps({**json.loads(grey.to_json()), "colours": other}))


def test_all_verbs_see_a_photo_as_its_greyscale_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paint: Painter, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    paint(Path("data"), each=4)
    words = ["extract", "data", "--backbone", "mean-colour", "--image-size", "16", "--as", "grey", "--views", "1"]
    monkeypatch.setattr("sys.argv", ["featx", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    store = featx.open("artifacts/features/data-mean-colour.h5")
    assert store.spec.colours == "grey"
    copies = [copy_in_grey(Path("data") / path, Path("copies") / Path(path).parent) for path in store.paths]
    plain = featx.extract("copies", backbone="mean-colour", image_size=16)
    np.testing.assert_array_equal(store.features, plain.features)
    assert store.views is not None
    assert (store.views == store.views[..., :1]).all()
    np.testing.assert_array_equal(store.pixels(16), plain.pixels(16))
    rgb = [decode((Path("data") / path).read_bytes(), PixelRules(image_size=(9, 9))) for path in store.paths]
    np.testing.assert_array_equal(store.pixels(9, colours="rgb"), rgb)
    assert featx.verify(store.path, sample=4).ok

    model = featx.fit(store, clf="centroid")
    of_photos = featx.predict(model, [Path("data") / path for path in store.paths])
    of_copies = featx.predict(model, copies)
    np.testing.assert_array_equal(of_photos.probabilities, of_copies.probabilities)
    with pytest.raises(UsageError, match=r"featx.ImageLoader\(colours=\"grey\"\) makes"):
        featx.predict(model, [np.zeros((16, 16, 3))])  # type: ignore[list-item]
    monkeypatch.setattr("sys.argv", ["featx", "info", str(store.path)])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main()
    assert "colours  grey" in capsys.readouterr().out

    pixels = featx.ImageLoader(image_size=16, colours="grey").transform([str(Path("data") / store.paths[0])])
    np.testing.assert_array_equal(pixels[0], store.pixels(16)[0])
    with pytest.raises(SpecMismatch, match="colours"):
        featx.extract("data", backbone="mean-colour", image_size=16)
    with pytest.raises(UsageError, match="choose one of rgb, grey"):
        featx.extract("data", backbone="mean-colour", colours="green")
