"""Solver of logistic regression along C, with extrapolated starts and a preconditioner.

Measured on 3,200 x 2,048 features of 10 classes, ten values of C from 1e-4 to 1e4, one core: scikit-learn's L-BFGS with
warm starts takes 1.5 s and, by its default tolerance, ends up to 51 % off the minimum where C is large; this takes
2.5 s and ends within 0.1 %. Starting each C where the one before ended, without extrapolation, takes 5.7 s.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.blockwise import LOSSES
from featx.classifiers.blueprint import Blueprint
from featx.classifiers.direct import Direct
from featx.classifiers.lbfgs import minimise
from featx.classifiers.recipes import Params
from featx.classifiers.scores import Verdict
from featx.classifiers.workload import FLOPS_32, PASS, PASS_OF_CLASS, Estimate, Workload

PASSES_IN_MEMORY = 25
"""Passes over the rows for one C, on average over the grid: what the prediction of the cost rests on."""

PENALTY_TOLERANCE = 1e-7
"""Gain that may be left, as a share of the penalty: coefficients are then about a thousandth off the minimum's.

The penalty is strongly convex: coefficients are no further off, squared, than twice what is left to gain."""

LEAST_TOLERANCE = 1e-8
"""The same as a share of the objective; below it float32 products drown the gain in rounding."""

DIRECTIONS = 128
"""Number of directions of the largest variance whose curvature the preconditioner knows; 64 or 256 do as well."""


class Logistic(Direct):
    """Solver of logistic regression that gives a fitted `sklearn.linear_model.LogisticRegression`.

    The coefficients move smoothly along log C, so that the line through the last two C predicts the next. A start
    changes the result by no more than the tolerance.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        known: NDArray[Any],
        y: NDArray[np.int64],
        unknown: NDArray[Any] | None = None,
    ) -> None:
        super().__init__(blueprint, known, y, unknown)
        k = int(y.max()) + 1
        balanced = blueprint.class_weight == "balanced"
        self._weights = (len(y) / (k * np.bincount(y)))[y] if balanced else np.ones(len(y))
        self._loss, self._classes = LOSSES["log"][k > 2], np.arange(k)
        self._shape = (k if k > 2 else 1, known.shape[1] + 1)
        self._directions, self._spread, self._rest = principal(known)
        self._ends: dict[float, NDArray[np.float64]] = {}

    @staticmethod
    def chains(points: Sequence[Params]) -> list[list[Params]]:
        """Chain all points, since each starts from the ones before."""
        return [list(points)]

    @staticmethod
    def cost(work: Workload) -> Estimate:
        """Estimate time and memory: the principal directions once, passes over the rows for every C."""
        one = work.train * work.d * (PASS + PASS_OF_CLASS * work.k)
        side = min(work.train, work.d, 4_096)
        once = 4 * work.train * work.d * side / FLOPS_32 + 12 * side**3 / FLOPS_32
        return work.seconds(once=once, each=PASSES_IN_MEMORY * one), work.jobs * (4 * work.n * work.d + 24 * side**2)

    def fit(self, params: Mapping[str, Any]) -> Any:
        """Fit the regression with this C."""
        C = params["C"]
        end, iterations = self._minimum(self._extrapolated(C), C, PENALTY_TOLERANCE)
        penalty = 0.5 * float(np.vdot(end[:, :-1], end[:, :-1]))
        # The first end is good to a share of the objective. What may be left to gain is to be a share of the penalty
        # instead, which a large C makes a small part of the objective: a second run goes on to there.
        share = 2 * penalty / self._objective(end, C)[0]
        if share < 1:
            end, more = self._minimum(end, C, max(LEAST_TOLERANCE, share * PENALTY_TOLERANCE))
            iterations += more
        self._ends[C] = end
        regression = self.blueprint.classifier(params)
        regression.coef_ = end[:, :-1].astype(self.known.dtype)
        regression.intercept_ = end[:, -1].astype(self.known.dtype)
        regression.classes_ = self._classes
        regression.n_features_in_ = self.known.shape[1]
        regression.n_iter_ = np.array([iterations], dtype=np.int32)
        return regression

    def _minimum(self, start: NDArray[np.float64], C: float, tolerance: float) -> tuple[NDArray[np.float64], int]:
        found = minimise(
            lambda at: self._objective(at.reshape(self._shape), C),
            start.ravel(),
            precondition=self._preconditioner(start, C),
            tolerance=tolerance,
        )
        if not found.converged:
            from sklearn.exceptions import ConvergenceWarning

            warnings.warn(f"logistic regression, C = {C:g}", ConvergenceWarning, stacklevel=2)
        return found.at.reshape(self._shape), found.iterations

    def judge(self, chain: Sequence[Params]) -> list[Verdict]:
        """Let a regression fitted at each point, C ascending, judge the unknown rows."""
        return [self.verdict(self.fit(point)) for point in chain]

    def _extrapolated(self, C: float) -> NDArray[np.float64]:
        below = sorted(lower for lower in self._ends if lower < C)[-2:]
        if not below:
            return np.zeros(self._shape)
        last = self._ends[below[-1]]
        if len(below) == 1:
            return last
        before = self._ends[below[0]]
        # The line through the ends at the last two values, over log C.
        return last + math.log(C / below[1]) / math.log(below[1] / below[0]) * (last - before)

    def _objective(self, point: NDArray[np.float64], C: float) -> tuple[float, NDArray[np.float64]]:
        coef = point[:, :-1]
        losses, slopes = self._losses(point)
        slopes = slopes * (C * self._weights[:, None])
        gradient = np.empty_like(point)
        gradient[:, :-1] = (slopes.astype(self.known.dtype).T @ self.known) + coef
        gradient[:, -1] = slopes.sum(axis=0)
        return C * float(losses @ self._weights) + 0.5 * float(np.vdot(coef, coef)), gradient.ravel()

    def _losses(self, point: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[Any]]:
        scores = (self.known @ point[:, :-1].T.astype(self.known.dtype)).astype(np.float64) + point[:, -1]
        return self._loss(scores, self.y)[:2]

    def _preconditioner(
        self, point: NDArray[np.float64], C: float
    ) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        """Approximate the inverse Hessian by the mean curvature of each class and the scatter of the rows."""
        # A slope is p, or p - 1 for the true class; either way |slope| (1 - |slope|) is p (1 - p).
        slopes = np.abs(self._losses(point)[1])
        bends = C * (slopes * (1 - slopes) * self._weights[:, None]).mean(axis=0)[:, None]
        # The inverse of I + bend X'X, whose eigenvalues are 1 + bend * spread along the directions and, as an estimate,
        # 1 + bend * rest across them: V diag(along) V' + rest I.
        rest = 1 / (1 + bends * self._rest)
        along = 1 / (1 + bends * self._spread) - rest
        of_intercept = 1 / (bends[:, 0] * len(self.y) + 1e-9)

        def multiply(vector: NDArray[np.float64]) -> NDArray[np.float64]:
            given = vector.reshape(self._shape)
            result = np.empty_like(given)
            shares = given[:, :-1].astype(self._directions.dtype) @ self._directions
            result[:, :-1] = rest * given[:, :-1]
            result[:, :-1] += (along * shares).astype(self._directions.dtype) @ self._directions.T
            result[:, -1] = of_intercept * given[:, -1]
            return result.ravel()

        return multiply


