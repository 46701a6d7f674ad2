"""Solver that fits a classifier anew for each point of a grid."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.blueprint import Blueprint
from featx.classifiers.recipes import Params
from featx.classifiers.scores import Verdict, judge
from featx.classifiers.workload import PASS, PASS_OF_CLASS, Estimate, Workload

PASSES_IF_UNKNOWN = 50
"""Passes over the rows that a fit of an unknown kind is reckoned at: what L-BFGS needs."""


class Direct:
    """Solver that fits a classifier by scikit-learn alone; subclasses share work between the points of a grid.

    Parameters
    ----------
    blueprint : Blueprint
        The classifier.
    known : (n, d) float32 or float64
        Rows to fit on, after the steps before the classifier. The solver may overwrite them.
    y : (n,) int
        Their classes, 0 to k - 1.
    unknown : (m, d) or None
        Rows to be judged.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        known: NDArray[Any],
        y: NDArray[np.int64],
        unknown: NDArray[Any] | None = None,
    ) -> None:
        self.blueprint, self.known, self.y, self.unknown = blueprint, known, y, unknown

    @staticmethod
    def chains(points: Sequence[Params]) -> list[list[Params]]:
        """Group the points of a grid, ascending, into chains that are judged one after the other.

        Different chains may be judged at once, in threads: what they share is made before, or may be missing.
        """
        return [[point] for point in points]

    @staticmethod
    def bytes_needed(n: int, m: int, d: int) -> int:
        """Estimate the memory of a solver, with n float32 rows to fit on and m to judge."""
        return 4 * d * (n + m)

    @staticmethod
    def cost(work: Workload) -> Estimate:
        """Estimate the time of a sweep and the final fit, and the memory that they take."""
        each = PASSES_IF_UNKNOWN * work.train * work.d * (PASS + PASS_OF_CLASS * work.k)
        return work.seconds(once=0.0, each=each), work.jobs * 12 * work.n * work.d

    def absolute(self, point: Params) -> Mapping[str, Any]:
        """Turn hyperparameters that are relative to the rows into absolute ones."""
        return point

    def fit(self, params: Mapping[str, Any]) -> Any:
        """Fit the classifier with these hyperparameters."""
        return self.blueprint.classifier(params).fit(self.known, self.y)

    def judge(self, chain: Sequence[Params]) -> list[Verdict]:
        """Let a classifier fitted at each point of a chain judge the unknown rows."""
        return [self.verdict(self.fit(self.absolute(point))) for point in chain]

    def verdict(self, classifier: Any) -> Verdict:
        """Let a fitted classifier judge the unknown rows."""
        assert self.unknown is not None
        return judge(classifier, self.unknown)
