"""Choosing C by cross-validation: folds, the sweep over a grid, out-of-fold predictions."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from featx.classifiers import (
    Recipe,
    check_features,
    check_penalty,
    class_probabilities,
    class_scores,
    convergence_logged,
    find_recipe,
    make_classifier,
)
from featx.errors import DataError, UsageError

logger = logging.getLogger(__name__)

Split = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """How a classifier is chosen.

    Parameters
    ----------
    kernel : {"linear", "rbf"}
        Kernel of an SVM.
    C : float or None
        Take this C; None tries the classifier's grid.
    folds : int
        Parts of the cross-validation, 2 or more. Lowered, with a warning, where a class has fewer images (or groups).
    seed : int
        Of the shuffle before the folds are cut, and of the classifier.
    n_jobs : int
        Folds worked on at once, as joblib counts: -1 is one per core. Changes no result.

    Raises
    ------
    UsageError
        A value that makes no sense.
    """

    kernel: str = "linear"
    C: float | None = None
    folds: int = 5
    seed: int = 0
    n_jobs: int = -1

    def __post_init__(self) -> None:
        if self.C is not None:
            check_penalty(self.C)
        if self.folds < 2:
            raise UsageError(f"cross-validation needs two folds or more, found {self.folds}")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"a seed is a number from 0 to 2**32 - 1, found {self.seed}")
        if self.n_jobs == 0:
            raise UsageError("n_jobs must be a number of folds to work on at once, or -1 for one per core; found 0")


DEFAULT_OPTIONS = SelectionOptions()


@dataclass(frozen=True, kw_only=True)
class SweepRow:
    """What cross-validation found for one C.

    Parameters
    ----------
    C : float
        The value tried.
    scores : tuple of float
        Accuracy on each fold, 0 to 1.
    """

    C: float
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean accuracy over the folds, each fold counting alike."""
        return float(np.mean(self.scores))

    @property
    def std(self) -> float:
        """Standard deviation over the folds, divided by their number (as `GridSearchCV` reports it)."""
        return float(np.std(self.scores))


@dataclass(frozen=True, kw_only=True, eq=False)
class OutOfFold:
    """Predictions for every image by a classifier that was fitted without the image's fold.

    Parameters
    ----------
    labels : (n,) int32
        Predicted class, as an index into the sorted labels.
    scores : (n, k) float32
        Score of every class (`featx.classifiers.class_scores`).
    probabilities : (n, k) float32 or None
        Where the classifier has them.
    folds : (n,) int32
        Fold that each image was held out in.
    """

    labels: NDArray[np.int32]
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None
    folds: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """The chosen C and what it was chosen on.

    Parameters
    ----------
    C : float
        The best of the sweep by mean accuracy; of equals the smallest. Or the C that was given.
    folds : int
        Folds used; 0 where C was given and there are too few images to cross-validate.
    seed : int
        Seed of the folds.
    rows : tuple of SweepRow
        The sweep, C ascending; empty without cross-validation.
    oof : OutOfFold or None
        Out-of-fold predictions at the chosen C; None without cross-validation.
    """

    C: float
    folds: int
    seed: int
    rows: tuple[SweepRow, ...]
    oof: OutOfFold | None


def select(
    clf: str,
    X: NDArray[Any],
    y: NDArray[np.integer[Any]],
    *,
    options: SelectionOptions = DEFAULT_OPTIONS,
    groups: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
) -> Selection:
    """Choose C by stratified cross-validation.

    Everything, the scaler included, is fitted on a fold's training rows alone. An SVM is fitted on Gram matrices of
    these scaled rows, computed once per fold for all C, which gives the predictions of `sklearn.svm.SVC` on the rows
    themselves in a fraction of the time.

    Parameters
    ----------
    clf : str
        Name of a classifier.
    X : (n, d) float32 or float64
        Features; may be mapped from a file.
    y : (n,) int
        Labels.
    options : SelectionOptions
    groups : sequence of str, length n, or None
        Images of one group are never on both sides of a split; an image whose group is ``""`` is on its own.
    classes : sequence of str or None
        Name of each label, for messages.

    Returns
    -------
    Selection

    Raises
    ------
    DataError
        Features that aren't finite, fewer than two classes, or too few images or groups of a class to cross-validate
        (unless C is given).
    UsageError
        Unknown classifier or kernel.
    """
    import joblib

    recipe = find_recipe(clf, kernel=options.kernel)
    check_features(X)
    if len(y) != len(X) or (groups is not None and len(groups) != len(X)):
        raise DataError(f"{len(X)} rows of features need as many labels and groups, found {len(y)} labels")
    present, codes = np.unique(y, return_inverse=True)
    names = [str(label) if classes is None else classes[label] for label in present]
    if len(present) < 2:
        raise DataError(f"a classifier needs images of two classes or more, found {', '.join(names) or 'none'}")
    try:
        splits = _split(codes, names, groups, options)
    except DataError as error:
        if options.C is None:
            raise
        logger.warning("%s; C is given, so the classifier is fitted without", error)
        return Selection(C=options.C, folds=0, seed=options.seed, rows=(), oof=None)

    grid = (options.C,) if options.C is not None else recipe.grids[options.kernel]
    # Threads, since processes would import scikit-learn again for longer than the fits take. One BLAS thread in each,
    # whatever n_jobs is: the last bits of a product depend on the number of threads.
    with convergence_logged(), threadpool_limits(limits=1):
        tried = joblib.Parallel(n_jobs=options.n_jobs, prefer="threads")(
            joblib.delayed(_sweep_fold)(clf, options, grid, X, codes, split) for split in splits
        )
    rows = tuple(
        SweepRow(
            C=C,
            scores=tuple(
                float(np.mean(fold[i].labels == codes[test])) for fold, (_, test) in zip(tried, splits, strict=True)
            ),
        )
        for i, C in enumerate(grid)
    )
    # Rounded, since the same fold scores in another order have another mean in the last bit.
    means = [round(row.mean, 12) for row in rows]
    best = means.index(max(means))
    return Selection(
        C=grid[best],
        folds=len(splits),
        seed=options.seed,
        rows=rows,
        oof=_join([fold[best] for fold in tried], splits, len(codes)),
    )


