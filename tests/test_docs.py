"""What the README tells people to type is typed here, with a backbone that needs no download."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

import featx
from conftest import Painter
from featx.backbones import find
from featx.backbones.advice import ADVICE, START, USES
from featx.cli import main
from featx.cli.commands import COMMANDS as COMMANDS_OF_FEATX

README_FILE = Path(__file__).parents[1] / "README.md"
README = README_FILE.read_text(encoding="utf-8")
NOTEBOOK_FILE = README_FILE.parent / "docs" / "notebook.md"
COMMANDS = [
    line.strip().partition("  #")[0] for line in README.splitlines() if re.match(r"    featx (?!COMMAND)", line)
]
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paint: Painter) -> None:
    monkeypatch.chdir(tmp_path)
    paint(Path("data/train"))
    paint(Path("data/test"), each=2, seed=1)
    for name in ("new1.jpg", "new2.jpg"):
        shutil.copy("data/test/red/red 00.png", name)


def test_the_commands_work_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {shlex.split(command)[1] for command in COMMANDS} >= {
        "extract",
        "fit",
        "score",
        "predict",
        "compare",
        "curve",
    }
    monkeypatch.setenv("BROWSER", "true")  # --open shows the page to a program that looks away
    for command in COMMANDS:
        arguments = shlex.split(command.replace("resnet50", "mean-colour")) + (
            ["--backbone", "mean-colour"] if "extract" in command else []
        )
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code, command


def test_the_notebook_works_from_top_to_bottom() -> None:
    names: dict[str, object] = {}
    for block in PYTHON:
        exec(block.replace("resnet50", "mean-colour"), names)
    assert len(PYTHON) == 3
    assert [names["classes"][label] for label in names["labels"]] == [path.split("/")[0] for path in names["paths"]]
    assert names["features"].shape == (24, 3)


def test_the_page_about_notebooks_works_from_top_to_bottom() -> None:
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", NOTEBOOK_FILE.read_text(encoding="utf-8"), re.DOTALL)
    Path("data/train/red/broken.png").write_bytes(b"")
    with pytest.warns(featx.UnreadableWarning, match="^1 of 25 images can't be read and is left out .1 empty.: see"):
        exec(blocks[0].replace("resnet50", "mean-colour"), names)
    for block in blocks[1:]:
        exec(block, names)
    assert len(blocks) == 6
    assert names["report"].page.is_file()
    assert len(names["model"].ranking) == 7


def test_the_pictures_are_there_and_small() -> None:
    pictures = [README_FILE.parent / path for path in re.findall(r"!\[[^]]+\]\((\S+)\)", README)]
    assert {path.name for path in pictures} == {"page.png", "terminal.png"}
    for path in pictures:
        assert path.stat().st_size < 300_000
        with Image.open(path) as picture:
            picture.load()
            assert (picture.format, picture.width > 1200) == ("PNG", True)


def test_the_page_on_what_to_do_next_names_backbones_and_commands_that_there_are() -> None:
    page = (README_FILE.parent / "docs" / "what-now.md").read_text(encoding="utf-8")
    table = page.partition("## Which backbone")[2].partition("Larger networks")[0]
    backbones = [name for name in re.findall(r"`([\w.-]+)`", table) if name != "featx backbones"]
    assert [find(name).name for name in backbones] == backbones
    assert len(backbones) >= 5
    assert set(re.findall(r"featx ([a-z]+)\b", page)) <= set(COMMANDS_OF_FEATX)
    # As `featx backbones` says it.
    assert dict(re.findall(r"^\| `([\w.-]+)` \| (.+) \|$", table, re.MULTILINE)) == USES


@pytest.mark.parametrize("file", ["README.md", "docs/what-now.md", "docs/first-steps.md"])
def test_the_pages_say_which_backbone_to_start_with_as_the_command_does(file: str) -> None:
    page = (README_FILE.parent / file).read_text(encoding="utf-8")
    assert ADVICE.rstrip(".") in " ".join(page.replace("`", "").split())
    assert re.search(rf"^    featx extract \S+ --backbone {START}\b", page, re.MULTILINE)
    assert "`featx backbones`" in page
