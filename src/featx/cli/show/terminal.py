"""The terminal: lines for people on stderr, data on stdout."""

import json as json_format
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

from featx.cli.flags import in_flags
from featx.cli.streams import behind, printable, write_data

if TYPE_CHECKING:
    from featx.manifest import Failure

OTHER_KINDS = (
    ".bib .csv .db .doc .docx .htm .html .ini .ipynb .json .log .mat .md .npy .npz .parquet .pdf .pkl .py .rst .rtf "
    ".tex .toml .tsv .txt .xls .xlsx .xml .yaml .yml .zip"
)
"""Suffixes of files that lie beside images and are none."""

OTHERS_SHOWN = 3
"""Files of other kinds that are named."""

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
    others = [failure for failure in failed if _is_of_another_kind(failure)]
    if others:
        names = ", ".join(shown(failure.path) for failure in others[:OTHERS_SHOWN])
        more = f" and {len(others) - OTHERS_SHOWN:,} more" if len(others) > OTHERS_SHOWN else ""
        line(f"  [dim]not images: {len(others):,} left out ({names}{more})[/]")
    images = [failure for failure in failed if not _is_of_another_kind(failure)]
    for failure in images[:FAILURES_SHOWN]:
        line(f"  [red]{shown(failure.reason)}[/] {shown(failure.path)}: {shown(failure.message)}")
    if len(images) > FAILURES_SHOWN:
        rest = Counter(failure.reason for failure in images[FAILURES_SHOWN:])
        line("  and " + ", ".join(f"{count} more {reason}" for reason, count in rest.most_common()))


def _is_of_another_kind(failure: "Failure") -> bool:
    """Tell whether a file is none that anybody takes for an image, by its name and its content."""
    if failure.reason not in ("not-an-image", "empty"):
        return False
    return PurePath(failure.path).suffix.lower() in OTHER_KINDS.split()
