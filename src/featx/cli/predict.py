"""``featx predict``."""

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as shared
from featx.pipeline.filling.job import RunOptions


def predict(
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Image files, folders of images, or CSV files with a column path.", metavar="IMAGE", show_default=False
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            help="Model that labels the images.",
            metavar="FILE",
            show_default="the only model under artifacts/models",
        ),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            help="Leave the label empty if its confidence (0 to 1) is lower than this.",
            metavar="P",
            show_default="label every image",
        ),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(
            help="Average the probabilities of each image and K views of it, with a model fitted with `--views`.",
            metavar="K",
            show_default="the image alone",
        ),
    ] = None,
    path_column: shared.PathColumn = None,
    root: shared.Root = None,
    weights: shared.MovedWeights = None,
    runtime: shared.Runtime = RunOptions.runtime,
    device: shared.Device = RunOptions.device,
    batch_size: shared.BatchSize = RunOptions.batch_size,
    workers: shared.Workers = RunOptions.workers,
    safe_csv: shared.SafeCsv = False,
    json: shared.Json = False,
) -> None:
    """Label images: a CSV with the label, its confidence and a probability for each class.

    To keep the CSV, write `featx predict ... > labels.csv`. A terminal shows the probabilities only where they fit.
    Images that can't be read are named on stderr and have no line. A model that was fitted without cross-validation may
    have no probabilities; the CSV then has margins instead.
    """
    from featx.cli.show.prediction import predictions as show_predictions
    from featx.pipeline.prediction import predict_batches

    batches = predict_batches(
        model,
        images,
        min_confidence=min_confidence,
        views=views,
        path_column=path_column,
        root=root,
        weights=weights,
        runtime=runtime,
        device=device,
        batch_size=batch_size,
        workers=workers,
    )
    show_predictions(batches, json=json, safe_csv=safe_csv)
