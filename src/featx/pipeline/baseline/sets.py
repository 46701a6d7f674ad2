"""The images that a baseline is trained on, and those that it is scored on."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError, FeatxError, UsageError
from featx.manifest import Manifest, difference, find
from featx.manifest.listing import split_named
from featx.pipeline.evaluation.test_sets import WORDS
from featx.pipeline.filling.job import Job
from featx.pipeline.filling.loop import listed
from featx.pipeline.labels import groups_by
from featx.pipeline.naming import TRAINING_SPLITS
from featx.selection.folds import split
from featx.words import counted

FEWEST = 5
"""Images of each class that a training needs: some to learn from, and some to compare the epochs on."""

HELD_OUT = 5
"""Without a test set, one image in so many is held out as one."""

VALIDATION = 7
"""One training image in so many is not learnt from, but used to compare the epochs."""


@dataclass(frozen=True, kw_only=True)
class Sets:
    """Images with labels to train on and to score on.

    Parameters
    ----------
    training, test : Manifest
        Only images with a label; the test images' labels are indices into the classes of training.
    name : str
        Name of the test set in the names of files.
    scored_on : str
        Name of the test set for people, without the number of its images.
    notes : tuple of str
        What a reader of the report should know.
    remarks : tuple of str
        Likewise, where nothing is wrong.
    """

    training: Manifest
    test: Manifest
    name: str
    scored_on: str
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def find_sets(job: Job, *, group_by: str | None) -> Sets:
    """List the images, the test set being the one beside them, else the validation set, else a part that is held out.

    Parameters
    ----------
    job : Job
        The source; its seed draws the images that are held out.
    group_by : str or None
        Regular expression that finds the group of each training image in its path.

    Raises
    ------
    DataError
        No labels, one class, too few images of a class, or a test set with a class that training doesn't have.
    UsageError
        The source has several splits and none called train.
    """
    found = listed(job)
    training = next((one for one in found if one.split in TRAINING_SPLITS), found[0] if len(found) == 1 else None)
    if training is None:
        names = ", ".join(str(one.split) for one in found)
        raise UsageError(f"{job.source} has the splits {names} and none called train: give the folder of the images")
    unlabelled = int((training.labels < 0).sum())
    training = _checked(training)
    if group_by is not None:
        training = replace(training, groups=groups_by(group_by, training.paths))
    notes = []
    if unlabelled:
        notes.append(f"{counted(unlabelled, 'training image')} without a label {_were(unlabelled)} left out")
    others = [one for one in found if one is not training and one.split in WORDS] or _beside(training)
    # The test set comes first, then the validation set.
    others.sort(key=lambda one: list(WORDS).index(one.split or ""))
    if not others:
        return _held_out(training, seed=job.seed, notes=notes)
    test = others[0]
    if without := int((test.labels < 0).sum()):
        notes.append(f"{counted(without, 'test image')} without a label {_were(without)} left out")
    remarks = [] if test.split == "test" else ["there is no test set, so the validation set was used"]
    return Sets(
        training=training,
        test=_in_classes_of(training, test),
        name=test.name,
        scored_on=_shown(test),
        notes=tuple(notes),
        remarks=tuple(remarks),
    )


def _checked(training: Manifest) -> Manifest:
    """Leave out training images without a label; refuse what nothing can be learnt from."""
    if not (training.labels >= 0).any():
        raise DataError(
            f"{training.source} has no labels to learn from: put the images of each class into a folder of its own, or "
            "give a CSV with labels"
        )
    training = labelled(training, np.flatnonzero(training.labels >= 0))
    check_counts(training, training.labels)
    return training


def check_counts(training: Manifest, labels: NDArray[np.int32]) -> None:
    """Refuse too few classes, or too few images of a class.

    Raises
    ------
    DataError
        The message names the class.
    """
    counts = dict(zip(training.classes, np.bincount(labels, minlength=len(training.classes)).tolist(), strict=True))
    if len(counts) < 2:
        raise DataError(
            f"{training.source} has only one class, {next(iter(counts))!r}: a network learns to tell classes apart, so "
            "give images of two classes or more"
        )
    name, count = min(counts.items(), key=lambda one: one[1])
    if count < FEWEST:
        raise DataError(
            f"{training.source}: class {name!r} has {counted(count, 'image')}, but a network of one's own needs "
            f"{FEWEST} of each class or more: add images, or leave this class out"
        )


def labelled(images: Manifest, rows: NDArray[np.int64]) -> Manifest:
    """Choose rows, all with a label, and leave out classes that have none."""
    present, labels = np.unique(images.labels[rows], return_inverse=True)
    return replace(
        images,
        paths=tuple(images.paths[row] for row in rows),
        labels=labels.astype(np.int32),
        classes=tuple(images.classes[label] for label in present),
        groups=None if images.groups is None else tuple(images.groups[row] for row in rows),
        sizes=images.sizes[rows],
        mtimes_ns=images.mtimes_ns[rows],
    )


def one_in(
    labels: NDArray[np.int32], classes: Sequence[str], groups: Sequence[str] | None, *, part: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide images into most of them and one in `part`, evenly by class, with groups kept together.

    Raises
    ------
    DataError
        All images of a class are of one group.
    """
    # An image without a group is one of its own.
    units = {(label, (groups and groups[row]) or row) for row, label in enumerate(labels.tolist())}
    counts = Counter(label for label, _ in units)
    rarest = min(range(len(classes)), key=lambda label: counts[label])
    if counts[rarest] < 2:
        raise DataError(
            f"all images of class {classes[rarest]!r} are of one group, so none can be held out: add images of other "
            "groups, or let `group_by` find smaller ones"
        )
    return split(labels.astype(np.int64), classes, groups, folds=min(part, counts[rarest]), seed=seed)[0]


