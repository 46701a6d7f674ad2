"""Stage two: from a sealed feature store to a model, never touching an image."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from featx.classifiers import RECIPES
from featx.errors import ModelError, StoreError, UsageError
from featx.model import Model, Origin, TrainingData, fit_model
from featx.pipeline.labels import groups_by, labels_of
from featx.pipeline.naming import FEATURES, default_stores, model_path
from featx.selection import SelectionOptions
from featx.selection.planning import Told, announce
from featx.store import FeatureStore, open_store

DEFAULT_CLASSIFIER = "logreg"

ALL = "all"
"""In place of a classifier's name: every classifier."""

TRAINING_SPLITS = (None, "train")
"""Splits of the stores that `fit` takes when none is named."""


def fit(
    store: FeatureStore | Path | str,
    *,
    clf: Any = DEFAULT_CLASSIFIER,
    kernel: str = SelectionOptions.kernel,
    C: float | None = SelectionOptions.C,
    class_weight: str | None = SelectionOptions.class_weight,
    normalize: str | None = SelectionOptions.normalize,
    pca: int | None = SelectionOptions.pca,
    folds: int = SelectionOptions.folds,
    nested: bool = SelectionOptions.nested,
    rule: str = SelectionOptions.rule,
    solver: str = SelectionOptions.solver,
    seed: int = SelectionOptions.seed,
    jobs: int = SelectionOptions.n_jobs,
    group_by: str | None = None,
    labels: Path | str | None = None,
    out: Path | str | None = None,
    save: bool = True,
    told: Told = announce,
) -> Model:
    """Fit a classifier on the features of a store, its hyperparameters chosen by cross-validation, and save it.

    Rows without a label take no part. The scaler is part of the classifier and fitted inside each fold.

    Parameters
    ----------
    store : FeatureStore or path
        Features (n, d) float32 with labels.
    clf : {"logreg", "svm", "knn", "centroid", "ridge", "lda", "all"} or scikit-learn estimator
        Multinomial logistic regression, support vector machine, nearest neighbours, nearest centroid, ridge, linear
        discriminants; all fits and saves each of them, and gives the best by cross-validated accuracy. Of an
        estimator a clone is fitted: a pipeline as it is, another after the scaler.
    kernel : {"linear", "rbf"}
        Of the support vector machine.
    C : float, optional
        Inverse strength of the regularisation; by default the best of a sweep.
    class_weight : {None, "balanced"}
        Balanced weighs every image by the inverse of its class's frequency.
    normalize : {None, "l2"}
        Bring every feature vector to length one, before the scaler.
    pca : int, optional
        Keep so many principal components, after the scaler.
    folds : int
        Of the cross-validation.
    nested : bool
        Also cross-validate the choice itself, for a score that isn't the one chosen by.
    rule : {"best", "one-se"}
        Take the best of the sweep, or the simplest within one standard error of it.
    solver : {"auto", "gram", "direct", "blockwise"}
        What fits; auto is by predicted time and memory.
    seed : int
        Of the folds and of the fit: the same seed gives the same coefficients and predictions.
    jobs : int
        Fits worked on at once, -1 for one on each core. Changes no result.
    group_by : str, optional
        Regular expression searched in each path; images that it matches alike (its first group, or all of the match)
        stay in one fold. By default the groups of the manifest.
    labels : path, optional
        CSV with the columns ``path`` and ``label``, joined by path, to be used in place of the store's own labels: no
        image is needed. Images that it doesn't name take no part.
    out : path, optional
        The model's file; ``artifacts/models/<store>-<clf>.skops`` by default.
    save : bool
        Whether to write the model. An estimator that is not scikit-learn's own can be fitted, but not saved.
    told : callable
        Gets the `featx.selection.planning.Plan` of what the fit will take, before it starts; by default it is logged.

    Returns
    -------
    Model
        Fitted on all labelled rows.

    Raises
    ------
    DataError
        No labels, one class, or too few images of a class.
    ModelError
        The model can't be saved, or would replace a file that is none.
    StoreError
        `store` is no whole feature store.
    SourceError
        `labels` is no such CSV, or names images that the store doesn't have.
    UsageError
        An unknown classifier, an option that it doesn't have, or a `group_by` that leaves images without a group.
    """
    store = open_store(store) if isinstance(store, Path | str) else store
    out = None if out is None else Path(out)
    options = SelectionOptions(
        kernel=kernel,
        C=C,
        folds=folds,
        seed=seed,
        n_jobs=jobs,
        class_weight=class_weight,
        normalize=normalize,
        pca=pca,
        nested=nested,
        rule=rule,
        solver=solver,
    )
    several = isinstance(clf, str) and clf == ALL
    chosen = [
        (one, replace(options, **_suited(one, kernel=kernel, C=C, class_weight=class_weight)) if several else options)
        for one in (RECIPES if several else [clf])
    ]
    targets = [model_path(store.path, clf=own.blueprint(one).name, kernel=own.kernel, out=out) for one, own in chosen]
    if len(set(targets)) < len(targets):
        raise UsageError(f"{len(targets)} classifiers give a model each, and {out} is one file: name a folder")
    if save:
        for target in targets:
            _refuse_foreign(target)
    groups = store.groups if group_by is None else groups_by(group_by, store.paths)
    codes, classes = (store.labels, store.classes) if labels is None else labels_of(store, labels)
    data = TrainingData(
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
    )
    models = []
    for (one, own), target in zip(chosen, targets, strict=True):
        model = fit_model(data, name=target.stem, clf=one, options=own, told=told)
        if save:
            model.save(target)
        models.append(model)
    return max(models, key=accuracy)


