"""No path, class name or message in a CSV is a formula for a spreadsheet, where that is wanted."""

import csv
import io
import sys
from pathlib import Path

import pytest

import featx
from conftest import Painter
from featx.cli import main
from featx.pipeline.spreadsheets import safe_text, to_csv

FORMULAS = ("=cmd|' -C calc'!A0", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", "\n=1", " =1", "\uff1d1", '="a""b"')
COLOURS = {name: (20 + 20 * index, 40, 220) for index, name in enumerate(FORMULAS[:4])} | {"cat": (250, 250, 10)}


def is_formula(cell: str) -> bool:
    return cell.strip()[:1] in tuple("=+-@\uff1d\uff0b\uff0d\uff20") or cell[:1] in ("\t", "\r", "\n")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["featx", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code


def test_a_safe_text_is_no_formula_and_others_stay() -> None:
    for text in FORMULAS:
        assert is_formula(text)
        assert safe_text(text) == f"'{text}"
    for text in ("cat", "a=b", "3-4", "", "'quoted", "/data/=x.png", "数字"):
        assert safe_text(text) == text
    rows = [[text, safe_text(text)] for text in FORMULAS]
    assert read(to_csv(rows)) == rows
    assert read(to_csv(rows, quote=True)) == rows
    assert to_csv([["a", "b"]], quote=True) == '"a","b"\n'


def test_every_command_that_writes_csv_writes_a_safe_one(
    paint: Painter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paint(Path("data"), each=3, classes=COLOURS)
    Path("data/cat/=broken.png").write_bytes(b"none")
    run(monkeypatch, "extract", "data", "--backbone", "mean-colour", "--failures", "failed.csv", "--safe-csv")
    assert Path("failed.csv").read_text(encoding="utf-8").startswith('"path","reason","message"\n')
    (store,) = Path("artifacts/features").iterdir()

    run(monkeypatch, "export", store, "--to", "csv", "--out", "plain.csv")
    run(monkeypatch, "export", store, "--to", "csv", "--out", "safe.csv", "--safe-csv")
    plain, safe = (read(Path(name).read_text(encoding="utf-8")) for name in ("plain.csv", "safe.csv"))
    assert any(is_formula(cell) for row in plain for cell in row[:2])  # as they are: other programs need them so
    assert not any(is_formula(cell) for row in safe for cell in row[:2])
    assert [[safe_text(cell) for cell in row[:2]] + row[2:] for row in plain] == safe
    with pytest.raises(featx.UsageError, match="`safe_csv=True` works only with `to=csv`"):
        featx.export(store, to="npz", safe_csv=True)

    featx.fit(store, folds=2).save("model.skops")
    monkeypatch.chdir("data")
    told = []
    for words in ((), ("--safe-csv",)):
        capsys.readouterr()
        run(monkeypatch, "predict", *(f"./{name}" for name in COLOURS), "--model", "../model.skops", *words)
        told.append(read(capsys.readouterr().out))
    assert any(is_formula(cell) for row in told[0] for cell in row[:2])
    assert not any(is_formula(cell) for row in told[1] for cell in row[:2])
    assert [[safe_text(cell) for cell in row[:2]] + row[2:] for row in told[0]] == told[1]
