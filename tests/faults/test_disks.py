"""Disks that are full, small or broken, and a folder of images that changes while it is read."""

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import featx
from faults.conftest import Undisturbed
from faults.running import FOUND, SYNC, Program, contents, wait_for, without_privilege

Kind = Callable[[str], Program]
Expected = Callable[[str], Undisturbed]

# 12 KB a row: some 3 MB in all.
LARGE = ("--pooling", "none")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=9m", "none", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@contextlib.contextmanager
def ballast(disk: Path, *, free: int = 0) -> Iterator[None]:
    """Fill a disk, all but so many bytes."""
    file = disk / "ballast"
    size = shutil.disk_usage(disk).free - free
    with file.open("wb", buffering=0) as written, contextlib.suppress(OSError):
        while (left := size - written.tell()) > 0:
            written.write(bytes(min(left, 4096)))
    yield
    file.unlink()


@pytest.mark.parametrize("kind", ["whole", "holed"])
def test_a_disk_that_is_full_at_any_time(program: Kind, small_disk: Path, kind: str) -> None:
    there = program(kind)
    (there.folder / "artifacts").symlink_to(small_disk)
    command = (*there.extraction, *LARGE, "--json")
    with ballast(small_disk, free=2_000_000):
        _, _, err = there.run(*command, code=1)
        assert "no space for the 3 MB of its features" in err
        assert len(err.splitlines()) == 1
        assert there.left() == []
    with there.start(*command, fault={"decoder": "slow", "seconds": 0.005, "sync": SYNC}) as process:
        wait_for(there.partial, process)
        with ballast(small_disk):  # what is being filled has its space already
            _, err = process.communicate(timeout=60)
    assert process.returncode == (0 if kind == "whole" else 1)
    if kind == "holed":  # which needs a second file
        assert "no space for the finished store" in err
        assert there.left() == [there.partial.name]
        assert '"extracted": 0' in there.run(*command)[1]
    else_where = program(kind).folder / "else.h5"
    there.run(*there.extraction, *LARGE, "--out", else_where)
    assert contents(there.target) == contents(else_where)


def test_files_that_may_not_be_large(program: Kind) -> None:
    there = program("whole")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    _, _, err = there.run(*there.extraction, *LARGE, code=1, before=limit)
    assert "files can't be so large here" in err
    assert there.left() == []


@pytest.mark.parametrize("phase", ["plan", "fill", "seal"])
def test_a_disk_that_refuses(program: Kind, undisturbed: Expected, phase: str) -> None:
    """ENOSPC or EIO from a call in the middle: one clear line, and the next run completes what there is."""
    there, before = program("holed"), undisturbed("holed")
    for at in (2, before.phases.count(phase) * 2 // 3):
        fault = {"phase": phase, "at": at, "how": "refuse", "sync": 0}
        code, _, err = there.run(code=None, fault=fault)
        assert code in (0, 1)  # a lock that can't be signed is no reason to refuse
        assert "Traceback" not in err
        if code:
            assert err.splitlines()[-1].startswith("featx: ")
            assert str(there.target) in err
        else:
            there.target.unlink()
    there.complete()
    assert contents(there.target) == before.contents
    assert there.left() == [there.target.name]


def test_images_that_go_while_they_are_read(own: Program) -> None:
    """No longer readable, or no longer there: failures of this run, and rows as soon as they are back."""
    images = sorted(own.source.rglob("*.png"))
    gone, forbidden = images[-40:-20], images[-20:]
    kept = [path.read_bytes() for path in gone]
    times = [path.stat().st_mtime_ns for path in gone]
    fault = {"decoder": "slow", "seconds": 0.02, "sync": SYNC}
    with own.start(fault=fault, before=without_privilege) as process:
        wait_for(own.partial, process)
        for path in gone:
            path.unlink()
        for path in forbidden:
            path.chmod(0)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    store = featx.open(own.target)
    reasons = {failure.path: failure.reason for failure in store.failures}
    assert reasons == {
        **{str(path.relative_to(own.source)): "missing" for path in gone},
        **{str(path.relative_to(own.source)): "unreadable" for path in forbidden},
    }
    assert len(store) == FOUND - 40

    # The disk that was gone is back, with the very same files.
    for path, data, mtime_ns in zip(gone, kept, times, strict=True):
        path.write_bytes(data)
        os.utime(path, ns=(mtime_ns, mtime_ns))
    for path in forbidden:
        path.chmod(0o644)
    record = own.extract()
    assert (record["extracted"], record["reused"], record["failed"]) == (40, FOUND - 40, 0)
    own.run(*own.extraction, "--out", "else.h5")
    assert contents(own.target) == contents(own.folder / "else.h5")
    assert "nothing to do" in own.run()[2]


def test_a_folder_that_may_not_be_written(program: Kind) -> None:
    there = program("whole")
    there.extract()
    before = there.target.read_bytes()
    there.target.parent.chmod(0o555)
    try:
        code, _, err = there.run(*there.extraction, "--overwrite", code=None, before=without_privilege)
        assert code == 1
        assert "Permission denied" in err
        assert there.target.read_bytes() == before
        assert "nothing to do" in there.run(before=without_privilege)[2]
    finally:
        there.target.parent.chmod(0o755)
