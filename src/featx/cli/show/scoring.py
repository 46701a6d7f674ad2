"""Tables of reports."""

import webbrowser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.cli.flags import in_flags
from featx.cli.show.tables import Column, print_table
from featx.cli.show.terminal import console, line, quiet, shorten, shown
from featx.words import counted, some

if TYPE_CHECKING:
    from featx.leakage import Leak
    from featx.reports import Report
    from featx.statistics.table import Metric

MOST_FILES = 3
"""Reports whose files are all named."""

NAMED = 5
"""Images of a kind named on the terminal."""


def reports(scored: "Sequence[Report]") -> None:
    """A table of reports, best first."""
    from featx.reports import rows
    from featx.statistics.table import METRICS

    found = rows(scored)
    metrics = [metric for metric in METRICS if metric.heading]
    columns = [Column(heading="model", left=True)]
    for rank, metric in enumerate(metrics):
        columns.append(Column(heading=metric.heading, rank=rank))
        columns += [Column(heading="95 % interval", rank=rank)] * metric.ends_in_tables
    for scored_on in dict.fromkeys(row["scored_on"] for row in found):
        lines = [
            (
                shown(row["model"])
                + (" [yellow]UNTRAINED[/]" if row["untrained"] else "")
                + (" [yellow]NO TEST[/]" if row["no_test"] else ""),
                *(cell for metric in metrics for cell in _cells(row, metric)),
            )
            for row in found
            if row["scored_on"] == scored_on
        ]
        print_table(console(data=True), columns, lines, title=f"scored on {shown(scored_on)}")
    if quiet():
        return
    for sentence in dict.fromkeys(report.baseline for report in scored):
        line(f"[dim]for comparison: {shown(sentence)}[/]")
    doubts: dict[str, list[str]] = {}
    for report in scored:
        if report.doubt is not None:
            doubts.setdefault(report.doubt, []).append(report.model)
    for doubt, models in doubts.items():
        line(f"[yellow]{shown(some(models, most=NAMED))}[/]: {shown(doubt)}")
    notes = dict.fromkeys(note for report in scored for note in (*report.notes, *report.remarks))
    for note in notes:
        line(f"[dim]note: {shown(in_flags(note))}[/]")
    for report in scored:
        if (leaked := report.metrics.n - report.counted.n) > 0:
            fitted = "fitted or tuned" if report.tuned_on else "fitted"
            with_them = f"including the {counted(leaked, 'image')} that it was {fitted} on"
            line(f"{with_them}: {shown(report.model)} {shown(report.metrics.headline)}")
    named = {path for report in scored for leak in report.leaks for path in (leak.path, leak.other)}
    _named(
        "also in the training images:",
        [_leak(leak) for report in scored for leak in report.leaks if leak.where == "train-test"],
    )
    _named("has two labels:", [_leak(leak) for report in scored for leak in report.leaks if leak.where != "train-test"])
    _named(
        "check this label:",
        [
            f"{one.path}: {one.label}, or {one.predicted}?"
            for report in scored
            for one in report.label_errors
            if one.path not in named
        ],
    )


def _cells(row: dict[str, Any], metric: "Metric") -> Iterator[str]:
    """Yield the cells of a metric: its value and, where its row asks for it, its interval."""
    yield _shown(row[metric.name], metric)
    if metric.ends_in_tables:
        low, high = row[f"{metric.name}_low"], row[f"{metric.name}_high"]
        yield "" if low is None else f"{_shown(low, metric)} - {_shown(high, metric)}"


def _shown(value: float | None, metric: "Metric") -> str:
    if value is None:
        return ""
    return f"{value:.1%}" if metric.unit == "%" else f"{value:.3f}"


def _leak(leak: "Leak") -> str:
    # Each path is below its own folder: two equal ones would read as if an image were its own copy.
    there = " in training" if leak.where == "train-test" else ""
    other = f" = {'the same name' if leak.other == leak.path else leak.other}{there}" if leak.other else ""
    labels = f" ({leak.labels[0]}, {leak.labels[1]})" if all(leak.labels) and leak.labels[0] != leak.labels[1] else ""
    return f"{leak.path}{other}{labels}, {'the same file' if leak.kind == 'exact' else 'a copy'}"


def _named(heading: str, texts: Sequence[str]) -> None:
    """Name the first few of a list in full; the report has them all."""
    found = list(dict.fromkeys(texts))
    for text in found[:NAMED]:
        line(f"  [yellow]{heading}[/] {shown(text)}")
    if len(found) > NAMED:
        line(f"  and {len(found) - NAMED:,} more: see the page")


def files(scored: "Sequence[Report]", paths: "Sequence[Path]", *, open_best: bool) -> None:
    """Name the list of images and the page of the best report, and of the others while they are few.

    Parameters
    ----------
    scored : sequence of Report
        The reports.
    paths : sequence of Path
        File of each; its list and its page lie beside it, with suffixes of their own.
    open_best : bool
        Show the page of the best in the browser.
    """
    best_first = sorted(zip(scored, paths, strict=True), key=lambda one: -one[0].counted.accuracy)
    for place, (report, path) in enumerate(best_first[:1] if len(best_first) > MOST_FILES else best_first):
        page = path.with_suffix(".html").absolute()
        opened = open_best and not place and webbrowser.open(page.as_uri())
        if not quiet():
            if report.images is not None:
                wrong = int((~report.images.right).sum())
                which = (
                    f"{wrong:,} of {counted(report.metrics.n, 'image')} {'was' if wrong == 1 else 'were'} classified "
                    "wrongly"
                )
                line(f"{which}: {shorten(path.with_suffix('.csv').absolute())}")
            line(f"{'opened' if opened else 'page'}: {shorten(page)}")
        elif open_best and not place and not opened:
            line(f"page: {shorten(page)}")
    if len(best_first) > MOST_FILES and not quiet():
        line(f"[dim]the lists and pages of the other {len(best_first) - 1} models are in the same folder[/]")
