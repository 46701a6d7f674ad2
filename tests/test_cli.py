"""The command line: each command is the library's verb, and bad input gets one clear line and loses nothing."""

import csv
import io
import json
import logging
import os
import pickle
import re
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import featx
from conftest import Painter
from featx.cli import main
from featx.runtimes.mean_colour import MeanColourRuntime

MEANS = ["--backbone", "mean-colour"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process: (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["featx", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return (stop.value.code or 0, *capsys.readouterr())

    return run


def test_the_main_job_with_no_arguments_but_the_folder(paint: Painter, run: Run) -> None:
    paint(Path("data/train"))
    paint(Path("data/test"), each=2, seed=1)
    code, out, err = run("extract", "data/train", *MEANS)
    assert (code, out) == (0, "")
    assert "24 images: 24 new, 0 reused, 0 unreadable" in err
    code, out, err = run("extract", "data/train", *MEANS)
    assert code == 0
    assert "nothing to do" in err
    assert run("fit", "--clf", "svm")[0] == 0
    assert run("fit")[0] == 0
    code, out, _ = run("score")
    assert code == 0
    assert "train-mean-colour-svm" in out
    assert "train-mean-colour-logreg" in out
    assert "100.0%" in out
    code, out, err = run(
        "predict",
        "data/test/red/red 00.png",
        "nowhere.jpg",
        "--model",
        "artifacts/models/train-mean-colour-logreg.skops",
    )
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["path"], row["label"]) for row in rows] == [("data/test/red/red 00.png", "red")]
    assert sum(float(value) for name, value in rows[0].items() if name.startswith("probability_")) == pytest.approx(
        1, abs=1e-5
    )
    assert "missing" in err
    assert "nowhere.jpg" in err


def test_a_command_gives_what_its_function_gives(paint: Painter, run: Run) -> None:
    source = paint(Path("data/train"))
    (source / "red/broken.png").write_bytes(b"")
    _, out, _ = run("extract", source, *MEANS, "--json")
    (told,) = json.loads(out)
    with pytest.warns(featx.UnreadableWarning, match="^1 of 25 "):
        store = featx.extract(source, backbone="mean-colour", out="library.h5")
    command = featx.open(told["store"])
    assert np.array_equal(command.features, store.features)
    assert (command.spec, command.paths) == (store.spec, store.paths)
    assert (told["found"], told["extracted"], told["failed"]) == (25, 24, 1)
    assert told["failures"][0]["reason"] == "empty"
    _, out, _ = run("fit", told["store"], "--clf", "svm", "--json")
    model = featx.fit(told["store"], clf="svm", out="library.skops")
    assert json.loads(out)[0]["params"]["C"] == model.params["C"]
    _, out, _ = run("score", "--json")
    assert json.loads(out)[0]["metrics"]["accuracy"] == featx.score(model).metrics.accuracy
    _, out, _ = run("predict", source / "blue", "--json")
    assert [row["label"] for row in json.loads(out)["predictions"]] == featx.predict(
        model, source / "blue"
    ).labels.tolist()


def test_a_store_and_a_model_say_what_they_are(paint: Painter, run: Run) -> None:
    _fitted(paint)
    store = featx.open("artifacts/features/train-mean-colour.h5")
    _, out, _ = run("info", store.path, "--json")
    told = json.loads(out)
    assert (told["rows"], told["classes"]) == (24, {"blue": 8, "green": 8, "red": 8})
    assert told["found"] == told["extracted"] + told["reused"] + told["failed"]
    assert (told["fingerprint"], told["spec"]["backbone"]) == (store.fingerprint, "mean-colour")
    _, out, _ = run("info", "artifacts/models/train-mean-colour-logreg.skops", "--json")
    assert json.loads(out)["store"]["content_digest"] == told["content_digest"]
    _, out, _ = run("info", store.path)
    assert store.fingerprint in out


def _nothing(_: Painter) -> None:
    pass


def _empty(_: Painter) -> None:
    Path("data/train").mkdir(parents=True)


def _no_images(_: Painter) -> None:
    for name in ("a", "b"):
        Path("data/train", name).mkdir(parents=True)
        Path("data/train", name, "notes.txt").write_text("nothing to see")


def _one_text(_: Painter) -> None:
    Path("data/train").mkdir(parents=True)
    Path("data/train/a.jpg").write_text("nothing to see")


def _file(_: Painter) -> None:
    Path("data").mkdir()
    Path("data/train").write_text("a file")


def _csv(text: str) -> Callable[[Painter], None]:
    def write(paint: Painter) -> None:
        paint(Path("images"), each=2)
        Path("list.csv").write_text(text)

    return write


def _train(paint: Painter) -> None:
    paint(Path("data/train"))


def _foreign_store(paint: Painter) -> None:
    _train(paint)
    Path("artifacts/features").mkdir(parents=True)
    Path("artifacts/features/train-mean-colour.h5").write_text("my precious notes")


def _read_only(paint: Painter) -> None:
    _train(paint)
    Path("artifacts").write_text("a file where the folder would be")


def _extracted(paint: Painter, **how: object) -> None:
    featx.extract(paint(Path("data/train"), **how), backbone="mean-colour")


def _one_class(paint: Painter) -> None:
    _extracted(paint, classes={"red": (255, 0, 0)})


def _one_image_in_a_class(paint: Painter) -> None:
    paint(Path("data/train"), each=1, classes={"lonely": (9, 9, 9)})
    _extracted(paint)


def _two_images_in_a_class(paint: Painter) -> None:
    paint(Path("data/train"), each=2, classes={"rare": (9, 9, 9)})
    _extracted(paint)


def _flat(paint: Painter) -> None:
    featx.extract(paint(Path("data/train")) / "red", backbone="mean-colour")


def _truncated_store(paint: Painter) -> None:
    _extracted(paint)
    path = Path("artifacts/features/train-mean-colour.h5")
    path.write_bytes(path.read_bytes()[:-200])


def _fitted(paint: Painter) -> None:
    _extracted(paint)
    featx.fit("artifacts/features/train-mean-colour.h5")


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("executed"),))


