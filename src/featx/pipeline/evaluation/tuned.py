"""Scored images whose labels the backbone's weights have learnt: they say nothing of new images."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx.leakage import Leak
from featx.leakage.tuned import NO_TEST, among
from featx.model import Model
from featx.store import FeatureStore
from featx.words import counted


def tuned_images(model: Model, store: FeatureStore | None, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the scored images (n,) that the backbone was tuned on, by their content, whatever their names are.

    Parameters
    ----------
    model : Model
    store : FeatureStore or None
        The scored images; None where they are those that the model was fitted on.
    rows : (n,) int64
        Rows of the store.
    """
    if store is None:
        return model.tuned
    return among(store.digests[rows], np.concatenate([model.tuned_on, store.tuned_on]))


def cross_validation(model: Model) -> str:
    """Say for people what cross-validation was made on, marked where the backbone has learnt the labels."""
    text = f"cross-validation ({model.selection.folds} folds)"
    tuned = int(model.tuned.sum())
    if not tuned:
        return text
    return f"{text}, {NO_TEST if tuned == len(model.tuned) else f'the network was tuned on {tuned:,} of these images'}"


def words(tuned: int, n: int, *, crossed: bool) -> list[str]:
    """Say how many of the scored images the backbone was tuned on."""
    if not tuned:
        return []
    which = "all of these images" if tuned == n else f"{tuned:,} of {counted(n, 'image')}"
    advice = "; score the model on images that the network has not seen" if crossed and tuned == n else ""
    return [f"the network was tuned on {which}, with their labels: figures on them are too high{advice}"]


def leaks(
    tuned: NDArray[np.bool_], paths: Sequence[str], labels: Sequence[str], *, named: Sequence[Leak]
) -> tuple[Leak, ...]:
    """Name the scored images that the backbone was tuned on, and that are not named yet."""
    known = {one.path for one in named if one.where == "train-test"}
    return tuple(
        Leak(path=paths[row], other="", kind="exact", where="train-test", labels=(labels[row], ""))
        for row in np.flatnonzero(tuned).tolist()
        if paths[row] not in known
    )
