"""Training of a head with a hidden layer on features that stay as they are."""

from dataclasses import asdict, replace

import numpy as np

from featx.model import Model
from featx.pipeline.tuning.data import Clock, Data, origin_of, versions
from featx.pipeline.tuning.job import DROPOUT, TuningJob
from featx.pipeline.tuning.keeping import calibration_of, write_model
from featx.pipeline.tuning.results import Facts, Places, Tuned, digest_of, finished
from featx.pipeline.tuning.running import run
from featx.progress import Progress, Step
from featx.selection import Selection
from featx.store import FeatureStore
from featx.training.checkpoints import Checkpoint
from featx.training.head import drawn, unfold
from featx.training.loop import Examples
from featx.training.tail import head_alone


def tune_head(store: FeatureStore, other: FeatureStore | None, job: TuningJob, *, progress: Progress) -> Tuned:
    """Train a head with one hidden layer and dropout on features as they are."""
    from sklearn.preprocessing import StandardScaler

    assert job.head is not None
    clock = Clock()
    classes = tuple(name for name, count in store.class_counts.items() if count)
    data = Data.of(store, other, classes, job)
    recipe = job.recipe(len(data.labelled))
    for note in data.notes:
        progress.step(Step(text=note))
    about = {
        "kind": "head",
        "backbone": store.spec.backbone,
        "spec": store.fingerprint,
        "base_weights": store.spec.weights,
        "base_weights_source": store.weights_source,
        "head": job.head,
        "dropout": DROPOUT,
        "recipe": asdict(recipe),
        "classes": list(classes),
        "versions": versions(),
    }
    key = digest_of({**about, **data.parts()})
    places = Places.free(store.path.stem, kind="head", out=job.out, key=key)
    if (done := finished(places, key=key)) is not None:
        progress.step(Step(text=f"{places.record} is of the same training: nothing is trained again"))
        return done

    values = data.values.reshape(len(store), -1)
    scaler = StandardScaler().fit(values[data.training.rows])

    def scaled(examples: Examples) -> Examples:
        rows = examples.values.reshape(len(examples.values), -1)[examples.rows]
        # A head learns from the images alone: views in the store are of other rows, and not scaled.
        return replace(
            examples, values=scaler.transform(rows).astype(np.float32), rows=np.arange(len(rows)), views=None
        )

    scaled_data = replace(data, training=scaled(data.training), validation=scaled(data.validation))
    network = head_alone(drawn(values.shape[1], job.head, len(classes), dropout=DROPOUT, seed=recipe.seed))
    state: Checkpoint = clock.timed(
        "training",
        lambda: run(network, scaled_data, recipe, class_weights=None, key=key, target=places.model, progress=progress),
    )
    classifier = unfold(network.head, scaler=scaler)
    compared = data.validation
    features = compared.values.reshape(len(compared.values), -1)[compared.rows]
    model = Model(
        name=places.model.stem,
        clf=type(classifier[-1]).__name__,
        params={
            "hidden": job.head,
            "dropout": DROPOUT,
            "epochs": state.taken.number,
            "rate": recipe.rate,
            "seconds": clock.total,
        },
        pipeline=classifier,
        classes=classes,
        selection=Selection(params={}, folds=0, seed=recipe.seed, rows=(), oof=None),
        labels=data.labels[data.labelled],
        digests=store.digests[data.labelled],
        origin=origin_of(store),
        calibration=calibration_of(classifier, features, compared.labels),
        tuned_on=np.array(store.tuned_on),
    )
    trained, held = data.digests
    facts = Facts(
        key=key,
        about={"name": places.name, **about},
        training=[bytes(one).hex() for one in trained],
        validation=[bytes(one).hex() for one in held],
        seconds=clock.seconds,
        notes=data.notes,
    )
    return write_model(places, model, facts, state, data, weights=None)
