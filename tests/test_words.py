"""Numbers and lists in sentences, and complaints about a command line in plain words."""

import pytest
from typer.testing import CliRunner

from featx.cli import app
from featx.words import counted, some


@pytest.mark.parametrize(
    ("number", "nouns", "text"),
    [
        (0, ("image",), "0 images"),
        (1, ("image",), "1 image"),
        (2000, ("image",), "2,000 images"),
        (1, ("class", "classes"), "1 class"),
        (3, ("class", "classes"), "3 classes"),
        (1, ("image is", "images are"), "1 image is"),
    ],
)
def test_a_noun_agrees_with_its_number(number: int, nouns: tuple[str, ...], text: str) -> None:
    assert counted(number, *nouns) == text


@pytest.mark.parametrize(("most", "text"), [(3, "a, b, c"), (2, "a, b and 1 more"), (1, "a and 2 more")])
def test_a_long_list_names_the_first_and_counts_the_others(most: int, text: str) -> None:
    assert some("abc", most=most) == text


@pytest.mark.parametrize(
    ("arguments", "flag", "complaint"),
    [
        (("extract", "data", "--limit", "0"), "--limit", "it must be 1 or more"),
        (("fit", "--folds", "1"), "--folds", "it must be 2 or more"),
        (("fit", "--seed", "-1"), "--seed", "it must be 0 or more"),
        (("extract", "data", "--batch-size", "many"), "--batch-size", "it must be a whole number"),
        (("predict", "new", "--min-confidence", "high"), "--min-confidence", "it must be a number"),
        (
            ("extract", "data", "--pooling", "most"),
            "--pooling",
            "'most' is unknown; choose one of 'avg', 'max', 'none'",
        ),
        (("doctor", "now"), "", "Too many words: now"),
    ],
)
def test_a_wrong_value_is_named_in_plain_words(arguments: tuple[str, ...], flag: str, complaint: str) -> None:
    """Flag and rule, in words that need no knowledge of the libraries that read the command line."""
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 2
    text = " ".join(told.stderr.replace("│", " ").split())
    assert flag in text
    assert complaint in text
    assert "Input should" not in text
