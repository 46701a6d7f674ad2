"""Stage one: from a source of images to sealed feature stores, computing nothing that is there already."""

import csv
import dataclasses
import io
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

from featx import manifest
from featx.backbones import Request
from featx.errors import FeatxError, Interrupted, SourceError, TooManyFailures, UsageError
from featx.files import whole
from featx.manifest import Manifest
from featx.pipeline.filling.earlier import Earlier, taken
from featx.pipeline.filling.job import Check, Extraction, Job, Progress, RunOptions, Unwatched
from featx.pipeline.filling.runner import Stage, decoders
from featx.pipeline.filling.store_filler import Outlet, common_digests
from featx.pipeline.naming import beside, store_path
from featx.spec import Interpolation, Pooling, Precision, Resize
from featx.store import FeatureStore

logger = logging.getLogger(__name__)


def extract(
    source: Path | str,
    *,
    split: str | None = Job.split,
    backbone: str = Request.backbone,
    weights: Path | str = Request.weights,
    layer: str | None = Request.layer,
    pooling: Pooling | None = Request.pooling,
    image_size: int | tuple[int, int] | None = Request.image_size,
    resize: Resize = Request.resize,
    interpolation: Interpolation = Request.interpolation,
    precision: Precision = Request.precision,
    runtime: str = RunOptions.runtime,
    device: str = RunOptions.device,
    batch_size: int | None = RunOptions.batch_size,
    workers: int | None = RunOptions.workers,
    max_pixels: int | None = RunOptions.max_pixels,
    timeout: float = RunOptions.timeout,
    out: Path | str | None = Job.out,
    overwrite: bool = Job.overwrite,
    check: Check = Job.check,
    retry_failed: bool = Job.retry_failed,
    failures: Path | str | None = Job.failures,
    strict: bool = Job.strict,
    max_errors: str | None = Job.max_errors,
    limit: int | None = Job.limit,
    seed: int = Job.seed,
    progress: Progress | None = None,
) -> FeatureStore:
    """Run a frozen backbone once over every image of a source and keep the feature vectors in a store.

    Rows that an earlier run computed, of the same content under the same spec, are taken over; an interrupted run is
    completed; a store of unchanged images is returned as it is, without a backbone being loaded.

    Parameters
    ----------
    source : path
        A folder with a sub-folder per class, a flat folder, or a CSV with a column ``path`` and, if there are any,
        ``label``, ``split`` and ``group``.
    split : str, optional
        Which one, where the source has several (``train``, ``val``, ``test`` under one root, or a CSV's column).
    backbone : str
        A name of ``featx backbones``.
    weights : str or path
        ``"imagenet"``, ``"none"`` (untrained, fixed seed) or a file of Keras weights.
    layer : str, optional
        Layer whose output is the feature; the backbone's last by default.
    pooling : {"avg", "max", "none"}, optional
        Global pooling of a spatial output (``"avg"`` by default); ``"none"`` flattens it.
    image_size : int or (int, int), optional
        Side, or height and width, in pixels; the backbone's native size by default.
    resize : {"stretch", "crop", "pad"}
        How images of another shape are brought to that size.
    interpolation : {"bilinear", "bicubic", "area", "lanczos"}
        How new pixels are computed.
    precision : {"float32", "bfloat16", "float16"}
        Arithmetic of the backbone.
    runtime, device, batch_size, workers, max_pixels, timeout
        As in `RunOptions`.
    out, overwrite, check, retry_failed, failures, strict, max_errors, limit, seed
        As in `Job`; the store's default place is ``artifacts/features/<source>-<backbone>.h5``.
    progress : Progress, optional
        Is told how the run goes.

    Returns
    -------
    FeatureStore
        The sealed store, its features (n, d) float32 memory-mapped.

    Raises
    ------
    UsageError
        Options that make no sense, or several splits and none named.
    SourceError
        The source has no images, or none that can be read.
    WeightsError
        The weights are missing or of another network.
    SpecMismatch, StoreError
        The target is a store of another spec or folder, or no store, and `overwrite` is not set.
    TooManyFailures
        The store is sealed, with more failures than allowed.
    Interrupted
        Stopped by the user; the next run goes on from there.
    """
    extractions = extract_all(
        Job(
            source=Path(source),
            split=split,
            out=None if out is None else Path(out),
            overwrite=overwrite,
            check=check,
            retry_failed=retry_failed,
            failures=None if failures is None else Path(failures),
            strict=strict,
            max_errors=max_errors,
            limit=limit,
            seed=seed,
            one_split=True,
        ),
        [
            Request(
                backbone=backbone,
                weights=str(weights),
                layer=layer,
                pooling=pooling,
                image_size=image_size,
                resize=resize,
                interpolation=interpolation,
                precision=precision,
            )
        ],
        RunOptions(
            runtime=runtime,
            device=device,
            batch_size=batch_size,
            workers=workers,
            max_pixels=max_pixels,
            timeout=timeout,
        ),
        progress=progress,
    )
    assert extractions[0].store is not None
    return extractions[0].store


def extract_all(
    job: Job, requests: Sequence[Request], options: RunOptions, *, progress: Progress | None = None
) -> list[Extraction]:
    """Extract every split of a source with each of several backbones; `extract` is this for one of both.

    An image is read once for all backbones, and decoded once for those that want the same pixels.

    Parameters
    ----------
    job : Job
        What to extract and where to put it.
    requests : sequence of Request
        What a feature is, for each backbone.
    options : RunOptions
        How it is computed.
    progress : Progress, optional
        Is told how the run goes.

    Returns
    -------
    list of Extraction
        One for each store: by split, then by backbone as requested.

    Raises
    ------
    FeatxError
        As in `extract`.
    """
    images = listed(job)  # a mistyped folder must not cost a download
    return extract_stages(job, [Stage.resolve(request, options) for request in requests], images, progress=progress)


