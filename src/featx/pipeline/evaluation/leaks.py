"""From a model and the images it is scored on to those that are there twice."""

import math
import time
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from featx.leakage import Chosen, Found, Kind, Leak, Leaks, Pictured, clumps, copies, joined
from featx.model import Model
from featx.pipeline.evaluation.small_images import pictures
from featx.pipeline.evaluation.training import Missing, Training, keys, training_of
from featx.pipeline.filling.job import RunOptions
from featx.store import FeatureStore
from featx.words import counted

Key = TypeVar("Key", bound=Hashable)

SECONDS = 120.0
"""Time for reading images: some 100,000 photos of 500 x 375 pixels on two cores. The next run goes on from there."""

MOST_INSIDE = 1_000
"""Pairs inside training that are named; the rest is counted."""


MOST_COMPARED = 5_000
"""Images up to which each is compared with the others of its set: their number counts squared."""


def find(
    model: Model,
    store: FeatureStore | None = None,
    *,
    training: Training | Missing | None = None,
    options: RunOptions | None = None,
    seconds: float = SECONDS,
) -> Leaks:
    """Find scored images that the model was trained on, and training images that are there under two labels.

    Exact copies are told by their digests. Near ones (re-encoded, resized, lightly cropped, mirrored) are proposed by
    features and by small pictures, and decided by the latter (`featx.leakage.same`), for which image files are read
    again, once: small pictures are kept in the cache folder.

    Parameters
    ----------
    model : Model
        The digests of its training images are in it.
    store : FeatureStore, optional
        The scored images, under the model's spec; None looks inside training only.
    training : Training or Missing, optional
        Its training store, where that is open already; by default it is looked for where it was.
    options : RunOptions, optional
        Decoder processes, and their limits.
    seconds : float
        Time after which no further image is read; 0 leaves it at exact copies and at pictures kept before.

    Returns
    -------
    Leaks
        At most one pair for each scored image, an exact one before a near one; at most one for each training image.
    """
    known, notes = _known(model, training_of(model) if training is None else training)
    until = time.monotonic() + seconds
    looking = _Looking(options=options, until=until)
    between: list[Leak] = []
    own = known
    if store is not None:
        own = scored = _Images(
            keys=keys(store.digests), labels=store.labels, classes=store.classes, paths=store.paths, store=store
        )
        between = _between(scored, known, looking)
    inside = _inside(known, looking)

    if repeated := len(known) - len(set(zip(known.keys, known.labels.tolist(), strict=True))):
        notes.append(
            f"{repeated:,} of {counted(len(known), 'training image')} "
            f"{'is an exact copy' if repeated == 1 else 'are exact copies'} of others of the same class: an accuracy "
            "from cross-validation is a little too high"
        )
    if looking.undecided:
        notes.append(
            f"{counted(looking.undecided, 'pair')} of images that may be copies could not be compared: the files are "
            f"missing, changed or unreadable, or reading them took more than {seconds:g} s (the next run continues "
            "there)"
        )
    if known.store is None and inside:
        notes.append(
            f"{counted(len(inside), 'training image has', 'training images have')} a copy with another label; the "
            "names of these images are not known"
        )
        inside = []
    if len(inside) > MOST_INSIDE:
        notes.append(
            f"{counted(len(inside) - MOST_INSIDE, 'more pair')} of training images with two labels not named here"
        )
    return Leaks(
        pairs=(*between, *inside[:MOST_INSIDE]),
        complete=known.store is not None and not looking.undecided,
        notes=tuple(notes),
        repeats=looking.repeats(own),
    )


def copies_together(store: FeatureStore, groups: Sequence[str] | None, *, options: RunOptions | None) -> list[str]:
    """Put images that are copies of each other into one group, beside the groups that there are.

    Parameters
    ----------
    store : FeatureStore
        Its images are read again, small; one that is gone or changed is a copy of the same file only.
    groups : sequence of str, length n, or None
        Groups that stay together anyway.
    options : RunOptions, optional
        Decoder processes, and their limits.

    Returns
    -------
    list of str, length n
        Name of the group of each image.
    """
    every = keys(store.digests)
    images = _Images(keys=every, labels=store.labels, classes=store.classes, paths=store.paths, store=store)
    clump = _Looking(options=options, until=math.inf).clumps(images)
    # An image belongs with all that share its clump, its file or its group.
    lots: list[Sequence[Any]] = [clump.tolist(), every, *([] if groups is None else [groups])]
    first: dict[tuple[int, Any], int] = {}
    links = [(row, first.setdefault((kind, lot), row)) for kind, one in enumerate(lots) for row, lot in enumerate(one)]
    return [str(number) for number in joined(np.array(links, np.int64).reshape(-1, 2), len(store)).tolist()]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Images:
    """Images trained on, or images scored; without a store only their digests and labels are known."""

    keys: list[bytes]
    labels: NDArray[np.integer]
    classes: tuple[str, ...]
    paths: Sequence[str] | None = None
    store: FeatureStore | None = None
    rows: NDArray[np.int64] | None = None
    """Rows of the store; None is every row."""

    def __len__(self) -> int:
        return len(self.keys)

    def path(self, at: int) -> str:
        if self.paths is None:
            return ""
        return self.paths[at if self.rows is None else int(self.rows[at])]

    def label(self, at: int) -> str:
        label = int(self.labels[at])
        return self.classes[label] if label >= 0 else ""


