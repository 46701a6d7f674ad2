"""Test and validation sets: those beside a training store, and their names in names of reports."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featx.errors import FeatxError
from featx.manifest.listing import split_named
from featx.pipeline.evaluation.training import Training
from featx.pipeline.naming import TEST_SOURCE, report_path
from featx.reports import Report
from featx.store import FeatureStore, open_store
from featx.words import counted

WORDS = {"test": "test set", "val": "validation set"}
"""Splits to score on, the preferred one first, and what they are called."""

LONGEST = 80
"""Bytes of a set's name in the name of a file; a longer one is replaced by its digest."""

_DRAWN = re.compile(r"-limit\d+(?:-seed\d+)?")


@dataclass(frozen=True, kw_only=True, eq=False)
class Choice:
    """The images to score on, where nobody names any.

    Parameters
    ----------
    source : FeatureStore, Path or None
        Where they are; None is cross-validation.
    remarks : tuple of str
        Sentences for people: which set was taken, and which was not.
    """

    source: FeatureStore | Path | None
    remarks: tuple[str, ...] = ()


def choose(training: Training | None) -> Choice:
    """Choose ``data/test``, else a test set beside the training store, else a validation set, else none."""
    beside = [] if training is None else sets_beside(training.store)
    if TEST_SOURCE.exists():
        own = TEST_SOURCE.absolute()
        return Choice(source=TEST_SOURCE, remarks=tuple(_unused(one) for one in beside if one.folder != own))
    if not beside:
        return Choice(source=None)
    chosen, *others = beside
    assert chosen.split is not None
    remarks = [] if chosen.split == "test" else ["there is no test set, so the validation set was used"]
    return Choice(source=chosen, remarks=(*remarks, *map(_unused, others)))


def sets_beside(training: FeatureStore) -> list[FeatureStore]:
    """List the stores in the folder of a training store that belong to it: labelled, of the same spec and source.

    They come from the same folder of splits or the same CSV, or from a folder or CSV beside that of the training
    images.

    Returns
    -------
    list of FeatureStore
        Test sets, then validation sets, the largest of each first.
    """
    if training.split != "train":
        return []
    found = []
    for path in sorted(training.path.parent.glob("*.h5")):
        if path == training.path:
            continue
        try:
            other = open_store(path)
        except FeatxError:
            continue
        if (
            other.split in WORDS
            and other.spec.fingerprint == training.spec.fingerprint
            and _home(other) == _home(training)
            and bool(np.any(other.labels >= 0))
        ):
            found.append(other)
    order = list(WORDS)
    return sorted(found, key=lambda one: (order.index(one.split or ""), -len(one), one.path.name))


def _home(store: FeatureStore) -> Path:
    """Find what holds all splits: the folder above that of this one, or the CSV that has a column of them."""
    source, root = Path(store.source), Path(store.root)
    if root.is_relative_to(source):
        return store.folder.parents[max(0, len(root.relative_to(source).parts) - 1)]
    return source.parent if split_named(source.stem) == store.split else source


def described(store: FeatureStore) -> str:
    """Name the images of a store for people, with their split: ``data/val``, ``images.csv, test``."""
    source, root = Path(store.source), Path(store.root)
    if root != source and root.is_relative_to(source):
        return _shown(store.root)
    named = store.split is None or split_named(source.stem) == store.split
    return _shown(store.source) if named else f"{_shown(store.source)}, {store.split}"


def set_name(store: FeatureStore) -> str:
    """Name of a set in the names of files: that of its folder or CSV, and which draw of it the store holds."""
    drawn = _DRAWN.search(store.path.stem)
    name = store.name + (drawn.group() if drawn else "")
    data = os.fsencode(name)
    return name if len(data) <= LONGEST else hashlib.sha256(data).hexdigest()[:16]


def free_name(report: Report, store: FeatureStore) -> str:
    """Name of a set that no other set has in the reports of the same model; a second one gets a mark of its source."""
    name = set_name(store)
    try:
        earlier = Report.load(report_path(report.model, name))
    except FeatxError:  # there is none, or nothing that is to be kept
        return name
    return name if _same_set(earlier, report) else f"{name}-{hashlib.sha256(os.fsencode(store.source)).hexdigest()[:8]}"


def _same_set(one: Report, other: Report) -> bool:
    """Tell whether two reports are on one set, that may have grown or moved in between."""
    if one.scored_on.rpartition(" (")[0] == other.scored_on.rpartition(" (")[0]:
        return True
    if one.images is None or other.images is None:
        return False
    first, second = (set(report.images.digests) for report in (one, other) if report.images is not None)
    return 2 * len(first & second) >= min(len(first), len(second))


def _unused(store: FeatureStore) -> str:
    return f"not used: the {WORDS[store.split or 'test']} {described(store)} ({counted(len(store), 'image')})"


def _shown(source: str) -> str:
    """Write a path as seen from the working folder, where it is below it."""
    return os.path.relpath(source) if Path(source).is_relative_to(Path.cwd()) else source
