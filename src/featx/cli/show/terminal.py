"""The terminal: lines for people on stderr, data on stdout."""

import json as json_format
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.text import Text

from featx.cli.flags import in_flags
from featx.cli.streams import behind, printable, write_data
from featx.errors import is_of_another_kind
from featx.words import counted

if TYPE_CHECKING:
    from featx.manifest import Failure

OTHERS_SHOWN = 3
"""Files of other kinds that are named."""

HANGING = 2
"""Blanks before the further lines of a long line."""

UNLIMITED = 100_000
"""Columns of a file or pipe: it is as wide as any table."""

FAILURES_SHOWN = 10
"""Failures named on the terminal; the store has them all."""


class _PrintableConsole(Console):
    """Lets only rich's own escape sequences through, for texts that nobody made printable before."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the parts of what is printed."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable(segment.text, keep="\n\t"), segment.style)


def console(*, data: bool = False) -> Console:
    """Console for data (stdout), or for everything else (stderr); a file or pipe is as wide as any table."""
    stream = sys.stdout if data else sys.stderr
    width = None if stream.isatty() else UNLIMITED
    return _PrintableConsole(file=behind(stream), highlight=False, emoji=False, width=width)


def line(text: str, *, data: bool = False) -> None:
    """A line for people: broken between words on a terminal, the further lines indented; whole in a file or pipe.

    A word that is wider than the terminal, such as a path, stays in one piece, so that it can be copied. With `data`,
    it goes to stdout.
    """
    screen = console(data=data)
    told = Text.from_markup(text, emoji=False)
    if not screen.is_terminal or told.cell_len <= screen.width:
        screen.print(told, soft_wrap=True)
        return
    indent = len(told.plain) - len(told.plain.lstrip(" "))
    width = max(screen.width - indent - HANGING, 1)
    for number, part in enumerate(_broken(told[indent:], width)):
        part.pad_left(indent + HANGING * (number > 0))
        screen.print(part, soft_wrap=True)


def _broken(text: Text, width: int) -> Iterator[Text]:
    """Yield lines of whole words. Rich's own wrapping would break or cut a word that is too wide."""
    breaks: list[int] = []
    used = 0
    for word in re.finditer(r"\S+\s*", text.plain):
        if used and used + cell_len(word[0].rstrip()) > width:
            breaks.append(word.start())
            used = 0
        used += cell_len(word[0])
    for part in text.divide(breaks):
        part.rstrip()
        yield part


def as_json(value: Any) -> None:
    """Write a value to stdout as JSON."""
    write_data(json_format.dumps(value, indent=2, ensure_ascii=True) + "\n")


def quiet() -> bool:
    """Tell whether the user asked for errors only."""
    import logging

    return logging.getLogger("featx").level >= logging.ERROR


def verbose() -> bool:
    """Tell whether the user asked for more than usual."""
    import logging

    return logging.getLogger("featx").level <= logging.INFO


def next_step(text: str) -> None:
    """Say in one dim line what may be done next."""
    if not quiet():
        line(f"[dim]next: {shown(text)}[/]")


def step(text: str) -> None:
    """Say what happens next, for people."""
    if not quiet():
        line(f"[cyan]{shown(in_flags(text))}[/]")


def shown(text: object) -> str:
    """Escape a text for rich: printable, and square brackets are no markup."""
    return escape(printable(text))


def shorten(path: Path) -> str:
    """Write a path for rich, as seen from the working folder where it is below it."""
    try:
        return shown(path.relative_to(Path.cwd()))
    except ValueError:
        return shown(path)


def failures(failed: "Sequence[Failure]") -> None:
    """Name the images without a row, the first few in full; files of other kinds are counted apart."""
    others = [failure for failure in failed if is_of_another_kind(failure.path, failure.reason)]
    if others and not quiet():
        names = ", ".join(shown(failure.path) for failure in others[:OTHERS_SHOWN])
        more = f" and {len(others) - OTHERS_SHOWN:,} more" if len(others) > OTHERS_SHOWN else ""
        line(f"  [dim]not images, so left out: {counted(len(others), 'file')} ({names}{more})[/]")
    images = [failure for failure in failed if not is_of_another_kind(failure.path, failure.reason)]
    for failure in images[:FAILURES_SHOWN]:
        line(f"  [red]{shown(failure.reason)}[/] {shown(failure.path)}: {shown(in_flags(failure.message))}")
    if len(images) > FAILURES_SHOWN:
        rest = Counter(failure.reason for failure in images[FAILURES_SHOWN:])
        line("  and " + ", ".join(f"{count} more {reason}" for reason, count in rest.most_common()))
