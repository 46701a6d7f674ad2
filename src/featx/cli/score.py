"""``featx score``."""

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as shared
from featx.pipeline.options import RunOptions


def score(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="Labelled images (folder, CSV) or a feature store.",
            metavar="SOURCE",
            show_default="data/test, else cross-validation",
        ),
    ] = None,
    models: Annotated[
        list[Path] | None,
        typer.Option(
            "--model",
            help="A model to score; may be repeated.",
            metavar="FILE",
            show_default="every model under artifacts/models",
        ),
    ] = None,
    weights: shared.MovedWeights = None,
    runtime: shared.Runtime = RunOptions.runtime,
    device: shared.Device = RunOptions.device,
    batch_size: shared.BatchSize = RunOptions.batch_size,
    workers: shared.Workers = RunOptions.workers,
    json: shared.Json = False,
) -> None:
    """Score models on images that they were not fitted on, each figure with its uncertainty.

    Writes a report (JSON) and a confusion matrix (PNG) for each model under artifacts/reports.
    """
    from featx.cli import show
    from featx.pipeline.scoring import score_all

    with show.extraction_progress() as watcher:
        reports = score_all(
            models,
            source,
            weights=weights,
            options=RunOptions(runtime=runtime, device=device, batch_size=batch_size, workers=workers),
            progress=watcher,
        )
    if json:
        typer.echo("[" + ",".join(report.to_json() for report in reports) + "]")
    else:
        show.reports(reports)