def fit_all(
    stores: Sequence[Path] | None = None,
    *,
    clf: str = DEFAULT_CLASSIFIER,
    kernel: str = SelectionOptions.kernel,
    out: Path | None = None,
    **options: Any,
) -> dict[Path, Model]:
    """Fit one or all classifiers on each of several stores, with the options of `fit`.

    Parameters
    ----------
    stores : sequence of path, optional
        Every store in its default place whose split is train or unnamed, by default.
    clf, kernel
        As in `fit`.
    out : path, optional
        As in `fit`; a folder where there are several models.
    **options
        The other options of `fit`.

    Returns
    -------
    dict of Path to Model
        Each model by its file: in the order of the stores, of one store's the best by cross-validated accuracy first.

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
    names = list(RECIPES) if clf == ALL else [clf]
    work = {
        name: {"kernel": kernel, **options}
        | (
            _suited(name, kernel=kernel, C=options.get("C"), class_weight=options.get("class_weight"))
            if clf == ALL
            else {}
        )
        for name in names
    }
    targets = {
        model_path(store, clf=name, kernel=work[name]["kernel"], out=out): (place, store, name)
        for place, store in enumerate(chosen)
        for name in names
    }
    if len(targets) < len(chosen) * len(names):
        raise UsageError(
            f"{len(chosen) * len(names)} models would go to {len(targets)} files: name a folder, or fit them one by one"
        )
    fitted = {target: fit(store, clf=name, out=target, **work[name]) for target, (_, store, name) in targets.items()}
    ranked = sorted(fitted, key=lambda target: (targets[target][0], -accuracy(fitted[target])))
    return {target: fitted[target] for target in ranked}


def accuracy(model: Model) -> float:
    """Cross-validated accuracy of the hyperparameters that a model was fitted with; 0 without cross-validation."""
    chosen = model.selection.chosen
    return 0.0 if chosen is None else chosen.mean


def _suited(clf: str, *, kernel: str, C: float | None, class_weight: str | None) -> dict[str, Any]:
    """Of options given for all classifiers, those that this one has."""
    recipe = RECIPES[clf]
    return {
        "kernel": kernel if len(recipe.grids) > 1 else SelectionOptions.kernel,
        "C": C if "C" in recipe.defaults else None,
        "class_weight": class_weight if recipe.weighs_classes else None,
    }


def _refuse_foreign(target: Path) -> None:
    """Refuse to replace a file that is no model, before any time is spent on a fit."""
    if not target.exists():
        return
    try:
        Model.load(target)
    except ModelError as error:
        raise ModelError(f"{error}; it is not replaced: choose another name (`out`)") from error
