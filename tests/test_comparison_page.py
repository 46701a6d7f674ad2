"""The page of a comparison: every figure of the comparison is on it, and nothing that could do harm."""

import re
import shutil
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from featx.cli import app
from featx.pipeline.comparing import compare, compare_all
from featx.reports import Images, Report
from featx.statistics import measured, scored_images

N = 60


def report(name: str, wrong: int, **changes: object) -> Report:
    labels = np.arange(N) % 2
    predicted = np.where(np.arange(N) < wrong, 1 - labels, labels)
    plain = Report(
        model=name,
        scored_on="data/test (60 images)",
        test_set="test",
        backbone="resnet50",
        clf="logreg",
        params={},
        classes=("cat", "dog"),
        metrics=measured(scored_images(labels, predicted, classes=("cat", "dog"))),
        spec="{}",
        fingerprint="",
        images=Images(
            paths=tuple(f"{row}.png" for row in range(N)),
            digests=tuple(f"{row:064x}" for row in range(N)),
            labels=labels.astype(np.int32),
            predicted=predicted.astype(np.int32),
        ),
    )
    return replace(plain, **changes)


@pytest.fixture
def three() -> list[Report]:
    own = {"backbone": "", "clf": "small network", "params": {"seconds": 41.7}}
    return [report("frozen", 20), report("tuned", 18), report("own-baseline", 2, **own)]


def cells(html: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    return [
        [
            " ".join(unescape(re.sub(r"<[^>]+>", " ", one)).split())
            for one in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)
        ]
        for row in rows
    ]


def test_approaches_differences_and_seconds_are_in_the_table(three: list[Report], tmp_path: Path) -> None:
    found = compare(three, page=tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    rows = cells(html)
    assert [row[0] for row in rows[1:4]] == [
        "own-baseline small network, trained from scratch on the pixels",
        "tuned logreg on features of resnet50",
        "frozen logreg on features of resnet50",
    ]
    assert rows[1][1] == f"{100 * found.models[0].accuracy:.1f} %"
    assert (rows[1][-1], rows[2][-1]) == ("42", "not recorded")
    behind = found.with_best[1].by_metric["accuracy"]
    ends = f"{100 * behind.interval.low:.1f} to {100 * behind.interval.high:.1f}"
    assert rows[3][4] == f"{100 * behind.value:.1f} points {ends}"
    assert rows[3][6] == "real"
    pairs = rows[5:]
    assert [(row[0], row[1], row[-1]) for row in pairs] == [
        ("own-baseline", "tuned", "real"),
        ("own-baseline", "frozen", "real"),
        ("tuned", "frozen", "no clear difference"),
    ]
    plain = tmp_path / "plain.html"
    compare(three[:2], page=plain)
    assert "Seconds" not in plain.read_text(encoding="utf-8")


def test_names_are_no_markup_and_folders_are_not_told(tmp_path: Path) -> None:
    odd = "<script>alert(1)</script>"
    both = [report(odd, 3, scored_on="/home/somebody/data/test (60 images)"), report("other", 9, clf=odd)]
    compare(both, page=tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in html
    assert "default-src 'none'" in html
    assert "script-src" not in html
    assert "somebody" not in html


def test_without_a_page_nothing_is_written(
    three: list[Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    compare(three)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_the_page_of_its_library_call(
    three: list[Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for one in three:
        one.save(Path("artifacts/reports", f"{one.model}-on-test.json"))
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda page: bool(opened.append(page) or True))
    result = CliRunner().invoke(app, ["compare", "--out", "one.html", "--json"])
    assert result.exit_code == 0, result.output
    compare_all(page="two.html")
    one, two = (re.sub(r"Made by .*?\. ", "", Path(name).read_text()) for name in ("one.html", "two.html"))
    assert one == two
    assert opened == []
    assert CliRunner().invoke(app, ["compare", "--open"]).exit_code == 0
    assert opened == [(tmp_path / "artifacts/reports/comparison.html").as_uri()]


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (360, True)])
def test_axe_finds_nothing_to_mend(three: list[Report], tmp_path: Path, width: int, dark: bool) -> None:
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed").Axe()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on the PATH")
    compare(three, page=tmp_path / "page.html")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light", bypass_csp=True
        )
        page.goto((tmp_path / "page.html").as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert axe.run(page).generate_report() == "Found 0 accessibility violations:\n"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        browser.close()
