"""The classifiers by name: how each is made, and the values of its hyperparameters worth trying.

scikit-learn is imported where it is used: the command line reads names and defaults without waiting for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from featx.errors import UsageError

Params = Mapping[str, float]
"""Hyperparameters that are chosen, by name: ``{"C": 0.01}``, ``{"C": 1, "gamma": 5e-4}``, ``{}``."""

MAX_ITERATIONS = 5_000
"""L-BFGS needs tens of steps on standardised features, a few hundred where C is large."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One hyperparameter of a grid.

    Parameters
    ----------
    values : tuple of float
        What is tried, ascending. Of the kernel's gamma they are multiples of scikit-learn's ``"scale"`` on the rows
        that the classifier is fitted on, since what a good width is depends on them.
    simpler : {"low", "high"}
        Which end gives the smoother classifier: of equals, it is chosen.
    widened_by : float or None
        Factor from an edge where the best lies to the next value tried; None where the values span all there is.
    at_most_rows : bool
        No more than the rows that the classifier is fitted on.
    """

    values: tuple[float, ...]
    simpler: str = "low"
    widened_by: float | None = None
    at_most_rows: bool = False


class Settings(NamedTuple):
    """What a classifier is made with besides its hyperparameters."""

    kernel: str
    class_weight: str | None
    seed: int


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a classifier is made, and what is tried when its hyperparameters are chosen.

    Parameters
    ----------
    build : callable
        ``build(params, settings)`` gives the bare scikit-learn classifier.
    grids : mapping of str to mapping of str to Axis
        For each kernel that the classifier knows, the axes of its grid by hyperparameter, the most important first.
        A classifier without kernels has the one name ``"linear"``, which is everyone's default.
    defaults : mapping of str to Any
        Hyperparameters where none are given.
    weighs_classes : bool
        The classifier takes ``class_weight="balanced"``.
    streams : bool
        Its linear kernel can be fitted in blocks of rows, without a copy of all of them.
    """

    build: Callable[[Mapping[str, Any], Settings], Any]
    grids: Mapping[str, Mapping[str, Axis]]
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    weighs_classes: bool = False
    streams: bool = False


def _logistic_regression(params: Mapping[str, Any], given: Settings) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(
        C=params["C"], class_weight=given.class_weight, max_iter=MAX_ITERATIONS, random_state=given.seed
    )


def _support_vector_machine(params: Mapping[str, Any], given: Settings) -> Any:
    # Never LinearSVC: liblinear doesn't end in minutes on a few thousand dense deep features, libsvm takes seconds.
    from featx.classifiers.machines import PairwiseSVC

    return PairwiseSVC(C=params["C"], kernel=given.kernel, gamma=params["gamma"], class_weight=given.class_weight)


def _nearest_neighbours(params: Mapping[str, Any], given: Settings) -> Any:  # noqa: ARG001  (all are called alike)
    from sklearn.neighbors import KNeighborsClassifier

    # In hundreds of dimensions a tree is slower than comparing with every row, and it would lie in the model's file.
    return KNeighborsClassifier(n_neighbors=int(params["n_neighbors"]), algorithm="brute")


def _nearest_centroid(params: Mapping[str, Any], given: Settings) -> Any:  # noqa: ARG001  (all are called alike)
    from sklearn.neighbors import NearestCentroid

    return NearestCentroid()


def _ridge(params: Mapping[str, Any], given: Settings) -> Any:
    from sklearn.linear_model import RidgeClassifier

    return RidgeClassifier(alpha=params["alpha"], class_weight=given.class_weight, random_state=given.seed)


def _linear_discriminant(params: Mapping[str, Any], given: Settings) -> Any:  # noqa: ARG001  (all are called alike)
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=params["shrinkage"])


def _powers_of_ten(lowest: int, highest: int) -> tuple[float, ...]:
    return tuple(float(f"1e{exponent}") for exponent in range(lowest, highest + 1))


def _penalty(lowest: int, highest: int) -> Axis:
    return Axis(values=_powers_of_ten(lowest, highest), widened_by=10.0)


RECIPES: Mapping[str, Recipe] = {
    "logreg": Recipe(
        build=_logistic_regression,
        grids={"linear": {"C": _penalty(-4, 1)}},
        defaults={"C": 1.0},
        weighs_classes=True,
        streams=True,
    ),
    "svm": Recipe(
        build=_support_vector_machine,
        grids={
            "linear": {"C": _penalty(-5, 0)},
            "rbf": {"C": _penalty(-1, 2), "gamma": Axis(values=(0.25, 1.0, 4.0), widened_by=4.0)},
        },
        defaults={"C": 1.0, "gamma": "scale"},
        weighs_classes=True,
        streams=True,
    ),
    "knn": Recipe(
        build=_nearest_neighbours,
        grids={"linear": {"n_neighbors": Axis(values=(1, 3, 5, 9, 15, 25), simpler="high", at_most_rows=True)}},
        defaults={"n_neighbors": 5},
    ),
    "centroid": Recipe(build=_nearest_centroid, grids={"linear": {}}),
    "ridge": Recipe(
        build=_ridge,
        grids={"linear": {"alpha": Axis(values=_powers_of_ten(0, 6), simpler="high", widened_by=10.0)}},
        defaults={"alpha": 1.0},
        weighs_classes=True,
    ),
    "lda": Recipe(
        build=_linear_discriminant,
        grids={"linear": {"shrinkage": Axis(values=(0.001, 0.01, 0.1, 0.3, 0.6, 0.9), simpler="high")}},
        defaults={"shrinkage": 0.1},
    ),
}
"""The classifiers. On standardised features of 1,000 to 2,000 columns the best C is far below scikit-learn's default
of 1 for the linear ones, and above it for the rbf kernel."""


def find_recipe(name: str, *, kernel: str = "linear") -> Recipe:
    """Find the recipe of a classifier.

    Parameters
    ----------
    name : str
        A key of `RECIPES`.
    kernel : str
        A kernel that this classifier knows.

    Raises
    ------
    UsageError
        There is no such classifier, or it has no such kernel.
    """
    recipe = RECIPES.get(name)
    if recipe is None:
        raise UsageError(f"no classifier is called {name!r}: take one of {', '.join(RECIPES)}")
    if kernel not in recipe.grids:
        raise UsageError(f"classifier {name!r} has no kernel {kernel!r}: take one of {', '.join(recipe.grids)}")
    return recipe
