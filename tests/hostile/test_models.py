"""Models whose parts don't belong together, and the page's policy."""

import json
import re
from pathlib import Path

import pytest

import featx
from conftest import Painter
from featx.model import archive


@pytest.fixture
def model(paint: Painter, tmp_path: Path) -> Path:
    store = featx.extract(paint(tmp_path / "data"), backbone="mean-colour", out=tmp_path / "out.h5")
    featx.fit(store, out=tmp_path / "model.skops")
    return tmp_path / "model.skops"


@pytest.mark.parametrize("part", ["fingerprint", "spec"])
def test_a_fingerprint_is_that_of_the_spec(part: str, model: Path) -> None:
    """A model that says one thing and holds another would be given the features of either."""
    contents = archive.read(model)
    record = json.loads(contents["record"])
    if part == "fingerprint":
        record["fingerprint"] = "0" * 64
    else:
        record["origin"]["spec"] = record["origin"]["spec"].replace("stretch", "crop")
    archive.write(model, {**contents, "record": json.dumps(record)})
    with pytest.raises(featx.ModelError, match="the fingerprint doesn't belong to the spec"):
        featx.Model.load(model)


def test_the_page_sends_nothing_and_leads_nowhere(model: Path, tmp_path: Path) -> None:
    featx.score(model, out=tmp_path / "report.json")
    page = (tmp_path / "report.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert {name: rules[name] for name in ("default-src", "base-uri", "form-action")} == {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert "unsafe" not in rules["script-src"]
