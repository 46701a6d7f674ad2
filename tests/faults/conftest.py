"""Programs to break, what they make when nobody disturbs them, and the figures that the tests found."""

import dataclasses
import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults.running import Program, contents, draw, spoil

_FIGURES: list[str] = []


@pytest.fixture(scope="session")
def figure() -> Callable[[str], None]:
    """Keep a line to be shown when all tests are done."""
    return _FIGURES.append


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _FIGURES:
        terminalreporter.section("faults: figures")
        for line in _FIGURES:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of images, not to be changed: all of them good, and some of them failures."""
    folder = tmp_path_factory.mktemp("drawn")
    draw(folder / "whole/data")
    shutil.copytree(folder / "whole", folder / "holed")
    spoil(folder / "holed/data")
    return {"whole": folder / "whole/data", "holed": folder / "holed/data"}


@dataclasses.dataclass
class Undisturbed:
    """What a run that nobody disturbs makes of a kind of images, and in which phase its calls are."""

    contents: dict[str, Any]
    phases: list[str]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, drawn: dict[str, Path]) -> Callable[[str], Undisturbed]:
    """Run it once for each kind of images."""

    @functools.cache
    def undisturbed(kind: str) -> Undisturbed:
        folder = tmp_path_factory.mktemp(kind)
        program = Program(folder, drawn[kind], folder / "cache")
        program.extract(fault={"log": str(folder / "log"), "sync": 0})
        return Undisturbed(contents(program.target), (folder / "log").read_text().split())

    return undisturbed


@pytest.fixture
def program(tmp_path: Path, drawn: dict[str, Path]) -> Callable[[str], Program]:
    """A program in a new folder, for that kind of images."""
    return lambda kind: Program(tmp_path, drawn[kind], tmp_path / "cache")


@pytest.fixture
def own(tmp_path: Path, drawn: dict[str, Path]) -> Program:
    """A program with good images of its own, which may be changed."""
    shutil.copytree(drawn["whole"], tmp_path / "data")
    return Program(tmp_path, tmp_path / "data", tmp_path / "cache")
