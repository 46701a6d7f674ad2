"""The loop of stage one: list images, decode them batch by batch, and fill every store that lacks them."""

import dataclasses
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

from featx import manifest
from featx.backbones import Request
from featx.errors import FeatxError, Interrupted, SourceError, TooManyFailures, UsageError
from featx.files import whole
from featx.manifest import Manifest
from featx.pipeline.filling.earlier import Earlier, taken, views_there
from featx.pipeline.filling.job import Extraction, Job, RunOptions
from featx.pipeline.filling.runner import BackboneRunner, decoders
from featx.pipeline.filling.store_filler import StoreFiller, common_digests
from featx.pipeline.naming import beside, store_path
from featx.pipeline.spreadsheets import safe_text, to_csv
from featx.progress import SILENT, Progress, Step
from featx.spec import ViewsSpec
from featx.words import counted

logger = logging.getLogger(__name__)


def extract_job(
    job: Job, requests: Sequence[Request], options: RunOptions, *, progress: Progress = SILENT
) -> list[Extraction]:
    """Extract every split of a job's source with each of several backbones.

    An image is read once for all backbones, and decoded once for those that want the same pixels.

    Parameters
    ----------
    job : Job
        What to extract and where to put it.
    requests : sequence of Request
        What a feature is, for each backbone and each of its layers.
    options : RunOptions
        How it is computed.
    progress : Progress
        Observer of the run.

    Returns
    -------
    list of Extraction
        One for each store: by split, then by backbone as requested.
    """
    images = listed(job)  # a mistyped folder must not cost a download
    runners = [BackboneRunner.resolve(request, options) for request in requests]
    return extract_with(job, runners, images, progress=progress)


def listed(job: Job) -> list[Manifest]:
    """List the images of a job, as a manifest for each of its splits."""
    found = manifest.find(job.source, limit=job.limit, seed=job.seed, table=job.table)
    # Models are scored on the test split of a source that has several.
    split = "test" if job.for_scoring and len(found) > 1 and job.split is None else job.split
    chosen = [one for one in found if split in (None, one.split)]
    splits = ", ".join(str(one.split) for one in found)
    if not chosen:
        raise SourceError(f"{job.source} has no split {split!r}; choose one of {splits}")
    if job.one_split and len(chosen) > 1:
        raise UsageError(
            f"{job.source} has the splits {splits}, but a feature store can hold only one: choose it with `split=NAME`"
        )
    for images in chosen:
        _tell_of_absent(images, dry_run=job.dry_run)
    if job.for_scoring:
        chosen = [dataclasses.replace(one, split=one.split or "test") for one in chosen]
    return chosen


def _tell_of_absent(images: Manifest, *, dry_run: bool) -> None:
    """Warn of files that a CSV names and that aren't there; refuse it where none is."""
    absent = int((images.sizes < 0).sum())
    if not images.absent or not absent:
        return
    if absent == len(images) and not dry_run:
        none, was = ("the only file", "was not") if absent == 1 else (f"none of the {absent:,} files", "was")
        raise SourceError(
            f"{none} in {images.source} {was} found ({images.absent}); correct the paths, or give the folder that they "
            "are relative to with `root`"
        )
    logger.warning("%s: %d of %s not found (%s)", images.source, absent, counted(len(images), "file"), images.absent)


def extract_with(
    job: Job, runners: Sequence[BackboneRunner], manifests: Sequence[Manifest], *, progress: Progress = SILENT
) -> list[Extraction]:
    """Extract the features of manifests with backbones that are resolved already."""
    extractions = []
    for note in dict.fromkeys(note for images in manifests for note in images.notes):
        progress.step(Step(text=note))
    for images in manifests:
        if elsewhere := manifest.outside(images.root, images.paths, also=[images.source]):
            progress.step(
                Step(
                    text=f"{len(elsewhere):,} of {counted(len(images), 'image')} "
                    f"{'lies' if len(elsewhere) == 1 else 'lie'} outside {images.root}: links or a CSV lead there"
                )
            )
    for images in manifests:
        targets = _targets(job, images, runners, several=len(manifests) * len(runners) > 1)
        fillers = [
            StoreFiller(
                target,
                images,
                runner,
                Earlier.at(
                    target,
                    images,
                    runner.spec,
                    overwrite=job.overwrite,
                    reread=job.check == "content",
                    retry=job.retried(runner.options),
                    views=_views(job, target),
                ),
            )
            for target, runner in zip(targets, runners, strict=True)
        ]
        done = {filler.target: filler.planned() if job.dry_run else filler.unchanged() for filler in fillers}
        todo = sorted((filler for filler in fillers if done[filler.target] is None), key=_pixels)
        for _, alike in groupby(todo, key=_pixels):
            done |= {extraction.target: extraction for extraction in _fill(images, list(alike), progress)}
        for target in targets:
            extraction = done[target]
            assert extraction is not None
            progress.end(target, extraction)
            extractions.append(extraction)
    if job.failures is not None and not job.dry_run:
        _write_failures(job.failures, extractions, safe=job.safe_csv)
    _check_failures(job, extractions)
    return extractions


