"""The page: what it holds, and how it behaves in a browser."""

import csv
import dataclasses
import io
import itertools
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featx.cli.show.scoring import reports
from featx.errors import ImageError, UsageError
from featx.images import thumbnail
from featx.leakage import Leak
from featx.pipeline.evaluation.image_list import write_list
from featx.pipeline.evaluation.thumbnails import Thumbnailer
from featx.reports import Report
from featx.reports.images import Images
from featx.reports.page import content, positions, render, wanted, wanted_training
from featx.statistics import evaluate
from featx.statistics.label_errors import LabelError
from featx.statistics.reliability import reliability

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\">",
    "</script><script>document.title='owned'</script>",
    "quote \" ' & <b>bold</b> $title",
    "\u202eright-to-left עברית",
    "lone \udcff surrogate 🙂",
    "__proto__",
)


def made(
    classes: tuple[str, ...] = HOSTILE, *, each: int = 6, probable: bool = True, root: str = "", **fields: Any
) -> Report:
    """A report of images of which every third is classified as the next class, and the rest rightly."""
    k = len(classes)
    labels = np.repeat(np.arange(k), each)
    predicted = np.where(np.arange(len(labels)) % 3 == 0, (labels + 1) % k, labels)
    sure = np.linspace(0.5, 0.99, len(labels))
    probabilities = np.repeat(((1 - sure) / (k - 1))[:, None], k, axis=1)
    probabilities[np.arange(len(labels)), predicted] = sure
    paths = tuple(f'{label}/{index:03} <i>&".png' for index, label in enumerate(labels))
    confidence = sure if probable else None
    given: dict[str, Any] = {
        "model": "test-<u>model</u>",
        "scored_on": f"data/test ({len(labels)} images)",
        "backbone": "mean-colour",
        "clf": "svm",
        "params": {"C": 0.01, "kernel": "linear"},
        "classes": classes,
        "metrics": evaluate(labels, predicted, classes=classes, probabilities=probabilities if probable else None),
        "spec": json.dumps({"backbone": "mean-colour", "image_size": [8, 8]}),
        "fingerprint": "0123abcd",
        "root": root,
        "images": Images(
            paths=paths, digests=("",) * len(labels), labels=labels, predicted=predicted, confidence=confidence
        ),
        "reliability": reliability(sure, labels == predicted) if probable else None,
    }
    return Report(**given | fields)


def everything(root: str = "") -> Report:
    """A report with something for every section."""
    report = made(root=root)
    assert report.images is not None
    paths, classes = report.images.paths, report.classes
    return dataclasses.replace(
        report,
        leaks=(
            Leak(path=paths[1], other=paths[2], kind="near", where="train-test", labels=classes[:2]),
            Leak(path=paths[4], other="", kind="exact", where="train-test", labels=(classes[0], "")),
            Leak(path=paths[5], other=paths[6], kind="exact", where="train-train", labels=classes[:2]),
        ),
        without_leaks=report.metrics,
        label_errors=(LabelError(path=paths[3], label=classes[0], predicted=classes[1], confidence=0.93),),
        notes=("the model was fitted on 2 of the images: the figures are too high",),
        failures=(("0/broken <.png", "truncated"),),
        command="featx score --open 'data/<test>'",
        versions={"featx": "1", "numpy": "2"},
        untrained=True,
    )


def test_the_terminal_names_an_image_once(capsys: pytest.CaptureFixture[str]) -> None:
    """One that is there under two labels is likely labelled wrong too."""
    report = everything()
    twice = LabelError(path=report.leaks[2].path, label="a", predicted="b", confidence=0.9)
    reports([dataclasses.replace(report, label_errors=(twice, *report.label_errors))])
    told = capsys.readouterr().err
    for path in (twice.path, report.label_errors[0].path):
        assert told.count(path) == 1


def test_the_terminal_says_which_of_two_copies_is_in_training(capsys: pytest.CaptureFixture[str]) -> None:
    """Each path is below its own folder, so that an image and its copy may have the same."""
    report = made(("a", "b"))
    assert report.images is not None
    path, other, *_ = report.images.paths
    for there, told in ((path, "the same name in training"), (other, f"{other} in training")):
        leak = Leak(path=path, other=there, kind="exact", where="train-test", labels=("a", "a"))
        reports([dataclasses.replace(report, leaks=(leak,))])
        assert f"{path} = {told}, the same file" in " ".join(capsys.readouterr().err.split())


