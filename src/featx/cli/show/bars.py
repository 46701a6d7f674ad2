"""Bars of a long command, as rich draws them; loaded once there is a bar to draw."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


def new_bars(screen: Console, *, unit: str | None) -> Progress:
    """Make bars with their label, count, speed and remaining time, which go when they are stopped.

    Parameters
    ----------
    screen : rich.console.Console
        The terminal.
    unit : str or None
        Word for the parts of a task, for a column with their number per second; None leaves it out.
    """
    speed = [] if unit is None else [_Speed(unit)]
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), _Count(), *speed)
    return Progress(*columns, TimeRemainingColumn(), console=screen, transient=True)


class _Speed(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None or task.speed < 1 else f"{task.speed:,.0f} {self.unit}/s")


class _Count(MofNCompleteColumn):
    def render(self, task: Task) -> Text:
        return Text("") if task.total is None else super().render(task)
