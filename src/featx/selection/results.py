"""Results of a selection: the sweep, the choice, and predictions for held-out images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.classifiers import Params, Verdict
from featx.selection.folds import Split


@dataclass(frozen=True, kw_only=True)
class SweepRow:
    """Accuracy of one point of the grid in cross-validation.

    Parameters
    ----------
    params : mapping of str to float
        The hyperparameters tried. A gamma is the one of a classifier fitted on all rows; in the folds it is the same
        multiple of scikit-learn's ``"scale"`` on their rows.
    scores : tuple of float
        Accuracy on each fold, 0 to 1.
    """

    params: Params
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean accuracy over the folds, each fold counting alike."""
        return float(np.mean(self.scores))

    @property
    def std(self) -> float:
        """Standard deviation over the folds, divided by their number (as `GridSearchCV` reports it)."""
        return float(np.std(self.scores))

    @property
    def standard_error(self) -> float:
        """Standard error of the mean accuracy, from the spread over the folds."""
        return float(np.std(self.scores, ddof=1) / np.sqrt(len(self.scores)))


@dataclass(frozen=True, kw_only=True, eq=False)
class OutOfFold:
    """Predictions for every image by classifiers fitted without the image's fold.

    Parameters
    ----------
    labels : (n,) int32
        Predicted class, as an index into the sorted labels.
    scores : (n, k) float32
        Score of every class (`featx.classifiers.class_scores`).
    probabilities : (n, k) float32 or None
        Where the classifier has its own.
    folds : (n,) int32
        Fold that each image was held out in.
    views : (n, K, k) float32 or None
        Scores of every class for the views of each image, held out with it; None without views.
    """

    labels: NDArray[np.int32]
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None
    folds: NDArray[np.int32]
    views: NDArray[np.float32] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """Chosen hyperparameters, with the sweep behind the choice.

    Parameters
    ----------
    params : mapping of str to float
        The choice; empty of a classifier that has none to make. Of equal means the simplest (the strongest penalty,
        the most neighbours) is taken.
    folds : int
        Folds used; 0 where nothing was to be chosen and there are too few images to cross-validate.
    seed : int
        Seed of the folds.
    rows : tuple of SweepRow
        The sweep, ascending; empty without cross-validation.
    oof : OutOfFold or None
        Out-of-fold predictions at the choice; None without cross-validation.
    nested : OutOfFold or None
        Out-of-fold predictions by classifiers whose hyperparameters were chosen without the image's fold as well;
        None where that wasn't asked for.
    rule : {"best", "one-se"}
        How the choice was made.
    """

    params: Params
    folds: int
    seed: int
    rows: tuple[SweepRow, ...]
    oof: OutOfFold | None
    nested: OutOfFold | None = None
    rule: str = "best"

    @property
    def chosen(self) -> SweepRow | None:
        """The row of the choice; None without cross-validation."""
        return next((row for row in self.rows if row.params == self.params), None)


def join(parts: Sequence[Verdict], splits: Sequence[Split]) -> OutOfFold:
    """Put the verdicts on the held-out images of all folds, and on their views, in the order of the images."""
    images = [len(test) for _, test in splits]
    views = [
        part.scores[count:].reshape(count, -1, part.scores.shape[1]) for part, count in zip(parts, images, strict=True)
    ]
    parts = [part.first(count) for part, count in zip(parts, images, strict=True)]
    order = np.argsort(np.concatenate([test for _, test in splits]))
    folds = np.concatenate([np.full(len(test), fold, np.int32) for fold, (_, test) in enumerate(splits)])
    probabilities = [part.probabilities for part in parts if part.probabilities is not None]
    return OutOfFold(
        labels=np.concatenate([part.labels for part in parts])[order].astype(np.int32),
        scores=np.concatenate([part.scores for part in parts])[order],
        probabilities=np.concatenate(probabilities)[order] if probabilities else None,
        folds=folds[order],
        views=np.concatenate(views)[order] if views[0].shape[1] else None,
    )
