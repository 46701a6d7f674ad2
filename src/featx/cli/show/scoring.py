"""Tables of reports."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from featx.cli.show.terminal import console, line, printable, quiet

if TYPE_CHECKING:
    from featx.reports import Report


def reports(scored: "Sequence[Report]") -> None:
    """A table of reports, best first."""
    from featx.reports import rows

    found = rows(scored)
    for scored_on in dict.fromkeys(row["scored_on"] for row in found):
        table = Table(box=None, pad_edge=False, title_justify="left", title_style="dim")
        table.title = f"scored on {escape(printable(scored_on))}"
        for heading in ("model", "accuracy", "95 % interval", "balanced", "macro F1", "top-5", "log loss"):
            table.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
        for row in found:
            if row["scored_on"] != scored_on:
                continue
            table.add_row(
                escape(printable(row["model"])) + (" [yellow]UNTRAINED[/]" if row["untrained"] else ""),
                f"{row['accuracy']:.1%}",
                f"{row['accuracy_low']:.1%} - {row['accuracy_high']:.1%}",
                f"{row['balanced_accuracy']:.1%}",
                f"{row['macro_f1']:.3f}",
                "" if row["top5_accuracy"] is None else f"{row['top5_accuracy']:.1%}",
                "" if row["log_loss"] is None else f"{row['log_loss']:.3f}",
            )
        console(data=True).print(table)
    if quiet():
        return
    notes = dict.fromkeys(note for report in scored for note in report.notes)
    for note in notes:
        line(f"[dim]note: {escape(printable(note))}[/]")
