"""What is remembered from run to run, and where."""

from pathlib import Path

import pytest

from featx import cache


@pytest.fixture(autouse=True)
def homes(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_the_folder_follows_the_environment(homes, monkeypatch):
    assert cache.cache_home() == homes / "cache"
    monkeypatch.delenv("FEATX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache.cache_home() == Path("/somewhere/featx")


def test_answers_of_one_kind_are_found_together(homes):
    cache.remember(("kind", 1), {"x": 1})
    cache.remember(("kind", 2), {"x": 2})
    cache.remember(("other", 1), {"x": 3})
    (homes / "cache" / "weights" / "copy.json").write_text('{"key": ["kind", 3], "value": {"x": 4}}')
    (homes / "cache" / "weights" / "broken.json").write_text("{")
    assert dict(cache.all_remembered("kind")) == {("kind", 1): {"x": 1}, ("kind", 2): {"x": 2}}


def test_what_is_remembered_comes_back_under_its_key_only(homes):
    cache.remember(("digest", "a", None, 1), {"x": 1})
    assert cache.remembered(("digest", "a", None, 1)) == {"x": 1}
    assert cache.remembered(("digest", "a", None, 2)) is None
    cache.remember(("digest", "a", None, 1), {"x": 2})
    assert cache.remembered(("digest", "a", None, 1)) == {"x": 2}
    assert len(list((homes / "cache" / "weights").iterdir())) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": ["k"]}', '{"key": ["other"], "value": {}}', "\x00"])
def test_a_corrupt_index_is_an_empty_one(text, homes):
    cache.remember(("k",), {"x": 1})
    (entry,) = (homes / "cache" / "weights").iterdir()
    entry.write_text(text)
    assert cache.remembered(("k",)) is None
    cache.remember(("k",), {"x": 1})
    assert cache.remembered(("k",)) == {"x": 1}


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(homes):
    (homes / "cache").write_text("a file where the folder should be")
    cache.remember(("k",), {"x": 1})
    assert cache.remembered(("k",)) is None
