"""Two programs on one target, readers beside a writer, and locks where the file system has none."""

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import featx
from faults.conftest import Undisturbed
from faults.running import Program, contents, wait_for, without_privilege
from featx.store.locking import Holder, Lock

Kind = Callable[[str], Program]
SLOW = {"decoder": "slow", "seconds": 0.02}


def test_the_second_is_told_who_was_first(program: Kind, undisturbed: Callable[[str], Undisturbed]) -> None:
    there = program("whole")
    done = there.folder / "the second is done"
    with there.start(fault={"decoder": "held", "until": str(done)}) as first:
        wait_for(there.partial, first)
        _, _, err = there.run(code=1)
        done.touch()
        assert f"is being written by process {first.pid} on {socket.gethostname()}; wait" in err
        assert len(err.splitlines()) == 1
        _, err = first.communicate(timeout=60)
    assert first.returncode == 0, err
    assert contents(there.target) == undisturbed("whole").contents
    assert there.left() == [there.target.name]


def test_a_dead_program_holds_nothing(program: Kind) -> None:
    there = program("whole")
    with there.start(fault=SLOW) as first:
        wait_for(there.partial, first)
        first.kill()
        first.wait()
    assert there.target.with_name(there.target.name + ".lock").exists()
    assert there.complete().found


READER = """
import sys
from collections import Counter
import featx
seen = Counter()
print("reading", flush=True)
while not sys.stdin.closed:
    store = featx.open(sys.argv[1])
    seen[len(store)] += 1
    assert len(store.features) == len(store.paths) == len(store.labels)
    assert (store.features[:, 0] == store.features[0, 0]).all(), "rows of two stores"
    if sum(seen.values()) >= int(sys.argv[2]) and len(seen) == 2: break
print(sorted(seen))
"""


def test_readers_see_the_old_store_or_the_new_one(tmp_path: Path) -> None:
    """Each store has one colour; a reader opens it again and again while it is replaced again and again."""
    from PIL import Image

    target = tmp_path / "store.h5"
    folder = tmp_path / "data"
    folder.mkdir()

    def fill(count: int) -> None:
        for path in folder.iterdir():
            path.unlink()
        for index in range(count):
            Image.new("RGB", (8, 8), (count, 0, 0)).save(folder / f"{index:03}.png")
        featx.extract(folder, backbone="mean-colour", out=target, overwrite=True, workers=1)

    fill(20)
    old = featx.open(target)
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(target), "40"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        for count in (30, 20, 30, 20, 30):
            fill(count)
        out, err = reader.communicate(timeout=60)
    assert reader.returncode == 0, err
    assert out == "[20, 30]\n"
    assert old.features[:, 0].tolist() == [20] * 20  # still there for who has it open


def test_reading_from_read_only_media(program: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = program("whole")
    there.extract()
    before = contents(there.target)
    media = tmp_path / "media"
    media.mkdir()
    shutil.copy(there.target, media / "store.h5")
    (media / "store.h5").chmod(0o444)
    read_only = shutil.which("mount") and not any(
        subprocess.run(["mount", *options, media], capture_output=True, check=False).returncode
        for options in (["--bind", media], ["-o", "remount,ro,bind"])
    )
    media.chmod(0o555) if not read_only else None
    try:
        assert contents(media / "store.h5") == before
        there.run("info", media / "store.h5", before=without_privilege)
        _, _, err = there.run(*there.extraction, "--out", media / "new.h5", code=1, before=without_privilege)
        assert "can't be written" in err
        monkeypatch.chdir(tmp_path)
        assert featx.fit(media / "store.h5", C=1.0).classes == before["classes"]
    finally:
        if read_only:
            subprocess.run(["umount", "-l", media], check=True)
        media.chmod(0o755)
    assert [path.name for path in media.iterdir()] == ["store.h5"]


@pytest.fixture(params=[errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def no_flock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that answers so."""

    def flock(fd: int, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)


def lock_file(target: Path) -> Path:
    return target.with_name(target.name + ".lock")


@pytest.mark.usefixtures("no_flock")
def test_without_flock_the_file_is_the_lock(tmp_path: Path) -> None:
    target = tmp_path / "store.h5"
    lock = Lock(target)
    with pytest.raises(featx.StoreInUse, match=f"process {os.getpid()} on {socket.gethostname()}; .*delete"):
        Lock(target)
    lock.release()
    lock.release()
    assert list(tmp_path.iterdir()) == []
    Lock(target).release()


def dead() -> Holder:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return Holder.this()._replace(process=process.pid)


HOLDERS = {
    "dead": (dead, True),
    "its number given again": (lambda: Holder.this()._replace(start="1"), True),
    "alive": (Holder.this, False),
    "the first process": (lambda: Holder.this()._replace(process=1, start=Holder.of(1).start), False),
    "another host": (lambda: dead()._replace(host="elsewhere"), False),
    "another boot or container": (lambda: dead()._replace(place="other/pid:[1]"), False),
    "no holder": (lambda: "", False),
    "an older line": (lambda: f"process {os.getpid()} on {socket.gethostname()}\n", False),
}


@pytest.mark.usefixtures("no_flock")
@pytest.mark.parametrize("who", HOLDERS)
def test_without_flock_only_the_dead_of_this_machine_are_taken_from(tmp_path: Path, who: str) -> None:
    holder, taken = HOLDERS[who]
    target = tmp_path / "store.h5"
    lock_file(target).write_text(str(holder()))
    if taken:
        Lock(target).release()
        assert list(tmp_path.iterdir()) == []
        return
    before = lock_file(target).read_bytes()
    with pytest.raises(featx.StoreInUse, match="delete"):
        Lock(target)
    assert lock_file(target).read_bytes() == before


@pytest.mark.usefixtures("no_flock")
def test_without_flock_one_of_many_gets_it(tmp_path: Path) -> None:
    """Also where all of them find a dead process's lock at once."""
    target = tmp_path / "store.h5"
    for _ in range(20):
        lock_file(target).write_text(str(dead_once()))
        barrier, got = threading.Barrier(4), []

        def take(barrier: threading.Barrier = barrier, got: list[Lock] = got) -> None:
            barrier.wait()
            with contextlib.suppress(featx.StoreInUse):
                got.append(Lock(target))

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1
        got[0].release()
        assert list(tmp_path.iterdir()) == []


def dead_once(known: list[Holder] = []) -> Holder:  # noqa: B006  (one dead process will do)
    if not known:
        known.append(dead())
    return known[0]


def test_with_flock_the_line_in_the_file_is_for_people_only(tmp_path: Path) -> None:
    """The machine that wrote it may have been renamed, or have been another: the lock itself says that it is free."""
    target = tmp_path / "store.h5"
    lock_file(target).write_text(str(Holder.this()._replace(host="elsewhere")))
    Lock(target).release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_flock")
def test_an_extraction_without_flock(program: Kind, undisturbed: Callable[[str], Undisturbed]) -> None:
    there = program("whole")
    there.complete()
    assert contents(there.target) == undisturbed("whole").contents
    assert np.isfinite(featx.open(there.target).features).all()
    assert there.left() == [there.target.name]
