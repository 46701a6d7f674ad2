"""Check that a feature store is what was written, and that its images give the same features today."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx import backbones, notebook, runtimes
from featx.errors import StoreError, UsageError
from featx.manifest import Failure
from featx.pipeline.filling.job import RunOptions
from featx.pipeline.filling.lending import TOLERANCES, distances, distances_of_views
from featx.pipeline.filling.runner import BackboneRunner, decoders, runner_again
from featx.runtimes.choosing import RUNTIMES
from featx.store import FeatureStore, Findings, Repair, check, open_store
from featx.words import counted, some

NAMED = 5
"""Images named in one line."""

BY_KERAS = 8
"""Rows of a sample that Keras computes too, where an exported graph from the cache folder computes the others."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Comparison of some rows with what their images give now.

    Parameters
    ----------
    compared : int
        Rows whose image still is the one that was read.
    differing : dict of str to float
        Images whose feature, or one of its views, is another now, with how far it is off, as a share of its length.
    changed : tuple of str
        Images whose file has another content now: nothing can be said of their rows.
    unread : tuple of Failure
        Images that can't be read any more: likewise.
    forged : str or None
        Fault of the exported graph that computed the rows, where Keras gives other features; None where it agrees.
    """

    compared: int
    differing: dict[str, float]
    changed: tuple[str, ...]
    unread: tuple[Failure, ...]
    forged: str | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class Verification:
    """Result of `verify`.

    Parameters
    ----------
    path : Path
        The file.
    rows : int
        Rows that were held against their checksums; 0 where the file can't be read that far.
    broken : tuple of str
        What the file as a whole breaks, a phrase for each rule.
    damaged : tuple of str
        Images whose rows no longer are what their checksums say.
    repaired : tuple of str
        Images whose rows were damaged and are sound again.
    sample : Sample or None
        What rows computed again gave, where that was asked for and the file is sound.
    """

    path: Path
    rows: int
    broken: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()
    sample: Sample | None = None

    def __repr__(self) -> str:
        return f"<Verification of {self.path.name}: {counted(self.rows, 'row')}, {self._verdict}>"

    def _repr_html_(self) -> str:
        rows = [("rows", f"{self.rows:,}"), ("verdict", self._verdict), *(("problem", one) for one in self.problems)]
        if self.repaired:
            rows.append(("repaired", some(self.repaired)))
        if self.sample is not None:
            rows.append(("computed again", counted(self.sample.compared, "row")))
        return notebook.html_table(str(self.path), rows)

    @property
    def _verdict(self) -> str:
        return "sound" if self.ok else counted(len(self.problems), "problem")

    @property
    def ok(self) -> bool:
        """True where nothing is wrong."""
        return not self.problems

    @property
    def problems(self) -> tuple[str, ...]:
        """Faults, a phrase for each; empty where there is none."""
        found = list(self.broken)
        if self.damaged:
            found.append(
                f"{len(self.damaged):,} of {counted(self.rows, 'row')} {'is' if len(self.damaged) == 1 else 'are'} "
                f"damaged: {_named(self.damaged)}"
            )
        if self.sample is not None and self.sample.differing:
            worst = max(self.sample.differing.values())
            found.append(
                f"{len(self.sample.differing):,} of {counted(self.sample.compared, 'row')} that were computed again "
                f"{'differs' if len(self.sample.differing) == 1 else 'differ'}, by up to {worst:.2g} of the length of "
                f"the feature vector: {_named(tuple(self.sample.differing))}"
            )
        if self.sample is not None and self.sample.forged is not None:
            found.append(self.sample.forged)
        if self.sample is not None and not self.sample.compared and (self.sample.changed or self.sample.unread):
            count = len(self.sample.changed) + len(self.sample.unread)
            found.append(
                f"none of {counted(count, 'row')} could be computed again: the images are missing or have changed"
            )
        return tuple(found)


def verify(
    path: Path | str,
    *,
    repair: bool = False,
    sample: int | None = None,
    seed: int = 0,
    root: Path | str | None = None,
    weights: Path | str | None = None,
    runtime: str = RunOptions.runtime,
    device: str = RunOptions.device,
    batch_size: int | None = RunOptions.batch_size,
    workers: int | None = RunOptions.workers,
    max_pixels: int | None = RunOptions.max_pixels,
    timeout: float = RunOptions.timeout,
) -> Verification:
    """Hold a feature store against every rule of its format and every row against its checksum.

    Parameters
    ----------
    path : path
        The store.
    repair : bool
        Extract damaged rows again from their images, into a new store that takes the old one's place. A row that comes
        out as it was is restored to the bit.
    sample : int, optional
        Also compute so many rows, and their views, again from their images, drawn at random, and compare: this finds
        what no checksum can, such as weights or preprocessing that changed.
    seed : int
        Of that draw.
    root : path, optional
        Where the folder of the images is now. By default where it was, or near the store, if both were moved together.
    weights : path, optional
        Where the backbone's weights are now, if no longer where the store has them from.
    runtime, device, batch_size, workers, max_pixels, timeout
        As in `extract`, for the rows that are computed again. A repair uses the store's own runtime by default.

    Returns
    -------
    Verification
        Whatever is wrong with the file itself is told there, and not raised.

    Raises
    ------
    StoreError
        It can't be repaired: more than rows is damaged, or an image is gone or changed. The file is as it was.
    SpecMismatch, WeightsError
        Rows can't be computed again: the weights are others now, or gone.
    UsageError
        A sample of less than one row.
    """
    path = Path(path).absolute()
    if sample is not None and sample < 1:
        raise UsageError(f"`sample` must be 1 or more, and is {sample}")
    found = check(path)
    run = RunOptions(
        runtime=runtime,
        device=device,
        batch_size=batch_size,
        workers=workers,
        max_pixels=max_pixels,
        timeout=timeout,
    )
    repaired: tuple[str, ...] = ()
    if repair and (found.broken or found.paths):
        repaired = _repair(path, root=root, weights=weights, options=run)
        found = check(path)
    compared = None
    if sample is not None and not found.broken:
        compared = _sample(open_store(path, root=root), found, count=sample, seed=seed, weights=weights, options=run)
    return Verification(
        path=path, rows=found.rows, broken=found.broken, damaged=found.paths, repaired=repaired, sample=compared
    )


def _repair(path: Path, *, root: Path | str | None, weights: Path | str | None, options: RunOptions) -> tuple[str, ...]:
    """Extract the damaged rows again; their images."""
    with Repair(path, root=root) as repair:
        store = repair.store
        made_by = store.runtime.partition("-")[0]
        if options.runtime == "auto" and made_by in RUNTIMES:
            options = dataclasses.replace(options, runtime=made_by)
        runner = _runner(store, weights=weights, options=options)
        if (runner.runtime.name, runner.runtime.precision) != (store.runtime, store.precision):
            raise StoreError(
                f"{path} was computed by {store.runtime} in {store.precision}, but the repair would use "
                f"{runner.runtime.name} in {runner.runtime.precision}: choose the same one with `runtime`, or extract "
                "the store again"
            )
        for again in _extract_again(runner, store, repair.damaged):
            if again.changed or again.unread:
                gone = (*again.changed, *(failure.path for failure in again.unread))
                raise StoreError(
                    f"{path} can't be repaired and is not changed: {counted(len(gone), 'image')} of damaged rows "
                    f"{'is' if len(gone) == 1 else 'are'} missing or changed ({_named(gone)}); bring the images back, "
                    "or extract the store again"
                )
            repair.write(again.rows, again.features, again.views)
        repair.finish()
    return tuple(store.paths[row] for row in repair.damaged.tolist())


def _sample(
    store: FeatureStore,
    found: Findings,
    *,
    count: int,
    seed: int,
    weights: Path | str | None,
    options: RunOptions,
) -> Sample:
    """Compute rows again that are not damaged, and compare.

    An exported graph would only confirm what it computed itself, so Keras computes a few of the rows as well.
    """
    sound = np.setdiff1d(np.arange(len(store)), found.damaged)
    rows = np.sort(np.random.default_rng(seed).choice(sound, min(count, len(sound)), replace=False))
    tolerance = TOLERANCES[store.spec.precision]
    compared = 0
    differing: dict[str, float] = {}
    changed: list[str] = []
    unread: list[Failure] = []
    forged = None
    runner = _runner(store, weights=weights, options=options)
    for again in _extract_again(runner, store, rows):
        changed += again.changed
        unread += again.unread
        found_apart = distances(store.features[again.rows], again.features)
        if store.views is not None and again.views is not None and len(again.rows):
            # `fmax` would take a distance in place of a NaN, which is a difference as well.
            found_apart = np.maximum(found_apart, distances_of_views(store.views[again.rows], again.views))
        if not compared and len(again.rows) and runner.runtime.name == "openvino":
            few = slice(BY_KERAS)
            by_keras = _keras_features(runner, again.images[few])
            found_apart[few] = np.fmax(found_apart[few], distances(store.features[again.rows[few]], by_keras))
            worst = float(distances(again.features[few], by_keras).max())
            if not worst <= tolerance:
                graph = backbones.exported(runner.spec, runner.source).graph
                forged = (
                    f"the exported graph in {graph.parent} gives different features from Keras (by up to {worst:.2g} "
                    "of the length of the feature vector): somebody else may have changed it; delete that folder, and "
                    "extract again with `overwrite=True` all that was computed with it"
                )
        compared += len(again.rows)
        for row, apart in zip(again.rows.tolist(), found_apart.tolist(), strict=True):
            if not apart <= tolerance:
                differing[store.paths[row]] = apart
    return Sample(compared=compared, differing=differing, changed=tuple(changed), unread=tuple(unread), forged=forged)


def _keras_features(runner: BackboneRunner, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute features (b, d) of images (b, H, W, 3) by Keras, at float32."""
    spec = dataclasses.replace(runner.spec, precision="float32", runtime=None)
    ready = runtimes.runtime(spec, runner.source, runtimes.RuntimeOptions(runtime="keras", batch_size=len(images)))
    try:
        return ready(images).copy()
    finally:
        ready.close()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Again:
    """Features (b, d), and views, of rows (b,), computed anew; beside them images that are other ones now, or none."""

    rows: NDArray[np.int64]
    images: NDArray[np.uint8]
    features: NDArray[np.float32]
    views: NDArray[np.float32] | None
    changed: tuple[str, ...]
    unread: tuple[Failure, ...]


