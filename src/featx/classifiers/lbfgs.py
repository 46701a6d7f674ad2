"""L-BFGS with a preconditioner, for smooth convex functions with rounding errors of float32.

scipy's L-BFGS-B takes no preconditioner, and a change of variables in its place would have to be exact, where an
approximate inverse of the Hessian in the two-loop recursion may be as rough as it likes. And it judges its progress by
the last step, where the decrement of a quasi-Newton step estimates what is left to gain.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-8
"""Gain that may be left, as a share of the objective. Below it the float32 products drown the gain in rounding."""

MAX_ITERATIONS = 1_000
HISTORY = 12
"""Pairs kept: more than scipy's 10, since they cost little beside a pass over the rows."""

SUFFICIENT = 1e-4
"""Share of the decrease that the slope promises which a step has to bring."""

SHORTEST_STEP = 1e-6
ROUNDING = 1e-7
"""Differences of values, as a share, that float32 products don't tell from none; slopes still tell them apart."""

STALLED = 1e-5
"""Gain that may be left, as the preconditioner estimates it, where rounding ends the descent before the tolerance."""

Vector = NDArray[np.float64]
Function = Callable[[Vector], tuple[float, Vector]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Minimum:
    """End of a minimisation.

    Parameters
    ----------
    at : (m,) float64
    value : float
    iterations : int
    converged : bool
        By estimate, no more than `TOLERANCE` of the value is left to gain.
    """

    at: Vector
    value: float
    iterations: int
    converged: bool


def minimise(
    function: Function,
    start: Vector,
    *,
    precondition: Callable[[Vector], Vector],
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> Minimum:
    """Minimise a smooth convex function [1]_.

    Parameters
    ----------
    function : callable
        Gives the value and the gradient ``(m,)`` at a point ``(m,)``.
    start : (m,) float64
    precondition : callable
        Multiplies a vector by a symmetric positive definite approximation of the inverse Hessian.
    tolerance : float
        Relative to the value.
    max_iterations : int

    Returns
    -------
    Minimum

    References
    ----------
    .. [1] Nocedal and Wright, "Numerical Optimization", 2nd edition, 2006, algorithms 7.4 and 3.1.
    """
    here = _Point(start, *function(start))
    pairs: deque[tuple[Vector, Vector, float]] = deque(maxlen=HISTORY)
    scale = 1.0
    for iteration in range(max_iterations):
        direction = -_inverse_hessian(here.gradient, pairs, precondition, scale)
        slope = float(here.gradient @ direction)
        # Half the Newton decrement squared, g'Hg / 2: what the step would gain if the function were the quadratic that
        # the gradient and H describe (Boyd and Vandenberghe, "Convex Optimization", 2004, section 9.5.1).
        if -slope / 2 <= tolerance * abs(here.value):
            return Minimum(at=here.at, value=here.value, iterations=iteration, converged=True)
        there = _step(function, here, direction, slope)
        if there is None:
            if not pairs:
                near = -slope / 2 <= STALLED * abs(here.value)
                return Minimum(at=here.at, value=here.value, iterations=iteration, converged=near)
            # Pairs that are mostly rounding lead nowhere; without them it may go on.
            pairs.clear()
            scale = 1.0
            continue
        moved, changed = there.at - here.at, there.gradient - here.gradient
        product = float(moved @ changed)
        # The curvature along the step. It is above zero for a convex function, but for rounding; H only stays positive
        # definite with such pairs. The scale fits H to the newest pair, as equation 7.20 of the book does where H is a
        # multiple of the identity.
        if product > 0:
            pairs.append((moved, changed, product))
            scale = product / float(changed @ precondition(changed))
        here = there
    return Minimum(at=here.at, value=here.value, iterations=max_iterations, converged=False)


@dataclass(frozen=True, eq=False)
class _Point:
    at: Vector
    value: float
    gradient: Vector


def _step(function: Function, here: _Point, direction: Vector, slope: float) -> _Point | None:
    """Search along a direction for a point that is low enough; None if there is none.

    Where rounding hides the difference of the values, the slope there decides [1]_.

    References
    ----------
    .. [1] Hager and Zhang, "A new conjugate gradient method with guaranteed descent and an efficient line search",
       SIAM Journal on Optimization 16, 2005: the approximate Wolfe conditions.
    """
    step = 1.0
    while step >= SHORTEST_STEP:
        at = here.at + step * direction
        there = _Point(at, *function(at))
        gained = here.value - there.value
        # Armijo's condition: a share of the decrease that the slope promises.
        if gained >= -SUFFICIENT * step * slope:
            return there
        # The approximate Wolfe condition: equal values but for rounding, and a slope no steeper upwards than Armijo's
        # condition allows for a parabola.
        if gained >= -ROUNDING * abs(here.value) and float(there.gradient @ direction) <= -(1 - 2 * SUFFICIENT) * slope:
            return there
        # The minimum of the parabola through both values and the slope here.
        step *= min(max(slope * step / (2 * (gained + step * slope)), 0.1), 0.5)
    return None


def _inverse_hessian(
    gradient: Vector,
    pairs: deque[tuple[Vector, Vector, float]],
    precondition: Callable[[Vector], Vector],
    scale: float,
) -> Vector:
    """Multiply the gradient by the approximate inverse Hessian: the two-loop recursion, algorithm 7.4 of the book.

    With s = moved and y = changed of a pair, and rho = 1 / s'y, the approximation is defined by
    H = (I - rho s y') H_before (I - rho y s') + rho s s', applied for the oldest pair first; `precondition` is the H
    before all pairs. The recursion multiplies by it without ever forming a matrix.
    """
    result = gradient.copy()
    weights = []
    # The factors (I - rho y s'), the newest pair first.
    for moved, changed, product in reversed(pairs):
        weight = float(moved @ result) / product
        weights.append(weight)
        result -= weight * changed
    result = scale * precondition(result)
    # The factors (I - rho s y'), and the terms rho s s', the oldest pair first.
    for (moved, changed, product), weight in zip(pairs, reversed(weights), strict=True):
        result += (weight - float(changed @ result) / product) * moved
    return result
