"""From a model and new images to labels and probabilities."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx import manifest, notebook
from featx.errors import ModelError, SourceError, UsageError
from featx.manifest import Failure, TableOptions
from featx.model import Model
from featx.pipeline.filling.job import RunOptions
from featx.pipeline.filling.runner import BackboneRunner, decoders, runner_again
from featx.pipeline.naming import MODELS, default_models

if TYPE_CHECKING:
    import pandas as pd


SHOWN = 10
"""Images in the table that a notebook shows."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Predictions:
    """Labels and probabilities that a model gives new images.

    Parameters
    ----------
    paths : tuple of str, length n
        As they were given, or found in a folder that was given.
    labels : (n,) array of str
        The class of each; ``""`` where the model abstained.
    abstained : (n,) bool
        Where the confidence is below `min_confidence`.
    confidence : (n,) float64 or None
        Probability of the class that the model would say, also where it abstained. None without probabilities.
    classes : tuple of str, length k
        What the columns of the others stand for.
    probabilities : (n, k) float64 or None
        Calibrated on the model's cross-validation. None where there was none and the classifier itself gives none.
    margins : (n, k) float64
        The classifier's score of each class: the larger, the surer; not comparable between models.
    failures : tuple of Failure
        Images that could not be read; they have no row.
    min_confidence : float or None
        What was asked for; None labels every image.
    """

    paths: tuple[str, ...]
    labels: NDArray[np.str_]
    abstained: NDArray[np.bool_]
    confidence: NDArray[np.float64] | None
    classes: tuple[str, ...]
    probabilities: NDArray[np.float64] | None
    margins: NDArray[np.float64]
    failures: tuple[Failure, ...]
    min_confidence: float | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"<Predictions of {len(self):,} images · {self._counts}>"

    def _repr_html_(self) -> str:
        unsure = [""] * len(self) if self.confidence is None else [f"{value:.1%}" for value in self.confidence[:SHOWN]]
        rows = zip(self.paths[:SHOWN], self.labels[:SHOWN].tolist(), unsure, strict=False)
        title = f"{len(self):,} images: {self._counts}"
        notes = [f"the first {SHOWN} of {len(self):,}; to_pandas() has all of them"] if len(self) > SHOWN else []
        notes += [f"{one.path}: {one.message}" for one in self.failures[:SHOWN]]
        return notebook.html_table(title, rows, header=("image", "label", "confidence"), notes=notes)

    @property
    def _counts(self) -> str:
        counts = Counter(label for label in self.labels.tolist() if label)
        parts = [f"{count:,} {name}" for name, count in counts.most_common()]
        counted = [notebook.some(parts) or "none labelled"]
        if abstained := int(self.abstained.sum()):
            counted.append(f"{abstained:,} left unlabelled")
        if self.failures:
            counted.append(f"{len(self.failures):,} failed")
        return " · ".join(counted)

    def to_pandas(self) -> "pd.DataFrame":
        """Table for pandas, a row for each image.

        Returns
        -------
        pandas.DataFrame
            ``path`` and ``label`` (text; missing where the model abstained), ``abstained`` (bool), and float64 columns:
            ``confidence`` and ``probability_<class>``, or, where the model has no probabilities, ``margin_<class>``.

        Raises
        ------
        UsageError
            pandas isn't installed.
        """
        pd = notebook.pandas()
        columns = {
            "path": notebook.text_column(self.paths),
            "label": notebook.text_column(label or None for label in self.labels.tolist()),
            "abstained": self.abstained,
        }
        if self.confidence is not None:
            columns["confidence"] = self.confidence
        word, values = ("margin", self.margins) if self.probabilities is None else ("probability", self.probabilities)
        frame = pd.concat([pd.DataFrame(columns), pd.DataFrame(values)], axis=1)
        # As in `text_column`.
        frame.columns = pd.Index([*columns, *(f"{word}_{name}" for name in self.classes)], dtype=object)
        return frame

    def records(self) -> list[dict[str, Any]]:
        """One dictionary for each image.

        They hold path, label (empty where the model abstained, which ``abstained`` says too), and the confidence and by
        class the probability, or else by class the margin.
        """
        return [
            {
                "path": path,
                "label": str(self.labels[row]),
                "abstained": bool(self.abstained[row]),
                **self._values(row),
            }
            for row, path in enumerate(self.paths)
        ]

    def _values(self, row: int) -> dict[str, Any]:
        if self.probabilities is None or self.confidence is None:
            return {"margins": dict(zip(self.classes, self.margins[row].tolist(), strict=True))}
        probabilities = dict(zip(self.classes, self.probabilities[row].tolist(), strict=True))
        return {"confidence": float(self.confidence[row]), "probabilities": probabilities}


