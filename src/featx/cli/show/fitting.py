"""Fitted models."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from featx.cli.show.terminal import console, line, quiet, shorten, shown

if TYPE_CHECKING:
    from featx.model import Model


def model(path: Path, fitted: "Model") -> None:
    """A fitted model and the sweep that chose it."""
    if quiet():
        return
    line(f"[bold]{shorten(path)}[/]")
    selection = fitted.selection
    if selection.rows:
        names = list(selection.params)
        table = Table(*map(shown, names), "accuracy", "spread over folds", box=None, pad_edge=True)
        for row in selection.rows:
            chosen = row is selection.chosen
            table.add_row(
                *(f"{row.params[name]:.4g}" for name in names),
                f"{row.mean:.1%}",
                f"± {row.std:.1%}" + ("  <- chosen" if chosen and names else ""),
                style="bold" if chosen else "",
            )
        console().print(table)
    n, k = len(fitted.labels), len(fitted.classes)
    folds = f", {selection.folds} folds" if selection.folds else ", not cross-validated"
    line(f"  {n:,} images, {k} classes{folds}, seed {selection.seed}")
    if selection.rule == "one-se" and len(selection.rows) > 1:
        line("  chosen: the simplest within one standard error of the best")
    if (honest := _nested_accuracy(fitted)) is not None:
        line(f"  accuracy with the choice cross-validated as well: {honest:.1%}")
    if (calibration := fitted.calibration) is not None:
        before, after = f"{calibration.error_before:.1%}", f"{calibration.error_after:.1%}"
        line(f"  calibration error of its probabilities: {before} before calibration, {after} after")
    if fitted.untrained:
        line("  [yellow]its backbone is UNTRAINED[/]")


def ranking(models: "Mapping[Path, Model]") -> None:
    """Several classifiers of one feature store, the best first."""
    by_store: dict[str, list[tuple[Path, Model]]] = {}
    for path, fitted in models.items():
        by_store.setdefault(fitted.origin.path, []).append((path, fitted))
    for store, fits in by_store.items():
        if quiet() or len(fits) < 2:
            continue
        line(f"[bold]{shorten(Path(store))}[/], the best by cross-validation first")
        table = Table("classifier", "accuracy", "spread over folds", "model", box=None, pad_edge=True)
        for path, fitted in fits:
            chosen = fitted.selection.chosen
            figures = ("not cross-validated", "") if chosen is None else (f"{chosen.mean:.1%}", f"± {chosen.std:.1%}")
            table.add_row(shown(fitted.clf), *figures, shorten(path))
        console().print(table)


def _nested_accuracy(fitted: "Model") -> float | None:
    nested = fitted.selection.nested
    return None if nested is None else float((nested.labels == fitted.labels).mean())


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
        "sweep": [{**row.params, "mean": row.mean, "std": row.std} for row in selection.rows],
        "rule": selection.rule,
        "nested_accuracy": _nested_accuracy(fitted),
        "calibration": None if fitted.calibration is None else fitted.calibration.to_dict(),
        "fingerprint": fitted.spec.fingerprint,
        "untrained": fitted.untrained,
    }
