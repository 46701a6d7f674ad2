"""What people and programs see: tables and bars for people on stderr, data on stdout."""

import csv
import json as json_format
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from featx.pipeline.options import Extraction

if TYPE_CHECKING:
    from featx.backbones import Entry
    from featx.manifest import Failure
    from featx.model import Model
    from featx.pipeline.prediction import Predictions
    from featx.reports import Report

FAILURES_SHOWN = 10
"""Failures named on the terminal; the store has them all."""

ADVICE_SECONDS = 30
"""A shorter run needs no advice."""

ADVICE = {
    "decode": "the backbone waits for decoded images: more --workers, if there are cores, or smaller image files",
    "backbone": "the backbone takes the time: a GPU, a smaller --backbone or --image-size is faster",
}


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
    """Whether the user asked for errors only."""
    import logging

    return logging.getLogger("featx").level >= logging.ERROR


def step(text: str) -> None:
    """What happens next, for people."""
    if not quiet():
        line(f"[cyan]{escape(printable(text))}[/]")


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


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f} images/s")


class Watcher:
    """A progress bar for each store where stderr is a terminal, and a summary at the end; a context manager."""

    def __init__(self, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.bars: Progress | None = None
        self.tasks: dict[Path, TaskID] = {}
        self.ended: list[Extraction] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()  # an error's message would be drawn over, and the cursor stay hidden

    def begin(self, target: Path, *, total: int, done: int) -> None:
        """Start a bar."""
        screen = console()
        if not screen.is_terminal or quiet():
            return
        if self.bars is None:
            self.bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                _Speed(),
                TimeRemainingColumn(),
                console=screen,
                transient=True,
            )
            self.bars.start()
        self.tasks[target] = self.bars.add_task(escape(printable(target.stem)), total=total, completed=done)

    def advance(self, target: Path, *, rows: int, failures: int) -> None:
        """Move a bar."""
        if self.bars is not None:
            self.bars.advance(self.tasks[target], rows + failures)

    def stop(self) -> None:
        """Take the bars away."""
        if self.bars is not None:
            self.bars.stop()
            self.bars = None

    def end(self, extraction: Extraction) -> None:
        """Show the summary."""
        self.stop()
        self.ended.append(extraction)
        if not quiet():
            _extraction(extraction, dry_run=self.dry_run)


def extraction_progress(*, dry_run: bool = False) -> Watcher:
    """Who watches an extraction from the terminal."""
    return Watcher(dry_run=dry_run)


def _extraction(extraction: Extraction, *, dry_run: bool) -> None:
    one = extraction
    counts = f"{one.found:,} found = {one.extracted:,} extracted + {one.reused:,} reused + {one.failed:,} failed"
    if dry_run:
        counts = (
            f"{one.found:,} found: {one.extracted:,} to extract, {one.reused:,} to reuse, {one.failed:,} known to fail"
        )
    elif not one.extracted and one.seconds == 0:
        counts = f"nothing to do: {counts}"
    width = 1
    for side in one.feature_shape:
        width *= side
    rows = (one.extracted + one.reused) if one.store is None else len(one.store)
    shape = f"{rows:,} x {width:,} float32, {_bytes(4 * rows * width)}"
    if len(one.feature_shape) > 1:
        shape += f", each {' x '.join(map(str, one.feature_shape))} flattened"
    rate = "" if one.speed is None else f", {one.speed:,.0f} images/s"
    line(f"[bold]{escape(shorten(one.target))}[/]  {shape}")
    line(f"  {counts}{rate}")
    if one.stages:
        parts = ", ".join(f"{name} {_seconds(seconds)}" for name, seconds in one.stages.items())
        line(f"  [dim]{_seconds(one.seconds)} in all: {parts}[/]")
    if one.seconds > ADVICE_SECONDS and one.bottleneck is not None:
        line(f"  [dim]{ADVICE[one.bottleneck]}[/]")
    if one.untrained:
        line("  [yellow]the backbone is UNTRAINED (--weights none): its features are near worthless[/]")
    failures(one.failures)


def failures(failed: "Sequence[Failure]") -> None:
    """Name the images without a row, the first few in full."""
    if not failed:
        return
    for failure in failed[:FAILURES_SHOWN]:
        line(f"  [red]{failure.reason}[/] {escape(printable(failure.path))}: {escape(printable(failure.message))}")
    if len(failed) > FAILURES_SHOWN:
        rest = Counter(failure.reason for failure in failed[FAILURES_SHOWN:])
        line("  and " + ", ".join(f"{count} more {reason}" for reason, count in rest.most_common()))


def extraction_record(extraction: Extraction) -> dict[str, Any]:
    """An extraction for programs."""
    one = extraction
    return {
        "store": str(one.target),
        "fingerprint": one.spec.fingerprint,
        "found": one.found,
        "extracted": one.extracted,
        "reused": one.reused,
        "failed": one.failed,
        "feature_shape": list(one.feature_shape),
        "untrained": one.untrained,
        "seconds": round(one.seconds, 3),
        "stages": {name: round(seconds, 3) for name, seconds in one.stages.items()},
        "failures": [
            {"path": failure.path, "reason": failure.reason, "message": failure.message} for failure in one.failures
        ],
    }


