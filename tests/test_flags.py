"""The library speaks of parameters, the command line of flags: one message, said in both ways."""

import ast
import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import featx
from conftest import Painter
from featx.cli import app, main
from featx.cli.flags import PARAMETERS, FlagFormatter, in_flags
from featx.words import as_flag

SOURCE = Path(featx.__file__).parent
STORE = "artifacts/features/train-mean-colour.h5"
MEANS: dict[str, Any] = {"backbone": "mean-colour"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paint: Painter) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    featx.extract(paint(Path("data/train"), each=3), **MEANS)
    Path("other.h5").write_text("somebody's notes")
    featx.export(STORE, to="npz")


CASES: dict[str, tuple[Callable[[], object], str, list[str], str]] = {
    # a call of the library, what it says; the same on the command line, what that says
    "a backbone": (
        lambda: featx.extract("data/train", backbone="resnet51"),
        "`backbone=resnet51`: found no such backbone",
        ["extract", "data/train", "--backbone", "resnet51"],
        "--backbone resnet51: found no such backbone",
    ),
    "a layer": (
        lambda: featx.extract("data/train", backbone="scattering", layer="top"),
        "leave out `layer`",
        ["extract", "data/train", "--backbone", "scattering", "--layer", "top"],
        "--layer top: scattering is a formula and has no layers; leave out --layer",
    ),
    "a size": (
        lambda: featx.extract("data/train", backbone="scattering", image_size=30),
        "`image_size=30x30`: scattering",
        ["extract", "data/train", "--backbone", "scattering", "--image-size", "30"],
        "--image-size 30x30: scattering",
    ),
    "a device": (
        lambda: featx.extract("data/train", **MEANS, device="abacus", overwrite=True),
        "`device=abacus`",
        ["extract", "data/train", "--backbone", "mean-colour", "--device", "abacus", "--overwrite"],
        "--device abacus",
    ),
    "settings that differ": (
        lambda: featx.extract("data/train", **MEANS, image_size=20, colours="grey"),
        "`image_size`: expected (20, 20), found (32, 32); `colours`: expected 'grey', found 'rgb'",
        ["extract", "data/train", "--backbone", "mean-colour", "--image-size", "20", "--as", "grey"],
        "--image-size: expected (20, 20), found (32, 32); --as: expected 'grey', found 'rgb'",
    ),
    "a share": (
        lambda: featx.extract("data/train", **MEANS, max_errors="many"),
        "`max_errors` must be a number or a percentage",
        ["extract", "data/train", "--backbone", "mean-colour", "--max-errors", "many"],
        "--max-errors must be a number or a percentage",
    ),
    "a store in the way": (
        lambda: featx.extract("data/train", **MEANS, out="other.h5"),
        "replace it with `overwrite=True`, or choose another name with `out`",
        ["extract", "data/train", "--backbone", "mean-colour", "--out", "other.h5"],
        "replace it with --overwrite, or choose another name with --out",
    ),
    "a file in the way": (
        lambda: featx.export(STORE, to="npz"),
        "replace it with `overwrite=True`, or choose another name with `out`",
        ["export", STORE, "--to", "npz"],
        "replace it with --overwrite, or choose another name with --out",
    ),
    "groups": (
        lambda: featx.fit(STORE, group_by="("),
        "`group_by` must be a regular expression",
        ["fit", STORE, "--group-by", "("],
        "--group-by must be a regular expression",
    ),
    "jobs": (
        lambda: featx.fit(STORE, jobs=0),
        "`jobs` must be",
        ["fit", STORE, "--jobs", "0"],
        "--jobs must be",
    ),
    "class weights": (
        lambda: featx.fit(STORE, clf="knn", class_weight="balanced"),
        "can't use `class_weight`",
        ["fit", STORE, "--clf", "knn", "--class-weight", "balanced"],
        "can't use --class-weight",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_an_error_names_parameters_in_the_library_and_flags_on_the_command_line(
    case: tuple[Callable[[], object], str, list[str], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call, in_library, arguments, on_command_line = case
    with pytest.raises(featx.FeatxError) as raised:
        call()
    assert in_library in str(raised.value)
    assert not re.search(r"--[a-z]", str(raised.value))
    monkeypatch.setattr(sys, "argv", ["featx", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == raised.value.exit_code
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("featx: ")]
    assert on_command_line in line
    assert line == f"featx: {in_flags(str(raised.value))}"
    assert "`" not in line.replace("`featx ", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("give `weights=FILE`", "give --weights FILE"),
        ("`weights=/a b/c=d.h5`: nothing", "--weights /a b/c=d.h5: nothing"),
        ("fit with `nested=True`", "fit with --nested"),
        ("more than `max_errors=1%` allows", "more than --max-errors 1% allows"),
        ("run `featx fit` first", "run `featx fit` first"),
        ("look at `nvidia`", "look at `nvidia`"),
        ("the folder `a`", "the folder `a`"),
        ("a ` alone", "a ` alone"),
    ],
)
def test_only_marked_parameters_become_flags(text: str, shown: str) -> None:
    assert in_flags(text) == shown


def test_a_log_line_speaks_of_flags() -> None:
    record = logging.LogRecord("featx", logging.WARNING, "", 0, "going on with %d (`batch_size`)", (4,), None)
    assert FlagFormatter("%(levelname)s: %(message)s").format(record) == "WARNING: going on with 4 (--batch-size)"


def texts() -> Iterator[tuple[str, str]]:
    """Place and text of every string of the library outside the command line; docstrings left aside."""
    for path in sorted(SOURCE.rglob("*.py")):
        if path.is_relative_to(SOURCE / "cli"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
                yield f"{path.relative_to(SOURCE)}:{node.lineno}", node.value


def test_the_library_holds_no_flag() -> None:
    # `pip install` has its own, and the page's style has names such as --at: and var(--at) of its own.
    flag = r"(?<!pip install )(?<!var\()--([a-z][a-z-]*(?![a-z-]*:)|$)"
    found = [place for place, text in texts() if re.search(flag, text)]
    # The one that makes flags of parameters, for pages.
    (maker,) = (place for place in found if place.startswith("words.py"))
    assert found == [maker]


def test_the_parameters_that_messages_mark_are_flags_of_commands() -> None:
    marked = {name for _, text in texts() for name in re.findall(r"`([a-z_]+)[`=]", text)} - {"with"}  # a block
    commands = typer.main.get_command(app).commands.values()  # type: ignore[attr-defined]
    flags = {flag for command in commands for option in command.params for flag in option.opts}
    assert marked <= PARAMETERS
    assert {as_flag(name) for name in PARAMETERS} <= flags