def test_a_doubt_about_several_models_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = evaluate([0, 1], [0, 0], classes=("a", "b"))
    reports([made(("a", "b"), images=None, metrics=metrics, model=name) for name in ("ant", "bee", "cat")])
    told = " ".join(capsys.readouterr().err.split())
    assert "ant, bee, cat: this is no better than always answering 'a'" in told
    assert told.count("no better than") == 1


def digests_of(folder: Path, paths: Iterable[str]) -> dict[str, bytes]:
    return {path: sha256((folder / path).read_bytes()).digest() for path in paths if (folder / path).is_file()}


def painted(root: Path, paths: tuple[str, ...]) -> None:
    for index, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40), (index * 7 % 256, 90, 160)).save(root / path)


def scattered(n: int) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


# ---- thumbnails


def photo(size: tuple[int, int], kind: str = "JPEG", **options: Any) -> bytes:
    """Left half red, right half blue."""
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2, 0, *size))
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1600, 1200), (160, 120)), ((90, 300), (48, 160)), ((40, 30), (40, 30)), ((3000, 4), (160, 1))],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_thumbnail_is_the_whole_picture_made_small(
    size: tuple[int, int], expected: tuple[int, int], kind: str
) -> None:
    with Image.open(io.BytesIO(thumbnail(photo(size, kind), side=160))) as small:
        assert (small.format, small.size) == ("JPEG", expected)
        left, right = small.getpixel((1, 0)), small.getpixel((small.width - 2, 0))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    assert left[0] > 200 > 60 > left[2]
    assert right[2] > 200 > 60 > right[0]


def test_a_thumbnail_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: left becomes top
    for size in ((1600, 1200), (160, 120)):  # decoded at a fraction of its size, and not
        with Image.open(io.BytesIO(thumbnail(photo(size, exif=exif), side=80))) as small:
            top = small.getpixel((30, 4))
            assert small.size == (60, 80)
            assert isinstance(top, tuple)
            assert top[0] > 200


def test_a_thumbnail_of_what_is_no_picture_is_refused() -> None:
    for data in (b"", b"no picture", photo((1600, 1200))[:-200]):
        with pytest.raises(ImageError):
            thumbnail(data, side=80)
    with pytest.raises(ImageError, match="pixels"):
        thumbnail(photo((1600, 1200)), side=80, max_pixels=1000)


def test_thumbnails_spend_their_budget_on_the_first_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = tuple(f"{index}.png" for index in range(12))
    painted(tmp_path, paths)
    (tmp_path / paths[2]).write_bytes(b"no picture")
    (tmp_path / paths[4]).unlink()
    os.mkfifo(tmp_path / "pipe")
    wants = [paths[3], "pipe", *paths, paths[3], "nul\0"]
    digests = digests_of(tmp_path, paths)
    with Thumbnailer() as maker:
        every = maker.thumbnails(tmp_path, wants, digests=digests)
    assert list(every) == [paths[3], *(path for path in paths if path not in {paths[2], paths[3], paths[4]})]
    sizes = np.cumsum([len(data) for data in every.values()])
    monkeypatch.chdir(tmp_path)
    with Thumbnailer() as maker:
        some = maker.thumbnails(tmp_path, wants, digests=digests, budget_bytes=int(sizes[4]))
        assert list(some.items()) == list(every.items())[:5]
        assert maker.thumbnails(tmp_path / "gone", wants, digests=digests) == {}
        assert list(maker.thumbnails(".", paths[:1], digests=digests)) == [paths[0]]
        assert maker.thumbnails("", paths[:1], digests=digests) == {}


def test_an_image_that_is_another_one_now_has_no_thumbnail(tmp_path: Path) -> None:
    paths = ("a.png", "b.png")
    painted(tmp_path, paths)
    digests = digests_of(tmp_path, paths)
    (tmp_path / "a.png").write_bytes(photo((64, 48)))
    with Thumbnailer() as maker:
        assert list(maker.thumbnails(tmp_path, paths, digests=digests)) == ["b.png"]
        assert maker.thumbnails(tmp_path, paths, digests={}) == {}


# ---- the map


