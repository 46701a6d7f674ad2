"""Parts of a model as its file holds them: the selection as plain data and arrays."""

from collections.abc import Mapping
from typing import Any

from featx.selection import OutOfFold, Selection, SweepRow

PREDICTIONS = ("oof", "nested")
"""Predictions of a selection, which the file holds as arrays."""


def record_of(selection: Selection) -> dict[str, Any]:
    """Write a selection, but its predictions, as plain data."""
    return {
        "params": dict(selection.params),
        "folds": selection.folds,
        "seed": selection.seed,
        "rule": selection.rule,
        "rows": [{"params": dict(row.params), "scores": list(row.scores)} for row in selection.rows],
    }


def arrays_of(predicted: OutOfFold | None) -> dict[str, Any] | None:
    """Take predictions apart into arrays; without views as they were written before there were any."""
    if predicted is None:
        return None
    return {name: value for name, value in vars(predicted).items() if name != "views" or value is not None}


def selection_from(record: Mapping[str, Any], contents: Mapping[str, Any]) -> Selection:
    """Read a selection back from `record_of`, and its predictions from `arrays_of`."""
    return Selection(
        params=record["params"],
        folds=record["folds"],
        seed=record["seed"],
        rule=record["rule"],
        rows=tuple(SweepRow(params=row["params"], scores=tuple(row["scores"])) for row in record["rows"]),
        **{name: contents[name] and OutOfFold(**contents[name]) for name in PREDICTIONS},
    )


def misfits(predicted: OutOfFold | None, shape: tuple[int, int]) -> bool:
    """Tell whether predictions are of other images or classes than (n, k)."""
    if predicted is None:
        return False
    views = predicted.views
    return predicted.scores.shape != shape or (views is not None and (views.ndim != 3 or views.shape[::2] != shape))
