"""The table of classifiers.

A classifier is a row here and, where it is fitted in a way of its own, a file beside: everything else (names in help
texts, grids, costs, the types that a model file may hold, ``clf="all"``) is made from the rows.
"""

from featx.classifiers.recipes import Axis, Recipe
from featx.errors import UsageError

ENOUGH_ITERATIONS = 5_000
"""L-BFGS needs tens of steps on standardised features, a few hundred where C is large."""

HIDDEN = 256
"""Units of the hidden layer of a network."""

PASSES = 50
"""Passes over the rows in the fit of a network."""

_OWN = "featx.classifiers."


def _powers_of_ten(lowest: int, highest: int) -> tuple[float, ...]:
    return tuple(float(f"1e{exponent}") for exponent in range(lowest, highest + 1))


def _penalty(lowest: int, highest: int) -> Axis:
    return Axis(values=_powers_of_ten(lowest, highest), widened_by=10.0, per_image=-1)


RECIPES: dict[str, Recipe] = {
    "logreg": Recipe(
        about="multinomial logistic regression",
        estimator="sklearn.linear_model.LogisticRegression",
        arguments={"max_iter": ENOUGH_ITERATIONS},
        grids={"linear": {"C": _penalty(-4, 1)}},
        defaults={"C": 1.0},
        solvers={"linear": {"direct": _OWN + "logistic.Logistic", "blockwise": _OWN + "streaming.Streaming"}},
        loss="log",
        same_in_blocks=True,
        weighs_classes=True,
        seeded=True,
        takes_views=True,
    ),
    # Never LinearSVC: liblinear doesn't end in minutes on a few thousand dense deep features, libsvm takes seconds.
    "svm": Recipe(
        about="support vector machine",
        estimator=_OWN + "machines.PairwiseSVC",
        grids={
            "linear": {"C": _penalty(-5, 0)},
            "rbf": {"C": _penalty(-1, 2), "gamma": Axis(values=(0.25, 1.0, 4.0), widened_by=4.0)},
        },
        defaults={"C": 1.0, "gamma": "scale"},
        solvers={
            "linear": {"gram": _OWN + "gram.Gram", "blockwise": _OWN + "streaming.Streaming"},
            "rbf": {"gram": _OWN + "gram.RadialGram", "direct": _OWN + "gram.Radial"},
        },
        loss="squared_hinge",
        also=(_OWN + "machines.OneVsRestLinear", "sklearn.svm.SVC"),
        weighs_classes=True,
        takes_views=True,
    ),
    # In hundreds of dimensions a tree is slower than comparing with every row, and it would lie in the model's file.
    "knn": Recipe(
        about="the class of most of the nearest neighbours",
        estimator="sklearn.neighbors.KNeighborsClassifier",
        arguments={"algorithm": "brute"},
        grids={"linear": {"n_neighbors": Axis(values=(1, 3, 5, 9, 15, 25), simpler="high", counts_rows=True)}},
        defaults={"n_neighbors": 5},
        # With few images, use one neighbour.
        untuned={"n_neighbors": 1},
        solvers={"linear": {"direct": _OWN + "neighbours.Neighbours"}},
    ),
    "centroid": Recipe(
        about="the class with the nearest mean",
        estimator="sklearn.neighbors.NearestCentroid",
        grids={"linear": {}},
        solvers={"linear": {"direct": _OWN + "centroids.Centroids"}},
        takes_views=True,
    ),
    "ridge": Recipe(
        about="ridge regression on the labels",
        estimator="sklearn.linear_model.RidgeClassifier",
        grids={"linear": {"alpha": Axis(values=_powers_of_ten(0, 6), simpler="high", widened_by=10.0, per_image=1)}},
        defaults={"alpha": 1.0},
        solvers={"linear": {"direct": _OWN + "shifted.Ridge"}},
        weighs_classes=True,
        seeded=True,
        takes_views=True,
    ),
    "lda": Recipe(
        about="linear discriminant analysis",
        estimator="sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
        arguments={"solver": "lsqr"},
        grids={"linear": {"shrinkage": Axis(values=(0.001, 0.01, 0.1, 0.3, 0.6, 0.9), simpler="high")}},
        defaults={"shrinkage": 0.1},
        solvers={"linear": {"direct": _OWN + "shifted.Discriminant"}},
        takes_views=True,
    ),
    # Below the first alpha the penalty does nothing that can be measured, and beyond the last the network learns less.
    "mlp": Recipe(
        about="small neural network; not clearly better than logreg on the images tried",
        estimator="sklearn.neural_network.MLPClassifier",
        arguments={"hidden_layer_sizes": (HIDDEN,), "max_iter": PASSES},
        grids={"linear": {"alpha": Axis(values=(0.01, 1.0, 10.0), simpler="high")}},
        defaults={"alpha": 1.0},
        solvers={"linear": {"direct": _OWN + "networks.Network"}},
        counts_passes=True,
        seeded=True,
        takes_views=True,
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
        raise UsageError(f"there is no classifier {name!r}: choose one of {', '.join(RECIPES)}")
    if kernel not in recipe.grids:
        raise UsageError(f"classifier {name!r} has no kernel {kernel!r}: choose one of {', '.join(recipe.grids)}")
    return recipe


def describe() -> str:
    """List all classifiers with a few words about each, for help texts."""
    return ", ".join(f"{name} ({recipe.about})" for name, recipe in RECIPES.items())


def kernels() -> list[str]:
    """List the kernels of all classifiers."""
    return list(dict.fromkeys(kernel for recipe in RECIPES.values() for kernel in recipe.grids))


def weighing() -> list[str]:
    """List the classifiers that take ``class_weight="balanced"``."""
    return [name for name, recipe in RECIPES.items() if recipe.weighs_classes]


def taking_views() -> list[str]:
    """List the classifiers that can be fitted on views."""
    return [name for name, recipe in RECIPES.items() if recipe.takes_views]
