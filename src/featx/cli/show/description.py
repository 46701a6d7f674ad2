"""Descriptions of files."""

from collections.abc import Mapping, Sequence
from itertools import starmap
from typing import Any

from rich.cells import cell_len

from featx.cli.show.terminal import console, line, shown
from featx.cli.streams import printable
from featx.words import counted

CLASSES_SHOWN = 20
"""Classes that a terminal lists in full."""

ENDS_SHOWN = 5
"""Classes that are listed at each end, of the most images and of the fewest, where there are more."""

COUNT_WIDTH = 12
"""Columns that are left for the number of images and the blanks beside it."""


def description(found: dict[str, Any]) -> None:
    """Print the description of a file on stdout: a line for each fact, a mapping indented below its name."""

    def row(name: str, value: Any, indent: int) -> None:
        start = f"{'  ' * indent}[bold]{shown(name.replace('_', ' '))}[/]"
        if isinstance(value, dict):
            line(start, data=True)
            for key, inner in value.items():
                if inner is not None:
                    row(str(key), inner, indent + 1)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            line(start, data=True)
            for inner in value:
                text = "  ".join(starmap(_fact, inner.items()))
                line(f"{'  ' * (indent + 1)}{shown(text)}", data=True)
        else:
            text = " x ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
            line(f"{start}  {shown(text)}", data=True)

    for name, value in found.items():
        if value in (None, [], {}):
            continue
        if name == "classes":
            _print_classes(value)
        else:
            row(name, value, 0)


def _fact(name: str, value: Any) -> str:
    """Write a number with its name, and a text alone."""
    if isinstance(value, float):
        value = f"{value:.4g}"
    elif not isinstance(value, int):
        return str(value)
    return f"{name.replace('_', ' ')} {value}"


def _print_classes(counts: Mapping[str, int]) -> None:
    """Print the images of each class; on a terminal only the commonest and the rarest of many classes."""
    least, most = min(counts.values()), max(counts.values())
    each = f"{counted(least, 'image')} each" if least == most else f"{least:,} to {most:,} images each"
    line(f"[bold]classes[/]  {len(counts):,}, {each}", data=True)
    if len(counts) <= CLASSES_SHOWN or not console(data=True).is_terminal:
        _print_counts(list(counts.items()))
        return
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    line(f"  the {ENDS_SHOWN} with the most images:", data=True)
    _print_counts(ordered[:ENDS_SHOWN], indent=4)
    line(f"  the {ENDS_SHOWN} with the fewest:", data=True)
    _print_counts(ordered[-ENDS_SHOWN:], indent=4)
    line(f"  [dim]the other {len(counts) - 2 * ENDS_SHOWN:,} are left out here; --json has all[/]", data=True)


def _print_counts(counts: Sequence[tuple[str, int]], indent: int = 2) -> None:
    """Print names and numbers of images, on a terminal in two columns as far as the names fit."""
    screen = console(data=True)
    room = screen.width - indent - COUNT_WIDTH if screen.is_terminal else 0
    widths = [cell_len(printable(name)) for name, _ in counts]
    wide = max((width for width in widths if width <= room), default=0)
    digits = max(len(f"{count:,}") for _, count in counts) if screen.is_terminal else 0
    for (name, count), width in zip(counts, widths, strict=True):
        blanks = " " * max(0, wide - width)
        line(f"{' ' * indent}[bold]{shown(name)}[/]{blanks}  {count:>{digits},}", data=True)
