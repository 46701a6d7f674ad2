"""Fit of a model on labelled features: choice of hyperparameters, fit on all rows, calibration."""

import logging
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from featx.classifiers import Blueprint, convergence_logged
from featx.classifiers.fitting import fit_pipeline
from featx.errors import DataError
from featx.model.fitted import Model
from featx.model.origin import Origin
from featx.progress import SILENT, Progress
from featx.selection import DEFAULT_OPTIONS, SelectionOptions, select
from featx.selection.calibration import fit_calibration
from featx.selection.planning import log_plan, plan_fit
from featx.selection.stacking import labels_of_rows, stacked
from featx.selection.sweep import LARGE, blas_threads, workers
from featx.spec import ViewsSpec
from featx.words import counted

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """Labelled features that a model is fitted on; row i of each array belongs to row i of the others.

    Parameters
    ----------
    features : (n, d) float32
        May be mapped from a file.
    labels : (n,) int
        Index into `classes`, -1 for an image without a label, which is left out.
    classes : tuple of str
        Names; those without an image are left out.
    digests : (n, 32) uint8
        SHA-256 of the image files.
    groups : tuple of str, length n, or None
        Images of one group stay together in cross-validation.
    tuned_on : (t, 32) uint8
        As in `Model`.
    origin : Origin
        The store that all this is from.
    views : (n, K, d) float32 or None
        Features of views of each image, that are fitted on too; may be mapped from a file.
    views_spec : ViewsSpec or None
        Spec of these views.
    """

    features: NDArray[Any]
    labels: NDArray[np.integer[Any]]
    classes: tuple[str, ...]
    digests: NDArray[np.uint8]
    groups: tuple[str, ...] | None = None
    tuned_on: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 32), np.uint8))
    origin: Origin
    views: NDArray[Any] | None = None
    views_spec: ViewsSpec | None = None


def fit_model(
    data: TrainingData,
    *,
    name: str,
    clf: Any,
    options: SelectionOptions = DEFAULT_OPTIONS,
    progress: Progress = SILENT,
) -> Model:
    """Choose hyperparameters by cross-validation and fit the classifier on all labelled rows.

    Parameters
    ----------
    data : TrainingData
    name : str
        Name of the model.
    clf : str or scikit-learn estimator
        Name of the classifier (`featx.make_classifier`); or an estimator, of which a clone is fitted.
    options : SelectionOptions
        How hyperparameters are chosen.
    progress : Progress
        Observer; its `step` gets the `featx.selection.planning.Plan` of the fit, which is logged as well.

    Returns
    -------
    Model

    Raises
    ------
    DataError
        Features or labels that no classifier can be fitted on, or too few to cross-validate.
    UsageError
        Unknown classifier, kernel or option.
    """
    options = replace(options, views=0 if data.views is None else data.views.shape[1])
    blueprint = options.blueprint(clf)
    n = len(data.features)
    if not n == len(data.labels) == len(data.digests) or (data.groups is not None and len(data.groups) != n):
        raise DataError(
            f"the number of labels, digests and groups must be that of the rows, {n}, in {data.origin.path!r}"
        )
    labelled = np.flatnonzero(np.asarray(data.labels) >= 0)
    if len(labelled) == 0:
        raise DataError(
            f"none of {counted(n, 'image')} has a label: put the images of each class into a folder, or write a CSV "
            "with labels"
        )
    if len(labelled) < n:
        logger.info("without a label, so left out: %d of %s", n - len(labelled), counted(n, "image"))
    present, labels = np.unique(np.asarray(data.labels)[labelled], return_inverse=True)
    if present[-1] >= len(data.classes):
        raise DataError(
            f"label number {present[-1]} is none of {counted(len(data.classes), 'class', 'classes')}: extract the "
            "store again"
        )
    absent = sorted(set(range(len(data.classes))) - set(present.tolist()))
    if absent:
        logger.info("classes without images are left out: %s", ", ".join(data.classes[label] for label in absent))
    classes = tuple(data.classes[label] for label in present)
    X = data.features if len(labelled) == n else data.features[labelled]
    if data.views is not None:
        X = stacked(X, data.views if len(labelled) == n else data.views[labelled])
    groups = None if data.groups is None else [data.groups[row] for row in labelled]

    plan = plan_fit(blueprint, X.shape, len(classes), options=options)
    log_plan(plan)
    progress.step(plan)
    options = replace(options, solver=plan.solver, nested=options.nested if plan.nested else False)
    selection = select(clf, X, labels, options=options, groups=groups, classes=classes)
    # One BLAS thread, as in the sweep, so that the coefficients don't depend on the number of cores; large features
    # are worth the difference in their last bits.
    blockwise = plan.solver == "blockwise"
    threads = blas_threads(1) if X.nbytes >= LARGE and not blockwise else 1
    with convergence_logged(blueprint.recipe), threadpool_limits(limits=threads):
        codes = labels_of_rows(labels, views=options.views)
        pipeline = fit_pipeline(
            blueprint, selection.params, X, codes, solver=plan.solver, threads=workers(options.n_jobs)
        )
    oof = selection.oof
    return Model(
        name=name,
        clf=blueprint.name,
        params={**selection.params, **_settings(blueprint)},
        pipeline=pipeline,
        classes=classes,
        selection=selection,
        labels=labels.astype(np.int32),
        digests=np.array(data.digests, dtype=np.uint8)[labelled],
        origin=data.origin,
        tuned_on=np.array(data.tuned_on, dtype=np.uint8),
        views=data.views_spec,
        calibration=None if oof is None else fit_calibration(oof.scores, labels, oof.folds),
    )


def _settings(blueprint: Blueprint) -> dict[str, Any]:
    """List what a model records beside its hyperparameters, such as the expression that makes a foreign estimator."""
    own = {} if isinstance(blueprint.clf, str) else {"estimator": " ".join(repr(blueprint.clf).split())}
    return own | blueprint.settings
