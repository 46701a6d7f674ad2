"""Stage one: from a source of images to sealed feature stores, computing nothing that is there already."""

import dataclasses
import logging
import time
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx import backbones, manifest, runtimes
from featx.backbones import Request
from featx.batches import Batch, DecodeOptions, Decoders, Rows
from featx.errors import Interrupted, SourceError, TooManyFailures, UsageError
from featx.images import DEFAULT_MAX_PIXELS
from featx.manifest import Failure, Manifest
from featx.pipeline.earlier import Earlier, KnownRows, known_rows, taken
from featx.pipeline.naming import beside, store_path
from featx.pipeline.options import Extraction, Job, Progress, RunOptions, Unwatched
from featx.spec import ExtractionSpec, Interpolation, Pooling, Precision, Resize
from featx.store import FeatureStore, Partial, Provenance, plan
from featx.weights import WeightsSource

logger = logging.getLogger(__name__)

COPY_ROWS = 4096
"""Rows copied from an older store at once, so that memory stays bounded."""


class Stage:
    """The backbone of one spec, ready to run, built when its first batch comes."""

    def __init__(self, spec: ExtractionSpec, source: WeightsSource, options: RunOptions) -> None:
        self.spec = spec
        self.source = source
        self.options = options
        self.seconds = 0.0

    @property
    def untrained(self) -> bool:
        """Whether the backbone never saw an image, so that its features say little."""
        return self.source.kind == "none"

    @cached_property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of one feature before it is flattened."""
        return backbones.feature_shape(self.spec, self.source)

    @cached_property
    def runtime(self) -> runtimes.Runtime:
        """What executes the backbone."""
        return runtimes.runtime(
            self.spec,
            self.source,
            runtimes.RuntimeOptions(
                runtime=self.options.runtime,
                device=self.options.device,
                batch_size=self.options.batch_size,
                threads=None,
            ),
        )

    def decoders(self, *, known: NDArray[np.uint8] | None = None) -> Decoders:
        """Decoder processes that give the pixels this backbone wants."""
        options = DecodeOptions(
            workers=self.options.decoders,
            batch_size=self.options.batch_size,
            max_pixels=self.options.max_pixels or DEFAULT_MAX_PIXELS,
            timeout_s=self.options.timeout,
        )
        return Decoders(self.spec.pixels, options, known=known)

    def features(self, batch: Batch) -> NDArray[np.float32]:
        """Features (b, d) float32 of a batch's decoded images."""
        runtime = self.runtime
        start = time.perf_counter()
        features = runtime(batch.images)
        self.seconds += time.perf_counter() - start
        return features


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
    batch_size: int = RunOptions.batch_size,
    workers: int | None = RunOptions.workers,
    max_pixels: int | None = RunOptions.max_pixels,
    timeout: float = RunOptions.timeout,
    out: Path | str | None = Job.out,
    overwrite: bool = Job.overwrite,
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
    out, overwrite, strict, max_errors, limit, seed
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
    if split is None and len(found := manifest.find(source)) > 1:
        names = ", ".join(str(one.split) for one in found)
        raise UsageError(f"{source} has the splits {names}, and a feature store holds one: name it with split=")
    (extraction,) = extract_all(
        Job(
            source=Path(source),
            split=split,
            out=None if out is None else Path(out),
            overwrite=overwrite,
            strict=strict,
            max_errors=max_errors,
            limit=limit,
            seed=seed,
        ),
        Request(
            backbone=backbone,
            weights=str(weights),
            layer=layer,
            pooling=pooling,
            image_size=image_size,
            resize=resize,
            interpolation=interpolation,
            precision=precision,
        ),
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
    assert extraction.store is not None
    return extraction.store


def extract_all(
    job: Job, request: Request, options: RunOptions, *, progress: Progress | None = None
) -> list[Extraction]:
    """Extract every split that a source has; `extract` is this for one split.

    Parameters
    ----------
    job : Job
        What to extract and where to put it.
    request : Request
        What a feature is.
    options : RunOptions
        How it is computed.
    progress : Progress, optional
        Is told how the run goes.

    Returns
    -------
    list of Extraction
        One for each store, in the order of the splits' names.

    Raises
    ------
    FeatxError
        As in `extract`.
    """
    spec, source = backbones.resolve(request)
    return extract_spec(job, Stage(spec, source, options), progress=progress)


def extract_spec(job: Job, stage: Stage, *, progress: Progress | None = None) -> list[Extraction]:
    """Extract every split that a source has, with a backbone already resolved."""
    found = manifest.find(job.source, limit=job.limit, seed=job.seed)
    chosen = [one for one in found if job.split in (None, one.split)]
    if not chosen:
        splits = ", ".join(str(one.split) for one in found)
        raise SourceError(f"{job.source} has no split {job.split!r} but {splits}")
    watcher = progress or Unwatched()
    extractions = []
    for one in chosen:
        target = store_path(
            one, backbone=stage.spec.backbone, limit=job.limit, out=job.out, several=len(chosen) > 1
        ).absolute()
        if job.beside and taken(target, one, stage.spec):
            target = beside(target, root=one.root, fingerprint=stage.spec.fingerprint)
        earlier = Earlier.at(target, one, stage.spec, overwrite=job.overwrite)
        extraction = _dry_run(target, one, stage, earlier) if job.dry_run else None
        extraction = (
            extraction or _unchanged(target, one, stage, earlier) or _fill(target, one, stage, earlier, watcher)
        )
        watcher.end(extraction)
        extractions.append(extraction)
    for extraction in extractions:
        if extraction.failed > job.failures_allowed(extraction.found):
            limit = "strict" if job.strict else f"max_errors={job.max_errors}"
            raise TooManyFailures(
                f"{extraction.failed} of {extraction.found} images failed and {limit} forbids it; "
                f"the rows of the others are kept in {extraction.target}"
            )
    return extractions


def _dry_run(target: Path, images: Manifest, stage: Stage, earlier: Earlier) -> Extraction:
    settled = len(earlier.rows) + len(earlier.failures)
    return Extraction(
        target=target,
        spec=stage.spec,
        feature_shape=stage.feature_shape,
        found=len(images),
        extracted=len(images) - settled,
        reused=len(earlier.rows),
        failed=len(earlier.failures),
        failures=tuple(earlier.failures.values()),
        untrained=stage.untrained,
    )


def _unchanged(target: Path, images: Manifest, stage: Stage, earlier: Earlier) -> Extraction | None:
    if earlier.store is None or not earlier.unchanged:
        return None
    store = earlier.store
    logger.info("%s: nothing to do, the %d images are unchanged", target, len(images))
    return Extraction(
        target=target,
        spec=stage.spec,
        feature_shape=store.feature_shape,
        found=len(images),
        extracted=0,
        reused=len(store),
        failed=len(store.failures),
        failures=tuple(store.failures),
        untrained=stage.untrained,
        store=store,
    )


def _fill(target: Path, images: Manifest, stage: Stage, earlier: Earlier, progress: Progress) -> Extraction:
    start = time.perf_counter()
    known = known_rows(target, stage.spec)
    provenance = Provenance(
        weights_source=stage.source.recorded, runtime=stage.runtime.name, precision=stage.runtime.precision
    )
    failures = dict(earlier.failures)
    with plan(target, images, stage.spec, feature_shape=stage.feature_shape, provenance=provenance) as partial:
        progress.begin(target, total=len(images), done=partial.done)
        resumed = partial.done
        reused = _copy_unchanged(partial, earlier, known)
        progress.advance(rows=reused, failures=len(failures))
        extracted = 0
        stages: dict[str, float] = {}
        pending = (
            (slot, images.paths[slot]) for slot in partial.pending.tolist() if images.paths[slot] not in failures
        )
        try:
            with stage.decoders(known=known.digests) as decoders:
                for batch in decoders.batches(images.root, pending):
                    reused += _copy_known(partial, batch.known, known)
                    extracted += _compute(partial, batch, stage)
                    failures |= {failure.path: _as_listed(failure, images) for failure in batch.failures}
                    progress.advance(rows=len(batch.decoded) + len(batch.known), failures=len(batch.failures))
                stages = {**decoders.seconds, "backbone": stage.seconds}
        except KeyboardInterrupt as stop:
            raise Interrupted(
                f"stopped: {partial.done} of {len(images)} rows of {target} are kept; "
                "the same command goes on from there"
            ) from stop
        if len(failures) == len(images):
            first = next(iter(failures.values()))
            partial.discard()
            raise SourceError(
                f"none of the {len(images)} files in {images.source} could be read as an image "
                f"(the first, {first.path!r}: {first.message})"
            )
        store = partial.seal([failures[path] for path in images.paths if path in failures])
    return Extraction(
        target=target,
        spec=stage.spec,
        feature_shape=stage.feature_shape,
        found=len(images),
        extracted=extracted,
        reused=resumed + reused,
        failed=len(failures),
        seconds=time.perf_counter() - start,
        stages=stages,
        failures=tuple(store.failures),
        untrained=stage.untrained,
        store=store,
    )


def _copy_unchanged(partial: Partial, earlier: Earlier, known: KnownRows) -> int:
    """Copy the rows of files that need not even be read; their number."""
    copied = 0
    todo = np.isin(earlier.slots, partial.pending)
    slots, rows, digests = earlier.slots[todo], earlier.rows[todo], earlier.digests[todo]
    for start in range(0, len(slots), COPY_ROWS):
        block = slice(start, start + COPY_ROWS)
        good, features = known.copy(digests[block])
        assert earlier.store is not None
        partial.write(
            slots[block][good],
            features,
            digests[block][good],
            earlier.store.sizes[rows[block][good]],
            earlier.store.mtimes_ns[rows[block][good]],
            reused=True,
        )
        copied += len(features)
    return copied


def _copy_known(partial: Partial, files: Rows, known: KnownRows) -> int:
    """Copy the rows of files whose content is known under another name or time; their number."""
    if not len(files):
        return 0
    _, features = known.copy(files.digests)
    partial.write(files.slots, features, files.digests, files.sizes, files.mtimes_ns, reused=True)
    return len(files)


def _as_listed(failure: Failure, images: Manifest) -> Failure:
    """A failure with the file's size and time, as listed where its decoder died before it could tell them.

    By these the next run knows that the file is still the same.
    """
    if failure.mtime_ns != -1:
        return failure
    slot = images.paths.index(failure.path)
    return dataclasses.replace(failure, size=int(images.sizes[slot]), mtime_ns=int(images.mtimes_ns[slot]))


def _compute(partial: Partial, batch: Batch, stage: Stage) -> int:
    """Compute and write the rows of a batch's decoded images; their number."""
    decoded = batch.decoded
    if not len(decoded):
        return 0
    partial.write(decoded.slots, stage.features(batch), decoded.digests, decoded.sizes, decoded.mtimes_ns, reused=False)
    return len(decoded)
