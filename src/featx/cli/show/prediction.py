"""Predictions as CSV or JSON."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from featx.cli.show.terminal import as_json, console, failures, line, quiet
from featx.cli.streams import printable, write_data
from featx.pipeline.spreadsheets import safe_text, to_csv
from featx.words import counted

if TYPE_CHECKING:
    from featx.manifest import Failure
    from featx.pipeline.prediction import Predictions

MOST_CLASSES = 5
"""Classes beyond which a terminal shows no probabilities, which would fill it; a file or pipe gets them all.

Fewer are left out too where their titles don't fit into a line.
"""


def predictions(batches: "Iterable[Predictions]", *, json: bool, safe_csv: bool = False) -> None:
    """Predictions as CSV, batch by batch, or JSON on stdout, the failures named on stderr."""
    records: list[dict[str, Any]] = []
    failed: list[Failure] = []
    images = abstained = 0
    seen: list[str] = []
    asked: float | None = None
    left_out = ""
    for found in batches:
        failed += found.failures
        if json:
            records += found.records()
        else:
            left_out = _left_out(found)
            write_data(_csv(found, header=not images, safe=safe_csv, all_classes=not left_out))
        images += len(found)
        abstained += int(found.abstained.sum())
        seen += [path for path, known in zip(found.paths, found.seen.tolist(), strict=True) if known]
        asked = found.min_confidence
    if json:
        failures_told = [{"path": one.path, "reason": one.reason, "message": one.message} for one in failed]
        as_json({"predictions": records, "failures": failures_told, "seen": seen})
    failures(failed)
    if left_out and images and not quiet():
        line(f"[dim]not shown: the {left_out}; write them to a file with `featx predict ... > labels.csv`[/]")
    if asked is not None and not quiet():
        line(f"{abstained:,} of {counted(images, 'image')} got no label: the confidence is below {asked:g}")
    if seen and not quiet():
        line(
            f"[yellow]{len(seen):,} of {counted(images, 'image')}[/] {'was' if len(seen) == 1 else 'were'} used to "
            "fit the model: the model has already seen these, so right labels for them say nothing about new images"
        )


def _left_out(found: "Predictions") -> str:
    """Name the columns that a terminal doesn't show; empty where it shows all."""
    if not sys.stdout.isatty():
        return ""
    width = cell_len(",".join(map(printable, _header(found))))
    if len(found.classes) <= MOST_CLASSES and width <= console(data=True).width:
        return ""
    what = "margins" if found.confidence is None else "probabilities"
    return f"{what} of the {len(found.classes):,} classes"


def _csv(found: "Predictions", *, header: bool, safe: bool, all_classes: bool) -> str:
    """Write predictions as lines of CSV; on a terminal each cell printable, line ends in names included."""
    rows = [*([_header(found)] if header and len(found) else []), *_rows(found, safe=safe)]
    if not all_classes:
        rows = [row[: len(row) - len(found.classes)] for row in rows]
    if sys.stdout.isatty():
        rows = [[printable(cell) for cell in row] for row in rows]
    return to_csv(rows, quote=safe)


def _header(found: "Predictions") -> list[str]:
    if found.confidence is None:
        return ["path", "label", *(f"margin_{name}" for name in found.classes)]
    return ["path", "label", "confidence", *(f"probability_{name}" for name in found.classes)]


def _rows(found: "Predictions", *, safe: bool) -> Iterable[list[str]]:
    if found.confidence is None or found.probabilities is None:
        values = found.margins.tolist()
    else:
        values = [
            [confidence, *row]
            for confidence, row in zip(found.confidence.tolist(), found.probabilities.tolist(), strict=True)
        ]
    for path, label, row in zip(found.paths, found.labels.tolist(), values, strict=True):
        texts = (safe_text(path), safe_text(label)) if safe else (path, label)
        yield [*texts, *(f"{value:.6g}" for value in row)]
