"""CSVs as people and programs write them: read as they are meant where that is certain, else refused with the line."""

import codecs
import logging
import os
import re
from pathlib import Path

import pytest

import featx
from conftest import Painter
from featx.cli import main
from featx.errors import SourceError, UsageError
from featx.manifest import Manifest, TableOptions, find
from featx.pipeline.extraction import extract_all

FILES = ("im/a/000.png", "im/a/001.png", "im/b/000.png", "im/b/käfer 1.png")
PLAIN = {"im/a/000.png": "cat", "im/a/001.png": "cat", "im/b/000.png": "dog"}
ROWS = "im/a/000.png,cat\nim/a/001.png,cat\nim/b/000.png,dog\n"
STORE = "artifacts/features/train-mean-colour.h5"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in FILES:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(path)


def write(content: str | bytes, name: str = "list.csv") -> Path:
    file = Path(name)
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape"))
    return file


def labels(manifest: Manifest) -> dict[str, str | None]:
    names = (*manifest.classes, None)
    return {path: names[label] for path, label in zip(manifest.paths, manifest.labels, strict=True)}


def read(content: str | bytes, **options: object) -> Manifest:
    (found,) = find(write(content), table=TableOptions(**options))
    return found


READ: dict[str, tuple[str | bytes, str]] = {
    # what is in the file, and a word of the line that says how it was read
    "commas": ("path,label\n" + ROWS, "paths from the column path, labels from label"),
    "semicolons": ("path;label\n" + ROWS.replace(",", ";"), "separated by semicolons"),
    "tabs": ("path\tlabel\n" + ROWS.replace(",", "\t"), "separated by tabs"),
    "vertical bars": ("path|label\n" + ROWS.replace(",", "|"), "separated by vertical bars"),
    "the delimiter told": ("sep=;\npath;label\n" + ROWS.replace(",", ";"), "separated by semicolons"),
    "the usual delimiter told": ("sep=,\r\npath,label\r\n" + ROWS.replace("\n", "\r\n"), "labels from label"),
    "a decimal comma": (
        "path;score, relative;label\nim/a/000.png;0,5;cat\nim/a/001.png;1,5;cat\nim/b/000.png;2;dog\n",
        "separated by semicolons",
    ),
    "a mark of UTF-8": (codecs.BOM_UTF8 + b"path,label\n" + ROWS.encode(), "labels from label"),
    "UTF-16 of Windows": (codecs.BOM_UTF16_LE + ("path,label\n" + ROWS).encode("utf-16-le"), "UTF-16"),
    "UTF-16 of others": (codecs.BOM_UTF16_BE + ("path,label\n" + ROWS).encode("utf-16-be"), "UTF-16"),
    "UTF-32": (("path,label\n" + ROWS).encode("utf-32"), "UTF-32"),
    "line ends of Windows": ("path,label\r\n" + ROWS.replace("\n", "\r\n"), ""),
    "line ends of old Macs": ("path,label\r" + ROWS.replace("\n", "\r"), ""),
    "no last line end": ("path,label\n" + ROWS[:-1], ""),
    "rows of empty fields": ("\n,,,\npath,label\n,\n" + ROWS + " ,\n,\n\n", ""),
    "delimiters at the ends": ("path,label\n" + ROWS.replace("\n", ",,\n"), ""),
    "delimiters at the ends of the header too": ("path,label,,\n" + ROWS.replace("\n", ",,\n"), ""),
    "an index without a name": (",path,label\n" + "".join(f"{i},{row}\n" for i, row in enumerate(ROWS.split())), ""),
    "everything in quotes": ('"path","label"\n' + re.sub(r"([^,\n]+)", r'"\1"', ROWS), ""),
    "blanks before quotes": ('"path", "label"\n' + re.sub(r"([^,\n]+),([^,\n]+)", r'"\1",  "\2"', ROWS), ""),
    "blanks around everything": (
        " label , path\n" + "".join(f"{label} , {path} \n" for path, label in PLAIN.items()),
        "3 paths read without the blanks around them",
    ),
    "capital letters": ("PATH,Label\n" + ROWS, "paths from the column PATH, labels from Label"),
    "backslashes": ("path,label\n" + ROWS.replace("/", "\\"), "3 paths read with / in place of \\"),
    "quotes that are none": ("path,label\n" + re.sub(r"([^,\n]+),", r"'\1',", ROWS), "without the quotes"),
    "names without suffixes": ("path,label\n" + ROWS.replace(".png", ""), "3 paths read with the suffix of the file"),
    "addresses of files": ("path,label\n" + ROWS.replace("im/", "file://HERE/im/"), "3 paths read as file URLs"),
    "absolute paths": ("path,label\n" + ROWS.replace("im/", "HERE/im/"), ""),
    "codes of an address": ("path,label\n" + ROWS.replace("im/", "im%2F"), "with %-codes as letters"),
    **{
        f"a column {name}": (f"{name},label\n" + ROWS, f"paths from the column {name}")
        for name in ("file_name", "image", "file", "filename", "filepath", "File Name", "img_path", "image-path")
    },
    **{
        f"a column {name} of labels": (f"path,{name}\n" + ROWS, f"labels from {name}")
        for name in ("labels", "class", "Class Name", "category")
    },
    "a label beside other words for it": (
        "path,class,label\n" + "".join(f"{path},1,{label}\n" for path, label in PLAIN.items()),
        "labels from label",
    ),
    "a name of the file beside its path": (
        "filename,path,label\n" + "".join(f"{path[-7:]},{path},{label}\n" for path, label in PLAIN.items()),
        "paths from the column path",
    ),
    "the same path in two columns": (
        "image,file_name,label\n" + "".join(f"{path},./{path},{label}\n" for path, label in PLAIN.items()),
        "paths from the column file_name",
    ),
    "a text of two lines in another column": (
        "path,label,note\n" + "".join(f'{path},{label},"one,\ntwo, ""three"""\n' for path, label in PLAIN.items()),
        "",
    ),
}


