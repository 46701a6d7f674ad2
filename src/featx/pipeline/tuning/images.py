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
from featx.pipeline.labels import groups_by
from featx.pipeline.naming import STORE_SUFFIXES, TRAINING_SPLITS
from featx.pipeline.tuning.job import TuningJob
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
    if job.group_by is not None:
        groups_by(job.group_by, labelled(training).paths)  # refused before anything is extracted
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


def without_copies(store: FeatureStore, rows: NDArray[np.int64], *, of: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Leave out the rows whose file is among those with some digests.

    Raises
    ------
    DataError
        No row is left.
    """
    known = {bytes(digest) for digest in of}
    left = np.array([row for row in rows if bytes(store.digests[row]) not in known], np.int64)
    if not len(left):
        raise DataError(
            f"{store.source} has no validation image that is not a training image too: name other images with "
            "`validation`, or a share such as `validation=0.15`"
        )
    return left


def divide(
    store: FeatureStore,
    labels: NDArray[np.int32],
    classes: Sequence[str],
    *,
    groups: Sequence[str] | None,
    share: float,
    seed: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide the labelled rows into those to train on and those to compare the epochs on, evenly by class.

    Copies of a file, and images of one group, stay together.

    Raises
    ------
    DataError
        The images of a class can't be divided.
    """
    rows = np.flatnonzero(labels >= 0)
    codes = labels[rows]
    total = np.bincount(codes, minlength=len(classes))
    wanted = np.maximum(1, share * total)
    held = np.zeros(len(classes), np.int64)
    units = _units(store, rows, groups)
    order = np.random.default_rng(seed).permutation(len(units))
    # Number of images of each class that the unit has: most have one class, so the others are not counted.
    tallies = [np.unique(codes[units[number]], return_counts=True) for number in order]
    chosen = set()
    for place, (kinds, counts) in enumerate(tallies):
        after = held[kinds] + counts
        nearer = ((after - wanted[kinds]) ** 2).sum() <= ((held[kinds] - wanted[kinds]) ** 2).sum()
        if nearer and (after < total[kinds]).all():
            held[kinds] = after
            chosen.add(place)
    # A class whose groups are all large has none yet: it gets the smallest that leaves something to train on.
    for number in np.flatnonzero(held == 0).tolist():
        possible = [
            place
            for place, (kinds, counts) in enumerate(tallies)
            if number in kinds and (held[kinds] + counts < total[kinds]).all()
        ]
        if not possible:
            raise DataError(
                f"{store.source}: the images of class {classes[number]!r} can't be divided into some to train on and "
                "some to compare the epochs on, because it has fewer than two different images or groups: add images, "
                "or name validation images with `validation`"
            )
        place = min(possible, key=lambda place: len(units[order[place]]))
        kinds, counts = tallies[place]
        held[kinds] += counts
        chosen.add(place)
    out = np.zeros(len(rows), bool)
    for place in chosen:
        out[units[order[place]]] = True
    return rows[~out], rows[out]


def _units(store: FeatureStore, rows: NDArray[np.int64], groups: Sequence[str] | None) -> list[list[int]]:
    """Join copies of a file and images of one group; return the places in `rows` of each set, in their order."""
    parents = list(range(len(rows)))

    def top(place: int) -> int:
        while parents[place] != place:
            parents[place] = place = parents[parents[place]]
        return place

    first: dict[bytes | str, int] = {}
    for place, row in enumerate(rows):
        group = "" if groups is None else groups[row]
        keys: list[bytes | str] = [bytes(store.digests[row]), *([group] if group else [])]
        for key in keys:
            one, other = top(first.setdefault(key, place)), top(place)
            parents[max(one, other)] = min(one, other)
    found: dict[int, list[int]] = {}
    for place in range(len(rows)):
        found.setdefault(top(place), []).append(place)
    return list(found.values())
