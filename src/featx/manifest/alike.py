"""Names of classes that people take for the same."""

import re
import unicodedata
from collections.abc import Iterable


def difference(name: str, other: str) -> str | None:
    """Say in which small way two names differ.

    >>> difference("Cat", "cat"), difference("1", "1.0"), difference("sea lion", "sea_lion"), difference("cat", "dog")
    ('case', 'the way a number is written', 'blanks, hyphens or underscores', None)

    Returns
    -------
    str or None
        Words for people; None where the names are the same, or plainly two.
    """
    if name == other:
        return None
    for words, form in _FORMS.items():
        if form(name) == form(other):
            return words
    return "several small things" if _plainest(name) == _plainest(other) else None


def sets_alike(names: Iterable[str]) -> list[tuple[list[str], str]]:
    """Find the names that differ in small ways only, each set with what tells the first two apart."""
    by_form: dict[str, list[str]] = {}
    for name in names:
        by_form.setdefault(_plainest(name), []).append(name)
    return [(alike, difference(alike[0], alike[1]) or "small things") for alike in by_form.values() if len(alike) > 1]


def _visible(name: str) -> str:
    """Leave out what can't be seen: control characters, and signs that join or direct."""
    return "".join(sign for sign in name if unicodedata.category(sign) not in ("Cc", "Cf"))


def _joined(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip()


def _number(name: str) -> str:
    plain = name.strip()
    return f"{float(plain):g}" if re.fullmatch(r"[+-]?\d{1,15}(\.\d*)?", plain, re.ASCII) else name


_FORMS = {
    "characters that can't be seen": _visible,
    "their Unicode form": lambda name: unicodedata.normalize("NFKC", name),
    "case": str.casefold,
    "how a number is written": _number,
    "blanks, hyphens or underscores": _joined,
}
"""Small ways in which names differ, and the form in which they then are the same."""


def _plainest(name: str) -> str:
    return _number(_joined(unicodedata.normalize("NFKC", _visible(name)).casefold()))
