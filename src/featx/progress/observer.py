"""`Progress`, the observer of a long call, and the one that shows nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

LONG_SECONDS = 600.0
"""A step that is expected to take longer is announced by a warning."""

SHOWN_SECONDS = 20.0
"""A step that is expected to take less needs no word."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something that a call does next.

    Parameters
    ----------
    text : str
        A line for people.
    seconds : float or None
        Time that it is expected to take; None where that is unknown.
    """

    text: str
    seconds: float | None = None


class Progress(Protocol):
    """An observer of a long call: a progress bar, a log, a widget in a notebook.

    A task is known by the file that it makes. For each one there is a `begin`, any number of `advance` and an `end`; a
    task that can't be counted has the `end` alone. That of `predict` makes no file: its name is ``predictions``, and it
    has no `end`. Inherit from `Silent` to take note of some of it only.
    """

    def step(self, step: Step) -> None:
        """Something is about to be done, such as a fit whose duration was estimated."""

    def begin(self, task: Path, *, total: int, done: int) -> None:
        """A task of `total` parts (images, classifiers) begins; `done` of them are done already."""

    def advance(self, task: Path, *, done: int, failed: int) -> None:
        """So many more parts are done, so many more failed."""

    def end(self, task: Path, result: Any) -> None:
        """The task is finished; `result` is what it made: an `Extraction`, a `Model`, a `Report`, a `Curve`."""


class Silent(Progress):
    """The `Progress` of a call that nobody observes."""

    def step(self, step: Step) -> None:
        """Do nothing."""

    def begin(self, task: Path, *, total: int, done: int) -> None:
        """Do nothing."""

    def advance(self, task: Path, *, done: int, failed: int) -> None:
        """Do nothing."""

    def end(self, task: Path, result: Any) -> None:
        """Do nothing."""


SILENT = Silent()
