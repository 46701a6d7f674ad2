"""The learning curve: accuracy against the number of training images per class."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from featx.classifiers import check_features
from featx.errors import DataError, StoreError, UsageError
from featx.leakage.tuned import NO_TEST, among
from featx.pipeline.curves.draws import Design, held_out, labelled, numbers_of, on_test, sizes_of
from featx.pipeline.curves.trials import Fitter, run_trials
from featx.pipeline.fitting import DEFAULT_CLASSIFIER
from featx.pipeline.naming import FEATURES, REPORTS, TRAINING_SPLITS, default_stores, model_path
from featx.progress import Progress, observed
from featx.reports.curve import REPEATS, REPEATS_ON_TEST, Curve
from featx.reports.curve_intervals import summarise
from featx.reports.curve_plot import plot_curve
from featx.selection import SelectionOptions
from featx.store import FeatureStore, open_store
from featx.words import counted

logger = logging.getLogger(__name__)

SMALLEST = 2
"""Images per class: of one each, some classifiers can't be fitted."""

UNEQUAL = 1.5
"""Classes whose sizes differ by more than this factor are worth a note."""


def curve(
    store: FeatureStore | Path | str | None = None,
    *,
    clf: Any = DEFAULT_CLASSIFIER,
    kernel: str = SelectionOptions.kernel,
    class_weight: str | None = SelectionOptions.class_weight,
    normalize: str | None = SelectionOptions.normalize,
    points: Sequence[int] | None = None,
    repeats: int | None = None,
    test: FeatureStore | Path | str | None = None,
    folds: int = SelectionOptions.folds,
    seed: int = SelectionOptions.seed,
    jobs: int = SelectionOptions.n_jobs,
    group_by: str | None = None,
    labels: Path | str | None = None,
    out: Path | str | None = None,
    progress: Progress | bool | None = None,
) -> Curve:
    """Find how the accuracy grows with the training images per class, and save it as JSON, CSV and a picture.

    For each size, so many images of each class are drawn from the training images of a fold, a classifier is chosen by
    cross-validation inside the draw and fitted on it, and the images of the fold are labelled. The draws of one repeat
    are nested: a larger one holds the smaller ones. The last size is all training images of a fold.

    Parameters
    ----------
    store : FeatureStore or path, optional
        Features (n, d) float32 with labels; rows without a label take no part. By default the only train store under
        ``artifacts/features``.
    clf, kernel, class_weight, normalize
        As in `fit`, but for one classifier.
    points : sequence of int, optional
        Images per class; more than there are stand for all. By default 2, 5, 10, 20, 50 and so on, and all.
    repeats : int, optional
        Draws of each size in each fold, 3 by default, or 10 where there is `test`. From a single one, the intervals
        cover the test images alone.
    test : FeatureStore or path, optional
        Features of the same spec to test on, in place of held-out folds of `store`.
    folds : int
        To test on, and in which C is chosen inside a draw; there, as many as the draw allows.
    seed : int
        Of the folds, the draws and the classifiers: the same seed gives the same curve.
    jobs : int
        Folds worked on at once, -1 for one on each core. Changes no result.
    group_by, labels
        As in `fit`. Images of one group are never on both sides of a test, and are drawn one after the other.
    out : path, optional
        The JSON file (ending in ``.json``), or a folder; ``artifacts/reports/<store>-<clf>-curve.json`` by default. A
        CSV and a PNG go beside it.
    progress : Progress, bool or None
        As in `extract`; the parts of the task are classifiers to be fitted.

    Returns
    -------
    Curve
        A row for each size: the accuracy and its interval, over test images and draws
        (`featx.reports.curve_intervals.summarise`).

    Raises
    ------
    DataError
        No labels, one class, or too few images of a class to hold any out.
    SpecMismatch
        `test` was made under another spec.
    StoreError, SourceError
        As in `fit`.
    UsageError
        An unknown classifier, or points or repeats that make no sense.
    """
    store = store if isinstance(store, FeatureStore) else open_store(_only_store() if store is None else store)
    repeats = (REPEATS if test is None else REPEATS_ON_TEST) if repeats is None else repeats
    if repeats < 1 or (points is not None and (not points or min(points) < SMALLEST)):
        raise UsageError(
            f"a learning curve needs numbers of {SMALLEST} images or more (`points`) and 1 repeat or more "
            f"(`repeats`); found {points} and {repeats}"
        )
    options = SelectionOptions(
        kernel=kernel, class_weight=class_weight, normalize=normalize, folds=folds, seed=seed, n_jobs=jobs
    )
    fitter = Fitter(blueprint=options.blueprint(clf), options=options)
    name = model_path(store.path, clf=fitter.blueprint.name, kernel=kernel, out=None).stem
    target = _target(name, None if out is None else Path(out))
    data = labelled(store, group_by=group_by, labels=labels)
    check_features(data.features)
    design = held_out(data, options) if test is None else on_test(data, test, store)
    if design.largest < SMALLEST:
        raise DataError(
            f"{store.path} has too few images: only one image of each class is left to fit on, and a learning curve "
            "needs more"
        )

    sizes = sizes_of(design.largest, points)
    with observed(progress) as observer:
        found, untuned = run_trials(fitter, design, sizes, repeats=repeats, task=target, progress=observer)
    rows, gain = summarise(found, folds=design.folds, units=numbers_of(design.test.groups, len(design.folds)))
    untrained = store.weights_source == "none"
    tuned = int(among(design.test.digests, store.tuned_on).sum())
    notes = _notes(fitter, design, untuned=untuned, repeats=repeats, untrained=untrained)
    if tuned:
        which = "all" if tuned == len(design.folds) else f"{tuned:,}"
        notes.insert(
            0, f"the network was tuned on {which} of the test images, with their labels: the curve is too high"
        )
    result = Curve(
        name=name,
        store=str(store.path),
        backbone=store.spec.backbone,
        clf=fitter.blueprint.name,
        options={**fitter.blueprint.settings, "folds": folds, "repeats": repeats},
        classes=data.classes,
        tested_on=f"{design.told}, {NO_TEST}" if tuned else design.told,
        n=len(design.folds),
        rows=rows,
        gain=gain,
        notes=tuple(notes),
        fingerprint=store.fingerprint,
        untrained=untrained,
        tuned_on=tuned,
    )
    result.save(target)
    plot_curve(result, target.with_suffix(".png"))
    observer.end(target, result)
    return result


