"""Linear classifiers on features that may be larger than memory, fitted in passes over blocks of rows.

A fit needs the value and the gradient of its objective some tens of times. Each is one pass over the rows: a block is
centred in a buffer, multiplied in float32, and its share of loss and gradient added up in float64.

What makes it fast is the preconditioner. Deep features are strongly correlated: the spectrum of their covariance falls
over orders of magnitude, and a plain L-BFGS takes hundreds of passes where C is large. An approximation that starts
from the inverse of ``I + c C X'X``, the Hessian but for the weights of the rows, leaves tens.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.blocks import BLOCK_ROWS, Blocks
from featx.classifiers.lbfgs import minimise
from featx.errors import DataError, UsageError

PRECONDITIONER_ROWS = 16_384
"""Rows, evenly spaced, that the preconditioner is estimated on."""

PRECONDITIONER_COLUMNS = 4_096
"""Beyond it the preconditioner, a matrix of columns by columns, would cost more than the passes that it saves."""

FLATTEST = 1e-4
"""The least curvature of the loss reckoned with, so that no step is endless where every row is right."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A linear classifier on standardised features.

    Parameters
    ----------
    coef : (k, d) float64
        Weights of the standardised features, a row per class; of two classes one row, for the second, as scikit-learn
        has it.
    intercept : (k,) or (1,) float64
    mean, scale : (d,) float64
        Of the features, as `sklearn.preprocessing.StandardScaler` has them.
    iterations : int
    converged : bool
    objective : float
        ``C * sum of losses + |coef|^2 / 2`` where the fit ended.
    """

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    iterations: int
    converged: bool
    objective: float

    def scores(
        self, X: NDArray[Any], *, rows: NDArray[np.integer[Any]] | None = None, rows_at_once: int = BLOCK_ROWS
    ) -> NDArray[np.float32]:
        """Score rows block by block.

        Parameters
        ----------
        X : (m, d) float32 or float64
            Features, not standardised; may be mapped from a file.
        rows : (m,) int or None
            Rows to score, ascending; None scores all.
        rows_at_once : int
            Rows of a block.

        Returns
        -------
        (m, k) or (m, 1) float32
            The decision function.
        """
        blocks = Blocks(X, rows=rows, rows_at_once=rows_at_once)
        coef = (self.coef / self.scale).astype(np.float32)
        found = np.empty((blocks.count, len(coef)), np.float32)
        for place in blocks.places():
            found[place] = blocks.centred(place, self.mean) @ coef.T + self.intercept
        return found


Start = Fitted | tuple[NDArray[Any], NDArray[Any]]

Scores = NDArray[np.float64]
Loss = Callable[[Scores, NDArray[np.int64]], tuple[Scores, Scores, float]]
"""From scores (b, k) and classes (b,) to losses (b,), their derivatives (b, k), and the mean of their second
derivatives."""


def _softmax(scores: Scores, classes: NDArray[np.int64]) -> tuple[Scores, Scores, float]:
    """Compute the cross-entropy of the softmax p: -log p[class], by the scores p - 1[class], and the mean p (1 - p)."""
    rows = np.arange(len(classes))
    # Less the largest score, which changes no probability and lets no power overflow.
    scores -= scores.max(axis=1, keepdims=True)
    right = scores[rows, classes]
    np.exp(scores, out=scores)
    total = scores.sum(axis=1, keepdims=True)
    scores /= total
    curvature = float(np.mean(scores) - np.mean(scores**2))
    scores[rows, classes] -= 1
    losses: Scores = np.log(total[:, 0]) - right
    return losses, scores, curvature


def _logistic(scores: Scores, classes: NDArray[np.int64]) -> tuple[Scores, Scores, float]:
    """Compute the loss of two classes: log(1 + exp(-m)) of the margin m, by the score -sign w, and the mean w (1 - w).

    The probability of the wrong class is w = 1 / (1 + exp(m)), written as a tanh, which doesn't overflow.
    """
    signs = 2.0 * classes[:, None] - 1
    margins = signs * scores
    wrong = 0.5 * (1 - np.tanh(margins / 2))
    return np.logaddexp(0, -margins)[:, 0], -signs * wrong, float(np.mean(wrong * (1 - wrong)))


def _squared_hinge(scores: Scores, classes: NDArray[np.int64]) -> tuple[Scores, Scores, float]:
    """Compute the squared hinge max(0, 1 - m)^2 of the margins m, one class against the rest, summed over the classes.

    Its second derivative is 2 where a margin is below 1, else 0.
    """
    positive = classes[:, None] == (np.arange(scores.shape[1]) if scores.shape[1] > 1 else 1)
    signs = np.where(positive, 1.0, -1.0)
    lacking: Scores = np.maximum(1 - signs * scores, 0)
    return np.einsum("ij,ij->i", lacking, lacking), -2 * signs * lacking, 2 * float(np.mean(lacking > 0))


LOSSES: Mapping[str, tuple[Loss, Loss]] = {"log": (_logistic, _softmax), "squared_hinge": (_squared_hinge,) * 2}
"""Name -> the loss of two classes, and of more."""


class Blockwise:
    """The objective of a linear classifier, ``C * sum of losses + |coef|^2 / 2`` on standardised features.

    That is scikit-learn's, of `LogisticRegression` for ``"log"`` (multinomial; of two classes, logistic) and, for
    ``"squared_hinge"``, of `LinearSVC` with an intercept that isn't penalised (one against the rest). Mean, scale and
    preconditioner are computed once, when they are first needed, and serve every C.

    The squared hinge by L-BFGS was taken for large linear SVMs after measuring others on 8,000 x 2,048 features of 10
    classes at C = 1e-4, seconds on one core: this 1.1 (93.6 % of 2,000 other rows right); `SGDClassifier` with the
    hinge 2.3 (84.8 %, and not converged), with the squared hinge not done after 180; liblinear's `LinearSVC` takes
    half a minute on half the rows, and doesn't end where C is large.

    Parameters
    ----------
    X : (n, d) float32 or float64
        Features, not standardised; may be mapped from a file, and larger than memory.
    y : (n,) int
        Classes, 0 to k - 1.
    loss : {"log", "squared_hinge"}
    weights : (n,) or (k,) float or None
        Weight of every row, or of every class.
    rows : (m,) int or None
        Rows to fit on, ascending; None takes all. `X`, `y` and `weights` are of all rows.
    rows_at_once : int
        Rows of a block. The result depends on it only by rounding.
    threads : int
        Blocks worked on at once. Changes no bit of the result.

    Raises
    ------
    UsageError
        No such loss.
    DataError
        Arrays that don't fit together, or fewer than two classes.
    """

    def __init__(
        self,
        X: NDArray[Any],
        y: NDArray[np.integer[Any]],
        *,
        loss: str,
        weights: NDArray[Any] | None = None,
        rows: NDArray[np.integer[Any]] | None = None,
        rows_at_once: int = BLOCK_ROWS,
        threads: int = 1,
    ) -> None:
        if loss not in LOSSES:
            raise UsageError(f"there is no loss {loss!r}: choose one of {', '.join(LOSSES)}")
        if len(y) != len(X):
            raise DataError(f"{len(X)} rows of features need the same number of labels, found {len(y)}")
        self._blocks = Blocks(X, rows=rows, rows_at_once=rows_at_once)
        self._classes = np.asarray(y if rows is None else y[rows], dtype=np.int64)
        k = int(self._classes.max(initial=0)) + 1
        if k < 2:
            raise DataError("a classifier needs images of at least two classes, found one")
        self._weights = _row_weights(weights, self._classes, rows, len(y))
        self._loss = LOSSES[loss][k > 2]
        self._outputs = k if k > 2 else 1
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._covariance: NDArray[np.float32] | None = None
        self.mean, self.scale = self._blocks.moments()

    def fit(self, *, C: float, start: Start | None = None) -> Fitted:
        """Minimise the objective.

        Parameters
        ----------
        C : float
            Inverse strength of the penalty, above zero.
        start : Fitted, or (coef, intercept), or None
            Where to start from, such as the result for a smaller C; None starts from zero. Changes the result by no
            more than the solver's tolerance.
        """
        shape = (self._outputs, self._blocks.width + 1)
        point = np.zeros(shape)
        if start is not None:
            coef, intercept = (start.coef, start.intercept) if isinstance(start, Fitted) else start
            point[:, :-1], point[:, -1] = coef, intercept
        found = minimise(
            lambda at: self._objective(at.reshape(shape), C)[:2],
            point.ravel(),
            precondition=self._preconditioner(C, self._objective(point, C)[2]),
        )
        end = found.at.reshape(shape)
        return Fitted(
            coef=end[:, :-1].copy(),
            intercept=end[:, -1].copy(),
            mean=self.mean,
            scale=self.scale,
            iterations=found.iterations,
            converged=found.converged,
            objective=found.value,
        )

    def objective(
        self, coef: NDArray[np.float64], intercept: NDArray[np.float64], *, C: float
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Compute the objective, and its gradients by `coef` and by `intercept`."""
        value, gradient, _ = self._objective(np.column_stack([coef, intercept]), C)
        columns = gradient.reshape(self._outputs, -1)
        return value, columns[:, :-1], columns[:, -1]

    def _objective(self, point: NDArray[np.float64], C: float) -> tuple[float, NDArray[np.float64], float]:
        # Columns are centred but not scaled: x'w of a standardised row is (x - mean)'(w / scale), and the gradient by w
        # is divided by the scale in the end.
        coef, intercept = (point[:, :-1] / self.scale).astype(np.float32), point[:, -1]

        def share(place: slice) -> tuple[float, NDArray[np.float32], NDArray[np.float64], float]:
            block = self._blocks.centred(place, self.mean)
            scores = (block @ coef.T).astype(np.float64)
            scores += intercept
            losses, slopes, curvature = self._loss(scores, self._classes[place])
            weights = self._weights[place]
            slopes *= weights[:, None]
            by_coef = slopes.astype(np.float32).T @ block
            return float(weights @ losses), by_coef, slopes.sum(axis=0), curvature * len(losses)

        total, curvature = 0.0, 0.0
        gradient = np.zeros_like(point)
        # In the order of the blocks, whichever thread is done first: sums of another order have other last bits.
        places = self._blocks.places()
        for loss, by_coef, by_intercept, bend in self._pool.map(share, places) if self._pool else map(share, places):
            total += loss
            gradient[:, :-1] += by_coef
            gradient[:, -1] += by_intercept
            curvature += bend
        gradient[:, :-1] /= self.scale
        gradient *= C
        gradient[:, :-1] += point[:, :-1]
        value = C * total + 0.5 * float(np.vdot(point[:, :-1], point[:, :-1]))
        return value, gradient.ravel(), curvature / self._blocks.count

    def _preconditioner(self, C: float, curvature: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        """Approximate the inverse Hessian.

        The Hessian by the weights of a class is I + C X'DX, where D holds the second derivatives of the losses. Here D
        is replaced by its mean, so that one matrix serves all classes. Columns are centred, so that the intercept
        hardly interacts with the weights: it has a number of its own.
        """
        bend = C * max(curvature, FLATTEST)
        of_intercept = 1 / (1 + bend * float(self._weights.sum()))
        of_coef = self._inverse(bend) if self._blocks.width <= PRECONDITIONER_COLUMNS else None

        def multiply(vector: NDArray[np.float64]) -> NDArray[np.float64]:
            columns = vector.reshape(self._outputs, -1)
            result = columns.copy()
            result[:, -1] *= of_intercept
            if of_coef is not None:
                result[:, :-1] = columns[:, :-1].astype(np.float32) @ of_coef
            return result.ravel()

        return multiply

    def _inverse(self, bend: float) -> NDArray[np.float32]:
        """Invert ``I + bend * scatter`` through its Cholesky factor."""
        from scipy.linalg.lapack import spotrf, spotri

        hessian = np.float32(bend) * self._scatter()
        hessian.flat[:: len(hessian) + 1] += 1
        # Fortran sees the transpose of the symmetric matrix: no copy.
        # potrf gives the Cholesky factor, potri the inverse from it.
        factor, failed = spotrf(hessian.T, lower=True, overwrite_a=True, clean=False)
        assert failed == 0
        inverse, _ = spotri(factor, lower=True, overwrite_c=True)
        # LAPACK fills the lower triangle only.
        below: NDArray[np.float32] = np.tril(inverse)
        below += np.tril(below, -1).T
        return below

    def _scatter(self) -> NDArray[np.float32]:
        """Sum of the weighted outer products of the rows, ``(d, d)``, estimated on some of them."""
        if self._covariance is None:
            every = max(1, self._blocks.count // PRECONDITIONER_ROWS)
            total = np.zeros((self._blocks.width,) * 2, np.float32)
            inverse_scale = (1 / self.scale).astype(np.float32)
            for place in self._blocks.places():
                block = self._blocks.centred(place, self.mean)[::every] * inverse_scale
                # Some rows stand for all: each counts `every` times, as the square of its root.
                block *= np.sqrt(every * self._weights[place][::every, None]).astype(np.float32)
                total += block.T @ block
            self._covariance = total
        return self._covariance


def _row_weights(
    weights: NDArray[Any] | None, classes: NDArray[np.int64], rows: NDArray[np.integer[Any]] | None, n: int
) -> NDArray[np.float64]:
    if weights is None:
        return np.ones(len(classes))
    given = np.asarray(weights, dtype=np.float64)
    if len(given) == n:
        return given if rows is None else given[rows]
    if len(given) == classes.max() + 1:
        return given[classes]
    raise DataError(f"weights must be one for each of {n} rows or {classes.max() + 1} classes, found {len(given)}")


def fit_blockwise(
    X: NDArray[Any],
    y: NDArray[np.integer[Any]],
    *,
    loss: str,
    C: float,
    weights: NDArray[Any] | None = None,
    start: Start | None = None,
    rows_at_once: int = BLOCK_ROWS,
) -> Fitted:
    """Fit a linear classifier for one C on all rows.

    `Blockwise` fits for several C, and on some rows. The parameters are those of `Blockwise` and `Blockwise.fit`, and
    so are the errors.
    """
    return Blockwise(X, y, loss=loss, weights=weights, rows_at_once=rows_at_once).fit(C=C, start=start)
