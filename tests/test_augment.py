"""The recipe of views (``docs/pixels.md``): held against a plain re-computation, and against its own promises."""

import dataclasses
import hashlib
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featx.errors import UsageError
from featx.images import decode
from featx.images.augment import LONGEST_SIDE, decode_with_views_into, draw, view_into
from featx.spec import MOST_VIEWS, RESIZES, ExtractionSpec, PixelRules, ViewsSpec

Pixels = NDArray[np.uint8]
SIZE = (24, 32)
VIEWS = ViewsSpec(count=3, seed=5)


def smooth(height: int = 60, width: int = 90) -> Pixels:
    """Waves of colour, symmetric in nothing and steep nowhere."""
    y, x = np.mgrid[:height, :width] / 12
    return np.stack([120 + 90 * np.sin(x + 0.3 * y), 128 + 80 * np.cos(0.7 * y), 90 + 60 * np.sin(x - y)], -1).astype(
        np.uint8
    )


def png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def made(data: bytes, rules: PixelRules, views: ViewsSpec) -> Pixels:
    out = np.empty((1 + views.count, *rules.image_size, 3), np.uint8)
    decode_with_views_into(data, rules, out, views=views, digest=hashlib.sha256(data).digest())
    return out


def plainly(pixels: Pixels, rules: PixelRules, views: ViewsSpec, *, digest: bytes, number: int) -> NDArray[np.float64]:
    """View as the page says it, pixel by pixel in float64."""
    words = hashlib.sha256(f"featx view 1 {views.seed} {number} ".encode() + digest).digest()
    u = np.frombuffer(words, ">u4") / 2**32
    angle, zoom = np.radians(15) * (2 * u[0] - 1), 1 + 0.2 * (2 * u[1] - 1)
    brightness, contrast, saturation = 1 + 0.2 * (2 * u[5:] - 1)
    (h, w), (height, width) = pixels.shape[:2], rules.image_size
    j = np.arange(width) + 0.5 - width / 2 - 0.1 * (2 * u[2] - 1) * width
    i = (np.arange(height) + 0.5 - height / 2 - 0.1 * (2 * u[3] - 1) * height)[:, None]
    x = (np.cos(angle) * j + np.sin(angle) * i) / zoom
    y = (np.cos(angle) * i - np.sin(angle) * j) / zoom
    if views.flip and u[4] < 0.5:
        x = -x
    x, y = x + width / 2, y + height / 2
    if rules.resize == "crop":
        window = h, min(w, h * width // height)
        x, y = x * window[1] / width + (w - window[1]) // 2, y * window[0] / height
    elif rules.resize == "pad":
        inner = round(h * width / w), width
        x, y = x * w / inner[1], (y - (height - inner[0]) // 2) * h / inner[0]
    else:
        x, y = x * w / width, y * h / height
    x, y = x - 0.5, y - 0.5
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    warped = np.zeros((height, width, 3))
    black = rules.resize == "pad"
    mirrored = [np.pad(np.arange(n), n, "symmetric") for n in (h, w)]
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (1 - abs(y - top - dy)) * (1 - abs(x - left - dx))
        at = mirrored[0][top + dy + h], mirrored[1][left + dx + w]
        inside = (top + dy >= 0) & (top + dy < h) & (left + dx >= 0) & (left + dx < w)
        warped += (weight * (inside if black else 1))[..., None] * pixels[at]
    grey = warped @ [0.299, 0.587, 0.114]
    bright, mean = brightness * warped, brightness * grey.mean()
    contrasted = contrast * bright + (1 - contrast) * mean
    return np.clip(saturation * contrasted + (1 - saturation) * (contrasted @ [0.299, 0.587, 0.114])[..., None], 0, 255)


@pytest.mark.parametrize("resize", RESIZES)
def test_views_are_what_the_page_says(resize: str) -> None:
    pixels, rules = smooth(), PixelRules(image_size=SIZE, resize=resize)
    data = png(pixels)
    views = made(data, rules, VIEWS)
    for number in range(VIEWS.count):
        expected = plainly(pixels, rules, VIEWS, digest=hashlib.sha256(data).digest(), number=number)
        # Positions are rounded to 1/32 pixel: at the picture's steepest, and at the edge to black, that is more.
        off = np.abs(views[1 + number] - expected)
        assert np.mean(off) < 1.5
        assert np.quantile(off, 0.97) < 4


def test_the_picture_itself_is_the_same_beside_views() -> None:
    """Features must not depend on whether views are made."""
    for interpolation in ("bilinear", "area", "lanczos"):
        rules, data = PixelRules(image_size=SIZE, interpolation=interpolation), png(smooth())
        assert np.array_equal(made(data, rules, VIEWS)[0], decode(data, rules))
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(smooth()).save(turned, "JPEG", exif=exif, quality=95)
    rules = PixelRules(image_size=SIZE)
    assert np.array_equal(made(turned.getvalue(), rules, VIEWS)[0], decode(turned.getvalue(), rules))


def test_a_view_depends_on_seed_digest_and_number_alone() -> None:
    data, rules = png(smooth()), PixelRules(image_size=SIZE)
    few, many = made(data, rules, VIEWS), made(data, rules, dataclasses.replace(VIEWS, count=5))
    assert np.array_equal(few, many[:4])  # more views don't change the first
    assert len({view.tobytes() for view in many}) == 6  # each is another one
    other = made(data, rules, dataclasses.replace(VIEWS, seed=6))
    assert not any(np.array_equal(one, two) for one, two in zip(few[1:], other[1:], strict=True))
    alone = np.empty((*SIZE, 3), np.uint8)
    view_into(smooth(), rules, VIEWS, alone, digest=hashlib.sha256(data).digest(), number=2)
    assert np.array_equal(alone, few[3])


def test_the_random_numbers_are_spread_over_their_ranges() -> None:
    drawn = np.array(
        [
            draw(VIEWS, digest=hashlib.sha256(bytes([image])).digest(), number=k)
            for image in range(200)
            for k in range(8)
        ]
    )
    angle, zoom, shift_x, shift_y, flip, *colours = drawn.T
    ranges = [(angle, np.radians(15), 0), (zoom, 0.2, 1), (shift_x, 0.1, 0), (shift_y, 0.1, 0)]
    for values, most, centre in ranges + [(one, 0.2, 1) for one in colours]:
        assert np.abs(values - centre).max() <= most
        assert np.allclose(np.quantile(values - centre, [0.25, 0.5, 0.75]), [-most / 2, 0, most / 2], atol=0.08 * most)
    assert 0.45 < flip.mean() < 0.55
    assert np.abs(np.corrcoef(drawn.T) - np.eye(8)).max() < 0.1


def test_without_flip_no_view_is_mirrored() -> None:
    """A view without flip is the same view, only not mirrored: signs and digits don't mirror."""
    data, rules = png(smooth()), PixelRules(image_size=SIZE)
    digest = hashlib.sha256(data).digest()
    straight = dataclasses.replace(VIEWS, flip=False, count=8)
    flipped = dataclasses.replace(VIEWS, count=8)
    assert not any(draw(straight, digest=digest, number=k).flip for k in range(8))
    assert any(draw(flipped, digest=digest, number=k).flip for k in range(8))
    for k, (one, two) in enumerate(zip(made(data, rules, straight)[1:], made(data, rules, flipped)[1:], strict=True)):
        assert np.array_equal(one, two) is not draw(flipped, digest=digest, number=k).flip


def test_very_long_pictures_have_views_too() -> None:
    """The warp counts positions in 16 bits, which an original of 40,000 pixels would overflow."""
    long = np.broadcast_to(np.arange(256, dtype=np.uint8).repeat(160)[None, :, None], (4, 40_960, 3))
    assert long.shape[1] > LONGEST_SIDE
    views = made(png(np.ascontiguousarray(long)), PixelRules(image_size=SIZE), ViewsSpec(count=8, flip=False))
    brightest = views[1:].max(axis=(1, 2, 3))
    assert (brightest > 150).all()
    assert all(np.diff(view.mean(axis=(0, 2)))[4:-4].mean() > 0 for view in views[1:])  # still dark left, bright right


def test_the_spec_of_views_is_read_back_and_has_a_fingerprint_of_its_own() -> None:
    assert ViewsSpec.from_json(VIEWS.to_json()) == VIEWS
    assert VIEWS.to_json() == '{"count":3,"flip":true,"seed":5,"version":1}'
    changed = [
        dataclasses.replace(VIEWS, **one) for one in ({"count": 4}, {"seed": 1}, {"flip": False}, {"version": 2})
    ]
    assert len({VIEWS.fingerprint, *(one.fingerprint for one in changed)}) == 5
    assert VIEWS.differences(changed[2]) == {"flip": (True, False)}
    for strange in ("[]", "{}", VIEWS.to_json().replace("3", "0"), VIEWS.to_json().replace("true", "1")):
        with pytest.raises(ValueError, match="views"):
            ViewsSpec.from_json(strange)


def test_the_fingerprint_of_features_knows_nothing_of_views() -> None:
    """Stores of earlier versions stay valid: their fingerprint is written down here."""
    spec = ExtractionSpec(backbone="mean-colour", weights="none", image_size=(8, 8), preprocessing="none")
    assert spec.fingerprint == "40ac2049ddf33d076e8ac05c2299940485072e3685c26ea6dea8027f596093d1"
    assert "view" not in spec.to_json()


def test_numbers_of_views_that_cant_be_are_refused() -> None:
    for count in (0, -1, MOST_VIEWS + 1):
        with pytest.raises(UsageError, match=f"1 to {MOST_VIEWS} views"):
            ViewsSpec(count=count)
    with pytest.raises(UsageError, match="seed"):
        ViewsSpec(count=1, seed=-1)


def test_views_of_another_version_are_refused() -> None:
    later = dataclasses.replace(VIEWS, version=2)
    with pytest.raises(UsageError, match="version 2"):
        made(png(smooth()), PixelRules(image_size=SIZE), later)
