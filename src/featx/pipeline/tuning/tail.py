"""Training of the last blocks of a network, beginning with a fitted logistic regression as its head."""

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from featx.backbones.tuned import union
from featx.classifiers import Blueprint, convergence_logged
from featx.classifiers.fitting import fit_pipeline
from featx.manifest import Manifest
from featx.model import Model
from featx.pipeline.filling.runner import BackboneRunner
from featx.pipeline.tuning import activations
from featx.pipeline.tuning.data import Clock, Data, origin_of, versions
from featx.pipeline.tuning.images import check_labels, labels_by_model
from featx.pipeline.tuning.job import FEW, TuningJob
from featx.pipeline.tuning.keeping import calibration_of, check_agreement, features_of, save_weights, write_model
from featx.pipeline.tuning.results import Facts, Places, Tuned, digest_of, finished
from featx.pipeline.tuning.running import run
from featx.progress import Progress, Step
from featx.selection import Selection
from featx.store import FeatureStore
from featx.training.checkpoints import Checkpoint
from featx.training.head import fold, unfold
from featx.training.loop import outputs
from featx.training.tail import Backbone, attach


def tune_tail(
    model: Model, runner: BackboneRunner, images: tuple[Manifest, Manifest | None], job: TuningJob, progress: Progress
) -> Tuned:
    """Train the last blocks of a model's backbone, beginning with the model itself as head.

    Raises
    ------
    UsageError
        The network can't be split there.
    DataError
        The labels have changed since the model was fitted.
    FeatxError
        A file can't be written.
    """
    with activations.held(job) as stores:
        return _tuned(model, runner, images, job, progress, stores=stores)


def _tuned(
    model: Model,
    runner: BackboneRunner,
    images: tuple[Manifest, Manifest | None],
    job: TuningJob,
    progress: Progress,
    *,
    stores: list[FeatureStore],
) -> Tuned:
    """Tune; the stores of activations are put into a list for the caller."""
    training, other = images
    clock = Clock()
    backbone: Backbone = clock.timed("network", lambda: Backbone.load(runner.spec, runner.source))
    cut = backbone.choose_cut(last=job.blocks(len(training)), layer=job.from_layer)
    at = activations.runner_at(runner, cut)

    def cache() -> None:
        stores.append(activations.cached(at, training, job, views=job.views, progress=progress))
        check_labels(stores[0], model)
        if other is not None:
            stores.append(activations.cached(at, other, job, views=0, progress=progress))

    clock.timed("activations", cache)
    store = stores[0]
    data = Data.of(store, stores[1] if len(stores) > 1 else None, model.classes, job)
    recipe = job.recipe(len(store))
    notes = [*_notes(len(store)), *data.notes]
    for note in notes:
        progress.step(Step(text=note))
    about = {
        "kind": "tail",
        "backbone": runner.spec.backbone,
        "spec": runner.spec.fingerprint,
        "base_weights": runner.spec.weights,
        "base_weights_source": runner.source.recorded,
        "cut": cut,
        "recipe": asdict(recipe),
        "views": None if store.views_spec is None else json.loads(store.views_spec.to_json()),
        "classes": list(model.classes),
        "class_weight": model.params.get("class_weight"),
        "C": model.params.get("C"),
        "versions": versions(),
    }
    key = digest_of({**about, **data.parts(), "temperature": _temperature(model), **_reduced(model)})
    places = Places.free(model.origin.name, kind="tuned", out=job.out, key=key)
    if (done := finished(places, key=key)) is not None:
        progress.step(Step(text=f"{places.record} is of the same tuning: nothing is trained again"))
        return done

    tail = backbone.split(cut)
    probe = clock.timed("probe", lambda: _probe(model, tail, data))
    network = attach(tail, fold(probe, temperature=_temperature(model)))
    state: Checkpoint = clock.timed(
        "training",
        lambda: run(
            network,
            data,
            recipe,
            class_weights=_class_weights(model, data),
            key=key,
            target=places.weights,
            progress=progress,
        ),
    )
    trained, compared = data.digests
    tuned_on = union([trained, compared, model.tuned_on])
    save_weights(places.weights, backbone, tuned_on, key=key)
    if state.taken.number:
        classifier = unfold(network.head)
        calibration = calibration_of(classifier, outputs(tail, data.validation), data.validation.labels)
    else:
        # The weights are as they were: so is the head, which knows all images and is calibrated.
        classifier, calibration = unfold(fold(model.pipeline, temperature=_temperature(model))), None
    tuned_store: FeatureStore = clock.timed(
        "features", lambda: features_of(places, runner, backbone, training, progress)
    )
    check_agreement(outputs(tail, data.everyone), tuned_store)
    origin = origin_of(tuned_store)
    if model.untrained and not state.taken.number:
        # The file holds what was drawn for the start: figures of this model are those of an untrained network too.
        origin = replace(origin, weights_source=model.weights_source)
    tuned = Model(
        name=places.model.stem,
        clf="logreg",
        params={
            **model.params,
            "tuned_behind": cut,
            "epochs": state.taken.number,
            "rate": recipe.rate,
            "tune_seed": recipe.seed,
            "seconds": clock.total,
        },
        pipeline=classifier,
        classes=model.classes,
        selection=Selection(params={}, folds=0, seed=recipe.seed, rows=(), oof=None),
        labels=labels_by_model(store, model.classes),
        digests=np.array(store.digests),
        origin=origin,
        calibration=calibration,
        tuned_on=tuned_on,
    )
    facts = Facts(
        key=key,
        about={"name": places.name, **about, "weights": str(places.weights), "digest": tuned_store.spec.weights},
        training=[bytes(one).hex() for one in trained],
        validation=[bytes(one).hex() for one in compared],
        seconds=clock.seconds,
        notes=notes,
    )
    return write_model(places, tuned, facts, state, data, weights=places.weights)


def _notes(images: int) -> list[str]:
    if images >= FEW:
        return []
    return [
        f"{images:,} images are few for fine-tuning: on sets of this size no gain over frozen features was measured; "
        "compare the two on images that neither has seen"
    ]


def _reduced(model: Model) -> dict[str, Any]:
    """Give the start's `pca`, if it has one: a probe is fitted behind the same."""
    pca = model.params.get("pca")
    return {} if pca is None else {"pca": pca}


def _temperature(model: Model) -> float | None:
    return None if model.calibration is None else model.calibration.temperature


def _probe(model: Model, tail: Any, data: Data) -> Any:
    """Fit the model's classifier again without the validation images, which the start may not have seen either."""
    params = model.params
    blueprint = Blueprint(
        clf="logreg", class_weight=params.get("class_weight"), pca=params.get("pca"), seed=params.get("seed", 0)
    )
    features = outputs(tail, data.training)
    labels = data.training.labels.astype(np.int64)
    # One BLAS thread, as in the model's own fit, so that the coefficients don't depend on the number of cores.
    with convergence_logged(), threadpool_limits(limits=1):
        return fit_pipeline(blueprint, {"C": params["C"]}, features, labels, solver="direct")


def _class_weights(model: Model, data: Data) -> NDArray[np.float32] | None:
    if model.params.get("class_weight") != "balanced":
        return None
    counts = np.bincount(data.training.labels, minlength=len(model.classes))
    return (len(data.training) / (len(counts) * counts)).astype(np.float32)
