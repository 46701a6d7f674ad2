"""Learning curves."""

from typing import TYPE_CHECKING

from rich.table import Table

from featx.cli.flags import in_flags
from featx.cli.show.terminal import console, line, quiet, shown

if TYPE_CHECKING:
    from featx.reports.curve import Curve


def curve(found: "Curve") -> None:
    """A learning curve as a table on stdout, and what it says on stderr."""
    name = shown(found.name) + (" [yellow]UNTRAINED[/]" if found.untrained else "")
    table = Table(box=None, pad_edge=False, title_justify="left", title_style="dim")
    table.title = f"{name}, tested on {shown(found.tested_on)}"
    for heading in ("images per class", "accuracy", "95 % interval", "spread over draws", "draws"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in found.rows:
        table.add_row(
            f"{row.images_per_class:,}",
            f"{row.accuracy:.1%}",
            f"{row.interval.low:.1%} - {row.interval.high:.1%}",
            f"± {row.spread:.1%}" if row.draws > 1 else "",
            f"{row.draws}",
        )
    console(data=True).print(table)
    if quiet():
        return
    if found.gain is not None:
        line(shown(found.gain.sentence))
    for note in found.notes:
        line(f"[dim]note: {shown(in_flags(note))}[/]")
