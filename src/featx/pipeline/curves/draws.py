"""Random draws of training images, and the test images for the classifiers that are fitted on them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError, SpecMismatch
from featx.pipeline.labels import groups_by, labels_of
from featx.selection import SelectionOptions
from featx.selection.folds import split
from featx.store import FeatureStore, open_store
from featx.words import counted

CLOSEST = 1.25
"""A round size is used only if the full set is at least this many times as large."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelled:
    """Labelled rows of a store.

    Parameters
    ----------
    features : (n, d) float32
        May be mapped from a file.
    codes : (n,) int
        Indices into `classes`; -1 of a test image of another class.
    classes : tuple of str
        Of the training images.
    groups : tuple of str, length n, or None
        The group of each image; ``""`` for none.
    digests : (n, 32) uint8
        SHA-256 of the image files.
    """

    features: NDArray[np.float32]
    codes: NDArray[np.intp]
    classes: tuple[str, ...]
    groups: tuple[str, ...] | None
    digests: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """The rows that a learning curve draws from, and the rows that its classifiers are tested on.

    Parameters
    ----------
    train, test : Labelled
        Training and test images; the same ones where folds are held out.
    pools : sequence of (m,) int
        For each fold, the rows of `train` that its classifiers may be fitted on.
    folds : (n,) int
        Fold of each row of `test`: classifiers of its pool are tested on it.
    told : str
        What is tested on, for people.
    notes : tuple of str
        What a reader should know of it.
    """

    train: Labelled
    pools: Sequence[NDArray[np.intp]]
    test: Labelled
    folds: NDArray[np.intp]
    told: str
    notes: tuple[str, ...] = field(default=())

    @property
    def largest(self) -> int:
        """Number of images of the largest class of any pool."""
        return max(int(np.bincount(self.train.codes[pool]).max()) for pool in self.pools)

    @property
    def smallest(self) -> tuple[str, int]:
        """Class with the fewest images in a pool, and their number."""
        counts = [np.bincount(self.train.codes[pool], minlength=len(self.train.classes)) for pool in self.pools]
        least = np.min(counts, axis=0)
        return self.train.classes[int(least.argmin())], int(least.min())


def labelled(store: FeatureStore, *, group_by: str | None, labels: Path | str | None) -> Labelled:
    """Select the labelled rows of a store, by its own labels or those of a CSV (`featx.pipeline.fitting.fit`).

    Raises
    ------
    DataError
        Fewer than two classes.
    SourceError, UsageError
        As in `fit`.
    """
    codes, names = (store.labels, store.classes) if labels is None else labels_of(store, labels)
    rows = np.flatnonzero(np.asarray(codes) >= 0)
    present, own = np.unique(np.asarray(codes)[rows], return_inverse=True)
    if len(present) < 2:
        found = ", ".join(names[label] for label in present) or "none"
        raise DataError(f"a learning curve needs images of at least two classes in {store.path}, found {found}")
    groups = store.groups if group_by is None else groups_by(group_by, store.paths)
    return Labelled(
        features=store.features if len(rows) == len(store) else store.features[rows],
        codes=own.astype(np.intp),
        classes=tuple(names[label] for label in present),
        groups=None if groups is None else tuple(groups[row] for row in rows),
        digests=store.digests[rows],
    )


def held_out(data: Labelled, options: SelectionOptions) -> Design:
    """Make a design that tests on every fold the classifiers fitted on draws from the other folds.

    Raises
    ------
    DataError
        Too few images or groups of a class to hold any out.
    """
    splits = split(data.codes, data.classes, data.groups, folds=options.folds, seed=options.seed)
    folds = np.empty(len(data.codes), np.intp)
    for fold, (_, held_out) in enumerate(splits):
        folds[held_out] = fold
    return Design(
        train=data,
        pools=[train for train, _ in splits],
        test=data,
        folds=folds,
        told=f"the held-out images of {len(splits)} folds ({counted(len(folds), 'image')})",
    )


