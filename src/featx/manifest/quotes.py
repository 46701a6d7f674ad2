"""Quotes in the records of a CSV that are at fault: never closed, closed too late, or inside a text without quotes."""

import functools
import re
from collections.abc import Sequence


def last_quote(lines: Sequence[str], delimiter: str) -> tuple[int | None, bool]:
    """Find the line in which the last quote of a record opened, and tell if it is closed again.

    The line is counted from 0, and None where no field has quotes. A record that goes on after a closing quote is read
    up to there.
    """
    opened, inside, closing, fresh = None, False, False, True
    for number, line in enumerate(lines):
        for sign in line:
            if inside and not closing:
                closing = sign == '"'
            elif closing and sign == '"':  # twice: a quote inside the text
                closing = False
            elif closing and sign != delimiter:
                return opened, True
            elif fresh and sign == '"':
                opened, inside = number, True
            else:
                inside, closing, fresh = False, False, sign == delimiter
    return opened, not inside or closing


def has_stray_quote(record: str, delimiter: str) -> bool:
    """Tell whether a quote stands inside a field that isn't in quotes, where `csv` takes it for a letter.

    So a field whose first quote was lost, or that was never quoted, would be read with the other one.
    """
    return '"' in record and _well_quoted(delimiter).fullmatch(record) is None


@functools.cache
def _well_quoted(delimiter: str) -> re.Pattern[str]:
    sign = re.escape(delimiter)
    # Possessive (*+): what has matched once is not tried in another way, which a long text would take for ever.
    field = rf'(?: *+"[^"]*+(?:""[^"]*+)*+"|[^"{sign}\r\n]*+)'
    return re.compile(rf"{field}(?:{sign}{field})*+[\r\n]*+")
