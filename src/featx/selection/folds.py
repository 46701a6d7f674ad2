"""Folds of a cross-validation, stratified by class, with groups kept together."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError
from featx.words import counted

logger = logging.getLogger(__name__)

Split = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rows to fit on and rows held out, each ascending."""


def split(
    codes: NDArray[np.int64],
    names: Sequence[str],
    groups: Sequence[str] | None,
    *,
    folds: int,
    seed: int,
    warn: bool = True,
) -> list[Split]:
    """Cut rows into folds.

    Parameters
    ----------
    codes : (n,) int
        Classes, 0 to k - 1.
    names : sequence of str, length k
        For messages.
    groups : sequence of str, length n, or None
        Rows of one group stay together; one whose group is ``""`` is on its own.
    folds : int
        Lowered where a class has fewer images or groups.
    seed : int
        Of the shuffle.
    warn : bool
        Warn of fewer folds; otherwise the caller does.

    Raises
    ------
    DataError
        A class has one image or group, or lies in one fold as a whole.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if groups is None:
        unit, splitter, units = "image", StratifiedKFold, None
        counts = np.bincount(codes)
    else:
        unit, splitter = "group", StratifiedGroupKFold
        # A tuple can't be mistaken for the name of a group.
        keys = [group or (row,) for row, group in enumerate(groups)]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        units = np.array([numbers[key] for key in keys])
        counts = np.bincount(np.unique(np.column_stack([codes, units]), axis=0)[:, 0])
    rarest = int(np.argmin(counts))
    possible = min(folds, int(counts[rarest]))
    if possible < 2:
        raise DataError(
            f"cross-validation needs at least two {unit}s of each class, but class {names[rarest]!r} has only one: "
            "add images"
        )
    if warn and possible < folds:
        logger.warning(
            "%d folds in place of %d, because class %r has only %s",
            possible,
            folds,
            names[rarest],
            counted(possible, unit),
        )
    splits = list(splitter(n_splits=possible, shuffle=True, random_state=seed).split(codes, codes, units))
    for train, _ in splits:
        missing = set(range(len(names))) - set(codes[train].tolist())
        if missing:
            raise DataError(
                f"all images of class {names[min(missing)]!r} came into one fold, because groups stay together: "
                "choose another seed or fewer folds, or add images"
            )
    return splits


@contextmanager
def warned_once() -> Iterator[None]:
    """Let each warning of `split` through once: several classifiers on the same rows would repeat it."""
    seen: set[str] = set()

    def new(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        known = message in seen
        seen.add(message)
        return not known

    logger.addFilter(new)
    try:
        yield
    finally:
        logger.removeFilter(new)