def _extract_again(runner: BackboneRunner, store: FeatureStore, rows: NDArray[np.int64]) -> Iterator[_Again]:
    """Compute rows from their images, as far as these still are what was read."""
    if not len(rows):
        return
    with decoders(runner, views=store.views_spec) as processes:
        wanted = ((row, store.paths[row]) for row in rows.tolist())
        for batch in processes.batches(store.folder, wanted):
            same = (batch.decoded.digests == store.digests[batch.decoded.slots]).all(axis=1)
            images = batch.images[same]
            features, views = np.empty((0, store.features.shape[1]), np.float32), None
            if len(images):
                features, views = runner.with_views(images)
            elif store.views is not None:
                views = np.empty((0, *store.views.shape[1:]), np.float32)
            yield _Again(
                rows=batch.decoded.slots[same],
                images=images if images.ndim == 4 else np.ascontiguousarray(images[:, 0]),
                features=features,
                views=views,
                changed=tuple(store.paths[row] for row in batch.decoded.slots[~same].tolist()),
                unread=batch.failures,
            )


def _runner(store: FeatureStore, *, weights: Path | str | None, options: RunOptions) -> BackboneRunner:
    made = f"the store {store.path}"
    return runner_again(
        store.spec, made=made, recorded=store.weights_source, near=store.path, weights=weights, options=options
    )


def _named(paths: tuple[str, ...]) -> str:
    return some(paths, most=NAMED)
