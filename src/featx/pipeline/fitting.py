"""Stage two: from a sealed feature store to a model, never touching an image."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from featx.classifiers import RECIPES
from featx.errors import DataError, FeatxError, ModelError, SourceError, StoreError, UsageError
from featx.model import Model, Origin, RankedModel, Ranking, TrainingData, fit_model
from featx.pipeline.labels import groups_by, labels_of
from featx.pipeline.naming import FEATURES, TRAINING_SPLITS, default_stores, model_path
from featx.progress import Progress, observed
from featx.selection import SelectionOptions
from featx.selection.folds import warned_once
from featx.store import FeatureStore, open_store
from featx.words import counted

logger = logging.getLogger(__name__)

DEFAULT_CLASSIFIER = "logreg"

ALL = "all"
"""In place of a classifier's name: every classifier."""


def fit(
    store: FeatureStore | Path | str,
    y: None = None,
    *,
    clf: Any = DEFAULT_CLASSIFIER,
    kernel: str = SelectionOptions.kernel,
    C: float | None = SelectionOptions.C,
    class_weight: str | None = SelectionOptions.class_weight,
    normalize: str | None = SelectionOptions.normalize,
    pca: int | None = SelectionOptions.pca,
    folds: int = SelectionOptions.folds,
    nested: bool | None = None,
    rule: str = SelectionOptions.rule,
    solver: str = SelectionOptions.solver,
    seed: int = SelectionOptions.seed,
    jobs: int = SelectionOptions.n_jobs,
    group_by: str | None = None,
    group_copies: bool = False,
    labels: Path | str | None = None,
    views: bool = False,
    out: Path | str | None = None,
    save: bool = True,
    progress: Progress | bool | None = None,
) -> Model:
    """Fit a classifier on the features of a store, its hyperparameters chosen by cross-validation, and save it.

    Rows without a label take no part. The scaler is part of the classifier and fitted inside each fold.

    Parameters
    ----------
    store : FeatureStore or path
        Features (n, d) float32 with labels.
    y : None
        The labels are in the store: arrays are for `featx.make_classifier`.
    clf : {"logreg", "svm", "knn", "centroid", "ridge", "lda", "mlp", "all"} or scikit-learn estimator
        Multinomial logistic regression, support vector machine, nearest neighbours, nearest centroid, ridge, linear
        discriminants, a small neural network; all fits and saves each of them, and gives the best by cross-validated
        accuracy, whose `ranking` tells of the others. Of an estimator a clone is fitted: a pipeline as it is, another
        after the scaler.
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
    nested : bool, optional
        Also cross-validate the choice itself, for a score that isn't the one chosen by; by default where it is
        predicted to take less than ten seconds.
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
    group_copies : bool
        Keep images that are near copies of each other in one fold too. They are found in the images, which are read
        again, small, once.
    labels : path, optional
        CSV with the columns ``path`` and ``label``, joined by path, to be used in place of the store's own labels: no
        image is needed. Images that it doesn't name take no part.
    views : bool
        Fit on the views in the store too (``extract(views=K)``). An image and its K views have equal shares of the
        weight of one image, and C is chosen again. No view crosses a fold: images are held out with their views, and C
        is chosen by the images alone. The model's file is ``…-views.skops``.
    out : path, optional
        The model's file; ``artifacts/models/<store>-<clf>.skops`` by default.
    save : bool
        Whether to write the model. An estimator that is not scikit-learn's own can be fitted, but not saved.
    progress : Progress, bool or None
        An observer, whose `step` gets the estimate of each fit before it starts (which is logged as well) and whose
        `end` gets each model; or True for a line about a fit that takes long, False for none. None shows it in a
        notebook and on a terminal.

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
        An unknown classifier, an option that it doesn't have, a `group_by` that leaves images without a group, or
        arrays in place of a store.
    """
    if y is not None:
        _refuse_arrays(y)
    fitted = fit_all(
        [store],
        clf=clf,
        kernel=kernel,
        C=C,
        class_weight=class_weight,
        normalize=normalize,
        pca=pca,
        folds=folds,
        nested=nested,
        rule=rule,
        solver=solver,
        seed=seed,
        jobs=jobs,
        group_by=group_by,
        group_copies=group_copies,
        labels=labels,
        views=views,
        out=out,
        save=save,
        progress=progress,
    )
    return next(iter(fitted.values()))