def description(found: dict[str, Any]) -> None:
    """What a file says of itself, on stdout: a line for each fact, a mapping indented below its name."""
    screen = console(data=True)

    def row(name: str, value: Any, indent: int) -> None:
        start = f"{'  ' * indent}[bold]{escape(printable(name.replace('_', ' ')))}[/]"
        if isinstance(value, dict):
            screen.print(start, soft_wrap=True)
            for key, inner in value.items():
                row(str(key), inner, indent + 1)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            screen.print(start, soft_wrap=True)
            for inner in value:
                text = "  ".join(
                    f"{key} {item:.4g}" if isinstance(item, float) else str(item) for key, item in inner.items()
                )
                screen.print(f"{'  ' * (indent + 1)}{escape(printable(text))}", soft_wrap=True)
        else:
            text = " x ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
            screen.print(f"{start}  {escape(printable(text))}", soft_wrap=True)

    for name, value in found.items():
        if value not in (None, [], {}):
            row(name, value, 0)


def model(path: Path, fitted: "Model") -> None:
    """A fitted model and the sweep that chose it."""
    if quiet():
        return
    line(f"[bold]{escape(shorten(path))}[/]")
    selection = fitted.selection
    if selection.rows:
        table = Table("C", "accuracy", "spread over folds", box=None, pad_edge=True)
        for row in selection.rows:
            chosen = row.C == selection.C
            table.add_row(
                f"{row.C:g}",
                f"{row.mean:.1%}",
                f"± {row.std:.1%}" + ("  <- chosen" if chosen else ""),
                style="bold" if chosen else "",
            )
        console().print(table)
    n, k = len(fitted.labels), len(fitted.classes)
    folds = f", {selection.folds} folds" if selection.folds else ", not cross-validated"
    line(f"  {n:,} images, {k} classes{folds}, seed {selection.seed}")
    if fitted.untrained:
        line("  [yellow]its backbone is UNTRAINED[/]")


def model_record(path: Path, fitted: "Model") -> dict[str, Any]:
    """A model for programs."""
    selection = fitted.selection
    return {
        "model": str(path),
        "classes": list(fitted.classes),
        "images": len(fitted.labels),
        "clf": fitted.clf,
        "params": dict(fitted.params),
        "folds": selection.folds,
        "sweep": [{"C": row.C, "mean": row.mean, "std": row.std} for row in selection.rows],
        "fingerprint": fitted.spec.fingerprint,
        "untrained": fitted.untrained,
    }


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


def predictions(batches: "Iterable[Predictions]", *, json: bool) -> None:
    """Predictions as CSV, batch by batch, or JSON on stdout, the failures named on stderr."""
    records: list[dict[str, Any]] = []
    failed: list[Failure] = []
    writer = csv.writer(sys.stdout, lineterminator="\n")
    begun = False
    for found in batches:
        failed += found.failures
        if json:
            records += found.records()
            continue
        values = found.margins if found.probabilities is None else found.probabilities
        kind = "margin" if found.probabilities is None else "probability"
        if not begun:
            writer.writerow(["path", "label", *(f"{kind}_{name}" for name in found.classes)])
            begun = True
        for path, label, row in zip(found.paths, found.labels, values, strict=True):
            writer.writerow([path, label, *(f"{value:.6g}" for value in row)])
        sys.stdout.flush()
    if json:
        failures_told = [{"path": one.path, "reason": one.reason, "message": one.message} for one in failed]
        as_json({"predictions": records, "failures": failures_told})
    failures(failed)


def backbones(entries: "Sequence[Entry]", *, json: bool) -> None:
    """The table of backbones."""
    from featx.backbones import cached

    if json:
        as_json(
            [
                {
                    "name": entry.name,
                    "image_size": list(entry.image_size),
                    "width": entry.width,
                    "parameters": entry.parameters,
                    "top1": entry.top1,
                    "licence": entry.licence,
                    "weights_file": entry.weights_file,
                    "here": cached(entry, top=False) is not None,
                }
                for entry in entries
            ]
        )
        return
    table = Table(box=None, pad_edge=False)
    for heading in (
        "backbone",
        "image",
        "features",
        "parameters",
        "ImageNet top-1",
        "licence of the weights",
        "weights",
    ):
        left = heading in ("backbone", "licence of the weights", "weights")
        table.add_column(heading, justify="left" if left else "right")
    for entry in entries:
        table.add_row(
            entry.name,
            f"{entry.image_size[0]} x {entry.image_size[1]}",
            f"{entry.width:,}",
            f"{entry.parameters / 1e6:.1f} M" if entry.parameters else "",
            "" if entry.top1 is None else f"{entry.top1:.1f}%",
            entry.licence or "",
            "none needed" if entry.weights_file is None else "here" if cached(entry, top=False) else "",
        )
    console(data=True).print(table)


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
