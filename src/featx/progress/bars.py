"""Bars of a long call, in a notebook and on a terminal.

A notebook gets HTML by IPython's own display: widgets would need another package, and are lost in a saved notebook.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.notebook import escaped
from featx.progress.observer import LONG_SECONDS, SHOWN_SECONDS, Silent, Step

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

REDRAWN_SECONDS = 0.2
"""Time between two drawings in a notebook, which keeps up with no more over a network."""

TIMED_SECONDS = 2.0
"""Time after which the rest can be estimated."""


def _is_shown(step: Step) -> bool:
    # Over LONG_SECONDS the log warns, which everyone sees.
    return step.seconds is None or SHOWN_SECONDS < step.seconds <= LONG_SECONDS


class TerminalBars(Silent):
    """Bars on stderr, drawn by rich; a file or pipe gets the finished ones."""

    def __init__(self) -> None:
        self._bars: RichProgress | None = None
        self._tasks: dict[Path, TaskID] = {}

    def step(self, step: Step) -> None:
        """Show a line."""
        if _is_shown(step):
            self._started().console.print(_printable(step.text), markup=False, soft_wrap=True)

    def begin(self, task: Path, *, total: int, done: int) -> None:
        """Start a bar."""
        self._tasks[task] = self._started().add_task(_printable(task.stem), total=total, completed=done)

    def advance(self, task: Path, *, done: int, failed: int) -> None:
        """Move a bar."""
        self._started().advance(self._tasks[task], done + failed)

    def close(self) -> None:
        """Leave the bars as they are, and give the cursor back."""
        if self._bars is not None:
            self._bars.stop()

    def _started(self) -> "RichProgress":
        if self._bars is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as RichProgress

            label, left = (
                TextColumn("{task.description}", markup=False),
                TimeRemainingColumn(elapsed_when_finished=True),
            )
            console = Console(stderr=True, highlight=False, emoji=False)
            self._bars = RichProgress(label, BarColumn(), MofNCompleteColumn(), left, console=console)
            self._bars.start()
        return self._bars


def _printable(text: str) -> str:
    """Escape what a terminal would obey: names are whatever somebody typed."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


@dataclass(kw_only=True)
class _Bar:
    """A bar of a notebook, with the times at which it began and was drawn last."""

    label: str
    total: int
    done: int
    failed: int = 0
    first: int = 0
    began: float = field(default_factory=time.monotonic)
    drawn: float = 0.0
    handle: Any = None

    @property
    def text(self) -> str:
        parts = [f"{self.label}: {self.done:,} of {self.total:,}"]
        if self.failed:
            parts.append(f"{self.failed:,} unreadable")
        elapsed, moved = time.monotonic() - self.began, self.done - self.first
        if elapsed > TIMED_SECONDS and moved > 0 and self.done < self.total:
            left = elapsed * (self.total - self.done) / moved
            parts.append(f"about {left:.0f} s left" if left < 100 else f"about {left / 60:.0f} min left")
        return " · ".join(parts)

    def draw(self) -> None:
        from IPython.display import display

        style = "width:16em;vertical-align:middle;margin-right:1em"
        bar = f"<progress value='{self.done}' max='{max(self.total, 1)}' style='{style}'></progress>"
        shown = {"text/plain": _printable(self.text), "text/html": f"<div>{bar}{escaped(self.text)}</div>"}
        if self.handle is None:
            self.handle = display(shown, raw=True, display_id=True)
        else:
            self.handle.update(shown, raw=True)
        self.drawn = time.monotonic()


class NotebookBars(Silent):
    """Bars in a notebook, which stay there as they were drawn last."""

    def __init__(self) -> None:
        self._bars: dict[Path, _Bar] = {}

    def step(self, step: Step) -> None:
        """Show a line."""
        if _is_shown(step):
            from IPython.display import display

            text = _printable(step.text)
            display({"text/plain": text, "text/html": f"<div>{escaped(text)}</div>"}, raw=True)

    def begin(self, task: Path, *, total: int, done: int) -> None:
        """Start a bar."""
        self._bars[task] = _Bar(label=task.stem, total=total, done=done, first=done)
        self._bars[task].draw()

    def advance(self, task: Path, *, done: int, failed: int) -> None:
        """Move a bar."""
        bar = self._bars[task]
        bar.done += done + failed
        bar.failed += failed
        if time.monotonic() - bar.drawn > REDRAWN_SECONDS:
            bar.draw()

    def close(self) -> None:
        """Draw the bars as they are now."""
        for bar in self._bars.values():
            bar.draw()
