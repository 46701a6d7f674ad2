"""The feature store: what goes in comes out, whatever happens in between."""

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featx.errors import StoreError, StoreInUse
from featx.manifest import Failure, Manifest
from featx.spec import ExtractionSpec
from featx.store import FeatureStore, Partial, Provenance, open_store, partial_path, plan, rows_of

SPEC = ExtractionSpec(backbone="mean-colour", weights="sha256:0", image_size=(8, 8), preprocessing="none")
PROVENANCE = Provenance(weights_source="none", runtime="numpy", precision="float32")
WIDTH = 6
DOCUMENT = Path(__file__).parents[1] / "docs" / "feature-store.md"


def manifest(folder: Path, n: int, *, paths: tuple[str, ...] | None = None, **changes: object) -> Manifest:
    paths = paths if paths is not None else tuple(f"{'ab'[2 * i // n]}/image {i:06}.jpg" for i in range(n))
    fields: dict[str, object] = {
        "source": folder / "data",
        "root": folder / "data",
        "name": "data",
        "split": None,
        "paths": paths,
        "labels": (np.arange(len(paths)) % 2).astype(np.int32),
        "classes": ("a", "b"),
        "groups": None,
        "sizes": np.arange(len(paths), dtype=np.int64) + 100,
        "mtimes_ns": np.arange(len(paths), dtype=np.int64) * 10**9 + 7,
    }
    return Manifest(**(fields | changes))  # type: ignore[arg-type]


