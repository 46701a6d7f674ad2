"""Fitted models."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.cli.show.tables import Column, print_table
from featx.cli.show.terminal import console, line, quiet, shorten, shown, verbose
from featx.words import counted

if TYPE_CHECKING:
    from featx.model import Model


def model(path: Path, fitted: "Model") -> None:
    """A fitted model: with `verbose` the sweep that chose it, and at the end what it is worth."""
    if quiet():
        return
    line(f"[bold]{shorten(path)}[/]")
    selection = fitted.selection
    if selection.rows and verbose():
        names = list(selection.params)
        columns = [Column(heading=shown(name)) for name in names]
        columns += [Column(heading="accuracy"), Column(heading="varies between test parts by", left=True)]
        rows = []
        for row in selection.rows:
            cells = (*(f"{row.params[name]:.4g}" for name in names), f"{row.mean:.1%}", _points(row.std))
            chosen = row is selection.chosen and names
            rows.append([*cells[:-1], f"{cells[-1]}  <- chosen"] if chosen else list(cells))
        print_table(console(), columns, rows, named=False)
    n, k = len(fitted.labels), len(fitted.classes)
    settings = ", ".join(
        f"{name} = {_short(value)}" for name, value in fitted.params.items() if name in selection.params
    )
    images = counted(n, "image")
    if fitted.views is not None:
        images += f" and {counted(fitted.views.count, 'view')} of each"
    line(f"  {images}, {counted(k, 'class', 'classes')}" + (f"; {shown(settings)}" if settings else ""))
    if selection.rule == "one-se" and len(selection.rows) > 1:
        line("  chosen: the simplest settings whose accuracy is within one standard error of the best")
    if (calibration := fitted.calibration) is not None and verbose():
        before, after = f"{100 * calibration.error_before:.0f} %", f"{100 * calibration.error_after:.0f} %"
        line(f"  its stated confidence is off by {after} on average ({before} before correction)")
    if fitted.untrained:
        line("  [yellow]its backbone is UNTRAINED: it is good for trying things out only[/]")
    line(f"  {_answer(fitted)}")


def _answer(fitted: "Model") -> str:
    """Say what a model is worth, in one sentence."""
    from featx.leakage.tuned import NO_TEST

    selection = fitted.selection
    if fitted.accuracy is None:
        return "not tested yet: use featx score on labelled images that the model has not seen"
    text = f"[bold]{fitted.accuracy:.1%} of the images are classified right[/]"
    text += f" when they are tested in {selection.folds} parts"
    text += (
        ", with the settings chosen again for each part"
        if selection.nested is not None and len(selection.rows) > 1
        else ""
    )
    if (chosen := selection.chosen) is not None and selection.folds > 1:
        text += f" (varies between test parts by {_points(chosen.std)})"
    if fitted.tuned.any():
        text += f"; [yellow]{NO_TEST}[/]"
    return text


def _marked(fitted: "Model") -> str:
    """Write the accuracy of a ranking, marked where the network has seen the labels."""
    return f"{fitted.accuracy:.1%}" + (" [yellow]NO TEST[/]" if fitted.tuned.any() else "")


def _points(share: float) -> str:
    return f"± {100 * share:.1f} points"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


RANKING = (
    Column(heading="classifier", left=True),
    Column(heading="accuracy"),
    Column(heading="varies between test parts by", rank=1),
    Column(heading="model", left=True, rank=2),
)


def ranking(models: "Mapping[Path, Model]") -> None:
    """Several classifiers of one feature store, the best first."""
    by_store: dict[str, list[tuple[Path, Model]]] = {}
    for path, fitted in models.items():
        by_store.setdefault(fitted.origin.path, []).append((path, fitted))
    for store, fits in by_store.items():
        if quiet() or len(fits) < 2:
            continue
        line(f"[bold]{shorten(Path(store))}[/], the best classifier (by cross-validation) first")
        rows = []
        for path, fitted in fits:
            chosen = fitted.selection.chosen
            figures = ("not tested", "") if chosen is None else (_marked(fitted), _points(chosen.std))
            rows.append((shown(fitted.clf), *figures, shorten(path)))
        print_table(console(), RANKING, rows, named=False)


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
        "tuned_on": int(fitted.tuned.sum()),
    }
