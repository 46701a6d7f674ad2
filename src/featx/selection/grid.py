"""The grid of hyperparameters: its points, the best of them, its early end and its widening."""

import itertools
import logging
from collections.abc import Mapping, Sequence

from featx.classifiers import Axis, Params
from featx.selection.results import SweepRow

logger = logging.getLogger(__name__)

WIDENINGS = 4
"""Times that a grid is widened at most."""

Values = Mapping[str, tuple[float, ...]]
"""Hyperparameter -> the values tried, ascending."""


def points_of(values: Values) -> list[Params]:
    """List the points of a grid, ascending, the first hyperparameter changing slowest."""
    return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]


def values_of(rows: Sequence[SweepRow]) -> Values:
    """List the values of each hyperparameter in the rows of a sweep, ascending."""
    names = rows[0].params
    return {name: tuple(sorted({row.params[name] for row in rows})) for name in names}


def simplest_first(points: Sequence[Params], axes: Mapping[str, Axis]) -> list[int]:
    """Order points from the smoothest classifier on, the first hyperparameter weighing most."""
    signs = {name: 1 if axis.simpler == "low" else -1 for name, axis in axes.items()}
    return sorted(range(len(points)), key=lambda i: [sign * points[i][name] for name, sign in signs.items()])


def best(rows: Sequence[SweepRow], axes: Mapping[str, Axis], *, rule: str = "best") -> int:
    """Choose the row with the highest mean, of equals the simplest.

    Parameters
    ----------
    rows : sequence of SweepRow
    axes : mapping of str to Axis
        Hyperparameters, and what is simple.
    rule : {"best", "one-se"}
        One-se takes the simplest within one standard error of the best.
    """
    # Rounded, since the same fold scores in another order have another mean in the last bit.
    means = [round(row.mean, 12) for row in rows]
    order = simplest_first([row.params for row in rows], axes)
    highest = max(order, key=lambda i: means[i])
    if rule == "best":
        return highest
    enough = means[highest] - rows[highest].standard_error
    return next(i for i in order if means[i] >= enough)


def enclosed(rows: Sequence[SweepRow]) -> bool:
    """Tell if the best value of a single hyperparameter lies within the values tried, so that the sweep can end.

    The first value and the last two fall short of it, by more than a standard error. Where the first is as good, as
    where the weakest classifiers all name the most frequent class, the best may be yet to come.

    Parameters
    ----------
    rows : sequence of SweepRow
        Ascending.
    """
    highest = max(rows, key=lambda row: row.mean)
    enough = highest.mean - highest.standard_error
    return len(rows) > 3 and all(row.mean < enough for row in (rows[0], *rows[-2:]))


def widened(values: Values, rows: Sequence[SweepRow], axes: Mapping[str, Axis]) -> Values | None:
    """Add a value beyond each edge where the best lies; None if it lies within.

    It lies at an edge only if nothing further in is as good: where a whole flank of the grid is level, beyond it more
    of the same is to be expected.
    """
    means = {tuple(row.params.items()): round(row.mean, 12) for row in rows}
    highest = max(means.values())
    leaders = [dict(point) for point, mean in means.items() if mean == highest]
    found = dict(values)
    for name, axis in axes.items():
        at = {point[name] for point in leaders}
        if axis.widened_by is None or len(values[name]) < 2 or len(at) > 1:
            continue
        low, high = values[name][0], values[name][-1]
        # Rounded, so that a power of ten stays one.
        if at == {low}:
            found[name] = (float(f"{low / axis.widened_by:.12g}"), *values[name])
        elif at == {high}:
            found[name] = (*values[name], float(f"{high * axis.widened_by:.12g}"))
    return None if found == dict(values) else found
