"""A backbone split at a layer: the part before it stays as it is, the part behind it is trained."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.build import Network, network
from featx.backbones.loading import load
from featx.backbones.session import fresh_names, import_keras
from featx.backbones.table import find
from featx.errors import WeightsError
from featx.spec import ExtractionSpec
from featx.training import cuts
from featx.training.head import Head
from featx.weights import WeightsSource


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A network with its weights, from which `Trainable` takes what is trained.

    Parameters
    ----------
    network : Network
        As `featx.backbones.build.network` gives it, filled.
    spec : ExtractionSpec
        Spec of its features.
    """

    network: Network
    spec: ExtractionSpec

    @classmethod
    def load(cls, spec: ExtractionSpec, source: WeightsSource) -> "Backbone":
        """Build a spec's network and fill it.

        Raises
        ------
        WeightsError
            The weights can't be had, or are not those of the spec.
        """
        entry = find(spec.backbone).published_for(spec.image_size)
        built = network(entry, layer=spec.layer, pooling=spec.pooling, image_size=spec.image_size)
        load(built.whole, entry, source, top=built.top)
        if built.digest() != spec.weights:
            raise WeightsError(f"the weights of {entry.name} ({source.recorded}) are not those of the features")
        return cls(network=built, spec=spec)

    def choose_cut(self, *, last: int | None, layer: str | None) -> str:
        """Choose the layer to split at, as `featx.training.cuts.choose`."""
        family = find(self.spec.backbone).family
        return cuts.choose(self.network.cut, family=family, backbone=self.spec.backbone, last=last, layer=layer)

    def split(self, layer: str) -> Any:
        """Take the part behind a layer, from its activations to features (b, d); its weights are the network's.

        Returns
        -------
        keras.Model
            Of one input, in a list.
        """
        keras = import_keras()
        with fresh_names():
            point = self.network.cut.get_layer(layer).output
            tail = keras.Model(point, self.network.cut.output, name="tail")
            activations = keras.Input(point.shape[1:], name="activations")
            features = tail(activations)
            if len(features.shape) > 2:
                features = keras.layers.Flatten(name="flat")(features)
            return keras.Model([activations], features)


@dataclass(frozen=True, kw_only=True)
class Trainable:
    """A network from what was cached to the scores of classes.

    Parameters
    ----------
    model : keras.Model
        Takes activations and, where there is a dropout, factors of the hidden layer; gives scores (b, k).
    layers : tuple of keras.layers.Dense
        The head.
    dropout : float
        As in `Head`.
    """

    model: Any
    layers: tuple[Any, ...]
    dropout: float = 0.0

    @property
    def head(self) -> Head:
        """The head as it is now."""
        return Head(
            layers=tuple((np.array(one.kernel.numpy()), np.array(one.bias.numpy())) for one in self.layers),
            dropout=self.dropout,
        )

    @property
    def variables(self) -> list[Any]:
        """The variables that are trained."""
        return list(self.model.trainable_variables)

    def arrays(self) -> list[NDArray[np.float32]]:
        """Copy the values of `variables`."""
        return [np.array(one.numpy()) for one in self.variables]

    def assign(self, arrays: list[NDArray[np.float32]]) -> None:
        """Set `variables`."""
        for variable, array in zip(self.variables, arrays, strict=True):
            variable.assign(array)


def attach(tail: Any, head: Head) -> Trainable:
    """Put a head behind a part of a network that `Backbone.split` gave."""
    with fresh_names():
        return _trainable(tail.inputs[0], tail.outputs[0], head)


def head_alone(head: Head) -> Trainable:
    """Make a network of a head alone, for features that are not trained."""
    with fresh_names():
        features = import_keras().Input((len(head.layers[0][0]),), name="features")
        return _trainable(features, features, head)


def _trainable(activations: Any, features: Any, head: Head) -> Trainable:
    keras = import_keras()
    inputs, found = [activations], []
    for number, (weights, bias) in enumerate(head.layers):
        last = number == len(head.layers) - 1
        if last and head.dropout:
            # Factors come from outside, drawn by numpy: the same ones on every backend, and after an interruption.
            inputs.append(keras.Input((len(weights),), name="kept"))
            features = keras.layers.Multiply()([features, inputs[-1]])
        layer = keras.layers.Dense(len(bias), activation=None if last else "relu", name=f"head_{number}")
        features = layer(features)
        layer.kernel.assign(weights)
        layer.bias.assign(bias)
        found.append(layer)
    return Trainable(model=keras.Model(inputs, features), layers=tuple(found), dropout=head.dropout)
