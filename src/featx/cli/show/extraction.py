"""Progress bars and summaries of extractions."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

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
from rich.text import Text

from featx.cli.flags import in_flags
from featx.cli.show.terminal import console, failures, line, printable, quiet, shorten
from featx.pipeline.filling.job import Extraction

ADVICE_SECONDS = 30
"""A shorter run needs no advice."""

ADVICE = {
    "decode": "the backbone waits for decoded images: more --workers, if there are cores, or smaller image files",
    "backbone": "the backbone takes the time: a GPU, a smaller --backbone or --image-size is faster",
}


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
    if one.timings:
        parts = ", ".join(f"{name} {_seconds(seconds)}" for name, seconds in one.timings.items())
        line(f"  [dim]{_seconds(one.seconds)} in all: {parts}[/]")
    if one.seconds > ADVICE_SECONDS and one.bottleneck is not None:
        line(f"  [dim]{ADVICE[one.bottleneck]}[/]")
    if one.untrained:
        line("  [yellow]the backbone is UNTRAINED (--weights none): its features are near worthless[/]")
    if one.fallback is not None:
        line(f"  [yellow]{escape(printable(in_flags(one.fallback)))}[/]")
    failures(one.failures)


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
        "fallback": None if one.fallback is None else in_flags(one.fallback),
        "seconds": round(one.seconds, 3),
        "stages": {name: round(seconds, 3) for name, seconds in one.timings.items()},
        "failures": [
            {"path": failure.path, "reason": failure.reason, "message": failure.message} for failure in one.failures
        ],
    }


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