@pytest.mark.parametrize(("content", "said"), READ.values(), ids=READ.keys())
def test_what_is_certain_is_read_and_said(content: str | bytes, said: str) -> None:
    if isinstance(content, str):
        content = content.replace("HERE", str(Path.cwd()))
    found = read(content)
    assert labels(found) == PLAIN
    (note,) = found.notes
    assert note.startswith("list.csv: ")
    assert said in note
    assert "\n" not in note
    assert not found.absent
    assert all(size == len(path) for size, path in zip(found.sizes, found.paths, strict=True))


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "a quote that is never closed": (
        'path,label\nim/a/000.png,"cat\nim/a/001.png,cat\nim/b/000.png,dog\n',
        "line 2: a quote opens here and is never closed",
    ),
    "a quote that is never closed, in the last line": (
        f'path,label\n{ROWS}im/b/käfer 1.png,"dog\n',
        "line 5: a quote opens here and is never closed",
    ),
    "the second of two quotes is never closed": (
        'path,note,label\nim/a/000.png,"a\nb","cat\nim/a/001.png,x,cat\n',
        "line 3: a quote opens here and is never closed",
    ),
    "a quote that the next one closes": (
        'path,label\nim/a/000.png,"cat\nim/a/001.png,"cat"\n',
        "line 2: a quote opens here and is closed only on line 3",
    ),
    "a quote that the end of a label closes": (
        'path,label\nim/a/000.png,"cat\nim/a/001.png,cat"\nim/b/000.png,dog\n',
        "line 2: the label 'cat' continues on the next line",
    ),
    "a quote before a path that a later one closes": (
        'label,path\ncat,"im/a/000.png\ncat,im/a/001.png\ndog,im/b/000.png"\n',
        "line 2: the path 'im/a/000.png' continues on the next line",
    ),
    "a quote in a column of its own that takes in rows": (
        'path,label,note\nim/a/000.png,cat,"good\nim/a/001.png,cat,\nim/b/000.png,dog,"\n',
        "line 2: a quote opens in note and includes a later line, which names im/a/001.png",
    ),
    "text after a quote": ('path,label\nim/a/000.png,"cat"s\n', "line 2: more text follows a quote that is closed"),
    "quotes of programmers": ('path,label\nim/a/000.png,"a \\"cat\\""\n', "line 2: more text follows"),
    "a column twice": ("path,label,label\nim/a/000.png,cat,x\n", "line 1: the column label exists twice.* 2 and 3"),
    "a column twice but for case": (
        "path,Label,label\nim/a/000.png,cat,x\n",
        "line 1: the column label exists twice",
    ),
    "two columns of paths": (
        "path,file_name,label\nnosuch.png,im/a/000.png,cat\n",
        "line 1: the columns path and file_name could both hold the paths; .*`path_column`",
    ),
    "two columns of paths to other files": (
        "file,filename\nim/a/000.png,im/b/000.png\n",
        "line 1: the columns file and filename could both hold the paths",
    ),
    "two columns of labels": (
        "path,class,category\nim/a/000.png,cat,animal\n",
        "line 1: the columns class and category could both hold the labels; .*`label_column`",
    ),
    "no column of paths, but one that leads to files": (
        "id_code,diagnosis\nim/a/000,1\n",
        "line 1: there is no column path.*found id_code, diagnosis; the column id_code leads to files: .*`path_column`",
    ),
    "a usual column that leads to no file": (
        "filename,label\n000.png,cat\n",
        "line 1: there is no column path, found filename, label; the values of filename lead to no file "
        ".*'000.png'.*`root`.*`path_column`",
    ),
    "no header": (
        "im/a/000.png,cat\nim/a/001.png,cat\n",
        "line 1: .* im/a/000.png is a file, so .* names of the columns is missing",
    ),
    "fewer fields": (
        "path,split,label\nim/a/000.png,cat\n",
        r"line 2: there are fewer fields than in the header \(2, not 3\)",
    ),
    "more fields": ("path,label\nim/a/000.png,cat,dog\n", r"line 2: there are more fields .*\(3, not 2\).*quotes"),
    "a value under a header that ends in delimiters": (
        "path,score,label,\nim/a/000.png,0,5,cat\n",
        "line 2: there are more fields than in the header",
    ),
    "rows of another delimiter": ("path,label\nim/a/000.png;cat\n", "line 2: there are fewer fields"),
    "a delimiter told that is not that of the file": ("sep=;\npath,label\n" + ROWS, "line 2: there is no column path"),
    "a delimiter told that there isn't": ("sep=x\npathxlabel\n", "line 1: sep=x names an unknown delimiter"),
    "two delimiters that could be meant": (
        "file;x,path\nim/a/000.png;x,y\n",
        "could be separated by commas or semicolons",
    ),
    "a quote inside a text without quotes": (
        'path,label\nim/a/000.png,cat"\n',
        "line 2: a quote is inside a text that isn't in quotes",
    ),
    "a header that ends in delimiters, and rows that are shorter": (
        "path,dog,label,id,\nim/a/000.png,cat,1,73\nim/a/001.png,cat,2,74\n",
        "line 2: there are 4 fields .empty ones included., but the header has 5",
    ),
    "lines that end in two ways": (
        "path,label\rim/a/000.png,cat\rim/a/001.png,two\nlines\r",
        "line 3: some lines end with a carriage return only",
    ),
    "delimiters at the end of some rows": (
        "path,label,split\nim/a/000.png,a,b,\nim/a/001.png,a,\nim/b/000.png,b,\n",
        "line 2: there are 4 fields .empty ones included., but the header has 3",
    ),
    "an address of the web": (
        "path,label\nhttps://example.org/im/a/000.png,cat\n",
        "line 2: https://example.org/im/a/000.png is an address.*download",
    ),
    "an address of no kind": ("path\nfile://[x/im/a/000.png\nhttp://\n", "line 3: http:// is an address"),
    "an address of a cloud": ("path\ns3://bucket/im/a/000.png\n", "line 2: s3://.* is an address"),
    "a NUL character": ("path,label\nim/a/000.png,cat\nim/a/001.png,c\0t\n", "line 3: there is a NUL character"),
    "UTF-16 without its mark": (("path,label\n" + ROWS).encode("utf-16-le"), "probably UTF-16-LE"),
    "UTF-16 that is cut off": (codecs.BOM_UTF16_LE + b"p\0a\0t", "begins like UTF-16, but is not"),
    "a workbook": (b"PK\3\4\0\0\0\0xl/workbook.xml", "ZIP archive, as .xlsx"),
    "one path under two labels": (
        "path,label\nim/a/000.png,cat\nim/a/000.png,dog\n",
        "line 3: im/a/000.png is already on line 2",
    ),
    "one file under two spellings and labels": (
        "path,label\nim/a/000.png,cat\nim/../im/a/000.png,dog\n",
        r"line 3: im/\.\./im/a/000\.png is the same file as im/a/000\.png on line 2, under another label",
    ),
    "one file in two splits": (
        "path,label,split\nim/a/000.png,cat,train\nim/../im/a/000.png,cat,test\n",
        "line 3: .* the same file",
    ),
    "one file with / and backslashes": (
        "path,label\nim/a/000.png,cat\nim\\a\\000.png,dog\n",
        "line 3: im/a/000.png is already on line 2",
    ),
    "blanks for a path": ("path,label\n  ,cat\n", "line 2: the path is empty"),
    "a path that is longer than any field may be": ("path\n" + "x" * 200_000 + "\n", "line 2: this is not valid CSV"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_certain_is_refused_with_its_line(content: str | bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        read(content)
    assert "\n" not in str(caught.value)
    assert str(Path("list.csv").absolute()) in str(caught.value)


@pytest.mark.parametrize(
    ("label", "encoding", "reading"),
    [
        ("Straße", "cp1252", "cp1252 reads 'Straße'"),
        ("Käfer", "cp850", "cp850 reads 'Käfer'"),
        ("żółw", "cp1250", "cp1250 reads 'żółw'"),
        ("кот", "cp1251", "cp1251 reads 'кот'"),
        ("猫の子", "cp932", "cp932 reads '猫の子'"),
        ("dog’s – bed", "cp1252", "cp1252 reads 'dog’s – bed'"),
    ],
)
@pytest.mark.parametrize("column", ["label", "split"])
def test_a_name_that_is_no_utf8_is_refused_with_the_encoding_that_reads_it(
    label: str, encoding: str, reading: str, column: str
) -> None:
    with pytest.raises(SourceError, match=f"line 2: the {column} .*{reading}.*save the file as UTF-8"):
        read(f"path,{column}\nim/a/000.png,".encode() + label.encode(encoding) + b"\n")


def test_a_group_may_be_a_part_of_a_path_and_so_any_bytes() -> None:
    found = read(b"path,group\nim/a/000.png,k\xe4fer\n")
    assert found.groups == (os.fsdecode(b"k\xe4fer"),)


def test_a_path_may_be_any_bytes_and_is_found_in_other_encodings() -> None:
    """A CSV in Latin-1 beside files that are named in UTF-8, and a file that is named in Latin-1."""
    found = read("path,label\nim/b/käfer 1.png,dog\n".encode("cp1252"))
    assert labels(found) == {"im/b/käfer 1.png": "dog"}
    assert "1 path read in cp1252" in found.notes[0]
    try:
        Path(os.fsdecode(b"im/b/k\xe4fer.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert read(b"path\nim/b/k\xe4fer.png\n").paths == (os.fsdecode(b"im/b/k\xe4fer.png"),)


def test_a_path_in_another_unicode_form_is_found() -> None:
    found = read("path,label\nim/b/ka\u0308fer 1.png,dog\n")
    assert labels(found) == {"im/b/käfer 1.png": "dog"}
    with pytest.raises(SourceError, match=r"line 3: .*käfer 1\.png is already on line 2"):
        read("path,label\nim/b/käfer 1.png,dog\nim/b/ka\u0308fer 1.png,cat\n")


OTHER_NAMES = {
    "a hard link": "hard.png",
    "a symbolic link": "soft.png",
    # As on a disk that doesn't tell them apart, where both names lead to the same file too.
    "capital letters": "IM/A/000.PNG",
    "another Unicode form": "im/b/ka\u0308fer 1.png",
}


@pytest.mark.parametrize("other", OTHER_NAMES.values(), ids=OTHER_NAMES.keys())
def test_a_file_under_two_names_has_one_row_or_is_refused(other: str, caplog: pytest.LogCaptureFixture) -> None:
    first = "im/b/käfer 1.png" if "fer" in other else "im/a/000.png"
    Path(other).parent.mkdir(parents=True, exist_ok=True)
    if other == "soft.png":
        Path(other).symlink_to(first)
    elif not Path(other).exists():
        os.link(first, other)
    assert labels(read(f"path,label\n{first},cat\n{other},cat\nim/b/000.png,dog\n")) == {
        first: "cat",
        "im/b/000.png": "dog",
    }
    assert f"files named a second time are left out, on 1 line (the first is line 3: {other} is" in caplog.text
    with pytest.raises(SourceError, match=f"line 3: {other} is the same file as {first} on line 2"):
        read(f"path,label\n{first},cat\n{other},dog\n")


def test_a_file_that_is_there_as_written_is_taken_as_written() -> None:
    """Whatever other readings of the path lead to."""
    odd = ["im\\a\\000.png", " im/a/000.png", "'x'.png", "a%20b.png", "im/a/000", "two\nlines.png"]
    for path in odd:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("odd")
    Path("a b.png").write_text("plain")
    quoted = ['"two\nlines.png"' if "\n" in path else path for path in odd]
    found = read("path,label\n" + "".join(f"{path},odd\n" for path in quoted))
    assert sorted(found.paths) == sorted(path.removeprefix("./") for path in odd)
    assert set(found.sizes.tolist()) == {3}
    assert "read" not in found.notes[0]


def test_two_files_for_a_name_without_suffix_are_not_guessed() -> None:
    Path("im/a/000.json").write_text("{}")
    found = read("path,label\nim/a/000,cat\nim/a/001,cat\n")
    assert found.sizes.tolist() == [-1, 12]
    assert "on line 2, is 'im/a/000'; 000.json and 000.png exist: write the path with its suffix" in found.absent


@pytest.mark.parametrize(
    ("path", "guess"),
    [
        ("IM/A/000.PNG", "did you mean im/a/000.png?"),
        ("a/000.png", "it exists in .*im: give that folder with `root`"),
        ("C:\\Users\\me\\im\\a\\000.png", "on a Windows drive"),
        ("nowhere.png", "'nowhere.png'$"),
        ("x" * 5000, r"'x{200}\.\.\.'$"),
        ("~nobody-of-this-name/x.png", "x.png'$"),
    ],
)
def test_a_path_that_leads_nowhere_gets_a_guess(
    path: str, guess: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path / "im")
    (found,) = find(write(f"path,label\n{path},cat\nim/b/000.png,dog\n", "../list.csv"))
    assert re.search(guess, found.absent)
    assert found.sizes.min() == -1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter any folder")
def test_a_path_into_a_locked_folder_is_told() -> None:
    Path("im/a").chmod(0)
    try:
        assert "you have no right to enter its folder" in read("path\nim/a/000.png\nim/b/000.png\n").absent
    finally:
        Path("im/a").chmod(0o700)


def test_other_columns_and_another_root(tmp_path: Path) -> None:
    """Ids without a suffix, as competitions give them, beside a folder of images."""
    text = "id_code,diagnosis,label\n000,2,x\n001,0,x\n"
    options = {"path_column": "id_code", "label_column": "Diagnosis", "root": Path("im/a")}
    found = read(text, **options)
    assert labels(found) == {"000.png": "2", "001.png": "0"}
    assert (found.root, found.name) == (tmp_path / "im/a", "list")
    with pytest.raises(SourceError, match="line 1: there is no column code; choose one of id_code, diagnosis, label"):
        read(text, **options | {"path_column": "code"})
    with pytest.raises(SourceError, match="line 1: there is no column class"):
        read(text, **options | {"label_column": "class"})
    for root in ("nowhere", "~nobody-of-this-name", "im/a/000.png"):
        with pytest.raises(SourceError, match=f"`root={root}` is not a folder"):
            read(text, **options | {"root": Path(root)})
    with pytest.raises(UsageError, match="`root` work only with a CSV file"):
        find("im", table=TableOptions(root=Path("im")))


def test_a_delimiter_is_found_by_the_column_that_was_named() -> None:
    found = read("code;what\nim/a/000.png;cat\n", path_column="code", label_column="what")
    assert labels(found) == {"im/a/000.png": "cat"}


def test_a_tsv_is_a_table_too() -> None:
    (found,) = find(write("path\tlabel\nim/a/000.png\tcat\n", "list.TSV"))
    assert labels(found) == {"im/a/000.png": "cat"}


def test_labels_stay_texts_and_doubtful_ones_are_told(caplog: pytest.LogCaptureFixture) -> None:
    found = read("path,label\nim/a/000.png,nan\nim/a/001.png,01\nim/b/000.png, 1 \nim/b/käfer 1.png,1.0\n")
    assert list(labels(found).values()) == ["nan", "01", "1", "1.0"]
    assert (
        "'nan' is taken as a class, with 1 image; if it means that there is no label, leave the label empty"
        in caplog.text
    )
    assert "'01' and '1' and '1.0' differ" in caplog.text


def test_no_labels_are_told_with_the_columns_that_there_are() -> None:
    found = read("path,cat,dog\nim/a/000.png,1,0\n")
    assert found.classes == ()
    assert (
        "no labels, because no column is called label; found path, cat, dog (choose one with `label_column`"
        in found.notes[0]
    )


def test_the_labels_of_a_fit_are_read_in_the_same_way(paint: Painter) -> None:
    store = featx.extract(paint(Path("train")), backbone="mean-colour")
    rows = "".join(f"{path};{'warm' if path.startswith('red') else 'cold'};;\n" for path in store.paths)
    text = "sep=;\npath;label\n" + rows
    model = featx.fit(store, clf="centroid", labels=write(text.encode("utf-16"), "labels.csv"))
    assert model.classes == ("cold", "warm")
    for wrong, message in {
        'path,label\nred/red 00.png,"a\nred/red 01.png,b\n': "line 2: a quote opens here and is never closed",
        "path,label,label\nred/red 00.png,a,b\n": "the column label exists twice",
        "path,label\nred/red 00.png,\udcdfa\n": "line 2: the label .*not UTF-8",
    }.items():
        with pytest.raises(SourceError, match=message):
            featx.fit(store, labels=write(wrong, "labels.csv"))


def test_extract_says_how_it_read_and_a_dry_run_counts_the_missing(
    paint: Painter,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    paint(Path("shots"), each=2)
    write("code;kind\nred/red 00.png;warm\nred\\red 01.png;warm\nblue/Blue 00.png;cold\n")
    arguments = ["extract", "list.csv", "-m", "mean-colour", "--path-column", "code", "--label-column", "kind"]

    def run(*more: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["featx", *arguments, *more])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0), capsys.readouterr().err

    code, err = run("--root", "shots", "--dry-run")
    assert code == 0
    assert "list.csv: paths from the column code, labels from kind; separated by semicolons; 1 path read with /" in err
    assert "3 images: 2 to compute, 0 to reuse, 1 known to be unreadable" in err
    assert (
        "1 of 3 files not found (the first, on line 4, is 'blue/Blue 00.png'; did you mean blue/blue 00.png?"
        in caplog.text
    )
    assert "missing blue/Blue 00.png" in err
    code, err = run("--root", "shots")
    assert (code, featx.open("artifacts/features/list-mean-colour.h5").root) == (0, str(Path("shots").absolute()))
    code, err = run()
    assert code == 1
    assert "none of the 3 files in" in err
    assert "it exists in" not in err
    assert "--root" in err
    code, err = run("--dry-run", "--out", "other.h5")
    assert code == 0
    assert "3 images: 0 to compute, 0 to reuse, 3 known to be unreadable" in err
    code, err = run("--root", "shots", "--quiet", "--out", "other.h5")
    assert "paths from" not in err


def test_a_dry_run_after_a_run_counts_each_image_once(paint: Painter) -> None:
    paint(Path("shots"), each=2)
    write("path\nshots/red/red 00.png\nshots/red/red 01.png\nshots/red/gone.png\n")
    options = {"backbones": ["mean-colour"]}
    with pytest.warns(featx.UnreadableWarning, match="1 missing"):
        extract_all("list.csv", **options)
    Path("shots/red/red 01.png").unlink()
    (plan,) = extract_all("list.csv", dry_run=True, **options)
    assert (plan.found, plan.extracted, plan.reused, plan.failed) == (3, 0, 1, 2)


def test_predict_takes_a_csv_in_its_order(paint: Painter, caplog: pytest.LogCaptureFixture) -> None:
    model = featx.fit(featx.extract(paint(Path("train")), backbone="mean-colour"), clf="centroid")
    paint(Path("new/shots"), each=2)
    write("label,path\n,shots/red/red 01.png\nx,shots/blue/blue 00.png\nx,shots/red/red 00.png\n", "new/list.csv")
    found = featx.predict(model, ["new/list.csv"])
    assert found.paths == ("new/shots/red/red 01.png", "new/shots/blue/blue 00.png", "new/shots/red/red 00.png")
    assert found.labels.tolist() == ["red", "blue", "red"]
    assert featx.predict(model, "new/shots/red").labels.tolist() == ["red", "red"]
    write("code,class,category\nred 00,,\n", "odd.csv")
    assert featx.predict(model, "odd.csv", path_column="code", root="new/shots/red").labels.tolist() == ["red"]
    caplog.set_level(logging.WARNING)
    write("path\nnew/shots/red/red 00.png\nnew/shots/Red/red 01.png\n")
    with pytest.warns(featx.UnreadableWarning, match="1 missing"):
        found = featx.predict(model, "list.csv")
    assert ([one.path for one in found.failures], len(found)) == (["new/shots/Red/red 01.png"], 1)
    assert "on line 3, is 'new/shots/Red/red 01.png'; did you mean new/shots/red/red 01.png?" in caplog.text
    with pytest.raises(UsageError, match="work only with a CSV file of images"):
        featx.predict(model, "new/shots", root="new")
    with pytest.raises(SourceError, match="line 2: a quote opens here"):
        featx.predict(model, write('path\n"new/shots/red/red 00.png\n'))


def test_score_takes_other_columns_and_another_root(paint: Painter) -> None:
    model = featx.fit(featx.extract(paint(Path("train")), backbone="mean-colour"), clf="centroid", folds=2)
    paint(Path("new/shots"), each=2, seed=1)
    rows = [(path.stem, path.parent.name) for path in sorted(Path("new/shots").rglob("*.png"))]
    file = write("code;what\n" + "".join(f"{colour}/{stem};{colour}\n" for stem, colour in rows), "new/test.csv")
    report = featx.score(model, file, path_column="code", label_column="what", root="new/shots")
    assert report.metrics.n == 6
    with pytest.raises(SourceError, match="no column path"):
        featx.score(model, file)
    for source in (None, "new/shots", featx.open(STORE)):
        with pytest.raises(UsageError, match="`root` work only with a CSV file"):
            featx.score(model, source, root="new")
