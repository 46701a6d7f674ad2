"""The records of a CSV, read strictly: its delimiter is certain, every quote is closed, no row is too long or short."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from featx.errors import SourceError
from featx.manifest.encoding import read_text

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""Signs that separate fields, and their names."""


@dataclass(frozen=True, kw_only=True)
class Records:
    """The header and the rows of a CSV.

    Parameters
    ----------
    file : Path
        The CSV.
    header : tuple of str
        Names of the columns as they are compared: without blanks around them, in lower case. A column may have none.
    names : tuple of str
        The same as they are written.
    delimiter : str
        Sign between the fields.
    rows : list of (int, list of str)
        Number of the first line of each row, and its fields, as many as there are columns. Rows of empty fields are
        left out.
    oddities : tuple of str
        Ways in which the file differs from comma-separated UTF-8.
    """

    file: Path
    header: tuple[str, ...]
    names: tuple[str, ...]
    delimiter: str
    rows: list[tuple[int, list[str]]]
    oddities: tuple[str, ...] = ()

    @property
    def listed_names(self) -> str:
        """Names of the columns, for a message."""
        return ", ".join(name for name in self.names if name) or "no header"


def read_records(file: Path, knows: Callable[[Sequence[str]], bool]) -> Records:
    """Read a CSV.

    Parameters
    ----------
    file : Path
        UTF-8, or UTF-16 or UTF-32 with a mark at its beginning.
    knows : function
        Tells if a header, as in `Records`, has a column that must be there. The delimiter that gives such a header is
        that of the file.

    Raises
    ------
    SourceError
        It can't be read, or read in one way only. The message names the line.
    """
    text, encoding = read_text(file)
    begin, delimiter = 1, ""
    lines = list(io.StringIO(text, newline=""))
    # Excel's own way to name the delimiter.
    if lines and (told := re.fullmatch(r'"?sep=(.*?)"?[\r\n]*', lines[0], re.IGNORECASE)):
        delimiter, begin = told[1], 2
        if delimiter not in DELIMITERS:
            raise SourceError(f"{file}, line 1: {told[0].strip()} names a delimiter that is not known; use commas")
        lines = lines[1:]
    delimiter = delimiter or _delimiter(file, lines, knows)
    records = list(_records(file, lines, delimiter=delimiter, begin=begin))
    if ' "' in text and any(_is_quoted_late(field) for _, fields in records for field in fields):
        records = list(_records(file, lines, delimiter=delimiter, begin=begin, skip_blanks=True))
    first_fields = records[0][1] if records else []
    names = tuple(name.strip() for name in first_fields)
    while names and not names[-1]:  # delimiters at the ends of lines
        names = names[:-1]
    header = tuple(name.lower() for name in names)
    _refuse_twins(file, header, names)
    oddities = [encoding.upper()] if encoding != "utf-8" else []
    oddities += [f"separated by {DELIMITERS[delimiter]}"] if delimiter != "," and len(header) > 1 else []
    return Records(
        file=file,
        header=header,
        names=names,
        delimiter=delimiter,
        rows=list(_full_rows(file, records[1:], header)),
        oddities=tuple(oddities),
    )


def parse_line(line: str, delimiter: str) -> list[str]:
    """Split one line into its fields, however it is quoted."""
    return next(csv.reader([line], delimiter=delimiter), [])


def _delimiter(file: Path, lines: Sequence[str], knows: Callable[[Sequence[str]], bool]) -> str:
    """Find the delimiter under which the header has the column that must be there."""
    headers: dict[str, list[str]] = {}
    for sign in DELIMITERS:
        try:
            names = next(filter(None, csv.reader(lines, delimiter=sign)), [])
        except csv.Error:
            names = []
        headers[sign] = [name.strip().lower() for name in names]
    known = [sign for sign, header in headers.items() if knows(header)]
    if len(known) > 1 and any(len(headers[sign]) > 1 for sign in known):
        raise SourceError(
            f"{file}, line 1: the columns could be separated by {' or '.join(DELIMITERS[sign] for sign in known)}; "
            "use commas, and put names that hold a sign in quotes"
        )
    return known[0] if known else max(headers, key=lambda sign: len(headers[sign]))


def _is_quoted_late(field: str) -> bool:
    """Tell whether a field has its quote after blanks, so that the quote counts as a letter."""
    return field.startswith(" ") and field.lstrip(" ").startswith('"')


def _records(
    file: Path, lines: Sequence[str], *, delimiter: str, begin: int, skip_blanks: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the fields of each record that isn't empty."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=skip_blanks)
    done = 0
    try:
        for fields in reader:
            if fields:
                yield begin + done, fields
            done = reader.line_num
    except csv.Error as error:
        _refuse_record(file, lines[done : reader.line_num], delimiter, begin + done, error)


def _refuse_record(file: Path, lines: Sequence[str], delimiter: str, begin: int, error: csv.Error) -> NoReturn:
    """Raise the error of a record, which names the line where its last quote opened."""
    quote, closed = _last_quote(lines, delimiter)
    end = begin + len(lines) - 1
    if quote is None:
        said = f"line {end}: this is no CSV ({error}); correct the line"
    elif not closed:
        said = f"line {begin + quote}: a quote opens here and is never closed; close it, or remove it"
    elif begin + quote < end:
        said = (
            f"line {begin + quote}: a quote opens here and is closed only on line {end}, where more text follows it; "
            "close it, or remove it"
        )
    else:
        said = f"line {end}: more text follows a quote that is closed; write a quote inside a text twice"
    raise SourceError(f"{file}, {said}") from error


def _last_quote(lines: Sequence[str], delimiter: str) -> tuple[int | None, bool]:
    """Find the line in which the last quote of a record opened, and tell if it is closed again."""
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


def _refuse_twins(file: Path, header: Sequence[str], names: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for position, name in enumerate(header):
        if name and name in seen:
            raise SourceError(
                f"{file}, line 1: the column {names[position]} is there twice, as number {seen[name] + 1} and "
                f"{position + 1}; rename or remove one of them"
            )
        seen[name] = position


def _full_rows(
    file: Path, records: Iterable[tuple[int, list[str]]], header: Sequence[str]
) -> Iterator[tuple[int, list[str]]]:
    """Yield rows of as many fields as there are columns; refuse others, except for empty fields too many."""
    width = len(header)
    for line, fields in records:
        if len(fields) != width:
            if not any(field.strip() for field in fields):
                continue
            if any(field.strip() for field in fields[width:]):
                raise SourceError(
                    f"{file}, line {line}: more fields than the header has ({len(fields)}, not {width}); put a path or "
                    "a text with delimiters in quotes"
                )
            if len(fields) < width:
                raise SourceError(
                    f"{file}, line {line}: fewer fields than the header has ({len(fields)}, not {width}); write the "
                    "delimiters of empty fields too"
                )
            del fields[width:]
        elif not any(fields) or not any(field.strip() for field in fields):
            continue
        yield line, fields
