"""A store that was damaged is known to be, its rows can be made anew, and nothing damaged is taken for sound."""

import csv
import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import featx
from conftest import Painter
from featx.backbones import Request
from featx.cli import main
from featx.pipeline.filling.job import Job, RunOptions
from featx.pipeline.filling.loop import extract_job
from featx.pipeline.verifying import distances
from featx.runtimes.mean_colour import MeanColourRuntime
from featx.store import check

MEANS = {"backbone": "mean-colour"}
RUN_OPTIONS = {"batch_size": 4, "workers": 1}
RUN = RunOptions(**RUN_OPTIONS)
FLIPS = 1000


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def own(paint: Painter) -> featx.FeatureStore:
    """A store with everything that one can hold (groups, failures, names that are no UTF-8), and its images."""
    source = paint(Path("data/train"), each=3)
    source.joinpath("red/broken.png").write_bytes(b"no image")
    (source / "red" / "red 00.png").rename(source / "red" / "red \udcff.png")
    lines = [("path", "label", "group")]
    lines += [(f"train/{path.relative_to(source)}", path.parent.name, path.stem[-2:]) for path in source.rglob("*.png")]
    with Path("data/all.csv").open("w", errors="surrogateescape", newline="") as file:
        csv.writer(file).writerows(lines)
    with pytest.warns(featx.UnreadableWarning):
        return featx.extract("data/all.csv", **MEANS, batch_size=4, workers=1)


_made: list[Path] = []


@pytest.fixture
def store(request: pytest.FixtureRequest) -> featx.FeatureStore:
    """Such a store, made once; its images are shared and must not be changed."""
    if not _made:
        _made.append(request.getfixturevalue("own").path)
    folder = Path("stores").absolute()
    folder.mkdir()
    shutil.copyfile(_made[0], folder / "all.h5")
    return featx.open(folder / "all.h5")


def everything(path: Path) -> dict[str, object]:
    """All documented values, by h5py alone."""
    found: dict[str, object] = {}
    with h5py.File(path, "r") as file:
        for name, value in file.attrs.items():
            found[f"@{name}"] = (value.dtype.str, value.shape, value.tobytes()) if name in file.attrs else None
        names = [*(name for name in file if name != "failures"), *(f"failures/{name}" for name in file["failures"])]
        for name in names:
            values = file[name].asstr()[:] if file[name].dtype.kind == "S" else file[name][:]
            found[name] = values.tolist()
    return found


def row_offset(path: Path, row: int, name: str = "features") -> int:
    with h5py.File(path, "r") as file:
        return int(file[name].id.get_offset() + row * file[name].dtype.itemsize * np.prod(file[name].shape[1:]))


