"""Predictions as CSV or JSON."""

import csv
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from featx.cli.show.terminal import as_json, failures

if TYPE_CHECKING:
    from featx.manifest import Failure
    from featx.pipeline.prediction import Predictions


def predictions(batches: "Iterable[Predictions]", *, json: bool) -> None:
    """Predictions as CSV, batch by batch, or JSON on stdout, the failures named on stderr."""
    records: list[dict[str, Any]] = []
    failed: list[Failure] = []
    writer = csv.writer(sys.stdout, lineterminator="\n")
    begun = False
    for found in batches:
        failed += found.failures
        if json:
            records += found.records()
            continue
        values = found.margins if found.probabilities is None else found.probabilities
        kind = "margin" if found.probabilities is None else "probability"
        if not begun:
            writer.writerow(["path", "label", *(f"{kind}_{name}" for name in found.classes)])
            begun = True
        for path, label, row in zip(found.paths, found.labels, values, strict=True):
            writer.writerow([path, label, *(f"{value:.6g}" for value in row)])
        sys.stdout.flush()
    if json:
        failures_told = [{"path": one.path, "reason": one.reason, "message": one.message} for one in failed]
        as_json({"predictions": records, "failures": failures_told})
    failures(failed)
