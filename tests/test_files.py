"""Files that appear whole or not at all."""

import os
from pathlib import Path

import pytest

import featx
from featx import files
from featx.errors import FeatxError
from featx.files import whole, write_whole


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    write_whole(target, b"one")
    with whole(target) as file:
        file.write(b"tw")
        file.flush()
        assert target.read_bytes() == b"one"
        file.write(b"o")
    assert target.read_bytes() == b"two"
    assert [path.name for path in target.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [OSError("no space"), KeyboardInterrupt()])
def test_after_an_error_everything_is_as_it_was(error: BaseException, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(type(error)), whole(target) as file:  # noqa: PT012  (the error comes from inside)
        file.write(b"new")
        raise error
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_has_the_rights_that_its_owner_gives_new_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_link_at_the_target_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"old")
    (tmp_path / "file").symlink_to("victim")
    write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "victim").read_bytes() == b"old"
    assert not (tmp_path / "file").is_symlink()


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    write_whole(tmp_path / ("n" * 255), b"x")
    assert (tmp_path / ("n" * 255)).read_bytes() == b"x"


def test_a_place_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FeatxError, match=r"can't write .*below"):
        write_whole(tmp_path / "file" / "below", b"x")


MEANT = {
    "a slip": ("data/trian/cats", "data/train/cats"),
    "another case": ("Data/Train", "data/train"),
    "backslashes": ("data\\train", "data/train"),
    "blanks and quotes": (" 'data/train' ", "data/train"),
    "no suffix": ("data/train/store", "data/train/store.h5"),
    "another Unicode form": ("data/cafe\u0301", "data/caf\u00e9"),
    "nothing like it": ("elsewhere", None),
    "a file below a file": ("data/train/store.h5/x", None),
    "what is there": ("data/train", None),
}


@pytest.mark.parametrize(("written", "found"), MEANT.values(), ids=MEANT)
def test_one_guess_for_a_path_that_is_not_there(
    written: str, found: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/train/cats").mkdir(parents=True)
    Path("data/caf\u00e9").mkdir()
    Path("data/train/store.h5").touch()
    if written == "Data/Train" and Path("DATA").exists():
        pytest.skip("the file system folds case")
    assert files.meant(Path(written)) == ("" if found is None else f"; did you mean {found}?")


def test_every_command_guesses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/train").mkdir(parents=True)
    for name in ("data/train/1.png", "store.h5", "model.skops", "own.weights.h5"):
        Path(name).touch()
    for call, guess in (
        (lambda: featx.extract("data/trian", backbone="mean-colour"), "data/train"),
        (lambda: featx.open("stor.h5"), "store.h5"),
        (lambda: featx.Model.load("modell.skops"), "model.skops"),
        (lambda: featx.extract("data", backbone="resnet50", weights="owm.weights.h5"), "own.weights.h5"),
    ):
        with pytest.raises(featx.FeatxError, match=f"did you mean {guess}"):
            call()
