"""The steps after a training: weights written and tried by stage one, a model calibrated and written, the record."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones import Request
from featx.backbones.tuned import save
from featx.classifiers import class_scores
from featx.errors import FeatxError
from featx.files import whole
from featx.manifest import Manifest
from featx.model import Model
from featx.pipeline.filling.job import Job
from featx.pipeline.filling.loop import extract_with
from featx.pipeline.filling.runner import BackboneRunner
from featx.pipeline.tuning.activations import WithoutEnd
from featx.pipeline.tuning.data import Data
from featx.pipeline.tuning.results import Facts, Places, Tuned, write_record
from featx.pipeline.tuning.running import checkpoint_path
from featx.progress import Progress
from featx.selection.calibration import Calibration, fit_calibration
from featx.store import FeatureStore
from featx.training.checkpoints import Checkpoint
from featx.training.tail import Backbone

ENOUGH_TO_CALIBRATE = 30
"""Validation images from which on a temperature is fitted to them."""

AGREEMENT = 1e-3
"""Difference, as a share of the largest feature, above which features of saved weights are not those trained."""


def write_model(
    places: Places, model: Model, facts: Facts, state: Checkpoint, data: Data, *, weights: Path | None
) -> Tuned:
    """Write the model, then the record, which says that all is there; remove the checkpoint."""
    model.save(places.model)
    found = Tuned(
        name=places.name,
        model=replace(model, file=places.model.absolute()),
        weights=weights,
        record=places.record,
        epochs=state.history,
        taken=state.taken.number,
        training=len(data.training),
        validation=len(data.validation),
        notes=tuple(facts.notes),
    )
    write_record(facts, found)
    checkpoint_path(facts.key).unlink(missing_ok=True)
    return found


def save_weights(path: Path, backbone: Backbone, images: NDArray[np.uint8], *, key: str) -> None:
    """Write the weights in a folder of their own beside, and copy them to their name once they are whole."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Keras writes through a link that it finds. In a new folder that this user alone may enter there is none.
        with tempfile.TemporaryDirectory(prefix=".", suffix=".partial", dir=path.parent) as private:
            partial = Path(private, "partial.weights.h5")
            save(backbone.network.whole, partial, images, key=key)
            with partial.open("rb") as source, whole(path) as target:
                shutil.copyfileobj(source, target, 1 << 20)
    except (OSError, RuntimeError) as error:
        raise FeatxError(
            f"the weights can't be written to {path} ({error}); what was trained is kept: give another folder with "
            "`out`, or free some space, and the same command goes on"
        ) from error


def features_of(
    places: Places, runner: BackboneRunner, backbone: Backbone, images: Manifest, progress: Progress
) -> FeatureStore:
    """Extract the features of the training images with the weights as they were written."""
    spec = runner.spec
    request = Request(
        backbone=spec.backbone,
        weights=str(places.weights),
        layer=spec.layer,
        pooling=spec.pooling,
        image_size=spec.image_size,
        resize=spec.resize,
        interpolation=spec.interpolation,
        colours=spec.colours,
    )
    tuned = BackboneRunner.resolve(request, runner.options)
    if tuned.spec.weights != backbone.network.digest():
        raise FeatxError(f"{places.weights} doesn't hold what was trained: the disk, or the file, is damaged")
    job = Job(source=images.source, out=places.features, overwrite=True)
    (extraction,) = extract_with(job, [tuned], [images], progress=WithoutEnd(progress))
    store = extraction.store
    assert store is not None
    return store


def check_agreement(trained: NDArray[np.float32], store: FeatureStore) -> None:
    """Make sure that stage one gives the features that were trained."""
    if trained.shape != store.features.shape:
        raise FeatxError(f"{store.path} has other images than the activations: some changed meanwhile; tune again")
    apart = float(np.abs(trained - store.features).max() / np.abs(trained).max())
    if not apart <= AGREEMENT:
        raise FeatxError(
            f"the features of the tuned weights, extracted, are {apart:.1e} off those that were trained: the images "
            "changed meanwhile, or what executes the backbone here computes something else; try `runtime=keras`"
        )


def calibration_of(classifier: Any, features: NDArray[np.float32], labels: NDArray[np.int32]) -> Calibration | None:
    """Fit a temperature on the validation images; None where they are too few."""
    if len(labels) < ENOUGH_TO_CALIBRATE:
        return None
    folds = np.random.default_rng(0).permutation(len(labels)) % 5
    return fit_calibration(class_scores(classifier, features), labels, folds)