def _held_out(training: Manifest, *, seed: int, notes: Sequence[str]) -> Sets:
    """Hold a part of the images out of training."""
    rows, held = one_in(training.labels, training.classes, training.groups, part=HELD_OUT, seed=seed)
    groups = " (images of one group together)" if training.groups is not None else ""
    return Sets(
        training=_chosen(training, rows),
        test=_chosen(training, held),
        name=f"{training.name}-held-out-seed{seed}",
        scored_on=f"{_shown(training)}, a part that was held out, seed {seed}",
        notes=tuple(notes),
        remarks=(
            f"there is no test set beside the images, so {counted(len(held), 'image')} of "
            f"{len(training):,}, drawn with seed {seed}{groups}, {_were(len(held))} held out of training as one",
        ),
    )


def _chosen(images: Manifest, rows: NDArray[np.int64]) -> Manifest:
    """Choose rows; all classes stay."""
    return replace(labelled(images, rows), labels=images.labels[rows], classes=images.classes)


def _beside(training: Manifest) -> list[Manifest]:
    """List the test and validation sets in the folders beside a folder of training images."""
    if training.split != "train" or training.root != training.source or split_named(training.root.name) != "train":
        return []
    found = []
    for folder in sorted(training.root.parent.iterdir(), key=os.fsencode):
        if folder != training.root and split_named(folder.name) in WORDS and folder.is_dir():
            try:
                (one,) = find(folder)
            except (FeatxError, ValueError):  # nothing in it, or splits of its own
                continue
            if (one.labels >= 0).any():
                found.append(replace(one, split=split_named(folder.name)))
    return found


def _in_classes_of(training: Manifest, test: Manifest) -> Manifest:
    """Leave out test images without a label, and number the classes as in training."""
    rows = np.flatnonzero(test.labels >= 0)
    if not len(rows):
        raise DataError(f"{_shown(test)} has no labels, so nothing can be scored on it")
    test = labelled(test, rows)
    number = {name: index for index, name in enumerate(training.classes)}
    for name, count in test.counts.items():
        if name not in number:
            words = next(((one, why) for one in number if (why := difference(name, one)) is not None), None)
            nearly = "" if words is None else f"; {name!r} and {words[0]!r} differ only in {words[1]}"
            raise DataError(
                f"{_shown(test)} has the class {name!r} ({counted(count, 'image')}), which {_shown(training)} doesn't "
                f"have: use the same names of classes in both{nearly}"
            )
    numbers = np.array([number[name] for name in test.classes], np.int32)
    return replace(test, labels=numbers[test.labels], classes=training.classes)


def _shown(images: Manifest) -> str:
    """Name a set of images for people: its folder or CSV, as seen from the working folder where it is below it."""
    path = images.root if images.root.is_relative_to(images.source) else images.source
    text = os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
    return text if path == images.root or images.split is None else f"{text}, {images.split}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