def listed(job: Job) -> list[Manifest]:
    """The images of a job: a manifest for each of its splits."""
    found = manifest.find(job.source, limit=job.limit, seed=job.seed)
    chosen = [one for one in found if job.split in (None, one.split)]
    splits = ", ".join(str(one.split) for one in found)
    if not chosen:
        raise SourceError(f"{job.source} has no split {job.split!r} but {splits}")
    if job.one_split and len(chosen) > 1:
        raise UsageError(f"{job.source} has the splits {splits}, and a feature store holds one: name it with split=")
    if job.for_scoring:
        chosen = [dataclasses.replace(one, split=one.split or "test") for one in chosen]
    return chosen


def extract_stages(
    job: Job, stages: Sequence[Stage], manifests: Sequence[Manifest], *, progress: Progress | None = None
) -> list[Extraction]:
    """Extract manifests with backbones that are resolved already."""
    watcher = progress or Unwatched()
    extractions = []
    for images in manifests:
        targets = _targets(job, images, stages, several=len(manifests) * len(stages) > 1)
        outlets = [
            Outlet(
                target,
                images,
                stage,
                Earlier.at(
                    target,
                    images,
                    stage.spec,
                    overwrite=job.overwrite,
                    reread=job.check == "content",
                    retry=job.retried(stage.options),
                ),
            )
            for target, stage in zip(targets, stages, strict=True)
        ]
        done = {outlet.target: outlet.planned() if job.dry_run else outlet.unchanged() for outlet in outlets}
        todo = sorted((outlet for outlet in outlets if done[outlet.target] is None), key=_pixels)
        for _, alike in groupby(todo, key=_pixels):
            done |= {extraction.target: extraction for extraction in _fill(images, list(alike), watcher)}
        for target in targets:
            extraction = done[target]
            assert extraction is not None
            watcher.end(extraction)
            extractions.append(extraction)
    if job.failures is not None and not job.dry_run:
        _write_failures(job.failures, extractions)
    _check_failures(job, extractions)
    return extractions


def _targets(job: Job, images: Manifest, stages: Iterable[Stage], *, several: bool) -> list[Path]:
    targets = []
    for stage in stages:
        target = store_path(images, backbone=stage.spec.backbone, drawn=job.drawn, out=job.out, several=several)
        if job.for_scoring and taken(target, images, stage.spec):
            target = beside(target, root=images.root, fingerprint=stage.spec.fingerprint)
        targets.append(target.absolute())
    if len(set(targets)) < len(targets):
        raise UsageError(f"several stores would go to {targets[0]}: name each backbone once")
    return targets


def _pixels(outlet: Outlet) -> str:
    return repr(outlet.stage.spec.pixels)


def _fill(images: Manifest, outlets: Sequence[Outlet], progress: Progress) -> Iterator[Extraction]:
    """Fill stores whose backbones want the same pixels, and seal them."""
    with ExitStack() as stack:
        # First, since they come up by themselves while the backbones are made ready.
        processes = stack.enter_context(decoders(outlets[0].stage, known=common_digests(outlets)))
        for outlet in outlets:
            stack.enter_context(outlet)
            progress.begin(outlet.target, total=len(images), done=outlet.settled)
        pending = sorted({slot for outlet in outlets for slot in outlet.pending()})
        try:
            for batch in processes.batches(images.root, ((slot, images.paths[slot]) for slot in pending)):
                for outlet in outlets:
                    rows, failures = outlet.take(batch)
                    progress.advance(outlet.target, rows=rows, failures=failures)
            for outlet in outlets:
                progress.advance(outlet.target, rows=outlet.finish(), failures=0)
            processes.close()
            for outlet in outlets:
                yield outlet.seal(dict(processes.seconds))
        except KeyboardInterrupt as stop:
            kept = ", ".join(f"{outlet.settled} of {len(images)} rows of {outlet.target}" for outlet in outlets)
            raise Interrupted(f"stopped: {kept} are kept; the same command goes on from there") from stop


def _write_failures(file: Path, extractions: Iterable[Extraction]) -> None:
    """Write a CSV of the images that have no row, each once, with its full path; whole or not at all."""
    failed = {
        os.path.join(one.store.root, failure.path): failure  # noqa: PTH118  (the path as it was listed)
        for one in extractions
        if one.store is not None
        for failure in one.failures
    }
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(("path", "reason", "message"))
    writer.writerows((path, failure.reason, failure.message) for path, failure in failed.items())
    try:
        with whole(file) as opened:
            # A path may be any bytes, and is written as those.
            opened.write(lines.getvalue().encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise FeatxError(
            f"the failures can't be written to {file} ({error.strerror or error}): name another file (--failures); "
            "the features are kept"
        ) from error


def _check_failures(job: Job, extractions: Iterable[Extraction]) -> None:
    for extraction in extractions:
        if extraction.failed > job.failures_allowed(extraction.found):
            limit = "strict" if job.strict else f"max_errors={job.max_errors}"
            raise TooManyFailures(
                f"{extraction.failed} of {extraction.found} images failed and {limit} forbids it; "
                f"the rows of the others are kept in {extraction.target}"
            )
