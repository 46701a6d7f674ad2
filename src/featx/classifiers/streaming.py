"""Solver that fits linear classifiers in blocks of rows and gives ordinary pipelines."""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from featx.classifiers.blockwise import PRECONDITIONER_COLUMNS, PRECONDITIONER_ROWS, Blockwise, Fitted
from featx.classifiers.blueprint import Blueprint
from featx.classifiers.features import ROWS_AT_ONCE
from featx.classifiers.machines import OneVsRestLinear
from featx.classifiers.recipes import Params
from featx.classifiers.scores import Verdict, judge
from featx.classifiers.workload import FLOPS_32, PASS, PASS_OF_CLASS, Estimate, Workload

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

READ = 1.2e-9
"""Seconds to read a number from a map and centre it, in every pass."""

PASSES_IN_BLOCKS = {"log": 45, "squared_hinge": 60}
"""Passes for one C, on average over a grid that goes along C with warm starts and a preconditioner. Of the squared
hinge a small C takes 20, and one of 0.1 almost 300, before which the grid is mostly left: what is predicted for a
single large C is too little."""


class Streaming:
    """Solver along C for features mapped from a file, which are never copied as a whole.

    Parameters
    ----------
    blueprint : Blueprint
        A classifier with a loss, without steps before it but the scaler.
    X : (n, d) float32 or float64
    y : (n,) int
        Classes, 0 to k - 1.
    rows : (m,) int or None
        Rows to fit on, ascending; None takes all.
    threads : int
        Blocks worked on at once.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        X: NDArray[Any],
        y: NDArray[np.int64],
        *,
        rows: NDArray[np.int64] | None = None,
        threads: int = 1,
    ) -> None:
        self._blueprint, self._X, self._count = blueprint, X, len(X) if rows is None else len(rows)
        fitted_on = y if rows is None else y[rows]
        counts = np.bincount(fitted_on)
        self._classes = np.arange(len(counts))
        weights = len(fitted_on) / (len(counts) * counts) if blueprint.class_weight == "balanced" else None
        self._loss = blueprint.recipe.loss
        assert self._loss is not None
        self._solver = Blockwise(X, y, loss=self._loss, weights=weights, rows=rows, threads=threads)
        self._last: tuple[float, Fitted] | None = None

    @staticmethod
    def cost(work: Workload) -> Estimate:
        """Estimate time and memory: the preconditioner's products once, then an inverse and passes for every C."""
        assert work.loss is not None
        one = work.train * work.d * (READ + PASS + PASS_OF_CLASS * work.k)
        side = min(work.d, PRECONDITIONER_COLUMNS)
        once = 5 * one + 2 * min(work.train, PRECONDITIONER_ROWS) * side**2 / FLOPS_32
        each = PASSES_IN_BLOCKS[work.loss] * one + 3 * side**3 / FLOPS_32
        size = work.jobs * (250 * work.d * work.k + 12 * side**2 + 8_192 * work.d)
        return work.seconds(once=once, each=each), size

    def fit(self, params: Mapping[str, Any]) -> "Pipeline":
        """Fit scaler and classifier, starting where the last smaller C ended."""
        C = params["C"]
        start = self._last[1] if self._last is not None and self._last[0] <= C else None
        found = self._solver.fit(C=C, start=start)
        if not found.converged:
            warnings.warn(f"{self._blueprint.name}, C = {C:g}", ConvergenceWarning, stacklevel=2)
        self._last = C, found
        return self._blueprint.join([("scaler", self._scaler(found))], self._classifier(params, found))

    def judge(self, chain: Sequence[Params], unknown: NDArray[np.int64]) -> list[Verdict]:
        """Let classifiers fitted at each point, C ascending, judge some rows of the features."""
        return [self._judge(self.fit(point), unknown) for point in chain]

    def _judge(self, pipeline: "Pipeline", unknown: NDArray[np.int64]) -> Verdict:
        blocks = [unknown[first : first + ROWS_AT_ONCE] for first in range(0, len(unknown), ROWS_AT_ONCE)]
        parts = [judge(pipeline, self._X[rows]) for rows in blocks]
        own = [part.probabilities for part in parts if part.probabilities is not None]
        return Verdict(
            labels=np.concatenate([part.labels for part in parts]),
            scores=np.concatenate([part.scores for part in parts]),
            probabilities=np.concatenate(own) if own else None,
        )

    def _scaler(self, found: Fitted) -> StandardScaler:
        scaler = StandardScaler()
        scaler.mean_, scaler.scale_, scaler.var_ = found.mean, found.scale, found.scale**2
        scaler.n_features_in_, scaler.n_samples_seen_ = len(found.mean), self._count
        return scaler

    def _classifier(self, params: Mapping[str, Any], found: Fitted) -> Any:
        # An SVM is one class against the rest here; libsvm's machines are one class against another.
        if self._loss == "squared_hinge":
            return OneVsRestLinear(C=params["C"]).set_weights(found.coef, found.intercept, self._classes)
        regression = self._blueprint.classifier(params)
        regression.coef_, regression.intercept_, regression.classes_ = found.coef, found.intercept, self._classes
        regression.n_features_in_, regression.n_iter_ = found.coef.shape[1], np.array([found.iterations], np.int32)
        return regression
