"""Settings of the environment: none ends in a traceback, and data comes out the same under every locale."""

import csv
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import featx
from conftest import Painter
from featx.cli import main

COLOURS = {"é": (20, 40, 220), "数字": (230, 30, 20), "b": (10, 200, 10)}
FEATX = "from featx.cli import main; main()"
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def start(*words: str, code: str = FEATX, before: tuple[str, ...] = (), **settings: str) -> Run:
    """Run a program in a process of its own, with these settings."""
    return subprocess.run(
        [*before, sys.executable, "-c", code, *words], env=os.environ | settings, capture_output=True, check=False
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "cp932"])
def test_data_is_utf_8_and_no_sign_ends_a_command(
    paint: Painter, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    store = featx.extract(paint(Path("data"), each=3, classes=COLOURS), backbone="mean-colour")

    def run(*words: object) -> tuple[bytes, str]:
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            patch.setattr(sys, "argv", ["featx", *map(str, words)])
            with pytest.raises(SystemExit) as stop:
                main()
            logging.getLogger().handlers.clear()
        assert not stop.value.code
        written = []
        for stream in (out, err):
            stream.flush()
            written.append(stream.buffer.getvalue())
        return written[0], written[1].decode(encoding)

    told = run("fit", "--folds", "2")[1]
    assert ("±" if encoding in ("cp1252", "cp932") else "+/-" if encoding == "ascii" else "") in told
    (model,) = Path("artifacts/models").iterdir()
    run("score")
    rows = list(csv.DictReader(io.StringIO(run("predict", "data", "--model", model)[0].decode("utf-8"))))
    assert {row["path"] for row in rows} == {f"data/{path}" for path in store.paths}
    assert {row["label"] for row in rows} <= set(COLOURS)
    assert set(json.loads(run("info", store.path, "--json")[0].decode("ascii"))["classes"]) == set(COLOURS)
    shown = run("info", store.path)[0].decode(encoding)
    assert all(name in shown or name.encode("unicode_escape").decode() in shown for name in "é数")
    run("backbones")
    run("--help")


def test_names_of_files_are_utf_8_under_every_locale(paint: Painter) -> None:
    source = paint(Path("data"), each=2, classes=COLOURS)
    lines = [f"data/{path.relative_to(source)},{path.parent.name}" for path in sorted(source.rglob("*.png"))]
    Path("list.csv").write_text("\n".join(["path,label", *lines]), encoding="utf-8")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for given in ("data", "list.csv"):
        done = start("extract", given, "--backbone", "mean-colour", "--out", "store.h5", "--overwrite", **locale)
        assert done.returncode == 0, done.stderr
        assert done.stderr.isascii()  # the locale's encoding
        store = featx.open("store.h5")
        assert set(store.classes) == set(COLOURS)
        assert all(Path(store.root, path).is_file() for path in store.paths)


KERAS_SETTINGS = {
    "a backend that isn't installed": ({"KERAS_BACKEND": "jax"}, None, "jax is not installed, but KERAS_BACKEND names"),
    "one that featx doesn't know": ({"KERAS_BACKEND": "numpy"}, None, "KERAS_BACKEND is numpy, but featx needs one of"),
    "one of Keras's file": ({}, '{"backend": "torch"}', "keras.json names it as Keras's backend"),
    "a file that Keras can't use": ({}, '{"floatx": "seven"}', "floatx=seven"),
}


@pytest.mark.keras
@pytest.mark.parametrize("case", KERAS_SETTINGS.values(), ids=KERAS_SETTINGS.keys())
def test_a_backend_of_keras_that_cannot_be_loaded_is_one_line(
    paint: Painter, tmp_path: Path, case: tuple[dict[str, str], str | None, str]
) -> None:
    settings, file, said = case
    paint(Path("data"), each=1)
    if file is not None:
        Path("keras").mkdir()
        Path("keras/keras.json").write_text(file)
    code = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name in ("jax", "torch") else find(name, *more)
from featx.cli import main
main()
"""
    words = ("extract", "data", "--backbone", "mobilenet-0.25", "--weights", "none", "--runtime", "keras")
    done = start(*words, code=code, KERAS_HOME=str(tmp_path / "keras"), **settings)
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("featx: ")
    assert said in line


def test_a_number_that_is_none_is_named(
    paint: Painter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = featx.extract(paint(Path("data"), each=4), backbone="mean-colour")
    monkeypatch.setattr(sys, "argv", ["featx", "fit", str(store.path), "--folds", "2"])
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "many")
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "the environment variable LOKY_MAX_CPU_COUNT must be a number, but is 'many'" in capsys.readouterr().err


@pytest.mark.parametrize(("backend", "kept"), [("nonsense", False), ("svg", True)])
def test_pictures_need_no_backend_of_matplotlib(backend: str, kept: bool) -> None:
    code = """
import os
from featx.reports.drawing import own_settings
with own_settings():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
import matplotlib
print(matplotlib.get_backend(), os.environ["MPLBACKEND"])
"""
    done = start(code=code, MPLBACKEND=backend)
    assert done.returncode == 0, done.stderr
    drawn_with, variable = done.stdout.decode().split()
    assert variable == backend
    assert (drawn_with == backend) == kept


@pytest.mark.parametrize(("where", "code"), [("| true", 1), (">&-", 0), (">&- 2>&-", 0), (">/dev/full", 1)])
def test_a_stdout_that_takes_nothing_ends_without_a_traceback(where: str, code: int) -> None:
    if "/dev/full" in where and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    shell = f'set -o pipefail; "$0" "$@" {where}'
    done = start("backbones", "--json", before=("bash", "-c", shell))
    assert done.returncode in (code, 0 if where == "| true" else code)  # who is faster decides
    told = done.stderr.decode()
    assert "Traceback" not in told
    assert "Exception ignored" not in told
    assert told == ("featx: the output: No space left on device\n" if "full" in where else "")
