"""From labelled features to a model: choose C, fit on all rows, keep the evidence."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from featx.classifiers import convergence_logged, make_classifier
from featx.errors import DataError
from featx.model.fitted import Model, Origin
from featx.selection import DEFAULT_OPTIONS, SelectionOptions, select

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """What a model is fitted on; row i of each belongs to row i of the others.

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
    origin : Origin
        The store that all this is from.
    """

    features: NDArray[Any]
    labels: NDArray[np.integer[Any]]
    classes: tuple[str, ...]
    digests: NDArray[np.uint8]
    groups: tuple[str, ...] | None = None
    origin: Origin


def fit_model(data: TrainingData, *, name: str, clf: str, options: SelectionOptions = DEFAULT_OPTIONS) -> Model:
    """Choose C by cross-validation and fit the classifier on all labelled rows.

    Parameters
    ----------
    data : TrainingData
    name : str
        Name of the model.
    clf : str
        Name of the classifier (`featx.make_classifier`).
    options : SelectionOptions
        How C is chosen.

    Returns
    -------
    Model

    Raises
    ------
    DataError
        Features or labels that no classifier can be fitted on, or too few to cross-validate.
    UsageError
        Unknown classifier or kernel.
    """
    n = len(data.features)
    if not n == len(data.labels) == len(data.digests) or (data.groups is not None and len(data.groups) != n):
        raise DataError(f"{n} rows of features need as many labels, digests and groups in {data.origin.path!r}")
    labelled = np.flatnonzero(np.asarray(data.labels) >= 0)
    if len(labelled) == 0:
        raise DataError(f"none of the {n} images has a label: a folder per class, or a CSV with labels, gives them")
    if len(labelled) < n:
        logger.info("%d of %d images have no label and are left out", n - len(labelled), n)
    present, labels = np.unique(np.asarray(data.labels)[labelled], return_inverse=True)
    if present[-1] >= len(data.classes):
        raise DataError(f"label {present[-1]} has no name among {len(data.classes)} classes: extract the store again")
    absent = sorted(set(range(len(data.classes))) - set(present.tolist()))
    if absent:
        logger.info("classes without an image are left out: %s", ", ".join(data.classes[label] for label in absent))
    classes = tuple(data.classes[label] for label in present)
    X = data.features if len(labelled) == n else data.features[labelled]
    groups = None if data.groups is None else [data.groups[row] for row in labelled]

    selection = select(clf, X, labels, options=options, groups=groups, classes=classes)
    pipeline = make_classifier(clf, C=selection.C, kernel=options.kernel, seed=options.seed)
    # One BLAS thread, as in the sweep, so that the coefficients don't depend on the number of cores.
    with convergence_logged(), threadpool_limits(limits=1):
        pipeline.fit(X, labels)
    return Model(
        name=name,
        clf=clf,
        params={"C": selection.C, "kernel": options.kernel, "seed": options.seed},
        pipeline=pipeline,
        classes=classes,
        selection=selection,
        labels=labels.astype(np.int32),
        digests=np.array(data.digests, dtype=np.uint8)[labelled],
        origin=data.origin,
    )
