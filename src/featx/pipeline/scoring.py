"""From a model and labelled images to a report."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx import manifest, reports
from featx.errors import DataError, FeatxError, ModelError, SpecMismatch, UsageError
from featx.model import Model
from featx.pipeline.extraction import extract_stages, listed
from featx.pipeline.naming import MODELS, REPORTS, STORE_SUFFIXES, TEST_SOURCE, default_models
from featx.pipeline.options import Job, Progress, RunOptions
from featx.pipeline.prediction import stage_of
from featx.reports import Report
from featx.store import FeatureStore, open_store

logger = logging.getLogger(__name__)


def score(
    model: Model | Path | str,
    source: FeatureStore | Path | str | None = None,
    *,
    weights: Path | str | None = None,
    options: RunOptions | None = None,
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Score a model on labelled images that it was not fitted on, and save the report as JSON with a figure.

    Parameters
    ----------
    model : Model or path
        The model.
    source : FeatureStore, path or None
        A feature store, or a folder or CSV, which is extracted under the model's own spec (and cached). None is
        ``data/test`` where that exists, else the model's own cross-validated predictions.
    weights : str, optional
        Where the backbone's weights are now, if no longer where the model has them from.
    options : RunOptions, optional
        How features are computed.
    out : path, optional
        The report's file; ``artifacts/reports/<model>.json`` by default. The confusion matrix is drawn beside it.
    progress : Progress, optional
        Is told how an extraction goes.

    Returns
    -------
    Report
        Metrics, each with what is needed to judge it.

    Raises
    ------
    SpecMismatch
        The store was made under another spec than the model.
    DataError
        There are no labels to score against.
    ModelError, StoreError, SourceError, WeightsError
        As in `fit` and `extract`.
    """
    model = Model.load(model) if isinstance(model, Path | str) else model
    if source is None and TEST_SOURCE.exists():
        source = TEST_SOURCE
    if source is None:
        report = _cross_validated(model)
    else:
        report = _on(model, labelled_store(model, source, weights=weights, options=options, progress=progress))
    target = REPORTS / f"{model.name}.json" if out is None else Path(out)
    report.save(target)
    reports.plot_confusion(report, target.with_suffix(".png"))
    return report


def score_all(
    models: Sequence[Path] | None = None, source: FeatureStore | Path | str | None = None, **options: Any
) -> list[Report]:
    """Score each of several models, with the options of `score`.

    Parameters
    ----------
    models : sequence of path, optional
        Every model in its default place, by default.
    source
        As in `score`.
    **options
        `weights`, `options` and `progress`, as in `score`.

    Raises
    ------
    ModelError
        There is no model to score.
    UsageError
        Two models have the same name.
    SpecMismatch, DataError
        None of the models can be scored; one that can't beside others that can is logged and left out.
    """
    chosen = models or default_models()
    if not chosen:
        raise ModelError(f"there is no model to score under {MODELS}: run `featx fit` first, or name one with --model")
    if len({path.stem for path in chosen}) < len(chosen):
        raise UsageError("two models of the same name would share a report: score them one by one, with out=")
    source = TEST_SOURCE if source is None and TEST_SOURCE.exists() else source
    stores: dict[str, FeatureStore] = {}
    scored: list[Report] = []
    unscored: list[FeatxError] = []
    for path in chosen:
        model = Model.load(path)
        try:
            if source is not None and model.spec.fingerprint not in stores:
                stores[model.spec.fingerprint] = labelled_store(model, source, **options)
            scored.append(score(model, stores.get(model.spec.fingerprint)))
        except (SpecMismatch, DataError) as error:
            # Says something of this model only; the others still have their score.
            unscored.append(error)
            logger.warning("%s is not scored: %s", path, error)
    if unscored and not scored:
        raise unscored[0]
    return scored


