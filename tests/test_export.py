"""Features for other programs: every format gives back every value, whole or not at all, in bounded memory."""

import csv
import json
import os
import re
import shutil
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import featx
from conftest import Painter
from featx.cli import main
from featx.errors import StoreError, UsageError
from featx.manifest import Manifest
from featx.pipeline import exporting
from featx.spec import ExtractionSpec
from featx.store import FeatureStore, Provenance, plan

GUIDE = (Path(__file__).parents[1] / "docs" / "using-features.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)

# Names that break readers: separators, quotes, line ends of every kind, any script, bytes that are no UTF-8.
NAMES = [
    "a,b.png",
    'quo"te.png',
    "line\nend.png",
    "return\rend.png",
    "数字.png",
    "emoji 🦉.png",
    os.fsdecode(b"caf\xe9.png"),
]

# The values of float32 that are hardest to write in decimal.
HARD = np.array(
    [0, -0.0, 1 / 3, 16777217, 1e-45, 1.17549435e-38, 3.4028235e38, -0.1, np.pi * 1e-10, np.inf], np.float32
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


SPEC = ExtractionSpec(backbone="mean-colour", weights="sha256:0", image_size=(8, 8), preprocessing="none")
FORMATS = exporting.FORMATS


def make(target: Path, features: np.ndarray, **fields: object) -> FeatureStore:
    """A store of given features, as if they had been extracted."""
    n = len(features)
    manifest = Manifest(
        **{
            "source": target.parent,
            "root": target.parent,
            "name": target.stem,
            "split": None,
            "paths": tuple(f"{i:06}.png" for i in range(n)),
            "labels": np.full(n, -1, np.int32),
            "classes": (),
            "groups": None,
            "sizes": np.arange(n),
            "mtimes_ns": np.arange(n),
            **fields,
        }
    )
    provenance = Provenance(weights_source="fixed", runtime="numpy", precision="float32")
    digests = np.random.default_rng(0).integers(0, 256, (n, 32), dtype=np.uint8)
    with plan(target, manifest, SPEC, feature_shape=features.shape[1:], provenance=provenance) as partial:
        for start in range(0, n, 500):
            rows = np.arange(start, min(start + 500, n))
            partial.write(
                rows, features[rows], digests[rows], manifest.sizes[rows], manifest.mtimes_ns[rows], reused=False
            )
        return partial.seal([])


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Hard names and hard numbers; one image has no label."""
    paths = tuple(sorted(NAMES, key=os.fsencode))
    features = np.random.default_rng(1).normal(size=(len(paths), len(HARD))).astype(np.float32)
    features[2] = HARD
    classes = ("NA", "a,b\n", os.fsdecode(b"caf\xe9"))
    labels = np.arange(len(paths), dtype=np.int32) % 4 - 1
    groups = tuple(f"g{i % 2}" for i in range(len(paths)))
    return make(
        tmp_path / "hard.h5", features, paths=paths, labels=labels, classes=classes, groups=groups, split="train"
    )


def named(store: FeatureStore) -> list[str]:
    return ["" if label < 0 else store.classes[label] for label in store.labels]


def same(found: np.ndarray, store: FeatureStore) -> None:
    """Bit for bit, the sign of zero included."""
    assert found.dtype == np.float32
    np.testing.assert_array_equal(
        np.ascontiguousarray(found).view(np.uint32), np.ascontiguousarray(store.features).view(np.uint32)
    )


def test_csv_gives_back_every_bit_and_every_name(store: FeatureStore) -> None:
    file = featx.export(store, to="csv")
    assert file == Path("artifacts/exports/hard.csv")
    with file.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
        header, *rows = csv.reader(lines)
    numbers = [f"feature_{i}" for i in range(len(HARD))]
    assert header == ["path", "label", "split", "group", "digest", *numbers]
    path, label, split, group, digest = (list(column) for column in list(zip(*rows, strict=True))[:5])
    assert path == list(store.paths)
    assert label == named(store)
    assert set(split) == {"train"}
    assert tuple(group) == store.groups
    assert digest == [bytes(one).hex() for one in store.digests]
    same(np.array([row[5:] for row in rows], np.float64).astype(np.float32), store)
    assert b"caf\xe9.png" in file.read_bytes()


def test_csv_is_read_by_pandas_as_it_was_written(tmp_path: Path) -> None:
    features = np.random.default_rng(3).normal(size=(300, 40)).astype(np.float32)
    features[0, : len(HARD)] = HARD
    store = make(tmp_path / "plain.h5", features)
    table = pd.read_csv(featx.export(store, to="csv"), dtype={f"feature_{i}": np.float32 for i in range(40)})
    same(table.filter(regex="^feature_").to_numpy(), store)
    assert table["path"].tolist() == list(store.paths)
    assert "split" not in table
    assert table["label"].isna().all()


def from_npz(file: Path) -> np.ndarray:
    with np.load(file) as arrays:
        return arrays["features"]


def test_npz_gives_back_the_arrays_of_the_store(store: FeatureStore) -> None:
    with np.load(featx.export(store, to="npz", out="elsewhere/x.npz"), allow_pickle=False) as arrays:
        assert set(arrays) == {"features", "labels", "digests", "paths", "classes", "groups", "split", "spec"}
        same(arrays["features"], store)
        for name in ("labels", "digests"):
            np.testing.assert_array_equal(arrays[name], getattr(store, name))
        for name in ("paths", "classes", "groups"):
            assert tuple(arrays[name].tolist()) == getattr(store, name)
        assert str(arrays["split"]) == "train"
        assert ExtractionSpec.from_json(str(arrays["spec"])) == store.spec


def test_parquet_gives_back_every_bit_and_every_name(store: FeatureStore) -> None:
    file = featx.export(store, to="parquet", out="folder")
    assert file == Path("folder/hard.parquet")
    table = pq.read_table(file)
    raw = [value and os.fsdecode(value) for value in table["path_raw"].to_pylist()]
    assert raw == list(store.paths)
    readable = [os.fsencode(path).decode("utf-8", "replace") for path in store.paths]
    assert table["path"].to_pylist() == readable
    assert [value and os.fsdecode(value) for value in table["label_raw"].to_pylist()] == [
        name or None for name in named(store)
    ]
    assert "group_raw" not in table.column_names
    assert table["group"].to_pylist() == list(store.groups)
    assert set(table["split"].to_pylist()) == {"train"}
    assert table["digest"].to_pylist() == [bytes(one).hex() for one in store.digests]
    same(np.stack(table.to_pandas()["features"]), store)
    assert ExtractionSpec.from_json(table.schema.metadata[b"spec"].decode()) == store.spec


def test_a_table_for_pandas_is_the_store_without_a_copy(store: FeatureStore) -> None:
    frame = store.to_pandas()
    assert frame["path"].tolist() == list(store.paths)
    assert frame["label"].cat.categories.tolist() == list(store.classes)
    assert frame["label"].cat.codes.tolist() == store.labels.tolist()
    assert (frame["split"] == "train").all()
    assert tuple(frame["group"]) == store.groups
    features = frame.filter(regex="^feature_").to_numpy()
    same(features, store)
    assert np.shares_memory(features, store.features)


@pytest.mark.parametrize("to", FORMATS)
def test_a_store_without_rows_is_a_file_without_rows(to: str, tmp_path: Path) -> None:
    store = make(tmp_path / "empty.h5", np.empty((0, 5), np.float32))
    file = featx.export(store.path, to=to)
    read = {
        "csv": lambda: len(pd.read_csv(file)),
        "npz": lambda: len(from_npz(file)),
        "parquet": lambda: len(pd.read_parquet(file)),
    }
    assert read[to]() == len(store.to_pandas()) == 0


@pytest.mark.parametrize("to", FORMATS)
def test_memory_is_bounded_and_blocks_join(to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight blocks or more, of which one or two are in memory; arrow's own memory is counted as well."""
    features = np.random.default_rng(2).normal(size=(1003, 512)).astype(np.float32)
    store = make(tmp_path / "long.h5", features)
    monkeypatch.setattr(exporting, "BLOCK_BYTES", 1 << 18)
    exporting.export(store, to=to)  # what is loaded once is not counted
    own, pool = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(pool)
    tracemalloc.start()
    file = exporting.export(store, to=to, overwrite=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pa.set_memory_pool(own)
    assert peak < features.nbytes / 2
    assert (pool.max_memory() > 0) == (to == "parquet")
    assert pool.max_memory() < features.nbytes / 2
    read = {
        "csv": lambda: pd.read_csv(file).filter(regex="^feature_").to_numpy(np.float32),
        "npz": lambda: from_npz(file),
        "parquet": lambda: np.stack(pd.read_parquet(file)["features"]),
    }
    same(read[to](), store)
    if to == "parquet":
        assert pq.read_metadata(file).num_row_groups > 7


@pytest.mark.parametrize("to", FORMATS)
def test_a_damaged_row_ends_the_export_and_leaves_nothing(to: str, store: FeatureStore) -> None:
    content = bytearray(store.path.read_bytes())
    content[content.index(store.features[5].tobytes()) + 3] ^= 1
    store.path.write_bytes(content)
    with pytest.raises(StoreError, match="row 5 "):
        featx.export(store.path, to=to)
    assert not list(Path("artifacts/exports").iterdir())


@pytest.mark.parametrize("to", FORMATS)
def test_a_file_that_is_there_stays_as_it_is(to: str, store: FeatureStore) -> None:
    target = Path("artifacts/exports") / f"hard.{to}"
    target.parent.mkdir(parents=True)
    target.write_text("mine")
    with pytest.raises(StoreError, match="`overwrite=True`"):
        featx.export(store, to=to)
    assert target.read_text() == "mine"
    assert featx.export(store, to=to, overwrite=True) == target
    first = target.read_bytes()
    assert featx.export(store, to=to, overwrite=True).read_bytes() == first
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_full_disk_and_a_wrong_place_are_one_line(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").write_text("no folder")
    with pytest.raises(StoreError, match=r"file.x\.csv can't be written"):
        featx.export(store, to="csv", out="file/x.csv")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        featx.export(store, to="npz")
    assert not list(Path("artifacts/exports").iterdir())


def test_what_is_not_installed_is_named_with_what_to_do(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"pip install 'featx\[parquet\]'"):
        featx.export(store, to="parquet")
    with pytest.raises(UsageError, match=r"pip install 'featx\[pandas\]'"):
        store.to_pandas()
    with pytest.raises(UsageError, match="`to=xlsx` is unknown; choose one of parquet, npz, csv"):
        featx.export(store, to="xlsx")
    assert featx.export(store, to="csv").is_file()


def test_the_command_is_the_function(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["featx", "export", "hard.h5", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return (int(stop.value.code or 0), *capsys.readouterr())

    code, out, err = run("--to", "csv")
    assert (code, out) == (0, "")
    assert "artifacts/exports/hard.csv" in err
    code, _, err = run("--to", "csv")
    assert code == 1
    assert "--overwrite" in err
    code, out, _ = run("--to", "csv", "--out", "other", "--json")
    assert code == 0
    told = json.loads(out)
    assert Path(told["file"]).read_bytes() == Path("artifacts/exports/hard.csv").read_bytes()
    assert told["bytes"] == Path(told["file"]).stat().st_size
    assert run("--to", "xlsx")[0] == 2


def test_the_guide_works_from_top_to_bottom(paint: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    featx.extract(paint(Path("data/train")), backbone="mean-colour")
    shutil.copy("data/train/red/red 00.png", "new.jpg")
    names: dict[str, object] = {}
    for block in PYTHON:
        exec(block.replace("resnet50", "mean-colour"), names)
    assert Path("map.png").stat().st_size > 10_000
    # What the examples are about: the nearest is of the same class, and the clusters are the classes.
    nearest = names["nearest"]
    store = names["store"]
    assert all(store.labels[nearest(row)[0][0]] == store.labels[row] for row in range(len(store)))
    assert store.paths[names["best"]] == "red/red 00.png"
    assert names["adjusted_rand_score"](store.labels, names["clusters"]) == 1
    assert [names["classes"][label] for label in names["labels"]] == [path.partition("/")[0] for path in store.paths]
    np.testing.assert_array_equal(names["matrix"], names["features"])
