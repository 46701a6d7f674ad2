"""From the predictions of a model to a report: figures, leaks, likely label errors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.classifiers import weighing
from featx.errors import DataError
from featx.manifest import difference
from featx.model import Model
from featx.pipeline.evaluation import leaks, tuned
from featx.pipeline.evaluation.averaging import check_views
from featx.pipeline.evaluation.test_sets import described
from featx.pipeline.evaluation.training import Missing, Training
from featx.pipeline.filling.job import RunOptions
from featx.pipeline.naming import TEST_SOURCE
from featx.reports import Images, Report
from featx.selection.calibration import cross_calibrated
from featx.spec import ViewsSpec
from featx.statistics import LabelError, Metrics, ScoredImages, label_errors, measured, scored_images
from featx.store import FeatureStore
from featx.words import counted, some

NAMED = 5
"""Classes of a kind that a report's notes name; its table of classes has all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """A model's predictions for images whose class is known, by models that didn't see them.

    Parameters
    ----------
    scored_on : str
        For people: what the images are.
    classes : tuple of str, length c
        The model's k, then those it never had.
    labels, predicted : (n,) int
        Indices into `classes`.
    scores : (n, k) float
        As `Model.scores` gives them.
    probabilities : (n, k) float or None
        As `Model.probabilities` gives them.
    store : FeatureStore or None
        Where the images are from; None where it is gone.
    rows : (n,) int64
        Of the store.
    folds : (n,) int or None
        Fold that each image was held out in, where the images are those that the model was fitted on, each predicted by
        a classifier that didn't see it; else None.
    notes : tuple of str
        What a reader should know.
    remarks : tuple of str
        Likewise, where nothing is wrong.
    """

    scored_on: str
    classes: tuple[str, ...]
    labels: NDArray[np.integer]
    predicted: NDArray[np.integer]
    scores: NDArray[np.floating]
    probabilities: NDArray[np.floating] | None
    store: FeatureStore | None
    rows: NDArray[np.int64]
    folds: NDArray[np.integer] | None = None
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def crossed(self) -> bool:
        """The images are those that the model was fitted on."""
        return self.folds is not None

    @property
    def confidence(self) -> NDArray[np.float64] | None:
        """(n,): probability of the predicted class."""
        if self.probabilities is None:
            return None
        own: NDArray[np.float64] = self.probabilities[np.arange(len(self.predicted)), self.predicted].astype(np.float64)
        return own.clip(0.0, 1.0)

    def checked(self, rows: NDArray[np.bool_] | slice = slice(None)) -> ScoredImages:
        """Some of the images, or all, for the metrics."""
        return scored_images(
            self.labels[rows],
            self.predicted[rows],
            classes=self.classes,
            scores=self.scores[rows],
            probabilities=None if self.probabilities is None else self.probabilities[rows],
        )


def on_store(model: Model, store: FeatureStore, *, views: bool = False) -> Judged:
    """Judge a model on the labelled rows of a store.

    Parameters
    ----------
    model : Model
    store : FeatureStore
    views : bool
        Whether the probabilities of each image and of its views in the store are averaged.

    Raises
    ------
    SpecMismatch
        The store was made under another spec, or its views by another recipe.
    DataError
        It has no labels, or no views.
    """
    model.check(store.spec)
    if views:
        check_views(model, store)
    labelled = np.flatnonzero(store.labels >= 0)
    if not len(labelled):
        raise DataError(f"{store.path} has no labels, so nothing can be scored; `featx predict` gives labels to images")
    # A class of which no image could be read is none here.
    unseen = tuple(name for name, count in store.class_counts.items() if count and name not in model.classes)
    classes = model.classes + unseen
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number.get(name, -1) for name in store.classes])[store.labels[labelled]]
    X = store.features[labelled]
    notes = _unknown({name: store.class_counts[name] for name in unseen}, model.classes)
    if skipped := len(store) - len(labelled):
        notes.append(
            f"{counted(skipped, 'image has', 'images have')} no label and {'was' if skipped == 1 else 'were'} left out"
        )
    averages = model.probabilities(X, views=store.views[labelled]) if views and store.views is not None else None
    if averages is not None:
        return Judged(
            scored_on=f"{described(store)} ({counted(len(labels), 'image')})",
            classes=classes,
            labels=labels,
            predicted=averages.argmax(axis=1),
            scores=_log(averages),
            probabilities=averages,
            store=store,
            rows=labelled,
            notes=tuple(notes),
            remarks=_remarks(model, store.views_spec),
        )
    return Judged(
        scored_on=f"{described(store)} ({counted(len(labels), 'image')})",
        classes=classes,
        labels=labels,
        predicted=np.array([number[name] for name in model.predict(X)]),
        scores=model.scores(X),
        probabilities=model.probabilities(X),
        store=store,
        rows=labelled,
        notes=tuple(notes),
        remarks=_remarks(model, None),
    )


def _unknown(counts: Mapping[str, int], known: Iterable[str]) -> list[str]:
    """Name the classes that the model doesn't know: first those that nearly have a name of the model's, but few in all.

    Parameters
    ----------
    counts : mapping of str to int
        Images of each of these classes.
    known : iterable of str
        Classes of the model.
    """
    advice = {name: _nearly(name, known) for name in counts}
    ordered = sorted(counts, key=lambda name: not advice[name])
    notes = [
        f"the model does not know the class {name!r}: its {_as_errors(counts[name])}{advice[name]}"
        for name in ordered[:NAMED]
    ]
    if others := ordered[NAMED:]:
        images = sum(counts[name] for name in others)
        more = counted(len(others), "other class", "other classes")
        notes.append(
            f"the model does not know {more} either: {'its' if len(others) == 1 else 'their'} {_as_errors(images)}"
        )
    return notes


def _as_errors(images: int) -> str:
    return counted(images, "image counts as an error", "images count as errors")


def _log(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make scores of averaged probabilities, finite ones."""
    scores: NDArray[np.float64] = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    return scores


