"""The scattering network against the papers' formulas by FFT in float64, and what the theory promises of it."""

import json
import subprocess
import sys

import numpy as np
import pytest

from featx.backbones import Request, build, feature_shape, find, resolve
from featx.backbones.scattering import COLOURS, FLOOR, tensors
from featx.backbones.wavelets import FREQUENCY, WIDTHS, WINDOW
from featx.errors import UsageError
from featx.spec import ExtractionSpec

J, L, SIDE = 4, 8, 64


@pytest.fixture(autouse=True)
def homes(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))


# The formulas, at full resolution and with nothing left out: every convolution is a product of Fourier transforms of a
# plane that goes on beyond its borders as in a mirror.


def turned(x, y, angle):
    """Coordinates along a direction and across it; angles grow from the right to the bottom."""
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def spectra(height, width, scales, orientations):
    """Fourier transforms of the Morlet wavelets by (j, k), and of the low-pass centred on the cells."""
    y, x = ((np.arange(2 * n) + n) % (2 * n) - n for n in (height, width))
    y, x = y[:, None], x[None, :]
    wavelets = {}
    for j in range(scales):
        (along, across), frequency = (2**j * one for one in WIDTHS), FREQUENCY / 2**j
        for k in range(orientations):
            gaussian = wave = 0
            for a in (-2 * height, 0, 2 * height):
                for b in (-2 * width, 0, 2 * width):
                    u, v = turned(x + b, y + a, np.pi * k / orientations)
                    one = np.exp(-((u / along) ** 2 + (v / across) ** 2) / 2) / (2 * np.pi * along * across)
                    gaussian, wave = gaussian + one, wave + one * np.exp(1j * frequency * u)
            morlet = wave - gaussian * wave.sum() / gaussian.sum()
            wavelets[j, k] = np.fft.fft2(2 / np.sqrt(orientations) * morlet)
    wy, wx = (2 * np.pi * np.fft.fftfreq(2 * n) for n in (height, width))
    wy, wx = wy[:, None], wx[None, :]
    centre = (2**scales - 1) / 2
    window = np.exp(-((WINDOW * 2**scales) ** 2) * (wy**2 + wx**2) / 2 + 1j * centre * (wy + wx))
    return wavelets, window


def reference(planes, scales=J, orientations=L):
    """Orders 0, 1 and 2 of planes (c, H, W): two arrays (paths, c, H / 2^J, W / 2^J), averages and maxima of moduli."""
    height, width = planes.shape[1:]
    wavelets, window = spectra(height, width, scales, orientations)
    cells, peaks = [], []

    def transform(plane):
        return np.fft.fft2(np.pad(plane, ((0, 0), (0, height), (0, width)), mode="symmetric"))

    def modulus(spectrum, j, k):
        return np.abs(np.fft.ifft2(spectrum * wavelets[j, k]))[:, :height, :width]

    def keep(plane):
        averages = np.fft.ifft2(transform(plane) * window).real
        cells.append(averages[:, : height : 2**scales, : width : 2**scales])
        peaks.append(plane.max((1, 2)))

    keep(planes)
    image = transform(planes)
    first = {(j, k): modulus(image, j, k) for j in range(scales) for k in range(orientations)}
    for plane in first.values():
        keep(plane)
    for j in range(scales):
        seconds = {k: transform(first[j, k]) for k in range(orientations)}
        for j2 in range(j + 1, scales):
            for k in range(orientations):
                for k2 in range(orientations):
                    keep(modulus(seconds[k], j2, k2))
    return np.stack(cells), np.stack(peaks)


def colours(images):
    """(H, W, 3) in 0 to 1 -> planes (3, H, W)."""
    return np.moveaxis(images @ COLOURS.T, -1, 0)


def scattered(images, name="scattering"):
    """What the network takes the logarithm of, (b, paths, 3, cells, cells), of images (b, H, W, 3) in 0 to 1."""
    from featx.backbones.build import network

    built = network(find(name), layer=None, pooling="none", image_size=images.shape[1:3])
    maps = np.exp(np.asarray(built.cut(images.astype(np.float32)), dtype=np.float64)) - FLOOR
    maps = np.moveaxis(maps.reshape(*maps.shape[:3], 3, -1), (4, 3), (1, 2))
    maps[:, 0] -= np.array([0, 0.5, 0.5])[:, None, None]
    return maps


