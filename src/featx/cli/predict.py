"""``featx predict``."""

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as shared
from featx.pipeline.options import RunOptions


def predict(
    images: Annotated[
        list[Path], typer.Argument(help="Image files, or folders of them.", metavar="IMAGE", show_default=False)
    ],
    model: Annotated[
        Path | None,
        typer.Option("--model", help="The model to label with.", metavar="FILE", show_default="the one there is"),
    ] = None,
    weights: shared.MovedWeights = None,
    runtime: shared.Runtime = RunOptions.runtime,
    device: shared.Device = RunOptions.device,
    batch_size: shared.BatchSize = RunOptions.batch_size,
    workers: shared.Workers = RunOptions.workers,
    json: shared.Json = False,
) -> None:
    """Label images: CSV on stdout, with a probability for each class, or the SVM's margins.

    Images that can't be read are named on stderr and have no line.
    """
    from featx.cli import show
    from featx.pipeline.prediction import only_model, predict_batches

    run = RunOptions(runtime=runtime, device=device, batch_size=batch_size, workers=workers)
    show.predictions(predict_batches(model or only_model(), images, weights=weights, options=run), json=json)
