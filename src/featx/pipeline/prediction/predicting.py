"""From a model and new images to labels and probabilities."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.errors import ModelError, SourceError, UsageError
from featx.manifest import Failure, TableOptions
from featx.model import Model
from featx.pipeline.evaluation.averaging import views_of
from featx.pipeline.evaluation.training import keys
from featx.pipeline.filling.job import RunOptions
from featx.pipeline.filling.runner import BackboneRunner, decoders, runner_again
from featx.pipeline.filling.unreadable import warn_of_failures
from featx.pipeline.naming import MODELS, default_models
from featx.pipeline.prediction.results import Predictions
from featx.pipeline.prediction.sources import check_paths, expand
from featx.progress import Progress, observed
from featx.words import counted

TASK = Path("predictions")
"""Name by which an observer knows the task; it makes no file."""


def predict(
    model: Model | Path | str | None,
    images: Sequence[Path | str] | Path | str,
    *,
    min_confidence: float | None = None,
    views: int | None = None,
    path_column: str | None = None,
    root: Path | str | None = None,
    weights: Path | str | None = None,
    runtime: str = RunOptions.runtime,
    device: str = RunOptions.device,
    batch_size: int | None = RunOptions.batch_size,
    workers: int | None = RunOptions.workers,
    max_pixels: int | None = RunOptions.max_pixels,
    timeout: float = RunOptions.timeout,
    progress: Progress | bool | None = None,
) -> Predictions:
    """Label images that a model never saw.

    Parameters
    ----------
    model : Model, path or None
        The model; None is the only one under ``artifacts/models``.
    images : path or sequence of paths
        Image files, folders of them, or CSVs that name them.
    min_confidence : float, optional
        Images whose label is less probable than this, 0 to 1, get none.
    views : int, optional
        Average the probabilities of each image and of so many views of it, 64 at most; the label is the likeliest
        class. The views are made as those that the model was fitted on.
    path_column : str, optional
        Column of a CSV that holds the paths; ``path`` or one like it by default.
    root : path, optional
        Folder that the paths in a CSV are relative to; that of the CSV by default.
    weights : str, optional
        Where the backbone's weights are now, if no longer where the model has them from.
    runtime, device, batch_size, workers, max_pixels, timeout, progress
        As in `extract`.

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
    UsageError
        A `min_confidence` outside 0 to 1, or for a model without probabilities.
    """
    model = _loaded(model)
    parts = list(
        predict_batches(
            model,
            images,
            min_confidence=min_confidence,
            views=views,
            path_column=path_column,
            root=root,
            weights=weights,
            runtime=runtime,
            device=device,
            batch_size=batch_size,
            workers=workers,
            max_pixels=max_pixels,
            timeout=timeout,
            progress=progress,
        )
    )
    probabilities = [part.probabilities for part in parts if part.probabilities is not None]
    confidence = [part.confidence for part in parts if part.confidence is not None]
    paths = tuple(path for part in parts for path in part.paths)
    failures = tuple(failure for part in parts for failure in part.failures)
    warn_of_failures(failures, found=len(paths) + len(failures), named_in="failures of the Predictions")
    return Predictions(
        paths=paths,
        labels=np.concatenate([part.labels for part in parts]),
        abstained=np.concatenate([part.abstained for part in parts]),
        confidence=np.concatenate(confidence) if confidence else None,
        classes=model.classes,
        probabilities=np.concatenate(probabilities) if probabilities else None,
        margins=np.concatenate([part.margins for part in parts]),
        failures=failures,
        min_confidence=min_confidence,
        seen=np.concatenate([part.seen for part in parts]),
    )


def predict_batches(
    model: Model | Path | str | None,
    images: Sequence[Path | str] | Path | str,
    *,
    min_confidence: float | None = None,
    views: int | None = None,
    path_column: str | None = None,
    root: Path | str | None = None,
    weights: Path | str | None = None,
    runtime: str = RunOptions.runtime,
    device: str = RunOptions.device,
    batch_size: int | None = RunOptions.batch_size,
    workers: int | None = RunOptions.workers,
    max_pixels: int | None = RunOptions.max_pixels,
    timeout: float = RunOptions.timeout,
    progress: Progress | bool | None = False,
) -> Iterator[Predictions]:
    """Label images batch by batch as they come: for more images than one waits for, or than fit in memory.

    Parameters and errors are those of `predict`; errors are raised as the batches are asked for. No progress is shown
    by default, and no warning given, since the caller sees the batches.

    Yields
    ------
    Predictions
        Of a batch; it may hold failures only.
    """
    model = _loaded(model)
    run = RunOptions(
        runtime=runtime,
        device=device,
        batch_size=batch_size,
        workers=workers,
        max_pixels=max_pixels,
        timeout=timeout,
    )
    _check_confidence(model, min_confidence)
    averaged = None if views is None else replace(views_of(model), count=views)
    given = [images] if isinstance(images, Path | str) else list(images)
    check_paths(given, model)
    table = TableOptions(path_column=path_column, root=None if root is None else Path(root))
    paths, failures = expand([Path(image) for image in given], table)
    runner = runner_of(model, weights=weights, options=run)
    found, fitted_on = False, set(keys(model.digests))
    with observed(progress) as observer, decoders(runner, views=averaged) as processes:
        observer.begin(TASK, total=len(paths), done=0)
        for batch in processes.batches(Path.cwd(), enumerate(paths)):
            X, of_views = runner.with_views(batch.images)
            observer.advance(TASK, done=len(X), failed=len(batch.failures))
            failures += batch.failures
            found = found or len(X) > 0
            if not len(X):
                continue
            yield _said(
                model,
                X,
                of_views,
                paths=tuple(paths[slot] for slot in batch.decoded.slots),
                seen=np.array([digest in fitted_on for digest in keys(batch.decoded.digests)], bool),
                failures=tuple(failures),
                min_confidence=min_confidence,
            )
            failures = []
    if not found:
        what = f"{failures[0].path}: {failures[0].message}" if failures else "there is none"
        total = max(len(paths), len(failures))
        none = "the image could not be read" if total == 1 else f"none of {counted(total, 'image')} could be read"
        raise SourceError(f"{none} ({what})")
    if failures:
        nothing = np.empty((0, model.width), np.float32)
        yield _said(
            model,
            nothing,
            None,
            paths=(),
            seen=np.empty(0, bool),
            failures=tuple(failures),
            min_confidence=min_confidence,
        )


def _loaded(model: Model | Path | str | None) -> Model:
    return model if isinstance(model, Model) else Model.load(_only_model() if model is None else model)


def _only_model() -> Path:
    """Find the one model in its default place.

    Raises
    ------
    ModelError
        There is none, or there are several: none is guessed.
    """
    found = default_models()
    if len(found) != 1:
        if not found:
            raise ModelError(f"there is no model under {MODELS}: run `featx fit` first, or name a model with `model`")
        best = max((Model.load(path) for path in found), key=lambda model: model.accuracy or 0.0)
        raise ModelError(
            f"there are {len(found)} models under {MODELS} ({', '.join(path.name for path in found)}): choose one "
            f"with `model`; the best by cross-validation is `model={MODELS / best.name}.skops` "
            f"({best.accuracy or 0.0:.1%})"
        )
    return found[0]


def runner_of(model: Model, *, weights: Path | str | None, options: RunOptions) -> BackboneRunner:
    """The backbone of a model, its weights found again and checked.

    Raises
    ------
    WeightsError
        The weights are gone from where the model has them from, or are others now.
    """
    made = f"the model {model.name}"
    return runner_again(
        model.spec, made=made, recorded=model.weights_source, near=model.file, weights=weights, options=options
    )


def _check_confidence(model: Model, min_confidence: float | None) -> None:
    if min_confidence is None:
        return
    if not 0.0 <= min_confidence <= 1.0:
        raise UsageError(f"`min_confidence` must be a number from 0 to 1, and is {min_confidence}")
    if model.probabilities(np.empty((0, model.width), np.float32)) is None:
        raise UsageError(
            f"the model {model.name} gives no probabilities, because it was fitted without cross-validation, so "
            "`min_confidence` can't be used: fit it again with cross-validation, or leave `min_confidence` out"
        )


def _said(
    model: Model,
    X: NDArray[np.float32],
    views: NDArray[np.float32] | None,
    *,
    paths: tuple[str, ...],
    seen: NDArray[np.bool_],
    failures: tuple[Failure, ...],
    min_confidence: float | None,
) -> Predictions:
    """Label images by their features."""
    labels, probabilities = model.predict(X), model.probabilities(X, views=views)
    if views is not None and probabilities is not None:
        labels = np.asarray(model.classes)[probabilities.argmax(axis=1)]
    confidence, abstained = None, np.zeros(len(X), bool)
    if probabilities is not None:
        # Of the label, which an SVM finds by votes: now and then another class is the likeliest by a little.
        column = {name: number for number, name in enumerate(model.classes)}
        columns = np.array([column[label] for label in labels.tolist()], np.intp)
        confidence = probabilities[np.arange(len(X)), columns]
        if min_confidence is not None:
            abstained = confidence < min_confidence
            labels = np.where(abstained, "", labels)
    return Predictions(
        paths=paths,
        labels=labels,
        abstained=abstained,
        confidence=confidence,
        classes=model.classes,
        probabilities=probabilities,
        margins=model.scores(X),
        failures=failures,
        min_confidence=min_confidence,
        seen=seen,
    )
