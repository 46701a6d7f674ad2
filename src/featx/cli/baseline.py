"""``featx baseline``."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as shared
from featx.pipeline.filling.job import RunOptions


def baseline(
    source: Annotated[
        Path,
        typer.Argument(
            help="Training images: a folder with one sub-folder per class, a folder that holds train and test, or a "
            "CSV file with the columns path and label.",
            metavar="SOURCE",
            show_default=False,
        ),
    ],
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Largest number of passes over the training images.",
            metavar="N",
            min=1,
            show_default="30, or more for few images",
        ),
    ] = None,
    seed: shared.Seed = 0,
    flip: Annotated[
        bool,
        typer.Option(
            "--flip/--no-flip",
            help="Mirror half of the training images; not for digits, letters and signs.",
        ),
    ] = True,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Regular expression that is searched in each path; images where it finds the same text stay together: "
            "all are trained on, or none.",
            metavar="REGEX",
            show_default="the groups of the CSV, if it has any",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="JSON file for the report; a page, a list of the images and a picture are written beside it.",
            metavar="FILE",
            show_default="in artifacts/reports",
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False,
    path_column: shared.PathColumn = None,
    label_column: shared.LabelColumn = None,
    root: shared.Root = None,
    workers: shared.Workers = RunOptions.workers,
    safe_csv: shared.SafeCsv = False,
    json: shared.Json = False,
) -> None:
    """Train a small network on your images alone, and test it: the accuracy that a pretrained network must beat.

    The network has about 60,000 weights and sees images of 48 x 48 pixels. It is tested on the test images beside the
    training images, else on the validation images, else on a fifth of the images that it was not trained on. Writes
    a report, as `featx score` does, and `featx compare` compares it with other models; the network itself is not kept.
    """
    from featx.cli import show
    from featx.cli.show.progress import TerminalProgress
    from featx.cli.show.scoring import files as show_files
    from featx.cli.show.scoring import reports as show_reports
    from featx.cli.streams import write_data
    from featx.pipeline.baseline.verb import baseline as train

    with TerminalProgress(label="training") as progress:
        report = train(
            source,
            epochs=epochs,
            seed=seed,
            flip=flip,
            group_by=group_by,
            path_column=path_column,
            label_column=label_column,
            root=root,
            workers=workers,
            out=out,
            safe_csv=safe_csv,
            command=shlex.join(["featx", *sys.argv[1:]]),
            progress=progress,
        )
    if json:
        write_data(report.to_json())
    else:
        show_reports([report])
    assert report.file is not None
    show_files([report], [report.file], open_best=open_page)
    if not json and not open_page:
        show.next_step("featx compare shows if models on features are better on the same images")
