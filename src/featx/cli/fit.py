"""``featx fit``."""

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as shared
from featx.selection import SelectionOptions


def fit(
    stores: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Feature stores.", metavar="STORE", show_default="every train store under artifacts/features"
        ),
    ] = None,
    clf: Annotated[str, typer.Option(help="Classifier.", metavar="logreg|svm")] = "logreg",
    kernel: Annotated[str, typer.Option(help="Of the SVM.", metavar="linear|rbf")] = SelectionOptions.kernel,
    C: Annotated[
        float | None,
        typer.Option(
            "--C",
            help="Inverse strength of the regularisation.",
            metavar="X",
            min=0,
            show_default="the best of a sweep",
        ),
    ] = SelectionOptions.C,
    folds: Annotated[int, typer.Option(help="Of the cross-validation.", metavar="N", min=2)] = SelectionOptions.folds,
    seed: shared.Seed = SelectionOptions.seed,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Regular expression searched in each path; images that it matches alike stay in one fold.",
            metavar="REGEX",
            show_default="the manifest's groups",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="CSV (path, label) to be used instead of the stores' own labels, joined by path; no image is needed.",
            metavar="FILE",
            show_default="the stores' labels",
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(help="Folds worked on at once; -1 is one for each core.", metavar="N")
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
    json: shared.Json = False,
) -> None:
    """Fit a classifier on cached features; its C is chosen by a cross-validated sweep."""
    from featx.cli import show
    from featx.pipeline.fitting import fit_all

    models = fit_all(
        stores,
        clf=clf,
        kernel=kernel,
        C=C,
        folds=folds,
        seed=seed,
        group_by=group_by,
        labels=labels,
        jobs=jobs,
        out=out,
    )
    if json:
        show.as_json([show.model_record(path, model) for path, model in models.items()])
    else:
        for path, model in models.items():
            show.model(path, model)
