"""Progress and warnings in Python: bars in a notebook and on a terminal, none in a pipe; one warning of lost images."""

import io
import sys
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import featx
from conftest import Painter
from featx.cli import app, main
from featx.progress import Progress, Silent, Step, observed

MEANS = {"backbone": "mean-colour"}
HOSTILE = "<b>\x1b[2J"
"""Name of a folder, and so of a store."""


class Screen(io.StringIO):
    """Stands for stderr where it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Make this process the kernel of a notebook; gives its outputs, each as it is shown last."""
    outputs: list[dict[str, str]] = []

    def display(shown: dict[str, str], *, raw: bool, display_id: bool = False) -> Any:
        assert raw
        outputs.append(shown)
        place = len(outputs) - 1
        return SimpleNamespace(update=lambda later, raw: outputs.__setitem__(place, later)) if display_id else None

    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, version_info=(9, 0)))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    return outputs


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paint: Painter) -> Path:
    monkeypatch.chdir(tmp_path)
    return paint(Path(HOSTILE))


def test_a_pipe_gets_nothing(images: Path, capfd: pytest.CaptureFixture[str]) -> None:
    featx.extract(images, **MEANS)
    assert capfd.readouterr() == ("", "")


def test_a_pipe_gets_the_finished_bar_where_it_is_asked_for(images: Path, capfd: pytest.CaptureFixture[str]) -> None:
    featx.extract(images, **MEANS, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "24/24" in err
    assert "<b>\\x1b[2J-mean-colour" in err
    assert "\x1b" not in err


def test_a_terminal_shows_bars_unless_they_are_not_wanted(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    store = featx.extract(images, **MEANS, progress=False)
    assert screen.getvalue() == ""
    featx.extract(images, **MEANS, overwrite=True)
    assert "24/24" in screen.getvalue()
    assert "\x1b[2J" not in screen.getvalue()
    assert screen.getvalue().rindex("\x1b[?25h") > screen.getvalue().rindex("\x1b[?25l")  # the cursor is back
    model = featx.fit(store)
    before = screen.getvalue()
    featx.predict(model, images)
    assert "predictions" in screen.getvalue()[len(before) :]


def test_a_notebook_shows_bars_unless_they_are_not_wanted(images: Path, notebook: list[dict[str, str]]) -> None:
    (images / "red" / "red 00.png").write_bytes(b"")
    with pytest.warns(featx.UnreadableWarning):
        store = featx.extract(images, **MEANS)
    (shown,) = notebook
    assert shown["text/plain"] == "<b>\\x1b[2J-mean-colour: 24 of 24 · 1 unreadable"
    assert "value='24' max='24'" in shown["text/html"]
    assert escape("<b>\x1b[2J-mean-colour: 24 of 24") in shown["text/html"]
    notebook.clear()
    model = featx.fit(store)
    assert notebook == []  # seconds need no word
    featx.predict(model, [path for path in images.rglob("*.png") if path.stat().st_size], progress=False)
    assert notebook == []
    featx.curve(store, points=[2], repeats=1)
    assert notebook[0]["text/plain"].startswith("<b>\\x1b[2J-mean-colour-logreg-curve: 5 of 5")


def test_a_step_that_takes_long_is_shown_and_a_short_one_is_not(notebook: list[dict[str, str]]) -> None:
    with observed(None) as observer:
        for seconds in (3.0, 200.0, None):
            observer.step(Step(text=f"a <fit> of {seconds} s", seconds=seconds))
    assert [one["text/html"] for one in notebook] == [
        "<div>a &lt;fit&gt; of 200.0 s</div>",
        "<div>a &lt;fit&gt; of None s</div>",
    ]


def test_a_run_that_fails_leaves_the_bar_where_it_was(images: Path, notebook: list[dict[str, str]]) -> None:
    def fail() -> None:
        with observed(True) as observer:
            observer.begin(Path("one.h5"), total=10, done=2)
            observer.advance(Path("one.h5"), done=3, failed=1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert notebook[0]["text/plain"] == "one: 6 of 10 · 1 unreadable"


def test_an_observer_is_told_and_nothing_else_shown(images: Path, notebook: list[dict[str, str]]) -> None:
    class Log(Silent):
        done = 0

        def advance(self, task: Path, *, done: int, failed: int) -> None:
            self.done += done

    log = Log()
    model = featx.fit(featx.extract(images, **MEANS, progress=log), progress=log)
    assert log.done == 24
    featx.predict(model, images, progress=log)
    assert log.done == 48
    assert notebook == []


def test_what_is_no_observer_is_refused(images: Path) -> None:
    with pytest.raises(featx.UsageError, match=r"progress must be True, False, None or a featx.Progress, found 'yes'"):
        featx.extract(images, **MEANS, progress="yes")


def test_unreadable_images_are_warned_of_once_at_the_line_of_the_caller(images: Path) -> None:
    (images / "red" / "red 00.png").write_bytes(b"")
    (images / "blue" / "blue 00.png").write_bytes(b"no image")
    counts = r"^2 of 24 images can't be read and are left out \(1 not-an-image, 1 empty\): see "
    with pytest.warns(featx.UnreadableWarning, match=counts + "store.failures$") as extracted:
        store = featx.extract(images, **MEANS)
    with pytest.warns(featx.UnreadableWarning, match=counts + "failures of each Extraction") as both:
        featx.extract_all(images, backbones=["mean-colour"])
    model = featx.fit(store)
    with pytest.warns(featx.UnreadableWarning, match=counts + "failures of the Predictions") as predicted:
        assert len(featx.predict(model, images).failures) == 2
    (images.parent / "new").mkdir()
    images.rename(images.parent / "new" / "test")
    with pytest.warns(featx.UnreadableWarning, match=counts + "report.failures") as scored:
        report = featx.score(model, images.parent / "new" / "test")
    assert len(report.failures) == 2
    for given in (extracted, both, predicted, scored):
        assert [one.filename for one in given] == [__file__]


def test_what_a_command_names_it_does_not_warn_of(
    images: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (images / "red" / "red 00.png").write_bytes(b"")
    monkeypatch.setattr(sys, "argv", ["featx", "extract", str(images), "--backbone", "mean-colour"])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert capfd.readouterr().err.count("red 00.png") == 1  # and a warning would be an error


def test_a_note_that_tune_has_told_is_not_told_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before the training it warns, and after it, it would be read as news."""

    def tune(*_: object, progress: Progress, **__: object) -> SimpleNamespace:
        progress.step(Step(text="12 images are few"))
        return SimpleNamespace(
            name="tuned",
            answer="nothing is gained",
            training=10,
            validation=2,
            notes=("12 images are few", "another note"),
            weights=None,
            model=SimpleNamespace(file=tmp_path / "m.skops"),
            record=tmp_path / "r.json",
            page=None,
        )

    monkeypatch.setattr("featx.pipeline.tuning.verb.tune", tune)
    done = CliRunner().invoke(app, ["tune", "data/train"])
    assert done.exit_code == 0, done.output
    assert done.output.count("12 images are few") == done.output.count("another note") == 1
