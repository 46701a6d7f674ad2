"""Filling a network with the tensors of a weights file, of published weights or of a seed.

A file is only read (`featx.backbones.tensors`), and all shapes are compared before anything is assigned, so nothing
loads in part.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.origins import origin
from featx.backbones.table import Entry
from featx.weights import UNTRAINED_SEED, WeightsSource

_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def load(network: Any, entry: Entry, source: WeightsSource, *, top: bool) -> None:
    """Fill a network that was built without weights.

    Parameters
    ----------
    network : keras.Model
        As Keras's constructor gave it; not frozen yet.
    entry : Entry
        Its row of the table.
    source : WeightsSource
        From `featx.weights.locate`.
    top : bool
        The network holds the top.

    Raises
    ------
    WeightsError
        The file can't be had or read, or holds another network.
    """
    if source.kind == "none":
        _draw(network)
    elif source.kind != "fixed":
        _assign(network, _tensors(network, entry, source, top=top))
        _repeat_keras_rescaling(network, entry, source)


def _tensors(network: Any, entry: Entry, source: WeightsSource, *, top: bool) -> list[NDArray[Any]]:
    if source.kind == "imagenet":
        published = origin(entry)
        return published.read(source.path or published.obtain(entry, top=top), network, entry, top=top)
    from featx.backbones.tensors import read

    assert source.path is not None
    return read(source.path, network, entry, top=top)


def _assign(network: Any, tensors: Sequence[NDArray[Any]]) -> None:
    from featx.backbones.tensors import places

    for (_, variable), tensor in zip(places(network), tensors, strict=True):
        variable.assign(tensor)
    _refresh(network)


def _refresh(network: Any) -> None:
    # A Normalization layer computes with copies of its tensors.
    for layer in network.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def _repeat_keras_rescaling(network: Any, entry: Entry, source: WeightsSource) -> None:
    """Repeat the rescaling that Keras gives EfficientNet B0 to B7 with the published weights only.

    Those were saved with the deviation of each channel where the variance belongs. Keras mends it by one more
    rescaling, by 1 / sqrt(deviation), in the graph that it builds for ``weights="imagenet"`` and not for a path
    (tensorflow issue 49930). The same division is folded into the variance here, so that there is one graph, and the
    tensors alone decide the features.
    """
    if entry.family != "efficientnet":
        return
    deviation = np.asarray(_IMAGENET_DEVIATION, dtype=np.float32)
    layer = network.get_layer("normalization")
    variance = layer.adapt_variance.numpy()
    if source.kind == "imagenet" or np.allclose(variance, deviation, rtol=1e-3):
        layer.adapt_variance.assign(variance * deviation)
        _refresh(network)


def _draw(network: Any) -> None:
    """Fill an untrained network: kernels He-uniform from a fixed seed, the rest as Keras initialises it.

    Drawn by numpy, since Keras's own initialisers differ between its backends. A depthwise kernel's fan-in is that of
    one channel: Keras counts all channels, whereby signals vanish (to 1e-11 in MobileNetV2's features).
    """
    from featx.backbones.tensors import places

    generator = np.random.default_rng(UNTRAINED_SEED)
    for place, variable in places(network):
        shape = tuple(variable.shape)
        if len(shape) < 2:
            continue
        depthwise = "depthwise" in place or variable.name == "depthwise_kernel"
        fan_in = int(np.prod(shape[:2] if depthwise else shape[:-1]))
        bound = float(np.sqrt(6.0 / fan_in))
        variable.assign(generator.uniform(-bound, bound, shape).astype(np.float32))