def fit_all(
    stores: Sequence[FeatureStore | Path | str] | None = None,
    *,
    clf: Any = DEFAULT_CLASSIFIER,
    nested: bool | None = None,
    jobs: int = SelectionOptions.n_jobs,
    group_by: str | None = None,
    group_copies: bool = False,
    labels: Path | str | None = None,
    views: bool = False,
    out: Path | str | None = None,
    save: bool = True,
    progress: Progress | bool | None = None,
    **options: Any,
) -> dict[Path, Model]:
    """Fit one or all classifiers on each of several stores.

    A store that none can be fitted on is named in a warning, and the others get their models.

    Parameters
    ----------
    stores : sequence of FeatureStore or path, optional
        By default every store under ``artifacts/features`` whose split is train or unnamed.
    clf, nested, jobs, group_by, group_copies, labels, views, save, progress
        As in `fit`.
    out : path, optional
        As in `fit`; a folder where there are several models.
    **options
        The other parameters of `fit`: `kernel`, `C`, `class_weight`, `normalize`, `pca`, `folds`, `rule`,
        `solver` and `seed`.

    Returns
    -------
    dict of Path to Model
        Each model by its file: in the order of the stores, of one store's the best by cross-validated accuracy first.

    Raises
    ------
    StoreError
        There is no store to fit on.
    DataError, SourceError
        As in `fit`, where no store gets a model.
    UsageError
        Several models would go to one file.
    """
    unfitted: list[FeatxError] = []
    opened = [_opened(store) for store in stores] if stores else _default_stores(unfitted)
    wanted = _wanted(clf, SelectionOptions(n_jobs=jobs, nested=nested, **options), views=views)
    place = None if out is None else Path(out)
    fits = {
        model_path(store.path, clf=own.blueprint(one).name, kernel=own.kernel, out=place, views=views): (
            *(number, one),
            replace(own, views=0),
        )
        for number, store in enumerate(opened)
        for one, own in wanted
    }
    if len(fits) < len(opened) * len(wanted):
        raise UsageError(
            f"several models would get the same file name ({len(opened) * len(wanted)} models, "
            f"{counted(len(fits), 'file')}): give a folder, or fit them one by one"
        )
    if save:
        for target in fits:
            _refuse_foreign(target)
    named = stores is not None and len(stores) == 1
    data: dict[int, TrainingData] = {}
    fitted: dict[Path, Model] = {}
    with observed(progress) as observer, warned_once():
        for target, (number, one, own) in fits.items():
            store = opened[number]
            try:
                if number not in data:
                    data[number] = _training_data(
                        store, group_by=group_by, group_copies=group_copies, labels=labels, views=views
                    )
                model = fit_model(data[number], name=target.stem, clf=one, options=own, progress=observer)
            except (DataError, SourceError) as error:
                if named:
                    raise
                # Says something of this store only; the others still get their models.
                unfitted.append(_named(error, store.path))
                continue
            if save:
                model.save(target)
            observer.end(target, model)
            fitted[target] = model
    if not fitted:
        raise unfitted[0]
    for said in dict.fromkeys(map(str, unfitted)):
        logger.warning("no model was fitted: %s", said)
    ranked = sorted(fitted, key=lambda target: (fits[target][0], -(fitted[target].accuracy or 0.0)))
    found = {target: fitted[target] for target in ranked}
    return _with_rankings(found, saved=save) if len(wanted) > 1 else found


def _with_rankings(models: dict[Path, Model], *, saved: bool) -> dict[Path, Model]:
    """Give each of several models the ranking of those on its store, which are in the order of the ranking."""
    rows: dict[str, list[RankedModel]] = {}
    for target, model in models.items():
        chosen = model.selection.chosen
        row = RankedModel(
            name=model.name,
            clf=model.clf,
            params=model.params,
            accuracy=model.accuracy,
            std=None if chosen is None else chosen.std,
            file=target.absolute() if saved else None,
            tuned=bool(model.tuned.any()),
        )
        rows.setdefault(model.origin.path, []).append(row)
    rankings = {store: Ranking(store=store, models=tuple(ranked)) for store, ranked in rows.items()}
    return {target: replace(model, ranking=rankings[model.origin.path]) for target, model in models.items()}


