"""The pages of docs/ as a site: made without a warning, complete, and fetching nothing from elsewhere."""

import ast
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import featx

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` makes it: a broken link or a parameter that isn't there is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


class Page(HTMLParser):
    """Ids of headings, and what a browser would fetch to show the page."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.fetched: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if re.fullmatch("h[1-6]", tag) and values.get("id"):
            self.headings.append(values["id"] or "")
        if tag == "link" and values.get("rel") != "canonical":
            self.fetched.append(values.get("href") or "")
        elif tag != "a" and values.get("src"):
            self.fetched.append(values["src"] or "")


def test_every_page_is_made_and_fetches_nothing_from_elsewhere(site: Path) -> None:
    assert {page.stem for page in PAGES} <= {file.stem for file in site.glob("*.html")}
    for file in site.glob("*.html"):
        fetched = Page(file).fetched
        assert fetched
        assert not [address for address in fetched if re.match(r"(https?:)?//", address)], file.name
    for file in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)[ '\"]*(https?:)?//", file.read_text(encoding="utf-8")), file.name


def test_the_reference_lists_every_public_name_once(site: Path) -> None:
    listed = re.findall(
        r"^::: featx\.(\w+)$", (ROOT / "docs" / "reference.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(set(listed) - {"errors"}) == featx.__all__
    assert len(set(listed)) == len(listed)
    shown = Page(site / "reference.html").headings
    assert {f"featx.{name}" for name in featx.__all__} <= set(shown)


def test_the_reference_shows_defaults_by_value(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "reference.html").read_text(encoding="utf-8"))
    assert re.search(r"backbone: str = .{0,5}resnet50", text)
    assert "Request.backbone" not in text
    assert re.search(r"timeout: float = 60.0", text)


def defined(file: Path) -> set[str]:
    """Names that the top level of a module gives to tables, functions and classes."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def test_every_file_row_and_test_of_the_page_for_contributors_is_there() -> None:
    page = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    words = set(re.findall(r"`([^`\n]+)`", page))
    files = {word.removeprefix("python ").partition(" ")[0] for word in words if "/" in word or "." in word}
    files = {file for file in files if "/" in file or file.endswith((".md", ".toml"))}
    assert len(files) > 20
    assert [file for file in sorted(files) if not (ROOT / file).exists()] == []

    placed = re.findall(r"`(\w+)`\s+in\s+`([\w/.]+\.py)`", page)
    assert [(name, file) for name, file in placed if name not in defined(ROOT / file)] == []
    # A table is named in capitals; whatever is one, or a test, is named with its file.
    bare = {word for word in words if re.fullmatch(r"_?[A-Z][A-Z_]{2,}|test_\w+", word)}
    assert bare - {name for name, _ in placed} == set()
