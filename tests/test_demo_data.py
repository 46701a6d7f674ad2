import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from featx import demo, fit
from featx.backbones import Request
from featx.demo import write_digits
from featx.errors import SourceError
from featx.progress import Silent


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "data"
    return folder, write_digits(folder)


def test_every_digit_is_written_once_under_its_label(written):
    folder, (train, test) = written
    data = load_digits()
    paths = sorted(folder.glob("*/*/*.png"), key=lambda path: path.name)
    assert train + test == len(paths) == len(data.target)
    assert [int(path.parent.name) for path in paths] == data.target.tolist()
    assert set(contents(folder)) == {path.relative_to(folder).as_posix() for path in paths}
    for split, n in (("train", train), ("test", test)):
        counts = [len(list((folder / split / str(digit)).iterdir())) for digit in range(10)]
        assert sum(counts) == n
        share = n / len(paths)
        np.testing.assert_allclose(counts, share * np.bincount(data.target), atol=1)
    assert 0.19 < test / len(paths) < 0.21


def test_images_show_the_data(written):
    folder, _ = written
    data = load_digits()
    for path in sorted(folder.glob("*/*/*.png"))[::50]:
        image = Image.open(path)
        assert image.mode == "L"
        assert image.text["Source"].startswith("scikit-learn")
        small = np.asarray(image.resize((8, 8), Image.Resampling.BOX), dtype=float)
        truth = data.images[int(path.stem.removeprefix("digit-"))]
        assert np.corrcoef(small.ravel(), truth.ravel())[0, 1] > 0.98
        assert np.asarray(image).max() > 240 * truth.max() / 16


def test_the_seed_decides_the_split_and_the_bytes(written, tmp_path):
    folder, counts = written
    assert write_digits(tmp_path / "same") == counts
    assert contents(tmp_path / "same") == contents(folder)
    assert write_digits(tmp_path / "other", seed=1) == counts
    assert set(contents(tmp_path / "other")) != set(contents(folder))


def test_a_part_is_the_same_number_of_images_of_each_digit_from_the_same_split(written, tmp_path):
    folder, _ = written
    assert write_digits(tmp_path / "data", each=(3, 2)) == (30, 20)
    part = contents(tmp_path / "data")
    whole = contents(folder)
    assert all(whole[path] == data for path, data in part.items())
    for split, n in (("train", 3), ("test", 2)):
        assert [len(list((tmp_path / "data" / split / str(digit)).iterdir())) for digit in range(10)] == [n] * 10
    assert write_digits(tmp_path / "data", each=(3, 2)) == (30, 20)
    with pytest.raises(SourceError, match="nothing is overwritten"):
        write_digits(tmp_path / "data")


def test_repeated_it_changes_nothing(written):
    folder, counts = written
    (folder / "train" / ".DS_Store").write_bytes(b"of a file manager")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert write_digits(folder) == counts
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def foreign_file(folder, written):
    (folder / "train" / "cats").mkdir(parents=True)
    (folder / "train" / "cats" / "tom.jpg").write_bytes(b"a cat")


def foreign_file_in_test(folder, written):
    (folder / "test").mkdir(parents=True)
    (folder / "test" / "notes.txt").write_text("mine")


def empty_class(folder, written):
    (folder / "train" / "cats").mkdir(parents=True)


def other_image_of_the_same_name(folder, written):
    shutil.copytree(written, folder)
    path = next((folder / "train" / "3").iterdir())
    Image.new("L", (32, 32)).save(path)


def broken_image(folder, written):
    shutil.copytree(written, folder)
    path = next((folder / "train" / "3").iterdir())
    path.write_bytes(path.read_bytes()[:60])


def incomplete(folder, written):
    shutil.copytree(written, folder)
    next((folder / "train" / "3").iterdir()).unlink()


def other_images_of_the_set(folder, written):
    shutil.copytree(written / "train", folder / "test")


def a_file_as_train(folder, written):
    folder.mkdir()
    (folder / "train").write_text("mine")


def a_file_as_folder(folder, written):
    folder.write_text("mine")


