"""One line in the log about all fits that stop before they converge."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from featx.classifiers.recipes import Recipe
from featx.words import counted

logger = logging.getLogger(__name__)


@contextmanager
def convergence_logged(recipe: Recipe | None = None) -> Iterator[None]:
    """Log fits that stop before they converge in one line, in place of a warning for each.

    Nothing is logged of classifiers whose row says that they are meant to end so.
    """
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        yield
    stopped = [entry for entry in caught if issubclass(entry.category, ConvergenceWarning)]
    if stopped and not (recipe is not None and recipe.counts_passes):
        reason = str(stopped[0].message).splitlines()[0]
        logger.warning(
            "%s before the best solution was reached (%s): try a smaller C",
            counted(len(stopped), "fit stopped", "fits stopped"),
            reason,
        )
    for entry in caught:
        if entry not in stopped:
            warnings.warn_explicit(entry.message, entry.category, entry.filename, entry.lineno)
