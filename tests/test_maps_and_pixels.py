"""Features in their own shape, and the pixels of a store's images, row by row."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featx
from conftest import Painter
from featx.errors import StoreError, UsageError
from featx.images import decode
from featx.spec import PixelRules


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paint: Painter) -> featx.FeatureStore:
    monkeypatch.chdir(tmp_path)
    paint(Path("data"), each=3)
    Path("data/red/broken.png").write_bytes(b"no image")
    with pytest.warns(featx.UnreadableWarning):
        return featx.extract("data", backbone="mean-colour", image_size=(8, 6), resize="crop", pooling="none")


def test_maps_are_the_features_in_their_own_shape_without_a_copy(store: featx.FeatureStore) -> None:
    """Nothing is read before it is used, so maps larger than memory can be looked at."""
    assert store.maps.shape == (len(store), *store.feature_shape) == (9, 8, 6, 3)
    assert np.shares_memory(store.maps, store.features)
    assert isinstance(store.maps, np.memmap)
    # This backbone's map is the pixels themselves.
    np.testing.assert_array_equal(store.maps, store.pixels())


def test_pixels_are_those_of_the_rules_in_the_order_of_the_rows(store: featx.FeatureStore) -> None:
    for size, sides in ((None, (8, 6)), (5, (5, 5)), ((4, 7), (4, 7))):
        found = store.pixels(size)
        rules = PixelRules(image_size=sides, resize="crop")
        expected = [decode((Path("data") / path).read_bytes(), rules) for path in store.paths]
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(UsageError, match="not a size"):
        store.pixels(0)


def test_pixels_of_other_images_than_those_extracted_are_refused(store: featx.FeatureStore, tmp_path: Path) -> None:
    """A pair of features and pixels of different images would teach nonsense, silently."""
    Image.new("RGB", (9, 9), (1, 2, 3)).save(Path("data") / store.paths[4])
    with pytest.raises(StoreError, match=r"^1 of 9 images in .*green 01\.png: it has changed since"):
        store.pixels()
    Path("data").rename("elsewhere")
    with pytest.raises(StoreError, match=r"^9 of 9 images .*there is no such file"):
        store.pixels()


def test_pixels_are_found_where_the_folder_was_moved(store: featx.FeatureStore) -> None:
    before = store.pixels()
    Path("data").rename("elsewhere")
    np.testing.assert_array_equal(featx.open(store.path, root="elsewhere").pixels(), before)