def rows(slots: np.ndarray, *, width: int = WIDTH) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features, digests, sizes and times that follow from the slots alone."""
    features = np.sin(slots[:, None] * 0.37 + np.arange(width)).astype(np.float32)
    digests = np.stack([np.random.default_rng(slot).integers(0, 256, 32, dtype=np.uint8) for slot in slots.tolist()])
    return features, digests, slots + 100, slots * 10**9 + 7


def begin(target: Path, images: Manifest, *, spec: ExtractionSpec = SPEC, width: int = WIDTH) -> Partial:
    return plan(target, images, spec, feature_shape=(width,), provenance=PROVENANCE)


def fill(partial: Partial, slots: np.ndarray | None = None, *, batch: int = 7, reused: bool = False) -> None:
    slots = partial.pending if slots is None else slots
    width = partial._layout.places["features"].shape[1]
    for first in range(0, len(slots), batch):
        some = slots[first : first + batch]
        partial.write(some, *rows(some, width=width), reused=reused)


def failure(path: str, **changes: object) -> Failure:
    fields = {"reason": "truncated", "message": "cut off", "digest": "ab" * 32, "size": 5, "mtime_ns": 6}
    return Failure(path=path, **(fields | changes))  # type: ignore[arg-type]


def make(target: Path, n: int = 50, *, failed: tuple[int, ...] = ()) -> FeatureStore:
    images = manifest(target.parent, n)
    with begin(target, images) as partial:
        fill(partial, np.setdiff1d(partial.pending, failed))
        return partial.seal([failure(images.paths[slot]) for slot in failed])


def contents(store: FeatureStore) -> tuple[object, ...]:
    return (
        store.features.tobytes(),
        store.labels.tobytes(),
        store.digests.tobytes(),
        store.sizes.tobytes(),
        store.mtimes_ns.tobytes(),
        store.checksums.tobytes(),
        store.paths,
        store.failures,
    )


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_round_trip(tmp_path: Path) -> None:
    images = manifest(tmp_path, 50, split="val", groups=tuple(f"g{i % 3}" for i in range(50)))
    target = tmp_path / "new" / "data.h5"
    with plan(target, images, SPEC, feature_shape=(1, 2, 3), provenance=PROVENANCE) as partial:
        assert len(partial) == 50
        assert partial.pending.tolist() == list(range(50))
        fill(partial, np.arange(20), reused=True)
        assert (partial.done, len(partial.pending)) == (20, 30)
        fill(partial)
        store = partial.seal([])
    features, digests, sizes, mtimes_ns = rows(np.arange(50))
    np.testing.assert_array_equal(store.features, features)
    np.testing.assert_array_equal(store.digests, digests)
    np.testing.assert_array_equal(store.sizes, sizes)
    np.testing.assert_array_equal(store.mtimes_ns, mtimes_ns)
    np.testing.assert_array_equal(store.labels, images.labels)
    assert (store.paths, store.classes, store.groups) == (images.paths, images.classes, images.groups)
    assert (store.spec, store.fingerprint) == (SPEC, SPEC.fingerprint)
    assert (store.name, store.split, store.root) == ("data", "val", str(images.root))
    assert (store.weights_source, store.runtime, store.precision) == ("none", "numpy", "float32")
    assert (store.found, store.extracted, store.reused, store.failed) == (50, 30, 20, 0)
    assert store.feature_shape == (1, 2, 3)
    assert store.class_counts == {"a": 25, "b": 25}
    assert len(store) == 50
    assert "mean-colour" in repr(store)
    assert left_over(target.parent) == ["data.h5"]


def test_features_are_a_read_only_map(tmp_path: Path) -> None:
    store = make(tmp_path / "data.h5")
    assert isinstance(store.features, np.memmap)
    assert store.features.flags.aligned
    for array in (store.features, store.labels, store.digests, store.sizes, store.mtimes_ns):
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_plain_h5py_by_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(tmp_path / "store.h5", failed=(3,))
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(import h5py.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    found: dict[str, object] = {}
    exec(example, found)
    np.testing.assert_array_equal(found["X"], store.features)
    np.testing.assert_array_equal(found["y"], store.labels)
    assert tuple(found["paths"]) == store.paths  # type: ignore[arg-type]
    assert tuple(found["classes"]) == store.classes  # type: ignore[arg-type]
    assert found["spec"]["backbone"] == SPEC.backbone  # type: ignore[index]


def test_digests_by_the_documentation(tmp_path: Path) -> None:
    """The document's own recipes for the checksums and the content digest, run on a store."""
    store = make(tmp_path / "store.h5", failed=(3, 4))
    (recipe,) = re.findall(r"```python\n(import hashlib.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    found: dict[str, object] = {"path": store.path}
    exec(recipe, found)
    assert found["content_digest"] == store.content_digest
    np.testing.assert_array_equal(found["checksums"], store.checksums)


def test_the_documentation_names_every_member(tmp_path: Path) -> None:
    make(tmp_path / "store.h5", failed=(3,))
    text = DOCUMENT.read_text()
    with h5py.File(tmp_path / "store.h5") as file:
        names = [*file.attrs, *file, *(f"failures/{name}" for name in file["failures"])]
        assert not [name for name in names if f"`{name}`" not in text and f"`/{name}`" not in text]
        assert file.id.get_create_plist().get_version()[0] == 0  # the superblock that HDF5 1.8 reads
        assert file["features"].chunks is None
        assert file["features"].compression is None
        assert file["features"].dtype == "<f4"


def test_failures_never_move_a_row(tmp_path: Path) -> None:
    failed = (0, 1, 17, 49)
    store = make(tmp_path / "data.h5", failed=failed)
    kept = np.setdiff1d(np.arange(50), failed)
    images = manifest(tmp_path, 50)
    np.testing.assert_array_equal(store.features, rows(kept)[0])
    np.testing.assert_array_equal(store.digests, rows(kept)[1])
    np.testing.assert_array_equal(store.labels, images.labels[kept])
    assert store.paths == tuple(images.paths[slot] for slot in kept)
    assert store.failures == tuple(failure(images.paths[slot]) for slot in failed)
    assert (store.found, store.extracted, store.failed) == (50, 46, 4)
    assert left_over(tmp_path) == ["data.h5"]


@pytest.mark.parametrize("n", [1, 5])
def test_nothing_but_failures_is_an_ordinary_empty_array(tmp_path: Path, n: int) -> None:
    images = manifest(tmp_path, n)
    unknown = [failure(path, digest=None, message="two\nlines\0 and more", size=-1) for path in images.paths]
    with begin(tmp_path / "data.h5", images) as partial:
        store = partial.seal(unknown[::-1])
    assert store.features.shape == (0, WIDTH)
    assert store.features.dtype == np.float32
    assert (store.paths, len(store)) == ((), 0)
    assert [one.path for one in store.failures] == list(images.paths)
    assert store.failures[0].digest is None
    assert store.failures[0].message == "two lines and more"
    assert open_store(store.path).class_counts == {"a": 0, "b": 0}


@pytest.mark.parametrize("given", [(), (1,), (1, 2, 3), (2, 2)])
def test_failures_must_be_those_of_the_pending_slots(tmp_path: Path, given: tuple[int, ...]) -> None:
    images = manifest(tmp_path, 5)
    with begin(tmp_path / "data.h5", images) as partial:
        fill(partial, np.array([0, 3, 4]))
        with pytest.raises(RuntimeError, match="2 slots"):
            partial.seal([failure(images.paths[slot]) for slot in given])
    assert not (tmp_path / "data.h5").exists()


def test_a_row_is_written_once_and_whole(tmp_path: Path) -> None:
    with begin(tmp_path / "data.h5", manifest(tmp_path, 5)) as partial:
        fill(partial, np.array([2]))
        with pytest.raises(ValueError, match="written again"):
            fill(partial, np.array([1, 2]))
        with pytest.raises(ValueError, match="features of shape"):
            partial.write(np.array([3]), *rows(np.array([3]), width=WIDTH + 1), reused=False)
        assert partial.pending.tolist() == [0, 1, 3, 4]


def test_slots_in_any_order(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(50)
    with begin(tmp_path / "other.h5", manifest(tmp_path, 50)) as partial:
        fill(partial, order)
        assert contents(partial.seal([])) == contents(make(tmp_path / "data.h5"))


names = st.binary(min_size=1, max_size=30).filter(lambda name: b"\0" not in name).map(os.fsdecode)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=st.lists(names, min_size=1, max_size=6, unique=True), group=names, kept=st.integers(0, 5))
def test_names_of_any_bytes(tmp_path: Path, paths: list[str], group: str, kept: int) -> None:
    paths = ["new\nline.jpg", "b\udcff\udcfe.jpg", "зима/雪.png", *paths]
    unique = tuple(sorted(set(paths), key=os.fsencode))
    root = tmp_path / "m\udce4rz"
    images = manifest(
        root, 0, paths=unique, groups=(group,) * len(unique), classes=("a", "b\udcff"), split="\udcfe", name="\udcfd"
    )
    target = tmp_path / "data.h5"
    with begin(target, images) as partial:
        fill(partial, np.arange(min(kept, len(unique))))
        store = partial.seal([failure(unique[slot]) for slot in partial.pending.tolist()])
    assert (*store.paths, *(one.path for one in store.failures)) == unique
    assert store.groups == (group,) * len(store)
    assert (store.classes, store.split, store.name) == (images.classes, images.split, images.name)
    assert store.root == str(images.root)
    with h5py.File(target) as file:
        assert all(text.isprintable() or "\n" in text or text for text in file["paths"].asstr()[:])


def test_a_name_with_a_nul_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="NUL"):
        begin(tmp_path / "data.h5", manifest(tmp_path, 2, groups=("a", "b\0")))
    assert left_over(tmp_path) == []