def photo(side=SIDE, seed=0):
    """Edges, textures and colours: (side, side, 3) in 0 to 1, with the spectrum of photographs."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :])
    noise = np.fft.fft2(rng.normal(size=(3, side, side))) / (frequency + 1 / side)
    smooth = np.moveaxis(np.fft.ifft2(noise).real, 0, -1)
    smooth = smooth / np.abs(smooth).max() / 2 + 0.5
    y, x = np.mgrid[:side, :side]
    smooth[(x > side / 3) & (y > x / 2 + side / 5)] *= 0.4
    return smooth


def noise(side=SIDE, seed=0):
    return np.random.default_rng(seed).uniform(size=(side, side, 3))


# Without Keras.


def test_every_wavelet_has_zero_sum():
    finest, direct, smoothed, *low_passes = tensors((SIDE, SIDE), J, L)[1:]
    for kernel in (finest, direct, smoothed):
        assert np.abs(kernel.sum((0, 1))).max() < 1e-6
        assert np.abs(kernel).sum() > 1
    for matrix in low_passes:
        longest = int(np.argmax(matrix.shape))
        np.testing.assert_allclose(matrix.sum(longest), 1, atol=1e-5)


@pytest.mark.parametrize(("orientations", "least"), [(4, 0.13), (6, 0.2), (8, 0.22), (12, 0.22), (16, 0.22)])
def test_the_littlewood_paley_sum_is_bounded(orientations, least):
    # Sum over the filters of |psi^(w)|^2 and |psi^(-w)|^2, halved since images are real, and |phi^(w)|^2. At most 1: no
    # order holds more energy than the image. Away from 0 up to the highest frequency of rows and columns: nothing there
    # is lost. (In the corners beyond, up to pi * sqrt(2), it falls further.)
    wavelets, window = spectra(64, 64, J, orientations)
    powers = sum(np.abs(wavelet) ** 2 for wavelet in wavelets.values())
    total = np.abs(window) ** 2 + (powers + np.roll(powers[::-1, ::-1], 1, (0, 1))) / 2
    radius = 2 * np.pi * np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)[None, :])
    assert total.max() <= 1 + 1e-9
    assert total.min() >= 0.025
    assert total[radius <= np.pi].min() >= least


@pytest.mark.parametrize(
    ("spelling", "name", "width"),
    [
        ("Scattering", "scattering", 1251),
        ("scattering_J4_L8", "scattering", 1251),
        ("scattering-j3-l6", "scattering-j3-l6", 381),
        ("SCATTERING-L6", "scattering-j4-l6", 723),
        ("scattering-j1", "scattering-j1-l8", 27),
    ],
)
def test_scales_and_orientations_are_part_of_the_name(spelling, name, width):
    entry = find(spelling)
    assert (entry.name, entry.width) == (name, width)
    assert find(entry.name) == entry
    spec, source = resolve(Request(backbone=spelling))
    assert feature_shape(spec, source) == (width,)
    assert spec.backbone == name
    assert ExtractionSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"backbone": "scattering-j9"}, ["scattering-j9", "j1 to j6"]),
        ({"backbone": "scattering-l3"}, ["scattering-l3", "l4 to l16"]),
        ({"image_size": 100}, ["`image_size=100x100`", "multiples of 16"]),
        ({"image_size": (128, 16)}, ["`image_size=128x16`", "at least 32"]),
        ({"layer": "scattering"}, ["`layer=scattering`", "formula"]),
        ({"weights": "mine.h5"}, ["`weights=mine.h5`", "formula"]),
    ],
)
def test_what_makes_no_sense_is_refused(fields, words):
    with pytest.raises(UsageError) as caught:
        resolve(Request(**{"backbone": "scattering", **fields}))
    assert all(word in str(caught.value) for word in words)


def test_it_is_known_by_its_filters_and_is_not_untrained():
    specs = [
        resolve(Request(backbone=name, image_size=size))[0]
        for name, size in (("scattering", 128), ("scattering", 64), ("scattering-j3", 128), ("scattering-l6", 128))
    ]
    assert len({spec.weights for spec in specs}) == len(specs)
    again, source = resolve(Request(backbone="scattering", image_size=128, weights="fixed"))
    assert again == specs[0]
    assert (source.kind, source.recorded) == ("fixed", "fixed")


# The network.


@pytest.mark.keras
@pytest.mark.parametrize("image", [photo, noise])
@pytest.mark.parametrize("name", ["scattering", "scattering-j3-l6"])
def test_features_are_those_of_the_formulas(name, image):
    # Exact but for what a grid of step 2^j can't hold of a modulus at scale j, and kernels cut at 1e-3 of their peak.
    scales, orientations = find(name).arguments["scales"], find(name).arguments["orientations"]
    pixels = image()
    wanted, _ = reference(colours(pixels), scales, orientations)
    found = scattered(pixels[None], name)[0]
    last = scales * orientations + 1
    exact, first, second = slice(1, orientations + 1), slice(1, last), slice(last, None)
    for paths, bound in ((slice(0, 1), 1e-6), (exact, 1e-4), (first, 0.02), (second, 0.02)):
        difference = np.linalg.norm(found[paths] - wanted[paths]) / np.linalg.norm(wanted[paths])
        assert difference < bound, paths
    shifts = np.array([0, 0.5, 0.5])[:, None, None] * (np.arange(len(wanted)) == 0)[:, None, None, None]
    logs = [np.log(one + shifts + FLOOR).mean((2, 3)) for one in (found, wanted)]
    assert np.linalg.norm(logs[0] - logs[1]) / np.linalg.norm(logs[1]) < 1e-3


@pytest.mark.keras
def test_a_translation_changes_little():
    # The low-pass of width s moves with the image: a cell changes by at most |c| / s * sqrt(2 / pi) of the largest
    # modulus. And the mean over the cells feels but the aliases of the low-pass, the 4 nearest of which are at
    # exp(-(2 pi 0.7)^2 / 2) = 6.3e-5, in the one image as in the other.
    scales, side = 3, 128
    name, window = f"scattering-j{scales}", WINDOW * 2**scales
    y, x = np.mgrid[:side, :side]

    def blobs(shift):
        at = [(60, 58, 3, 0.9), (66, 67, 2, 0.5), (62, 70, 5, 0.3)]
        plane = sum(h * np.exp(-((y - a) ** 2 + (x - b - shift) ** 2) / (2 * s * s)) for a, b, s, h in at)
        return np.stack([plane, plane * 0.6, plane * 0.2], -1)

    shifts = (0, 1, 2, 4, 7)
    cells = scattered(np.stack([blobs(shift) for shift in shifts]), name)
    _, peaks = reference(colours(blobs(0)), scales, L)
    means = cells.mean((3, 4))
    for shift, one, mean in zip(shifts[1:], cells[1:], means[1:], strict=True):
        bound = shift / window * np.sqrt(2 / np.pi)
        change = np.abs(one - cells[0]).max((2, 3))
        assert (change <= bound * peaks * 1.02 + 1e-6).all()
        weight = means[0] > 1e-4  # where there is anything to compare
        assert (np.abs(mean - means[0])[weight] / means[0][weight]).max() < 2 * 4 * 6.3e-5 + 0.02
        assert np.linalg.norm(mean - means[0]) / np.linalg.norm(means[0]) < 2 * 4 * 6.3e-5 + 1e-3


@pytest.mark.keras
def test_a_rotation_permutes_the_orientations():
    # The wavelets of angle k + 1 see in the turned image what those of k saw.
    side = 128
    y, x = (places - (side - 1) / 2 for places in np.mgrid[:side, :side].astype(float))

    def waves(angle):
        u, v = turned(x, y, angle)
        plane = 0.3 * np.exp(-(u**2 + v**2) / 450) * (1 + np.cos(0.9 * u + 0.3 * v) + np.cos(0.4 * v) * np.cos(0.2 * u))
        return np.stack([plane] * 3, -1)

    before, after = scattered(np.stack([waves(0), waves(np.pi / L)]))[:, :, 0].mean((2, 3))
    first, second = slice(1, 1 + J * L), slice(1 + J * L, None)
    expected = np.concatenate(
        [
            before[:1],
            np.roll(before[first].reshape(J, L), 1, 1).ravel(),
            np.roll(before[second].reshape(-1, L, L), (1, 1), (1, 2)).ravel(),
        ]
    )
    assert np.linalg.norm(after - expected) / np.linalg.norm(expected) < 5e-3
    assert np.linalg.norm(after - before) / np.linalg.norm(before) > 0.1


@pytest.mark.keras
def test_a_quarter_turn_and_a_mirror_are_exact():
    pixels = photo()
    images = np.stack([pixels, np.rot90(pixels, -1), pixels[:, ::-1]])  # clockwise: angles grow towards the bottom
    found, quarter, mirrored = scattered(images)

    def permuted(cells, order):
        first, second = cells[1 : 1 + J * L], cells[1 + J * L :]
        first = first.reshape(J, L, *cells.shape[1:])[:, order]
        second = second.reshape(-1, L, L, *cells.shape[1:])[:, order][:, :, order]
        return np.concatenate([cells[:1], first.reshape(-1, *cells.shape[1:]), second.reshape(-1, *cells.shape[1:])])

    angles = np.arange(L)
    wanted = permuted(np.rot90(found, -1, (2, 3)), (angles - L // 2) % L)
    assert np.linalg.norm(quarter - wanted) / np.linalg.norm(wanted) < 1e-5
    wanted = permuted(found[..., ::-1], -angles % L)
    assert np.linalg.norm(mirrored - wanted) / np.linalg.norm(wanted) < 1e-5


@pytest.mark.keras
def test_twice_the_contrast_is_a_constant_in_the_logarithms():
    # Up to the floor: log(2 s + e) = log(s + e) + log 2 - log(1 + e / (2 s + e)).
    pixels = np.round(noise())
    half, whole = scattered(np.stack([pixels / 2, pixels]))[:, 1:]
    difference = np.log(whole + FLOOR) - np.log(half + FLOOR)
    expected = np.log(2) - np.log1p(FLOOR / (2 * half + FLOOR))
    np.testing.assert_allclose(difference, expected, atol=1e-3)
    clear = half > 10 * FLOOR
    assert clear.mean() > 0.03
    np.testing.assert_allclose(difference[clear], np.log(2), atol=np.log1p(1 / 21) + 1e-3)


@pytest.mark.keras
def test_grey_images_have_no_colour():
    grey = np.repeat(photo()[None, :, :, :1], 3, -1)
    assert np.abs(scattered(grey)[:, :, 1:]).max() < 1e-6


@pytest.mark.keras
@pytest.mark.parametrize(("pooling", "width"), [("avg", 1251), ("max", 1251), ("none", 4 * 4 * 1251)])
def test_runtimes_agree_for_every_batch(pooling, width):
    from featx.runtimes import RuntimeOptions, runtime

    images = np.round(np.stack([photo(seed=1), noise(seed=2), photo(seed=3)]) * 255).astype(np.uint8)
    spec, source = resolve(Request(backbone="scattering", image_size=SIDE, pooling=pooling))
    model, shape = build(spec, source)
    assert shape == feature_shape(spec, source)
    wanted = np.asarray(model.predict_on_batch(images))
    assert wanted.shape == (3, width)
    assert not model.trainable_weights
    for name in ("keras", "openvino"):
        one = runtime(spec, source, RuntimeOptions(runtime=name, batch_size=2))
        found = one(images).copy()
        alone = one(images[1:2]).copy()
        one.close()
        error = np.linalg.norm(found - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
        assert error.max() <= 1e-5, name
        np.testing.assert_allclose(alone[0], found[1], rtol=0, atol=1e-4)


def test_resolving_it_loads_no_keras():
    code = (
        "import sys\nfrom featx.backbones import Request, feature_shape, resolve\n"
        "spec, source = resolve(Request(backbone='scattering', image_size=32))\n"
        "print(spec.weights, feature_shape(spec, source), 'keras' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    digest = resolve(Request(backbone="scattering", image_size=32))[0].weights
    assert run.stdout.strip() == f"{digest} (1251,) False"


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_small_run_of_the_benchmark(run_benchmark):
    options = ["--sets", "digits", "--backbones", "scattering-j3", "--limit", "200", "--seconds", "0", "--json"]
    digits, alone = json.loads(run_benchmark("scattering.py", *options))
    assert (digits["images"], digits["width"]) == (200, 4 * 4 * 651)
    assert digits["accuracy"] > 0.8
    assert min(digits["images_per_second"], alone["alone_images_per_second"]) > 0
