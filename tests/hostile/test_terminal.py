"""Names, attributes and messages are shown on a terminal, and never obeyed by it."""

import csv
import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path

import pytest

import featx
from conftest import Painter
from featx.cli import commands, main
from featx.cli.streams import SIGNS, PrintableStream, guard_streams, printable

ESCAPES = "\x1b[5;8m\x1b]0;t\x07\x9b5m\x9d\x08\x7f\r"
"""Blink and conceal, a window's title, the same begun with one sign, and signs that overwrite what stands there."""
BIDI = "\u202e\u2066\u2069\u200f\u061c\u2028\u2029\udcff"
MARKUP = "[red]x[link=evil]y"
CLASSES = (f"one{ESCAPES}{MARKUP}", f"two{BIDI}:smile:\\")
RAW = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
RICH = re.compile(r"\x1b\[(?:\d+;?)*m|\x1b\[\?25[lh]|\x1b\[\d*[AK]|\r(?=\n|\x1b|$)|\r\x1b")
"""Sequences of rich's own, and the terminal's line ends."""

Run = Callable[..., tuple[int, str]]


def assert_harmless(told: str) -> None:
    """Nothing that a terminal obeys is in an output but what rich writes, which has neither blink nor links."""
    assert "\x1b[5" not in told
    assert "\x1b]" not in told
    assert not RAW.findall(RICH.sub("", told)), ascii(told)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture(params=["pipe", "terminal"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in this process, with stdout and stderr in one pipe or terminal: (exit code, output)."""

    def run(*words: object) -> tuple[int, str]:
        near, far = pty.openpty() if request.param == "terminal" else os.pipe()
        if request.param == "pipe":
            near, far = near, far
        parts: list[bytes] = []

        def read() -> None:
            try:
                while part := os.read(near, 65536):
                    parts.append(part)
            except OSError:  # the end of a terminal
                pass

        reader = threading.Thread(target=read)
        reader.start()
        with (
            os.fdopen(far, "w", encoding="utf-8", buffering=1) as out,
            os.fdopen(os.dup(far), "w", encoding="utf-8", buffering=1) as err,
            monkeypatch.context() as patch,
        ):
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            patch.setattr(sys, "argv", ["featx", *map(str, words)])
            patch.setattr(logging.getLogger(), "handlers", [])
            with pytest.raises(SystemExit) as stop:
                main()
        reader.join()
        os.close(near)
        return stop.value.code or 0, b"".join(parts).decode("utf-8", "surrogateescape")

    return run


@pytest.fixture
def folder(paint: Painter) -> Path:
    """A folder of two classes, whose name and files have all of it in their names, and one image that is none."""
    root = Path(f"train{ESCAPES}{BIDI}[bold]")
    paint(root, each=6, classes={CLASSES[0]: (20, 40, 220), CLASSES[1]: (230, 30, 20)})
    (root / CLASSES[0] / f"broken{ESCAPES}{BIDI}{MARKUP}.png").write_bytes(b"no image")
    return root


def test_every_command_shows_names_without_obeying_them(run: Run, folder: Path) -> None:
    def told(*words: object, code: int = 0) -> str:
        exit_code, output = run(*words)
        assert exit_code == code, ascii(output)
        assert_harmless(output)
        return output

    output = told("extract", folder, "--backbone", "mean-colour", "--verbose")
    assert printable(folder.name) in output
    assert printable(f"broken{ESCAPES}{BIDI}{MARKUP}.png") in output
    (store,) = Path("artifacts/features").iterdir()
    assert printable(store.stem) in told("fit", "--folds", "2")
    (model,) = Path("artifacts/models").iterdir()
    for name in CLASSES:
        assert printable(name) in told("info", store)
        assert printable(name) in told("info", model)
    assert printable(model.stem) in told("score")
    told("fit", "--clf", "centroid", "--folds", "2")
    told("score")
    assert printable(model.stem) in told("compare")
    assert printable(folder.name[:10]) in told("curve", "--points", "2", "--repeats", "1", "--folds", "2")
    assert printable(store.name) in told("verify", store, "--sample", "2")
    assert printable(store.stem) in told("export", store, "--to", "csv")
    told("doctor", "--quick")
    (page,) = Path("artifacts/reports").glob("*logreg.json")
    for words in (
        ("extract", f"no{ESCAPES}{BIDI}{MARKUP}"),
        ("extract", folder, "--backbone", f"no{ESCAPES}{BIDI}"),
        ("fit", f"no{ESCAPES}{BIDI}{MARKUP}"),
        ("fit", page),
        ("info", page),
        ("predict", f"no{ESCAPES}{BIDI}{MARKUP}", "--model", model),
        ("predict", folder / "x", "--model", f"no{ESCAPES}{BIDI}"),
        ("fit", f"--no{ESCAPES}{BIDI}"),
        ("fit", "--folds", f"no{ESCAPES}{BIDI}{MARKUP}"),
        (f"no{ESCAPES}{BIDI}{MARKUP}",),
        ("export", store, "--to", f"no{ESCAPES}{BIDI}"),
        ("compare", f"no{ESCAPES}{BIDI}{MARKUP}"),
    ):
        code, output = run(*words)
        assert_harmless(output)
        if words[-1] != page:
            assert code != 0, words


def test_a_report_by_somebody_else_is_shown_and_not_obeyed(run: Run, paint: Painter) -> None:
    source = paint(Path("data"), each=4)
    store = featx.extract(source, backbone="mean-colour")
    report = json.loads(featx.score(featx.fit(store, folds=2)).to_json())
    written = f"{ESCAPES[:3]}{ESCAPES[5:8]}{BIDI[:2]}[red]"
    for index, name in enumerate(("a", "b")):
        forged = report | {"model": f"{name}{written}", "scored_on": f"on{written}", "notes": [f"note{written}"]}
        Path(f"{index}.json").write_text(json.dumps(forged), encoding="ascii")
    code, output = run("compare", "0.json", "1.json")
    assert code == 0, output
    assert_harmless(output)
    assert printable(f"a{written}") in output
    assert printable(f"on{written}") in output


def test_whatever_a_library_says_is_printable(
    run: Run, paint: Painter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written = f"said{ESCAPES}{BIDI}{MARKUP}"

    def speak(error: str, json: bool = False) -> None:
        """Say it in every way."""
        print(written)
        print(written, file=sys.stderr)
        logging.getLogger("featx.anything").warning("%s\n%s", written, "forged: line")
        logging.getLogger("another").error(written, exc_info=ValueError(written))
        from featx.cli import show
        from featx.cli.show.progress import TerminalProgress

        with TerminalProgress() as progress:
            progress.begin(Path(f"{written}.h5".replace("/", "")), total=2, done=0)
            print(written, file=sys.stderr)
            print(written)
            progress.advance(Path(f"{written}.h5".replace("/", "")), done=1, failed=0)
        show.console().print(written, markup=False)
        raise {"featx": featx.FeatxError(f"{written}\nfeatx: forged"), "system": PermissionError(13, written, written)}[
            error
        ]

    module = types.ModuleType("featx.cli.speak")
    vars(module)["speak"] = speak
    monkeypatch.setitem(sys.modules, "featx.cli.speak", module)
    monkeypatch.setitem(commands.COMMANDS, "speak", "Speak.")
    try:
        for error in ("featx", "system"):
            code, output = run("speak", error)
            assert code == 1
            assert_harmless(output)
            lines = [RICH.sub("", line) for line in output.splitlines()]
            assert sum(printable(written) in line for line in lines) >= 7
            assert lines[-1].startswith(f"featx: {printable(written)}")
            assert not any(line.startswith(("forged", "featx: forged")) for line in lines)
    finally:
        commands.load.cache_clear()


def test_a_warning_and_the_traceback_of_a_bug_are_printable(paint: Painter) -> None:
    code = """
import sys, warnings
from featx.cli import commands, main
sys.argv = ["featx", "backbones"]
def load(name):
    warnings.warn("warned\x1b[5;8m\x9b5m\u202e")
    raise RuntimeError("said\\x1b[5;8m\\x9b5m\\u202e")
commands.load = load
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "UserWarning: warned\\x1b[5;8m\\x9b5m\\u202e" in done.stderr
    assert "said\\x1b[5;8m\\x9b5m\\u202e" in done.stderr
    assert_harmless(done.stderr)


def test_data_is_exact_in_a_pipe_and_printable_on_a_terminal(
    run: Run, folder: Path, request: pytest.FixtureRequest
) -> None:
    next(folder.rglob("broken*")).unlink()
    store = featx.extract(folder, backbone="mean-colour")
    model = featx.fit(store, folds=2)
    model.save("model.skops")
    code, output = run("predict", folder / CLASSES[0], folder / CLASSES[1], "--model", "model.skops", "--quiet")
    assert code == 0
    names = {str(folder / one) for one in store.paths}
    if request.node.callspec.params["run"] == "pipe":
        rows = list(csv.reader(io.StringIO(output, newline="")))
        assert {row[0] for row in rows[1:]} == names
        assert rows[0][3:] == [f"probability_{name}" for name in store.classes]
        assert {row[1] for row in rows[1:]} == set(store.classes)
    else:
        assert_harmless(output)
        assert all(printable(name) in output for name in (*names, *store.classes))


def test_what_the_parser_writes_is_text(run: Run) -> None:
    """The parser tries bytes on stdout, and writes bytes where they are taken: they must not be shown as Python's."""
    code, output = run("--version")
    assert (code, output.replace("\r\n", "\n")) == (0, f"featx {featx.__version__}\n")
    for words in (["--help"], ["extract", "--help"], ["--show-completion", "bash"]):
        code, output = run(*words)
        assert code == 0
        assert "featx" in output
        assert "b'" not in output
        assert r"\n" not in output
    assert output.replace("\r\n", "\n").endswith("complete -o default -F _featx_completion featx\n")


def test_the_version_is_exact_in_a_pipe_of_another_encoding() -> None:
    code = 'import sys; from featx.cli import main; sys.argv = ["featx", "--version"]; main()'
    for encoding in ("ascii", "latin-1"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
        )
        assert done.stdout == f"featx {featx.__version__}{os.linesep}".encode()


def test_bytes_on_their_way_to_a_terminal_are_decoded_and_made_printable() -> None:
    for encoding in ("utf-8", "latin-1"):
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding)
        assert PrintableStream(stream).write("é\x1b[5m\n".encode(encoding)) == len("é\x1b[5m\n".encode(encoding))
        stream.flush()
        assert raw.getvalue().decode(encoding) == "é\\x1b[5m\n"


def test_json_is_ascii_without_controls(run: Run, folder: Path) -> None:
    for words in (
        ("extract", folder, "--backbone", "mean-colour"),
        ("fit", "--folds", "2"),
        ("fit", "--folds", "2", "--clf", "centroid"),
        ("score",),
        ("compare",),
        ("info", "STORE"),
        ("verify", "STORE"),
        ("predict", folder, "--model", "MODEL"),
    ):
        places = {"STORE": "features", "MODEL": "models"}
        found = [next(Path("artifacts", places[word]).iterdir()) if word in places else word for word in words]
        code, output = run(*found, "--json", "--quiet")
        assert code == 0, output
        assert output.isascii()
        assert_harmless(output)
        json.JSONDecoder().raw_decode(output)


def test_what_an_encoding_lacks_is_written_in_other_signs() -> None:
    names = "é数字🦉"
    for encoding in ("ascii", "cp1252", "cp437", "cp932", "latin-1"):
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding)
        before = sys.stdout
        try:
            sys.stdout = stream
            guard_streams()
            assert isinstance(sys.stdout, PrintableStream)
            guard_streams()
            assert sys.stdout.rich_proxied_file is stream
            sys.stdout.write("".join(SIGNS) + names + "\x85\n")
            sys.stdout.flush()
        finally:
            sys.stdout = before
        told = raw.getvalue().decode(encoding)
        assert told.endswith("\\x85\n")
        for name in names:
            assert name in told or name.encode("unicode_escape").decode() in told
        assert "\\xb1" not in told
        assert "\\u25" not in told