def test_resumed_after_leaving_in_the_middle(tmp_path: Path) -> None:
    images, target = manifest(tmp_path, 50), tmp_path / "data.h5"
    with begin(target, images) as partial:
        fill(partial, np.arange(10, 30))
    assert left_over(tmp_path) == ["data.h5.partial"]
    with pytest.raises(StoreError, match=r"unfinished \(20 of 50"):
        open_store(partial_path(target))
    with begin(target, images) as partial:
        assert partial.done == 20
        fill(partial)
        assert contents(partial.seal([])) == contents(make(tmp_path / "undisturbed.h5"))


OTHER_PLANS = {
    "spec": (SPEC.__class__(backbone="other", weights="", image_size=(8, 8), preprocessing="none"), {}),
    "size": (SPEC, {"sizes": np.full(50, 3, np.int64)}),
    "time": (SPEC, {"mtimes_ns": np.full(50, 3, np.int64)}),
    "labels": (SPEC, {"labels": np.zeros(50, np.int32)}),
    "classes": (SPEC, {"classes": ("a", "c")}),
    "groups": (SPEC, {"groups": ("g",) * 50}),
    "root": (SPEC, {"root": Path("/elsewhere")}),
    "split": (SPEC, {"split": "test"}),
    "paths": (SPEC, {"paths": tuple(f"other {i}" for i in range(50))}),
}


