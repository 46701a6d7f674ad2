import os
import re
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from featx.errors import SourceError, UsageError
from featx.manifest import Manifest, difference, find


def fill(root: Path, *paths: str) -> Path:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.fsencode(path))
    return root


def named_labels(manifest: Manifest) -> dict[str, str | None]:
    names = (*manifest.classes, None)
    return {path: names[label] for path, label in zip(manifest.paths, manifest.labels, strict=True)}


def only(manifests: list[Manifest]) -> Manifest:
    (manifest,) = manifests
    return manifest


FOLDERS = {
    "flat": (["b.jpg", "a.png"], {"a.png": None, "b.jpg": None}),
    "classes": (["dog/1.jpg", "cat/2.jpg"], {"cat/2.jpg": "cat", "dog/1.jpg": "dog"}),
    "deeper levels keep the class": (
        ["cat/2020/may/1.jpg", "cat/1.jpg"],
        {"cat/1.jpg": "cat", "cat/2020/may/1.jpg": "cat"},
    ),
    "loose files beside classes": (["cat/1.jpg", "README.txt"], {"README.txt": None, "cat/1.jpg": "cat"}),
    "hidden": (["cat/1.jpg", ".git/x.jpg", "cat/.DS_Store", ".a.jpg"], {"cat/1.jpg": "cat"}),
    "any name": (
        ["with space/a b.jpg", "new\nline/\n.jpg", "猫/ß é.jpg", "#%/%41.jpg"],
        {"#%/%41.jpg": "#%", "new\nline/\n.jpg": "new\nline", "with space/a b.jpg": "with space", "猫/ß é.jpg": "猫"},
    ),
    "one split name among classes is a class": (
        ["train/1.jpg", "bus/1.jpg"],
        {"bus/1.jpg": "bus", "train/1.jpg": "train"},
    ),
    "bytewise order": (
        ["a/b.jpg", "a.jpg", "a-b.jpg", "B.jpg"],
        {"B.jpg": None, "a-b.jpg": None, "a.jpg": None, "a/b.jpg": "a"},
    ),
}


@pytest.mark.parametrize(("files", "expected"), FOLDERS.values(), ids=FOLDERS.keys())
def test_folder(tmp_path: Path, files: list[str], expected: dict[str, str | None]) -> None:
    root = fill(tmp_path / "photos", *files)
    manifest = only(find(root))
    assert named_labels(manifest) == expected
    assert list(manifest.paths) == sorted(expected, key=os.fsencode)
    assert list(manifest.classes) == sorted({label for label in expected.values() if label}, key=os.fsencode)
    assert (manifest.name, manifest.split, manifest.root, manifest.source) == ("photos", None, root, root)
    assert manifest.labels.dtype == np.int32
    for path, size, mtime in zip(manifest.paths, manifest.sizes, manifest.mtimes_ns, strict=True):
        status = (root / path).stat()
        assert (size, mtime) == (status.st_size, status.st_mtime_ns)


