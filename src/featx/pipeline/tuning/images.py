"""The images of a tuning: those to train on and those to compare the epochs on, with their labels."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError, UsageError
from featx.manifest import Manifest, TableOptions, source_path
from featx.model import Model
from featx.pipeline.filling.job import Job
from featx.pipeline.filling.loop import listed
from featx.pipeline.naming import STORE_SUFFIXES, TRAINING_SPLITS
from featx.pipeline.tuning.job import TuningJob
from featx.selection.folds import split
from featx.store import FeatureStore, open_store

FEWEST = 5
"""Images of each class that tuning needs: some to learn from, and some to compare the epochs on."""


def find_images(job: TuningJob) -> tuple[Manifest, Manifest | None]:
    """List the images to train on, and those to compare the epochs on where they are named; some may have no label.

    Raises
    ------
    DataError
        They have no labels, too few images of a class, or validation images of a class that is not trained.
    UsageError
        The source has several splits and none called train.
    """
    found = _manifests(job.source, job.table)
    training = next((one for one in found if one.split in TRAINING_SPLITS), found[0] if len(found) == 1 else None)
    if training is None:
        names = ", ".join(str(one.split) for one in found)
        raise UsageError(f"{job.source} has the splits {names} and none called train: name the folder of the images")
    counts = labelled(training).counts
    few = {name: count for name, count in counts.items() if count < FEWEST}
    if len(counts) < 2 or few:
        name, count = next(iter((few or counts).items()))
        what = f"class {name!r} has {count}" if few else f"there is one class, {name!r}"
        raise DataError(
            f"{job.source}: tuning needs two classes or more, of {FEWEST} images each: {what}; add images, or stay "
            "with frozen features"
        )
    if not isinstance(job.validation, str):
        return training, None
    named = [one for one in found if one.split == job.validation and one is not training]
    others = named or _manifests(source_path(job.validation), TableOptions())
    if len(others) > 1:
        raise UsageError(f"`validation={job.validation}` has several splits: name the folder of one")
    if new := [name for name in labelled(others[0]).classes if name not in counts]:
        raise DataError(
            f"{others[0].source} has validation images of {new[0]!r}, a class that {training.source} doesn't have: "
            "leave them out, or add images of the class to those that are trained on"
        )
    return training, others[0]


def _manifests(source: Path, table: TableOptions) -> list[Manifest]:
    if source.suffix.lower() not in STORE_SUFFIXES or source.is_dir():
        job = Job(source=source, path_column=table.path_column, label_column=table.label_column, root=table.root)
        return listed(job)
    store = open_store(source)
    return [
        Manifest(
            source=Path(store.source),
            root=store.folder,
            name=store.name,
            split=store.split,
            paths=store.paths,
            labels=store.labels,
            classes=store.classes,
            groups=store.groups,
            sizes=store.sizes,
            mtimes_ns=store.mtimes_ns,
        )
    ]


def labelled(images: Manifest) -> Manifest:
    """Leave out images without a label, and classes without an image."""
    rows = np.flatnonzero(images.labels >= 0)
    if not len(rows):
        raise DataError(
            f"{images.source} has no labels to learn from: a folder per class, or a CSV with labels, gives them"
        )
    present = np.unique(images.labels[rows])
    return replace(
        images,
        paths=tuple(images.paths[row] for row in rows),
        labels=np.searchsorted(present, images.labels[rows]).astype(np.int32),
        classes=tuple(images.classes[label] for label in present),
        groups=None if images.groups is None else tuple(images.groups[row] for row in rows),
        sizes=images.sizes[rows],
        mtimes_ns=images.mtimes_ns[rows],
    )


def check_classes(images: Manifest, classes: Sequence[str]) -> None:
    """Make sure that images have the classes of a model.

    Raises
    ------
    DataError
        They have others.
    """
    if new := sorted(set(images.classes) - set(classes)):
        raise DataError(
            f"{images.source} has the class {new[0]!r}, which the model doesn't know: the labels have changed since it "
            "was fitted; fit it again"
        )
    if gone := sorted(set(classes) - set(images.classes)):
        raise DataError(
            f"{images.source} has no images of {gone[0]!r}, which the model knows: the labels have changed since it "
            "was fitted; fit it again"
        )


def labels_by_model(store: FeatureStore, classes: Sequence[str]) -> NDArray[np.int32]:
    """Return the labels (n,) of a store's rows as indices into other classes; -1 for none, and for an unknown class."""
    number = {name: index for index, name in enumerate(classes)}
    # The label -1 finds the last of these.
    return np.array([*(number.get(name, -1) for name in store.classes), -1], np.int32)[store.labels]


def check_labels(store: FeatureStore, model: Model) -> None:
    """Make sure that images have the labels under which a model was fitted on them.

    Raises
    ------
    DataError
        Some have another label now, or none of the images is one that the model was fitted on.
    """
    then = {bytes(digest): int(label) for digest, label in zip(model.digests, model.labels, strict=True)}
    now = labels_by_model(store, model.classes)
    keys = [bytes(digest) for digest in store.digests]
    changed = [row for row, key in enumerate(keys) if key in then and then[key] != now[row]]
    # A file that is there under two labels has one of them in the model too.
    twice = {key for key in keys if keys.count(key) > 1} if changed else set()
    changed = [row for row in changed if keys[row] not in twice]
    if changed:
        row = changed[0]
        raise DataError(
            f"the labels have changed since the model {model.name} was fitted: {len(changed)} of {len(store)} images "
            f"have another one (the first, {store.paths[row]}: {model.classes[then[keys[row]]]!r} then, "
            f"{model.classes[now[row]]!r} now); fit it again"
        )
    if not any(key in then for key in keys):
        raise DataError(
            f"the model {model.name} was fitted on other images than {store.source}: give the folder that it was "
            "fitted on, or fit a model on this one"
        )


def divide(
    store: FeatureStore, labels: NDArray[np.int32], *, share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide the labelled rows into those to train on and those to compare the epochs on, by group, evenly by class."""
    rows = np.flatnonzero(labels >= 0)
    groups = None if store.groups is None else [store.groups[row] for row in rows]
    codes = labels[rows].astype(np.int64)
    parts = split(codes, store.classes, groups, folds=max(2, round(1 / share)), seed=seed)
    return rows[parts[0][0]], rows[parts[0][1]]
