"""Tables of compared models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from featx.cli.flags import in_flags
from featx.cli.show.terminal import console, line, quiet, shown

if TYPE_CHECKING:
    from featx.statistics.comparison import Comparisons

HEADINGS = ("model", "accuracy", "95 % interval", "to the best", "95 % interval", "p", "")
VERDICTS = {True: "[bold]real[/]", False: "not distinguishable"}


def comparisons(found: "Sequence[Comparisons]") -> None:
    """A table for each set of images, best model first, with the differences to the best."""
    for one in found:
        table = Table(box=None, pad_edge=False, title_justify="left", title_style="dim")
        table.title = f"scored on {shown(one.scored_on)}"
        for index, heading in enumerate(HEADINGS):
            table.add_column(heading, justify="right" if 0 < index < len(HEADINGS) - 1 else "left", no_wrap=True)
        for ranked, pair in zip(one.models, (None, *one.with_best), strict=True):
            row = [
                shown(ranked.model),
                f"{ranked.accuracy:.1%}",
                f"{ranked.interval.low:.1%} - {ranked.interval.high:.1%}",
            ]
            if pair is not None:
                # Towards the best the difference is a loss.
                low, high = -pair.accuracy.interval.high, -pair.accuracy.interval.low
                p = pair.adjusted_p_value
                row += [
                    f"{-pair.accuracy.value:+.1%}",
                    f"{low:+.1%} to {high:+.1%}",
                    "< 0.001" if p < 0.001 else f"{p:.3f}",
                    VERDICTS[pair.real],
                ]
            table.add_row(*row)
        console(data=True).print(table)
        if quiet():
            continue
        for note in one.notes:
            line(f"[dim]note: {shown(in_flags(note))}[/]")
    if not quiet():
        line("[dim]p: McNemar's test on the same images (mid-p), corrected for all pairs by Holm's procedure[/]")