def test_names_that_are_no_utf8_lead_back_to_their_files(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    raw = os.fsencode(root) + b"/\xff\xfe.jpg"
    try:
        Path(os.fsdecode(raw)).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    manifest = only(find(root))
    assert os.fsencode(manifest.paths[0]) == b"\xff\xfe.jpg"
    assert (root / manifest.paths[0]).read_bytes() == b"x"


@pytest.mark.parametrize("names", [("train", "test"), ("Train", "VALID", "Test"), ("validation", "train")])
def test_splits_equal_asking_for_each_folder(tmp_path: Path, names: tuple[str, ...]) -> None:
    fill(tmp_path, *(f"{name}/{label}/{i}.jpg" for name in names for label in ("cat", "dog") for i in range(3)))
    fill(tmp_path, "notes.txt")
    found = find(tmp_path)
    assert {one.name for one in found} == set(names)
    assert [one.split for one in found] == [s for s in ("train", "val", "test") if s in {one.split for one in found}]
    for one in found:
        alone = only(find(tmp_path / one.name))
        assert (alone.paths, alone.classes, alone.split, alone.root) == (one.paths, one.classes, one.split, one.root)
        assert one.classes == ("cat", "dog")


def test_a_split_without_images_is_left_out(tmp_path: Path) -> None:
    (fill(tmp_path, "train/cat/1.jpg") / "test").mkdir()
    assert [one.split for one in find(tmp_path)] == ["train"]


def test_links_are_followed_but_never_round(tmp_path: Path) -> None:
    root, elsewhere = fill(tmp_path / "photos", "cat/1.jpg"), fill(tmp_path / "elsewhere", "2.jpg", "deep/3.jpg")
    (root / "dog").symlink_to(elsewhere)
    (root / "cat" / "loop").symlink_to(root)
    (root / "cat" / "self").symlink_to("self")
    (root / "cat" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (root / "cat" / "copy.jpg").symlink_to(root / "cat" / "1.jpg")
    os.mkfifo(root / "cat" / "pipe.jpg")
    manifest = only(find(root))
    assert manifest.paths == ("cat/1.jpg", "cat/copy.jpg", "cat/gone.jpg", "cat/self", "dog/2.jpg", "dog/deep/3.jpg")
    lost = np.array([False, False, True, True, False, False])
    assert np.array_equal(manifest.sizes == -1, lost)
    assert np.array_equal(manifest.mtimes_ns == -1, lost)


def test_csv(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "sub dir/b,c.jpg", "é.jpg")
    absolute = tmp_path / "a.jpg"
    (tmp_path / "list.csv").write_text(
        f'\ufeffgroup, Label ,file_name\ng1,cat,./é.jpg\n,dog,"sub dir//b,c.jpg"\n\ng1,,{absolute}\ng2,cat,gone.jpg\n',
        "utf-8",
    )
    manifest = only(find(tmp_path / "list.csv"))
    assert named_labels(manifest) == {"a.jpg": None, "gone.jpg": "cat", "sub dir/b,c.jpg": "dog", "é.jpg": "cat"}
    assert manifest.groups == ("g1", "g2", "sub dir/b,c.jpg", "g1")
    assert (manifest.name, manifest.split, manifest.root) == ("list", None, tmp_path)
    assert list(manifest.sizes) == [5, -1, len("sub dir/b,c.jpg"), len("é.jpg".encode())]


def test_csv_splits(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("path,label,split\na,x,Train\nb,y,extra\nc,x,validation\nd,y,train\ne,x,\n")
    found = find(tmp_path / "all.csv")
    assert [(one.name, one.split, one.paths, one.classes) for one in found] == [
        ("all-train", "train", ("a", "d"), ("x", "y")),
        ("all-val", "val", ("c",), ("x",)),
        ("all", None, ("e",), ("x",)),
        ("all-extra", "extra", ("b",), ("y",)),
    ]
    assert all(one.groups is None for one in found)


def test_csv_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    (tmp_path / "raw.csv").write_bytes(b"path\n\xe9.jpg\n")
    assert os.fsencode(only(find(tmp_path / "raw.csv")).paths[0]) == b"\xe9.jpg"


BAD_CSVS = {
    "no column path": ("file,label\na,b\n", "line 1.*file, label"),
    "no header": ("", "line 1.*no header"),
    "no rows": ("path,label\n", "only a header and no lines below it"),
    "same image twice": ("path\na.jpg\nb.jpg\n./a.jpg\n", r"line 4: a\.jpg is already on line 2"),
    "empty path": ("path,label\na,x\n,y\n", "line 3: the path is empty"),
    "comma without quotes": ("path,label\na,b.jpg,x\n", "line 2.*quotes"),
    "a folder as image": ("path\n.\n", "line 2.*not a regular file"),
}


@pytest.mark.parametrize(("text", "message"), BAD_CSVS.values(), ids=BAD_CSVS.keys())
def test_bad_csv(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(SourceError, match=message) as caught:
        find(tmp_path / "bad.csv")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "bad.csv") in str(caught.value)


def test_bad_sources(tmp_path: Path) -> None:
    fill(tmp_path, "some.jpg", "hidden/.a.jpg", "splits/.keep")
    (tmp_path / "splits" / "train").mkdir()
    (tmp_path / "splits" / "test").mkdir()
    for name, words in {
        "nowhere": "No such file",
        "some.jpg": "neither a folder",
        "hidden": "no images",
        "splits": "no images",
    }.items():
        with pytest.raises(SourceError, match=words) as caught:
            find(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(UsageError, match="`limit` must be 1 or more"):
        find(tmp_path, limit=0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list any folder")
def test_a_folder_without_the_right_to_list_it_is_named(tmp_path: Path) -> None:
    locked = fill(tmp_path, "cat/1.jpg") / "cat"
    locked.chmod(0)
    try:
        with pytest.raises(SourceError, match=str(locked)):
            find(tmp_path)
    finally:
        locked.chmod(0o700)


def test_limit_is_balanced_sorted_and_repeatable(tmp_path: Path) -> None:
    root = fill(
        tmp_path / "p", *(f"{label}/{i:03}.jpg" for label, n in {"a": 100, "b": 2, "c": 50}.items() for i in range(n))
    )
    whole, chosen = only(find(root)), only(find(root, limit=20, seed=3))
    assert Counter(named_labels(chosen).values()) == {"a": 9, "b": 2, "c": 9}
    assert list(chosen.paths) == sorted(chosen.paths)
    assert set(named_labels(chosen).items()) <= set(named_labels(whole).items())
    assert len(chosen.sizes) == len(chosen.mtimes_ns) == len(chosen) == 20
    assert only(find(root, limit=20, seed=3)).paths == chosen.paths
    assert only(find(root, limit=20, seed=4)).paths != chosen.paths
    assert only(find(root, limit=10_000)).paths == whole.paths


def test_ten_thousand_files_are_listed_in_well_under_a_second(tmp_path: Path) -> None:
    for label in range(10):
        folder = tmp_path / f"class{label}"
        folder.mkdir()
        for i in range(1000):
            (folder / f"{i}.jpg").touch()
    begun = time.process_time()
    assert len(only(find(tmp_path))) == 10_000
    assert time.process_time() - begun < 1


def test_splits_beside_another_folder_are_classes_and_that_is_said(tmp_path, caplog):
    for name in ("train", "test", "raw"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"")
    (one,) = find(tmp_path)
    assert one.classes == ("raw", "test", "train")
    assert "the folder 'raw' is beside them" in caplog.text


@pytest.mark.parametrize("source", ["~nobody-of-this-name/x"])
def test_a_home_folder_of_nobody_is_a_source_that_is_not_there(source):
    with pytest.raises(SourceError, match="nobody-of-this-name"):
        find(source)


def test_splits_that_would_share_a_store_are_refused(tmp_path):
    (tmp_path / "list.csv").write_text("path,split\na.png,a/b\nb.png,a_b\n")
    with pytest.raises(SourceError, match="get the same name"):
        find(tmp_path / "list.csv")


def test_a_seed_is_no_negative_number(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(UsageError, match="`seed` must be 0 or more, and is -1"):
        find(tmp_path, limit=1, seed=-1)


SPLIT_NAMES = {
    "train": ("Training", "TRAIN", "training_set", "train-images", "trainset"),
    "val": ("valid", "Validation", "eval", "dev", "val_images"),
    "test": ("Testing", "test set", "test_data", "testset"),
}


@pytest.mark.parametrize(("split", "name"), [(split, name) for split, names in SPLIT_NAMES.items() for name in names])
def test_a_split_has_many_names(tmp_path: Path, split: str, name: str) -> None:
    """As a sub-folder, as the folder that is given, and as a value in a CSV."""
    other = "train" if split != "train" else "test"
    fill(tmp_path / "data", f"{name}/cat/1.jpg", f"{other}/cat/1.jpg")
    assert {one.name: one.split for one in find(tmp_path / "data")} == {name: split, other: other}
    assert only(find(tmp_path / "data" / name)).split == split
    (tmp_path / "list.csv").write_text(f"path,split\na.jpg,{name}\nb.jpg,mine\n")
    assert [one.split for one in find(tmp_path / "list.csv")] == [split, "mine"]


def test_a_word_that_all_splits_share_tells_nothing(tmp_path: Path) -> None:
    root = fill(tmp_path, "seg_train/sea/1.jpg", "seg_test/sea/1.jpg")
    assert {one.name: (one.split, one.classes) for one in find(root)} == {
        "seg_train": ("train", ("sea",)),
        "seg_test": ("test", ("sea",)),
    }


@pytest.mark.parametrize("names", [("tester", "testing"), ("training", "bus"), ("devil", "dev"), ("a", "b")])
def test_what_is_no_split_is_a_class(tmp_path: Path, names: tuple[str, str]) -> None:
    root = fill(tmp_path / "all", *(f"{name}/1.jpg" for name in names))
    assert only(find(root)).classes == tuple(sorted(names))


def test_a_split_beside_the_classes_that_it_holds_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    find(fill(tmp_path / "pets", "train/cat/1.jpg", "cat/2.jpg", "dog/3.jpg"))
    assert "train are taken as classes" in caplog.text
    caplog.clear()
    find(fill(tmp_path / "vehicles", "train/steam/1.jpg", "bus/2.jpg", "tram/3.jpg"))
    assert not caplog.records


def test_empty_folders_and_those_of_systems_decide_nothing(tmp_path: Path) -> None:
    root = fill(
        tmp_path / "data",
        "train/cat/1.jpg",
        "test/cat/1.jpg",
        "__MACOSX/train/._1.jpg",
        "__MACOSX/train/1.jpg",
        ".ipynb_checkpoints/1.jpg",
        "notes/.keep",
        "train/@eaDir/1.jpg",
        "train/dog/.hidden/1.jpg",
    )
    (root / "empty" / "deep").mkdir(parents=True)
    assert [(one.split, one.paths, one.classes) for one in find(root)] == [
        ("train", ("cat/1.jpg",), ("cat",)),
        ("test", ("cat/1.jpg",), ("cat",)),
    ]


def test_what_featx_wrote_is_no_image(tmp_path: Path) -> None:
    root = fill(
        tmp_path / "data",
        "train/cat/1.jpg",
        "test/cat/1.jpg",
        "artifacts/features/data-x.h5",
        "artifacts/models/m.skops",
        "artifacts/reports/m.png",
        "train/store.h5",
        "train/cat/store.h5.lock",
        "train/store.h5.partial",
    )
    assert [(one.split, one.paths) for one in find(root)] == [("train", ("cat/1.jpg",)), ("test", ("cat/1.jpg",))]
    # A class of that name is one.
    fill(tmp_path / "scans", "artifacts/reports/1.png", "artifacts/2.png", "clean/1.png")
    assert only(find(tmp_path / "scans")).paths == ("artifacts/2.png", "artifacts/reports/1.png", "clean/1.png")


LEVELS = {
    "a folder in a folder of its own": (["pets/cat/1.jpg", "pets/dog/1.jpg"], r"one class, pets.* cat, dog; .*/pets$"),
    "two of them": (["a/b/cat/1.jpg", "a/b/dog/1.jpg"], r"one class, a,.* cat, dog; .*/a/b$"),
    "splits by other names": (
        ["fold1/x/1.jpg", "fold1/y/1.jpg", "fold2/x/1.jpg", "fold2/y/1.jpg"],
        r"x, y; .*/fold1 or ",
    ),
    "splits below the classes": (
        ["cat/train/1.jpg", "cat/test/1.jpg", "dog/train/1.jpg", "dog/test/1.jpg"],
        r"classes cat, dog have sub-folders with names of splits, test, train.* above those of the classes",
    ),
    "sub-folders of other names": (["cat/a/1.jpg", "cat/b/1.jpg", "dog/c/1.jpg"], None),
    "one sub-folder each": (["cat/images/1.jpg", "dog/images/1.jpg"], None),
    "a loose file": (["pets/cat/1.jpg", "pets/dog/1.jpg", "1.jpg"], None),
    "one class": (["cat/1.jpg", "cat/2.jpg"], None),
}


@pytest.mark.parametrize(("files", "words"), LEVELS.values(), ids=LEVELS.keys())
def test_classes_that_seem_to_lie_deeper_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, files: list[str], words: str | None
) -> None:
    find(fill(tmp_path / "photos", *files))
    assert [bool(re.search(words or "", one.getMessage())) for one in caplog.records] == [True] * (words is not None)


ALIKE = {
    ("Cat", "cat"): "case",
    ("Stra\u00dfe", "strasse"): "case",
    ("caf\u00e9", "cafe\u0301"): "their Unicode form",
    ("1", "01"): "how a number is written",
    ("1", "1.0"): "how a number is written",
    ("sea lion", "sea_lion"): "blanks, hyphens or underscores",
    ("Sea lion", "sea-lion"): "several small things",
    ("cat", "ca\u200bt"): "characters that can't be seen",
    ("cat", "cat\x1a"): "characters that can't be seen",
    ("cat", "cats"): None,
    ("1", "10"): None,
    ("a1", "a01"): None,
}


@pytest.mark.parametrize(("names", "words"), ALIKE.items(), ids=map("-".join, ALIKE))
def test_names_that_are_nearly_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: tuple[str, str], words: str | None
) -> None:
    assert difference(*names) == difference(*reversed(names)) == words
    (tmp_path / "list.csv").write_text(
        "path,label\n" + "".join(f"{i}.jpg,{n}\n" for i, n in enumerate((*names, "dog")))
    )
    assert len(only(find(tmp_path / "list.csv")).classes) == 3
    assert [f"differ only in {words}" in one.getMessage() for one in caplog.records] == [True] * (words is not None)