def test_the_map_keeps_neighbours_together_and_is_the_same_again() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], 20)
    X = (rng.normal(size=(60, 30)) + 12 * rng.normal(size=(3, 30))[group]).astype(np.float32)
    found = positions(X)
    assert found.shape == (60, 2)
    assert found.dtype == np.float32
    assert np.abs(found).max() == pytest.approx(1)
    np.testing.assert_array_equal(found, positions(X))
    distances = np.linalg.norm(found[:, None] - found[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert (group[distances.argmin(axis=1)] == group).all()


@pytest.mark.parametrize(("n", "d"), [(0, 3), (1, 3), (2, 1), (5, 4), (15, 1), (15, 2)])
@pytest.mark.parametrize("same", [True, False])
def test_the_map_of_little_is_finite(n: int, d: int, same: bool) -> None:
    X = np.full((n, d), 3.0) if same else np.random.default_rng(0).normal(size=(n, d))
    found = positions(X)
    assert found.shape == (n, 2)
    assert np.isfinite(found).all()


def test_the_map_of_much_is_of_a_sample() -> None:
    X = np.random.default_rng(0).normal(size=(50, 5))
    on = np.isfinite(positions(X, most=20)).all(axis=1)
    assert on.sum() == 20
    assert (on != np.isfinite(positions(X, most=20, seed=1)).all(axis=1)).any()


# ---- what a page wants and holds


def test_a_page_wants_the_surest_mistakes_first_then_every_cell() -> None:
    report = dataclasses.replace(made(("a", "b", "c"), each=200))
    images = report.images
    assert images is not None
    assert images.confidence is not None
    wants = wanted(report)
    assert len(set(wants)) == len(wants) == len(images)
    row = {path: index for index, path in enumerate(images.paths)}
    order = np.array([row[path] for path in wants])
    wrong = np.flatnonzero(~images.right)
    assert order[:48].tolist() == wrong[np.argsort(-images.confidence[wrong])][:48].tolist()
    cells = images.labels * 3 + images.predicted
    assert set(cells[order[:54]]) == set(cells)


def test_a_page_wants_leaked_images_from_both_folders() -> None:
    report = everything()
    first, second, third = report.leaks
    assert wanted_training(report) == [first.other, third.path, third.other]
    assert {first.path, second.path} <= set(wanted(report))


def test_a_page_is_text_of_one_size_without_addresses() -> None:
    report = everything()
    assert report.images is not None
    data = b"\xff\xd8" + bytes(30_000)
    html = render(report, thumbnails=dict.fromkeys(report.images.paths, data))
    assert html == render(report, thumbnails=dict.fromkeys(report.images.paths, data))
    assert len(html.encode()) < 100_000 + len(report.images) * (4 / 3 * len(data) + 100)
    markup = html.split('<script type="application/json"')[0]
    assert re.findall(r"<\w[^<>]*\s(?:src|href)=[\"']?[^#\"' >]+|url\(|https?:", markup) == []
    with_map = render(report, thumbnails={}, positions=scattered(len(report.images)))
    assert len(with_map.encode()) < 2_500_000


def test_a_page_needs_no_more_than_metrics() -> None:
    html = render(made(images=None, reliability=None), thumbnails={})
    assert re.findall(r'<section id="(\w+)"', html) == ["figures", "confusion", "others", "classes", "made"]


def test_a_map_of_other_images_is_refused() -> None:
    with pytest.raises(UsageError, match=r"\(3, 2\).*36 images"):
        render(made(), thumbnails={}, positions=scattered(3))


# ---- in a browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on the PATH to look at the page with")
    api = pytest.importorskip("playwright.sync_api", reason="Playwright, which drives Chromium, is not installed")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*quiet, "--no-first-run"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages: of everything, of a hundred classes, and of figures alone."""
    folder = tmp_path_factory.mktemp("pages")
    report = everything(root=str(folder))
    assert report.images is not None
    painted(folder, report.images.paths)
    with Thumbnailer() as maker:
        pictures = maker.thumbnails(folder, wanted(report), digests=digests_of(folder, report.images.paths))
    many = made(tuple(f"class {index:03} {'long ' * 12}" for index in range(100)), each=3)
    written = {
        "everything": render(report, thumbnails=pictures, training=pictures, positions=scattered(len(report.images))),
        "many": render(many, thumbnails={}, positions=scattered(300)),
        "figures": render(made(images=None, probable=False, reliability=None), thumbnails={}),
    }
    for name, html in written.items():
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in written}


class Opened:
    """A page in a browser, and what it did that it shouldn't."""

    def __init__(
        self,
        browser: Any,
        file: Path,
        *,
        width: int = 1280,
        phone: bool = False,
        dark: bool = False,
        drawn: bool = False,
        bypass_csp: bool = False,
    ) -> None:
        size = {"width": 375, "height": 812} if phone else {"width": width, "height": 900}
        scheme = "dark" if dark else "light"
        self.page = browser.new_page(
            viewport=size, color_scheme=scheme, has_touch=phone, is_mobile=phone, bypass_csp=bypass_csp
        )
        self.wrong: list[str] = []
        self.page.on("console", lambda message: self.wrong.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: self._requested(request.url, file))
        self.page.goto(file.as_uri())
        if drawn and self.page.query_selector("#plot"):
            self.page.locator("#plot").scroll_into_view_if_needed()
            self.page.wait_for_selector("#plot[data-state=drawn]", timeout=60_000)

    def _requested(self, url: str, file: Path) -> None:
        if not url.startswith("data:") and url != file.as_uri():
            self.wrong.append(f"request: {url[:200]}")


@pytest.fixture
def opened(chromium: Any, files: dict[str, Path]) -> Iterator[Any]:
    pages: list[Opened] = []

    def opening(name: str = "everything", **options: Any) -> Any:
        pages.append(Opened(chromium, files[name], **options))
        return pages[-1].page

    yield opening
    for one in pages:
        one.page.close()
    assert [wrong for one in pages for wrong in one.wrong] == []


browser = pytest.mark.browser


@browser
@pytest.mark.parametrize("name", ["everything", "many", "figures"])
@pytest.mark.parametrize("dark", [True, False])
def test_a_page_fits_a_phone_and_can_be_read_in_either_scheme(opened: Any, name: str, dark: bool) -> None:
    page = opened(name, phone=True, dark=dark, drawn=not dark)
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) == dark
    assert page.evaluate(LOW_CONTRAST) == []


LOW_CONTRAST = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parts(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
  };
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest("svg, script, #plot, noscript")) continue;
    if (!element.getClientRects().length) continue;
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.add(`${ratio.toFixed(2)} of ${element.outerHTML}`);
  }
  return [...found];
}"""


@browser
def test_every_shade_of_a_cell_can_be_read(opened: Any) -> None:
    for dark in (True, False):
        page = opened("figures", dark=dark)
        page.evaluate("""() => { for (const kind of ["right", "wrong"]) for (let level = 0; level < 6; level++) {
            document.querySelector("main").append(
                make("p", { class: `${kind}-${level} ${level > 3 ? "high" : "low"}` }, "shade")); } }""")
        assert page.evaluate(LOW_CONTRAST) == []


@browser
@pytest.mark.parametrize("name", ["everything", "many"])
def test_a_page_is_built_for_assistive_software(opened: Any, name: str) -> None:
    page = opened(name)
    page.locator("#matrix button").first.click()
    images = page.eval_on_selector_all("img", "found => found.map(one => one.alt)")
    assert all(images)
    assert bool(images) == (name == "everything")
    controls = "button, input, select, a, summary, dialog, section, [tabindex='0']"
    nameless = """(controls) => [...document.querySelectorAll(controls)]
        .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.[0]?.textContent
            || document.getElementById(one.getAttribute("aria-labelledby"))?.textContent) && !one.hidden)
        .map((one) => one.outerHTML)"""
    assert page.evaluate(nameless, controls) == []
    levels = page.eval_on_selector_all("main h2, main h3, h1", "found => found.map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert page.evaluate("document.documentElement.lang") == "en"
    ids = page.eval_on_selector_all("[id]", "found => found.map(one => one.id)")
    assert len(ids) == len(set(ids))
    broken = page.eval_on_selector_all(
        "nav a", "found => found.filter(one => !document.querySelector(one.hash)).length"
    )
    assert broken == 0


@browser
@pytest.mark.parametrize("name", ["everything", "many", "figures"])
@pytest.mark.parametrize("width", [1200, 360])
@pytest.mark.parametrize("dark", [True, False])
def test_axe_finds_nothing_to_mend(opened: Any, name: str, width: int, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed").Axe()
    # The page's policy names the scripts that may run, and axe isn't one of them.
    page = opened(name, width=width, dark=dark, drawn=name == "everything", bypass_csp=True)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert axe.run(page).generate_report() == "Found 0 accessibility violations:\n"
    if name == "everything":
        page.locator("#matrix button").first.click()
        assert page.locator("#viewer").is_visible()
        assert axe.run(page).generate_report() == "Found 0 accessibility violations:\n"


@browser
def test_a_cell_opens_its_images_and_gives_the_focus_back(opened: Any) -> None:
    page = opened()
    cell = page.locator("#matrix tbody tr:nth-child(1) td button").nth(1)
    assert cell.inner_text() == "2"
    cell.focus()
    page.keyboard.press("Enter")
    viewer = page.locator("#viewer")
    assert viewer.is_visible()
    assert viewer.locator("li").count() == 2
    assert viewer.locator("img").count() == 2
    assert "onerror" in viewer.locator("h2").inner_text()
    assert viewer.locator("img").first.evaluate("one => one.decode().then(() => one.naturalWidth)") == 60
    page.keyboard.press("Escape")
    assert not viewer.is_visible()
    assert cell.evaluate("one => one === document.activeElement")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.textContent") == "4"
    page.keyboard.press("Enter")
    viewer.get_by_role("button", name="Close").click()
    assert page.evaluate("document.activeElement.textContent") == "4"


@browser
@pytest.mark.parametrize(("name", "mode"), [("{}", "horizontal-tb"), ("class {}", "vertical-rl")])
def test_short_names_stand_upright_above_the_matrix(chromium: Any, tmp_path: Path, name: str, mode: str) -> None:
    report = made(tuple(name.format(index) for index in range(10)), images=None)
    (tmp_path / "page.html").write_text(render(report, thumbnails={}), encoding="utf-8")
    page = Opened(chromium, tmp_path / "page.html").page
    modes = "found => found.map(one => getComputedStyle(one).writingMode)"
    assert set(page.eval_on_selector_all("#matrix thead th span", modes)) == {mode}
    page.close()


@browser
def test_the_matrix_of_twenty_classes_fits_a_screen_and_a_larger_one_says_how_it_moves(opened: Any) -> None:
    page = opened("many", width=1200)
    region, hint = page.locator("#matrix-scroll"), page.locator("#matrix-wide")
    assert region.evaluate("one => one.scrollWidth <= one.clientWidth")
    assert not hint.is_visible()
    page.locator("#matrix-size").select_option("80")
    assert region.evaluate("one => one.scrollWidth > one.clientWidth")
    hint.wait_for(state="visible")
    region.evaluate("one => one.scrollTo(500, 1500)")
    head, corner = page.locator("#matrix thead th").nth(40), page.locator("#matrix td.axis")
    top, left = (region.bounding_box()[one] for one in ("y", "x"))
    assert abs(head.bounding_box()["y"] - top) < 3  # the names stay in sight
    assert abs(corner.bounding_box()["x"] - left) < 3


@browser
def test_of_many_classes_the_matrix_shows_those_that_have_images(chromium: Any, tmp_path: Path) -> None:
    classes = tuple(f"class {index:03}" for index in range(102))
    right = evaluate([7, 50, 101], [7, 50, 101], classes=classes)
    (tmp_path / "page.html").write_text(render(made(classes, metrics=right, images=None), thumbnails={}), "utf-8")
    page = Opened(chromium, tmp_path / "page.html").page
    names = page.locator("#matrix tbody th")
    assert names.all_inner_texts() == ["class 007", "class 050", "class 101"]
    assert page.locator("#matrix-said").inner_text() == "3 of 102 classes: the others have no images here."
    page.locator("#matrix-filter").fill("class 03")
    assert names.count() == 10
    page.close()


@browser
def test_many_pairs_are_shown_step_by_step(chromium: Any, tmp_path: Path) -> None:
    pair = Leak(path="a.png", other="b.png", kind="near", where="train-test", labels=("a", "b"))
    html = render(made(("a", "b"), leaks=(pair,) * 30), thumbnails={})
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    page = Opened(chromium, tmp_path / "page.html").page
    pairs = page.locator("#pairs li")
    assert pairs.count() == 12
    page.get_by_role("button", name="Show more (18 left)").click()
    assert pairs.count() == 24
    page.close()


@browser
def test_without_images_a_cell_is_a_number(opened: Any) -> None:
    page = opened("figures")
    assert page.locator("#matrix td", has_text="4").count() == 6
    assert page.locator("#confusion button").count() == 0


@browser
def test_the_table_of_classes_sorts(opened: Any) -> None:
    page = opened("many")
    recall = page.locator("#classes-table th", has_text="Recall")
    values = "found => found.map(one => Number(one.dataset.value))"
    for direction, sign in (("ascending", 1), ("descending", -1)):
        recall.get_by_role("button").click()
        assert recall.get_attribute("aria-sort") == direction
        found = np.array(page.eval_on_selector_all("#classes-table tbody td:nth-child(3)", values)) * sign
        assert (np.diff(found) >= 0).all()
    page.locator("#classes-table th button").first.click()
    assert recall.get_attribute("aria-sort") is None
    assert page.locator("#classes-table tbody th").first.inner_text().startswith("class 000")
    page.locator("#classes-filter").fill("class 07")
    assert page.locator("#classes-table tbody tr:visible").count() == 10


@browser
def test_the_matrix_of_many_classes_shows_some_and_finds_others(opened: Any) -> None:
    page = opened("many")
    rows = page.locator("#matrix tbody tr")
    assert rows.count() == 20
    assert "20 of 100 classes" in page.locator("#matrix-said").inner_text()
    page.locator("#matrix-filter").fill("class 055")
    assert page.locator("#matrix tbody th", has_text="class 055").count() == 1
    assert 1 < rows.count() < 20
    page.locator("#matrix-filter").fill("")
    page.locator("#matrix-size").select_option("40")
    assert rows.count() == 40


@browser
@pytest.mark.parametrize("phone", [True, False])
def test_the_map_shows_the_image_that_is_pointed_at(opened: Any, phone: bool) -> None:
    page = opened(drawn=True, phone=phone)
    mark = page.locator("#plot .scatterlayer .point").nth(8)
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    point = page.touchscreen.tap if phone else page.mouse.move
    point(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#map-image img")
    pointed = page.locator("#map-image .file").get_attribute("title")
    page.locator("#plot").focus()
    seen = {pointed}
    for key in ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
        seen.add(page.locator("#map-image .file").get_attribute("title"))
        assert page.locator("#map-image img").count() == 1
    assert len(seen) > 2


@browser
def test_names_are_shown_and_do_nothing(opened: Any) -> None:
    page = opened(drawn=True)
    assert page.title() == "test-<u>model</u> · featx"
    heads = page.locator("#classes-table tbody th").all_inner_texts()
    assert heads[:3] == list(HOSTILE[:3])
    assert heads[4] == HOSTILE[4].replace("\udcff", "\N{REPLACEMENT CHARACTER}")
    assert page.locator("#matrix tbody th").all_inner_texts()[:2] == list(HOSTILE[:2])
    legend = " ".join(page.locator("#plot .legendtext").all_text_contents())
    assert "<img" in legend
    assert page.locator("main b b, main u, main i:not(.key i), section script").count() == 0


@browser
def test_every_part_is_there(opened: Any) -> None:
    page = opened()
    for part in ("figures", "notes", "reliability", "mistakes", "suspects", "map", "leaks", "made"):
        assert page.locator(f"section#{part} h2").count() == 1, part
    assert page.locator("#notes li.warn").count() == 2  # fitted on scored images, and untrained
    # The twelfth is a label to check, and isn't shown twice.
    assert page.locator("#mistakes figure").count() == 11
    assert page.locator("#suspects figure").count() == 1
    assert page.locator("#suspects .file").inner_text() not in page.locator("#mistakes .file").all_inner_texts()
    assert page.locator("#pairs li").count() == 3
    assert page.locator("#pairs img").count() == 5  # one training image has no name
    assert page.locator("#leaks td").first.inner_text().startswith("66.7")
    assert "--open 'data/<test>'" in page.locator("#made pre").inner_text()


@browser
def test_whole_paths_are_shown_and_wrapped_on_a_phone(chromium: Any, tmp_path: Path) -> None:
    report = made(("a", "b"), each=3)
    assert report.images is not None
    paths = tuple(f"shelf {index}/{'box-' * 12}/{'photo' * 9}.png" for index in range(6))
    report = dataclasses.replace(report, images=dataclasses.replace(report.images, paths=paths))
    (tmp_path / "page.html").write_text(render(report, thumbnails={}), encoding="utf-8")
    page = Opened(chromium, tmp_path / "page.html", width=360).page
    shown = page.locator("#mistakes .file")
    assert set(shown.all_inner_texts()) == {paths[0], paths[3]}
    assert all(shown.evaluate_all("found => found.map(one => one.scrollWidth <= one.clientWidth)"))
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.close()


@browser
def test_on_a_phone_names_of_files_are_in_one_piece_and_neither_figures_nor_five_classes_are_cut_off(
    chromium: Any, tmp_path: Path
) -> None:
    report = made(("canterbury bells", "hard-leaved pocket orchid"), each=3)
    assert report.images is not None
    paths = tuple(f"hard-leaved orchid/IMG_{index:06}.jpg" for index in range(6))
    right = evaluate([0] * 20_000 + [1], [0] * 20_001, classes=report.classes)  # the widest figures: 20,000 and 100.0 %
    for name, metrics in (("names", report.metrics), ("figures", right)):
        images = dataclasses.replace(report.images, paths=paths) if name == "names" else None
        html = render(dataclasses.replace(report, images=images, metrics=metrics), thumbnails={})
        (tmp_path / f"{name}.html").write_text(html, encoding="utf-8")
    page = Opened(chromium, tmp_path / "names.html", width=360).page
    lines = page.locator("#mistakes .file bdi").first.evaluate(
        "one => [...one.childNodes].filter((part) => part.data).map((part) => {"
        " const range = document.createRange(); range.selectNode(part); return range.getClientRects().length; })"
    )
    assert lines[-1] == 1
    page.close()
    flowers = made(("daisy", "dandelion", "roses", "sunflowers", "tulips"), each=400)
    (tmp_path / "flowers.html").write_text(render(flowers, thumbnails={}), encoding="utf-8")
    page = Opened(chromium, tmp_path / "flowers.html", width=360).page
    assert page.locator("#matrix-scroll").evaluate("one => one.scrollWidth <= one.clientWidth")
    page.close()
    page = Opened(chromium, tmp_path / "figures.html", width=360).page
    assert "100.0" in page.locator("#classes-table").inner_text()
    assert page.locator("#classes .scroll").evaluate("one => one.scrollWidth <= one.clientWidth")
    page.close()


@browser
def test_the_list_of_images_can_be_saved(chromium: Any, tmp_path: Path) -> None:
    """The same rows as the CSV beside the page; names with any bytes, and none of them a formula."""
    report = made(('=1+1 "a"', "b, c"), each=4, test_set="holiday")
    assert report.images is not None
    paths = ("caf\udce9 é 🙂.png", "@x.png", *(f"b/{index}\n.png" for index in range(6)))
    report = dataclasses.replace(report, images=dataclasses.replace(report.images, paths=paths))
    write_list(report, tmp_path / "list.csv", safe=True)
    (tmp_path / "page.html").write_text(render(report, thumbnails={}), encoding="utf-8")
    opened = Opened(chromium, tmp_path / "page.html")
    with opened.page.expect_download() as saving:
        opened.page.get_by_role("button", name="Save the list").click()
    assert saving.value.suggested_filename.endswith("-on-holiday.csv")
    found, expected = (
        list(csv.DictReader(io.StringIO(Path(file).read_bytes().decode("utf-8", "surrogateescape"), newline="")))
        for file in (saving.value.path(), tmp_path / "list.csv")
    )
    for one in (*found, *expected):
        one["confidence"] = f"{float(one['confidence']):.3f}"
    assert found == expected
    assert {one["set"] for one in found} == {"holiday"}
    assert opened.wrong == []
    opened.page.close()


def test_the_headline_is_a_count_and_the_warnings_and_the_matrix_come_before_other_figures() -> None:
    html = render(everything(), thumbnails={})
    assert re.findall(r'<section id="(\w+)"', html)[:4] == ["figures", "notes", "confusion", "others"]
    right, n = map(int, re.findall(r"<p>(\d+) of (\d+) images are classified right", html)[0])
    assert f"<strong>{100 * right / n:.1f}" in html


def test_a_difference_between_stated_and_real_confidence_is_told_only_where_it_can_be_seen() -> None:
    right = np.arange(400) % 2 == 0
    texts = [render(made(reliability=reliability(np.full(400, sure), right)), thumbnails={}) for sure in (0.5, 0.9)]
    assert "No difference between stated and real confidence can be seen (at most " in texts[0]
    assert re.search(r"The stated confidence is off by (39|40)\.\d points on average \(95 % interval ", texts[1])


def test_the_map_of_more_images_than_a_page_lists_is_no_map_of_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page lists the mistakes first: the images on the map were drawn from all of them, and are all shown."""
    monkeypatch.setattr(content, "LISTED", 12)
    report = made()
    assert report.images is not None
    on = np.arange(36) % 2 == 0
    data = content.gathered(report, content.Pictures({}, {}), np.where(on[:, None], scattered(36), np.nan))
    shown = [data["rows"]["path"][row] for row in data["map"]["row"]]
    assert sorted(shown) == sorted(path for path, drawn in zip(report.images.paths, on, strict=True) if drawn)
    assert data["listed"] == 12  # the list to save ends there
    assert data["rows"]["path"][:12] == [report.images.paths[row] for row in report.images.worst_first[:12]]


