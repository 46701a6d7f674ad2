"""``featx curve``."""

from pathlib import Path
from typing import Annotated

import typer

from featx.classifiers.table import RECIPES, kernels
from featx.cli import options as shared
from featx.errors import UsageError
from featx.reports.curve import REPEATS, REPEATS_ON_TEST
from featx.selection import SelectionOptions


def curve(
    store: Annotated[
        Path | None,
        typer.Argument(
            help="Feature store (made by featx extract).", metavar="STORE", show_default="the only train store"
        ),
    ] = None,
    clf: Annotated[
        str, typer.Option(help=f"Classifier: {', '.join(RECIPES)}; `featx fit --help` explains them.", metavar="NAME")
    ] = "logreg",
    points: Annotated[
        str | None,
        typer.Option(
            help="Numbers of images per class to try, with commas between them; a number that is too large means all "
            "images.",
            metavar="N,N,...",
            show_default="2, 5, 10, 20, 50 and so on, up to all",
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            help="Number of times that images are drawn at random, for each size and fold.",
            metavar="N",
            min=1,
            show_default=f"{REPEATS}, or {REPEATS_ON_TEST} with --test",
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(
            help="Feature store to test on.",
            metavar="STORE",
            show_default="parts of the first store, by cross-validation",
        ),
    ] = None,
    labels: shared.Labels = None,
    jobs: Annotated[
        int,
        typer.Option(
            help="Number of folds that are worked on at the same time; -1 means one for each core.", metavar="N"
        ),
    ] = SelectionOptions.n_jobs,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="JSON file for the curve, or a folder for it; a CSV file and a picture are written beside it.",
            metavar="PATH",
            show_default="artifacts/reports/<store>-<clf>-curve.json",
        ),
    ] = None,
    kernel: Annotated[
        str,
        typer.Option(help="Kernel of the SVM.", metavar="|".join(kernels()), rich_help_panel=shared.CLASSIFIER),
    ] = SelectionOptions.kernel,
    class_weight: Annotated[
        str | None,
        typer.Option(
            help="With `balanced`, a rare class counts as much as a common one.",
            metavar="balanced",
            show_default="every image counts the same",
            rich_help_panel=shared.CLASSIFIER,
        ),
    ] = SelectionOptions.class_weight,
    normalize: Annotated[
        str | None,
        typer.Option(
            help="With `l2`, the features of each image are scaled to length 1 first.",
            metavar="l2",
            show_default="no",
            rich_help_panel=shared.CLASSIFIER,
        ),
    ] = SelectionOptions.normalize,
    folds: Annotated[
        int,
        typer.Option(
            help="Number of folds of the cross-validation, for the test and for the choice of the settings.",
            metavar="N",
            min=2,
            rich_help_panel=shared.CROSS_VALIDATION,
        ),
    ] = SelectionOptions.folds,
    group_by: shared.GroupBy = None,
    seed: shared.SeedOfFolds = SelectionOptions.seed,
    json: shared.Json = False,
) -> None:
    """Show how the accuracy grows with the number of training images per class.

    Classifiers are chosen and fitted on random draws of growing size, and tested on images that are in none of them.
    """
    from featx.cli import show
    from featx.cli.show.curve import curve as show_curve
    from featx.cli.show.progress import TerminalProgress
    from featx.pipeline.curves.verb import curve as find

    with TerminalProgress(label="fitting", unit=None) as progress:
        found = find(
            store,
            clf=clf,
            kernel=kernel,
            class_weight=class_weight,
            normalize=normalize,
            points=None if points is None else _numbers(points),
            repeats=repeats,
            test=test,
            folds=folds,
            seed=seed,
            jobs=jobs,
            group_by=group_by,
            labels=labels,
            out=out,
            progress=progress,
        )
    if json:
        show.as_json(found.to_dict())
    else:
        show_curve(found)


def _numbers(points: str) -> list[int]:
    try:
        return [int(point) for point in points.split(",")]
    except ValueError:
        raise UsageError(f"`points` takes whole numbers with commas between them, found {points!r}") from None
