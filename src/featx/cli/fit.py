"""``featx fit``."""

from pathlib import Path
from typing import Annotated

import typer

from featx.classifiers.table import describe, kernels, weighing
from featx.cli import options as shared
from featx.selection import SelectionOptions


def fit(
    stores: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Feature stores.", metavar="STORE", show_default="every train store under artifacts/features"
        ),
    ] = None,
    clf: Annotated[
        str,
        typer.Option(help=f"Classifier: {describe()}; `all` fits each of them and ranks them.", metavar="NAME"),
    ] = "logreg",
    labels: shared.Labels = None,
    jobs: Annotated[
        int, typer.Option(help="Number of fits at once; -1 is one for each core.", metavar="N")
    ] = SelectionOptions.n_jobs,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File of the model.",
            metavar="PATH",
            show_default="artifacts/models/<store>-<clf>.skops",
        ),
    ] = None,
    kernel: Annotated[
        str,
        typer.Option(help="Kernel of the SVM.", metavar="|".join(kernels()), rich_help_panel=shared.CLASSIFIER),
    ] = SelectionOptions.kernel,
    C: Annotated[
        float | None,
        typer.Option(
            "--C",
            help="Inverse strength of the regularisation.",
            metavar="X",
            min=0,
            show_default="the best of a sweep",
            rich_help_panel=shared.CLASSIFIER,
        ),
    ] = SelectionOptions.C,
    class_weight: Annotated[
        str | None,
        typer.Option(
            help=f"`balanced` weighs every image by the inverse of its class's frequency ({', '.join(weighing())}).",
            metavar="balanced",
            show_default="all images alike",
            rich_help_panel=shared.CLASSIFIER,
        ),
    ] = SelectionOptions.class_weight,
    normalize: Annotated[
        str | None,
        typer.Option(
            help="`l2` brings every feature vector to length one, before the scaler.",
            metavar="l2",
            show_default="as they are",
            rich_help_panel=shared.CLASSIFIER,
        ),
    ] = SelectionOptions.normalize,
    pca: Annotated[
        int | None,
        typer.Option(
            help="Number of principal components to keep, after the scaler.",
            metavar="D",
            min=1,
            show_default="all features",
            rich_help_panel=shared.CLASSIFIER,
        ),
    ] = SelectionOptions.pca,
    folds: Annotated[
        int,
        typer.Option(
            help="Number of folds of the cross-validation.",
            metavar="N",
            min=2,
            rich_help_panel=shared.CROSS_VALIDATION,
        ),
    ] = SelectionOptions.folds,
    group_by: shared.GroupBy = None,
    group_copies: Annotated[
        bool,
        typer.Option(
            "--group-copies",
            help="Keep near copies of an image in one fold; reads the images again.",
            rich_help_panel=shared.CROSS_VALIDATION,
        ),
    ] = False,
    one_se: Annotated[
        bool,
        typer.Option(
            "--one-se",
            help="Take the simplest candidate of the sweep within one standard error of the best.",
            rich_help_panel=shared.CROSS_VALIDATION,
        ),
    ] = False,
    nested: Annotated[
        bool | None,
        typer.Option(
            "--nested/--no-nested",
            help="Choose the settings again for each test part, without its images, for a score that is not too high.",
            show_default="where it takes seconds",
            rich_help_panel=shared.CROSS_VALIDATION,
        ),
    ] = None,
    seed: shared.SeedOfFolds = SelectionOptions.seed,
    json: shared.Json = False,
) -> None:
    """Fit a classifier on extracted features; its settings are chosen automatically, by cross-validation."""
    from featx.cli import show
    from featx.cli.show.fitting import model_record, ranking
    from featx.cli.show.progress import ModelProgress, TerminalProgress
    from featx.pipeline.fitting import fit_all

    models = fit_all(
        stores,
        clf=clf,
        kernel=kernel,
        C=C,
        class_weight=class_weight,
        normalize=normalize,
        pca=pca,
        nested=nested,
        rule="one-se" if one_se else SelectionOptions.rule,
        folds=folds,
        seed=seed,
        group_by=group_by,
        group_copies=group_copies,
        labels=labels,
        jobs=jobs,
        out=out,
        progress=TerminalProgress() if json else ModelProgress(),
    )
    if json:
        show.as_json([model_record(path, model) for path, model in models.items()])
    else:
        ranking(models)
        if any(model.selection.oof is not None for model in models.values()):
            show.next_step("featx score --open shows which images are wrong, and how sure the accuracy is")