@pytest.mark.parametrize("what", OTHER_PLANS)
def test_another_plan_begins_anew(tmp_path: Path, what: str) -> None:
    spec, changes = OTHER_PLANS[what]
    target = tmp_path / "data.h5"
    with begin(target, manifest(tmp_path, 50)) as partial:
        fill(partial)
    with begin(target, manifest(tmp_path, 50, **changes), spec=spec) as partial:
        assert partial.done == 0
    with begin(target, manifest(tmp_path, 50, **changes), spec=spec) as partial:
        fill(partial)
    with begin(target, manifest(tmp_path, 50, **changes), spec=spec) as partial:
        assert partial.done == 50


ROWS_DAMAGED = ("features", "digests", "checksums", "status")


@pytest.mark.parametrize("damage", ["text", "cut", "empty", "spec", "paths", *ROWS_DAMAGED])
def test_a_damaged_partial_costs_its_damaged_rows_only(tmp_path: Path, damage: str) -> None:
    images, target = manifest(tmp_path, 50), tmp_path / "data.h5"
    with begin(target, images) as partial:
        fill(partial, np.arange(40))
        places = partial._layout.places
    path = partial_path(target)
    data = bytearray(path.read_bytes())
    whole_file = {
        "text": bytearray(b"no HDF5"),
        "cut": data[:-1],
        "empty": bytearray(),
        "spec": data.replace(b"mean-", b"meal-"),
    }
    spoiled = whole_file.get(damage)
    if spoiled is None:
        spoiled, place = data, places[damage]
        spoiled[place.offset + 5 * place.row_nbytes] ^= 0x44
    path.write_bytes(spoiled)
    with begin(target, images) as partial:
        assert partial.done == (39 if damage in ROWS_DAMAGED else 0)
        fill(partial)
        assert contents(partial.seal([])) == contents(make(tmp_path / "undisturbed.h5"))


def test_rows_of_older_stores(tmp_path: Path) -> None:
    sealed, target = make(tmp_path / "old.h5", failed=(3,)), tmp_path / "data.h5"
    with begin(target, manifest(tmp_path, 50)) as partial:
        fill(partial, np.arange(20, 30))
    wanted = rows(np.array([21, 3, 60, 40]))[1]
    for path, known in ((sealed.path, [True, False, False, True]), (partial_path(target), [True, False, False, False])):
        old = rows_of(path, fingerprint=SPEC.fingerprint)
        assert old is not None
        at = old.find(wanted)
        assert (at >= 0).tolist() == known
        np.testing.assert_array_equal(old.features[at[0]], rows(np.array([21]))[0][0])
        assert old.feature_shape == (WIDTH,)
        assert rows_of(path, fingerprint="0" * 64) is None
    with begin(target, manifest(tmp_path, 60)):  # replaces what `old` still reads
        np.testing.assert_array_equal(old.features[at[0]], rows(np.array([21]))[0][0])
    with begin(target, manifest(tmp_path, 60)) as partial:
        empty = rows_of(partial.path, fingerprint=SPEC.fingerprint)
        assert empty is not None
        assert (empty.find(wanted) == -1).all()
    assert rows_of(tmp_path / "none.h5", fingerprint=SPEC.fingerprint) is None


