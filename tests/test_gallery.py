"""Images of a store in a notebook: thumbnails of the files that were extracted, and of no others."""

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featx
from conftest import Painter
from featx import gallery

HOSTILE = "<script>'\"&"
"""Name of a class, which is the name of a folder."""


class Shown(HTMLParser):
    """The pictures of a gallery, its other tags and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.pictures: list[bytes] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert {name for name, _ in attrs} <= {"style", "title", "alt", "src"}
        for name, value in attrs:
            if name == "src":
                kind, _, data = (value or "").partition(",")
                assert kind == "data:image/jpeg;base64"
                self.pictures.append(base64.b64decode(data))

    def handle_data(self, data: str) -> None:
        self.text += f"{data}\n"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paint: Painter) -> featx.FeatureStore:
    monkeypatch.chdir(tmp_path)
    paint(Path("data"), classes={HOSTILE: (20, 40, 220), "red": (230, 30, 20)}, each=3)
    paint(Path("album"), classes={"red": (230, 30, 20)}, each=1, seed=1)
    Path("data/red/zz link.png").symlink_to(Path("album/red/red 00.png").absolute())
    return featx.extract("data", backbone="mean-colour")


def test_a_notebook_shows_images_with_class_and_path(store: featx.FeatureStore) -> None:
    rows = [4, 0]
    found = featx.show(store, rows)
    assert (found.rows, found.labels) == ((4, 0), ("red", HOSTILE))
    shown = Shown(found._repr_html_())
    assert shown.tags == {"div", "figure", "img", "figcaption", "b", "br", "small"}
    for row, picture in zip(rows, shown.pictures, strict=True):
        with Image.open(io.BytesIO(picture)) as image:
            assert image.size == (50, 40)  # as large as it is: a thumbnail only makes smaller
            mean = np.asarray(image).mean((0, 1))
        np.testing.assert_allclose(mean, store.features[row], atol=4)
        assert store.paths[row] in shown.text
    assert repr(found) == "<Gallery of 2 images of data-mean-colour.h5>"


def test_no_other_image_is_shown_than_the_one_that_was_extracted(store: featx.FeatureStore) -> None:
    (Path("data") / store.paths[0]).unlink()
    Image.new("RGB", (9, 9), (1, 2, 3)).save(Path("data") / store.paths[1])
    found = featx.show(store)
    assert len(found) == 7
    assert set(found.missing) == {store.paths[0], store.paths[1], "red/zz link.png"}
    shown = Shown(found._repr_html_())
    assert len(shown.pictures) == 4
    assert shown.text.count("missing, or changed since") == 2
    assert shown.text.count("outside the data folder") == 1
    assert repr(found).endswith(", 3 without a picture>")
    assert list(featx.show(store, [6], show_outside=True).thumbnails) == ["red/zz link.png"]


def test_rows_are_named_as_in_numpy(store: featx.FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert featx.show(store.path, store.labels == store.classes.index("red")).labels == ("red",) * 4
    assert featx.show(store, slice(1, 3)).rows == (1, 2)
    assert featx.show(store, -1).rows == (6,)
    assert featx.show(store, []).rows == ()
    assert Shown(featx.show(store, [])._repr_html_()).pictures == []
    for rows in ([7], [0.5], [[1]], [True], "red"):
        with pytest.raises(featx.UsageError, match=r"from 0 to 6, or a mask of 7 values True or False"):
            featx.show(store, rows)
    monkeypatch.setattr(gallery, "MOST", 2)
    found = featx.show(store, slice(None))
    assert len(found) == 2
    assert "the first 2 of 7 images" in Shown(found._repr_html_()).text


def test_images_without_a_label_are_shown_too(tmp_path: Path, paint: Painter) -> None:
    paint(tmp_path / "data", classes={"red": (230, 30, 20)}, each=1)
    store = featx.extract(tmp_path / "data" / "red", backbone="mean-colour", out=tmp_path / "flat.h5")
    assert "no label" in Shown(featx.show(store)._repr_html_()).text
