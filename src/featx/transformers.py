"""The stages as scikit-learn transformers, for use without a feature store.

>>> make_pipeline(featx.ImageLoader(), featx.Backbone("resnet50"), featx.make_classifier("logreg"))

Both are pretrained in scikit-learn's sense: `fit` learns nothing, so there is nothing to leak.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from featx.backbones import Request
from featx.batches import DecodeOptions, Decoders
from featx.errors import ImageError
from featx.pipeline.filling.job import RunOptions
from featx.pipeline.filling.runner import BackboneRunner
from featx.spec import Colours, Interpolation, PixelRules, Pooling, Precision, Resize

_BATCH = 32


class _Pretrained(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no type information
    """A transformer with nothing to learn."""

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002  (scikit-learn's signature)
        """Do nothing: there is nothing to learn."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags


class ImageLoader(_Pretrained):
    """Transformer from image files to pixels, by the same rules as `featx.extract`.

    Parameters
    ----------
    image_size : int or (int, int)
        Side, or height and width, in pixels.
    resize : {"stretch", "crop", "pad"}
        How images of another shape are brought to that size.
    interpolation : {"bilinear", "bicubic", "area", "lanczos"}
        How new pixels are computed.
    colours : {"rgb", "grey"}
        The images' own colours, or grey.
    """

    def __init__(
        self,
        *,
        image_size: int | tuple[int, int] = 224,
        resize: Resize = "stretch",
        interpolation: Interpolation = "bilinear",
        colours: Colours = "rgb",
    ) -> None:
        self.image_size = image_size
        self.resize = resize
        self.interpolation = interpolation
        self.colours = colours

    def transform(self, X: Sequence[str | Path]) -> NDArray[np.uint8]:
        """Read and decode images.

        Parameters
        ----------
        X : sequence of path, length n
            Image files.

        Returns
        -------
        (n, height, width, 3) uint8
            RGB. All of them lie in memory at once: `featx.extract` is for those that don't fit.

        Raises
        ------
        ImageError
            A file can't be read as an image, ends its decoder or takes it over a minute; a transformer may not drop
            rows.
        """
        height, width = (self.image_size,) * 2 if isinstance(self.image_size, int) else self.image_size
        rules = PixelRules(
            image_size=(height, width),
            resize=self.resize,
            interpolation=self.interpolation,
            colours=self.colours,
        )
        pixels = np.empty((len(X), height, width, 3), np.uint8)
        if not len(X):
            return pixels
        run = RunOptions()
        options = DecodeOptions(
            workers=min(run.decoders, len(X)), batch_size=min(_BATCH, len(X)), timeout_s=run.timeout
        )
        with Decoders(rules, options) as processes:
            for batch in processes.batches(Path.cwd(), enumerate(os.fspath(path) for path in X)):
                for failure in batch.failures:
                    raise ImageError(
                        failure.reason,
                        f"{failure.path}: {failure.message}; every file must be an image that can be read",
                    )
                pixels[batch.decoded.slots] = batch.images
        return pixels


class Backbone(_Pretrained):
    """Transformer from pixels to the features of a frozen, pretrained network.

    Parameters
    ----------
    backbone : str
        A name of ``featx backbones``.
    weights, layer, pooling, precision
        As in `featx.extract`.
    batch_size : int or None
        Images that the network takes at once; None is as many as suit what executes it.
    """

    def __init__(
        self,
        backbone: str = Request.backbone,
        *,
        weights: str = Request.weights,
        layer: str | None = Request.layer,
        pooling: Pooling | None = Request.pooling,
        precision: Precision = Request.precision,
        batch_size: int | None = RunOptions.batch_size,
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.layer = layer
        self.pooling = pooling
        self.precision = precision
        self.batch_size = batch_size

    def transform(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute features.

        Parameters
        ----------
        X : (n, height, width, 3) uint8
            RGB images.

        Returns
        -------
        (n, d) float32
            Features, those of row i in row i.
        """
        runner = self._runner(X.shape[1:3])
        size = runner.batch_size
        batches = [runner.runtime(X[start : start + size]).copy() for start in range(0, len(X), size)]
        return (
            np.concatenate(batches)
            if batches
            else np.empty((0, int(np.prod(runner.runtime.feature_shape))), np.float32)
        )

    def _runner(self, image_size: tuple[int, int]) -> BackboneRunner:
        """Return the network for images of this size, kept until a parameter or the size changes."""
        key = (image_size, tuple(sorted(self.get_params().items(), key=lambda item: item[0])))
        if getattr(self, "_built", (None, None))[0] != key:
            request = Request(
                backbone=self.backbone,
                weights=self.weights,
                layer=self.layer,
                pooling=self.pooling,
                image_size=image_size,
                precision=self.precision,
            )
            self._built = (key, BackboneRunner.resolve(request, RunOptions(batch_size=self.batch_size)))
        return self._built[1]

    def __getstate__(self) -> dict[str, Any]:
        """Return the parameters only; a compiled network can't be pickled and is built again if needed."""
        return {name: value for name, value in super().__getstate__().items() if name != "_built"}
