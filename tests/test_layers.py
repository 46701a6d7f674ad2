"""Several layers of one backbone in one run: a store for each, from images that are decoded once."""

from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

import featx
from conftest import Painter
from featx.cli import main
from featx.errors import UsageError
from featx.pipeline.filling import loop

NETWORK = {"weights": "none", "image_size": 32, "pooling": "none"}
LAYERS = ["conv_pw_1_relu", "conv_pw_3_relu"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paint: Painter) -> None:
    monkeypatch.chdir(tmp_path)
    paint(Path("data"), each=2)


@pytest.mark.keras
def test_each_layer_has_the_store_that_it_has_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    decoders = Mock(wraps=loop.decoders)
    monkeypatch.setattr(loop, "decoders", decoders)
    found = featx.extract_all("data", backbones=["mobilenet-0.25"], layers=LAYERS, **NETWORK)
    assert decoders.call_count == 1
    assert [one.target.name for one in found] == [f"data-mobilenet-0.25-{layer}.h5" for layer in LAYERS]
    assert [one.spec.layer for one in found] == LAYERS
    assert [one.store.maps.shape for one in found if one.store] == [(6, 16, 16, 16), (6, 8, 8, 32)]
    alone = featx.extract("data", backbone="mobilenet-0.25", layer=LAYERS[1], out="alone/one.h5", **NETWORK)
    assert alone.fingerprint == found[1].spec.fingerprint
    np.testing.assert_array_equal(alone.features, found[1].store.features)

    # The command is the same call: it finds that nothing is to be done.
    words = ["extract", "data", "--backbone", "mobilenet-0.25", "--weights", "none", "--image-size", "32"]
    monkeypatch.setattr("sys.argv", ["featx", *words, "--pooling", "none", "--layer", ",".join(LAYERS)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    assert decoders.call_count == 2  # that of `alone`


def test_layers_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(UsageError, match="and not both"):
        featx.extract_all("data", layers=LAYERS, layer=LAYERS[0])
    with pytest.raises(UsageError, match="isn't empty"):
        featx.extract_all("data", layers=[])
    with pytest.raises(UsageError, match="each backbone and each layer only once"):
        featx.extract_all("data", backbones=["mean-colour"], layers=[None, None])
    with pytest.raises(UsageError, match="one file: give a folder"):
        featx.extract_all("data", backbones=["mean-colour", "scattering"], out="one.h5")