def _remarks(model: Model, averaged: ViewsSpec | None) -> tuple[str, ...]:
    """Say with which views the model was fitted, and which are averaged."""
    remarks = [model.said_of_views] if model.views is not None else []
    if averaged is not None:
        remarks.append(
            f"the probabilities of each image are averages over the image and {counted(averaged.count, 'view')} of it"
        )
    return tuple(remarks)


def _nearly(name: str, classes: Iterable[str]) -> str:
    """Name the class that this one differs from in a small way only, if there is one."""
    for other in classes:
        if (words := difference(name, other)) is not None:
            return (
                f"; {name!r} and the model's {other!r} differ only in {words}: if they are the same class, use one "
                "name for it"
            )
    return ""


def cross_validated(model: Model, training: Training | None, *, views: bool = False) -> Judged:
    """Judge a model by the predictions that were made while it was chosen, or while the choice itself was judged.

    Parameters
    ----------
    model : Model
        Fitted with cross-validation.
    training : Training or None
        What it was fitted on; None where that is gone.
    views : bool
        Whether the probabilities of each image and of its views, which were held out with it, are averaged.

    Raises
    ------
    DataError
        It was fitted without cross-validation.
    """
    selection = model.selection
    found = selection.nested or selection.oof
    if found is None:
        raise DataError(
            f"the model {model.name} was fitted without cross-validation, and there is no folder {TEST_SOURCE}: give "
            "labelled images to score it on"
        )
    probabilities = cross_calibrated(found.scores, model.labels, found.folds, views=found.views if views else None)
    remarks = [*_remarks(model, model.views if views else None)]
    if selection.nested is None and len(selection.rows) > 1:
        remarks.append(
            f"{' and '.join(selection.params)} {'was' if len(selection.params) == 1 else 'were'} chosen with the help "
            "of these images, so the accuracy on new images may be a little lower; fit with `nested=True` to measure "
            "it"
        )
    return Judged(
        scored_on=tuned.cross_validation(model),
        classes=model.classes,
        labels=model.labels,
        predicted=probabilities.argmax(axis=1) if views else found.labels,
        scores=_log(probabilities) if views else found.scores,
        probabilities=probabilities,
        store=None if training is None else training.store,
        rows=np.arange(len(model.labels)) if training is None else training.rows,
        folds=found.folds,
        remarks=tuple(remarks),
    )


