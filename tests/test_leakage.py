"""Proposals against brute force; what small pictures call one image, on pictures whose truth is known."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from featx.leakage import (
    SIDE,
    WIDTH,
    Chosen,
    Leak,
    Leaks,
    Pictured,
    clumps,
    compare,
    copies,
    mirrored,
    nearest,
    reduced,
    same,
)
from featx.leakage.pictures import layouts


def brute(some: np.ndarray, others: np.ndarray, k: int, least: float, apart: tuple | None = None) -> list[list[int]]:
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (some, others))
        cosines = a @ b.T
    cosines[~(cosines >= least)] = -2
    if apart is not None:
        cosines[apart[0][:, None] == apart[1][None, :]] = -2
    return [[j for j in np.argsort(-row, kind="stable")[:k].tolist() if row[j] > -2] for row in cosines]


def by_row(pairs: np.ndarray, n: int) -> list[list[int]]:
    return [pairs[pairs[:, 0] == row, 1].tolist() for row in range(n)]


@pytest.mark.parametrize(("n", "m", "k"), [(1, 1, 3), (7, 3, 5), (40, 2500, 4), (300, 70, 70), (50, 5000, 1)])
@pytest.mark.parametrize("apart", [False, True])
def test_the_nearest_are_those_of_brute_force(n: int, m: int, k: int, apart: bool) -> None:
    rng = np.random.default_rng(n + m)
    some, others = (rng.normal(size=(rows, 12)).astype(np.float32) for rows in (n, m))
    labels = (rng.integers(0, 3, n), rng.integers(0, 3, m)) if apart else None
    pairs = nearest(some, others, k=k, least=0.1, apart=labels)
    assert by_row(pairs, n) == brute(some.astype(float), others.astype(float), k, 0.1, labels)


def test_chosen_rows_are_as_good_as_a_copy_of_them() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(4000, 8)).astype(np.float32)
    rows = rng.permutation(4000)[:2600]
    some = matrix[:20]
    found = nearest(some, Chosen(matrix, rows), k=3, least=0)
    assert np.array_equal(found, nearest(some, matrix[rows], k=3, least=0))


def test_rows_without_length_or_number_have_no_neighbour_and_spoil_none() -> None:
    matrix = np.eye(6, dtype=np.float32) + np.float32(0.5)
    clean = nearest(matrix, matrix, k=2, least=0.5)
    spoiled = np.concatenate([matrix, np.zeros((1, 6)), np.full((1, 6), np.nan), np.full((1, 6), np.inf)])
    assert np.array_equal(nearest(spoiled.astype(np.float32), spoiled.astype(np.float32), k=2, least=0.5), clean)


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_nothing_has_no_neighbours(n: int, m: int) -> None:
    assert nearest(np.ones((n, 4), np.float32), np.ones((m, 4), np.float32), k=2, least=0).shape == (0, 2)


def test_equal_features_give_k_pairs_for_each() -> None:
    same_rows = np.ones((3000, 4), np.float32)
    assert len(nearest(same_rows, same_rows, k=5, least=0.7)) == 15_000


def test_memory_is_bounded_by_blocks_not_by_rows() -> None:
    rows = np.random.default_rng(0).normal(size=(14_000, 16)).astype(np.float32)
    tracemalloc.start()
    nearest(rows, rows, k=3, least=0.7)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6  # all cosines at once are 784 MB


def photo(seed: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    """Blotches of colour in four sizes with a few shapes: structure everywhere, no two alike."""
    rng = np.random.default_rng(seed)
    width, height = size
    canvas = np.zeros((height, width, 3))
    for grid, strength in ((3, 60), (7, 40), (15, 25), (40, 15)):
        blotches = Image.fromarray(rng.integers(0, 256, (grid, grid, 3), dtype=np.uint8))
        canvas += strength * (np.asarray(blotches.resize(size, Image.Resampling.BICUBIC)) / 127.5 - 1)
    image = Image.fromarray(np.clip(128 + canvas, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        x, y = rng.integers(0, width - 40), rng.integers(0, height - 40)
        draw.ellipse((x, y, x + rng.integers(15, 60), y + rng.integers(15, 60)), fill=tuple(rng.integers(0, 256, 3)))
    return image


def small(*images: Image.Image) -> np.ndarray:
    pixels = [image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX) for image in images]
    return reduced(np.stack([np.asarray(one) for one in pixels]))


def through(image: Image.Image, quality: int) -> Image.Image:
    import io

    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def cropped(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop(
        (round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height))
    )


ALTERED = {
    "re-encoded": lambda image: through(image, 60),
    "re-encoded badly": lambda image: through(image, 30),
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "twice the size": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC),
    "a quarter of the size": lambda image: image.resize((image.width // 4, image.height // 4)),
    "cropped in the middle": lambda image: cropped(image, 0.04, 0.04, 0.04, 0.04),
    "cropped at a corner": lambda image: cropped(image, 0.08, 0.08, 0, 0),
    "cropped all around": lambda image: cropped(image, 0.08, 0.08, 0.08, 0.08),
    "cropped on one side": lambda image: cropped(image, 0, 0, 0.1, 0),
    "brighter": lambda image: image.point(lambda value: min(255, round(1.15 * value))),
    "grey": lambda image: image.convert("L"),
}
DIFFERENT = {
    "another colour": lambda image: Image.merge("RGB", [image.getchannel(band) for band in "BRG"]),
    "upside down": lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    "half of it": lambda image: cropped(image, 0.5, 0, 0, 0),
}
SEEDS = range(40)


@pytest.mark.parametrize("how", ALTERED)
def test_altered_copies_are_of_one_image(how: str) -> None:
    originals = [photo(seed) for seed in SEEDS]
    altered = [ALTERED[how](image) for image in originals]
    assert same(small(*originals), small(*altered)).mean() >= 0.95
    assert same(small(*altered), small(*originals)).mean() >= 0.95


@pytest.mark.parametrize("how", DIFFERENT)
def test_other_pictures_are_not(how: str) -> None:
    originals = [photo(seed) for seed in SEEDS]
    assert same(small(*originals), small(*(DIFFERENT[how](image) for image in originals))).sum() == 0


def test_a_mirrored_copy_is_one_once_mirrored_again() -> None:
    originals = [photo(seed) for seed in SEEDS]
    turned = small(*(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for image in originals))
    assert not same(small(*originals), turned).any()
    assert same(small(*originals), mirrored(turned)).all()


def framed(image: Image.Image) -> Image.Image:
    """In black bars, with a mark in the corner."""
    canvas = Image.new("RGB", (240, 240))
    canvas.paste(image, (0, 30))
    ImageDraw.Draw(canvas).rectangle((180, 180, 230, 205), fill="white", outline="red", width=4)
    return canvas


def on_one_background(seed: int) -> Image.Image:
    """A small thing that differs, before a scene that does not."""
    scene = photo(1000)
    scene.paste(photo(seed, (110, 90)), (60, 50))
    return scene


def plain(seed: int) -> Image.Image:
    """A wall in soft light."""
    ramp = np.linspace(110, 114 + seed % 3, 240)[None, :, None] + np.zeros((180, 1, 3))
    return Image.fromarray((ramp + np.random.default_rng(seed).normal(0, 2, ramp.shape)).astype(np.uint8))


def one_colour(seed: int) -> Image.Image:
    return Image.new("RGB", (240, 180), (seed % 4 * 60, 90, 200))


@pytest.mark.parametrize(
    "paint",
    [photo, lambda seed: framed(photo(seed)), on_one_background, plain, one_colour],
    ids=["photo", "framed", "on one background", "plain", "one colour"],
)
def test_different_pictures_are_never_one_image(paint: object) -> None:
    pictures = small(*(paint(seed) for seed in range(40)))  # type: ignore[operator]
    a, b = (side.ravel() for side in np.triu_indices(40, 1))
    assert same(pictures[a], pictures[b]).sum() == 0


def test_it_does_not_matter_which_comes_first_or_what_else_is_compared() -> None:
    originals = small(*(photo(seed) for seed in range(120)))
    altered = small(*(cropped(photo(seed % 60), 0.08, 0.02, 0, 0.03) for seed in range(120)))
    together = same(originals, altered)
    assert together[:60].all()
    assert not together[60:].any()
    assert np.array_equal(together, same(altered, originals))
    assert np.array_equal(together[7:9], same(originals[7:9], altered[7:9]))
    assert np.array_equal(together, same(originals[::-1], altered[::-1])[::-1])


def test_agreement_is_told_in_full() -> None:
    pictures = small(photo(0), photo(1), plain(2))
    found = compare(pictures, pictures)
    np.testing.assert_allclose(found.windows[:2], 1, atol=1e-4)
    np.testing.assert_allclose(found.colour, 1, atol=1e-4)
    assert (found.structured[:2] > 50).all()
    assert found.structured[2] == 0


@pytest.mark.parametrize("n", [0, 1])
def test_few_pictures_are_no_special_case(n: int) -> None:
    pictures = small(*(photo(seed) for seed in range(1)))[:n]
    assert pictures.shape == (n, WIDTH)
    assert same(pictures, pictures).tolist() == [True] * n
    assert layouts(pictures).shape[0] == len(mirrored(pictures)) == len(compare(pictures, pictures).windows) == n


def rows(images: list[Image.Image], labels: list[int] | None = None, **more: object) -> Pictured:
    """Features that tell nothing, so that the pictures do all."""
    n = len(images)
    features = np.random.default_rng(n).normal(size=(n, 16)).astype(np.float32)
    fields = {"features": features, "pictures": small(*images), "seen": np.ones(n, np.bool_)}
    return Pictured(**(fields | more), labels=None if labels is None else np.array(labels))  # type: ignore[arg-type]


def test_copies_are_found_whatever_the_features_say() -> None:
    train = [photo(seed) for seed in range(30)]
    test = [through(photo(100), 60), through(train[4], 60), train[9].resize((120, 90)), photo(101)]
    assert copies(rows(test), rows(train)).pairs.tolist() == [[1, 4], [2, 9]]


def test_features_propose_what_the_layout_does_not() -> None:
    train, test = [photo(seed) for seed in range(30)], [cropped(photo(12), 0.16, 0.16, 0, 0)]
    close = np.random.default_rng(0).normal(size=(30, 16)).astype(np.float32)
    found = copies(rows(test, features=close[12:13]), rows(train, features=close))
    assert found.pairs.tolist() == [[0, 12]]


def test_inside_a_list_only_pairs_across_labels_count_each_image_once() -> None:
    images = [photo(0), through(photo(0), 60), through(photo(0), 40), photo(1), through(photo(1), 60)]
    found = copies(rows(images, [0, 0, 1, 2, 2]))
    assert len(found.pairs) == 1
    assert set(found.pairs[0].tolist()) in ({0, 2}, {1, 2})


def test_a_clump_of_copies_gives_no_more_pairs_than_images() -> None:
    clump = [through(photo(0), 30 + seed) for seed in range(60)]
    assert len(copies(rows(clump, [seed % 2 for seed in range(60)])).pairs) <= 30
    assert len(copies(rows(clump), rows(clump)).pairs) == 60


def test_copies_of_copies_are_one_clump() -> None:
    first, second = photo(0), photo(1)
    images = [first, photo(2), through(first, 60), second, first.resize((120, 90)), through(second, 60), photo(3)]
    numbers = clumps(rows(images)).tolist()
    assert [numbers.index(number) for number in numbers] == [0, 1, 0, 3, 0, 3, 6]
    unseen = replace(rows(images), seen=np.array([True, True, False, True, True, True, True]))
    numbers = clumps(unseen).tolist()
    assert [numbers.index(number) for number in numbers] == [0, 1, 2, 3, 0, 3, 6]


def test_without_its_picture_a_proposal_stays_open() -> None:
    train, test = [photo(seed) for seed in range(5)], [photo(2)]
    close = np.eye(16, dtype=np.float32)[:5]
    blind = rows(train, features=close, seen=np.zeros(5, np.bool_))
    found = copies(rows(test, features=close[2:3]), blind)
    assert (len(found.pairs), found.undecided) == (0, 1)
    assert copies(rows(test, features=close[3:4]), rows(train, features=close)).undecided == 0


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 2), (2, 0), (1, 1)])
def test_searching_in_nothing_finds_nothing(n: int, m: int) -> None:
    some, others = rows([photo(0), photo(1)]), rows([photo(2), photo(3)])

    def cut(whole: Pictured, count: int) -> Pictured:
        return Pictured(
            features=whole.features[:count],
            pictures=whole.pictures[:count],
            seen=whole.seen[:count],
            labels=np.zeros(count, int),
        )

    assert copies(cut(some, n), cut(others, m)).pairs.shape == (0, 2)
    assert copies(cut(some, n)).pairs.shape == (0, 2)


def test_leaks_can_be_written_and_read() -> None:
    leaks = Leaks(
        pairs=(
            Leak(path="a.jpg", other="b.jpg", kind="near", where="train-test", labels=("x", "")),
            Leak(path="c.jpg", other="b.jpg", kind="exact", where="train-train", labels=("x", "y")),
        ),
        complete=False,
        notes=("one", "two"),
    )
    assert Leaks.from_dict(json.loads(json.dumps(leaks.to_dict()))) == leaks
    assert leaks.leaked(["c.jpg", "a.jpg"]).tolist() == [False, True]
    assert leaks.leaked([]).shape == (0,)
    for broken in ({"kind": "similar"}, {"where": "elsewhere"}, {"labels": ["x"]}):
        with pytest.raises(ValueError, match=r"kind|unpack"):
            Leak.from_dict(leaks.pairs[0].to_dict() | broken)
