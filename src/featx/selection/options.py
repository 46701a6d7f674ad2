"""Options of the choice of hyperparameters."""

from dataclasses import dataclass
from typing import Any

from featx.classifiers import Blueprint, check_penalty
from featx.errors import UsageError

RULES = ("best", "one-se")
SOLVER_NAMES = ("auto", "gram", "direct", "blockwise")


@dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """Options of the choice of hyperparameters.

    Parameters
    ----------
    kernel : {"linear", "rbf"}
        Kernel of an SVM.
    C : float or None
        Take this C; None sweeps the classifier's grid.
    folds : int
        Parts of the cross-validation, 2 or more. Lowered, with a warning, where a class has fewer images (or groups).
    seed : int
        Of the shuffle before the folds are cut, and of the classifier.
    n_jobs : int
        Fits worked on at once, as joblib counts: -1 is one per core. Changes no result.
    class_weight : {None, "balanced"}
        Balanced weighs every image by the inverse of its class's frequency.
    normalize : {None, "l2"}
        Bring every feature vector to length one, before the scaler.
    pca : int or None
        Keep so many principal components, after the scaler.
    nested : bool or None
        Also cross-validate the choice itself: every fold is predicted by a classifier whose hyperparameters were
        chosen by a cross-validation of the other folds alone. None does so where there are enough images and,
        for a model, where it is predicted to take seconds.
    rule : {"best", "one-se"}
        Of the sweep, take the best by mean accuracy, or the simplest whose mean lies within one standard error of it
        [1]_.
    solver : {"auto", "gram", "direct", "blockwise"}
        What fits: through Gram matrices (SVM), on all rows in memory, or in blocks of rows (linear SVM, then one class
        against the rest, and logistic regression), where the sweep ends with the best well within. Auto is by
        predicted time and memory.
    views : int
        Views of each image that are rows of the fit too.

    Raises
    ------
    UsageError
        A value that makes no sense.

    References
    ----------
    .. [1] Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 2nd edition, 2009, section 7.10.
    """

    kernel: str = "linear"
    C: float | None = None
    folds: int = 5
    seed: int = 0
    n_jobs: int = -1
    class_weight: str | None = None
    normalize: str | None = None
    pca: int | None = None
    nested: bool | None = False
    rule: str = "best"
    solver: str = "auto"
    views: int = 0

    def __post_init__(self) -> None:
        if self.C is not None:
            check_penalty(self.C)
        if self.folds < 2:
            raise UsageError(f"cross-validation needs at least two folds, found {self.folds}")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"`seed` must be a number from 0 to 4,294,967,295, and is {self.seed}")
        if self.n_jobs == 0:
            raise UsageError(
                "`jobs` must be the number of fits that run at the same time, or -1 for one per core; found 0"
            )
        for name, given, known in (("rule", self.rule, RULES), ("solver", self.solver, SOLVER_NAMES)):
            if given not in known:
                raise UsageError(f"{name} must be one of {', '.join(known)}, found {given!r}")

    def blueprint(self, clf: Any) -> Blueprint:
        """Put a classifier's name, or an estimator, and these options together.

        Raises
        ------
        UsageError
            Unknown classifier, or options that it doesn't have.
        """
        blueprint = Blueprint(
            clf=clf,
            kernel=self.kernel,
            class_weight=self.class_weight,
            normalize=self.normalize,
            pca=self.pca,
            seed=self.seed,
            views=self.views,
        )
        if self.C is not None and "C" not in blueprint.recipe.defaults:
            raise UsageError(f"classifier {blueprint.name!r} has no `C`: leave it out")
        able = {"gram": "gram" in blueprint.solvers, "blockwise": blueprint.streams}
        if not able.get(self.solver, True):
            raise UsageError(
                f"the solver {self.solver!r} can't fit {blueprint.name!r} with these options: choose 'auto'"
            )
        return blueprint


DEFAULT_OPTIONS = SelectionOptions()