def _split(
    codes: NDArray[np.int64], names: Sequence[str], groups: Sequence[str] | None, options: SelectionOptions
) -> list[Split]:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    shuffle = {"shuffle": True, "random_state": options.seed}
    if groups is None:
        unit, splitter, units = "image", StratifiedKFold, None
        counts = np.bincount(codes)
    else:
        unit, splitter = "group", StratifiedGroupKFold
        # A tuple can't be mistaken for the name of a group.
        keys = [group or (row,) for row, group in enumerate(groups)]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        units = np.array([numbers[key] for key in keys])
        counts = np.bincount(np.unique(np.column_stack([codes, units]), axis=0)[:, 0])
    rarest = int(np.argmin(counts))
    folds = min(options.folds, int(counts[rarest]))
    remedy = "add images, or give C to fit without cross-validation"
    if folds < 2:
        raise DataError(
            f"cross-validation needs two {unit}s or more of every class, class {names[rarest]!r} has one: {remedy}"
        )
    if folds < options.folds:
        logger.warning("%d folds, not %d: class %r has %d %ss", folds, options.folds, names[rarest], folds, unit)
    splits = list(splitter(n_splits=folds, **shuffle).split(codes, codes, units))
    for train, _ in splits:
        missing = set(range(len(names))) - set(codes[train].tolist())
        if missing:
            raise DataError(
                f"all images of class {names[min(missing)]!r} fell into one fold, since groups stay together:"
                f" take another seed or fewer folds, {remedy}"
            )
    return splits


@dataclass(frozen=True, kw_only=True, eq=False)
class _HeldOut:
    """Predictions for the test rows of one fold."""

    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None


def _sweep_fold(
    clf: str,
    options: SelectionOptions,
    grid: Sequence[float],
    X: NDArray[Any],
    codes: NDArray[np.int64],
    split: Split,
) -> list[_HeldOut]:
    train, test = split
    recipe: Recipe = find_recipe(clf, kernel=options.kernel)
    # The steps before the classifier come from the pipeline itself, so that sweep and final fit can't drift apart.
    before = make_classifier(clf, kernel=options.kernel, seed=options.seed)[:-1]
    known, unknown = before.fit_transform(X[train]), before.transform(X[test])
    kernel = options.kernel
    if recipe.gram:
        known, unknown = GRAM[kernel](known.astype(np.float64), unknown.astype(np.float64))
        kernel = "precomputed"
    held_out = []
    for C in grid:
        # No warm start along C: it saves a third of a second or so, and within the solver's tolerance it changes up
        # to 1 % of the predictions against a fit from scratch, which is what the final fit is.
        classifier = recipe.build(C, kernel, options.seed).fit(known, codes[train])
        probabilities = class_probabilities(classifier, unknown)
        held_out.append(
            _HeldOut(
                labels=classifier.predict(unknown),
                scores=class_scores(classifier, unknown).astype(np.float32),
                probabilities=None if probabilities is None else probabilities.astype(np.float32),
            )
        )
    return held_out


def _join(parts: Sequence[_HeldOut], splits: Sequence[Split], n: int) -> OutOfFold:
    order = np.argsort(np.concatenate([test for _, test in splits]))
    folds = np.concatenate([np.full(len(test), fold, np.int32) for fold, (_, test) in enumerate(splits)])
    probabilities = [part.probabilities for part in parts if part.probabilities is not None]
    assert len(order) == n
    return OutOfFold(
        labels=np.concatenate([part.labels for part in parts])[order].astype(np.int32),
        scores=np.concatenate([part.scores for part in parts])[order],
        probabilities=np.concatenate(probabilities)[order] if probabilities else None,
        folds=folds[order],
    )


Matrices = tuple[NDArray[np.float64], NDArray[np.float64]]


def _linear_gram(known: NDArray[np.float64], unknown: NDArray[np.float64]) -> Matrices:
    return known @ known.T, unknown @ known.T


def _rbf_gram(known: NDArray[np.float64], unknown: NDArray[np.float64]) -> Matrices:
    """Compute ``exp(-gamma |x - z|^2)`` from products, with scikit-learn's ``gamma="scale"`` on the training rows."""
    variance = known.var()
    gamma = 1.0 / (known.shape[1] * variance) if variance != 0 else 1.0
    squares = np.einsum("ij,ij->i", known, known)
    matrices = []
    for rows in (known, unknown):
        distances = np.einsum("ij,ij->i", rows, rows)[:, None] + squares
        distances -= 2.0 * (rows @ known.T)
        np.maximum(distances, 0.0, out=distances)
        distances *= -gamma
        matrices.append(np.exp(distances, out=distances))
    np.fill_diagonal(matrices[0], 1.0)
    return matrices[0], matrices[1]


GRAM: Mapping[str, Callable[[NDArray[np.float64], NDArray[np.float64]], Matrices]] = {
    "linear": _linear_gram,
    "rbf": _rbf_gram,
}
"""Kernel -> its matrices, training rows by training rows and test rows by training rows."""
