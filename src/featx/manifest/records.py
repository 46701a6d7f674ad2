"""The records of a CSV, read strictly: its delimiter is certain, every quote is closed, no row is too long or short."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from featx.errors import SourceError
from featx.manifest.encoding import as_shown, read_text
from featx.manifest.quotes import has_stray_quote, last_quote
from featx.words import counted

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""Signs that separate fields, and their names."""


@dataclass(frozen=True, kw_only=True)
class Records:
    """The header and the rows of a CSV.

    Parameters
    ----------
    file : Path
        The CSV.
    line : int
        Number of the line of the header.
    header : tuple of str
        Names of the columns as they are compared: without blanks around them, in lower case. A column may have none.
    written : tuple of str
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
    line: int
    header: tuple[str, ...]
    written: tuple[str, ...]
    delimiter: str
    rows: list[tuple[int, list[str]]]
    oddities: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """Place of the header, for a message."""
        return f"{self.file}, line {self.line}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, for a message."""
        return tuple(as_shown(name) for name in self.written)

    @property
    def listed_names(self) -> str:
        """List of the columns, for a message."""
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
            raise SourceError(f"{file}, line 1: {told[0].strip()} names an unknown delimiter; use commas")
        lines = lines[1:]
    delimiter = delimiter or _delimiter(file, lines, knows)
    records = list(_records(file, lines, delimiter=delimiter, begin=begin))
    if ' "' in text and any(_is_quoted_late(field) for _, fields in records for field in fields):
        records = list(_records(file, lines, delimiter=delimiter, begin=begin, skip_blanks=True))
    first, first_fields = records[0] if records else (begin, [])
    written = tuple(name.strip() for name in first_fields)
    while written and not written[-1]:  # delimiters at the ends of lines
        written = written[:-1]
    header = tuple(name.lower() for name in written)
    _refuse_twins(f"{file}, line {first}", header)
    oddities = [encoding.upper()] if encoding != "utf-8" else []
    oddities += [f"separated by {DELIMITERS[delimiter]}"] if delimiter != "," and len(header) > 1 else []
    return Records(
        file=file,
        line=first,
        header=header,
        written=written,
        delimiter=delimiter,
        rows=_full_rows(file, records[1:], width=len(header), first=first_fields),
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
            names = next(fields for fields in csv.reader(lines, delimiter=sign) if not _is_empty(fields))
        except (csv.Error, StopIteration):
            names = []
        headers[sign] = [name.strip().lower() for name in names]
    known = [sign for sign, header in headers.items() if knows(header)]
    if len(known) > 1 and any(len(headers[sign]) > 1 for sign in known):
        raise SourceError(
            f"{file}: the columns could be separated by {' or '.join(DELIMITERS[sign] for sign in known)}; use "
            "commas, and put names that contain one of these in quotes"
        )
    return known[0] if known else max(headers, key=lambda sign: len(headers[sign]))


def _is_empty(fields: Sequence[str]) -> bool:
    return not any(fields) or not any(field.strip() for field in fields)


def _is_quoted_late(field: str) -> bool:
    """Tell whether a field has its quote after blanks, so that the quote counts as a letter."""
    return field.startswith(" ") and field.lstrip(" ").startswith('"')


def _records(
    file: Path, lines: Sequence[str], *, delimiter: str, begin: int, skip_blanks: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the fields of each record of which not all fields are empty."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=skip_blanks)
    done, return_alone = 0, bool(lines) and lines[0].endswith("\r")
    try:
        for fields in reader:
            end = reader.line_num
            if has_stray_quote(lines[done] if end == done + 1 else "".join(lines[done:end]), delimiter):
                raise SourceError(
                    f"{file}, line {begin + done}: a quote is inside a text that isn't in quotes; put the whole text "
                    "in quotes, and write each quote inside it twice"
                )
            if lines[end - 1].endswith("\r") != return_alone and end < len(lines):
                raise SourceError(
                    f"{file}, line {begin + end - 1}: some lines end with a carriage return only, others don't; put "
                    "texts with line breaks in quotes"
                )
            if not _is_empty(fields):
                yield begin + done, fields
            done = end
    except csv.Error as error:
        _refuse_record(file, lines[done : reader.line_num], delimiter, begin + done, error)


def _refuse_record(file: Path, lines: Sequence[str], delimiter: str, begin: int, error: csv.Error) -> NoReturn:
    """Raise the error of a record, which names the line where its last quote opened."""
    quote, closed = last_quote(lines, delimiter)
    end = begin + len(lines) - 1
    if quote is None:
        said = f"line {end}: this is not valid CSV ({error}); correct the line"
    elif not closed:
        said = f"line {begin + quote}: a quote opens here and is never closed; close it, or remove it"
    elif begin + quote < end:
        said = (
            f"line {begin + quote}: a quote opens here and is closed only on line {end}, where more text follows it; "
            "close it, or remove it"
        )
    else:
        said = f"line {end}: more text follows a quote that is closed; write each quote inside a text twice"
    raise SourceError(f"{file}, {said}") from error


def _refuse_twins(where: str, header: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for position, name in enumerate(header):
        if name and name in seen:
            raise SourceError(
                f"{where}: the column {as_shown(name)} exists twice, as number {seen[name] + 1} and {position + 1}; "
                "rename or remove one of them"
            )
        seen[name] = position


def _full_rows(
    file: Path, records: Iterable[tuple[int, list[str]]], *, width: int, first: Sequence[str]
) -> list[tuple[int, list[str]]]:
    """Cut the fields of rows to as many as there are columns; refuse rows that have not as many as the header.

    Empty fields at the ends are no harm where every row has as many of them. Where some rows have more than others, a
    field may be missing, or a text with delimiters may have no quotes.
    """
    rows = []
    for line, fields in records:
        if len(fields) < width:
            raise SourceError(
                f"{file}, line {line}: there are fewer fields than in the header ({len(fields)}, not {width}); write "
                "the delimiters of empty fields too"
            )
        if len(fields) > width and any(field.strip() for field in fields[width:]):
            raise SourceError(
                f"{file}, line {line}: there are more fields than in the header ({len(fields)}, not {width}); put "
                "paths and texts with delimiters in quotes"
            )
        rows.append((line, fields))
    # A header that ends in delimiters itself may be a field longer than the rows, and its names beside their columns.
    widths = Counter(len(fields) for _, fields in rows)
    usual = len(first) if len(first) > width else widths.most_common(1)[0][0] if widths else width
    if others := [(line, len(fields)) for line, fields in rows if len(fields) != usual]:
        line, found = others[0]
        raise SourceError(
            f"{file}, line {line}: there {'is' if found == 1 else 'are'} {counted(found, 'field')} (empty ones "
            f"included), but {'the header has' if len(first) == usual else 'other lines have'} {usual}; write the "
            "same number of delimiters in every line, and put texts with delimiters in quotes"
        )
    return rows if width in widths else [(line, fields[:width]) for line, fields in rows]
