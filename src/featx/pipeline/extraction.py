"""Stage one: from a source of images to sealed feature stores, computing nothing that is there already."""

import logging
from collections.abc import Sequence
from pathlib import Path

from featx.backbones import Request
from featx.pipeline.filling.job import Check, Extraction, Job, Progress, RunOptions
from featx.pipeline.filling.loop import extract_with, listed
from featx.pipeline.filling.runner import BackboneRunner
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
    runners = [BackboneRunner.resolve(request, options) for request in requests]
    return extract_with(job, runners, images, progress=progress)
