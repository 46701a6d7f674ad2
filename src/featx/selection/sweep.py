"""The sweep of a grid, in which classifiers fitted at its points judge the held-out rows of every fold.

Everything, the scaler included, is fitted on a fold's training rows alone. Folds and points are worked on in threads,
since processes would import scikit-learn again for longer than the fits take, with one BLAS thread in each: the last
bits of a product depend on the number of threads, and they shall not depend on the number of jobs.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from featx.classifiers import Blueprint, Params, Verdict
from featx.machine import available_cores
from featx.selection.folds import Split
from featx.selection.stacking import labels_of_rows, rows_of

if TYPE_CHECKING:
    from featx.classifiers.direct import Direct

logger = logging.getLogger(__name__)

LARGE = 2**28
"""Bytes of features from which one fold is worked on at a time, so that its copy is the only one."""

TOGETHER = 2**30
"""Bytes that folds worked on at once may take."""


class Sweep:
    """Evaluation of the points of a grid on every fold.

    Parameters
    ----------
    blueprint : Blueprint
        What is fitted.
    X : (n, d) or (n + n K, d) float32 or float64
        Features; may be mapped from a file. Of a blueprint with K views, those of the views follow
        (`featx.selection.stacking`).
    codes : (n,) int
        Classes, 0 to k - 1.
    splits : sequence of Split
        The folds, of images: a view is fitted on with its image, and judged with it.
    solver : {"gram", "direct", "blockwise"}
    n_jobs : int
        Fits worked on at once, as joblib counts. Changes no result.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        X: NDArray[Any],
        codes: NDArray[np.int64],
        splits: Sequence[Split],
        *,
        solver: str,
        n_jobs: int,
    ) -> None:
        self.splits = splits
        self._blueprint, self._X, self._n = blueprint, np.asarray(X), len(codes)
        self._codes = labels_of_rows(codes, views=blueprint.views)
        self._solver, self._n_jobs = solver, n_jobs
        self._at_once = self._folds_at_once()
        self._prepared: list[Any] = []

    @property
    def rows(self) -> int:
        """Fewest rows that a classifier is fitted on."""
        return (1 + self._blueprint.views) * min(len(train) for train, _ in self.splits)

    def judge(self, points: Sequence[Params]) -> list[list[Verdict]]:
        """Judge the held-out rows of every fold at each point.

        Parameters
        ----------
        points : sequence of mappings
            Ascending. Points judged before, by an earlier call, may help those judged now.

        Returns
        -------
        list of list of Verdict
            For each point, the verdict on each fold: on its images, then on their views.
        """
        points = [self._blueprint.for_rows(point) for point in points]
        by_fold = self._by_blocks(points) if self._solver == "blockwise" else self._in_memory(points)
        return [list(verdicts) for verdicts in zip(*by_fold, strict=True)]

    def stages(self, points: Sequence[Params]) -> list[list[Params]]:
        """Group points into stages, after each of which the sweep may end."""
        # By passes over many rows a large C takes minutes, so that each point is a stage.
        return [[point] for point in points] if self._solver == "blockwise" else [list(points)]

    def accuracies(self, verdicts: Sequence[Verdict]) -> tuple[float, ...]:
        """Compute the accuracy on the images alone of each fold from the verdicts at one point."""
        return tuple(
            float(np.mean(verdict.labels[: len(test)] == self._codes[test]))
            for verdict, (_, test) in zip(verdicts, self.splits, strict=True)
        )

    def _in_memory(self, points: Sequence[Params]) -> Iterator[list[Verdict]]:
        folds = range(len(self.splits))
        for first in range(0, len(folds), self._at_once):
            yield from self._batch(folds[first : first + self._at_once], points)

    def _batch(self, folds: Sequence[int], points: Sequence[Params]) -> list[list[Verdict]]:
        """Judge some folds at once.

        It is a function of its own so that the memory of one batch is free before the next begins.
        """
        solvers = self._prepared or _together(self._n_jobs, [(self._prepare, (fold,)) for fold in folds])
        if len(folds) == len(self.splits):
            self._prepared = solvers
        chains = solvers[0].chains(points)
        # All folds of the first points first: a Gram matrix learns from them what the last needn't be fitted for.
        done = _together(self._n_jobs, [(solver.judge, (chain,)) for chain in chains for solver in solvers])
        judged = []
        for place in range(len(solvers)):
            found = {
                id(point): verdict
                for chain, verdicts in zip(chains, done[place :: len(solvers)], strict=True)
                for point, verdict in zip(chain, verdicts, strict=True)
            }
            judged.append([found[id(point)] for point in points])
        return judged

    def _by_blocks(self, points: Sequence[Params]) -> Iterator[list[Verdict]]:
        from featx.classifiers.streaming import Streaming

        for fold in range(len(self.splits)):
            train, test = self._rows(fold)
            with threadpool_limits(limits=1):
                if len(self._prepared) <= fold:
                    self._prepared.append(
                        Streaming(self._blueprint, self._X, self._codes, rows=train, threads=workers(self._n_jobs))
                    )
                streaming: Streaming = self._prepared[fold]
                yield streaming.judge(points, test)

    def _prepare(self, fold: int) -> "Direct":
        from featx.classifiers.fitting import solver_of
        from featx.classifiers.steps import fit_transform, transform

        train, test = self._rows(fold)
        steps = self._blueprint.steps()
        known = fit_transform(steps, self._X[train])
        unknown = transform(steps, self._X[test])
        return solver_of(self._blueprint, self._solver)(self._blueprint, known, self._codes[train], unknown)

    def _rows(self, fold: int) -> Split:
        """Rows to fit on and rows to judge: those of the images, and of their views."""
        train, test = (rows_of(images, n=self._n, views=self._blueprint.views) for images in self.splits[fold])
        return train, test

    def _folds_at_once(self) -> int:
        from featx.classifiers.fitting import solver_of

        if self._solver == "blockwise" or self._X.nbytes >= LARGE:
            return 1
        n, width = self.rows, self._blueprint.pca or self._X.shape[1]
        needed = solver_of(self._blueprint, self._solver).bytes_needed(n, len(self._X) - n, width)
        return min(len(self.splits), max(1, TOGETHER // needed))


def workers(n_jobs: int) -> int:
    """Turn a number of jobs into threads, as joblib does: -1 is one for each core, -2 one fewer."""
    return n_jobs if n_jobs > 0 else max(1, available_cores() + 1 + n_jobs)


def blas_threads(jobs: int) -> int:
    """Give the number of threads of a matrix product: one beside other jobs, one for each core in a single job."""
    return 1 if jobs > 1 else available_cores()


def _together(n_jobs: int, jobs: Sequence[tuple[Any, tuple[Any, ...]]]) -> list[Any]:
    import joblib

    with threadpool_limits(limits=blas_threads(len(jobs))):
        return list(
            joblib.Parallel(n_jobs=n_jobs, prefer="threads")(
                joblib.delayed(function)(*arguments) for function, arguments in jobs
            )
        )