def predict(
    model: Model | Path | str | None,
    images: Sequence[Path | str] | Path | str,
    *,
    min_confidence: float | None = None,
    path_column: str | None = None,
    root: Path | str | None = None,
    weights: Path | str | None = None,
    runtime: str = RunOptions.runtime,
    device: str = RunOptions.device,
    batch_size: int | None = RunOptions.batch_size,
    workers: int | None = RunOptions.workers,
    max_pixels: int | None = RunOptions.max_pixels,
    timeout: float = RunOptions.timeout,
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
    path_column : str, optional
        Column of a CSV that holds the paths; ``path`` or one like it by default.
    root : path, optional
        Folder that the paths in a CSV are relative to; that of the CSV by default.
    weights : str, optional
        Where the backbone's weights are now, if no longer where the model has them from.
    runtime, device, batch_size, workers, max_pixels, timeout
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
            path_column=path_column,
            root=root,
            weights=weights,
            runtime=runtime,
            device=device,
            batch_size=batch_size,
            workers=workers,
            max_pixels=max_pixels,
            timeout=timeout,
        )
    )
    probabilities = [part.probabilities for part in parts if part.probabilities is not None]
    confidence = [part.confidence for part in parts if part.confidence is not None]
    return Predictions(
        paths=tuple(path for part in parts for path in part.paths),
        labels=np.concatenate([part.labels for part in parts]),
        abstained=np.concatenate([part.abstained for part in parts]),
        confidence=np.concatenate(confidence) if confidence else None,
        classes=model.classes,
        probabilities=np.concatenate(probabilities) if probabilities else None,
        margins=np.concatenate([part.margins for part in parts]),
        failures=tuple(failure for part in parts for failure in part.failures),
        min_confidence=min_confidence,
    )


def predict_batches(
    model: Model | Path | str | None,
    images: Sequence[Path | str] | Path | str,
    *,
    min_confidence: float | None = None,
    path_column: str | None = None,
    root: Path | str | None = None,
    weights: Path | str | None = None,
    runtime: str = RunOptions.runtime,
    device: str = RunOptions.device,
    batch_size: int | None = RunOptions.batch_size,
    workers: int | None = RunOptions.workers,
    max_pixels: int | None = RunOptions.max_pixels,
    timeout: float = RunOptions.timeout,
) -> Iterator[Predictions]:
    """Label images batch by batch as they come: for more images than one waits for, or than fit in memory.

    Parameters and errors are those of `predict`; errors are raised as the batches are asked for.

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
    given = [images] if isinstance(images, Path | str) else images
    table = TableOptions(path_column=path_column, root=None if root is None else Path(root))
    paths, failures = _expand([Path(image) for image in given], table)
    runner = runner_of(model, weights=weights, options=run)
    found = False
    with decoders(runner) as processes:
        for batch in processes.batches(Path.cwd(), enumerate(paths)):
            X = runner.features(batch.images)
            failures += batch.failures
            found = found or len(X) > 0
            if not len(X):
                continue
            yield _said(
                model,
                X,
                paths=tuple(paths[slot] for slot in batch.decoded.slots),
                failures=tuple(failures),
                min_confidence=min_confidence,
            )
            failures = []
    if not found:
        what = f"{failures[0].path}: {failures[0].message}" if failures else "there is none"
        raise SourceError(f"none of the {max(len(paths), len(failures))} images could be read ({what})")
    if failures:
        nothing = np.empty((0, model.width), np.float32)
        yield _said(model, nothing, paths=(), failures=tuple(failures), min_confidence=min_confidence)


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
        what = f"there are {len(found)} models under {MODELS} ({', '.join(path.name for path in found)})"
        if not found:
            what = f"there is no model under {MODELS}; run `featx fit` first"
        raise ModelError(f"{what}: name one with `model`")
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
        raise UsageError(f"`min_confidence` is a probability from 0 to 1, found {min_confidence}")
    if model.probabilities(np.empty((0, model.width), np.float32)) is None:
        raise UsageError(
            f"the model {model.name} has no probabilities to hold against {min_confidence:g}: fit it again with"
            " cross-validation, on which they are calibrated, or label every image"
        )


def _said(
    model: Model,
    X: NDArray[np.float32],
    *,
    paths: tuple[str, ...],
    failures: tuple[Failure, ...],
    min_confidence: float | None,
) -> Predictions:
    """Label images by their features."""
    labels, probabilities = model.predict(X), model.probabilities(X)
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
    )


def _expand(given: Sequence[Path], table: TableOptions) -> tuple[list[str], list[Failure]]:
    """Image files, those in folders and CSVs included, as they were named; and the folders that hold none."""
    if table and not any(manifest.is_table(path) for path in given):
        raise UsageError("`path_column` and `root` are for a CSV of images, and none is given")
    paths: list[str] = []
    failures: list[Failure] = []
    for path in given:
        if manifest.is_table(path):
            folder, named = manifest.paths_in(path.absolute(), table)
            start = os.path.relpath(folder) if table.root is None and not path.is_absolute() else str(folder)
            paths += [os.path.join("" if start == "." else start, name) for name in named]  # noqa: PTH118  (as written)
            continue
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