def spoil(path: Path, offset: int, *, bit: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


def test_one_flipped_bit_is_found_or_changes_no_value(store: featx.FeatureStore) -> None:
    whole, values = bytearray(store.path.read_bytes()), everything(store.path)
    assert featx.verify(store.path).ok
    flipped = Path("flipped.h5")
    rng = np.random.default_rng(0)
    found = 0
    for offset, bit in zip(rng.integers(len(whole), size=FLIPS), rng.integers(8, size=FLIPS), strict=True):
        whole[offset] ^= 1 << bit
        flipped.write_bytes(whole)
        whole[offset] ^= 1 << bit
        findings = check(flipped)
        if findings.broken or len(findings.damaged):
            found += 1
        else:
            assert everything(flipped) == values, (offset, bit)
    assert found > FLIPS / 20


@pytest.mark.parametrize("name", ["features", "digests", "sizes", "mtimes_ns", "checksums"])
def test_every_bit_of_a_row_is_found_and_the_row_named(store: featx.FeatureStore, name: str) -> None:
    rng = np.random.default_rng(1)
    start, stop = (row_offset(store.path, row, name) for row in (4, 5))
    for offset in rng.integers(start, stop, size=8).tolist():
        spoil(store.path, offset)
        found = featx.verify(store.path)
        assert not found.ok
        assert found.damaged == (store.paths[4],)
        assert bool(found.broken) == (name != "features")  # the content digest covers the others as well
        spoil(store.path, offset)
    assert featx.verify(store.path).ok


def test_no_part_of_a_store_is_taken_for_one(store: featx.FeatureStore) -> None:
    data = store.path.read_bytes()
    part = Path("part.h5")
    for length in np.random.default_rng(2).integers(len(data), size=60).tolist():
        part.write_bytes(data[:length])
        with pytest.raises(featx.StoreError):
            featx.open(part)
        assert featx.verify(part).broken


def rewrite(path: Path, change: Callable[[h5py.File], None]) -> None:
    """Change a store as someone would who knows its format: all digests agree afterwards."""
    with h5py.File(path, "r+") as file:
        change(file)
        rows = zip(*(file[name][:] for name in ("features", "digests", "sizes", "mtimes_ns")), strict=True)
        file["checksums"][:] = [
            np.frombuffer(hashlib.sha256(b"".join(part.tobytes() for part in row)).digest(), np.uint8) for row in rows
        ]
        digest = hashlib.sha256()
        datasets: list[str] = []
        file.visititems(lambda name, member: datasets.append(name) if isinstance(member, h5py.Dataset) else None)
        for kind, names in (("attribute", file.attrs), ("dataset", datasets)):
            for name in sorted(set(names) - {"content_digest"}):
                member = file.attrs.get_id(name) if kind == "attribute" else file[name]
                digest.update(f"{kind} {name} {member.dtype.str} [{','.join(map(str, member.shape))}]\n".encode())
                if kind == "attribute":
                    digest.update(np.asarray(file.attrs[name], member.dtype).tobytes())
                elif name != "features":
                    digest.update(member[()].tobytes())
        attribute("content_digest", digest.hexdigest().encode())(file)


def put(names: str, change: Callable[[np.ndarray], object]) -> Callable[[h5py.File], None]:
    def put(file: h5py.File) -> None:
        for name in names.split():
            values = file[name][:]
            change(values)
            file[name][:] = values

    return put


def swap(values: np.ndarray) -> None:
    values[[0, 1]] = values[[1, 0]]


def repeat(values: np.ndarray) -> None:
    values[1] = values[0]


def fail_row_too(file: h5py.File) -> None:
    name = file["paths"][0]
    del file["failures/paths"]
    kind = h5py.string_dtype("utf-8", len(name))
    file["failures"].create_dataset("paths", data=np.array([name], kind), dtype=kind)


def attribute(name: str, value: object) -> Callable[[h5py.File], None]:
    return lambda file: file.attrs.modify(name, np.array(value, file.attrs.get_id(name).dtype))


BROKEN = {
    "nothing": (lambda file: None, None),
    "paths out of order": (put("paths paths_raw", swap), "paths are not sorted"),
    "a path twice": (put("paths paths_raw", repeat), "paths are not sorted"),
    "classes out of order": (put("classes", swap), "classes are not sorted"),
    "a row that failed": (fail_row_too, "row and a"),
    "an unknown reason": (put("failures/reasons", lambda values: values.fill(b"bored")), "reason of a failure"),
    "a label without class": (put("labels", lambda values: values.fill(3)), "labels"),
    "a label below none": (put("labels", lambda values: values.fill(-2)), "labels"),
    "a status of nothing": (put("status", lambda values: values.fill(0)), "status"),
    "a negative size": (put("sizes", lambda values: values.fill(-1)), "size of an image"),
    "no UTF-8": (put("classes", lambda values: values.put(2, b"r\xe9d")), "not UTF-8"),
    "an empty class": (put("classes", lambda values: values.put(0, b"")), "is empty"),
    "other bytes beside a text": (put("paths_raw", lambda values: values.put(0, 66)), "bytes beside"),
    "more found than there are": (attribute("found", 11), "found"),
    "a fingerprint of another spec": (attribute("fingerprint", b"0" * 64), "fingerprint"),
    "a fingerprint in capitals": (
        lambda file: attribute("fingerprint", file.attrs["fingerprint"].upper())(file),
        "64 hexadecimal",
    ),
    "no time": (attribute("created", b"yesterday"), "time when it was made"),
    "no duration": (attribute("seconds", -1.0), "seconds that it took"),
    "another shape": (attribute("feature_shape", [4]), "feature_shape"),
    "no spec": (attribute("spec", b"{}"), "spec"),
    "another format": (attribute("format", b"features"), "not a feature store"),
    "another version": (attribute("format_version", 3), "format version 3"),
    "an attribute more": (lambda file: file.attrs.create("more", 1), "unknown attribute"),
    "an attribute of a dataset": (lambda file: file["labels"].attrs.create("more", 1), "only the root group"),
    "a dataset more": (lambda file: file.create_dataset("more", data=[1]), "unknown dataset"),
    "a group of failures more": (lambda file: file.create_group("failures/more"), "no dataset"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_every_rule_holds_also_where_the_digests_agree(store: featx.FeatureStore, what: str) -> None:
    change, phrase = BROKEN[what]
    rewrite(store.path, change)
    found = featx.verify(store.path)
    if phrase is None:
        assert found.ok
        assert found.rows == 9
    else:
        assert any(phrase in one for one in found.broken), found.broken
        assert found.damaged == ()


def test_what_is_no_store_is_said_to_be_none(store: featx.FeatureStore) -> None:
    Path("text.h5").write_text("features")
    for path, phrase in (("text.h5", "not an HDF5"), ("none.h5", "No such file"), ("data", "directory")):
        assert phrase in featx.verify(path).problems[0]


def test_a_repaired_store_is_the_one_that_was_there(store: featx.FeatureStore) -> None:
    whole = store.path.read_bytes()
    for row in (0, 4, 8):
        spoil(store.path, row_offset(store.path, row) + 5, bit=row % 8)
    damaged = tuple(store.paths[row] for row in (0, 4, 8))
    assert featx.verify(store.path).damaged == damaged
    found = featx.verify(store.path, repair=True, **RUN_OPTIONS)
    assert found.ok
    assert found.repaired == damaged
    assert store.path.read_bytes() == whole
    assert [path.name for path in store.path.parent.iterdir()] == [store.path.name]


def test_a_reader_is_not_disturbed_by_a_repair(store: featx.FeatureStore) -> None:
    spoil(store.path, row_offset(store.path, 2))
    before = featx.open(store.path)
    seen = before.features[2].copy()
    assert featx.verify(store.path, repair=True, **RUN_OPTIONS).ok
    assert np.array_equal(before.features[2], seen)
    assert not np.array_equal(featx.open(store.path).features[2], seen)


def test_a_row_that_comes_out_otherwise_counts_as_extracted(
    own: featx.FeatureStore, paint: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it may on another machine: within the tolerance, but not to the bit."""
    shutil.copytree("data/train/red", "data/train/rouge")
    with Path("data/all.csv").open("a", errors="surrogateescape") as file:
        file.write("train/rouge/red 01.png,rouge,r\n")
    with pytest.warns(featx.UnreadableWarning):
        store = featx.extract("data/all.csv", **MEANS, workers=1)
    row = store.paths.index("train/rouge/red 01.png")
    assert (store.extracted, store.reused, store.status[row]) == (0, 10, 2)
    spoil(store.path, row_offset(store.path, row))
    undisturbed = MeanColourRuntime.__call__
    monkeypatch.setattr(MeanColourRuntime, "__call__", lambda self, images: undisturbed(self, images) * (1 + 1e-6))
    found = featx.verify(store.path, repair=True, sample=10, **RUN_OPTIONS)
    assert found.ok, found.problems
    assert found.sample.compared == 10
    again = featx.open(store.path)
    assert (again.extracted, again.reused, again.status[row]) == (1, 9, 1)
    assert again.content_digest != store.content_digest


def change_image(store: featx.FeatureStore) -> None:
    Image.new("RGB", (9, 9), (1, 2, 3)).save(Path(store.root) / store.paths[4])


def remove_image(store: featx.FeatureStore) -> None:
    (Path(store.root) / store.paths[4]).unlink()


def damage_labels(store: featx.FeatureStore) -> None:
    spoil(store.path, row_offset(store.path, 0, "labels"))


def change_weights(store: featx.FeatureStore) -> None:
    spec = json.loads(store.spec.to_json()) | {"weights": "sha256:" + "0" * 64}
    text = json.dumps(spec, sort_keys=True, separators=(",", ":")).encode()

    def change(file: h5py.File) -> None:
        del file.attrs["spec"]
        file.attrs.create("spec", np.array(text), dtype=h5py.string_dtype("utf-8", len(text)))
        attribute("fingerprint", hashlib.sha256(text).hexdigest().encode())(file)

    rewrite(store.path, change)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (change_image, featx.StoreError, "missing or changed"),
        (remove_image, featx.StoreError, "missing or changed"),
        (damage_labels, featx.StoreError, "extract it again"),
        (change_weights, featx.SpecMismatch, "weights"),
    ],
)
def test_a_repair_that_can_not_be_right_is_refused(
    own: featx.FeatureStore, change: Callable[[featx.FeatureStore], None], error: type[Exception], message: str
) -> None:
    store = own
    change(store)
    for row in (2, 4):
        spoil(store.path, row_offset(store.path, row))
    before = store.path.read_bytes()
    with pytest.raises(error, match=message) as caught:
        featx.verify(store.path, repair=True, **RUN_OPTIONS)
    assert "\n" not in str(caught.value)
    assert store.path.read_bytes() == before
    assert [path.name for path in store.path.parent.iterdir()] == [store.path.name]


def test_a_sample_finds_what_no_checksum_can(store: featx.FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    found = featx.verify(store.path, sample=5, **RUN_OPTIONS)
    assert found.ok
    assert (found.sample.compared, found.sample.differing) == (5, {})
    monkeypatch.setattr(
        MeanColourRuntime, "__call__", lambda self, images: images[..., ::-1].mean((1, 2), dtype=np.float32)
    )
    found = featx.verify(store.path, sample=100, **RUN_OPTIONS)
    assert not found.ok
    assert found.broken == found.damaged == ()
    assert set(found.sample.differing) <= set(store.paths)
    assert len(found.sample.differing) == found.sample.compared == 9


def test_a_sample_says_which_images_it_can_not_tell_of(own: featx.FeatureStore) -> None:
    store = own
    change_image(store)
    (Path(store.root) / store.paths[6]).unlink()
    found = featx.verify(store.path, sample=9, **RUN_OPTIONS)
    assert found.ok
    assert found.sample.compared == 7
    assert found.sample.changed == (store.paths[4],)
    assert [(one.path, one.reason) for one in found.sample.unread] == [(store.paths[6], "missing")]
    shutil.rmtree(Path(store.root) / "train")
    found = featx.verify(store.path, sample=3, **RUN_OPTIONS)
    assert "none of 3 rows" in found.problems[0]


def test_a_sample_is_drawn_by_its_seed(own: featx.FeatureStore) -> None:
    store = own
    for path in store.paths:
        (Path(store.root) / path).unlink()
    drawn = [
        tuple(one.path for one in featx.verify(store.path, sample=3, seed=seed, **RUN_OPTIONS).sample.unread)
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_distances_are_shares_of_a_length() -> None:
    before = np.array([[3, 4], [0, 0], [0, 0], [np.nan, 1], [np.inf, 1], [np.nan, 1]], np.float32)
    after = np.array([[3, 4.5], [0, 0], [0, 2], [np.nan, 1], [np.inf, 1], [0, 1]], np.float32)
    found = distances(before, after)
    np.testing.assert_allclose(found[:5], [0.5 / np.hypot(3, 4.5), 0, 1, 0, 0])
    assert np.isnan(found[5])


def test_damaged_rows_are_never_copied(paint: Painter) -> None:
    source = paint(Path("data/train"), each=2)
    first = featx.extract(source, **MEANS, workers=1)
    spoil(first.path, row_offset(first.path, 1))
    Image.new("RGB", (9, 9), (3, 2, 1)).save(source / "blue/new.png")
    (one,) = extract_job(Job(source=source), [Request(**MEANS)], RUN)
    assert (one.extracted, one.reused) == (2, 5)
    shutil.copy(source / "blue/new.png", source / "blue/newer.png")
    extract_job(Job(source=source), [Request(**MEANS)], RUN)
    spoil(one.target, row_offset(one.target, featx.open(one.target).paths.index("blue/new.png")))
    (again,) = extract_job(Job(source=source, check="content"), [Request(**MEANS)], RUN)
    assert (again.extracted, again.reused) == (0, 8)  # from the other row of that content, into a new store
    assert featx.verify(again.target).ok
    (source / "blue/newer.png").unlink()
    (two,) = extract_job(Job(source=source, out=Path("apart")), [Request(**MEANS)], RUN)
    assert two.extracted == 7
    assert np.array_equal(one.store.features, two.store.features)


def test_the_command_says_in_one_line_what_is_wrong(
    store: featx.FeatureStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["featx", "verify", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return (stop.value.code or 0, *capsys.readouterr())

    code, out, err = run(store.path, "--sample", 3)
    assert (code, out) == (0, "")
    assert "sound" in err
    assert "3 rows computed again: 0 differ" in err
    spoil(store.path, row_offset(store.path, 4))
    code, out, err = run(store.path, "--json")
    assert code == 1
    assert json.loads(out)[0]["damaged"] == [store.paths[4]]
    assert err.count("\n") == 1
    assert store.paths[4] in err
    code, _, err = run(store.path, "--repair")
    assert code == 0
    assert "1 row repaired" in err
    code, _, err = run(store.path, "nowhere.h5")
    assert code == 1
    assert "nowhere.h5: can't be read" in err
