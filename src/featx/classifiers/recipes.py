"""Types of the table of classifiers: a row (`Recipe`), and one hyperparameter of its grid (`Axis`)."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Params = Mapping[str, float]
"""Hyperparameters that are chosen, by name: ``{"C": 0.01}``, ``{"C": 1, "gamma": 5e-4}``, ``{}``."""

SCIKIT_LEARN_ALONE = {"linear": {"direct": "featx.classifiers.direct.Direct"}}
"""Solvers of a classifier that shares no work between the points of its grid."""


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
    counts_rows : bool
        Values are whole numbers, at most the number of rows that the classifier is fitted on.
    per_image : {-1, 0, 1}
        Power of the number of rows of an image that multiplies a value where views are rows too: -1 of C, a factor
        of the sum of all losses, and 1 of a penalty beside that sum. So a value means the same with and without views.
    """

    values: tuple[float, ...]
    simpler: str = "low"
    widened_by: float | None = None
    counts_rows: bool = False
    per_image: int = 0


class Settings(NamedTuple):
    """Arguments of a classifier besides its hyperparameters."""

    kernel: str
    class_weight: str | None
    seed: int


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Row of the table of classifiers.

    Types are named in full and imported when they are needed, so that reading the table loads neither scikit-learn nor
    NumPy.

    Parameters
    ----------
    about : str
        A few words for help texts.
    estimator : str
        Type of the bare classifier.
    arguments : mapping of str to Any
        Arguments of that type that are always the same.
    grids : mapping of str to mapping of str to Axis
        For each kernel that the classifier knows, the axes of its grid by hyperparameter, the most important first.
        A classifier without kernels has the one name ``"linear"``, which is everyone's default.
    defaults : mapping of str to Any
        Hyperparameters where none are given.
    untuned : mapping of str to Any
        Hyperparameters for too few images to choose any, where they differ from the defaults.
    solvers : mapping of str to mapping of str to str
        For each kernel, the solvers that can fit the classifier, the preferred one first: their kind (``"gram"``,
        ``"direct"`` or ``"blockwise"``) and their type, `Direct` or a subclass, or `Streaming`.
    loss : {"log", "squared_hinge"} or None
        What the blockwise solver minimises; None where there is none.
    same_in_blocks : bool
        The blockwise solver gives the same classifier as the others, so that it is taken before memory is short.
    also : tuple of str
        Further types that the classifier has in model files: those that solvers give, and those of earlier versions.
    weighs_classes : bool
        The classifier takes ``class_weight="balanced"``.
    seeded : bool
        The classifier takes ``random_state``.
    counts_passes : bool
        A fit ends after a number of passes over the rows, which is a setting: that it hasn't converged is no warning.
    takes_views : bool
        Views of an image can be rows of the fit too, each with the same share of the image's weight.
    """

    about: str = ""
    estimator: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    grids: Mapping[str, Mapping[str, Axis]]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    untuned: Mapping[str, Any] = field(default_factory=dict)
    solvers: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: SCIKIT_LEARN_ALONE)
    loss: str | None = None
    same_in_blocks: bool = False
    also: tuple[str, ...] = ()
    weighs_classes: bool = False
    seeded: bool = False
    counts_passes: bool = False
    takes_views: bool = False

    def build(self, params: Mapping[str, Any], given: Settings) -> Any:
        """Make the bare, unfitted classifier; hyperparameters that are not given have their defaults."""
        arguments = {**self.arguments, **{name: params.get(name, usual) for name, usual in self.defaults.items()}}
        for name, axis in self.grids[given.kernel].items():
            if axis.counts_rows:
                arguments[name] = int(arguments[name])
        if set(self.grids) != {"linear"}:
            arguments["kernel"] = given.kernel
        if self.weighs_classes:
            arguments["class_weight"] = given.class_weight
        if self.seeded:
            arguments["random_state"] = given.seed
        return load(self.estimator)(**arguments)

    @property
    def types(self) -> tuple[type, ...]:
        """Types that the fitted classifier can have."""
        return tuple(load(name) for name in (self.estimator, *self.also))


def load(name: str) -> Any:
    """Import a class or function by its full name."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)
