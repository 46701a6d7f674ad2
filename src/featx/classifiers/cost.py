"""Predicted cost of a fit, and the choice of its solver.

The predictions are counts of operations and bytes times constants that were measured on two cores of an AMD EPYC
(Zen 4) with OpenBLAS. They are meant to be right within a factor of three: enough to tell seconds from hours. Every
solver has its own, in its method ``cost``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from featx.classifiers.recipes import load
from featx.classifiers.table import find_recipe
from featx.classifiers.workload import Estimate, Workload
from featx.machine import available_cores

MEMORY_SHARE = 0.5
"""Share of the available memory that a fit may plan with."""

PATIENCE = 600.0
"""Seconds beyond which another solver is taken where it is faster."""

HELD = 2**30
"""Bytes beyond which rows aren't copied to be faster: a fit from a memory map shall not need a multiple of its size."""

SOLVER_PHRASES = {"gram": "on Gram matrices", "direct": "on the features in memory", "blockwise": "block by block"}
"""Kind of solver -> how it works, in a message."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Predicted cost of a sweep and the final fit.

    Parameters
    ----------
    seconds : float
        Of the sweep and the final fit.
    bytes : int
        Beyond the features themselves, at most.
    solver : {"gram", "direct", "blockwise"}
        On Gram matrices; by the scikit-learn classifier on the features in memory; or by passes over blocks of rows.
    why : str
        One line that says what is done, and why by this solver.
    """

    seconds: float
    bytes: int
    solver: str
    why: str


def predict_cost(clf: str, kernel: str, work: Workload, *, available_memory: int) -> Cost:
    """Predict the cost of choosing and fitting a classifier, and choose its solver.

    Taken is the first solver of the classifier's row that needs no more than `MEMORY_SHARE` of the memory and no longer
    than `PATIENCE`. If there is none, it is the fastest of those that fit into memory, or else the one that needs the
    least. A classifier that is the same in blocks is fitted in memory only up to `HELD`.

    Parameters
    ----------
    clf, kernel : str
        A classifier's name, and one of its kernels; of a classifier without kernels ``"linear"``.
    work : Workload
        As many folds are worked on at once as there are cores.
    available_memory : int
        Bytes, such as `featx.machine.available_memory` gives.

    Raises
    ------
    UsageError
        There is no such classifier, or it has no such kernel.
    """
    recipe = find_recipe(clf, kernel=kernel)
    work = replace(work, jobs=max(1, min(available_cores(), work.folds)), loss=recipe.loss)
    costs = {solver: load(name).cost(work) for solver, name in recipe.solvers[kernel].items()}
    room = MEMORY_SHARE * available_memory
    if recipe.same_in_blocks:
        room = min(room, HELD)
    fitting = [solver for solver in costs if costs[solver][1] <= room]
    quick = [solver for solver in fitting if costs[solver][0] <= PATIENCE]
    if quick:
        solver = quick[0]
    elif fitting:
        solver = min(fitting, key=lambda name: costs[name][0])
    else:
        solver = min(costs, key=lambda name: costs[name][1])
    seconds, size = costs[solver]
    return Cost(seconds=seconds, bytes=math.ceil(size), solver=solver, why=_why(solver, costs, work, room))


def _why(solver: str, costs: Mapping[str, Estimate], work: Workload, room: float) -> str:
    sweep = f"{work.grid} x {work.folds} fits and a final one" if work.folds else "one fit"
    if solver == "blockwise" and work.folds and work.grid > 1:
        sweep = f"up to {sweep}"
    words = f"{sweep} of {work.n:,} x {work.d:,} {SOLVER_PHRASES[solver]}"
    for other, (seconds, size) in costs.items():
        if other == solver:
            continue
        if size > room >= costs[solver][1]:
            words += f", because {SOLVER_PHRASES[other]} it would take {size / 1e9:,.1f} GB of memory"
        elif seconds > costs[solver][0]:
            words += f", because {SOLVER_PHRASES[other]} it would take {seconds:,.0f} s"
    return words
