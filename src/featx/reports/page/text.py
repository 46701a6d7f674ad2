"""Words and names as HTML."""

import html
import json
import math
import re
from datetime import UTC, datetime
from typing import Any

from featx.statistics.intervals import Interval
from featx.words import as_flag

_MISSING = "\N{REPLACEMENT CHARACTER}"
_SPACE = "\N{NO-BREAK SPACE}"
# What a browser would drop or take for layout is shown by its sign: U+2400 and on picture the control characters.
_SIGNS = {code: chr(0x2400 + code) for code in range(32)} | {127: "\N{SYMBOL FOR DELETE}"}
_SIGNS |= dict.fromkeys(range(0x80, 0xA0), _MISSING) | dict.fromkeys(range(0xD800, 0xE000), _MISSING)


def escaped(text: object) -> str:
    """Text for an element or an attribute: nothing in it is markup, and all of it can be written as UTF-8."""
    return html.escape(str(text).translate(_SIGNS))


def name(text: object) -> str:
    """The name of a class or a file; its direction of writing doesn't turn what stands around it."""
    return f"<bdi>{escaped(text)}</bdi>"


def sentence(note: str) -> str:
    """A note as a sentence; what it has between backquotes is code, a parameter of the library also as a flag."""
    parts = re.split("`([^`]+)`", note)
    text = "".join(_code(part) if place % 2 else escaped(part) for place, part in enumerate(parts))
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _code(marked: str) -> str:
    """Marked words as code; a parameter is first written as the flag that most readers of a page type."""
    found = re.fullmatch(r"([A-Za-z]\w*)(?:=(.*))?", marked)
    if found is None or not ("=" in marked or "_" in marked):
        return f"<code>{escaped(marked)}</code>"
    return f"<code>{escaped(as_flag(*found.groups()))}</code> (in Python <code>{escaped(marked)}</code>)"


def moment(created: str) -> str:
    """A time of ISO 8601 as people write it: ``2026-01-31, 16:05 UTC``."""
    try:
        return f"{datetime.fromisoformat(created).astimezone(UTC):%Y-%m-%d, %H:%M} UTC"
    except (ValueError, OverflowError):  # not written by featx
        return created


def embedded(value: Any) -> str:
    """JSON for a script element, whose only end is its end tag."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def share(value: float) -> str:
    """A share in [0, 1] as a percentage."""
    return f"{100 * value:.1f}{_SPACE}%"


def figure(value: float, unit: str) -> str:
    """The value of a metric in its unit: a percentage, or three decimals."""
    return share(value) if unit == "%" else f"{value:.3f}"


def ends(interval: Interval, *, unit: str = "%") -> str:
    """Both ends of an interval, as people read them."""
    if unit == "%":
        return f"{100 * interval.low:.1f}{_SPACE}to {100 * interval.high:.1f}{_SPACE}%"
    return f"{interval.low:.3f}{_SPACE}to {interval.high:.3f}"


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: ``1 image``, ``2,000 images``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def finite(value: float | None) -> float | None:
    """The number, or None for what JSON has no sign for."""
    return None if value is None or not math.isfinite(value) else float(value)
