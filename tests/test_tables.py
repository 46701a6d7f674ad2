"""Tables on terminals of any width: the answer is whole, and what matters least goes first."""

import io
import itertools
import json
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from featx.backbones import find, table
from featx.backbones.advice import ADVICE, COMMAND, START, USES, speeds
from featx.cli.doctor import _show as show_finding
from featx.cli.flags import in_flags
from featx.cli.show import terminal
from featx.cli.show.backbones import backbones
from featx.cli.show.comparing import COLUMNS as COMPARING
from featx.cli.show.comparing import comparisons
from featx.cli.show.curve import COLUMNS as CURVE
from featx.cli.show.description import description
from featx.cli.show.fitting import ranking
from featx.cli.show.tables import Column, print_table
from featx.cli.streams import printable
from featx.cli.verify import _show as show_verification
from featx.doctor.finding import Finding
from featx.pipeline.verifying import Sample, Verification
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
    lines = backbones_on_terminal(width, monkeypatch, every=True)
    assert [line.split()[0] for line in lines[1:]] == [entry.name for entry in table()]


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


def backbones_on_terminal(width: int, monkeypatch: pytest.MonkeyPatch, *, every: bool) -> list[str]:
    lines = on_terminal(lambda: backbones(table(), json=False, every=every), width, monkeypatch)
    # A sentence may be broken between words; a cell never is.
    assert max(map(cell_len, lines)) <= width
    assert not any("…" in line for line in lines)
    return lines


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_the_common_backbones_are_whole_with_what_they_are_for(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = backbones_on_terminal(width, monkeypatch, every=False)
    for name, use in USES.items():
        (row,) = [line for line in lines if line.startswith(f"{name} ")]
        assert use in row
        # What the speed is of is said below.
        assert f"{speeds().files_to_store[name]:,.0f}" in row.replace(use, "").split()
    told = " ".join(" ".join(lines).split())
    assert told.startswith(ADVICE)
    assert lines[lines.index("") - 1] == f"    {in_flags(COMMAND)}"
    assert all(part in told for part in (speeds().machine, "featx backbones --all", "resnet50."))
    assert ("ImageNet:" in told) == any("ImageNet" in line.split() for line in lines)


def test_weights_that_are_here_are_marked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / str(find(START).weights_file)).write_bytes(b"")

    def shown(width: int) -> list[str]:
        # `on_terminal` undoes what is set before it.
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        return backbones_on_terminal(width, monkeypatch, every=False)

    lines = shown(80)
    found = {name: next(line for line in lines if line.startswith(f"{name} ")).split() for name in USES}
    assert "here" in found[START]
    assert all("here" not in row for name, row in found.items() if name != START)
    assert "needed" in found["scattering"]
    assert f"Weights that are here already: {START}." in shown(60)


def test_programs_get_all_backbones_with_what_is_known_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    written = []
    for every in (False, True):
        backbones(table(), json=True, every=every)
        written.append(capsys.readouterr().out)
    assert written[0] == written[1]
    found = {one["name"]: one for one in json.loads(written[0])}
    assert list(found) == [entry.name for entry in table()]
    # The keys that programs read so far, in their order.
    keys = ["name", "image_size", "width", "parameters", "top1", "licence", "weights_file", "here"]
    assert all(list(one)[: len(keys)] == keys for one in found.values())
    assert [name for name, one in found.items() if one["start"]] == [START]
    assert {name: one["use"] for name, one in found.items() if one["use"]} == USES
    assert {name for name, one in found.items() if one["images_per_second"]} == set(USES)


@pytest.mark.parametrize("alike", [True, False])
def test_what_is_the_same_in_all_rows_goes_before_what_differs(alike: bool) -> None:
    columns = (
        Column(heading="model", left=True),
        Column(heading="accuracy"),
        Column(heading="images", rank=1),
        Column(heading="loss", rank=2),
    )
    rows = [("a", "91.7%", "240", "0.31"), ("b", "88.0%", "240" if alike else "250", "0.42")]
    heading = printed(columns, rows, 24).splitlines()[1]
    assert heading.split() == ["model", "accuracy", "loss" if alike else "images"]


CLASSES = ("abcdefghijklmnopqrstu", "猫の写真の分類器その一", "חתולים-וכלבים", "e\u0301" * 9, "blue_tit", "[red]x")