def _opened(store: FeatureStore | Path | str) -> FeatureStore:
    if isinstance(store, FeatureStore):
        return store
    return open_store(store) if isinstance(store, Path | str) else _refuse_arrays(store)


def _refuse_arrays(found: object) -> NoReturn:
    raise UsageError(
        f"fit needs a feature store or its path, found {type(found).__name__}: to fit arrays, use the scikit-learn "
        'pipeline featx.make_classifier("logreg").fit(X, y)'
    )


def _default_stores(unfitted: list[FeatxError]) -> list[FeatureStore]:
    """Open the stores that are fitted where none is named; those that can't be opened go to `unfitted`."""
    opened = []
    for path in default_stores():
        try:
            store = open_store(path)
        except StoreError as error:
            unfitted.append(error)
            continue
        if store.split in TRAINING_SPLITS:
            opened.append(store)
    if not opened:
        if unfitted:
            raise unfitted[0]
        raise StoreError(
            f"there is no feature store to fit on under {FEATURES}: run `featx extract data/train` first, or name a "
            "store"
        )
    return opened


def _named(error: DataError | SourceError, path: Path) -> FeatxError:
    """Put the name of a store before what is wrong with it."""
    return error if str(path) in str(error) else type(error)(f"{path}: {error}")


def _wanted(clf: Any, options: SelectionOptions, *, views: bool) -> list[tuple[Any, SelectionOptions]]:
    """Give each classifier that is meant, with those of the options that it has.

    Of all of them, those that can't be fitted on views are left out where views are wanted.
    """
    # How many views there are is known once a store is open; whether a classifier takes any, now.
    options = replace(options, views=int(views))
    if not (isinstance(clf, str) and clf == ALL):
        return [(clf, options)]
    return [
        (
            name,
            replace(
                options,
                kernel=options.kernel if len(recipe.grids) > 1 else SelectionOptions.kernel,
                C=options.C if "C" in recipe.defaults else None,
                class_weight=options.class_weight if recipe.weighs_classes else None,
            ),
        )
        for name, recipe in RECIPES.items()
        if recipe.takes_views or not views
    ]


def _training_data(
    store: FeatureStore, *, group_by: str | None, group_copies: bool, labels: Path | str | None, views: bool
) -> TrainingData:
    if views and store.views is None:
        raise DataError(
            f"{store.path} has no views to fit on: make some with `featx extract` and `views=4` (and `flip=False` for "
            "signs, digits or text), or fit without `views`"
        )
    groups = store.groups if group_by is None else groups_by(group_by, store.paths)
    if group_copies:
        from featx.pipeline.evaluation.leaks import copies_together

        groups = tuple(copies_together(store, groups, options=None))
    codes, classes = (store.labels, store.classes) if labels is None else labels_of(store, labels)
    if absent := [name for number, name in enumerate(classes) if not (codes == number).any()]:
        logger.warning(
            "no image of these classes could be read, so the model will never predict them: %s", ", ".join(absent)
        )
    return TrainingData(
        features=store.features,
        labels=codes,
        classes=classes,
        digests=store.digests,
        groups=groups,
        tuned_on=store.tuned_on,
        origin=Origin(
            name=store.path.stem,
            path=str(store.path),
            content_digest=store.content_digest,
            spec=store.spec,
            weights_source=store.weights_source,
        ),
        views=store.views if views else None,
        views_spec=store.views_spec if views else None,
    )


def _refuse_foreign(target: Path) -> None:
    """Refuse to replace a file that is no model, before any time is spent on a fit."""
    if not target.exists():
        return
    try:
        Model.load(target)
    except ModelError as error:
        raise ModelError(f"{error}; this file is not replaced: choose another name with `out`") from error
