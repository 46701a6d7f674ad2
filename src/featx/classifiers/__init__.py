"""Classifiers by name: a scikit-learn pipeline of a scaler and a classifier, and the values of C worth trying.

Every classifier sees standardised features: deep features differ in scale by orders of magnitude, and both the
penalty of a logistic regression and the kernels of an SVM weigh every feature by its scale.

scikit-learn is imported where it is used: the command line reads names and defaults without waiting for it.
"""

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError, UsageError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

logger = logging.getLogger(__name__)

MAX_ITERATIONS = 5_000
"""L-BFGS needs tens of steps on standardised features, a few hundred where C is large."""

ROWS_AT_ONCE = 4_096
"""Rows looked at together, so that features mapped from a file never lie in memory as a whole for a check."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a classifier is made, and what is tried when C is chosen.

    Parameters
    ----------
    build : callable
        ``build(C, kernel, seed)`` gives the bare scikit-learn classifier. A recipe with `gram` also takes the kernel
        ``"precomputed"``.
    grids : mapping of str to tuple of float
        For each kernel that the classifier knows, the values of C to try, ascending.
    gram : bool
        The classifier needs no more than the kernel's matrix, which a sweep over C can share.
    """

    build: Callable[[float, str, int], Any]
    grids: Mapping[str, tuple[float, ...]]
    gram: bool = False


def _logistic_regression(C: float, kernel: str, seed: int) -> Any:  # noqa: ARG001  (every recipe is called alike)
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=C, max_iter=MAX_ITERATIONS, random_state=seed)


def _support_vector_machine(C: float, kernel: str, seed: int) -> Any:  # noqa: ARG001  (libsvm draws nothing at random)
    from sklearn.svm import SVC

    # Never LinearSVC: liblinear doesn't end in minutes on a few thousand dense deep features, libsvm takes seconds.
    return SVC(C=C, kernel=kernel)


def _powers_of_ten(lowest: int, highest: int) -> tuple[float, ...]:
    return tuple(float(f"1e{exponent}") for exponent in range(lowest, highest + 1))


RECIPES: Mapping[str, Recipe] = {
    "logreg": Recipe(build=_logistic_regression, grids={"linear": _powers_of_ten(-4, 1)}),
    "svm": Recipe(
        build=_support_vector_machine,
        grids={"linear": _powers_of_ten(-5, 0), "rbf": _powers_of_ten(-1, 2)},
        gram=True,
    ),
}
"""The classifiers. On standardised features of 1,000 to 2,000 columns the best C is far below scikit-learn's default
of 1 for the linear ones, and above it for the rbf kernel."""


def trusted_steps() -> tuple[type, ...]:
    """List the types that a step of a featx pipeline can have: a model file with any other is refused."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return StandardScaler, LogisticRegression, SVC


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


def check_penalty(C: float) -> None:
    """Raise `UsageError` unless C is a finite number above zero."""
    if not (math.isfinite(C) and C > 0):
        raise UsageError(f"C must be a finite number above zero, found {C!r}")


def make_classifier(name: str, *, C: float = 1.0, kernel: str = "linear", seed: int = 0) -> "Pipeline":
    """Make an unfitted classifier: an ordinary scikit-learn pipeline of ``scaler`` and ``classifier``.

    ``"logreg"`` is a multinomial logistic regression fitted by L-BFGS, ``"svm"`` a support vector machine fitted by
    libsvm, one against one [1]_.

    Parameters
    ----------
    name : {"logreg", "svm"}
        Which classifier.
    C : float
        Inverse strength of the penalty, above zero.
    kernel : {"linear", "rbf"}
        Kernel of the SVM; the logistic regression is linear.
    seed : int
        For classifiers that draw at random; neither of these does, so they give the same result for every seed.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Takes features ``(n, d)`` float32 or float64 and any labels.

    Raises
    ------
    UsageError
        Unknown name or kernel, or a C that isn't above zero.

    References
    ----------
    .. [1] Chang and Lin, "LIBSVM: a library for support vector machines", ACM TIST 2(3), 2011.

    Examples
    --------
    >>> make_classifier("svm", C=0.01).steps
    [('scaler', StandardScaler()), ('classifier', SVC(C=0.01, kernel='linear'))]
    """
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    recipe = find_recipe(name, kernel=kernel)
    check_penalty(C)
    return Pipeline([("scaler", StandardScaler()), ("classifier", recipe.build(C, kernel, seed))])


def class_scores(classifier: Any, X: NDArray[Any]) -> NDArray[np.float64]:
    """Score every class for every row; higher is likelier.

    Of an SVM these are its pairwise votes, ties refined by the margins (scikit-learn's ``ovr`` shape). They rank
    classes: the label is always what ``predict`` says, which among classes with equally many votes takes the first,
    where the scores take the one with the wider margins. Of two classes, the first's score is the second's negated.

    Parameters
    ----------
    classifier : fitted scikit-learn classifier or pipeline
    X : (n, d) array

    Returns
    -------
    (n, k) float64
        Columns in the order of ``classifier.classes_``.
    """
    scores = np.asarray(classifier.decision_function(X), dtype=np.float64)
    return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores


def class_probabilities(classifier: Any, X: NDArray[Any]) -> NDArray[np.float64] | None:
    """Give the probability of every class ``(n, k)`` float64, or None where the classifier has none (an SVM)."""
    if not hasattr(classifier, "predict_proba"):
        return None
    return np.asarray(classifier.predict_proba(X), dtype=np.float64)


def check_features(X: NDArray[Any]) -> None:
    """Raise `DataError` unless X is a matrix of finite numbers.

    Parameters
    ----------
    X : (n, d) floating point array
        May be mapped from a file: it is read in blocks of rows.
    """
    if X.ndim != 2 or X.shape[1] == 0 or not np.issubdtype(X.dtype, np.floating):
        raise DataError(f"features must be a floating point matrix (n, d), found {X.dtype} of shape {X.shape}")
    for first in range(0, len(X), ROWS_AT_ONCE):
        finite = np.isfinite(X[first : first + ROWS_AT_ONCE]).all(axis=1)
        if not finite.all():
            row = first + int(np.argmin(finite))
            raise DataError(f"features must be finite, row {row} holds NaN or infinity: extract its image again")


@contextmanager
def convergence_logged() -> Iterator[None]:
    """Within this block, fits that stop before they converge are logged in one line, not warned about one by one."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        yield
    stopped = [entry for entry in caught if issubclass(entry.category, ConvergenceWarning)]
    if stopped:
        reason = str(stopped[0].message).splitlines()[0]
        logger.warning("%d fits stopped before they converged (%s): try a smaller C", len(stopped), reason)
    for entry in caught:
        if entry not in stopped:
            warnings.warn_explicit(entry.message, entry.category, entry.filename, entry.lineno)
