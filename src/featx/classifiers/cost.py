"""What a fit will cost, before it is begun, and which solver it is therefore given to.

The predictions are counts of operations and bytes times constants that were measured on two cores of an AMD EPYC
(Zen 4) with OpenBLAS. They are meant to be right within a factor of three: enough to tell seconds from hours.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from featx.errors import UsageError
from featx.machine import available_cores

MEMORY_SHARE = 0.5
"""Share of the available memory that a fit may plan with."""

PATIENCE = 600.0
"""Seconds beyond which another solver is taken where it is faster."""

HELD = 2**30
"""Bytes beyond which rows aren't copied to be faster: a fit from a memory map shall not need a multiple of its size."""

START = 0.2
"""Seconds that every fit takes, however small."""

FLOPS_32, FLOPS_64 = 8e10, 4e10
"""Operations of a matrix product per second and core."""

PASS, PASS_OF_CLASS = 7.5e-10, 4.6e-11
"""Seconds of the products of a pass over the rows for each number, and more for each class."""

READ = 1.2e-9
"""Seconds to read a number from a map and centre it, in every pass."""

PASSES = {"log": 45, "squared_hinge": 60}
"""Passes for one C in blocks, on average over a grid that goes along C with warm starts and a preconditioner. Of the
squared hinge a small C takes 20, and one of 0.1 almost 300, before which the grid is mostly left: what is predicted for
a single large C is too little."""

ROTATED_PASSES = 25
"""The same of a logistic regression on rotated rows in memory."""

LIBSVM = 2e-8
"""Seconds of libsvm for each pair of training rows on a Gram matrix; the pairs of classes share the rows."""

