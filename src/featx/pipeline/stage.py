"""A resolved backbone on its way to run: loaded late, shared by everything that uses it."""

import time
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from featx import backbones, runtimes
from featx.batches import DecodeOptions, Decoders
from featx.images import DEFAULT_MAX_PIXELS
from featx.pipeline.options import RunOptions
from featx.spec import ExtractionSpec
from featx.weights import WeightsSource


class Stage:
    """The backbone of one spec, ready to run, built when its first batch comes."""

    def __init__(self, spec: ExtractionSpec, source: WeightsSource, options: RunOptions) -> None:
        self.spec = spec
        self.source = source
        self.options = options
        self.start_seconds = 0.0
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
        start = time.perf_counter()
        ready = runtimes.runtime(
            self.spec,
            self.source,
            runtimes.RuntimeOptions(
                runtime=self.options.runtime,
                device=self.options.device,
                batch_size=self.options.batch_size,
                threads=None,
            ),
        )
        self.start_seconds = time.perf_counter() - start
        return ready

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (b, d) float32 of decoded images (b, H, W, 3) uint8, valid until the next call."""
        runtime = self.runtime
        start = time.perf_counter()
        features = runtime(images)
        self.seconds += time.perf_counter() - start
        return features


def decoders(stage: Stage, *, known: NDArray[np.uint8] | None = None) -> Decoders:
    """Decoder processes that give the pixels that a backbone, and any other of equal rules, wants."""
    options = DecodeOptions(
        workers=stage.options.decoders,
        batch_size=stage.options.batch_size,
        max_pixels=stage.options.max_pixels or DEFAULT_MAX_PIXELS,
        timeout_s=stage.options.timeout,
    )
    return Decoders(stage.spec.pixels, options, known=known)
