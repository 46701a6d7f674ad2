"""Tables of compared models."""

import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from featx.cli.flags import in_flags
from featx.cli.show.tables import Column, print_table
from featx.cli.show.terminal import console, line, quiet, shorten, shown

if TYPE_CHECKING:
    from featx.statistics.comparison import Comparisons

COLUMNS = (
    Column(heading="model", left=True),
    Column(heading="accuracy"),
    Column(heading="95 % interval", rank=3),
    Column(heading="behind the best", rank=1),
    Column(heading="95 % interval", rank=2),
    Column(heading="p"),
    Column(heading="", left=True),
)
MANY = 4
"""Models, of which more have so many pairs that the correction hides differences of some points."""

VERDICTS = {True: "[bold]real[/]", False: "no clear difference"}


def comparisons(found: "Sequence[Comparisons]") -> None:
    """A table for each set of images, best model first, with the differences to the best."""
    for one in found:
        rows = []
        for ranked, pair in zip(one.models, (None, *one.with_best), strict=True):
            row = [
                shown(ranked.model),
                f"{ranked.accuracy:.1%}",
                f"{ranked.interval.low:.1%} - {ranked.interval.high:.1%}",
            ]
            if pair is not None:
                interval = pair.accuracy.interval
                p = pair.adjusted_p_value
                row += [
                    _share(pair.accuracy.value),
                    f"{_share(interval.low)} to {_share(interval.high)}",
                    "< 0.001" if p < 0.001 else f"{p:.3f}",
                    VERDICTS[pair.real],
                ]
            rows.append(row)
        print_table(console(data=True), COLUMNS, rows, title=f"scored on {shown(one.scored_on)}")
        if quiet():
            continue
        for note in one.notes:
            line(f"[dim]note: {shown(in_flags(note))}[/]")
    if not quiet():
        models = max(len(one.models) for one in found)
        pairs = models * (models - 1) // 2
        holm = f", corrected by Holm's method because {pairs:,} pairs of models are tested" if pairs > 1 else ""
        many = f"; with fewer models than {models}, smaller differences can be seen" if models > MANY else ""
        line(f"[dim]p: from McNemar's test (mid-p) on the same images{holm}{many}[/]")


def show_page(page: Path, *, open_page: bool) -> None:
    """Name the page of a comparison, or show it in the browser."""
    path = page.absolute()
    opened = open_page and webbrowser.open(path.as_uri())
    if not quiet() or (open_page and not opened):
        line(f"{'opened' if opened else 'page'}: {shorten(path)}")


def _share(difference: float) -> str:
    """Write a difference; one that is nothing has no sign."""
    text = f"{difference:.1%}"
    return "0.0%" if text == "-0.0%" else text
