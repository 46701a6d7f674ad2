"""The activations at a cut, cached by stage one, and removed when they have served."""

import contextlib
import hashlib
import logging
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from featx.backbones import Request
from featx.cache import cache_home
from featx.errors import FeatxError, Interrupted, StoreError
from featx.manifest import Manifest
from featx.ownership import make_private
from featx.pipeline.filling.job import Job
from featx.pipeline.filling.loop import extract_with
from featx.pipeline.filling.runner import BackboneRunner
from featx.pipeline.tuning.job import TuningJob
from featx.progress import Progress, Silent, Step
from featx.store import FeatureStore
from featx.words import counted

FOLDER = "tuning"
"""Folder of activations and checkpoints in the cache folder."""

MARGIN = 64 << 20
"""Bytes that are left free beside the activations, for checkpoints and results."""


def tuning_folder() -> Path:
    """Make the folder of activations and checkpoints, readable by this user alone; return it.

    Raises
    ------
    StoreError
        It can't be made.
    """
    folder = cache_home() / FOLDER
    try:
        make_private(folder)
    except OSError as error:
        raise StoreError(
            f"{folder} can't be made ({error.strerror or error}): set FEATX_CACHE to a folder that can be written to"
        ) from error
    return folder


def runner_at(base: BackboneRunner, layer: str) -> BackboneRunner:
    """Make a runner of the same backbone that stops at a layer."""
    spec = base.spec
    request = Request(
        backbone=spec.backbone,
        weights=base.source.recorded,
        layer=layer,
        pooling="none",
        image_size=spec.image_size,
        resize=spec.resize,
        interpolation=spec.interpolation,
        colours=spec.colours,
    )
    return BackboneRunner.resolve(request, base.options)


def cached(runner: BackboneRunner, images: Manifest, job: TuningJob, *, views: int, progress: Progress) -> FeatureStore:
    """Extract activations into the cache folder, having said how much they take; what is there already is taken.

    Parameters
    ----------
    runner : BackboneRunner
        From `runner_at`.
    images : Manifest
        The images.
    job : TuningJob
        What it is for.
    views : int
        Views of each image, which take as much room as the image itself.
    progress : Progress
        Observer.

    Raises
    ------
    StoreError
        There is no space for them.
    FeatxError
        As `featx.extract`.
    """
    target = _place(runner, images)
    needed = 4 * len(images) * (1 + views) * math.prod(runner.feature_shape)
    there = sum(path.stat().st_size for path in target.parent.glob(f"{target.name}*"))
    shape = " x ".join(map(str, runner.feature_shape))
    after = "kept for the next time" if job.keep_cache else "removed at the end"
    each = f", {counted(views, 'view')} each" if views else ""
    progress.step(
        Step(
            text=f"activations of {counted(len(images), 'image')}{each}, at {runner.spec.layer} ({shape}): "
            f"{needed / 1e6:,.0f} MB in {target.parent}, {after}"
        )
    )
    free = shutil.disk_usage(target.parent).free
    if needed + MARGIN > free + there:
        raise StoreError(
            f"{target.parent}: {needed / 1e6:,.0f} MB are needed for the activations, and {free / 1e6:,.0f} MB are "
            "free: free some, set FEATX_CACHE to a folder on another disk, or train fewer layers with `last=1`"
        )
    wanted = Job(source=images.source, out=target, views=views, seed=job.seed, flip=job.flip or not views)
    with _without_size():
        try:
            return _extract(runner, images, wanted, progress=progress)
        except StoreError:
            # Of other images of the same folder: nothing of it is worth keeping.
            return _extract(runner, images, replace(wanted, overwrite=True), progress=progress)


@contextlib.contextmanager
def held(job: TuningJob) -> Iterator[list[FeatureStore]]:
    """Give a list for cached activations, and remove these at the end, unless they are to be kept.

    They stay where the same command goes on with them: after an interruption, or for want of space.
    """
    stores: list[FeatureStore] = []
    try:
        yield stores
    except FeatxError as error:
        if not _goes_on(error):
            _remove(stores, job)
        raise
    _remove(stores, job)


def _goes_on(error: FeatxError) -> bool:
    # h5py says RuntimeError where a disk is full.
    return isinstance(error, Interrupted | StoreError) or isinstance(error.__cause__, OSError | RuntimeError)


def _remove(stores: list[FeatureStore], job: TuningJob) -> None:
    if not job.keep_cache:
        for one in stores:
            one.path.unlink(missing_ok=True)


def _extract(runner: BackboneRunner, images: Manifest, job: Job, *, progress: Progress) -> FeatureStore:
    (extraction,) = extract_with(job, [runner], [images], progress=WithoutEnd(progress))
    assert extraction.store is not None
    return extraction.store


def _place(runner: BackboneRunner, images: Manifest) -> Path:
    of_what = (runner.spec.fingerprint, os.fspath(images.root), os.fspath(images.source), str(images.split))
    mark = hashlib.sha256("\0".join(of_what).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return tuning_folder() / f"activations-{mark}.h5"


class WithoutEnd(Silent):
    """Passes on the progress of an extraction that is a part of something else, but not its summary."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def step(self, step: Step) -> None:
        """Pass on what is done next."""
        self._progress.step(step)

    def begin(self, task: Path, *, total: int, done: int) -> None:
        """Pass on the beginning."""
        self._progress.begin(task, total=total, done=done)

    def advance(self, task: Path, *, done: int, failed: int) -> None:
        """Pass on the advance."""
        self._progress.advance(task, done=done, failed=failed)

    def end(self, task: Path, result: object) -> None:  # noqa: ARG002  (the summary that is kept back)
        """Pass on that it is over, without a result."""
        self._progress.end(task, None)


@contextlib.contextmanager
def _without_size() -> Iterator[None]:
    """Keep back the warning that features are flattened: these are meant to be."""
    logger = logging.getLogger("featx.pipeline.filling.store_filler")

    def wanted(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("features of shape")

    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)
