"""The terminal: lines for people on stderr, data on stdout."""

import json as json_format
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

from featx.cli.flags import in_flags
from featx.cli.streams import behind, printable, write_data

if TYPE_CHECKING:
    from featx.manifest import Failure

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
    return _PrintableConsole(file=behind(stream), highlight=False, emoji=False, width=None if stream.isatty() else 200)


def line(text: str) -> None:
    """A line for people, however long: the terminal wraps it, a file or pipe never."""
    console().print(text, soft_wrap=True)


def as_json(value: Any) -> None:
    """Write a value to stdout as JSON."""
    write_data(json_format.dumps(value, indent=2, ensure_ascii=True) + "\n")


def quiet() -> bool:
    """Tell whether the user asked for errors only."""
    import logging

    return logging.getLogger("featx").level >= logging.ERROR


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
    """Name the images without a row, the first few in full."""
    if not failed:
        return
    for failure in failed[:FAILURES_SHOWN]:
        line(f"  [red]{shown(failure.reason)}[/] {shown(failure.path)}: {shown(failure.message)}")
    if len(failed) > FAILURES_SHOWN:
        rest = Counter(failure.reason for failure in failed[FAILURES_SHOWN:])
        line("  and " + ", ".join(f"{count} more {reason}" for reason, count in rest.most_common()))
