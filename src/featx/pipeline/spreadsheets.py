"""CSV that is opened in a spreadsheet: no path and no class name in it is taken for a formula, where that is wanted."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
"""Beginnings of a cell that spreadsheets take for a formula, after OWASP's "CSV Injection"; full-width signs too."""


def safe_text(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for a formula.

    >>> safe_text("=cmd|' /C calc'!A0"), safe_text("cat")
    ("'=cmd|' /C calc'!A0", 'cat')
    """
    return f"'{text}" if _FORMULA.match(text) else text


def to_csv(rows: Iterable[Sequence[str]], *, quote: bool = False) -> str:
    """Write rows as CSV.

    Parameters
    ----------
    rows : iterable of sequence of str
        The cells.
    quote : bool
        Put every cell in quotes, and not only those that need it.
    """
    lines = io.StringIO(newline="")
    writers = [
        csv.writer(lines, quoting=quoting, lineterminator="\n") for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    ]
    for row in rows:
        # Python up to 3.12 doesn't quote a lone carriage return, which ends a line for those who read it.
        writers[quote or any("\r" in cell for cell in row)].writerow(row)
    return lines.getvalue()
