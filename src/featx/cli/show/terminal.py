"""The terminal: lines for people on stderr, data on stdout."""

import json as json_format
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from featx.cli.flags import in_flags

if TYPE_CHECKING:
    from featx.manifest import Failure

FAILURES_SHOWN = 10
"""Failures named on the terminal; the store has them all."""


def console(*, data: bool = False) -> Console:
    """Console for data (stdout), or for everything else (stderr); a file or pipe is as wide as any table."""
    stream = sys.stdout if data else sys.stderr
    return Console(file=stream, highlight=False, emoji=False, width=None if stream.isatty() else 200)


def line(text: str) -> None:
    """A line for people, however long: the terminal wraps it, a file or pipe never."""
    console().print(text, soft_wrap=True)


def as_json(value: Any) -> None:
    """Write a value to stdout as JSON."""
    sys.stdout.write(json_format.dumps(value, indent=2, ensure_ascii=True) + "\n")


def quiet() -> bool:
    """Tell whether the user asked for errors only."""
    import logging

    return logging.getLogger("featx").level >= logging.ERROR


def step(text: str) -> None:
    """Say what happens next, for people."""
    if not quiet():
        line(f"[cyan]{escape(printable(in_flags(text)))}[/]")


def printable(path: Path | str) -> str:
    """A path for a terminal: control characters escaped, bytes that are no text shown as such."""
    text = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def shorten(path: Path) -> str:
    """A path as seen from the working folder, where it is below it."""
    try:
        return printable(path.relative_to(Path.cwd()))
    except ValueError:
        return printable(path)


def failures(failed: "Sequence[Failure]") -> None:
    """Name the images without a row, the first few in full."""
    if not failed:
        return
    for failure in failed[:FAILURES_SHOWN]:
        line(f"  [red]{failure.reason}[/] {escape(printable(failure.path))}: {escape(printable(failure.message))}")
    if len(failed) > FAILURES_SHOWN:
        rest = Counter(failure.reason for failure in failed[FAILURES_SHOWN:])
        line("  and " + ", ".join(f"{count} more {reason}" for reason, count in rest.most_common()))
