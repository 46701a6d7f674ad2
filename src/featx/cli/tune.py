"""``featx tune``."""

from pathlib import Path
from typing import Annotated

import typer

from featx.backbones import Request
from featx.cli import options as shared
from featx.cli.extract import size_of
from featx.pipeline.filling.job import RunOptions
from featx.pipeline.tuning.job import VALIDATION, TuningJob

TRAINING = "Training"


def tune(
    source: Annotated[
        Path,
        typer.Argument(
            help="Labelled images that the model was fitted on: a folder, CSV file or feature store.",
            metavar="SOURCE",
            show_default=False,
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Logistic regression to start from, made by `featx fit` on features of these images.",
            metavar="MODEL",
            show_default=False,
        ),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(
            help="Number of blocks to train, from the end; 0 trains a head only (with `--head`).",
            metavar="N",
            min=0,
            show_default="those behind the last halving of the image; 1 for under 500 images",
        ),
    ] = TuningJob.last,
    from_layer: Annotated[
        str | None,
        typer.Option(
            help="Train everything behind this layer, in place of `--last`.", metavar="NAME", show_default=False
        ),
    ] = TuningJob.from_layer,
    head: Annotated[
        int | None,
        typer.Option(
            help="Width of the hidden layer of a head that is trained on unchanged features (with `--last 0`).",
            metavar="N",
            min=1,
            show_default=False,
        ),
    ] = TuningJob.head,
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone",
            "-m",
            help="Pretrained network, for a head; else the model knows it.",
            metavar="NAME",
            show_default=Request.backbone,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Weights of that network, as in `featx extract`; with `--from`, their file if it was moved.",
            metavar="NAME|FILE",
            show_default=Request.weights,
        ),
    ] = None,
    image_size: Annotated[
        str | None,
        typer.Option(
            help="Size of the images for a head: one side, or HEIGHTxWIDTH; else the model knows it.",
            metavar="PIXELS",
            show_default="the backbone's own",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder of all results.",
            metavar="FOLDER",
            show_default="artifacts/weights and artifacts/models",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Largest number of passes over the images.",
            metavar="N",
            min=1,
            show_default="15; 60 for a head",
            rich_help_panel=TRAINING,
        ),
    ] = TuningJob.epochs,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Highest learning rate.",
            metavar="X",
            show_default="0.001; 0.0001 for under 500 images",
            rich_help_panel=TRAINING,
        ),
    ] = TuningJob.rate,
    patience: Annotated[
        int,
        typer.Option(
            help="Stop after so many epochs without a better one.", metavar="N", min=1, rich_help_panel=TRAINING
        ),
    ] = TuningJob.patience,
    validation: Annotated[
        str,
        typer.Option(
            help="Images to compare the epochs on: a share of SOURCE, the name of a split of it, or another folder, "
            "CSV file or store.",
            metavar="SHARE|NAME|PATH",
            rich_help_panel=TRAINING,
        ),
    ] = str(VALIDATION),
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Regular expression that is searched in each path; images where it finds the same text stay together "
            "when a share is held out.",
            metavar="REGEX",
            show_default="the groups of the CSV, if it has any",
            rich_help_panel=TRAINING,
        ),
    ] = TuningJob.group_by,
    views: Annotated[
        int,
        typer.Option(
            help="Number of views of each image (turned, zoomed, shifted, other colours) to train on as well.",
            metavar="K",
            min=0,
            rich_help_panel=TRAINING,
        ),
    ] = TuningJob.views,
    flip: Annotated[
        bool,
        typer.Option(
            "--flip/--no-flip",
            help="Mirror half of the views; not for signs, digits or text.",
            rich_help_panel=TRAINING,
        ),
    ] = TuningJob.flip,
    seed: Annotated[int, typer.Option(help=shared.SEED, metavar="N", min=0, rich_help_panel=TRAINING)] = TuningJob.seed,
    keep_cache: Annotated[
        bool,
        typer.Option(
            "--keep-cache",
            help="Keep what the first layers gave in the cache folder: the next run on these images starts at once.",
            rich_help_panel=shared.SPEED,
        ),
    ] = TuningJob.keep_cache,
    path_column: shared.PathColumn = None,
    label_column: shared.LabelColumn = None,
    root: shared.Root = None,
    runtime: shared.Runtime = RunOptions.runtime,
    device: shared.Device = RunOptions.device,
    batch_size: shared.BatchSize = RunOptions.batch_size,
    workers: shared.Workers = RunOptions.workers,
    json: shared.Json = False,
) -> None:
    """Train the last layers of a network further on labelled images, starting from a fitted logistic regression.

    What the first layers give is computed once and kept while the training lasts, so that an epoch takes seconds. Some
    images are held out, and the epoch that does best on them is taken. Stopped, the same command goes on. The result is
    a file of weights for `featx extract --weights`, and a model to score and predict with.

    With few images (under 500) it rarely helps; on images that are unlike photos it can help a lot.
    """
    from featx.cli import show
    from featx.cli.show.tuning import TuningProgress, tuned, tuned_record
    from featx.pipeline.tuning.verb import tune as tune_network

    with TuningProgress() as progress:
        found = tune_network(
            source,
            model=model,
            backbone=backbone,
            weights=weights,
            image_size=size_of(image_size),
            last=last,
            from_layer=from_layer,
            head=head,
            epochs=epochs,
            rate=rate,
            patience=patience,
            seed=seed,
            views=views,
            flip=flip,
            validation=_share(validation),
            group_by=group_by,
            keep_cache=keep_cache,
            path_column=path_column,
            label_column=label_column,
            root=root,
            runtime=runtime,
            device=device,
            batch_size=batch_size,
            workers=workers,
            out=out,
            progress=progress,
        )
    if json:
        show.as_json(tuned_record(found))
        return
    tuned(found, told=progress.told)
    show.next_step("featx score on images that the network has not seen; featx compare tells if the gain is real")


def _share(text: str) -> float | str:
    """Read a share; anything else is a name or a path."""
    try:
        return float(text)
    except ValueError:
        return text