def test_a_damaged_row_is_not_copied(tmp_path: Path) -> None:
    store = make(tmp_path / "data.h5")
    flip(store.path, features_offset(store.path) + 7 * WIDTH * 4)
    old = rows_of(store.path, fingerprint=SPEC.fingerprint)
    assert old is not None
    assert sorted(old.rows.tolist()) == [row for row in range(50) if row != 7]


def features_offset(path: Path) -> int:
    with h5py.File(path) as file:
        return int(file["features"].id.get_offset())


def flip(path: Path, offset: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(data)


CHILD = """
import os, signal, sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
import test_store as t
from featx.store import layout, partial
partial.SYNC_SECONDS = 0.002
target, n, failed = Path({target!r}), {n}, {failed}
images = t.manifest(target.parent, n)
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
at = {at!r}
with t.begin(target, images) as filling:
    print("begun", flush=True)
    for slot in filling.pending.tolist():
        if slot not in failed:
            t.fill(filling, t.np.array([slot]))
            if at == "random": time.sleep(0.0005)
    if at == "digest":  # the attributes but the last are written
        real = partial.hdf5.modify
        partial.hdf5.modify = lambda path, values: die() if "content_digest" in values else real(path, values)
    elif at == "rename": partial.Path.replace = die
    elif at == "folder": partial.sync_folder = die
    filling.seal([t.failure(images.paths[slot]) for slot in failed])
"""


def killed(target: Path, n: int, failed: tuple[int, ...], at: str, delay: float = 0.0) -> None:
    code = CHILD.format(tests=str(Path(__file__).parent), target=str(target), n=n, failed=failed, at=at)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"begun\n"
        if at == "random":
            time.sleep(delay)
            child.kill()
        child.wait(30)
    assert child.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("delay", "failed"), [(0.1, ()), (0.3, (4, 150))])
def test_killed_while_filling(tmp_path: Path, delay: float, failed: tuple[int, ...]) -> None:
    target = tmp_path / "data.h5"
    killed(target, 2000, failed, "random", delay)
    assert partial_path(target).exists()
    assert not target.exists()
    images = manifest(tmp_path, 2000)
    with begin(target, images) as partial:  # the dead process's lock is no hindrance
        assert 0 < partial.done < 2000 - len(failed)
        fill(partial, np.setdiff1d(partial.pending, failed))
        store = partial.seal([failure(images.paths[slot]) for slot in failed])
    assert contents(store) == contents(make(tmp_path / "undisturbed.h5", 2000, failed=failed))


@pytest.mark.parametrize(
    ("at", "failed"), [("digest", ()), ("rename", ()), ("rename", (4, 15)), ("folder", ()), ("folder", (4, 15))]
)
def test_killed_while_sealing(tmp_path: Path, at: str, failed: tuple[int, ...]) -> None:
    target = tmp_path / "data.h5"
    killed(target, 50, failed, at)
    undisturbed = contents(make(tmp_path / "undisturbed.h5", failed=failed))
    assert target.exists() == (at == "folder")
    if target.exists():
        assert contents(open_store(target)) == undisturbed
    if partial_path(target).exists():
        images = manifest(tmp_path, 50)
        with begin(target, images) as partial:
            assert partial.pending.tolist() == list(failed)
            assert contents(partial.seal([failure(images.paths[slot]) for slot in failed])) == undisturbed
    assert not partial_path(target).exists()


