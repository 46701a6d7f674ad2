"""The text of a CSV: its encoding by its first bytes, and the encodings that would read what is no UTF-8."""

import codecs
import re
import unicodedata
from pathlib import Path

from featx.errors import SourceError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""First bytes of a file that name its encoding."""

_OTHERS = ("cp1252", "cp1250", "cp1251", "cp850", "mac_roman", "cp932", "gb18030", "big5", "euc_kr")
"""Encodings that other programs write, the likeliest first."""

_MARKS_IN_NAMES = "–’"
_JAPANESE = {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}
"""Scripts, as the names of their letters begin, that stand in one word."""

LINE_END = re.compile(r"\r\n|\r|\n")

_LONGEST = 200
"""Signs of a value that a message shows."""

_SHOWN = 5
"""Encodings named in an error."""


def read_text(file: Path) -> tuple[str, str]:
    """Read a CSV as text, and tell its encoding: ``utf-8``, ``utf-16`` or ``utf-32``.

    Paths are bytes to the file system: bytes that are no UTF-8 become surrogate escapes, as `os.fsdecode` gives them.

    Raises
    ------
    SourceError
        It can't be read, or is no text.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SourceError(
            f"{file} can't be read ({error.strerror or error}); change its rights, or give another file"
        ) from error
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    if encoding in ("utf-16", "utf-32"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{file} begins like {encoding.upper()}, but is not ({error.reason} at byte {error.start}); save it "
                "again as UTF-8"
            ) from error
    else:
        text, encoding = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape"), "utf-8"
    if "\0" in text:
        raise SourceError(_what_holds_nulls(file, data, text))
    return text, encoding


def _what_holds_nulls(file: Path, data: bytes, text: str) -> str:
    if data.startswith(b"PK\3\4"):
        return f"{file} is not a CSV but a ZIP archive, as .xlsx and .ods files are; export the table as CSV (UTF-8)"
    for name, other in (("utf-16-le", 1), ("utf-16-be", 0)):
        if not any(data[other:64:2]):
            return f"{file} is probably {name.upper()} (without a byte order mark); save it again as UTF-8"
    line = text.count("\n", 0, text.index("\0")) + 1
    return f"{file}, line {line}: there is a NUL character, which can't be part of a name; is this really a CSV file?"


def is_text(value: str) -> bool:
    """Tell whether a value is text, and no bytes that stand as surrogate escapes."""
    # An encoder is faster than a search, and nearly every value is ASCII.
    return value.isascii() or not any("\udc80" <= char <= "\udcff" for char in value)


def readings(value: str) -> dict[str, str]:
    """Read the bytes of a value that is no UTF-8 in other encodings: what it would be, and the encoding."""
    data = value.encode("utf-8", "surrogateescape")
    found: dict[str, str] = {}
    for encoding in _OTHERS:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if text not in found and _is_like_a_name(text):
            found[text] = encoding
    return found


def readings_line(value: str) -> str:
    """Say which encodings would read a value that is no UTF-8, and as what."""
    found = [f"{encoding} reads {text!r}" for text, encoding in readings(value).items()]
    return ", ".join(found[:_SHOWN]) or "no common encoding fits"


def _is_like_a_name(text: str) -> bool:
    """Tell whether a text has letters of one script, digits and marks of ASCII, and nothing else."""
    if not all(char.isascii() or char.isalpha() or char in _MARKS_IN_NAMES for char in text):
        return False
    scripts = {unicodedata.name(char, "").split(" ")[0] for char in text if char.isalpha()}
    return len(scripts) <= 1 or scripts <= _JAPANESE


def checked_text(what: str, value: str, *, any_bytes: bool = False) -> str:
    """Take the blanks off a name of a class, split or group; refuse one that is no text of one line.

    A group may be a part of a path, and so hold any bytes.

    Raises
    ------
    SourceError
        Its message begins with `what`.
    """
    value = value.strip()
    if not any_bytes and not is_text(value):
        raise SourceError(f"{what} '{as_shown(value)}' is not UTF-8 ({readings_line(value)}); save the file as UTF-8")
    first, *more = LINE_END.split(value, 1)
    if more:
        raise SourceError(f"{what} '{as_shown(first)}' continues on the next line; add the closing quote before")
    return value


def as_shown(value: str) -> str:
    """Write a value for a message: on one line, bytes that are no UTF-8 as escapes, the end of a long one left out."""
    text = value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    text = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
