"""Choice of hyperparameters by cross-validation, and cross-validation of the choice."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers import Blueprint, Params, Verdict, check_features, convergence_logged
from featx.errors import DataError, UsageError
from featx.selection.folds import Split, split
from featx.selection.grid import WIDENINGS, Values, best, enclosed, points_of, values_of, widened
from featx.selection.options import DEFAULT_OPTIONS, SelectionOptions
from featx.selection.planning import log_plan, plan_fit
from featx.selection.results import OutOfFold, Selection, SweepRow, join
from featx.selection.sweep import Sweep
from featx.words import counted

logger = logging.getLogger(__name__)


def select(
    clf: Any,
    X: NDArray[Any],
    y: NDArray[np.integer[Any]],
    *,
    options: SelectionOptions = DEFAULT_OPTIONS,
    groups: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
) -> Selection:
    """Choose hyperparameters by stratified cross-validation.

    Everything, the scaler included, is fitted on a fold's training rows alone. An SVM is fitted on Gram matrices of
    these scaled rows, computed once per fold for all C, which gives the predictions of `sklearn.svm.SVC` on the rows
    themselves in a fraction of the time.

    Where the best lies at an edge of the grid, the grid is widened. A fit in blocks of rows, for which a large C takes
    minutes, leaves it once the first value and the last two fall short of the best by more than a standard error. The
    log says so.

    Parameters
    ----------
    clf : str or scikit-learn estimator
        Name of a classifier; or an estimator, which is cross-validated as it is.
    X : (n, d) or (n + n K, d) float32 or float64
        Features; may be mapped from a file. With K views in the options, those of the views follow
        (`featx.selection.stacking`).
    y : (n,) int
        Labels of the images.
    options : SelectionOptions
    groups : sequence of str, length n, or None
        Images of one group are never on both sides of a split; an image whose group is ``""`` is on its own.
    classes : sequence of str or None
        Name of each label, for messages.

    Returns
    -------
    Selection

    Raises
    ------
    DataError
        Features that aren't finite, fewer than two classes, or too few images or groups of a class to cross-validate
        (unless C is given).
    UsageError
        Unknown classifier, kernel or option.
    """
    blueprint = options.blueprint(clf)
    check_features(X)
    if len(y) * (1 + options.views) != len(X) or (groups is not None and len(groups) != len(y)):
        raise DataError(
            f"{counted(len(X), 'row')} of features need the same number of labels and groups, found "
            f"{counted(len(y), 'label')}"
        )
    present, codes = np.unique(y, return_inverse=True)
    names = [str(label) if classes is None else classes[label] for label in present]
    if len(present) < 2:
        raise DataError(f"a classifier needs images of at least two classes, found {', '.join(names) or 'none'}")
    if options.pca is not None and options.pca > X.shape[1]:
        raise UsageError(
            f"`pca={options.pca}` needs at least {options.pca} features, found {X.shape[1]}: choose a smaller number"
        )
    if options.solver == "auto":
        plan = plan_fit(blueprint, X.shape, len(names), options=options)
        log_plan(plan)
        options = replace(options, solver=plan.solver)
    choice = _Choice(blueprint=blueprint, X=X, codes=codes, names=names, groups=groups, options=options)
    with convergence_logged(blueprint.recipe):
        return choice.made()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tried:
    """Result of a sweep: its rows, at relative points of the grid, and the verdicts behind them in the same order."""

    rows: list[SweepRow]
    verdicts: list[list[Verdict]]

    def at(self, place: int, splits: Sequence[Split]) -> OutOfFold:
        return join(self.verdicts[place], splits)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Choice:
    """Choice on given data; `codes` of the images are 0 to k - 1, and the solver of the options is not ``"auto"``."""

    blueprint: Blueprint
    X: NDArray[Any]
    codes: NDArray[np.int64]
    names: Sequence[str]
    groups: Sequence[str] | None
    options: SelectionOptions

    def made(self) -> Selection:
        grid, options = self._grid(), self.options
        try:
            splits = split(self.codes, self.names, self.groups, folds=options.folds, seed=options.seed)
        except DataError as error:
            points = points_of(grid)
            if len(points) > 1:
                if "C" not in self.blueprint.recipe.defaults:
                    raise
                raise DataError(f"{error}, or use `C=1` (no score will be possible)") from error
            logger.warning(
                "%s; there is nothing to choose, so the classifier is fitted without cross-validation", error
            )
            return Selection(
                params=self._absolute(points)[0], folds=0, seed=options.seed, rows=(), oof=None, rule=options.rule
            )
        tried = self._try(splits)
        place = best(tried.rows, self.blueprint.recipe.grids[options.kernel], rule=options.rule)
        oof = tried.at(place, splits)
        params = self._absolute([row.params for row in tried.rows])
        return Selection(
            params=params[place],
            folds=len(splits),
            seed=options.seed,
            rows=tuple(replace(row, params=own) for row, own in zip(tried.rows, params, strict=True)),
            oof=oof,
            nested=self._judged(splits) if len(tried.rows) > 1 else oof if options.nested else None,
            rule=options.rule,
        )

    def _grid(self) -> Values:
        axes = self.blueprint.recipe.grids[self.options.kernel]
        if self.options.C is None:
            return {name: axis.values for name, axis in axes.items()}
        # With C given nothing is swept; gamma is scikit-learn's 'scale'.
        return {name: (self.options.C,) if name == "C" else (1.0,) for name in axes}

    def _try(self, splits: Sequence[Split]) -> _Tried:
        """Judge the points of the grid, which ends early or is widened as `enclosed` and `widened` say."""
        sweep = Sweep(
            self.blueprint, self.X, self.codes, splits, solver=self.options.solver, n_jobs=self.options.n_jobs
        )
        self._check_components(sweep.rows)
        axes = self.blueprint.recipe.grids[self.options.kernel]
        values: Values = {
            name: tuple(value for value in tried if not axes[name].counts_rows or value <= sweep.rows)
            for name, tried in self._grid().items()
        }
        found: dict[tuple[tuple[str, float], ...], tuple[SweepRow, list[Verdict]]] = {}
        rows: list[SweepRow] = []
        for widening in range(WIDENINGS + 1):
            new = [point for point in points_of(values) if tuple(point.items()) not in found]
            # In memory all new points are one stage. In blocks of rows each point is one, and the sweep ends where the
            # best is known to lie within: a large C takes hundreds of passes.
            for points in sweep.stages(new):
                for point, verdicts in zip(points, sweep.judge(points), strict=True):
                    found[tuple(point.items())] = SweepRow(params=point, scores=sweep.accuracies(verdicts)), verdicts
                rows = [found[key][0] for key in sorted(found)]
                if points[-1] is not new[-1] and enclosed(rows):
                    ((name, value),) = points[-1].items()
                    logger.info("the best %s is not at the edge of the grid: nothing beyond %g is tried", name, value)
                    break
            tried = values_of(rows)
            wider = widened(tried, rows, axes)
            if wider is None or widening == WIDENINGS:
                break
            for name in (name for name in wider if wider[name] != tried[name]):
                logger.info("the best %s is at the edge of the grid, so %s is tried, too", name, wider[name])
            values = wider
        return _Tried(rows=rows, verdicts=[found[key][1] for key in sorted(found)])

    def _judged(self, splits: Sequence[Split]) -> OutOfFold | None:
        """Cross-validate the choice where that is asked for, or where it isn't left out and there are images enough."""
        if self.options.nested is False:
            return None
        try:
            return self._nested(splits)
        except DataError as error:
            if self.options.nested:
                raise
            logger.info("no nested cross-validation: %s", error)
            return None

    def _nested(self, splits: Sequence[Split]) -> OutOfFold:
        """Predict every fold at the choice made on the other folds alone."""
        # For every fold, a whole choice on the rows outside it, with folds of its own (Varma and Simon 2006, "Bias in
        # error estimation when using cross-validation for model selection", BMC Bioinformatics 7).
        parts = []
        fewest = self.options.folds
        axes, options = self.blueprint.recipe.grids[self.options.kernel], self.options
        for train, test in splits:
            groups = None if self.groups is None else [self.groups[row] for row in train]
            inner = split(self.codes[train], self.names, groups, folds=options.folds, seed=options.seed, warn=False)
            fewest = min(fewest, len(inner))
            tried = self._try([(train[known], train[unknown]) for known, unknown in inner])
            point = tried.rows[best(tried.rows, axes, rule=options.rule)].params
            outer = Sweep(
                self.blueprint, self.X, self.codes, [(train, test)], solver=options.solver, n_jobs=options.n_jobs
            )
            parts.append(outer.judge([point])[0][0])
        if fewest < options.folds:
            # No warning: it changes no figure that is shown, and fewer folds of all rows were warned of before.
            logger.info("the settings for each fold are chosen with %d folds in place of %d", fewest, options.folds)
        return join(parts, splits)

    def _absolute(self, points: Sequence[Params]) -> list[Params]:
        """Turn relative points into the hyperparameters of a classifier that is fitted on all rows."""
        if not points or "gamma" not in points[0]:
            return [dict(point) for point in points]
        from featx.classifiers.machines import scale
        from featx.classifiers.steps import fit_transform

        # In a fold, gamma is a multiple of "scale" on the fold's rows; of the final fit, on all rows.
        unit = scale(fit_transform(self.blueprint.steps(), np.array(self.X)).astype(np.float64))
        return [{**point, "gamma": point["gamma"] * unit} for point in points]

    def _check_components(self, rows: int) -> None:
        if self.options.pca is not None and self.options.pca > rows:
            raise UsageError(
                f"`pca={self.options.pca}` needs at least {self.options.pca} images to fit on, but a fold has only "
                f"{rows}: choose a smaller number"
            )
