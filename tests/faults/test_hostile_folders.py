"""Folders that hold what is no image and no folder, names that are no text, and links that lead in circles."""

import contextlib
import csv
import io
import os
import socket
import stat
import threading
from pathlib import Path

import pytest

import featx
from faults.running import Program, draw


@pytest.fixture
def hostile(tmp_path: Path) -> Program:
    """Twelve good images, and everything else that can be in a folder."""
    data = draw(tmp_path / "data", each=4)
    (data / "cow/round").symlink_to(data)
    (data / "cow/itself").symlink_to("itself")
    (data / "cow/to").symlink_to("fro")
    (data / "cow/fro").symlink_to("to")
    (data / "cow/dangling.png").symlink_to("nowhere.png")
    (data / "pond/up").symlink_to("..")
    os.mkfifo(data / "pond/fifo.png")
    (data / "pond/linked fifo.png").symlink_to("fifo.png")
    (data / "pond/terminal.png").symlink_to("/dev/tty")
    (data / "pond/endless.png").symlink_to("/dev/zero")
    with contextlib.suppress(PermissionError):
        os.mknod(data / "pond/device.png", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    with socket.socket(socket.AF_UNIX) as one:
        before = Path.cwd()
        os.chdir(data / "pond")  # such a name may have some hundred bytes only
        try:
            one.bind("socket.png")
        finally:
            os.chdir(before)
    return Program(tmp_path, data, tmp_path / "cache")


def test_only_files_are_opened(hostile: Program) -> None:
    opened = threading.Event()

    def watch() -> None:
        # Comes back when somebody opens the FIFO to read it.
        os.close(os.open(hostile.source / "pond/fifo.png", os.O_WRONLY))
        opened.set()

    threading.Thread(target=watch, daemon=True).start()
    record = hostile.extract()
    assert not opened.is_set()
    assert record["extracted"] == 12
    store = featx.open(hostile.target)
    assert {failure.path: failure.reason for failure in store.failures} == {
        "cow/dangling.png": "missing",
        "cow/fro": "missing",
        "cow/itself": "missing",
        "cow/to": "missing",
    } | {failure.path: "unreadable" for failure in store.failures if failure.reason == "unreadable"}
    assert len({bytes(digest) for digest in store.digests}) == 12
    assert "nothing to do" in hostile.run()[2]


def test_a_csv_may_not_name_what_is_no_file(hostile: Program) -> None:
    for name in ("pond/fifo.png", "pond/endless.png", "pond/socket.png"):
        table = hostile.source / "list.csv"
        table.write_text(f"path,label\n{name},pond\n")
        _, _, err = hostile.run("extract", table, "--backbone", "mean-colour", code=1)
        assert "not a regular file" in err


def test_names_that_are_no_text_come_out_as_they_went_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the folder through the store, a model, predictions and an export."""
    data = draw(tmp_path / "data", each=6)
    names = [b"barn\xff/caf\xe9.png", b"pond/new\nline \xfe.png", "cow/зима 雪.png".encode()]
    try:
        (data / "barn").rename(data / os.fsdecode(b"barn\xff"))
        for name in names:
            old = sorted((data / os.fsdecode(name)).parent.iterdir())[0]
            old.rename(data / os.fsdecode(name))
    except OSError:
        pytest.skip("a file system that takes only UTF-8")
    program = Program(tmp_path, data, tmp_path / "cache")
    program.extract()
    store = featx.open(program.target)
    assert set(names) < {os.fsencode(path) for path in store.paths}
    assert os.fsencode(store.classes[0]) == b"barn\xff"
    assert all((data / path).is_file() for path in store.paths)
    monkeypatch.chdir(tmp_path)
    featx.fit(store, C=1.0)
    _, out, _ = program.run("predict", *(data / os.fsdecode(name) for name in names))
    rows = list(csv.reader(io.StringIO(out)))[1:]
    assert [os.fsencode(row[0]).removeprefix(os.fsencode(data) + b"/") for row in rows] == names
    assert {os.fsencode(row[1]) for row in rows} <= {b"barn\xff", b"pond", b"cow"}
    program.run("export", program.target, "--to", "csv", "--out", "table.csv")
    with (tmp_path / "table.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == list(store.paths)
