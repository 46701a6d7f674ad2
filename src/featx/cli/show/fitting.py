"""Fitted models."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from featx.cli.show.terminal import console, line, quiet, shorten

if TYPE_CHECKING:
    from featx.model import Model


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