def test_sentences_of_a_page_count_rightly() -> None:
    assert "2 of 3 images are classified right" in render(made(("a", "b", "c"), each=1), thumbnails={})
    metrics = evaluate([0, 1], [0, 0], classes=("a", "b"))
    one = render(made(("a", "b"), images=None, metrics=metrics, failures=(("x", "empty"),)), thumbnails={})
    assert "1 of 2 images is classified right" in one
    assert "1 image couldn't be read and is not in the figures" in one
    report = made(("a", "b"), each=60)
    assert report.images is not None
    errors = tuple(LabelError(path=path, label="a", predicted="b", confidence=0.9) for path in report.images.paths[:60])
    many = render(
        dataclasses.replace(report, label_errors=errors, failures=(("x", "empty"),) * 1_600, test_set="night"),
        thumbnails={},
    )
    assert "with the labels of 60 images; the 48 most confident are shown" in many
    assert "1,600 images couldn't be read and are not in the figures" in many
    assert many.count(": empty</li>") == 500
    assert "and 1,100 more, which the file test-&lt;u&gt;model&lt;/u&gt;-on-night.json names" in many
    assert "40 mistakes, the most confident first. Mistakes that are shown under" in many  # all: 24 here, 16 there
    alone = render(dataclasses.replace(report, label_errors=errors[:1]), thumbnails={})
    assert "with the label of 1 image. Look" in alone