def _only_store() -> Path:
    """Find the one train store in its default place.

    Raises
    ------
    StoreError
        There is none, or there are several: none is guessed.
    """
    found = [path for path in default_stores() if open_store(path).split in TRAINING_SPLITS]
    if len(found) == 1:
        return found[0]
    if not found:
        raise StoreError(
            f"there is no feature store of training images under {FEATURES}: run `featx extract data/train` first, or "
            "name a store"
        )
    names = ", ".join(path.name for path in found)
    raise StoreError(
        f"there are {len(found)} feature stores of training images under {FEATURES} ({names}): name the one to use"
    )


def _target(name: str, out: Path | None) -> Path:
    own = f"{name}-curve.json"
    if out is None:
        return REPORTS / own
    return out if out.suffix.lower() == ".json" and not out.is_dir() else out / own


def _notes(fitter: Fitter, design: Design, *, untuned: int, repeats: int, untrained: bool) -> list[str]:
    notes = list(design.notes)
    if untuned:
        taken = ", ".join(f"{name} = {value}" for name, value in fitter.untuned.items())
        notes.append(
            f"with up to {counted(untuned, 'image')} per class, there were too few images to choose settings; used "
            f"instead: {taken}"
        )
    name, fewest = design.smallest
    if design.largest > UNEQUAL * fewest:
        notes.append(
            f"the class {name!r} has only {counted(fewest, 'training image')}: in larger draws, only the other "
            "classes have more images"
        )
    if repeats == 1:
        notes.append(
            "each size was drawn only once, so the intervals don't show how much another draw would change the result"
        )
    if untrained:
        notes.append("the backbone is untrained: with trained weights, the curve would be another one")
    return notes
