"""From labelled images to the report of a small network of one's own."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from featx.errors import DataError, Interrupted, UsageError
from featx.manifest import source_path
from featx.pipeline.baseline.pixels import check_memory, decode
from featx.pipeline.baseline.reporting import Baseline, free_name, model_name, report_of, unreadable, write
from featx.pipeline.baseline.sets import VALIDATION, Sets, check_counts, find_sets, one_in
from featx.pipeline.evaluation.image_list import check_own
from featx.pipeline.evaluation.thumbnails import Thumbnailer
from featx.pipeline.filling.job import Job, RunOptions
from featx.pipeline.filling.unreadable import warn_of_failures
from featx.pipeline.naming import report_path
from featx.progress import Progress, Step, observed
from featx.reports import Report
from featx.training.checkpoints import Epoch
from featx.training.recipe import Recipe
from featx.training.scratch import Pixels, train_from_scratch

EPOCHS, STEPS, MOST_EPOCHS = 30, 1_000, 150
"""Epochs; of few images more, so that there are so many steps, up to the last number of epochs."""

RATE = 2e-3
"""Highest learning rate; twice as much was no better on the images tried, and half as much slower."""


def recipe_of(images: int, *, epochs: int | None, seed: int) -> Recipe:
    """Choose the recipe for so many training images."""
    if epochs is None:
        steps = -(-images // Recipe.batch_size)
        epochs = min(MOST_EPOCHS, max(EPOCHS, -(-STEPS // steps)))
    # On few images the validation accuracy jumps, and a long training learns most when its rate has become small.
    return Recipe(epochs=epochs, rate=RATE, patience=max(10, epochs // 3), seed=seed)


def baseline(
    source: Path | str,
    *,
    epochs: int | None = None,
    seed: int = 0,
    flip: bool = True,
    group_by: str | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    root: Path | str | None = None,
    workers: int | None = RunOptions.workers,
    max_pixels: int | None = RunOptions.max_pixels,
    timeout: float = RunOptions.timeout,
    out: Path | str | None = None,
    safe_csv: bool = False,
    command: str = "",
    progress: Progress | bool | None = None,
) -> Report:
    """Train a small network from scratch on labelled images, and score it: what models on features are compared with.

    The network has about 60,000 weights and sees 48 x 48 pixels; nothing of it was trained before. A baseline is a
    report and no more: the network isn't kept, and can't label other images.

    Parameters
    ----------
    source : path
        Folder or CSV of training images, as in `extract`; of one with splits, its training images. It is scored on the
        test set of the same folder or CSV, or in a folder beside (``data/test`` for ``data/train``); else on the
        validation set; else on a fifth of the images, which is drawn with the seed and held out of training.
    epochs : int, optional
        Passes over the training images at most; 30 by default, up to 150 for few images. Training ends earlier where a
        seventh of the images, which is not learnt from, shows no gain any more.
    seed : int
        Of everything that is drawn.
    flip : bool
        Mirror half of the training images. Digits, letters and signs don't mirror: take False.
    group_by : str, optional
        Regular expression that is searched in each path; images where it finds the same text stay together.
    path_column, label_column, root
        As in `extract`, where the source is a CSV.
    workers, max_pixels, timeout
        As in `extract`.
    out : path, optional
        The report's file; by default ``artifacts/reports/<name>-baseline-on-<set>.json``. Page, list of images and
        picture lie beside it, as those of `score` do.
    safe_csv, command
        As in `score`.
    progress : Progress, bool or None
        As in `extract`.

    Returns
    -------
    Report
        Of the network on the test images; `compare` takes it beside those of models.

    Raises
    ------
    DataError
        No labels, one class, too few images of a class, or a test set with a class that training doesn't have.
    UsageError
        Options that can't be meant, or more images than fit into memory.
    SourceError
        As in `extract`.
    Interrupted
        Stopped by the user; nothing was written.
    """
    if epochs is not None and epochs < 1:
        raise UsageError(f"`epochs={epochs}`: at least 1 is needed")
    options = RunOptions(workers=workers, max_pixels=max_pixels, timeout=timeout)
    job = Job(
        source=source_path(source),
        path_column=path_column,
        label_column=label_column,
        root=None if root is None else source_path(root),
        seed=seed,
    )
    sets = find_sets(job, group_by=group_by)
    recipe = recipe_of(len(sets.training), epochs=epochs, seed=seed)
    if out is None:
        sets = replace(sets, name=free_name(sets))
    target = report_path(model_name(sets), sets.name) if out is None else Path(out)
    check_own(target.with_suffix(".csv"))
    check_memory(len(sets.training) + len(sets.test))
    with observed(progress) as observer, Thumbnailer(options) as thumbnailer:
        try:
            found = _trained(sets, recipe, flip=flip, options=options, task=target, progress=observer)
        except KeyboardInterrupt as stop:
            raise Interrupted("stopped: nothing was written, because a baseline is not kept in parts") from stop
        report = report_of(found, command=command)
        folders = tuple(path for one in (sets.training, sets.test) for path in (one.root, one.source) if path.is_dir())
        write(report, target, sources=folders, thumbnailer=thumbnailer, safe=safe_csv)
        observer.end(target, report)
    warn_of_failures(unreadable(found), found=len(sets.training) + len(sets.test), named_in="the report")
    return report


def _trained(
    sets: Sets, recipe: Recipe, *, flip: bool, options: RunOptions, task: Path, progress: Progress
) -> Baseline:
    """Read the images, train the network, and let it judge the test images."""
    started = time.perf_counter()
    total = len(sets.training) + len(sets.test)
    progress.begin(task, total=total + recipe.epochs * len(sets.training), done=0)
    training = decode(sets.training, options, task=task, progress=progress)
    test = decode(sets.test, options, task=task, progress=progress)
    labels = sets.training.labels[training.rows]
    check_counts(sets.training, labels)
    if not len(test.rows):
        raise DataError(f"none of the test images could be read: look at {sets.scored_on}")
    groups = None if sets.training.groups is None else [sets.training.groups[row] for row in training.rows]
    rows, held = one_in(labels, sets.training.classes, groups, part=VALIDATION, seed=recipe.seed)

    def observe(epoch: Epoch) -> None:
        progress.advance(task, done=len(sets.training), failed=0)
        progress.step(Step(text=_sentence(epoch, recipe.epochs), seconds=0.0))

    trained = train_from_scratch(
        Pixels(images=training.images, rows=rows, labels=labels[rows]),
        Pixels(images=training.images, rows=held, labels=labels[held]),
        recipe,
        classes=len(sets.training.classes),
        flip=flip,
        observe=observe,
    )
    # Epochs that were not needed: the bar is whole.
    progress.advance(task, done=(recipe.epochs - len(trained.history)) * len(sets.training), failed=0)
    every = np.arange(len(test.rows))
    scores = trained.predict(Pixels(images=test.images, rows=every, labels=sets.test.labels[test.rows]))
    return Baseline(
        sets=sets,
        trained=trained,
        recipe=recipe,
        flip=flip,
        training=replace(training, images=training.images[:0]),
        test=replace(test, images=test.images[:0]),
        scores=scores,
        seconds=time.perf_counter() - started,
    )


def _sentence(epoch: Epoch, epochs: int) -> str:
    """Say in one line how an epoch went."""
    return (
        f"epoch {epoch.number} of {epochs}: accuracy {epoch.accuracy:.1%} on the images learnt from, "
        f"{epoch.validation_accuracy:.1%} on others"
    )
