"""Views beside the features of a store: the same whatever happens, never a row, never a change of a feature."""

import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

import featx
from conftest import Painter
from featx import errors
from featx.backbones import Request
from featx.cli import main as command_line
from featx.images.augment import decode_with_views_into
from featx.pipeline.filling.job import Extraction, Job, RunOptions
from featx.pipeline.filling.loop import extract_job
from featx.progress import Progress
from featx.spec import PixelRules, ViewsSpec
from featx.store import FeatureStore, partial_path

MEANS = {"backbone": "mean-colour", "image_size": 16}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def source(paint: Painter) -> Path:
    return paint(Path("data/train"), each=4)


def run(source: Path, *, workers: int = 1, batch_size: int = 8, **options: object) -> Extraction:
    (one,) = extract_job(
        Job(source=source, **options), [Request(**MEANS)], RunOptions(batch_size=batch_size, workers=workers)
    )
    assert one.found == one.extracted + one.reused + one.failed
    return one


def made(source: Path, **options: object) -> FeatureStore:
    store = run(source, **options).store
    assert store is not None
    return store


def recomputed(store: FeatureStore) -> np.ndarray:
    """Means of the views, from the files, without anything of the pipeline."""
    assert store.views_spec is not None
    out = np.empty((1 + store.views_spec.count, 16, 16, 3), np.uint8)
    means = []
    for path in store.paths:
        data = (store.folder / path).read_bytes()
        rules = PixelRules(image_size=(16, 16))
        decode_with_views_into(data, rules, out, views=store.views_spec, digest=hashlib.sha256(data).digest())
        means.append(out[1:].mean(axis=(1, 2)))
    return np.array(means)


def test_views_are_those_of_the_recipe_and_change_no_feature(source: Path) -> None:
    plain, store = made(source, out=Path("plain.h5")), made(source, views=3, seed=2)
    assert store.views is not None
    assert store.views.shape == (12, 3, 3)
    assert store.views.dtype == np.float32
    assert isinstance(store.views, np.memmap)
    assert not store.views.flags.writeable
    assert np.allclose(store.views, recomputed(store), atol=1e-4)
    assert np.array_equal(store.features, plain.features)
    assert store.fingerprint == plain.fingerprint
    assert np.array_equal(store.checksums, plain.checksums)
    assert plain.views is None
    assert store.views_spec == ViewsSpec(count=3, seed=2)
    assert len(store) == 12  # a view is no row
    with h5py.File(plain.path) as one, h5py.File(store.path) as other:
        assert set(other) - set(one) == {"views", "views_checksums"}
        assert set(other.attrs) - set(one.attrs) == {"views_spec", "views_fingerprint"}
        assert (one.attrs["format_version"], other.attrs["format_version"]) == (1, 2)


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (2, 3), (2, 64)])
def test_the_same_views_for_every_batch_and_number_of_workers(source: Path, workers: int, batch_size: int) -> None:
    one = made(source, views=2)
    other = made(source, views=2, workers=workers, batch_size=batch_size, out=Path("other/other.h5"))
    assert np.array_equal(one.views, other.views)
    assert np.array_equal(one.features, other.features)


def test_views_follow_an_image_into_another_folder_and_name(source: Path) -> None:
    """Order and name of an image have no part in its views: its content has."""
    one = made(source, views=2)
    moved = Path("elsewhere/only")
    moved.mkdir(parents=True)
    for number, path in enumerate(reversed(one.paths)):
        shutil.copy(one.folder / path, moved / f"{number:02}.png")
    other = made(Path("elsewhere"), views=2, out=Path("other/other.h5"))
    assert np.array_equal(one.views, other.views[::-1])


