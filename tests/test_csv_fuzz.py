"""CSVs made at random together with their answer: read with that answer, or refused; never read in another way.

Each is drawn from dialects, encodings, names of columns, line ends, ways of quoting, spellings of paths and odd values,
and two in five of them are damaged in one place. Each seed gives the same file.
"""

import os
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from featx.errors import SourceError
from featx.manifest import Manifest, find

FILES = (
    "im/a/000.png",
    "im/a/001.png",
    "im/b/000.png",
    "im/b/a, b.png",
    "im/b/a; b.png",
    "im/b/it's #1 (100%).png",
    'im/b/"quoted".png',
    "im/b/käfer.png",
    "im/c/ blank.png",
    "im/c/tab\tpipe|.png",
    "im/c/a%20b.png",
    "im/c/back\\slash.png",
    "im/c/two\nlines.png",
)
LABELS = ("cat", "dog", "", " cat ", "Käfer", "狗", "a, b", "a;b", "a\tb|c", 'say "hi"', "it's", "1", "01", "1.0", "NA")
SPLITS = ("", "train", "Test", "valid", "fold 1")
NOTES = ("", "plain", "one, two; three", 'a "word"', "first line\nsecond line,\n\nthird", "0,5", "'")

PATH_COLUMNS = ("path", "path", " Path ", "file_name", "image", "filename", "file", "Image Path", "img")
LABEL_COLUMNS = ("label", "label", "Label ", "labels", "class", "category", "Class Name")
ENCODINGS = ("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "cp1251", "utf-16-le", "gb18030")
DELIMITERS = (",", ",", ";", "\t", "|")
LINE_ENDS = ("\n", "\r\n", "\r")


@dataclass
class Case:
    """A file, and what it means."""

    data: bytes = b""
    answer: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Label and split of each file, as `os.path.realpath` names it."""
    sure: bool = True
    """The file must be read: there is nothing about it that leaves a doubt."""
    delimiter: str = ","
    told: list[str] = field(default_factory=list)


def spelled(path: str, how: str) -> str:
    """Write a path as another program would."""
    here = Path.cwd()
    return {
        "plain": path,
        "dot": f"./{path}",
        "up": path.replace("im/", "im/../im/", 1),
        "absolute": f"{here}/{path}",
        "windows": path.replace("/", "\\"),
        "url": f"file://{here}/{path}",
        "blanks": f" {path}  ",
        "stem": path.removesuffix(".png"),
        "case": path.upper(),
    }[how]


def fields_of(rng: random.Random, names: list[str], path: str, label: str, split: str) -> list[str]:
    values = {
        "path": path,
        "label": label,
        "split": split,
        "note": rng.choice(NOTES),
        "score": rng.choice(["0,5", "1.5"]),
    }
    return [values.get(name, str(rng.randrange(100))) for name in names]


def cells_of(rng: random.Random, row: list[str], how: str, special: str) -> list[str]:
    """Write the fields of a row, in quotes where the way of quoting wants them."""
    cells = []
    for value in row:
        needs = bool(set(value) & set(special))
        wants = {"minimal": needs, "all": True, "some": needs or rng.random() < 0.5, "none": False}[how]
        cells.append('"' + value.replace('"', '""') + '"' if wants else value)
    return cells


def damage(rng: random.Random, lines: list[list[str]], case: Case) -> None:
    """Spoil the structure of one line, which is a list of cells and the signs between them."""
    case.sure = False
    number = rng.randrange(len(lines))
    line = lines[number]
    cell = 2 * rng.randrange(len(line) // 2)
    what = rng.choice(["quote", "quote", "lost quote", "lost delimiter", "lost cell", "more", "other", "cut", "header"])
    case.told += [what, f"line {number + 1}", f"cell {cell // 2 + 1}"]
    if what == "quote":
        at = rng.choice([0, len(line[cell]), rng.randrange(len(line[cell]) + 1)])
        line[cell] = line[cell][:at] + '"' + line[cell][at:]
    elif what == "lost quote" and line[cell].startswith('"'):
        line[cell] = rng.choice([line[cell][1:], line[cell][:-1]])
    elif what == "lost delimiter" and cell + 2 < len(line):
        line[cell + 1] = ""
    elif what == "lost cell" and cell + 2 < len(line) and any(part.strip('" ') for part in line[cell + 2 :: 2]):
        del line[cell : cell + 2]
    elif what == "more":
        line[cell:cell] = ["dog", case.delimiter]
    elif what == "other" and cell + 2 < len(line):
        line[cell + 1] = rng.choice([sign for sign in ",;\t|" if sign != case.delimiter])
    elif what == "cut" and cell + 2 < len(line) and any(part.strip('" ') for part in line[: cell + 1 : 2]):
        del line[cell + 1 : -1]
    elif what == "header":
        lines[0], lines[number] = lines[number], lines[0]


def written(rng: random.Random, rows: list[list[str]], case: Case) -> str:
    """Write rows in a dialect; often damaged."""
    delimiter, end = rng.choice(DELIMITERS), rng.choice(LINE_ENDS)
    how = rng.choice(["minimal", "minimal", "all", "some", "none"])
    case.delimiter = delimiter
    case.told += [repr(delimiter), repr(end), how]
    case.sure &= how != "none"
    lines = []
    for row in rows:
        cells = cells_of(rng, row, how, f'{delimiter}"\r\n')
        lines.append([*[part for cell in cells for part in (cell, delimiter)][:-1], end])
    if rng.random() < 0.15:  # every row ends in delimiters
        for line in lines:
            line[-1:] = [delimiter, "", delimiter, "", end]
    if rng.random() < 0.4:
        damage(rng, lines, case)
    texts = ["".join(line) for line in lines]
    if rng.random() < 0.15:  # rows of nothing
        texts.insert(rng.randrange(len(texts) + 1), rng.choice([end, delimiter + end, f" {delimiter}{end}"]))
    if rng.random() < 0.1:
        sign = rng.choice([delimiter, delimiter, ";"])
        texts.insert(0, f"sep={sign}{end}")
        case.sure &= sign == delimiter
    text = "".join(texts)
    return text.removesuffix(end) if rng.random() < 0.2 else text


def made(seed: int) -> Case:
    rng = random.Random(seed)
    case = Case()
    names = ["path", "label"]
    extra = rng.sample(["split", "note", "score", "", "id"], rng.randrange(4))
    names = rng.sample(names + extra, len(names) + len(extra))
    header = {
        "path": rng.choice(PATH_COLUMNS),
        "label": rng.choice(LABEL_COLUMNS),
        "split": rng.choice(["split", "Split"]),
    }
    if rng.random() < 0.05:
        header["path"], case.sure = rng.choice(["id_code", "picture", "label"]), False
    if rng.random() < 0.1:
        header["note"], case.sure = rng.choice([*PATH_COLUMNS, *LABEL_COLUMNS[3:]]), False
    how = rng.choice(["plain"] * 6 + ["dot", "up", "absolute", "windows", "url", "blanks", "stem", "case"])
    files = rng.sample(FILES, rng.randrange(3, len(FILES)))
    encoding = rng.choice(ENCODINGS)
    if encoding == "gb18030" or rng.random() < 0.5:
        files = [file for file in files if file.isascii()]
    case.told += [how, encoding]
    rows = [[header.get(name, name) for name in names]]
    for file in files:
        label, split = rng.choice(LABELS), rng.choice(SPLITS) if "split" in names else ""
        if encoding == "cp1252" and rng.random() < 0.8:
            label = "cat"
        label = label.encode(encoding, "replace").decode(encoding)
        case.answer[os.path.realpath(file)] = (label.strip(), split)
        rows.append(fields_of(rng, names, spelled(file, how), label, split))
    again = rng.choice(files)
    if (
        rng.random() < 0.08 and again.isascii() and "\\" not in again and how != "case"
    ):  # once more, under another label
        rows.append(fields_of(rng, names, spelled(again, rng.choice([how, "up"])), "other", ""))
        case.sure = False
        case.answer = {}
    # Paths with signs that the spelling gives another meaning, and labels that the encoding can't hold, are refused.
    case.sure &= how in ("plain", "dot", "up", "absolute") and encoding.startswith("utf") and encoding != "utf-16-le"
    case.sure &= bool(names[-1])  # the name of the last column can't be left out
    case.data = written(rng, rows, case).encode(encoding, "replace")
    return case


def meant(manifests: list[Manifest]) -> tuple[dict[str, tuple[str, str]], int]:
    """Label and split of each file that was found; and the number of paths that lead to none, which a run names."""
    found, missing = {}, 0
    for one in manifests:
        names = (*one.classes, "")
        for path, label, size in zip(one.paths, one.labels, one.sizes, strict=True):
            if size < 0:
                missing += 1
                continue
            found[os.path.realpath(one.root / path)] = (names[label], one.split or "")
    return found, missing


AS_READ = {"train": "train", "Test": "test", "valid": "val", "fold 1": "fold 1", "": ""}


def outcome(case: Case) -> str:
    """``read``, ``refused`` or ``told`` (some paths lead to no file); anything else is what went wrong."""
    Path("list.csv").write_bytes(case.data)
    try:
        found, missing = meant(find("list.csv"))
    except SourceError as error:
        return f"refused, and ought not: {error}" if case.sure or "\n" in str(error) else "refused"
    wrong = {path: label for path, label in found.items() if case.answer.get(path) != label}
    if wrong:
        return f"another answer: {wrong}"
    if missing:
        return "missing in a sure one" if case.sure else "told"
    return "read" if len(found) == len(case.answer) else f"lost: {set(case.answer) - set(found)}"


@pytest.fixture
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in FILES:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(path)


@pytest.mark.usefixtures("_files")
def test_no_csv_is_read_with_another_answer_than_it_was_made_with() -> None:
    counts = {"read": 0, "refused": 0, "told": 0}
    wrong = []
    for seed in range(SEEDS):
        case = made(seed)
        case.answer = {path: (label, AS_READ[split]) for path, (label, split) in case.answer.items()}
        result = outcome(case)
        if result in counts:
            counts[result] += 1
        else:
            wrong.append(f"seed {seed}: {', '.join(case.told)}: {result}\n{case.data!r}")
    assert wrong == []
    # Neither a reader that refuses everything nor a generator of nothing but damage would show anything.
    assert min(counts["read"] / SEEDS, counts["refused"] / SEEDS) > 0.25
    assert counts["told"] < SEEDS / 5


SEEDS = 3000