def _model(content: bytes) -> Callable[[Painter], None]:
    def write(paint: Painter) -> None:
        paint(Path("data/train"), each=1)
        Path("m.skops").write_bytes(content)

    return write


def _two_models(paint: Painter) -> None:
    _fitted(paint)
    featx.fit("artifacts/features/train-mean-colour.h5", clf="svm")


def _unlabelled_test(paint: Painter) -> None:
    _fitted(paint)
    paint(Path("data/test"), each=2)
    for path in list(Path("data/test").glob("*/*.png")):
        path.rename(Path("data/test") / path.name)
    for path in list(Path("data/test").iterdir()):
        if path.is_dir():
            path.rmdir()


EXTRACT = ["extract", "data/train", *MEANS]

CASES: dict[str, tuple[Callable[[Painter], None], list[str], int, str]] = {
    # what is there, what is asked, exit code, words of the line
    "missing folder": (_nothing, EXTRACT, 1, "data/train"),
    "empty folder": (_empty, EXTRACT, 1, "data/train"),
    "folder without images": (_no_images, EXTRACT, 1, "none of the 2 files"),
    "folder of one file that is no image": (_one_text, EXTRACT, 1, "the only file in"),
    "csv of one missing file": (_csv("path\nnowhere.png\n"), ["extract", "list.csv", *MEANS], 1, "the only file in"),
    "file for a folder": (_file, EXTRACT, 1, "data/train"),
    "csv without path": (
        _csv("picture,label\nimages/red/red 00.png,red\n"),
        ["extract", "list.csv", *MEANS],
        1,
        "path",
    ),
    "csv with a duplicate": (
        _csv("path\nimages/red/red 00.png\nimages/red/red 00.png\n"),
        ["extract", "list.csv", *MEANS],
        1,
        "red 00.png",
    ),
    "csv without rows": (_csv("path,label\n"), ["extract", "list.csv", *MEANS], 1, "list.csv"),
    "csv of missing files": (_csv("path\nnowhere.png\n"), ["extract", "list.csv", *MEANS], 1, "nowhere.png"),
    "unknown backbone": (_train, ["extract", "data/train", "-m", "resnet51"], 2, "resnet50"),
    "image size of no number": (_train, [*EXTRACT, "--image-size", "big"], 2, "224x320"),
    "limit on failures of no number": (_train, [*EXTRACT, "--max-errors", "many"], 2, "many"),
    "weights that are nowhere": (
        _train,
        ["extract", "data/train", "-m", "mobilenetv2", "--weights", "w.h5"],
        1,
        "w.h5",
    ),
    "unknown device": (_train, [*EXTRACT, "--device", "abacus"], 2, "abacus"),
    "somebody's file at the store's name": (_foreign_store, EXTRACT, 1, "--overwrite"),
    "nowhere to write": (_read_only, EXTRACT, 1, "artifacts"),
    "nothing to fit": (_nothing, ["fit"], 1, "featx extract"),
    "fit of no store": (_csv("path\n"), ["fit", "list.csv"], 1, "list.csv"),
    "fit of a truncated store": (_truncated_store, ["fit"], 1, "train-mean-colour.h5"),
    "one class": (_one_class, ["fit"], 1, "class"),
    "one image in a class": (_one_image_in_a_class, ["fit"], 1, "lonely"),
    "no labels": (_flat, ["fit", "artifacts/features/red-mean-colour.h5"], 1, "has a label"),
    "unknown classifier": (_extracted, ["fit", "--clf", "forest"], 2, "logreg"),
    "unknown kernel": (_extracted, ["fit", "--clf", "svm", "--kernel", "poly"], 2, "poly"),
    "a C of nothing": (_extracted, ["fit", "--C", "0"], 2, "C"),
    "no model": (_extracted, ["score"], 1, "featx fit"),
    "no model to predict with": (_train, ["predict", "data/train"], 1, "featx fit"),
    "several models": (_two_models, ["predict", "data/train"], 1, "--model"),
    "a model that is a pickle": (
        _model(pickle.dumps(_Evil())),
        ["predict", "data/train", "--model", "m.skops"],
        1,
        "m.skops",
    ),
    "a model that is text": (_model(b"hello"), ["score", "--model", "m.skops"], 1, "m.skops"),
    "a test set without labels": (_unlabelled_test, ["score"], 1, "no labels"),
    "nothing to predict": (_fitted, ["predict", "nowhere.jpg"], 1, "nowhere.jpg"),
    "a description of text": (_csv("path\n"), ["info", "list.csv"], 1, "list.csv"),
    "an unknown option": (_nothing, ["extract", "data/train", "--quick"], 2, "--quick"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_bad_input_gets_a_clear_line_and_loses_nothing(paint: Painter, run: Run, case: tuple) -> None:
    arrange, arguments, expected, words = case
    arrange(paint)
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    code, out, err = run(*arguments)
    assert code == expected
    assert out == ""
    assert words in err
    assert "Traceback" not in err
    if not err.startswith("Usage"):  # the parser's own messages are framed
        assert [line for line in err.splitlines() if line.startswith("featx: ")] == [err.splitlines()[-1]]
    after = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert {path: after.get(path) for path in before} == before
    assert not Path("executed").exists()


def test_few_images_in_a_class_lower_the_folds_and_say_so(
    paint: Painter, caplog: pytest.LogCaptureFixture, run: Run
) -> None:
    _two_images_in_a_class(paint)
    code, _, err = run("fit", "--json")
    assert code == 0
    assert "rare" in err + caplog.text


def test_files_of_other_kinds_are_counted_and_are_no_failures(paint: Painter, run: Run) -> None:
    _train(paint)
    for name in ("Thumbs.db", "red/notes.txt", "red/broken.jpg"):
        Path("data/train", name).write_text("no image")
    err = run(*EXTRACT)[2]
    assert "27 files: 24 new, 0 reused, 1 unreadable, 2 are not images" in err
    assert "not images, so left out: 2 files (Thumbs.db, red/notes.txt)" in err
    assert "not-an-image red/broken.jpg" in err
    assert "images/s" not in err  # of one batch
    assert run(*EXTRACT, "--quiet") == (0, "", "")
    assert run("fit", "--quiet") == (0, "", "")
    assert "not images, so left out: 1 file (" in run("predict", "data/train/red")[2]
    # An image without a row is an error; a text file is none.
    err = run("predict", "data/train/red", "--quiet")[2]
    assert [line.split()[:2] for line in err.splitlines()] == [["not-an-image", "data/train/red/broken.jpg:"]]


def test_a_store_without_a_model_is_named_last(paint: Painter, run: Run) -> None:
    _train(paint)
    paint(Path("data/alone"), classes={"red": (220, 10, 10)})
    for name in ("train", "alone"):
        run("extract", f"data/{name}", *MEANS, "--quiet")
    logging.getLogger().handlers.clear()  # pytest's, which keep the lines from stderr
    code, _, err = run("fit")
    assert code == 0
    assert "train-mean-colour-logreg.skops" in err
    *_, told, last = err.splitlines()
    assert "alone-mean-colour.h5: a classifier needs images of at least two classes" in told
    assert last.startswith("next: ")


def test_a_class_that_training_never_had_is_told(paint: Painter, run: Run) -> None:
    _fitted(paint)
    paint(Path("data/test"), each=2, classes={"aqua": (0, 200, 200), "red": (220, 10, 10)})
    code, out, err = run("score")
    assert code == 0
    assert "50.0%" in out
    assert "aqua" in err


def test_names_in_any_script_survive(paint: Painter, run: Run) -> None:
    names = [
        "with space",
        "new\nline",
        "Ünïcödé",
        "数字",
        "עברית",
        "emoji 🦉",
        "quo'te\"s",
        "[red]markup",
        "-dash",
    ]
    for index, name in enumerate(names):
        paint(Path("data/train"), each=3, classes={name: (index * 25, 255 - index * 25, 128)})
    raw = os.fsencode("data/train/") + b"with space/caf\xe9.png"  # not UTF-8
    Path(os.fsdecode(raw)).write_bytes((Path("data/train") / "with space" / "with space 00.png").read_bytes())
    assert run(*EXTRACT)[0] == 0
    store = featx.open("artifacts/features/train-mean-colour.h5")
    assert set(store.classes) == set(names)
    assert os.fsdecode(b"with space/caf\xe9.png") in store.paths
    assert run("fit")[0] == 0
    code, out, _ = run("score", "--json")
    assert code == 0
    assert set(json.loads(out)[0]["classes"]) == set(names)
    code, out, _ = run("predict", *(Path("data/train", name) for name in names[1:-1]))
    assert code == 0
    assert {row["label"] for row in csv.DictReader(io.StringIO(out))} <= set(names)


def test_a_name_that_is_no_utf8_comes_out_as_it_went_in(paint: Painter) -> None:
    _fitted(paint)
    raw = b"caf\xe9.png"
    Path(os.fsdecode(raw)).write_bytes(Path("data/train/red/red 00.png").read_bytes())
    command = [sys.executable, "-c", "from featx.cli import main; main()", "predict", raw]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].startswith(raw + b",red,")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_an_unreadable_folder_is_named(paint: Painter) -> None:
    paint(Path("data/train"))
    Path("data/train/red").chmod(0o700)
    above = [path for path in Path.cwd().parents if path.is_relative_to(tempfile.gettempdir())]
    for path in (
        Path("data/train/blue"),
        Path("data/train/green"),
        Path("data/train"),
        Path("data"),
        Path.cwd(),
        *above,
    ):
        path.chmod(path.stat().st_mode | 0o055)
    code = """
import contextlib, os, sys
from featx.cli import main
from featx.runtimes.mean_colour import MeanColourRuntime
with contextlib.suppress(SystemExit):
    main()  # loads what the other user may not read
os.setuid(65534)
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *EXTRACT, "--dry-run"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "red" in done.stderr
    assert "Permission denied" in done.stderr


def test_every_module_that_holds_a_command_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    from featx import cli
    from featx.cli import commands

    folder = Path(cli.__file__).parent
    held = [file.stem for file in folder.glob("[a-z]*.py") if f"\ndef {file.stem}(" in file.read_text(encoding="utf-8")]
    assert sorted(commands.COMMANDS) == sorted(held)

    def broken(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(commands, "load", broken)
    group = typer.main.get_command(cli.app)
    with pytest.raises(KeyError, match="fit"):
        group.commands.get("fit")
    assert group.commands.get("fti") is None


def test_a_command_is_a_row_and_a_module(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from featx.cli import commands

    def count(letters: str, json: bool = False) -> None:
        """Count letters, and say more in the help of its own."""
        print(len(letters))

    module = types.ModuleType("featx.cli.count")
    module.count = count
    assert run("count", "abc")[0] == 2
    monkeypatch.setitem(sys.modules, "featx.cli.count", module)
    monkeypatch.setitem(commands.COMMANDS, "count", "Count letters.")
    try:
        assert run("count", "abc", "--quiet") == (0, "3\n", "")
        assert "say more" in run("count", "--help")[1]
        overview = run("--help")[1]
        assert "did you mean 'count'" in run("cuont", "abc")[2].lower()
    finally:
        commands.load.cache_clear()
    words = [line.strip("│ ").split("  ", 1) for line in overview.splitlines()]
    rows = {name: line.strip() for name, line in (one for one in words if len(one) == 2) if name in commands.COMMANDS}
    assert list(rows.items()) == list(commands.COMMANDS.items())


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_the_overview_is_written_once_and_fits_a_terminal(
    run: Run, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(*arguments)
    assert code == (0 if arguments else 2)
    assert out.count("Usage: ") == 1
    assert not err.strip()
    assert max(map(len, out.splitlines())) <= 80
    from featx.cli.commands import COMMANDS

    assert all(line in out for line in COMMANDS.values())  # none is broken over two lines
    assert "`" not in out
    for option in ("--version", "-q, --quiet", "-v, --verbose", "-h, --help"):
        assert option in out


def test_who_wants_plain_text_gets_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['featx', '--help']; from featx.cli import main; main()"],
        env=os.environ | {"TYPER_USE_RICH": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "╭" not in done.stdout
    assert "extract" in done.stdout


def test_every_command_and_option_is_explained(run: Run) -> None:
    import typer

    from featx.cli import app

    group = typer.main.get_command(app)
    for name, command in group.commands.items():
        assert command.help, name
        for parameter in command.params:
            assert parameter.name == "help" or getattr(parameter, "help", None), (name, parameter.name)
        code, out, _ = run(name, "--help")
        assert code == 0
        assert "Usage" in out


RIDDLES = ("What ", "Whether ", "How ", "Where ", "Those ", "Of ", "Who ", "That ")


def test_help_is_plain_whole_and_in_panels(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    from featx.cli import app

    monkeypatch.setenv("COLUMNS", "80")
    for name, command in typer.main.get_command(app).commands.items():
        texts = [command.help, *(parameter.help for parameter in command.params)]
        assert [text for text in texts if text.startswith(RIDDLES)] == [], name
        assert [text for text in texts if not text.split("\n\n")[0].endswith(".")] == [], name
        out = run(name, "--help")[1]
        assert "…" not in out, name  # a default that finds no room is cut
        panels = re.findall(r"╭─ (.*?) ─.*?╰", out, re.DOTALL)
        sizes = [len(re.findall(r"^│ [ *]*-", one, re.MULTILINE)) for one in re.findall(r"╭.*?╰", out, re.DOTALL)]
        assert max(sizes) <= 10, name
        assert "Options" in panels[:2], name
        if name == "extract":
            middle = ["A CSV of images", "Feature", "Pixels", "Views", "Speed", "Images that fail"]
            assert panels == ["Arguments", "Options", *middle, "Output"]
        if name == "info":
            assert panels == ["Arguments", "Options"]  # few options are one list


def test_a_slower_runtime_than_there_should_be_is_no_secret(
    paint: Painter, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = paint(Path("data/train"))
    assert json.loads(run("extract", source, *MEANS, "--json")[1])[0]["fallback"] is None
    monkeypatch.setattr(MeanColourRuntime, "fallback", "[x] can't be exported to OpenVINO (NameError): slower")
    code, out, err = run("extract", source, *MEANS, "--json", "--overwrite")
    assert code == 0
    assert json.loads(out)[0]["fallback"] == MeanColourRuntime.fallback
    assert "[x] can't be exported to OpenVINO (NameError): slower" in err
