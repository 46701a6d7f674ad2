"""Stage two: from a sealed feature store to a model, never touching an image."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from featx.errors import ModelError, StoreError, UsageError
from featx.model import Model, Origin, TrainingData, fit_model
from featx.pipeline.labels import labels_of
from featx.pipeline.naming import FEATURES, default_stores, model_path
from featx.selection import SelectionOptions
from featx.store import FeatureStore, open_store

DEFAULT_CLASSIFIER = "logreg"

TRAINING_SPLITS = (None, "train")
"""Splits of the stores that `fit` takes when none is named."""


def fit(
    store: FeatureStore | Path | str,
    *,
    clf: str = DEFAULT_CLASSIFIER,
    kernel: str = SelectionOptions.kernel,
    C: float | None = SelectionOptions.C,
    folds: int = SelectionOptions.folds,
    seed: int = SelectionOptions.seed,
    jobs: int = SelectionOptions.n_jobs,
    group_by: str | None = None,
    labels: Path | str | None = None,
    out: Path | str | None = None,
) -> Model:
    """Fit a classifier on the features of a store, its C chosen by cross-validation, and save it.

    Rows without a label take no part. The scaler is part of the classifier and fitted inside each fold.

    Parameters
    ----------
    store : FeatureStore or path
        Features (n, d) float32 with labels.
    clf : {"logreg", "svm"}
        Multinomial logistic regression, or a support vector machine.
    kernel : {"linear", "rbf"}
        Of the support vector machine.
    C : float, optional
        Inverse strength of the regularisation; by default the best of a sweep.
    folds : int
        Of the cross-validation.
    seed : int
        Of the folds and of the fit: the same seed gives the same coefficients and predictions.
    jobs : int
        Folds worked on at once, -1 for one on each core. Changes no result.
    group_by : str, optional
        Regular expression searched in each path; images that it matches alike (its first group, or all of the match)
        stay in one fold. By default the groups of the manifest.
    labels : path, optional
        CSV with the columns ``path`` and ``label``, joined by path, to be used in place of the store's own labels: no
        image is needed. Images that it doesn't name take no part.
    out : path, optional
        The model's file; ``artifacts/models/<store>-<clf>.skops`` by default.

    Returns
    -------
    Model
        Fitted on all labelled rows.

    Raises
    ------
    DataError
        No labels, one class, or too few images of a class.
    StoreError
        `store` is no whole feature store.
    SourceError
        `labels` is no such CSV, or names images that the store doesn't have.
    UsageError
        An unknown classifier, or a `group_by` that leaves images without a group.
    """
    store = open_store(store) if isinstance(store, Path | str) else store
    target = model_path(store.path, clf=clf, kernel=kernel, out=None if out is None else Path(out))
    _refuse_foreign(target)
    groups = store.groups if group_by is None else groups_by(group_by, store.paths)
    codes, classes = (store.labels, store.classes) if labels is None else labels_of(store, labels)
    model = fit_model(
        TrainingData(
            features=store.features,
            labels=codes,
            classes=classes,
            digests=store.digests,
            groups=groups,
            origin=Origin(
                name=store.path.stem,
                path=str(store.path),
                content_digest=store.content_digest,
                spec=store.spec,
                weights_source=store.weights_source,
            ),
        ),
        name=target.stem,
        clf=clf,
        options=SelectionOptions(kernel=kernel, C=C, folds=folds, seed=seed, n_jobs=jobs),
    )
    model.save(target)
    return model


def fit_all(
    stores: Sequence[Path] | None = None,
    *,
    clf: str = DEFAULT_CLASSIFIER,
    kernel: str = SelectionOptions.kernel,
    out: Path | None = None,
    **options: Any,
) -> dict[Path, Model]:
    """Fit a classifier on each of several stores, with the options of `fit`.

    Parameters
    ----------
    stores : sequence of path, optional
        Every store in its default place whose split is train or unnamed, by default.
    clf, kernel
        As in `fit`.
    out : path, optional
        As in `fit`; a folder where there are several stores.
    **options
        The other options of `fit`.

    Returns
    -------
    dict of Path to Model
        Each model by its file.

    Raises
    ------
    StoreError
        There is no store to fit on.
    UsageError
        Several models would go to one file.
    """
    chosen = stores or [path for path in default_stores() if open_store(path).split in TRAINING_SPLITS]
    if not chosen:
        raise StoreError(
            f"there is no feature store to fit on under {FEATURES}: run `featx extract data/train` first, or name one"
        )
    targets = {model_path(store, clf=clf, kernel=kernel, out=out): store for store in chosen}
    if len(targets) < len(chosen):
        raise UsageError(f"the models of {len(chosen)} stores would go to {len(targets)} files: fit them one by one")
    return {target: fit(store, clf=clf, kernel=kernel, out=target, **options) for target, store in targets.items()}


def groups_by(pattern: str, paths: Sequence[str]) -> tuple[str, ...]:
    """Group of each path: what a regular expression's first group, or all of it, matches there."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"group_by is a regular expression, and {pattern!r} is none: {error}") from error
    matches = [expression.search(path) for path in paths]
    for path, match in zip(paths, matches, strict=True):
        if match is None:
            raise UsageError(f"group_by {pattern!r} matches nothing in {path!r}: every image needs a group")
    return tuple(match[1] if expression.groups else match[0] for match in matches if match is not None)


def _refuse_foreign(target: Path) -> None:
    """Refuse to replace a file that is no model, before any time is spent on a fit."""
    if not target.exists():
        return
    try:
        Model.load(target)
    except ModelError as error:
        raise ModelError(f"{error}; it is not replaced: choose another name (--out)") from error
