"""Results in a notebook: small tables as HTML, and pandas where it is installed."""

from collections.abc import Iterable, Sequence
from typing import Any

from featx.errors import UsageError


def html_table(
    title: str, rows: Iterable[Sequence[str]], *, header: Sequence[str] = (), notes: Sequence[str] = ()
) -> str:
    """Write a table as HTML in which every text is escaped: names of classes and files are whatever somebody typed.

    Parameters
    ----------
    title : str
        The caption.
    rows : iterable of sequence of str
        Cells; the first of a row is its heading.
    header : sequence of str
        Headings of the columns; none where it is empty.
    notes : sequence of str
        Paragraphs below the table.
    """
    head = f"<thead><tr>{''.join(map(_heading, header))}</tr></thead>" if header else ""
    body = "".join(
        f"<tr>{_heading(first)}"
        + "".join(f"<td style='text-align:left'>{escaped(one)}</td>" for one in others)
        + "</tr>"
        for first, *others in rows
    )
    caption = f"<caption style='text-align:left'>{escaped(title)}</caption>"
    below = "".join(f"<p>{escaped(note)}</p>" for note in notes)
    return f"<div><table>{caption}{head}<tbody>{body}</tbody></table>{below}</div>"


def pandas() -> Any:
    """Import pandas.

    Raises
    ------
    UsageError
        It isn't installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise UsageError("to_pandas needs pandas, not found here: run `pip install 'featx[pandas]'`") from error
    return pd


def text_column(values: Iterable[str | None]) -> Any:
    """Make a column of text; names need not be UTF-8, so that it is Python's own text and not Arrow's."""
    return pandas().Series(list(values), dtype=object)


def escaped(text: str) -> str:
    """Escape a text for HTML."""
    # Bytes of a name that are no UTF-8 stand as lone surrogates, which no page can hold.
    from html import escape

    return escape(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def _heading(text: str) -> str:
    return f"<th style='text-align:left'>{escaped(text)}</th>"