def test_a_store_without_views_gets_them_and_keeps_its_features(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the views are computed: 12 x 2 pictures go through the backbone, not 12 x 3."""
    plain = made(source)
    seen = count_pictures(monkeypatch)
    one = run(source, views=2)
    assert (one.extracted, one.reused, one.views_computed) == (0, 12, 12)
    assert sum(seen) == 24
    assert one.store is not None
    assert np.array_equal(one.store.features, plain.features)
    assert np.allclose(one.store.views, recomputed(one.store), atol=1e-4)
    assert (one.store.status == 2).all()


def count_pictures(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    from featx.runtimes.mean_colour import MeanColourRuntime

    seen: list[int] = []
    plain = MeanColourRuntime.__call__

    def counted(self: MeanColourRuntime, images: np.ndarray) -> np.ndarray:
        seen.append(len(images))
        return plain(self, images)

    monkeypatch.setattr(MeanColourRuntime, "__call__", counted)
    return seen


def test_new_images_get_views_and_the_others_keep_theirs(
    source: Path, paint: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made(source, views=2)
    old = np.array(before.views)
    for new in paint(Path("more"), each=1, seed=1).rglob("*.png"):
        new.rename(source / new.parent.name / "new.png")
    (source / "red/red 00.png").rename(source / "red/renamed.png")
    seen = count_pictures(monkeypatch)
    one = run(source)  # without saying so again
    assert (one.extracted, one.reused, one.views_computed) == (3, 12, 3)
    assert sum(seen) == 3 * 3
    assert one.store is not None
    assert np.allclose(one.store.views, recomputed(one.store), atol=1e-4)
    row = one.store.paths.index("red/renamed.png")
    assert np.array_equal(one.store.views[row], old[before.paths.index("red/red 00.png")])
    assert run(source, views=2).store.path == one.store.path
    assert run(source, views=2).seconds == 0  # nothing to do


@pytest.mark.parametrize("other", [{"views": 3}, {"views": 2, "seed": 1}, {"views": 2, "flip": False}])
def test_views_of_another_recipe_are_made_anew(source: Path, other: dict[str, object]) -> None:
    before = made(source, views=2)
    one = run(source, **other)
    assert (one.extracted, one.reused, one.views_computed) == (0, 12, 12)
    assert one.store is not None
    assert one.store.views_spec == Job(source=source, **other).views_spec
    assert np.allclose(one.store.views, recomputed(one.store), atol=1e-4)
    assert np.array_equal(one.store.features, before.features)


def test_zero_views_drop_them_without_reading_an_image(source: Path) -> None:
    before = made(source, views=2)
    for path in source.rglob("*.png"):  # nobody could read them, and nothing tells so but reading them
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    one = run(source, views=0)
    assert (one.extracted, one.reused, one.views) == (0, 12, 0)
    assert one.store is not None
    assert one.store.views is None
    assert np.array_equal(one.store.features, before.features)


class Stop(Progress):
    """Interrupts a run after some images."""

    def __init__(self, after: int) -> None:
        self.left = after

    def begin(self, task: Path, *, total: int, done: int) -> None: ...

    def step(self, step: object) -> None: ...

    def end(self, task: Path, result: object) -> None: ...

    def advance(self, task: Path, *, done: int, failed: int) -> None:
        self.left -= done
        if self.left <= 0:
            raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_to_the_same_views(source: Path) -> None:
    whole = made(source, views=3, out=Path("whole/whole.h5"))
    job = Job(source=source, views=3, out=Path("store.h5"))
    with pytest.raises(errors.Interrupted):
        extract_job(job, [Request(**MEANS)], RunOptions(batch_size=8, workers=1), progress=Stop(3))
    assert partial_path(Path("store.h5")).exists()
    with pytest.raises(errors.StoreError):
        featx.open("store.h5")
    again = run(source, out=Path("store.h5"))  # goes on with the views that it was asked for
    assert again.reused >= 3
    assert again.views_computed == 12 - again.reused
    assert again.store is not None
    assert np.array_equal(again.store.views, whole.views)


def test_views_interrupted_on_their_way_to_an_old_store_leave_it_as_it_was(source: Path) -> None:
    plain = made(source)
    with pytest.raises(errors.Interrupted):
        extract_job(
            Job(source=source, views=3), [Request(**MEANS)], RunOptions(batch_size=8, workers=1), progress=Stop(3)
        )
    assert featx.open(plain.path).views is None
    one = run(source, views=3)
    assert one.extracted == 0
    assert np.array_equal(one.store.views, made(source, views=3, out=Path("new/new.h5")).views)


def test_images_that_fail_have_no_views_either(source: Path) -> None:
    (source / "red/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    one = run(source, views=2)
    assert (one.found, one.failed) == (13, 1)
    assert one.store is not None
    assert one.store.views.shape == (12, 2, 3)
    assert np.allclose(one.store.views, recomputed(one.store), atol=1e-4)
    assert featx.verify(one.store.path).ok


def test_views_are_lent_by_a_store_beside(source: Path, paint: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    lender = made(source, views=2)
    shutil.copytree(source, "data/all")
    seen = count_pictures(monkeypatch)
    one = run(Path("data/all"), views=2)
    assert (one.extracted, one.reused, one.views_computed) == (0, 12, 0)
    assert sum(seen) == 3 * 3  # three rows are tried
    assert one.lent == {lender.path: 12}
    assert np.array_equal(one.store.views, lender.views)


def test_made_up_views_of_a_store_beside_are_not_taken(source: Path) -> None:
    lender = made(source, views=2)
    rewrite_views(lender, np.zeros_like(lender.views))
    assert featx.verify(lender.path).ok  # its checksums are right
    shutil.copytree(source, "data/all")
    one = run(Path("data/all"), views=2)
    assert (one.extracted, one.lent) == (12, {})


def rewrite_views(store: FeatureStore, views: np.ndarray) -> None:
    """Write other views, with all digests right."""
    from featx.store.disk import write_at
    from featx.store.format import content_digest, views_checksums
    from featx.store.layout import modify, scan

    with store.path.open("r+b") as file:
        places = scan(file).places
        write_at(file.fileno(), views.astype("<f4"), places["views"].offset)
        write_at(file.fileno(), views_checksums(views, store.digests), places["views_checksums"].offset)
        layout = scan(file)
        digest = content_digest(layout.attributes, layout.read_all(file))
    modify(store.path, {"content_digest": np.array(digest.encode())})


def test_damaged_views_are_found_never_copied(source: Path) -> None:
    store = made(source, views=2)
    flip_bit(store, row=3)
    assert featx.verify(store.path).damaged == (store.paths[3],)
    one = run(source, views=2, check="content")
    assert (one.extracted, one.reused) == (1, 11)
    assert np.allclose(one.store.views, recomputed(one.store), atol=1e-4)


def flip_bit(store: FeatureStore, *, row: int) -> None:
    from featx.store.layout import scan

    with store.path.open("r+b") as file:
        place = scan(file).places["views"]
        file.seek(place.offset + row * place.row_nbytes + 5)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 4]))


def test_a_store_that_contradicts_itself_about_its_views_is_refused(source: Path) -> None:
    store = made(source, views=2)
    for name, value, words in (
        ("views_spec", b'{"count":3,"flip":true,"seed":0,"version":1}', "views"),
        ("views_spec", b'{"count":2,"flip":1,"seed":0,"version":1}', "spec of views"),
        ("views_fingerprint", b"0" * 64, "views_fingerprint"),
    ):
        shutil.copy(store.path, "broken.h5")
        with h5py.File("broken.h5", "r+") as file:
            file.attrs.modify(name, np.array(value, file.attrs.get_id(name).dtype))
        with pytest.raises(errors.StoreError, match=words):
            featx.open("broken.h5")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"views": 65}, "1 to 64 views"),
        ({"views": -1}, "1 to 64 views"),
        ({"flip": False}, "give their number with `views`"),
        ({"flip": False, "views": 0}, "give their number with `views`"),
    ],
)
def test_what_cant_be_meant_is_refused(source: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(errors.UsageError, match=words):
        featx.extract(source, backbone="mean-colour", **options)


def test_space_for_the_views_is_reserved_at_once(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is an error before the first picture, and says what the space was for."""
    import errno

    from featx.store import layout

    def full(fd: int, size: int, *, tail: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(layout, "reserve", full)
    with pytest.raises(errors.StoreError, match="no space for the 0 MB of its features and of 4 views of each image"):
        made(source, views=4)
    assert list(Path("artifacts/features").iterdir()) == []


def test_in_the_library_a_real_network_gives_the_same_features_beside_views(source: Path) -> None:
    """On OpenVINO a row's bits don't depend on its batch, whatever pictures are beside it."""
    network = {"backbone": "mobilenetv2-0.35", "weights": "none", "image_size": 32, "progress": False}
    plain = featx.extract(source, **network, limit=6, out="plain.h5")
    store = featx.extract(source, **network, limit=6, out="views.h5", views=2, flip=False, overwrite=True)
    assert np.array_equal(plain.features, store.features)
    assert store.views.shape == (6, 2, 1280)
    assert dataclasses.replace(store.views_spec, count=1) == ViewsSpec(count=1, flip=False)
    fewer = featx.extract(source, **network, limit=6, out="other/fewer.h5", views=1, flip=False, batch_size=1)
    assert np.array_equal(fewer.views[:, 0], store.views[:, 0])


def test_verify_computes_views_again(source: Path) -> None:
    """Views that are not those of their images have the right checksums, and are found by computing them again."""
    store = made(source, views=2)
    assert featx.verify(store.path, sample=12).ok
    views = np.array(store.views)
    views[7, 1] += 5
    rewrite_views(store, views)
    found = featx.verify(store.path, sample=12)
    assert found.broken == found.damaged == ()
    assert found.sample is not None
    assert set(found.sample.differing) == {store.paths[7]}


def test_repair_restores_views_to_the_bit(source: Path) -> None:
    store = made(source, views=2)
    before, digest = np.array(store.views), store.content_digest
    flip_bit(store, row=3)
    found = featx.verify(store.path, repair=True)
    assert found.ok
    assert found.repaired == (store.paths[3],)
    again = featx.open(store.path)
    assert np.array_equal(again.views, before)
    assert again.content_digest == digest


def test_parquet_and_npz_carry_views_and_csv_says_that_it_doesnt(
    source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    store = made(source, views=2)
    with np.load(featx.export(store, to="npz")) as arrays:
        assert np.array_equal(arrays["views"], store.views)
        assert ViewsSpec.from_json(str(arrays["views_spec"])) == store.views_spec
        assert np.array_equal(arrays["features"], store.features)
    table = parquet.read_table(featx.export(store, to="parquet"))
    assert np.array_equal(np.array(table["views"].to_pylist(), np.float32).reshape(store.views.shape), store.views)
    assert table.schema.metadata[b"views_spec"].decode() == store.views_spec.to_json()
    assert "left out" not in caplog.text
    header = featx.export(store, to="csv").read_text().splitlines()[0]
    assert "view" not in header
    assert "the 2 views of each image are left out of the csv" in caplog.text
    flip_bit(store, row=3)
    for kind in ("npz", "parquet"):
        with pytest.raises(errors.StoreError, match="row 3"):
            featx.export(store, to=kind, overwrite=True)


def test_the_commands_know_views(
    source: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def main(words: list[str]) -> int:
        monkeypatch.setattr("sys.argv", ["featx", *words])
        with pytest.raises(SystemExit) as ended:
            command_line()
        return int(ended.value.code or 0)

    command = ["extract", str(source), "--backbone", "mean-colour", "--image-size", "16"]
    assert main([*command, "--views", "2", "--no-flip", "--dry-run"]) == 0
    assert "2 views of each image" in capsys.readouterr().err
    assert main([*command, "--views", "2", "--no-flip", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)[0]
    assert (told["views"], told["views_computed"], told["extracted"]) == (2, 12, 12)
    assert main(["info", told["store"], "--json"]) == 0
    views = json.loads(capsys.readouterr().out)["views"]
    spec = ViewsSpec(count=2, flip=False)
    assert views.pop("in_words") == (
        "the store also holds 2 views (turned, zoomed, shifted, in other colours, none mirrored) of each image"
    )
    assert views == {"count": 2, "flip": False, "seed": 0, "version": 1, "fingerprint": spec.fingerprint}
    for bad, words in (
        (["--views", "65"], "--views 65"),
        (["--no-flip"], "--no-flip works only with views: give their number with --views"),
    ):
        assert main([*command, *bad, "--out", "other.h5"]) == 2
        assert words in capsys.readouterr().err
