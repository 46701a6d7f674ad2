"""Labels, scores and probabilities that a fitted classifier gives rows."""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """Labels, scores and probabilities of rows, by one classifier.

    Parameters
    ----------
    labels : (n,) int
        Predicted classes.
    scores : (n, k) float32
        As `class_scores` gives them.
    probabilities : (n, k) float32 or None
        As `class_probabilities` gives them.
    """

    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None = None

    def first(self, count: int) -> "Verdict":
        """Take the first rows alone."""
        own = self.probabilities
        return Verdict(
            labels=self.labels[:count], scores=self.scores[:count], probabilities=None if own is None else own[:count]
        )


def judge(classifier: Any, X: NDArray[Any]) -> Verdict:
    """Let a fitted classifier or pipeline judge rows ``(n, d)``."""
    probabilities = class_probabilities(classifier, X)
    return Verdict(
        labels=classifier.predict(X),
        scores=class_scores(classifier, X).astype(np.float32),
        probabilities=None if probabilities is None else probabilities.astype(np.float32),
    )


def class_scores(classifier: Any, X: NDArray[Any]) -> NDArray[np.float64]:
    """Score every class for every row; higher is likelier.

    Of support vector machines that decide between pairs of classes, a score is the least margin of a class over the
    pairs it is in: continuous, so that it can be calibrated, and highest for a class that wins all its pairs. (The mean
    margin agrees with the label on 89 to 96 % of the images of three sets of photos, this on over 99 %.) The label is
    always what ``predict`` says, the class with the most pairs won. Of nearest neighbours it is the logarithm of
    the share of votes (smoothed: no class is impossible because few neighbours were asked), of nearest centroids minus
    the squared distance, of networks the logarithm of the probabilities, else the decision function. Of two classes,
    the first's score is the second's negated, but for those with logarithms.

    Parameters
    ----------
    classifier : fitted scikit-learn classifier or pipeline
    X : (n, d) array

    Returns
    -------
    (n, k) float64
        Columns in the order of ``classifier.classes_``.
    """
    last = classifier
    if hasattr(classifier, "steps"):
        last = classifier.steps[-1][1]
        if len(classifier.steps) > 1:
            X = classifier[:-1].transform(X)
    return _SCORES.get(type(last).__name__, _decisions)(last, X)


def has_probabilities(classifier: Any) -> bool:
    """Tell if a classifier has usable probabilities of its own.

    An SVM has none; those of nearest centroids rest on a spread that all columns share, and are no probabilities.
    """
    last = classifier.steps[-1][1] if hasattr(classifier, "steps") else classifier
    return hasattr(classifier, "predict_proba") and type(last).__name__ != "NearestCentroid"


def class_probabilities(classifier: Any, X: NDArray[Any]) -> NDArray[np.float64] | None:
    """Give the classifier's own probabilities ``(n, k)`` float64, or None where `has_probabilities` says no."""
    if not has_probabilities(classifier):
        return None
    return np.asarray(classifier.predict_proba(X), dtype=np.float64)


def least_margins(margins: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Find the least margin of each class ``(n, k)`` over its pairs, above zero for a class that wins them all."""
    found = np.full((len(margins), k), np.inf)
    for pair, (first, second) in enumerate(zip(*np.triu_indices(k, 1), strict=True)):
        np.minimum(found[:, first], margins[:, pair], out=found[:, first])
        np.minimum(found[:, second], -margins[:, pair], out=found[:, second])
    return found


def per_class(of_pairs: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Sum values of pairs ``(n, k (k - 1) / 2)`` for each class ``(n, k)``, negated for the second class of a pair."""
    first, second = np.triu_indices(k, 1)
    signs = np.zeros((len(first), k))
    signs[np.arange(len(first)), first], signs[np.arange(len(first)), second] = 1, -1
    found: NDArray[np.float64] = of_pairs @ signs
    return found


def vote_scores(votes: NDArray[Any]) -> NDArray[np.float64]:
    """Take the logarithm of the shares of votes ``(n, k)``, after giving each class one k-th of a vote."""
    smoothed = np.asarray(votes, dtype=np.float64) + 1 / votes.shape[1]
    found: NDArray[np.float64] = np.log(smoothed / smoothed.sum(axis=1, keepdims=True))
    return found


def _pairwise(classifier: Any, X: NDArray[Any]) -> NDArray[np.float64]:
    if hasattr(classifier, "margins"):
        return least_margins(classifier.margins(X), len(classifier.classes_))
    if len(classifier.classes_) == 2:
        return _decisions(classifier, X)
    asked = copy(classifier)
    asked.decision_function_shape = "ovo"
    return least_margins(asked.decision_function(X), len(classifier.classes_))


def _neighbours(classifier: Any, X: NDArray[Any]) -> NDArray[np.float64]:
    return vote_scores(classifier.predict_proba(X) * classifier.n_neighbors)


def _distances(classifier: Any, X: NDArray[Any]) -> NDArray[np.float64]:
    from sklearn.metrics.pairwise import euclidean_distances

    return -np.asarray(euclidean_distances(X, classifier.centroids_, squared=True), dtype=np.float64)


def _network(classifier: Any, X: NDArray[Any]) -> NDArray[np.float64]:
    """Compute the logarithms of the probabilities, also of those that are 0 or 1 when rounded."""
    if classifier.activation != "relu":
        return _decisions(classifier, X)
    layers = list(zip(classifier.coefs_, classifier.intercepts_, strict=True))
    for weights, intercept in layers[:-1]:
        X = np.maximum(X @ weights + intercept, 0)
    scores = np.asarray(X @ layers[-1][0] + layers[-1][1], dtype=np.float64)
    if scores.shape[1] == 1:
        # Of two classes it is the log odds of the second: log(1 / (1 + exp(-odds))).
        return -np.logaddexp(0, np.column_stack([scores, -scores]))
    scores -= scores.max(axis=1, keepdims=True)
    logarithms: NDArray[np.float64] = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return logarithms


def _decisions(classifier: Any, X: NDArray[Any]) -> NDArray[np.float64]:
    if hasattr(classifier, "decision_function"):
        scores = np.asarray(classifier.decision_function(X), dtype=np.float64)
        return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores
    if hasattr(classifier, "predict_proba"):
        # Far below any share that a forest or a neighbourhood can tell, and finite.
        return np.log(np.maximum(np.asarray(classifier.predict_proba(X), dtype=np.float64), 1e-6))
    return np.asarray(classifier.predict(X)[:, None] == classifier.classes_, dtype=np.float64)


_SCORES: Mapping[str, Callable[[Any, NDArray[Any]], NDArray[np.float64]]] = {
    "PairwiseSVC": _pairwise,
    "SVC": _pairwise,
    "NuSVC": _pairwise,
    "KNeighborsClassifier": _neighbours,
    "NearestCentroid": _distances,
    "MLPClassifier": _network,
}
"""By the type's name, since looking must not import scikit-learn."""
