"""The runner of a resolved backbone, loaded late and shared by all that use it."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from featx import backbones, runtimes
from featx.backbones import Request
from featx.batches import DecodeOptions, Decoders
from featx.errors import SpecMismatch, WeightsError
from featx.files import moved
from featx.pipeline.filling.job import RunOptions
from featx.spec import ExtractionSpec, ViewsSpec
from featx.weights import WeightsSource


class BackboneRunner:
    """Runner of the backbone of one spec, which is built when its first batch comes."""

    def __init__(self, spec: ExtractionSpec, source: WeightsSource, options: RunOptions) -> None:
        self.spec = spec
        self.source = source
        self.options = options
        self.start_seconds = 0.0
        self.seconds = 0.0

    @classmethod
    def resolve(cls, request: Request, options: RunOptions, *, recorded: str | None = None) -> Self:
        """Resolve a request; at reduced precision the spec also records the runtime that will execute it.

        Parameters
        ----------
        request : Request
            What a feature is.
        options : RunOptions
            How it is computed.
        recorded : str or None
            The runtime of an earlier spec (`ExtractionSpec.runtime`), to be used again where `options` leave it open.

        Raises
        ------
        UsageError, WeightsError
            As `featx.backbones.resolve` and `featx.runtimes.executed`.
        """
        spec, source = backbones.resolve(request)
        runner = cls(dataclasses.replace(spec, runtime=recorded), source, options)
        runner.spec = dataclasses.replace(spec, runtime=runtimes.executed(runner.spec, runner.runtime_options))
        return runner

    @property
    def runtime_options(self) -> runtimes.RuntimeOptions:
        """Part of the options that a runtime is given."""
        options = self.options
        return runtimes.RuntimeOptions(
            runtime=options.runtime, device=options.device, batch_size=options.batch_size, threads=None
        )

    @cached_property
    def batch_size(self) -> int:
        """Number of images that the backbone takes at once."""
        return runtimes.batch_size(self.spec, self.runtime_options)

    @property
    def untrained(self) -> bool:
        """True if the backbone was never trained, so that its features say little."""
        return self.source.kind == "none"

    @cached_property
    def tuned_on(self) -> NDArray[np.uint8] | None:
        """Digests (t, 32) of the images that the weights were tuned on; None where they weren't."""
        if self.source.kind != "file":
            return None
        found = backbones.tuned_on(self.source)
        return found if len(found) else None

    @cached_property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of one feature before it is flattened."""
        return backbones.feature_shape(self.spec, self.source)

    @cached_property
    def runtime(self) -> runtimes.Runtime:
        """Runtime that executes the backbone, opened at the first use."""
        start = time.perf_counter()
        options = dataclasses.replace(self.runtime_options, batch_size=self.batch_size)
        ready = runtimes.runtime(self.spec, self.source, options)
        self.start_seconds = time.perf_counter() - start
        return ready

    @property
    def fallback(self) -> str | None:
        """Reason why a slower runtime executes the backbone; None if there is none, or before the runtime is opened."""
        return self.runtime.fallback if "runtime" in vars(self) else None

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute features (b, d) float32 of images (b, H, W, 3) uint8, valid until the next call."""
        runtime = self.runtime
        with self._timed():
            return runtime(images)

    def with_views(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Compute features (b, d) and those of the views (b, K, d) of images (b, 1 + K, H, W, 3).

        Of images without views, (b, H, W, 3), the second is None, and the first valid until the next call.
        """
        if images.ndim == 4:
            return self.features(images), None
        pictures = images.reshape(-1, *images.shape[2:])
        found = [
            self.features(pictures[start : start + self.batch_size]).copy()
            for start in range(0, len(pictures), self.batch_size)
        ]
        rows = np.concatenate([np.empty((0, math.prod(self.feature_shape)), np.float32), *found])
        rows = rows.reshape(*images.shape[:2], -1) if len(images) else np.empty((0, images.shape[1], rows.shape[1]))
        return rows[:, 0].astype(np.float32), rows[:, 1:].astype(np.float32)

    @property
    def in_flight(self) -> int:
        """Number of batches to `submit` before the features of the first are asked for."""
        runtime = self.runtime
        return runtime.in_flight if isinstance(runtime, runtimes.Overlapping) else 0

    def submit(self, images: NDArray[np.uint8]) -> "backbones.Pending":
        """Begin to compute images (b, H, W, 3) uint8, which may be overwritten as soon as this returns.

        A runtime that can't compute in the background does so now; its features are valid until the next call.
        """
        runtime = self.runtime
        if len(images) > self.batch_size:  # an image with more views than a batch has room for
            whole = np.concatenate(
                [
                    self.features(images[at : at + self.batch_size]).copy()
                    for at in range(0, len(images), self.batch_size)
                ]
            )
            return lambda: whole
        if not (isinstance(runtime, runtimes.Overlapping) and runtime.in_flight):
            features = self.features(images)
            return lambda: features
        with self._timed():
            pending = runtime.submit(images)

        def features_then() -> NDArray[np.float32]:
            with self._timed():
                return pending()

        return features_then

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start


def runner_again(
    wanted: ExtractionSpec,
    *,
    made: str,
    recorded: str,
    near: Path | None,
    weights: Path | str | None = None,
    options: RunOptions | None = None,
) -> BackboneRunner:
    """Make a runner of the backbone that something was made with, and check that its weights are the same.

    Parameters
    ----------
    wanted : ExtractionSpec
        Its spec.
    made : str
        What was made with it, for messages.
    recorded : str
        Where its weights were then.
    near : Path or None
        Its file, near which the weights are where both were moved together.
    weights : path, optional
        Where they are now, if no longer there.
    options : RunOptions, optional
        How features are computed.

    Raises
    ------
    WeightsError
        The weights are gone.
    SpecMismatch
        They are others now, or this version of featx makes other features of them.
    """
    try:
        runner = BackboneRunner.resolve(
            Request(
                backbone=wanted.backbone,
                weights=str(weights or weights_now(recorded, near=near)),
                layer=wanted.layer,
                pooling=wanted.pooling,
                image_size=wanted.image_size,
                resize=wanted.resize,
                interpolation=wanted.interpolation,
                precision=wanted.precision,
                colours=wanted.colours,
            ),
            options or RunOptions(),
            recorded=wanted.runtime,
        )
    except WeightsError as error:
        if weights is not None:
            raise
        raise WeightsError(
            f"{error}; {made} needs the weights that it was made with: give their file with `weights`"
        ) from error
    if differences := wanted.differences(runner.spec):
        what = (
            f"these are not the weights that {made} was made with; give the right file with `weights`"
            if "weights" in differences
            else f"{made} was made with settings that are different here; extract again"
        )
        raise SpecMismatch(what, differences)
    return runner


def weights_now(recorded: str, *, near: Path | None) -> str:
    """Find a weights file that was moved together with what was made with it; as recorded where there is none."""
    file = Path(recorded)
    if near is None or not file.is_absolute() or file.is_file():
        return recorded
    return next((str(path) for path in moved(file, near=near) if path.is_file()), recorded)


def decoders(
    runner: BackboneRunner, *, known: NDArray[np.uint8] | None = None, views: ViewsSpec | None = None
) -> Decoders:
    """Make decoder processes for the pixels that a backbone, and any other of equal rules and views, needs."""
    options = DecodeOptions(
        workers=runner.options.decoders,
        # The backbone's batch holds the views too.
        batch_size=max(1, runner.batch_size // (1 if views is None else 1 + views.count)),
        max_pixels=runner.options.max_pixels,
        timeout_s=runner.options.timeout,
    )
    return Decoders(runner.spec.pixels, options, known=known, views=views)
