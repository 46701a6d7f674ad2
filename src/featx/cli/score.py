"""``featx score``."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as shared
from featx.pipeline.filling.job import RunOptions


def score(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="Labelled images (a folder or CSV file), or a feature store.",
            metavar="SOURCE",
            show_default="data/test, else a test or validation store beside the training store, else cross-validation",
        ),
    ] = None,
    models: Annotated[
        list[Path] | None,
        typer.Option(
            "--model",
            help="Model to score; give the option several times for several models.",
            metavar="FILE",
            show_default="every model under artifacts/models",
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show the page of the best model in the browser.")] = False,
    show_outside: Annotated[
        bool,
        typer.Option(
            "--show-outside",
            help="Also show images on the page that lie outside the data folder (links or a CSV can lead there).",
        ),
    ] = False,
    views: Annotated[
        bool,
        typer.Option(
            "--views",
            help="Average the probabilities of each image and its views, for models fitted with `--views`.",
        ),
    ] = False,
    path_column: shared.PathColumn = None,
    label_column: shared.LabelColumn = None,
    root: shared.Root = None,
    weights: shared.MovedWeights = None,
    runtime: shared.Runtime = RunOptions.runtime,
    device: shared.Device = RunOptions.device,
    batch_size: shared.BatchSize = RunOptions.batch_size,
    workers: shared.Workers = RunOptions.workers,
    safe_csv: shared.SafeCsv = False,
    json: shared.Json = False,
) -> None:
    """Test classifiers on images they have not seen, and show how sure each figure is.

    Writes for each model a report (JSON), a page to look at (HTML), a list of the images, mistakes first (CSV), and a
    confusion matrix (PNG) under artifacts/reports. Test images that were also used in training, and copies of
    such images, are named, and the figures are given without them as well.
    """
    from featx.cli import show
    from featx.cli.show.progress import TerminalProgress
    from featx.cli.show.scoring import files as show_files
    from featx.cli.show.scoring import reports as show_reports
    from featx.cli.streams import write_data
    from featx.pipeline.naming import report_path
    from featx.pipeline.scoring import score_all

    with TerminalProgress() as progress:
        reports = score_all(
            models,
            source,
            path_column=path_column,
            label_column=label_column,
            root=root,
            safe_csv=safe_csv,
            show_outside=show_outside,
            views=views,
            weights=weights,
            runtime=runtime,
            device=device,
            batch_size=batch_size,
            workers=workers,
            command=shlex.join(["featx", *sys.argv[1:]]),
            progress=progress,
        )
    if json:
        write_data("[" + ",".join(report.to_json() for report in reports) + "]\n")
    else:
        show_reports(reports)
    files = [report_path(report.model, report.test_set) for report in reports]
    show_files(reports, files, open_best=open_page)
    if not json and not open_page:
        show.next_step("featx score --open shows the page; featx curve shows whether more images would help")
