"""Leaks from a model, its training store and the files: what is found, what is left open, and what it says of that."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featx
from featx.leakage import Leaks
from featx.model import Model
from featx.pipeline.evaluation import leaks
from featx.store import FeatureStore
from test_leakage import ALTERED, photo

MEANS = {"backbone": "mean-colour", "workers": 2}
CLASSES = ("a", "b", "c")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))


def save(image: Image.Image, *places: str) -> None:
    for place in places:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        image.save(place)


def training() -> None:
    """Ten photos of each of three classes."""
    for number in range(30):
        save(photo(number), f"train/{CLASSES[number % 3]}/{number:02}.png")


def scored() -> None:
    """Six photos that are not in training, and copies of some that are."""
    for number in range(6):
        save(photo(100 + number), f"test/{CLASSES[number % 3]}/new {number}.png")
    shutil.copyfile("train/a/00.png", "test/a/exact.png")
    shutil.copyfile("train/b/01.png", "test/c/exact, of another class.png")
    for number, how in ((2, "re-encoded"), (3, "half the size"), (4, "cropped at a corner"), (5, "grey")):
        save(ALTERED[how](photo(number)), f"test/{CLASSES[number % 3]}/{how}.png")
    save(photo(6).transpose(Image.Transpose.FLIP_LEFT_RIGHT), "test/a/mirrored.png")


EXPECTED = {
    "a/exact.png": ("a/00.png", "exact", ("a", "a")),
    "c/exact, of another class.png": ("b/01.png", "exact", ("c", "b")),
    "c/re-encoded.png": ("c/02.png", "near", ("c", "c")),
    "a/half the size.png": ("a/03.png", "near", ("a", "a")),
    "b/cropped at a corner.png": ("b/04.png", "near", ("b", "b")),
    "c/grey.png": ("c/05.png", "near", ("c", "c")),
    "a/mirrored.png": ("a/06.png", "near", ("a", "a")),
}
EXACT = {path: found for path, found in EXPECTED.items() if found[1] == "exact"}


def fitted() -> Model:
    return featx.fit(featx.extract("train", **MEANS), clf="logreg", C=0.01, folds=2)


def named(found: Leaks) -> dict[str, tuple[str, str, tuple[str, str]]]:
    return {leak.path: (leak.other, leak.kind, leak.labels) for leak in found.at("train-test")}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Path, Path]:
    """A model of the training images, the folder that it and the stores name, and a copy of that folder."""
    place, kept = tmp_path_factory.mktemp("place") / "work", tmp_path_factory.mktemp("kept") / "work"
    place.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        training()
        scored()
        model = fitted()
        featx.extract("test", **MEANS)
    shutil.copytree(place, kept)
    return model, place, kept


@pytest.fixture
def both(prepared: tuple[Model, Path, Path], monkeypatch: pytest.MonkeyPatch) -> tuple[Model, FeatureStore]:
    """The model and the store to score, in their folder as it was made, whatever the test before did to it."""
    model, place, kept = prepared
    shutil.rmtree(place)
    shutil.copytree(kept, place)
    monkeypatch.chdir(place)
    monkeypatch.setenv("FEATX_CACHE", str(place / "cache"))
    return model, featx.open("artifacts/features/test-mean-colour.h5")


def test_copies_of_training_images_are_found_and_nothing_else(both: tuple[Model, FeatureStore]) -> None:
    model, store = both
    found = leaks.find(model, store)
    assert named(found) == EXPECTED
    assert found.complete
    assert found.at("train-train") == ()
    assert [leak.path for leak in found.pairs] == [path for path in store.paths if path in EXPECTED]
    assert found.leaked(store.paths).sum() == len(EXPECTED)
    assert Leaks.from_dict(found.to_dict()) == found


def test_images_are_read_once(both: tuple[Model, FeatureStore]) -> None:
    first = leaks.find(*both)
    shutil.rmtree("train")
    shutil.rmtree("test")
    assert leaks.find(*both) == first


@pytest.mark.parametrize("gone", ["train", "test", "both"])
def test_without_image_files_exact_copies_are_found_and_the_rest_is_left_open(
    both: tuple[Model, FeatureStore], gone: str
) -> None:
    for folder in ("train", "test") if gone == "both" else (gone,):
        shutil.rmtree(folder)
    found = leaks.find(*both)
    assert named(found) == EXACT
    assert not found.complete
    assert "could not be compared" in found.notes[0]


def test_a_file_that_changed_since_is_not_taken_for_the_one_that_was_scored(both: tuple[Model, FeatureStore]) -> None:
    save(photo(200), "test/a/half the size.png")
    found = leaks.find(*both)
    assert named(found) == {path: one for path, one in EXPECTED.items() if path != "a/half the size.png"}
    assert not found.complete


def test_without_time_nothing_is_read_and_what_was_read_stays(both: tuple[Model, FeatureStore]) -> None:
    hurried = leaks.find(*both, seconds=0)
    assert named(hurried) == EXACT
    assert not hurried.complete
    assert not Path("cache/pictures").exists()
    whole = leaks.find(*both)
    assert leaks.find(*both, seconds=0) == whole


@pytest.mark.parametrize("damage", [b"", b"no pictures", None])
def test_a_damaged_cache_costs_time_only(both: tuple[Model, FeatureStore], damage: bytes | None) -> None:
    first = leaks.find(*both)
    for file in Path("cache/pictures").glob("*.npy"):
        file.write_bytes(file.read_bytes()[:-50] if damage is None else damage)
    assert leaks.find(*both) == first


@pytest.mark.parametrize("what", ["missing", "another"])
def test_without_its_training_store_a_model_knows_digests_only(both: tuple[Model, FeatureStore], what: str) -> None:
    model, store = both
    Path(model.origin.path).unlink()
    if what == "another":
        save(photo(300), "train/a/30.png")
        assert str(featx.extract("train", **MEANS).path) == model.origin.path
    found = leaks.find(model, store)
    assert named(found) == {path: ("", kind, labels) for path, (_, kind, labels) in EXACT.items()}
    assert not found.complete
    assert what in found.notes[0]


def test_one_image_under_two_labels_is_found_inside_training() -> None:
    training()
    shutil.copyfile("train/a/00.png", "train/b/same.png")
    shutil.copyfile("train/b/01.png", "train/b/twice.png")
    save(photo(2).resize((150, 120)), "train/a/smaller.png")
    found = leaks.find(fitted())
    pairs = {(frozenset((leak.path, leak.other)), leak.kind) for leak in found.pairs}
    assert pairs == {
        (frozenset(("a/00.png", "b/same.png")), "exact"),
        (frozenset(("c/02.png", "a/smaller.png")), "near"),
    }
    assert all(leak.where == "train-train" and leak.labels[0] == leak.path[0] for leak in found.pairs)
    assert all(leak.labels[1] == leak.other[0] for leak in found.pairs)
    assert found.complete
    assert "1 of 33 training images is" in found.notes[0]


def test_a_clump_of_one_file_gives_no_more_pairs_than_images(monkeypatch: pytest.MonkeyPatch) -> None:
    training()
    for number in range(120):
        for folder in ("train/a", "train/b", "test/c"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            shutil.copyfile("train/a/00.png", f"{folder}/copy {number:03}.png")
    save(ALTERED["re-encoded"](photo(0)), *(f"test/b/near {number}.png" for number in range(40)))
    model, store = fitted(), featx.extract("test", **MEANS)
    monkeypatch.setattr(leaks, "MOST_INSIDE", 50)
    found = leaks.find(model, store)
    assert len(found.at("train-test")) == len(store) == 160
    assert {leak.kind for leak in found.at("train-test") if leak.labels[0] == "b"} == {"near"}
    assert {leak.labels for leak in found.at("train-train")} == {("b", "a")}
    assert len(found.at("train-train")) == 50
    assert any("70 more pairs" in note for note in found.notes)


def burst() -> None:
    """Five photos of each of two classes; of one class, each of them is there three times as re-encoded copies."""
    for number in range(10):
        save(photo(number), f"train/{CLASSES[number % 2]}/{number}.png")
        for copy in range(2 if number % 2 else 0):
            save(ALTERED["re-encoded"](photo(number)).rotate(0), f"train/b/{number} again {copy}.png")


def test_near_copies_inside_one_set_are_counted_and_may_stay_in_one_fold() -> None:
    burst()
    store = featx.extract("train", **MEANS)
    model = featx.fit(store, clf="logreg", C=0.01, folds=2)
    report = featx.score(model)
    (remark,) = [one for one in report.remarks if "near copies" in one]
    assert remark.startswith("10 of the 20 images are near copies of others of the same class")
    assert "`group_copies=True`" in remark
    together = featx.fit(store, clf="logreg", C=0.01, folds=2, group_copies=True).selection.oof
    apart = model.selection.oof
    assert together is not None
    assert apart is not None
    lots = [Path(path).stem.split(" ")[0] for path in store.paths]
    assert len(set(zip(lots, together.folds.tolist(), strict=True))) == 10
    assert len(set(zip(lots, apart.folds.tolist(), strict=True))) > 10


def test_copies_and_groups_stay_together() -> None:
    burst()
    store = featx.extract("train", **MEANS)
    # The group of the first photo of each class joins two lots of copies.
    groups = ["one" if path in ("a/0.png", "b/1.png") else path for path in store.paths]
    found = leaks.copies_together(store, groups, options=None)
    lots = {}
    for path, group in zip(store.paths, found, strict=True):
        lots.setdefault(group, set()).add(Path(path).stem.split(" ")[0])
    assert sorted(map(sorted, lots.values())) == [["0", "1"], *([str(number)] for number in range(2, 10))]


def test_images_without_a_label_are_named_without_one(both: tuple[Model, FeatureStore]) -> None:
    for number in (0, 7):
        save(ALTERED["re-encoded"](photo(number)), f"new/{number}.png")
    model, _ = both
    found = leaks.find(model, featx.extract("new", **MEANS))
    assert [(leak.other, leak.labels) for leak in found.pairs] == [("a/00.png", ("", "a")), ("b/07.png", ("", "b"))]


def test_labels_are_those_the_model_was_fitted_with(both: tuple[Model, FeatureStore]) -> None:
    _, test = both
    store = featx.open("artifacts/features/train-mean-colour.h5")
    kept = [path for path in store.paths if path not in ("a/03.png", "b/01.png")]
    lines = [f"{path},{'first' if path < 'b/10' else 'second'}" for path in kept]
    Path("labels.csv").write_text("\n".join(["path,label", *lines]))
    model = featx.fit(store, clf="logreg", C=0.01, folds=2, labels="labels.csv")
    found = leaks.find(model, test)
    assert {leak.path: leak.other for leak in found.pairs} == {
        path: other for path, (other, _, _) in EXPECTED.items() if other in kept
    }
    assert {leak.labels[1] for leak in found.pairs} == {"first", "second"}


def test_a_set_scored_on_itself_leaks_wholly(both: tuple[Model, FeatureStore]) -> None:
    model, _ = both
    store = featx.open(model.origin.path)
    found = leaks.find(model, store)
    assert found.leaked(store.paths).all()
    assert all(leak.path == leak.other for leak in found.pairs)


def test_a_search_that_finds_nothing_says_so_completely(both: tuple[Model, FeatureStore]) -> None:
    model, _ = both
    save(photo(400), "other/a/new.png")
    found = leaks.find(model, featx.extract("other", **MEANS))
    assert found == Leaks()
    assert np.array_equal(found.leaked(["a/new.png"]), [False])


@pytest.mark.keras
@pytest.mark.material
@pytest.mark.slow
def test_copies_planted_among_photos_are_found_and_no_two_photos_are_one(
    material: Path, run_benchmark: Callable[..., str], shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`benchmarks/leaks.py` on one set, whose one true pair lies inside training or between the halves or is gone."""
    monkeypatch.setenv("FEATX_CACHE", str(shared_cache))
    (found,) = json.loads(run_benchmark("leaks.py", "--sets", "flowers5_dev", "--each", "25", "--json"))
    assert all(one["found"] >= 0.95 * one["planted"] == 0.95 * 25 for one in found["kinds"].values())
    assert found["kinds"]["exact copy"]["named_right"] == 25
    assert found["complete"]
    assert {leak["path"][:17] for leak in found["not_planted"]} <= {"tulips/1291644122", "tulips/1291613541"}