def test_a_page_writes_times_and_code_for_people() -> None:
    html = render(
        made(
            scored_on="cross-validation (5 folds)",
            created="2026-11-25T16:49:22+00:00",
            remarks=("fit with `nested=True` to measure <it>",),
        ),
        thumbnails={},
    )
    assert "scored by <bdi>cross-validation (5 folds)" in html
    assert "2026-11-25, 16:49 UTC" in html
    # For readers of both: the command line first.
    assert "Fit with <code>--nested</code> (in Python <code>nested=True</code>) to measure &lt;it&gt;." in html


def test_a_page_names_parameters_as_flags_and_other_code_as_it_is() -> None:
    remarks = ('use `class_weight="balanced"` and `group_by`', "run `featx fit`, see `<b>`")
    html = render(made(remarks=remarks), thumbnails={})
    assert (
        "Use <code>--class-weight balanced</code> (in Python <code>class_weight=&quot;balanced&quot;</code>) and "
        "<code>--group-by</code> (in Python <code>group_by</code>)." in html
    )
    assert "Run <code>featx fit</code>, see <code>&lt;b&gt;</code>." in html


def test_files_that_are_no_images_are_not_called_unreadable() -> None:
    """As on the terminal: Thumbs.db is no photo that was lost."""
    failures = (("a/Thumbs.db", "not-an-image"), ("b/notes.txt", "not-an-image"), ("b/broken.jpg", "truncated"))
    html = render(made(failures=failures), thumbnails={})
    assert "1 image couldn't be read and is not in the figures" in html
    assert "2 files are not images and were left out" in html
    html = render(made(failures=failures[:1]), thumbnails={})
    assert "couldn't be read" not in html
    assert "1 file is not an image and was left out" in html


@browser
def test_the_worst_class_comes_first_and_a_long_list_is_folded(chromium: Any, tmp_path: Path) -> None:
    classes = tuple(f"class {index:03}" for index in range(30))
    labels = np.repeat(np.arange(30), 4)
    predicted = np.where((labels == 17) | (labels == 21) & (np.arange(120) % 4 == 0), 0, labels)
    report = made(classes, each=4, metrics=evaluate(labels, predicted, classes=classes), images=None)
    (tmp_path / "page.html").write_text(render(report, thumbnails={}), encoding="utf-8")
    page = Opened(chromium, tmp_path / "page.html", width=360).page
    rows = page.locator("#classes-table tbody tr:visible")
    assert rows.count() == 10
    assert page.locator("#classes-table tbody th").all_inner_texts()[:3] == ["class 017", "class 000", "class 021"]
    page.locator("#classes-filter").fill("class 02")
    assert rows.count() == 10
    page.locator("#classes-filter").fill("")
    assert rows.count() == 10
    page.get_by_role("button", name="Show all 30 classes").click()
    assert rows.count() == 30
    page.close()