def _keys(digests: NDArray[np.uint8]) -> NDArray[np.void]:
    """Digests (n, 32) as (n,) values that compare as a whole."""
    return np.ascontiguousarray(digests).view(np.dtype((np.void, 32))).ravel()


def labelled_store(
    model: Model,
    source: FeatureStore | Path | str,
    *,
    weights: Path | str | None = None,
    options: RunOptions | None = None,
    progress: Progress | None = None,
) -> FeatureStore:
    """The store that is given or that a path names, or that is made from its images under the model's own spec."""
    if isinstance(source, FeatureStore):
        return source
    source = Path(source)
    if source.suffix.lower() in STORE_SUFFIXES:
        return open_store(source)
    split = "test" if len(manifest.find(source)) > 1 else None
    job = Job(source=source, split=split, for_scoring=True)
    images = listed(job)
    stage = stage_of(model, weights=weights, options=options)
    extractions = extract_stages(job, [stage], images, progress=progress)
    store = extractions[0].store
    assert store is not None
    return store


def _on(model: Model, store: FeatureStore) -> Report:
    """Score a model on the labelled rows of a store."""
    model.check(store.spec)
    labelled = np.flatnonzero(store.labels >= 0)
    if not len(labelled):
        raise DataError(f"{store.path} has no labels to score against; `featx predict` labels images without any")
    unseen = tuple(name for name in store.classes if name not in model.classes)
    classes = model.classes + unseen
    index = np.array([classes.index(name) for name in store.classes])
    y = index[store.labels[labelled]]
    X = store.features[labelled]
    notes = [
        f"the model never saw the class {name!r}: its {count} images count as errors"
        for name in unseen
        if (count := int((y == classes.index(name)).sum()))
    ]
    seen = np.isin(_keys(store.digests[labelled]), _keys(model.digests))
    if shared := int(seen.sum()):
        notes.append(f"the model was fitted on {shared} of the {len(y)} images: the figures are too high")
    if skipped := len(store) - len(labelled):
        notes.append(f"{skipped} images without a label take no part")
    metrics = reports.evaluate(
        y,
        [model.classes.index(name) for name in model.predict(X)],
        classes=classes,
        scores=model.scores(X),
        probabilities=model.probabilities(X),
    )
    return _report(model, metrics, scored_on=f"{_shown(store.source)} ({len(y)} images)", store=store, notes=notes)


def _cross_validated(model: Model) -> Report:
    """The score of the predictions that were made while the model's C was chosen."""
    selection = model.selection
    if selection.oof is None:
        raise DataError(
            f"the model {model.name} was fitted without cross-validation and there is no {TEST_SOURCE}: "
            "name labelled images to score it on"
        )
    metrics = reports.evaluate(
        model.labels,
        selection.oof.labels,
        classes=model.classes,
        scores=selection.oof.scores,
        probabilities=selection.oof.probabilities,
    )
    notes = [] if len(selection.rows) == 1 else ["C was chosen on the same folds, so the figures are a little high"]
    return _report(model, metrics, scored_on=f"cross-validation ({selection.folds} folds)", notes=notes)


def _report(
    model: Model, metrics: reports.Metrics, *, scored_on: str, notes: list[str], store: FeatureStore | None = None
) -> Report:
    if model.untrained:
        notes.append("the backbone is untrained: these figures say nothing about it with its trained weights")
    return Report(
        model=model.name,
        scored_on=scored_on,
        backbone=model.spec.backbone,
        clf=model.clf,
        C=model.params.get("C"),
        classes=model.classes,
        metrics=metrics,
        spec=model.spec.to_json(),
        fingerprint=model.spec.fingerprint,
        untrained=model.untrained,
        failures=() if store is None else tuple((failure.path, failure.reason) for failure in store.failures),
        notes=tuple(notes),
        versions=model.versions,
    )


def _shown(source: str) -> str:
    """A path as seen from the working folder, where it is below it."""
    return os.path.relpath(source) if Path(source).is_relative_to(Path.cwd()) else source
