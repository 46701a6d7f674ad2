"""Size of a fit, and the speeds from which its cost is predicted."""

from dataclasses import dataclass

Estimate = tuple[float, float]
"""Seconds, and bytes beyond the features themselves."""

START = 0.2
"""Seconds that every fit takes, however small."""

FLOPS_32, FLOPS_64 = 8e10, 4e10
"""Operations of a matrix product per second and core."""

PASS, PASS_OF_CLASS = 7.5e-10, 4.6e-11
"""Seconds of the products of a pass over the rows for each number, and more for each class."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Size of a sweep and the final fit.

    Parameters
    ----------
    n, d, k : int
        Images, columns, classes.
    grid : int
        Points of the grid, 1 or more.
    folds : int
        Folds, 0 for a fit without cross-validation.
    jobs : int
        Folds that are worked on at once.
    loss : {"log", "squared_hinge"} or None
        What is minimised, for the blockwise solver.
    """

    n: int
    d: int
    k: int
    grid: int
    folds: int
    jobs: int = 1
    loss: str | None = None

    @property
    def train(self) -> float:
        """Rows that a classifier is fitted on in a fold."""
        return self.n * (self.folds - 1) / self.folds if self.folds else self.n

    def seconds(self, *, once: float, each: float) -> float:
        """Add up the time of all folds and the final fit.

        `once` is spent in every fold and `each` at every point of the grid, both on one core.
        The final fit is of all rows and one point.
        """
        sweep = self.folds * (once + self.grid * each) / self.jobs
        return START + sweep + (once + each) * self.n / self.train
