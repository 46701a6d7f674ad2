"""Plan of a fit, made before it starts: its predicted cost and its solver."""

import logging
from dataclasses import dataclass

from featx.classifiers import Blueprint
from featx.machine import available_memory
from featx.progress import LONG_SECONDS, Step
from featx.selection.grid import points_of
from featx.selection.options import SelectionOptions
from featx.words import counted

logger = logging.getLogger(__name__)

COPIED_UP_TO = 2**29
"""Bytes of features up to which a classifier that is the same in blocks of rows may take several times their memory;
beyond, no more than once again, which blocks do with. The copy is up to twice as fast."""


NESTED_SECONDS = 10.0
"""Predicted seconds up to which the choice itself is cross-validated too, unless told otherwise."""


@dataclass(frozen=True, kw_only=True)
class Plan(Step):
    """Predicted cost of choosing and fitting a classifier.

    Parameters
    ----------
    text : str
        All of it in a line.
    seconds : float or None
        Estimated duration; None where nothing is known of a classifier, or of a solver that was asked for.
    solver : {"gram", "direct", "blockwise"}
        Solver that is used.
    bytes : int or None
        Estimated peak memory.
    nested : bool
        The choice itself is cross-validated too.
    """

    solver: str
    bytes: int | None
    nested: bool


def log_plan(plan: Plan) -> None:
    """Log the plan of a fit, as a warning if the fit will take long."""
    long = plan.seconds is not None and plan.seconds > LONG_SECONDS
    logger.log(logging.WARNING if long else logging.INFO, "%s", plan.text)


def plan_fit(blueprint: Blueprint, shape: tuple[int, int], k: int, *, options: SelectionOptions) -> Plan:
    """Predict the cost of choosing and fitting a classifier.

    Parameters
    ----------
    blueprint : Blueprint
    shape : (n, d)
        Of the features.
    k : int
        Classes.
    options : SelectionOptions
        A solver named there is taken.
    """
    given = None if options.solver == "auto" else options.solver
    what = f"{blueprint.name} on {shape[0]:,} x {shape[1]:,} features of {counted(k, 'class', 'classes')}"
    if not isinstance(blueprint.clf, str):
        return Plan(solver=given or "direct", seconds=None, bytes=None, nested=bool(options.nested), text=what)
    from featx.classifiers.cost import predict_cost
    from featx.classifiers.workload import Workload

    grid = {name: axis.values for name, axis in blueprint.recipe.grids[options.kernel].items()}
    memory, size = available_memory(), 4 * shape[0] * shape[1]
    if blueprint.recipe.same_in_blocks and size > COPIED_UP_TO:
        memory = min(memory, 2 * size)
    work = Workload(
        n=shape[0],
        d=blueprint.pca or shape[1],
        k=k,
        grid=1 if options.C is not None else len(points_of(grid)),
        folds=options.folds,
    )
    cost = predict_cost(blueprint.name, options.kernel, work, available_memory=memory)
    solver = given or cost.solver
    if solver == "blockwise" and not blueprint.streams:
        solver = next(iter(blueprint.solvers))
        logger.warning(
            "%s: probably too large for the memory, because normalize and pca need all features at once; trying it",
            what,
        )
    if solver != cost.solver:
        text = f"{what}, by the solver {solver!r}"
        return Plan(solver=solver, seconds=None, bytes=None, nested=bool(options.nested), text=text)
    nested = options.nested
    if nested is None:
        nested = work.grid > 1 and cost.seconds * options.folds < NESTED_SECONDS
    seconds = cost.seconds * (1 + options.folds if nested else 1)
    text = f"{what}: about {_duration(seconds)} and {cost.bytes / 1e9:.1f} GB, by the solver {solver!r} ({cost.why})"
    return Plan(solver=solver, seconds=seconds, bytes=int(cost.bytes), nested=nested, text=text)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
