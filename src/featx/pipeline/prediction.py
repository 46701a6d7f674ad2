"""From a model and new images to labels and probabilities."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx import manifest
from featx.errors import ModelError, SourceError
from featx.manifest import Failure
from featx.model import Model
from featx.pipeline.naming import MODELS, default_models
from featx.pipeline.options import RunOptions
from featx.pipeline.stage import Stage, decoders, stage_again


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
    parts = list(predict_batches(model, images, weights=weights, options=options))
    probabilities = [part.probabilities for part in parts if part.probabilities is not None]
    return Predictions(
        paths=tuple(path for part in parts for path in part.paths),
        labels=np.concatenate([part.labels for part in parts]),
        classes=model.classes,
        probabilities=np.concatenate(probabilities) if probabilities else None,
        margins=np.concatenate([part.margins for part in parts]),
        failures=tuple(failure for part in parts for failure in part.failures),
    )


def predict_batches(
    model: Model | Path | str,
    images: Sequence[Path | str] | Path | str,
    *,
    weights: Path | str | None = None,
    options: RunOptions | None = None,
) -> Iterator[Predictions]:
    """As `predict`, but batch by batch as they come: for more images than one waits for, or than fit in memory.

    Yields
    ------
    Predictions
        Of a batch; it may hold failures only.
    """
    model = Model.load(model) if isinstance(model, Path | str) else model
    given = [images] if isinstance(images, Path | str) else images
    paths, failures = _expand([Path(image) for image in given])
    stage = stage_of(model, weights=weights, options=options)
    found = False
    with decoders(stage) as processes:
        for batch in processes.batches(Path.cwd(), enumerate(paths)):
            X = stage.features(batch.images)
            failures += batch.failures
            found = found or len(X) > 0
            if not len(X):
                continue
            yield Predictions(
                paths=tuple(paths[slot] for slot in batch.decoded.slots),
                labels=model.predict(X),
                classes=model.classes,
                probabilities=model.probabilities(X),
                margins=model.scores(X),
                failures=tuple(failures),
            )
            failures = []
    if not found:
        what = f"{failures[0].path}: {failures[0].message}" if failures else "there is none"
        raise SourceError(f"none of the {max(len(paths), len(failures))} images could be read ({what})")
    if failures:
        yield Predictions(
            paths=(),
            labels=np.empty(0, np.str_),
            classes=model.classes,
            probabilities=None,
            margins=np.empty((0, len(model.classes))),
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
    made = f"the model {model.name}"
    return stage_again(model.spec, made=made, recorded=model.weights_source, weights=weights, options=options)


def _expand(given: Sequence[Path]) -> tuple[list[str], list[Failure]]:
    """Image files, those in folders included, as they were named; and the folders that hold none."""
    paths: list[str] = []
    failures: list[Failure] = []
    for path in given:
        if not os.path.isdir(path):  # noqa: PTH112  (pathlib's raises where a name is too long or not to be looked at)
            paths.append(str(path))
            continue
        try:
            for found in manifest.find(path):
                below = os.path.relpath(found.root, path.absolute())
                paths += [os.path.normpath(path / below / name) for name in found.paths]
        except SourceError as error:
            failures.append(
                Failure(path=str(path), reason="unreadable", message=str(error), digest=None, size=-1, mtime_ns=-1)
            )
    return paths, failures