@pytest.mark.parametrize(
    "prepare",
    [
        foreign_file,
        foreign_file_in_test,
        empty_class,
        other_image_of_the_same_name,
        broken_image,
        incomplete,
        other_images_of_the_set,
        a_file_as_train,
        a_file_as_folder,
    ],
)
def test_what_is_not_its_own_is_refused_and_left_as_it_is(prepare, written, tmp_path):
    folder = tmp_path / "data"
    prepare(folder, written[0])
    before = contents(tmp_path)
    with pytest.raises(SourceError, match="data") as caught:
        write_digits(folder)
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == before


def test_interrupted_it_can_be_repeated(written, tmp_path, monkeypatch):
    folder, counts = written
    (tmp_path / "data" / "train").mkdir(parents=True)  # empty: of no value to anyone
    save, saved = Image.Image.save, []

    def interrupted(self, *args, **options):
        saved.append(args)
        if len(saved) > 1600:
            raise KeyboardInterrupt
        save(self, *args, **options)

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_digits(tmp_path / "data")
    assert contents(tmp_path / "data") == {}
    monkeypatch.undo()
    assert write_digits(tmp_path / "data") == counts
    expected = {name: data for name, data in contents(folder).items() if not name.endswith(".DS_Store")}
    assert contents(tmp_path / "data") == expected


@pytest.mark.keras
def test_without_weights_the_demo_runs_on_scattering_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))
    said: list[str] = []

    class Log(Silent):
        def step(self, step):
            said.append(step.text)

    runner = demo.choose_backbone(Log())
    assert (runner.spec.backbone, runner.feature_shape, runner.untrained) == ("scattering", (1251,), False)
    (words,) = said
    assert "pip install 'featx[offline]'" in words
    assert "scattering" in words


class Commands(Silent):
    """Notes what is said, and what is computed: models and reports of an earlier run are not."""

    def __init__(self):
        self.said = []

    def step(self, step):
        self.said.append(step.text)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with a run of a demo of few images, on a backbone that needs no weights."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        few(patch, folder)
        demo.run()
    return folder


def few(patch, folder):
    patch.chdir(folder)
    patch.setenv("FEATX_CACHE", str(folder / "cache"))
    patch.setattr(demo, "EACH", (6, 3))
    patch.setattr(demo, "BACKBONE", Request(backbone="mean-colour"))


def counted(monkeypatch):
    """Count the fits and the scores that are computed."""
    calls = []
    for name in ("fit_all", "score_all"):
        made = getattr(demo, name)
        monkeypatch.setattr(
            demo, name, lambda *args, made=made, name=name, **options: calls.append(name) or made(*args, **options)
        )
    return calls


def test_the_second_run_computes_nothing_again_and_shows_the_same(project, monkeypatch):
    few(monkeypatch, project)
    first = demo.run()
    calls, before = counted(monkeypatch), {path: path.stat().st_mtime_ns for path in project.rglob("artifacts/*/*")}
    log = Commands()
    assert [report.to_json() for report in demo.run(progress=log)] == [report.to_json() for report in first]
    assert calls == []
    assert {path: path.stat().st_mtime_ns for path in project.rglob("artifacts/*/*")} == before
    assert sum("nothing to do" in text for text in log.said) == 3  # of two fits and a score, and each is said
    assert len(before) == 2 + 2 + 2 * 4


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ("a model of other options", ["fit_all", "score_all"]),
        ("a page that is gone", ["score_all"]),
        ("another program", ["fit_all", "fit_all", "score_all"]),
    ],
)
def test_what_has_changed_since_the_last_run_is_computed_again(change, again, project, monkeypatch):
    few(monkeypatch, project)
    demo.run()  # nothing to do, unless another of these tests changed something
    if change == "a model of other options":
        fit("artifacts/features/train-mean-colour.h5", clf="svm", C=1.0)
    elif change == "a page that is gone":
        (project / "artifacts" / "reports" / "train-mean-colour-svm-on-test.html").unlink()
    else:
        monkeypatch.setattr("importlib.metadata.version", lambda name: "another")
    calls = counted(monkeypatch)
    reports = demo.run()
    assert calls == again
    assert [report.model for report in reports] == ["train-mean-colour-logreg", "train-mean-colour-svm"]
    assert len(list(project.rglob("artifacts/reports/*.html"))) == 2
