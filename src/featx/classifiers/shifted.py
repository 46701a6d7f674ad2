"""Solvers of ridge regression and linear discriminants, which share one matrix of products along the penalty.

Both solve ``(X'X + shift I) W = B``, where only the shift changes along the grid. Measured by `benchmarks/solvers.py`
against scikit-learn's classifiers fitted anew at each point: one fold of the grid on one core, 10 classes, seconds of
processor time, and memory beyond the rows. The labels are the same.

================ ============== ============== ============== ==============
features         ridge          scikit-learn   lda            scikit-learn
================ ============== ============== ============== ==============
2,000 x 1,280    0.27 s, 43 MB  0.39 s, 40 MB  0.26 s, 44 MB  3.04 s, 8 MB
4,000 x 2,048    0.99 s, 119 MB 1.55 s, 111 MB 1.08 s, 120 MB 14.0 s, 18 MB
20,000 x 1,280   1.15 s, 115 MB 2.43 s, 123 MB 1.25 s, 129 MB 6.72 s, 22 MB
================ ============== ============== ============== ==============

A fitted lda takes 0.2 MB of a model file in place of 13 MB (1,280 columns; 0.3 in place of 34 MB of 2,048), since
scikit-learn's keeps the covariance, which no prediction needs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.blueprint import Blueprint
from featx.classifiers.direct import Direct
from featx.classifiers.recipes import Params
from featx.classifiers.scores import Verdict
from featx.classifiers.workload import FLOPS_32, Estimate, Workload


class Shifted:
    """Solver of the linear systems ``(X'X + shift I) W = B`` for several shifts.

    The products are computed once, on the smaller side; a Cholesky factor for every shift costs a tenth of the
    eigenvectors that would serve all of them.

    Parameters
    ----------
    X : (n, d) float64
    """

    def __init__(self, X: NDArray[np.float64]) -> None:
        self._wide = len(X) < X.shape[1]
        # Of more rows than columns, the products are all that is needed: the rows are let go.
        self._X = X if self._wide else np.empty((0, X.shape[1]))
        self._products = X @ X.T if self._wide else X.T @ X

    @property
    def trace(self) -> float:
        """Trace of ``X'X``."""
        return float(np.trace(self._products))

    def solve(self, shift: float, B: NDArray[np.float64]) -> NDArray[np.float64]:
        """Solve for right sides ``(d, k)`` and a `shift` above zero."""
        from scipy.linalg import cho_factor, cho_solve

        shifted = self._products.copy()
        shifted.flat[:: len(shifted) + 1] += shift
        factor = cho_factor(shifted, lower=True, overwrite_a=True, check_finite=False)
        if not self._wide:
            found: NDArray[np.float64] = cho_solve(factor, B, check_finite=False)
            return found
        # Woodbury's identity, by which an inverse of the n x n matrix XX' + shift I serves for the d x d one:
        # (X'X + shift I)^-1 B = (B - X' (XX' + shift I)^-1 X B) / shift.
        return np.asarray((B - self._X.T @ cho_solve(factor, self._X @ B, check_finite=False)) / shift)


class _Linear(Direct):
    """Base class of ridge and discriminants, whose scores are linear."""

    @staticmethod
    def bytes_needed(n: int, m: int, d: int) -> int:
        """Estimate the memory: the rows in float32 and twice in float64, two matrices of products."""
        return 20 * d * n + 4 * d * m + 16 * min(n, d) ** 2

    @staticmethod
    def cost(work: Workload) -> Estimate:
        """Estimate time and memory: the products once, a Cholesky factor for every point."""
        side = min(work.train, work.d)
        once = (2 * work.train * work.d * side + 10 * side**3) / FLOPS_32
        return work.seconds(once=once, each=side**3 / FLOPS_32), work.jobs * (12 * work.n * work.d + 16 * side**2)

    def weights(self, params: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute weights ``(d, k)`` and intercepts ``(k,)``."""
        raise NotImplementedError

    def _scores(self, params: Mapping[str, Any]) -> NDArray[np.float64]:
        assert self.unknown is not None
        W, intercept = self.weights(params)
        scores: NDArray[np.float64] = self.unknown.astype(np.float64) @ W + intercept
        return scores


class Ridge(_Linear):
    """Solver of `sklearn.linear_model.RidgeClassifier`, which regresses each class on +1 and -1.

    The fit for one alpha, which the model keeps, is scikit-learn's own.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        known: NDArray[Any],
        y: NDArray[np.int64],
        unknown: NDArray[Any] | None = None,
    ) -> None:
        super().__init__(blueprint, known, y, unknown)
        if unknown is None:
            return
        k = int(y.max()) + 1
        balanced = blueprint.class_weight == "balanced"
        weights = (len(y) / (k * np.bincount(y)))[y] if balanced else np.ones(len(y))
        rows = known.astype(np.float64)
        targets = np.where(y[:, None] == np.arange(k), 1.0, -1.0)
        # Of equal weights the plain mean is the same to the last bit, and makes no copy of the rows.
        self._mean = np.average(rows, axis=0, weights=weights) if balanced else rows.mean(axis=0)
        self._target = np.average(targets, axis=0, weights=weights)
        # Weighted least squares are plain ones of rows and targets times the roots of the weights. Both are centred
        # first, so that the intercept isn't penalised.
        roots = np.sqrt(weights)[:, None]
        rows -= self._mean
        rows *= roots
        self._shifted = Shifted(rows)
        self._right = rows.T @ ((targets - self._target) * roots)

    def weights(self, params: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute weights ``(d, k)`` and intercepts ``(k,)``; needs unknown rows."""
        W = self._shifted.solve(params["alpha"], self._right)
        return W, self._target - self._mean @ W

    def judge(self, chain: Sequence[Params]) -> list[Verdict]:
        """Judge the unknown rows at each point."""
        return [_argmax(self._scores(point)) for point in chain]


class Discriminant(_Linear):
    """Solver of linear discriminants with a shrunken covariance, `LinearDiscriminantAnalysis(solver="lsqr")` [1]_.

    References
    ----------
    .. [1] Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 2nd edition, 2009, section 4.3.

    O. Ledoit, M. Wolf (2004). A well-conditioned estimator for large-dimensional covariance matrices. Journal of
    Multivariate Analysis 88(2).
    """

    def __init__(
        self,
        blueprint: Blueprint,
        known: NDArray[Any],
        y: NDArray[np.int64],
        unknown: NDArray[Any] | None = None,
    ) -> None:
        super().__init__(blueprint, known, y, unknown)
        rows = known.astype(np.float64)
        self._priors = np.bincount(y) / len(y)
        self._means = np.stack([rows[y == label].mean(axis=0) for label in range(len(self._priors))])
        for label, mean in enumerate(self._means):  # class by class, since a mean for every row is a copy of all
            rows[y == label] -= mean
        # The covariance within the classes, divided by n as scikit-learn does, is then rows' rows.
        rows /= np.sqrt(len(rows))
        self._covariance = Shifted(rows)

    def weights(self, params: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute weights ``(d, k)`` and intercepts ``(k,)``."""
        shrinkage, rest = params["shrinkage"], 1 - params["shrinkage"]
        mean_variance = self._covariance.trace / self._means.shape[1]
        # Shrunk towards a multiple of the identity (Ledoit and Wolf 2004), the covariance is
        # rest * (covariance + shrinkage / rest * mean_variance * I). The bound is for rows that don't vary, whose
        # covariance has no Cholesky factor.
        W = self._covariance.solve(max(shrinkage / rest * mean_variance, 1e-12), self._means.T) / rest
        # The linear discriminant functions, equation 4.10 of the book: x'W - diag(means' W) / 2 + log priors.
        return W, np.log(self._priors) - 0.5 * np.einsum("kd,dk->k", self._means, W)

    def fit(self, params: Mapping[str, Any]) -> Any:
        """Fit the discriminants, without the covariance ``(d, d)`` that scikit-learn would keep in the model."""
        W, intercept = self.weights(params)
        analysis = self.blueprint.classifier(params)
        analysis.classes_, analysis.means_, analysis.priors_ = np.arange(len(self._priors)), self._means, self._priors
        analysis.n_features_in_ = len(W)
        binary = len(self._priors) == 2
        analysis.coef_ = (W[:, 1:] - W[:, :1]).T if binary else W.T.copy()
        analysis.intercept_ = intercept[1:] - intercept[:1] if binary else intercept
        return analysis


def _argmax(scores: NDArray[np.float64]) -> Verdict:
    if scores.shape[1] == 2:
        # Of two classes the decision function is the second's, and the first wins at zero.
        scores = np.column_stack([-scores[:, 1], scores[:, 1]])
    return Verdict(labels=scores.argmax(axis=1), scores=scores.astype(np.float32))
