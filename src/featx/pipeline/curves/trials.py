"""Trials: classifiers chosen and fitted on random draws, and the test images that each labels correctly."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from featx.classifiers import ROWS_AT_ONCE, Blueprint, convergence_logged
from featx.classifiers.fitting import fit_pipeline
from featx.errors import DataError
from featx.pipeline.curves.draws import Design, draws_of, numbers_of
from featx.progress import Progress
from featx.reports.curve_intervals import Trials
from featx.selection import SelectionOptions, select
from featx.selection.planning import plan_fit
from featx.selection.sweep import workers
from featx.words import counted

logger = logging.getLogger(__name__)

ENOUGH_TO_CHOOSE = 3
"""Images or groups of each class, so that every fold of a cross-validation leaves two."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitter:
    """Fitter of classifiers of one kind, hyperparameters included."""

    blueprint: Blueprint
    options: SelectionOptions

    @cached_property
    def untuned(self) -> Mapping[str, Any]:
        """Hyperparameters for too few images to choose any."""
        recipe = self.blueprint.recipe
        usual = {**recipe.defaults, **recipe.untuned}
        return {name: usual[name] for name in recipe.grids[self.options.kernel]}

    def fit(self, X: NDArray[np.float32], codes: NDArray[np.intp], groups: Sequence[str] | None) -> tuple[Any, bool]:
        """Choose hyperparameters on some rows and fit on them; False beside the pipeline if too few for a choice."""
        plan = plan_fit(self.blueprint, X.shape, int(codes.max()) + 1, options=self.options)
        options = replace(self.options, solver=plan.solver)
        params = self._choose(X, codes, groups, options)
        # One BLAS thread, as in the sweep, so that nothing depends on the number of cores.
        with convergence_logged(self.blueprint.recipe), threadpool_limits(limits=1):
            pipeline = fit_pipeline(
                self.blueprint,
                self.untuned if params is None else params,
                X,
                codes,
                solver=options.solver,
                threads=workers(options.n_jobs),
            )
        return pipeline, params is not None

    def _choose(
        self, X: NDArray[np.float32], codes: NDArray[np.intp], groups: Sequence[str] | None, options: SelectionOptions
    ) -> Mapping[str, Any] | None:
        """Choose hyperparameters in as many folds as possible; None if there are too few images."""
        if not self.untuned:
            return {}
        units = np.unique(np.column_stack([codes, numbers_of(groups, len(codes))]), axis=0)
        fewest = int(np.bincount(units[:, 0]).min())
        if fewest < ENOUGH_TO_CHOOSE:
            return None
        options = replace(options, folds=min(options.folds, fewest))
        try:
            return select(self.blueprint.clf, X, codes, options=options, groups=groups).params
        except DataError as error:
            logger.info("no settings can be chosen on a draw of %s: %s", counted(len(codes), "image"), error)
            return None


def run_trials(
    fitter: Fitter, design: Design, sizes: Sequence[int], *, repeats: int, task: Path, progress: Progress
) -> tuple[list[Trials], int]:
    """Fit on every draw and label its test images.

    Parameters
    ----------
    fitter : Fitter
        Chooses and fits a classifier.
    design : Design
        Images to draw from, and to test on.
    sizes : sequence of int
        Images per class.
    repeats : int
        Draws of each size in each fold.
    task : Path
        The curve's file, by which `progress` knows it.
    progress : Progress
        Observer; a part is a classifier fitted.

    Returns
    -------
    list of Trials
        One for each size.
    int
        The largest size where a draw was too small to choose hyperparameters on; 0 where none was.
    """
    train, test = design.train, design.test
    # All images there are can be drawn in one way.
    drawn = {size: 1 if size >= design.largest else repeats for size in sizes}
    total = len(design.pools) * sum(drawn.values())
    right = {size: np.zeros((len(design.folds), drawn[size]), bool) for size in sizes}
    images: dict[int, list[int]] = {size: [] for size in sizes}
    untuned = 0
    progress.begin(task, total=total, done=0)
    for draw in draws_of(design, drawn, seed=fitter.options.seed):
        groups = None if train.groups is None else [train.groups[row] for row in draw.rows]
        pipeline, tuned = fitter.fit(train.features[draw.rows], train.codes[draw.rows], groups)
        tested = np.flatnonzero(design.folds == draw.fold)
        with threadpool_limits(limits=1):
            for first in range(0, len(tested), ROWS_AT_ONCE):
                block = tested[first : first + ROWS_AT_ONCE]
                right[draw.size][block, draw.repeat] = pipeline.predict(test.features[block]) == test.codes[block]
        images[draw.size].append(len(draw.rows))
        untuned = untuned if tuned else max(untuned, draw.size)
        progress.advance(task, done=1, failed=0)
    pool = float(np.mean([len(rows) for rows in design.pools]))
    means = {size: float(np.mean(images[size])) for size in sizes}
    trials = [
        Trials(images_per_class=size, images=means[size], right=right[size], shared=min(means[size] / pool, 1.0))
        for size in sizes
    ]
    return trials, untuned
