"""The final fit of a pipeline on all rows, by the solver of its sweep."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.blueprint import Blueprint
from featx.classifiers.direct import Direct
from featx.classifiers.recipes import SCIKIT_LEARN_ALONE, load
from featx.classifiers.steps import fit_transform
from featx.classifiers.streaming import Streaming
from featx.errors import UsageError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def solver_of(blueprint: Blueprint, solver: str) -> type[Direct]:
    """Find the type of solver for a classifier whose features lie in memory.

    Parameters
    ----------
    blueprint : Blueprint
    solver : {"gram", "direct"}
        The first is for support vector machines.

    Raises
    ------
    UsageError
        No such solver.
    """
    if solver not in ("gram", "direct"):
        raise UsageError(f"the solver must be gram, direct or blockwise, found {solver!r}")
    found: type[Direct] = load(blueprint.solvers.get(solver, SCIKIT_LEARN_ALONE["linear"]["direct"]))
    return found


def fit_pipeline(
    blueprint: Blueprint,
    params: Mapping[str, Any],
    X: NDArray[Any],
    y: NDArray[np.int64],
    *,
    solver: str,
    threads: int = 1,
) -> "Pipeline":
    """Fit the steps and the classifier on all rows, the classifier by the solver that its sweep used.

    Parameters
    ----------
    blueprint : Blueprint
    params : mapping of str to Any
        Hyperparameters, for images where these have views (`Blueprint.for_rows`); others have their defaults.
    X : (n, d) float32 or float64
        May be mapped from a file; one copy is made, unless the solver goes by blocks.
    y : (n,) int
        Classes, 0 to k - 1.
    solver : {"gram", "direct", "blockwise"}
    threads : int
        Blocks worked on at once by the last of these.

    Returns
    -------
    sklearn.pipeline.Pipeline
    """
    params = blueprint.for_rows({**blueprint.recipe.defaults, **params})
    if solver == "blockwise":
        return Streaming(blueprint, X, y, threads=threads).fit(params)
    steps = blueprint.steps()
    known = fit_transform(steps, np.array(X))
    return blueprint.join(steps, solver_of(blueprint, solver)(blueprint, known, y).fit(params))
