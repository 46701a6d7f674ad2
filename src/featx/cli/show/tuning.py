"""Tuned networks: a bar that tells how the epochs go, and what came of them."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.cli.flags import in_flags
from featx.cli.show.progress import TerminalProgress
from featx.cli.show.terminal import line, quiet, shorten, shown
from featx.progress import Step

if TYPE_CHECKING:
    from featx.pipeline.tuning.results import Tuned


class TuningProgress(TerminalProgress):
    """Shows a bar of the activations, then one of the epochs with the figures of the last; lines without a terminal."""

    def __init__(self) -> None:
        super().__init__(label="activations", unit=None)
        self.epochs: Path | None = None
        self.told: set[str] = set()

    def begin(self, task: Path, *, total: int, done: int) -> None:
        """Start a bar."""
        self.label = "activations" if task.name.startswith("activations-") else "features"
        if task.suffix != ".h5" or task.name.endswith(".weights.h5"):
            self.label, self.epochs = "epochs", task
        super().begin(task, total=total, done=done)

    def step(self, step: Step) -> None:
        """Show an epoch on the bar, or as a line; and a line for anything else."""
        epoch = getattr(step, "epoch", None)
        if epoch is None or self.bars is None or self.epochs not in self.tasks:
            super().step(step)
            self.told.add(step.text)
            return
        text = (
            f"loss {epoch.loss:.3f}, {epoch.accuracy:.1%} right; validation {epoch.validation_loss:.3f}, "
            f"{epoch.validation_accuracy:.1%}"
        )
        self.bars.update(self.tasks[self.epochs], description=text)


def tuned(found: "Tuned", *, told: Collection[str] = ()) -> None:
    """A tuned network: what its best epoch is worth, and its files; notes that were told before are not told again."""
    if quiet():
        return
    line(f"[bold]{shown(found.name)}[/]")
    line(f"  {shown(found.answer)}")
    line(f"  {found.training:,} images to train on, {found.validation:,} to compare the epochs on")
    for note in (one for one in found.notes if one not in told):
        line(f"  [yellow]{shown(in_flags(note))}[/]")
    if found.weights is not None:
        line(f"  weights: {shorten(found.weights.absolute())}")
    assert found.model.file is not None
    line(f"  model: {shorten(found.model.file)}")
    line(f"  record: {shorten(found.record.absolute())}")
    if found.page is not None:
        line(f"  page of the curves: {shorten(found.page)}")


def tuned_record(found: "Tuned") -> dict[str, Any]:
    """A tuned network for programs."""
    from dataclasses import asdict

    return {
        "name": found.name,
        "model": str(found.model.file),
        "weights": None if found.weights is None else str(found.weights),
        "record": str(found.record),
        "training": found.training,
        "validation": found.validation,
        "taken": found.taken,
        "epochs": [asdict(one) for one in found.epochs],
        "notes": list(found.notes),
    }
