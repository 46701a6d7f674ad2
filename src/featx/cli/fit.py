"""``featx fit``."""

from pathlib import Path
from typing import Annotated

import typer

from featx.classifiers.table import describe, kernels, taking_views, weighing
from featx.cli import options as shared
from featx.selection import SelectionOptions


def fit(
    stores: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Feature stores (made by featx extract).",
            metavar="STORE",
            show_default="every train store under artifacts/features",
        ),
    ] = None,
    clf: Annotated[
        str,
        typer.Option(help=f"Classifier: {describe()}; `all` fits each of them and ranks them.", metavar="NAME"),
    ] = "logreg",
    labels: shared.Labels = None,
    views: Annotated[
        bool,
        typer.Option(
            "--views",
            help="Fit on the views in the store too, which `featx extract --views` makes "
            f"({', '.join(taking_views())}).",
        ),
    ] = False,
    jobs: Annotated[
        int, typer.Option(help="Number of fits that run at the same time; -1 means one for each core.", metavar="N")
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
            help="Strength of the fit: a smaller C gives a simpler classifier (the inverse of the regularisation).",
            metavar="X",
            min=0,
            show_default="the best of several, by cross-validation",
            rich_help_panel=shared.CLASSIFIER,
        ),
    ] = SelectionOptions.C,
    class_weight: Annotated[
        str | None,
        typer.Option(
            help=f"With `balanced`, a rare class counts as much as a common one ({', '.join(weighing())}).",
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
    pca: Annotated[
        int | None,
        typer.Option(
            help="Reduce the features to this number of principal components.",
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
            help="Keep near copies of an image in one fold; for this the images are read again.",
            rich_help_panel=shared.CROSS_VALIDATION,
        ),
    ] = False,
    one_se: Annotated[
        bool,
        typer.Option(
            "--one-se",
            help="Choose the simplest settings whose accuracy is within one standard error of the best.",
            rich_help_panel=shared.CROSS_VALIDATION,
        ),
    ] = False,
    nested: Annotated[
        bool | None,
        typer.Option(
            "--nested/--no-nested",
            help="For each fold, choose the settings again without its images (nested cross-validation): slower, but "
            "the accuracy is then not too high.",
            show_default="only if it takes a few seconds",
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
        views=views,
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