def _targets(job: Job, images: Manifest, runners: Sequence[BackboneRunner], *, several: bool) -> list[Path]:
    targets = []
    uses = Counter(runner.spec.backbone for runner in runners)
    for runner in runners:
        spec = runner.spec
        # Stores to score on have names of their own, below.
        layer = spec.layer if uses[spec.backbone] > 1 and not job.for_scoring else None
        target = store_path(images, backbone=spec.backbone, layer=layer, drawn=job.drawn, out=job.out, several=several)
        if job.for_scoring and taken(target, images, runner.spec):
            target = beside(target, root=images.root, fingerprint=runner.spec.fingerprint)
        targets.append(target.absolute())
    if len(set(targets)) < len(targets):
        raise UsageError(
            f"several stores would be written to {targets[0]}: name each backbone and each layer only once"
        )
    return targets


def _views(job: Job, target: Path) -> ViewsSpec | None:
    """Find the views that a store is to have: those asked for, or else those that it has already.

    To score on, others of the same recipe do as well, and are kept.
    """
    wanted, there = job.views_spec, None if job.overwrite else views_there(target)
    keep = job.views is None or (job.for_scoring and there is not None and wanted is not None and wanted.alike(there))
    return there if keep else wanted


def _pixels(filler: StoreFiller) -> str:
    return repr((filler.runner.spec.pixels, filler.earlier.views))


def _fill(images: Manifest, fillers: Sequence[StoreFiller], progress: Progress) -> Iterator[Extraction]:
    """Fill and seal stores that need the same pixels and views."""
    with ExitStack() as stack:
        # First, since they come up by themselves while the backbones are made ready.
        first = fillers[0]
        processes = stack.enter_context(
            decoders(first.runner, known=common_digests(fillers), views=first.earlier.views)
        )
        for filler in fillers:
            stack.enter_context(filler)
            progress.begin(filler.target, total=len(images), done=filler.settled)
        pending = sorted({slot for filler in fillers for slot in filler.pending()})
        try:
            for batch in processes.batches(images.root, ((slot, images.paths[slot]) for slot in pending)):
                for filler in fillers:
                    rows, failures = filler.take(batch)
                    progress.advance(filler.target, done=rows, failed=failures)
            for filler in fillers:
                progress.advance(filler.target, done=filler.finish(), failed=0)
            processes.close()
            for filler in fillers:
                yield filler.seal(dict(processes.seconds))
        except KeyboardInterrupt as stop:
            kept = ", ".join(
                f"{filler.settled:,} of {counted(len(images), 'row')} of {filler.target}" for filler in fillers
            )
            raise Interrupted(f"stopped: {kept} are kept, and the same command will continue from there") from stop


def _write_failures(file: Path, extractions: Iterable[Extraction], *, safe: bool) -> None:
    """Write a CSV of the images without a row, each once, with its full path."""
    failed = {
        os.path.join(one.store.root, failure.path): failure  # noqa: PTH118  (the path as it was listed)
        for one in extractions
        if one.store is not None
        for failure in one.failures
    }
    rows: list[tuple[str, ...]] = [("path", "reason", "message")]
    rows += [(path, one.reason, one.message) for path, one in failed.items()]
    if safe:
        rows = [tuple(map(safe_text, row)) for row in rows]
    try:
        with whole(file) as opened:
            # A path may be any bytes, and is written as those.
            opened.write(to_csv(rows, quote=safe).encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise FeatxError(
            f"the list of failures can't be written to {file} ({error.strerror or error}): give another file with "
            "`failures`; the features are kept"
        ) from error


def _check_failures(job: Job, extractions: Iterable[Extraction]) -> None:
    for extraction in extractions:
        if extraction.failed > job.failures_allowed(extraction.found):
            limit = "`strict=True`" if job.strict else f"`max_errors={job.max_errors}`"
            raise TooManyFailures(
                f"{extraction.failed:,} of {counted(extraction.found, 'image')} failed, more than {limit} allows; the "
                f"features of the others are kept in {extraction.target}"
            )
