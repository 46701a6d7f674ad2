"""Progress of a command: bars while it runs, a summary of each extraction."""

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from featx.cli.show import terminal
from featx.cli.show.extraction import summary
from featx.cli.show.terminal import console, quiet
from featx.cli.streams import guard_streams, printable
from featx.pipeline.filling.job import Extraction
from featx.progress import LONG_SECONDS, SHOWN_SECONDS, Step

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class TerminalProgress:
    """A `featx.progress.Progress` on the terminal; a context manager.

    Bars are shown where stderr is a terminal, summaries always, and nothing of both where the user asked for errors
    only.

    Parameters
    ----------
    label : str or None
        Word before a bar; None is the name of its file.
    unit : str or None
        Word for the parts of a task, for a column with their number per second; None leaves it out.
    dry_run : bool
        Extractions are only planned.

    Attributes
    ----------
    extractions : list of Extraction
        Those that have ended.
    """

    def __init__(self, *, label: str | None = None, unit: str | None = "images", dry_run: bool = False) -> None:
        self.label = label
        self.unit = unit
        self.dry_run = dry_run
        self.bars: RichProgress | None = None
        self.tasks: dict[Path, TaskID] = {}
        self.extractions: list[Extraction] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()  # an error's message would be drawn over, and the cursor stay hidden

    def step(self, step: Step) -> None:
        """Show a line."""
        # Over LONG_SECONDS the log warns, which everyone sees.
        if step.seconds is None or SHOWN_SECONDS < step.seconds <= LONG_SECONDS:
            terminal.step(step.text)

    def begin(self, task: Path, *, total: int, done: int) -> None:
        """Start a bar."""
        screen = console()
        if not screen.is_terminal or quiet():
            return
        if self.bars is None:
            from featx.cli.show.bars import new_bars

            self.bars = new_bars(screen, unit=self.unit)
            self.bars.start()
            guard_streams()  # rich put streams of its own before stdout and stderr, which obey escape sequences
        label = printable(task.stem) if self.label is None else self.label
        self.tasks[task] = self.bars.add_task(label, total=total, completed=done)

    def advance(self, task: Path, *, done: int, failed: int) -> None:
        """Move a bar."""
        if self.bars is not None:
            self.bars.advance(self.tasks[task], done + failed)

    def stop(self) -> None:
        """Take the bars away."""
        if self.bars is not None:
            self.bars.stop()
            self.bars = None

    def end(self, task: Path, result: Any) -> None:  # noqa: ARG002  (the task is named in the summary)
        """Show the summary of an extraction."""
        self.stop()
        if isinstance(result, Extraction):
            self.extractions.append(result)
            if not quiet():
                summary(result, dry_run=self.dry_run)


class ModelProgress(TerminalProgress):
    """Shows each fitted model as well, once it is there."""

    def end(self, task: Path, result: Any) -> None:
        """Show the summary of an extraction, or a model with its sweep."""
        super().end(task, result)
        if not isinstance(result, Extraction):
            from featx.cli.show.fitting import model

            model(task, result)