@pytest.fixture
def small_disk(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        not shutil.which("mount")
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("no right to mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_is_an_error_beforehand(small_disk: Path) -> None:
    images, target = manifest(small_disk, 100), small_disk / "data.h5"
    with begin(target, images, width=1000) as partial:  # 400 KB
        fill(partial, np.arange(60))
    with pytest.raises(StoreError, match="no space for the 4 MB"):
        begin(target, images, width=10_000)
    assert left_over(small_disk) == ["data.h5.partial"]
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    with begin(target, images, width=1000) as partial:  # its own space is reserved
        assert partial.done == 60
        fill(partial, np.arange(60, 99))
        with pytest.raises(StoreError, match="no space for the finished store"):
            partial.seal([failure(images.paths[99])])
    assert left_over(small_disk) == ["ballast", "data.h5.partial"]
    with begin(target, images, width=1000) as partial:
        assert partial.done == 99
        fill(partial)
        assert len(partial.seal([])) == 100


def test_a_file_size_limit_is_an_error_beforehand(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(StoreError, match="files can't be so large"):
            begin(tmp_path / "data.h5", manifest(tmp_path, 100), width=1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left_over(tmp_path) == []


def test_where_the_system_reserves_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    monkeypatch.setattr("featx.store.disk.ZEROS", 1000)
    store = make(tmp_path / "data.h5", failed=(3,))
    assert store.path.stat().st_blocks * 512 >= store.features.nbytes
    assert contents(store)[0] == rows(np.setdiff1d(np.arange(50), [3]))[0].tobytes()


def test_statuses_are_never_written_after_a_failed_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, target = manifest(tmp_path, 50), tmp_path / "data.h5"

    def refuse(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with begin(target, images) as partial:
        fill(partial, np.arange(10))
        partial.flush()
        fill(partial, np.arange(10, 20))
        with monkeypatch.context() as patched:
            patched.setattr("featx.store.partial.sync", refuse)
            with pytest.raises(StoreError, match="Input/output"):
                partial.flush()
        with pytest.raises(StoreError, match="writing to the disk failed earlier"):
            partial.flush()
    with begin(target, images) as partial:
        assert partial.done == 10


def test_two_writers(tmp_path: Path) -> None:
    images, target = manifest(tmp_path, 5), tmp_path / "data.h5"
    with begin(target, images) as partial:
        fill(partial)
        with pytest.raises(StoreInUse, match=f"process {os.getpid()} on "):
            begin(target, images)
        begin(tmp_path / "other.h5", images).close()
        partial.seal([])
    begin(target, images).close()
    assert left_over(tmp_path) == ["data.h5", "data.h5.partial", "other.h5.partial"]


def test_readers_are_not_disturbed_by_a_new_store(tmp_path: Path) -> None:
    old = make(tmp_path / "data.h5", 50)
    with begin(tmp_path / "data.h5", manifest(tmp_path, 3)) as partial:
        fill(partial)
        assert len(open_store(old.path)) == 50
        assert len(partial.seal([])) == 3
    np.testing.assert_array_equal(old.features, rows(np.arange(50))[0])
    assert len(open_store(old.path)) == 3


def foreign(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["features"] = np.zeros((3, 2))


def newer(path: Path) -> None:
    make(path)
    with h5py.File(path, "r+") as file:
        file.attrs.modify("format_version", 3)


def altered(name: str, value: object):
    def alter(path: Path) -> None:
        make(path)
        with h5py.File(path, "r+") as file:
            file[name][0] = value

    return alter


def extra(path: Path) -> None:
    make(path)
    with h5py.File(path, "r+") as file:
        file["more"] = 3


def linked(path: Path) -> None:
    make(path)
    with h5py.File(path, "r+") as file:
        del file["labels"]
        file["labels"] = h5py.ExternalLink("/etc/passwd", "labels")


def chunked(path: Path) -> None:
    make(path)
    with h5py.File(path, "r+") as file:
        features = file["features"][:]
        del file["features"]
        file.create_dataset("features", data=features, chunks=(1, WIDTH))


def cut(path: Path) -> None:
    make(path)
    os.truncate(path, path.stat().st_size - 1)


def no_attribute(path: Path) -> None:
    make(path)
    with h5py.File(path, "r+") as file:
        del file.attrs["spec"]


NO_STORES = {
    "missing": (lambda path: None, "No such file"),
    "folder": (Path.mkdir, "directory"),
    "text": (lambda path: path.write_text("features"), "is not an HDF5 file"),
    "empty": (lambda path: path.write_bytes(b""), "is not an HDF5 file"),
    "signature": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500)), "cut off or damaged"),
    "foreign": (foreign, "is an HDF5 file, but not a feature store"),
    "newer": (newer, "format version 3.*reads only versions 1 and 2"),
    "truncated": (cut, "cut off"),
    "label": (altered("labels", 1), "was changed.*content_digest"),
    "path": (altered("paths", b"else"), "was changed.*content_digest"),
    "checksum": (altered("checksums", 0), "was changed.*content_digest"),
    "extra": (extra, "unknown dataset 'more'"),
    "link": (linked, "'labels', which is a link"),
    "chunks": (chunked, "isn't contiguous"),
    "attribute": (no_attribute, "lacks the attribute 'spec'"),
}


@pytest.mark.parametrize("what", NO_STORES)
def test_what_is_no_whole_store_is_refused(tmp_path: Path, what: str) -> None:
    spoil, message = NO_STORES[what]
    path = tmp_path / "data.h5"
    spoil(path)
    with pytest.raises(StoreError, match=message) as caught:
        open_store(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_flipped_bits_are_noticed_or_harmless(tmp_path: Path) -> None:
    """Outside the features, which only their checksums guard, opening finds every flip that changes a value."""
    store = make(tmp_path / "data.h5", failed=(7,))
    whole, first = store.path.read_bytes(), features_offset(store.path)
    undisturbed = contents(store)
    rng = np.random.default_rng(0)
    noticed = 0
    for offset in rng.choice(first, 80, replace=False).tolist():
        data = bytearray(whole)
        data[offset] ^= 1 << int(rng.integers(8))
        path = tmp_path / "flipped.h5"
        path.write_bytes(data)
        try:
            assert contents(open_store(path)) == undisturbed
        except StoreError:
            noticed += 1
    assert noticed > 10


def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder"):
        begin(tmp_path, manifest(tmp_path, 2))
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="can't be written"):
        begin(tmp_path / "file" / "data.h5", manifest(tmp_path, 2))


def test_a_folder_in_the_place_of_an_unfinished_store_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The message names the folder that is in the way, and no number of an error of the operating system."""
    there = partial_path(tmp_path / "data.h5")
    there.mkdir()
    with pytest.raises(StoreError, match=f"{re.escape(str(there))} is a folder.*rename or move"):
        begin(tmp_path / "data.h5", manifest(tmp_path, 2))
    assert there.is_dir()
    assert rows_of(there, fingerprint=SPEC.fingerprint) is None
    assert "Is a directory" in caplog.text
    assert "Errno" not in caplog.text


def test_memory_and_time_do_not_grow_with_the_features(tmp_path: Path) -> None:
    """20,000 x 1,280 features (102 MB): planned, rejoined and opened in little memory and time."""
    code = f"""
import resource, sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import test_store as t
images = t.manifest(Path({str(tmp_path)!r}), 20_000)
t.make(Path({str(tmp_path / "small.h5")!r}), 10, failed=(3,))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with t.begin(Path({str(tmp_path / "data.h5")!r}), images, width=1280) as partial:
    t.fill(partial, t.np.arange(0, 20_000, 100))
    keep = set(range(0, 20_000, 100))
    failures = [t.failure(path) for slot, path in enumerate(images.paths) if slot not in keep]
    partial.seal(failures)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert float(done.stdout) < 40, done.stdout