LIBSVM_KERNEL = 7e-10
"""Seconds of libsvm for each pair of training rows and column where it computes the kernel itself."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A prediction.

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


@dataclass(frozen=True, kw_only=True)
class _Work:
    """The size of a fit: `train` rows in each of `folds`, of which `jobs` are worked on at once."""

    n: int
    d: int
    k: int
    grid: int
    folds: int
    jobs: int

    @property
    def train(self) -> float:
        return self.n * (self.folds - 1) / self.folds if self.folds else self.n

    def seconds(self, *, once: float, each: float) -> float:
        """Time of all folds and the final fit: `once` per fold, `each` per point of the grid, both of one core.

        The final fit is of all rows and one point.
        """
        sweep = self.folds * (once + self.grid * each) / self.jobs
        return START + sweep + (once + each) * self.n / self.train


Estimate = tuple[float, float]


def _gram(work: _Work) -> Estimate:
    products = 2 * work.train**2 * work.d / FLOPS_64
    rows = 12 * work.n * work.d
    size = max(work.jobs * (8 * work.train**2 + rows), 8 * work.n**2 + rows)
    return work.seconds(once=products, each=LIBSVM * work.train**2), size


def _gram_of_distances(work: _Work) -> Estimate:
    seconds, size = _gram(work)
    # The distances stay while the kernel's matrix is made of them, for every gamma.
    return seconds + work.seconds(once=0.0, each=5e-9 * work.train * work.n), 3 * size


def _kernel_on_features(work: _Work) -> Estimate:
    return work.seconds(once=0.0, each=LIBSVM_KERNEL * work.train**2 * work.d), work.jobs * (16 * work.n * work.d + 2e8)


def _blockwise(loss: str) -> Callable[[_Work], Estimate]:
    def estimate(work: _Work) -> Estimate:
        one = work.train * work.d * (READ + PASS + PASS_OF_CLASS * work.k)
        side = min(work.d, 4_096)
        # The preconditioner: products of some rows, once, and an inverse for every C.
        once = 5 * one + 2 * min(work.train, 16_384) * side**2 / FLOPS_32
        each = PASSES[loss] * one + 3 * side**3 / FLOPS_32
        return work.seconds(once=once, each=each), work.jobs * (250 * work.d * work.k + 12 * side**2 + 8_192 * work.d)

    return estimate


def _rotated(work: _Work) -> Estimate:
    one = work.train * work.d * (PASS + PASS_OF_CLASS * work.k)
    side = min(work.train, work.d, 4_096)
    once = 4 * work.train * work.d * side / FLOPS_32 + 12 * side**3 / FLOPS_32
    return work.seconds(once=once, each=ROTATED_PASSES * one), work.jobs * (4 * work.n * work.d + 24 * side**2)


def _shifted(work: _Work) -> Estimate:
    side = min(work.train, work.d)
    once = (2 * work.train * work.d * side + 10 * side**3) / FLOPS_32
    return work.seconds(once=once, each=side**3 / FLOPS_32), work.jobs * (12 * work.n * work.d + 16 * side**2)


def _products_of_rows(work: _Work) -> Estimate:
    seconds = 2 * work.n**2 * work.d / FLOPS_32 / work.jobs + work.seconds(once=0.0, each=2e-9 * work.n**2)
    return seconds, work.jobs * (16 * work.n * work.d + 2e8)


def _one_pass(work: _Work) -> Estimate:
    each = 2e-9 * work.n * work.d
    return work.seconds(once=5 * each, each=each), work.jobs * 12 * work.n * work.d


ESTIMATES: Mapping[tuple[str, str], Mapping[str, Callable[[_Work], Estimate]]] = {
    ("svm", "linear"): {"gram": _gram, "blockwise": _blockwise("squared_hinge")},
    ("svm", "rbf"): {"gram": _gram_of_distances, "direct": _kernel_on_features},
    ("logreg", "linear"): {"direct": _rotated, "blockwise": _blockwise("log")},
    ("ridge", "linear"): {"direct": _shifted},
    ("lda", "linear"): {"direct": _shifted},
    ("knn", "linear"): {"direct": _products_of_rows},
    ("centroid", "linear"): {"direct": _one_pass},
}
"""Classifier and kernel -> solvers, the one that is preferred first."""

NAMES = {"gram": "on Gram matrices", "direct": "on the features in memory", "blockwise": "block by block"}


def predict_cost(
    clf: str, kernel: str, *, n: int, d: int, k: int, grid: int, folds: int, available_memory: int
) -> Cost:
    """Predict what choosing and fitting a classifier takes, and choose its solver.

    The first solver of `ESTIMATES` that needs no more than `MEMORY_SHARE` of the memory and `PATIENCE`; else the
    fastest of those that fit the memory, else the one that needs the least. A logistic regression is the same for each
    C by both of its solvers, and in memory only up to `HELD`.

    Parameters
    ----------
    clf, kernel : str
        Keys of `ESTIMATES`; the kernel of a classifier without kernels is ``"linear"``.
    n, d, k : int
        Images, columns, classes.
    grid : int
        Points of the grid, 1 or more.
    folds : int
        Folds, 0 for a fit without cross-validation.
    available_memory : int
        Bytes, such as `featx.machine.available_memory` gives.

    Raises
    ------
    UsageError
        Nothing is known of such a classifier.
    """
    try:
        solvers = ESTIMATES[clf, kernel]
    except KeyError:
        raise UsageError(f"no cost is known of classifier {clf!r} with kernel {kernel!r}") from None
    work = _Work(n=n, d=d, k=k, grid=grid, folds=folds, jobs=max(1, min(available_cores(), folds)))
    costs = {solver: estimate(work) for solver, estimate in solvers.items()}
    room = MEMORY_SHARE * available_memory
    if clf == "logreg":
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


def _why(solver: str, costs: Mapping[str, Estimate], work: _Work, room: float) -> str:
    sweep = f"{work.grid} x {work.folds} fits and a final one" if work.folds else "one fit"
    if solver == "blockwise" and work.folds and work.grid > 1:
        sweep = f"up to {sweep}"
    words = f"{sweep} of {work.n:,} x {work.d:,} {NAMES[solver]}"
    for other, (seconds, size) in costs.items():
        if other == solver:
            continue
        if size > room >= costs[solver][1]:
            words += f", since {NAMES[other]} it would take {size / 1e9:,.1f} GB of memory"
        elif seconds > costs[solver][0]:
            words += f", since {NAMES[other]} it would take {seconds:,.0f} s"
    return words
