"""Code that lies in the current folder is never run, nor is anything there opened that was not asked for."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx import children

SHADOWED = ("json", "types", "enum", "re", "struct", "hashlib", "numpy", "cv2", "PIL", "featx", "keras", "tensorflow")
MAIN = "import sys; sys.path = [place for place in sys.path if place]; from featx.cli import main; main()"
"""As the installed command is: without the current folder among the places of modules."""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder with a module of each name that leaves a mark when it is run, and a library beside TensorFlow's name."""
    folder = tmp_path / "trap"
    folder.mkdir()
    for name in SHADOWED:
        mark = f"open({str(tmp_path / 'marks')!r}, 'a').write({name!r} + '\\n')\n"
        (folder / f"{name}.py").write_text(mark)
        (folder / f"{name}_package").mkdir()
    # Each of these settings starts a program or imports a module where it is believed.
    (folder / "matplotlibrc").write_text("text.usetex: True\nbackend: module://json\nfigure.dpi: 1\n")
    (folder / "programs").mkdir()
    for name in ("latex", "dvipng", "gs"):
        (folder / "programs" / name).write_text(f"#!/bin/sh\necho {name} >> {tmp_path / 'marks'}\nexit 1\n")
        (folder / "programs" / name).chmod(0o755)
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        (folder / "data" / name).mkdir(parents=True)
        for index in range(3):
            pixels = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "data" / name / f"{index}.png")
    return folder


@pytest.fixture
def run(trap: Path, tmp_path: Path) -> Run:
    """Run the command line in that folder, with a cache of its own."""

    def run(*words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        places = os.pathsep.join(str(Path(place).absolute()) for place in sys.path if place)
        programs = f"{trap / 'programs'}{os.pathsep}{os.environ['PATH']}"
        environment = children.environment(PYTHONPATH=places, PATH=programs, FEATX_CACHE=str(tmp_path / "cache"))
        return subprocess.run(
            [*before, sys.executable, "-c", MAIN, *words],
            cwd=trap,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_decoders_import_nothing_from_it(run: Run, tmp_path: Path) -> None:
    done = run("extract", "data", "--backbone", "mean-colour")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "marks").exists()


@pytest.mark.keras
def test_neither_does_the_export_nor_does_tensorflow_load_a_library_there(run: Run, trap: Path, tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is not None:  # TensorFlow took "ignore" of "-W ignore" for the place of its program
        for place in ("ignore", "extract", "."):
            kernels = trap / place / "tensorflow/core/kernels"
            kernels.mkdir(parents=True, exist_ok=True)
            source = tmp_path / "library.c"
            source.write_text(
                "#include <stdio.h>\n__attribute__((constructor)) static void run(void) "
                f'{{ FILE *f = fopen("{tmp_path / "marks"}", "a"); fputs("library\\n", f); fclose(f); }}\n'
            )
            subprocess.run([compiler, "-shared", "-fPIC", "-o", kernels / "libtfkernel_own.so", source], check=True)
    done = run(
        "extract", "data", "--backbone", "mobilenet-0.25", "--weights", "none", "--image-size", "32", "--device", "cpu"
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "marks").exists(), (tmp_path / "marks").read_text()


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, which lists what a process opens")
@pytest.mark.parametrize("command", ["extract", "score", "curve"])
def test_nothing_there_is_opened_but_what_was_asked_for(run: Run, trap: Path, tmp_path: Path, command: str) -> None:
    log = tmp_path / "log"
    calls = "trace=open,openat,execve,stat,newfstatat,readlink,chdir"
    words = {"extract": ("data", "--backbone", "mean-colour"), "score": ("data",), "curve": ("--folds", "2")}[command]
    if command != "extract":
        run("extract", "data", "--backbone", "mean-colour")
        run("fit", "--folds", "2")
    done = run(command, *words, before=("strace", "-f", "-o", str(log), "-e", calls))
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "marks").exists(), (tmp_path / "marks").read_text()
    calls = [line for line in log.read_text().splitlines() if "ENOENT" not in line]
    opened = [found[1] for line in calls if (found := re.search(r'open(?:at)?\((?:AT_FDCWD, )?"([^"]+)"', line))]
    known = {"extract": "/data/one/0.png"}.get(command, "-mean-colour.h5")
    assert any(path.endswith(known) for path in opened)  # the list is one of this run
    here = {
        os.path.relpath(path, trap) for path in opened if Path(path).is_absolute() and Path(path).is_relative_to(trap)
    }
    relative = {path for path in opened if not Path(path).is_absolute()}
    strange = {path for path in here | relative if path.split("/")[0] not in ("data", "artifacts")}
    assert strange - {"."} == set()


def test_a_child_gets_no_place_that_is_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f":own{os.pathsep}/usr/lib")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib:")
    found = children.environment(X="1")
    assert found["PYTHONPATH"] == f"{tmp_path}/own{os.pathsep}/usr/lib"
    assert (found["LD_LIBRARY_PATH"], found["X"]) == ("/opt/lib", "1")
    children.command("featx.x:y")  # imports what it needs while there is a path
    monkeypatch.setattr(sys, "path", ["", ".", str(tmp_path), "/usr/lib", Path("/opt")])
    words = children.command("featx.x:y")
    monkeypatch.undo()
    assert words[-1].endswith('"places": ["/usr/lib"]}')


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the working folders of processes in /proc")
def test_no_folder_of_a_decoder_is_left_while_a_backbone_loads(tmp_path: Path) -> None:
    """The parent is busy then, and may be killed before it can remove what it made."""
    (tmp_path / "tmp").mkdir()
    code = f"""
import time
from pathlib import Path
from featx.batches import DecodeOptions, Decoders
from featx.spec import PixelRules
options = DecodeOptions(workers=2, batch_size=4, timeout_s=60)
with Decoders(PixelRules(image_size=(8, 8)), options):
    end = time.monotonic() + 30
    while list(Path({str(tmp_path / "tmp")!r}).iterdir()) and time.monotonic() < end:
        time.sleep(0.05)
    print([path.name for path in Path({str(tmp_path / "tmp")!r}).iterdir()])
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
