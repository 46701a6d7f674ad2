"""From a model and new images to labels and probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx import backbones, manifest
from featx.errors import ModelError, SourceError, SpecMismatch, WeightsError
from featx.manifest import Failure
from featx.model import Model
from featx.pipeline.naming import MODELS, default_models
from featx.pipeline.options import RunOptions
from featx.pipeline.stage import Stage, decoders


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a model says of new images.

    Parameters
    ----------
    paths : tuple of str, length n
        As they were given, or found in a folder that was given.
    labels : (n,) array of str
        The class of each.
    classes : tuple of str, length k
        What the columns of the others stand for.
    probabilities : (n, k) float64 or None
        None where the classifier gives none.
    margins : (n, k) float64
        The classifier's decision function: the larger, the surer; not comparable between models.
    failures : tuple of Failure
        Images that could not be read; they have no row.
    """

    paths: tuple[str, ...]
    labels: NDArray[np.str_]
    classes: tuple[str, ...]
    probabilities: NDArray[np.float64] | None
    margins: NDArray[np.float64]
    failures: tuple[Failure, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def records(self) -> list[dict[str, Any]]:
        """One dictionary for each image: path, label, and by class its probability or else its margin."""
        kind, values = (
            ("margins", self.margins) if self.probabilities is None else ("probabilities", self.probabilities)
        )
        return [
            {"path": path, "label": str(label), kind: dict(zip(self.classes, map(float, row), strict=True))}
            for path, label, row in zip(self.paths, self.labels, values, strict=True)
        ]


def predict(
    model: Model | Path | str,
    images: Sequence[Path | str] | Path | str,
    *,
    weights: Path | str | None = None,
    options: RunOptions | None = None,
) -> Predictions:
    """Label images that a model never saw.

    Parameters
    ----------
    model : Model or path
        The model.
    images : path or sequence of paths
        Image files, or folders of them.
    weights : str, optional
        Where the backbone's weights are now, if no longer where the model has them from.
    options : RunOptions, optional
        How features are computed.

    Returns
    -------
    Predictions
        A row for each image that could be read, the failures beside them.

    Raises
    ------
    SourceError
        No image could be read.
    ModelError, WeightsError
        The model can't be loaded, or its backbone's weights can't be found.
    """
    model = Model.load(model) if isinstance(model, Path | str) else model
    paths = [
        path for image in ([images] if isinstance(images, Path | str) else images) for path in _expand(Path(image))
    ]
    stage = stage_of(model, weights=weights, options=options)
    slots: list[int] = []
    features: list[NDArray[np.float32]] = []
    failures: list[Failure] = []
    with decoders(stage) as processes:
        for batch in processes.batches(Path.cwd(), enumerate(paths)):
            failures += batch.failures
            if len(batch.decoded.slots):
                slots += batch.decoded.slots.tolist()
                features.append(stage.features(batch.images).copy())
    if not features:
        what = f"{failures[0].path}: {failures[0].message}" if failures else "there is none"
        raise SourceError(f"none of the {len(paths)} images could be read ({what})")
    X = np.concatenate(features)
    return Predictions(
        paths=tuple(paths[slot] for slot in slots),
        labels=model.predict(X),
        classes=model.classes,
        probabilities=model.probabilities(X),
        margins=model.scores(X),
        failures=tuple(failures),
    )


def only_model() -> Path:
    """The one model in its default place.

    Raises
    ------
    ModelError
        There is none, or there are several: none is guessed.
    """
    found = default_models()
    if len(found) != 1:
        what = f"there are {len(found)} models under {MODELS} ({', '.join(path.name for path in found)})"
        if not found:
            what = f"there is no model under {MODELS}; run `featx fit` first"
        raise ModelError(f"{what}: name one with --model")
    return found[0]


def stage_of(model: Model, *, weights: Path | str | None, options: RunOptions | None) -> Stage:
    """The backbone of a model, its weights found again and checked.

    Raises
    ------
    WeightsError
        The weights are gone from where the model has them from, or are others now.
    """
    wanted = model.spec
    try:
        spec, source = backbones.resolve(
            backbones.Request(
                backbone=wanted.backbone,
                weights=str(weights or model.weights_source),
                layer=wanted.layer,
                pooling=wanted.pooling,
                image_size=wanted.image_size,
                resize=wanted.resize,
                interpolation=wanted.interpolation,
                precision=wanted.precision,
            )
        )
    except WeightsError as error:
        if weights is not None:
            raise
        raise WeightsError(
            f"{error}; the model {model.name} needs the weights it was made with: name their file with --weights"
        ) from error
    if differences := wanted.differences(spec):
        raise SpecMismatch(
            f"the weights are not those that the model {model.name} was made with; name the right file with --weights",
            differences,
        )
    return Stage(spec, source, options or RunOptions())


def _expand(path: Path) -> list[str]:
    """The images that a path stands for: itself, or those of a folder."""
    if not path.is_dir():
        return [str(path)]
    return [
        str(path / found.root.relative_to(path.absolute()) / name)
        for found in manifest.find(path)
        for name in found.paths
    ]