@dataclass(kw_only=True)
class _Looking:
    """A search for near copies, and what it had to leave open."""

    options: RunOptions | None
    until: float
    undecided: int = 0
    _small: dict[str, tuple[NDArray[np.uint8], NDArray[np.bool_]]] = field(default_factory=dict)

    def copies(self, some: tuple[_Images, list[int]], others: tuple[_Images, list[int]] | None = None) -> list[Found]:
        """Search among images at the places given; nothing where there is nothing to search in."""
        sides = [some] if others is None else [some, others]
        if not all(images.store is not None and places for images, places in sides):
            return []
        found = copies(*(self._rows(*side) for side in sides))
        self.undecided += found.undecided
        return [found]

    def clumps(self, images: _Images) -> NDArray[np.int64]:
        """Number the clump of each image, of copies whatever their labels are."""
        return clumps(self._rows(images, list(range(len(images)))))

    def repeats(self, images: _Images) -> int:
        """Count images that are copies of others of their class, the first of each lot not counted."""
        if images.store is None or len(images) > MOST_COMPARED:
            return 0
        return len(images) - len(set(zip(self.clumps(images).tolist(), images.labels.tolist(), strict=True)))

    def _rows(self, images: _Images, places: list[int]) -> Pictured:
        assert images.store is not None
        at = np.array(places, np.int64)
        rows = at if images.rows is None else images.rows[at]
        digest = images.store.content_digest
        if digest not in self._small:
            self._small[digest] = pictures(images.store, until=self.until, options=self.options)
        small, seen = self._small[digest]
        return Pictured(
            features=Chosen(images.store.features, rows),
            pictures=small[rows],
            seen=seen[rows],
            labels=np.asarray(images.labels)[at],
        )


def _between(scored: _Images, training: _Images, looking: _Looking) -> list[Leak]:
    """Scored images that are in training, in their order."""
    first = _first(training.keys)
    pairs: dict[int, tuple[int, Kind]] = {
        row: (first[key], "exact") for row, key in enumerate(scored.keys) if key in first
    }
    left = _first(scored.keys, leave_out=first)
    mine, theirs = list(left.values()), list(first.values())
    # Identical files are compared once; the result holds for every copy.
    for found in looking.copies((scored, mine), (training, theirs)):
        near = {scored.keys[mine[a]]: theirs[b] for a, b in found.pairs.tolist()}
        pairs |= {row: (near[key], "near") for row, key in enumerate(scored.keys) if key in near}
    return [
        Leak(
            path=scored.path(row),
            other=training.path(other),
            kind=kind,
            where="train-test",
            labels=(scored.label(row), training.label(other)),
        )
        for row, (other, kind) in sorted(pairs.items())
    ]


def _inside(training: _Images, looking: _Looking) -> list[Leak]:
    """Training images that are there under another label as well; exact ones first, each at most once."""
    pairs = [(row, other, "exact") for row, other in _under_two_labels(training)]
    named = {place for row, other, _ in pairs for place in (row, other)}
    labelled = zip(training.keys, training.labels.tolist(), strict=True)
    places = list(_first(list(labelled)).values())
    for found in looking.copies((training, places)):
        for a, b in found.pairs.tolist():
            row, other = places[a], places[b]
            if training.keys[row] != training.keys[other] and not named.intersection((row, other)):
                pairs.append((row, other, "near"))
    return [
        Leak(
            path=training.path(row),
            other=training.path(other),
            kind="exact" if kind == "exact" else "near",
            where="train-train",
            labels=(training.label(row), training.label(other)),
        )
        for row, other, kind in pairs
    ]


def _under_two_labels(training: _Images) -> list[tuple[int, int]]:
    """Images whose file is there under another label, each with one of the label that most of these files have."""
    places: dict[bytes, list[int]] = {}
    for row, key in enumerate(training.keys):
        places.setdefault(key, []).append(row)
    pairs = []
    for rows in places.values():
        labels = [int(training.labels[row]) for row in rows]
        usual = Counter(labels).most_common(1)[0][0]
        other = rows[labels.index(usual)]
        pairs += [(row, other) for row, label in zip(rows, labels, strict=True) if label != usual]
    return sorted(pairs)


def _known(model: Model, training: Training | Missing) -> tuple[_Images, list[str]]:
    """The images that a model was fitted on, with their store where it is there; and a note where it isn't."""
    known = _Images(keys=keys(model.digests), labels=model.labels, classes=model.classes)
    if isinstance(training, Missing):
        return known, [f"{training.reason}: only exact copies of training images could be found"]
    return replace(known, paths=training.store.paths, store=training.store, rows=training.rows), []


def _first(keys: Iterable[Key], *, leave_out: Iterable[Key] = ()) -> dict[Key, int]:
    """The first place of each key."""
    skip = set(leave_out)
    first: dict[Key, int] = {}
    for place, key in enumerate(keys):
        if key not in skip:
            first.setdefault(key, place)
    return first