def principal(X: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64], float]:
    """Find the directions of the largest scatter approximately, by a randomised subspace iteration [1]_.

    Parameters
    ----------
    X : (n, d) float32 or float64

    Returns
    -------
    directions : (d, r) float
        Orthonormal columns, `DIRECTIONS` of them or as many as there are.
    scatter : (r,) float64
        Sum of squares of the rows along each.
    rest : float
        Its mean over all other directions.

    References
    ----------
    .. [1] Halko, Martinsson and Tropp, "Finding structure with randomness: probabilistic algorithms for constructing
       approximate matrix decompositions", SIAM Review 53(2), 2011.
    """
    n, d = X.shape
    count = min(DIRECTIONS, n, d)
    # Always the same seed: the draw changes the way to the minimum, not the minimum.
    basis = np.random.default_rng(0).normal(size=(d, count)).astype(X.dtype)
    for _ in range(2):
        # A power of X'X turns a random basis towards the leading eigenvectors; QR keeps its columns apart.
        basis = np.linalg.qr(X.T @ (X @ basis))[0]
    along = X @ basis
    # Rayleigh-Ritz: the eigenvectors of X'X within the basis.
    scatter, turn = np.linalg.eigh((along.T @ along).astype(np.float64))
    scatter = np.maximum(scatter, 0.0)
    total = float(np.einsum("ij,ij->", X, X, dtype=np.float64, casting="safe"))
    return basis @ turn.astype(X.dtype), scatter, max(0.0, total - float(scatter.sum())) / max(1, d - count)
