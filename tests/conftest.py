"""Folders of images whose features can be computed in one's head."""

import logging
import os
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COLOURS = {"blue": (20, 40, 220), "green": (30, 200, 60), "red": (230, 30, 20)}


SETTINGS = (
    "KERAS_BACKEND",
    "COLUMNS",
    "LINES",
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "TTY_COMPATIBLE",
)
"""What a user may have set for programs of this kind, and a test sets where it is about it."""


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test finds the settings of a fresh login."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache folder of the whole run, in every process of pytest-xdist: a backbone is exported once for all tests.

    Exports by two processes at once don't disturb each other. A test that counts or damages what is in the cache has a
    folder of its own.
    """
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"


@pytest.fixture(autouse=True)
def _own_places(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own caches."""
    monkeypatch.setenv("FEATX_CACHE", str(shared_cache))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path_factory.getbasetemp() / "keras"))


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """The command line is a program and sets logging up for its process; a test gives it back."""
    root, own = logging.getLogger(), logging.getLogger("featx")
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    own.setLevel(logging.NOTSET)


@pytest.fixture
def material() -> Path:
    """The folder of real weights and photos, where there is one."""
    if not (folder := os.environ.get("FEATX_MATERIAL")):
        pytest.skip("FEATX_MATERIAL names no folder of real weights and photos")
    return Path(folder)


@pytest.fixture
def run_benchmark(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a script of ``benchmarks/`` in this process, which has loaded what is slow to import; gives its output."""

    def run(script: str, *arguments: str) -> str:
        file = Path(__file__).parents[1] / "benchmarks" / script
        monkeypatch.chdir(Path.cwd())  # the scripts change the folder
        monkeypatch.setattr("sys.argv", [str(file), *arguments])
        capsys.readouterr()
        runpy.run_path(str(file), run_name="__main__")
        return capsys.readouterr().out

    return run


Painter = Callable[..., Path]


@pytest.fixture(scope="session")
def paint() -> Painter:
    """Make a folder of class folders of images of nearly one colour each."""

    def paint(
        folder: Path, *, each: int = 8, classes: dict[str, tuple[int, int, int]] = COLOURS, seed: int = 0
    ) -> Path:
        rng = np.random.default_rng(seed)
        for name, colour in classes.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            for index in range(each):
                pixels = np.clip(np.array(colour) + rng.integers(-15, 16, (40, 50, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / name / f"{name} {index:02}.png")
        return folder

    return paint