def report_of(
    model: Model, judged: Judged, training: Training | Missing, *, options: RunOptions | None, command: str
) -> Report:
    """Put together what is known of a model's predictions.

    Parameters
    ----------
    model : Model
    judged : Judged
        Its predictions.
    training : Training or Missing
        What it was fitted on.
    options : RunOptions, optional
        How images are read again, to find copies.
    command : str
        Command line that asked for it.
    """
    store = judged.store
    paths = () if store is None else tuple(store.paths[row] for row in judged.rows)
    root = "" if store is None else str(store.folder)
    found = leaks.find(model, None if judged.crossed else store, training=training, options=options)
    learnt = tuned.tuned_images(model, None if judged.crossed else store, judged.rows)
    pairs = found.pairs
    if not judged.crossed:
        pairs += tuned.leaks(learnt, paths, [judged.classes[label] for label in judged.labels], named=pairs)
    copied = found.leaked(paths) if len(paths) else np.zeros(len(learnt), np.bool_)
    leaked = copied | learnt
    n = len(judged.labels)
    notes = [
        *tuned.words(int(learnt.sum()), n, crossed=judged.crossed),
        *judged.notes,
        *_words(copied, n),
        *found.notes,
    ]
    if model.untrained:
        notes.append("the backbone is untrained: with trained weights, the figures would be different")
    there = training if isinstance(training, Training) else None
    scored = judged.checked()
    figures = measured(scored)
    notes += _never_predicted(model, figures)
    return Report(
        model=model.name,
        scored_on=judged.scored_on,
        backbone=model.spec.backbone,
        clf=model.clf,
        params=model.params,
        classes=model.classes,
        metrics=figures,
        spec=model.spec.to_json(),
        fingerprint=model.spec.fingerprint,
        untrained=model.untrained,
        tuned_on=int(learnt.sum()),
        root=root,
        training_root="" if there is None else str(there.store.folder),
        images=None if store is None else _images(judged, paths, store),
        reliability=scored.reliability,
        leaks=pairs,
        without_leaks=measured(judged.checked(~leaked)) if leaked.any() and not leaked.all() else None,
        label_errors=_label_errors(model, judged, there, seen=leaked, root=root),
        failures=() if store is None else tuple((failure.path, failure.reason) for failure in store.failures),
        notes=tuple(notes),
        remarks=(*judged.remarks, *_repeated(found.repeats, judged)),
        command=command,
        versions=model.versions,
    )


def _words(leaked: NDArray[np.bool_], n: int) -> list[str]:
    if not (count := int(leaked.sum())):
        return []
    return [
        f"the model was fitted on {count:,} of {counted(n, 'image')}, or on copies of them: figures that include "
        "these images are too high"
    ]


def _repeated(repeats: int, judged: Judged) -> list[str]:
    """Say how many images tell little, being near copies of others of their set and class."""
    if not repeats:
        return []
    advice = (
        "; fit with `group_copies=True` to keep copies together in one fold, and with `group_by` to keep all photos "
        "of one object together"
        if judged.crossed
        else ""
    )
    return [
        f"{repeats:,} of the {counted(len(judged.labels), 'image')} "
        f"{'is a near copy' if repeats == 1 else 'are near copies'} of others of the same class, so the accuracy is "
        f"less certain than the number of images suggests{advice}"
    ]


def _never_predicted(model: Model, figures: Metrics) -> list[str]:
    """Name the classes that the model never predicts, with what may help."""
    known = figures.per_class[: len(model.classes)]
    predicted = figures.confusion.sum(axis=0)
    missed = [one for one, named in zip(known, predicted, strict=False) if one.support and not named]
    if not missed:
        return []
    ordered = sorted(missed, key=lambda one: -one.support)
    names = some([f"{one.name!r} ({counted(one.support, 'image')})" for one in ordered], most=NAMED)
    rare = any(one.support < figures.n / len(known) for one in missed)
    can_weigh = model.clf in weighing() and model.params.get("class_weight") is None
    advice = '; fit with `class_weight="balanced"`, so that rare classes count as much as common ones'
    return [f"classes that the model never predicted: {names}{advice if rare and can_weigh else ''}"]


def _images(judged: Judged, paths: tuple[str, ...], store: FeatureStore) -> Images:
    return Images(
        paths=paths,
        digests=tuple(bytes(digest).hex() for digest in store.digests[judged.rows]),
        labels=judged.labels.astype(np.int32),
        predicted=judged.predicted.astype(np.int32),
        confidence=judged.confidence,
        folds=None if judged.folds is None else judged.folds.astype(np.int32),
    )


def _label_errors(
    model: Model, judged: Judged, training: Training | None, *, seen: NDArray[np.bool_], root: str
) -> tuple[LabelError, ...]:
    """Scored and training images whose label is likely wrong, the surest first; paths as seen from the scored ones.

    Every prediction is by a classifier that didn't see the image: those of training images are cross-validated.
    """
    suspects: list[LabelError] = []
    oof, classes = model.selection.oof, model.classes
    if not judged.crossed and judged.store is not None and judged.probabilities is not None:
        new = np.flatnonzero(~seen)
        paths = [judged.store.paths[row] for row in judged.rows[new]]
        suspects += label_errors(paths, judged.labels[new], judged.probabilities[new], classes=classes)
    if training is not None and oof is not None:
        paths = list(training.seen_from(root))
        probabilities = cross_calibrated(oof.scores, model.labels, oof.folds)
        suspects += label_errors(paths, model.labels, probabilities, classes=classes)
    return tuple(sorted(suspects, key=lambda one: -one.confidence))
