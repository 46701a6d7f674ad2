"""Conditions under which the probabilities of an image and its views are averaged."""

import numpy as np

from featx.errors import DataError, SpecMismatch, UsageError
from featx.model import Model
from featx.spec import ViewsSpec
from featx.store import FeatureStore


def views_of(model: Model) -> ViewsSpec:
    """Find the views that a model was fitted on.

    Raises
    ------
    UsageError
        It was fitted without, so that nobody knows which views suit its images, or has no probabilities.
    """
    if model.views is None:
        raise UsageError(
            f"the model {model.name} was fitted without views, so it isn't known which views suit its images: "
            "run `featx fit` with `views=True`, or leave out `views`"
        )
    if model.probabilities(np.empty((0, model.width), np.float32)) is None:
        raise UsageError(
            f"the model {model.name} has no probabilities to average: fit it again with cross-validation, on which "
            "they are calibrated, or leave out `views`"
        )
    return model.views


def check_views(model: Model, store: FeatureStore) -> None:
    """Refuse a store whose views can't be averaged for a model.

    Raises
    ------
    UsageError
        The model was fitted without views, or has no probabilities.
    DataError
        The store has no views.
    SpecMismatch
        Its views are of another recipe than those that the model was fitted on.
    """
    wanted = views_of(model)
    if store.views_spec is None:
        flip = "" if wanted.flip else " and `flip=False`"
        raise DataError(
            f"{store.path} has no views to average over: run `featx extract` on its images with "
            f"`views={wanted.count}`{flip}, or score without `views`"
        )
    if not wanted.alike(store.views_spec):
        raise SpecMismatch(
            f"the views in {store.path} are made otherwise than those that the model {model.name} was fitted on: make "
            "them alike",
            wanted.differences(store.views_spec),
        )
