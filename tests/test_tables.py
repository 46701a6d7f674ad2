"""Tables on terminals of any width: the answer is whole, and what matters least goes first."""

import io
import itertools
import re
import sys
from collections.abc import Callable

import pytest
from rich.cells import cell_len
from rich.console import Console

from featx.cli.show import terminal
from featx.cli.show.comparing import COLUMNS as COMPARING
from featx.cli.show.comparing import comparisons
from featx.cli.show.curve import COLUMNS as CURVE
from featx.cli.show.description import backbones
from featx.cli.show.tables import Column, print_table
from featx.statistics.comparison import rank

NAMES = {
    "long": [f"train-mobilenet-{end}" for end in ("0.25-logreg", "0.25-svm-rbf", "1.0-centroid")],
    "of 21 letters": ["abcdefghijklmnopqrstu", "bcdefghijklmnopqrstuv"],
    "wide signs": ["猫の写真の分類器その一", "猫の写真の分類器その二"],
    "one": ["train-mobilenetv3large-minimalistic-logreg"],
    "combining and right to left": ["é" * 9 + "‎", "חתולים-וכלבים-מסווג"],
    "of one letter": ["a", "b"],
}
SCORING = (
    Column(heading="model", left=True),
    Column(heading="accuracy"),
    Column(heading="95 % interval"),
    Column(heading="balanced", rank=1),
    Column(heading="macro F1", rank=2),
    Column(heading="top-5", rank=3),
    Column(heading="log loss", rank=4),
)
CELLS = {
    "score": (SCORING, ("91.7%", "91.7% - 98.4%", "90.1%", "0.901", "", "0.312")),
    "compare": (COMPARING, ("91.7%", "88.0% - 94.4%", "-2.1%", "-4.4% to +0.2%", "0.077", "no clear difference")),
    "curve": (CURVE, ("91.7%", "88.0% - 94.4%", "± 1.2%", "10")),
}


def printed(columns: tuple[Column, ...], rows: list[tuple[str, ...]], width: int) -> str:
    out = io.StringIO()
    print_table(Console(file=out, width=width, highlight=False), columns, rows, title="scored on data/test")
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize(("names", "table"), list(itertools.product(NAMES, CELLS)))
def test_a_table_fits_and_keeps_its_answer(names: str, table: str, width: int) -> None:
    columns, cells = CELLS[table]
    rows = [(name, *cells) for name in NAMES[names]]
    text = printed(columns, rows, width)
    lines = [line.rstrip() for line in text.splitlines()]
    assert "…" not in text.replace("…\n", "\n").replace("-…", "")
    # A name that is alone on its line may be as long as it is; all else fits.
    assert all(cell_len(line) <= width or line in NAMES[names] for line in lines)
    for name in NAMES[names]:
        assert any(name.rpartition("-")[2] in line for line in lines)
    for column, cell in zip(columns[1:], cells, strict=True):
        if not column.rank:
            assert text.count(cell) >= len(rows)


def test_nothing_is_left_out_where_there_is_room() -> None:
    columns, cells = CELLS["score"]
    text = printed(columns, [(name, *cells) for name in NAMES["long"]], 200)
    assert all(name in text for name in NAMES["long"])
    assert all(cell in text for cell in cells)
    # But a column that is empty everywhere.
    assert "top-5" not in text


def test_what_matters_least_goes_first() -> None:
    columns, cells = CELLS["score"]
    rows = [("model", *cells)]
    seen = [
        [column.heading for column in columns if column.heading in printed(columns, rows, width)]
        for width in range(32, 110)
    ]
    for narrow, wide in itertools.pairwise(seen):
        assert set(narrow) <= set(wide)
    dropped = [next(iter(set(wide) - set(narrow))) for narrow, wide in itertools.pairwise(seen) if narrow != wide]
    assert dropped == ["balanced", "macro F1", "log loss"]


def test_what_all_names_begin_with_stands_above() -> None:
    columns, cells = CELLS["score"]
    rows = [(f"train-mobilenet-0.25-{clf}", *cells) for clf in ("logreg", "svm")]
    text = printed(columns, rows, 72)
    assert "models train-mobilenet-0.25-…" in text
    assert text.count("train-mobilenet") == 1
    assert "\nlogreg " in text


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(show: Callable[[], None], width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lines that a terminal of some width shows, without their colours."""
    shown = Screen()
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    show()
    monkeypatch.undo()
    return [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", shown.getvalue()).splitlines()]


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_the_backbones_fit_and_all_are_named(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from featx.backbones import table

    lines = on_terminal(lambda: backbones(table(), json=False), width, monkeypatch)
    assert max(map(cell_len, lines)) <= width
    assert [line.split()[0] for line in lines[1:]] == [entry.name for entry in table()]
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_a_line_is_broken_between_words_and_a_path_never(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["word", "猫の写真", "וכלבים", "e\u0301" * 6] * 12
    path = "artifacts/" + "x" * 150
    lines = on_terminal(lambda: terminal.line(f"  [dim]{' '.join(words)}[/] {path}"), width, monkeypatch)
    assert " ".join(lines).split() == [*words, path]
    assert lines[0].startswith("  word")
    assert all(line.startswith("    ") for line in lines[1:])
    assert [cell_len(line) for line in lines if cell_len(line) > width] == [4 + len(path)]


def test_a_difference_of_nothing_has_no_sign(capsys: pytest.CaptureFixture[str]) -> None:
    comparisons([rank([0, 1, 0, 1], {"a": [0, 1, 0, 0], "b": [0, 1, 1, 1]})])
    told = capsys.readouterr().out
    assert " 0.0% " in told
    assert "-0.0%" not in told


def test_a_pipe_is_as_wide_as_any_table(capsys: pytest.CaptureFixture[str]) -> None:
    columns, cells = CELLS["score"]
    print_table(terminal.console(data=True), columns, [("model " * 60, *cells)])
    assert all(cell in capsys.readouterr().out.splitlines()[1] for cell in ("91.7% - 98.4%",))


def test_a_name_that_spells_an_emoji_is_as_wide_as_it_is_written() -> None:
    columns, cells = CELLS["score"]
    name = ":smile:" * 4
    lines = printed(columns, [(name, *cells)], 60).splitlines()
    assert max(map(cell_len, lines)) <= 60
