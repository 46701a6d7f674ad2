"""Tables that fit the terminal: what matters is never shortened, what matters least is left out first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

GAP = 2
"""Blanks between two columns."""

SHARED = 6
"""Letters that the names of all rows must have in common, up to a hyphen, to stand above the table instead."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    heading : str
        Its heading, as rich's markup.
    left : bool
        Text, which stands to the left; numbers stand to the right.
    rank : int
        0 is never left out; of the others the largest goes first.
    """

    heading: str
    left: bool = False
    rank: int = 0


def print_table(
    screen: Console, columns: Sequence[Column], rows: Iterable[Sequence[str]], *, title: str = "", named: bool = True
) -> list[str]:
    """Print a table as wide as the console, or narrower.

    Columns without any content are left out. Where the table is too wide, so is first the beginning that all names
    share, which then stands in the title, and then column by column what matters least: first what is the same in all
    rows, where that may be left out at all. If that isn't enough, each row becomes lines of its own.

    Parameters
    ----------
    screen : Console
        Where to print.
    columns : sequence of Column
        The columns.
    rows : iterable of sequence of str
        Their cells, as rich's markup; a row that is too short is filled up.
    title : str
        Line above, as rich's markup.
    named : bool
        The first column holds the names of the rows.

    Returns
    -------
    list of str
        The headings that are shown.
    """
    filled = [[*row, *[""] * (len(columns) - len(row))] for row in rows]
    kept = [index for index in range(len(columns)) if any(row[index] for row in filled) or not filled]
    if _width(columns, filled, kept) > screen.width and named:
        beginning = _shared_beginning([Text.from_markup(row[0], emoji=False).plain for row in filled])
        if beginning and all(row[0].startswith(beginning) for row in filled):
            filled = [[row[0].removeprefix(beginning), *row[1:]] for row in filled]
            title = ", ".join(part for part in (title, f"{columns[0].heading}s {beginning}…") if part)

    def tells_least(index: int) -> tuple[bool, int]:
        constant = len(filled) > 1 and len({row[index] for row in filled}) == 1
        return constant and columns[index].rank > 0, columns[index].rank

    while _width(columns, filled, kept) > screen.width and (least := max(kept, key=tells_least)):
        if not columns[least].rank:
            break
        kept.remove(least)
    shown = [columns[index].heading for index in kept]
    if title:
        screen.print(f"[dim]{title}[/]", soft_wrap=True)
    if _width(columns, filled, kept) > screen.width and len(kept) > 1:
        _print_stacked(screen, columns, filled, kept)
        return shown
    table = Table(box=None, pad_edge=False)
    for index in kept:
        table.add_column(columns[index].heading, justify="left" if columns[index].left else "right", no_wrap=True)
    for row in filled:
        table.add_row(*(row[index] for index in kept))
    screen.print(table)
    return shown


def _width(columns: Sequence[Column], rows: Iterable[Sequence[str]], kept: Sequence[int]) -> int:
    cells = [[columns[index].heading for index in kept], *([row[index] for index in kept] for row in rows)]
    widths = [max(Text.from_markup(row[place], emoji=False).cell_len for row in cells) for place in range(len(kept))]
    return sum(widths) + GAP * (len(kept) - 1)


def _shared_beginning(names: Sequence[str]) -> str:
    """Find what two or more names begin with, up to their last shared hyphen; empty where that is short."""
    if len(names) < 2:
        return ""
    # What the first and the last in order share, all of them do.
    first, last = min(names), max(names)
    length = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    beginning = first[: first.rfind("-", 0, length) + 1]
    return beginning if len(beginning) >= SHARED else ""


def _print_stacked(
    screen: Console, columns: Sequence[Column], rows: Iterable[Sequence[str]], kept: Sequence[int]
) -> None:
    """Print each row as its first cell and a line for each of the others."""
    for row in rows:
        screen.print(f"[bold]{row[kept[0]]}[/]", soft_wrap=True)
        for index in kept[1:]:
            if row[index]:
                heading = f"{columns[index].heading}: " if columns[index].heading else ""
                screen.print(f"  {heading}{row[index]}", soft_wrap=True)
