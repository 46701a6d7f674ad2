"""Estimators of featx itself: a support vector machine with small files and fast predictions, and a linear one.

They keep scikit-learn's contract, and are named as trusted types (`featx.classifiers.steps.trusted_steps`).
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.svm import SVC
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from featx.classifiers.scores import per_class

GRAM_UP_TO = 20_000
"""Rows whose Gram matrix is made: 3.2 GB. Beyond it libsvm computes the kernel row by row, which is slow but ends."""

KERNEL_ROWS = 1_024
"""Rows predicted together: their kernel values with 20,000 support vectors are 160 MB."""


class PairwiseSVC(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A support vector machine that predicts what `sklearn.svm.SVC` predicts, from a matrix product.

    It is fitted by libsvm [1]_ on the kernel's matrix, computed in BLAS: the same quadratic programs as `SVC` solves,
    one for each pair of classes. Kept are, of a linear kernel, the weight vector of each pair in place of the support
    vectors; of the rbf kernel, the support vectors. Predictions are the votes of the pairs, of equals the first class,
    as libsvm counts them.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty, above zero.
    kernel : {"linear", "rbf"}
    gamma : float or "scale"
        Of the rbf kernel; scale is ``1 / (d * X.var())``.
    class_weight : dict, "balanced" or None
        As `SVC` takes it.

    Attributes
    ----------
    classes_ : (k,) array
    intercept_ : (k (k - 1) / 2,) float64
        Of the pairs (0, 1), (0, 2) ... (k - 2, k - 1); margins are above zero for the first of the pair.
    coef_ : (k (k - 1) / 2, d) float64
        Weight vectors of the pairs, of a linear kernel.
    support_vectors_ : (m, d) float
        Grouped by class, of the rbf kernel; so are `dual_coef_` (k - 1, m), `n_support_` (k,) and `gamma_`.
    support_ : (m,) int
        Rows of the support vectors, grouped by class.
    n_iter_ : (k (k - 1) / 2,) int
        Iterations of libsvm for each pair.

    References
    ----------
    .. [1] Chang and Lin, "LIBSVM: a library for support vector machines", ACM TIST 2(3), 2011.
    """

    def __init__(
        self, *, C: float = 1.0, kernel: str = "linear", gamma: float | str = "scale", class_weight: Any = None
    ) -> None:
        self.C = C
        self.kernel = kernel
        self.gamma = gamma
        self.class_weight = class_weight

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> Self:
        """Fit on rows ``(n, d)`` and labels ``(n,)`` of two classes or more."""
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32))
        check_classification_targets(y)
        if len(np.unique(y)) < 2:
            raise ValueError(f"a classifier needs two classes or more, found {len(np.unique(y))} class")
        if self.kernel not in ("linear", "rbf"):
            raise ValueError(f"kernel must be 'linear' or 'rbf', found {self.kernel!r}")
        rows = X.astype(np.float64, copy=False)
        gamma = scale(rows) if self.gamma == "scale" else float(self.gamma)
        if len(X) > GRAM_UP_TO:
            solved = self._svc(self.kernel, gamma).fit(rows, y)
        else:
            kernel = rows @ rows.T if self.kernel == "linear" else rbf(squared_distances(rows, rows), gamma)
            solved = self._svc("precomputed", gamma).fit(kernel, y)
        return self._take(solved, X, gamma)

    def fit_gram(self, gram: NDArray[np.float64], X: NDArray[Any], y: NDArray[Any]) -> Self:
        """Fit on the kernel's matrix ``(n, n)``, computed beforehand.

        Parameters
        ----------
        gram : (n, n) float64
            Kernel values of the rows; of the rbf kernel with the gamma that is set.
        X : (n, d) float
            The rows themselves.
        y : (n,) array
            Labels. Rows that are sorted by label are fitted faster: libsvm then reads the matrix in one piece.
        """
        self.n_features_in_ = X.shape[1]
        return self._take(self._svc("precomputed", 1.0).fit(gram, y), X, self.gamma)

    def margins(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Give the margin of every pair ``(n, k (k - 1) / 2)``, above zero for the first of the pair."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        if self.kernel == "linear":
            return np.asarray(X.astype(np.float64, copy=False) @ self.coef_.T + self.intercept_)
        blocks = [self._rbf_margins(X[first : first + KERNEL_ROWS]) for first in range(0, len(X), KERNEL_ROWS)]
        return np.concatenate(blocks)

    def margins_from(self, kernel: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the margins of an rbf machine from kernel values ``(n, m)`` of rows and support vectors."""
        ends = np.cumsum(self.n_support_)
        groups = [slice(end - count, end) for end, count in zip(ends, self.n_support_, strict=True)]
        margins = by_pairs([kernel[:, group] @ self.dual_coef_[:, group].T for group in groups])
        margins += self.intercept_
        return margins

    def decision_function(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Give the votes of every class, refined by margins ``(n, k)``, or of two classes the margin ``(n,)``.

        As `SVC` with ``decision_function_shape="ovr"``; of two classes, above zero for the second.
        """
        margins = self.margins(X)
        if len(self.classes_) == 2:
            return np.asarray(-margins[:, 0])
        sums = per_class(margins, len(self.classes_))
        return np.asarray(_votes(margins >= 0, len(self.classes_)) + sums / (3 * (np.abs(sums) + 1)))

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Predict the class with the most pairs won, of equals the first ``(n,)``."""
        return self.labels_from(self.margins(X))

    def labels_from(self, margins: NDArray[np.float64]) -> NDArray[Any]:
        """Give the labels ``(n,)`` that margins ``(n, k (k - 1) / 2)`` vote for."""
        labels: NDArray[Any] = self.classes_[np.argmax(_votes(margins > 0, len(self.classes_)), axis=1)]
        return labels

    def _svc(self, kernel: str, gamma: Any) -> SVC:
        return SVC(C=self.C, kernel=kernel, gamma=gamma, class_weight=self.class_weight)

    def _take(self, solved: SVC, X: NDArray[Any], gamma: Any) -> Self:
        """Keep the part of libsvm's solution that predictions need."""
        self.classes_ = solved.classes_
        self.support_ = solved.support_
        self.n_iter_ = solved.n_iter_
        # Of two classes scikit-learn turns libsvm's signs round.
        sign = -1.0 if len(self.classes_) == 2 else 1.0
        self.intercept_ = sign * solved.intercept_
        dual, counts = sign * solved.dual_coef_, solved.n_support_
        if self.kernel == "rbf":
            self.gamma_ = float(gamma)
            self.dual_coef_, self.n_support_, self.support_vectors_ = dual, counts, X[solved.support_]
            return self
        ends = np.cumsum(counts)
        self.coef_ = by_pairs(
            [
                X[solved.support_[end - count : end]].T.astype(np.float64) @ dual[:, end - count : end].T
                for end, count in zip(ends, counts, strict=True)
            ]
        ).T.copy()
        return self

    def _rbf_margins(self, X: NDArray[Any]) -> NDArray[np.float64]:
        distances = squared_distances(X.astype(np.float64), self.support_vectors_.astype(np.float64))
        return self.margins_from(rbf(distances, self.gamma_))


class OneVsRestLinear(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Linear classifier, one class against the rest, whose weights may be computed elsewhere.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty that the weights were found under, for the record.

    Attributes
    ----------
    classes_ : (k,) array
    coef_ : (k, d) or, of two classes, (1, d) float64
    intercept_ : (k,) or (1,) float64
    """

    def __init__(self, *, C: float = 1.0) -> None:
        self.C = C

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> Self:
        """Fit by minimising the squared hinge of one class against the rest, in blocks of rows."""
        from featx.classifiers.blockwise import fit_blockwise

        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32))
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"a classifier needs two classes or more, found {len(classes)} class")
        found = fit_blockwise(X, codes, loss="squared_hinge", C=self.C)
        # The solver standardises; without a scaler before it, its weights are those of the columns as they are.
        coef = found.coef / found.scale
        return self.set_weights(coef, found.intercept - coef @ found.mean, classes)

    def set_weights(self, coef: NDArray[Any], intercept: NDArray[Any], classes: NDArray[Any]) -> Self:
        """Take weights ``(k, d)`` and intercepts ``(k,)``, one row of two classes, and the labels ``(k,)``."""
        self.coef_, self.intercept_, self.classes_ = coef, intercept, classes
        self.n_features_in_ = coef.shape[1]
        return self

    def decision_function(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Score every class ``(n, k)``, or of two classes the second ``(n,)``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        scores = np.asarray(X @ self.coef_.T + self.intercept_, dtype=np.float64)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Predict the class with the highest score ``(n,)``."""
        scores = self.decision_function(X)
        labels: NDArray[Any] = self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]
        return labels


def scale(X: NDArray[np.float64]) -> float:
    """Compute scikit-learn's ``gamma="scale"`` of rows ``(n, d)``, which is ``1 / (d * X.var())``."""
    variance = float(X.var())
    return 1.0 / (X.shape[1] * variance) if variance != 0 else 1.0


def squared_distances(X: NDArray[np.float64], Z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute squared distances ``(n, m)`` between rows ``(n, d)`` and ``(m, d)`` from one matrix product."""
    distances = X @ Z.T
    distances *= -2.0
    distances += np.einsum("ij,ij->i", X, X)[:, None]
    distances += np.einsum("ij,ij->i", Z, Z)
    np.maximum(distances, 0.0, out=distances)
    if X is Z:
        np.fill_diagonal(distances, 0.0)
    return distances


def rbf(distances: NDArray[np.float64], gamma: float) -> NDArray[np.float64]:
    """Compute ``exp(-gamma |x - z|^2)`` of squared distances, in a new array."""
    kernel = distances * -gamma
    return np.exp(kernel, out=kernel)


def by_pairs(blocks: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Join libsvm's coefficients, or what is linear in them, to one column for each pair of classes.

    Parameters
    ----------
    blocks : k arrays (m, k - 1)
        Of the support vectors of class c, what they add to the pairs with each other class, in order.

    Returns
    -------
    (m, k (k - 1) / 2) float64
    """
    first, second = np.triu_indices(len(blocks), 1)
    return np.stack(
        [blocks[i][:, j - 1] + blocks[j][:, i] for i, j in zip(first.tolist(), second.tolist(), strict=True)], axis=1
    )


def _votes(won: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """Count the pairs won by each class ``(n, k)``; `won` is true where a pair goes to its first class."""
    # Every pair lost is a vote for its second class.
    return per_class(won.astype(np.float64), k) + np.arange(k)
