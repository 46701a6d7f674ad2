"""Predictions as CSV or JSON."""

import csv
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from featx.cli.show.terminal import as_json, failures, line, quiet

if TYPE_CHECKING:
    from featx.manifest import Failure
    from featx.pipeline.prediction import Predictions


def predictions(batches: "Iterable[Predictions]", *, json: bool) -> None:
    """Predictions as CSV, batch by batch, or JSON on stdout, the failures named on stderr."""
    records: list[dict[str, Any]] = []
    failed: list[Failure] = []
    writer = csv.writer(sys.stdout, lineterminator="\n")
    images = abstained = 0
    asked: float | None = None
    for found in batches:
        failed += found.failures
        if json:
            records += found.records()
        else:
            if not images and len(found):
                writer.writerow(_header(found))
            writer.writerows(_rows(found))
            sys.stdout.flush()
        images += len(found)
        abstained += int(found.abstained.sum())
        asked = found.min_confidence
    if json:
        failures_told = [{"path": one.path, "reason": one.reason, "message": one.message} for one in failed]
        as_json({"predictions": records, "failures": failures_told})
    failures(failed)
    if asked is not None and not quiet():
        line(f"{abstained:,} of {images:,} images left unlabelled: less sure than {asked:g}")


def _header(found: "Predictions") -> list[str]:
    if found.confidence is None:
        return ["path", "label", *(f"margin_{name}" for name in found.classes)]
    return ["path", "label", "confidence", *(f"probability_{name}" for name in found.classes)]


def _rows(found: "Predictions") -> Iterable[list[str]]:
    if found.confidence is None or found.probabilities is None:
        values = found.margins.tolist()
    else:
        values = [
            [confidence, *row]
            for confidence, row in zip(found.confidence.tolist(), found.probabilities.tolist(), strict=True)
        ]
    for path, label, row in zip(found.paths, found.labels.tolist(), values, strict=True):
        yield [path, label, *(f"{value:.6g}" for value in row)]
