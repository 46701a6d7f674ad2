"""Learning curves."""

from typing import TYPE_CHECKING

from featx.cli.flags import in_flags
from featx.cli.show.tables import Column, print_table
from featx.cli.show.terminal import console, line, quiet, shown

if TYPE_CHECKING:
    from featx.reports.curve import Curve

COLUMNS = (
    Column(heading="images per class"),
    Column(heading="accuracy"),
    Column(heading="95 % interval"),
    Column(heading="varies between draws by", rank=1),
    Column(heading="draws", rank=2),
)


def curve(found: "Curve") -> None:
    """A learning curve as a table on stdout, and what it says on stderr."""
    name = shown(found.name) + (" [yellow]UNTRAINED[/]" if found.untrained else "")
    rows = [
        (
            f"{row.images_per_class:,}",
            f"{row.accuracy:.1%}",
            f"{row.interval.low:.1%} - {row.interval.high:.1%}",
            f"± {100 * row.spread:.1f} points" if row.draws > 1 else "",
            f"{row.draws}",
        )
        for row in found.rows
    ]
    title = f"{name}, tested on {shown(found.tested_on)}"
    print_table(console(data=True), COLUMNS, rows, title=title, named=False)
    if quiet():
        return
    if found.gain is not None:
        line(shown(found.gain.sentence))
    for note in found.notes:
        line(f"[dim]note: {shown(in_flags(note))}[/]")