def on_test(data: Labelled, test: FeatureStore | Path | str, store: FeatureStore) -> Design:
    """Make a design that tests on another store the classifiers fitted on draws from the first.

    Raises
    ------
    DataError
        No labels to test against.
    SpecMismatch
        The stores were made under different specs.
    """
    test = open_store(test) if isinstance(test, Path | str) else test
    if differences := store.spec.differences(test.spec):
        raise SpecMismatch(
            f"{test.path} can't be the test for {store.path}: extract both with the same settings", differences
        )
    rows = np.flatnonzero(test.labels >= 0)
    if not len(rows):
        raise DataError(f"{test.path} has no labels, so it can't be used as a test: name a store with labels")
    column = {name: number for number, name in enumerate(data.classes)}
    codes = np.array([column.get(name, -1) for name in test.classes], np.intp)[test.labels[rows]]
    notes = []
    if unseen := int((codes < 0).sum()):
        notes.append(
            f"{counted(unseen, 'test image belongs to a class that is', 'test images belong to classes that are')} "
            "not in the training images; they count as errors"
        )
    known = {digest.tobytes() for digest in data.digests}
    if shared := sum(digest.tobytes() in known for digest in test.digests[rows]):
        notes.append(
            f"{shared:,} of {counted(len(rows), 'test image')} "
            f"{'is also a training image' if shared == 1 else 'are also training images'}: the accuracy is too high"
        )
    return Design(
        train=data,
        pools=[np.arange(len(data.codes))],
        test=Labelled(
            features=test.features[rows],
            codes=codes,
            classes=data.classes,
            groups=None if test.groups is None else tuple(test.groups[row] for row in rows),
            digests=test.digests[rows],
        ),
        folds=np.zeros(len(rows), np.intp),
        told=f"{test.path.stem} ({counted(len(rows), 'image')})",
        notes=tuple(notes),
    )


def sizes_of(largest: int, points: Sequence[int] | None) -> list[int]:
    """Choose the sizes of the draws, rising; without `points` the last one is the full set."""
    if points is not None:
        return sorted({min(point, largest) for point in points})
    series = [step * 10**power for power in range(10) for step in (1, 2, 5)][1:]
    return [size for size in series if CLOSEST * size <= largest] + [largest]


def numbers_of(groups: Sequence[str] | None, n: int) -> NDArray[np.intp]:
    """Number the groups, (n,) int; an image without a group is a group of its own."""
    keys = range(n) if groups is None else [group or (row,) for row, group in enumerate(groups)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], np.intp)


def ranks_of(codes: NDArray[np.intp], groups: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Rank the images of each class at random; the images of ranks below m are a draw of m.

    Groups come in random order, and in random order the images of each.
    """
    turn = rng.permutation(int(groups.max()) + 1)[groups]
    order = np.lexsort((rng.random(len(codes)), turn))
    ranks = np.empty(len(codes), np.intp)
    for label in np.unique(codes):
        own = order[codes[order] == label]
        ranks[own] = np.arange(len(own))
    return ranks


@dataclass(frozen=True, kw_only=True, eq=False)
class Draw:
    """Rows of the training images, drawn for one fold.

    Parameters
    ----------
    fold, repeat : int
        Which of its size.
    size : int
        Images of each class.
    rows : (m,) int
        Of the training images.
    """

    fold: int
    repeat: int
    size: int
    rows: NDArray[np.intp]


def draws_of(design: Design, drawn: Mapping[int, int], *, seed: int) -> Iterator[Draw]:
    """Draw from every pool; in each fold and repeat, a larger draw contains the smaller ones.

    Parameters
    ----------
    design : Design
    drawn : mapping of int to int
        Number of draws by size.
    seed : int
        Of the draws.
    """
    numbers = numbers_of(design.train.groups, len(design.train.codes))
    for fold, pool in enumerate(design.pools):
        for repeat in range(max(drawn.values())):
            rng = np.random.default_rng([seed, fold, repeat])
            ranks = ranks_of(design.train.codes[pool], numbers[pool], rng)
            for size in (size for size, times in drawn.items() if repeat < times):
                yield Draw(fold=fold, repeat=repeat, size=size, rows=pool[ranks < size])