def class_names(count: int) -> list[str]:
    return [f"{CLASSES[number % len(CLASSES)]}{number // len(CLASSES) or ''}" for number in range(count)]


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("count", [2, 5, 17, 102])
def test_info_is_readable_with_few_and_many_classes(count: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {name: 1000 + 7 * number for number, name in enumerate(class_names(count))}
    digest = f"sha256:{'0a' * 32}"
    found = {"kind": "feature store", "classes": counts, "spec": {"image_size": [224, 224], "weights": digest}}
    lines = on_terminal(lambda: description(found), width, monkeypatch)
    assert [line for line in lines if cell_len(line) > width] in ([], [f"    {digest}"])
    assert len(lines) < 30
    told = dict(reversed(line.rsplit(maxsplit=1)) for line in lines if line.rpartition("  ")[2].startswith("1,"))
    shown = {name.strip(): int(number.replace(",", "")) for number, name in told.items()}
    assert all(counts[name] == number for name, number in shown.items())
    # Their number, the fewest and the most images are said in any case.
    assert f"classes  {count}, 1,000 to {1000 + 7 * (count - 1):,} images each" in lines
    if count <= 20:
        assert set(shown) == set(counts)
    else:
        names = list(counts)
        assert set(shown) == {*names[:5], *names[-5:]}
        assert next(iter(shown)) == names[-1]
        assert f"the other {count - 10} are left out here" in " ".join(lines)
        assert any("--json" in line for line in lines)


def test_info_names_every_number_and_leaves_out_what_was_not_set(capsys: pytest.CaptureFixture[str]) -> None:
    tried = [{"n_neighbors": 12_345, "mean": 0.28381, "std": 0.0097312}]
    failures = [{"path": "a.jpg", "reason": "empty", "message": "no bytes"}]
    description({"params": {"pca": None, "seed": 0}, "sweep": tried, "failures": failures})
    assert capsys.readouterr().out.splitlines() == [
        "params",
        "  seed  0",
        "sweep",
        "  n neighbors 12345  mean 0.2838  std 0.009731",
        "failures",
        "  a.jpg  empty  no bytes",
    ]


def test_info_in_a_pipe_has_every_class(capsys: pytest.CaptureFixture[str]) -> None:
    description({"classes": dict.fromkeys(class_names(102), 3)})
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [f"  {name}  3" for name in class_names(102)]
    assert lines[0] == "classes  102, 3 images each"


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_findings_of_doctor_are_whole(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"{'猫の写真' * 9} can't be written: allow it, or set FEATX_CACHE to another folder; וכלבים {'x' * 130}"
    findings = [Finding(name="FEATX_CACHE", state=state, text=text) for state in ("ok", "note", "failed")]
    lines = on_terminal(lambda: [show_finding(finding) for finding in findings], width, monkeypatch)
    assert max(map(cell_len, lines)) <= width
    told = "".join(f"{word}FEATX_CACHE{text}" for word in ("ok", "note", "FAILED"))
    assert "".join("".join(lines).split()) == "".join(told.split())
    # The words of one finding stand below one another, beside its name.
    assert all(
        line[:19].strip() in ("", *(f"{word:6} FEATX_CACHE" for word in ("ok", "note", "FAILED"))) for line in lines
    )


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_verdicts_of_verify_are_whole(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for some in NAMES.values() for name in some]
    sample = Sample(compared=9, differing={}, changed=(f"{names[0]}/photo.jpg",), unread=())
    found = [Verification(path=Path(f"artifacts/features/{name}.h5"), rows=60_000, sample=sample) for name in names]
    lines = on_terminal(lambda: [show_verification(one) for one in found], width, monkeypatch)
    # Nothing is cut: a line is too wide only where one word is.
    assert all(cell_len(line) <= width or len(line.split()) == 1 for line in lines)
    assert "…" not in "".join(lines)
    told = " ".join(" ".join(lines).split())
    for name in names:
        assert printable(f"artifacts/features/{name}.h5") in told
    assert told.count("60,000 rows") == told.count("9 rows") == len(names)


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("names", NAMES)
def test_the_ranking_of_classifiers_fits(names: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    store = f"artifacts/features/{NAMES[names][0]}.h5"
    classifiers = ("logreg", "svm-rbf", "centroid", "sklearn.linear_model.Perceptron")
    models: Any = {
        Path(f"artifacts/models/{NAMES[names][0]}-{clf}.skops"): types.SimpleNamespace(
            clf=clf,
            accuracy=0.917 - number / 100,
            tuned=np.zeros(1, np.bool_),
            origin=types.SimpleNamespace(path=store),
            selection=types.SimpleNamespace(chosen=types.SimpleNamespace(std=0.012)),
        )
        for number, clf in enumerate(classifiers)
    }
    lines = on_terminal(lambda: ranking(models), width, monkeypatch)
    assert all(cell_len(line) <= width or len(line.split()) == 1 for line in lines)
    assert not any("…" in line for line in lines)
    rows = [line.split() for line in lines if line.split()[0] in classifiers]
    assert [row[:2] for row in rows] == [[clf, f"{0.917 - number / 100:.1%}"] for number, clf in enumerate(classifiers)]
