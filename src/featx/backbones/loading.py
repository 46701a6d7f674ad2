"""Filling a network with the tensors of a weights file, of Keras's download or of a seed.

A file is only read (`featx.backbones.tensors`), and all shapes are compared before anything is assigned, so nothing
loads in part.
"""

import logging
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.session import fresh_names, import_keras, silent
from featx.backbones.table import Entry
from featx.errors import WeightsError
from featx.ownership import anybody_writes
from featx.weights import TEMPORARY_HOME, UNTRAINED_SEED, WeightsSource, fault_of_temporary, keras_home

logger = logging.getLogger(__name__)

_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
_DOWNLOAD_TIMEOUT_S = 20.0
_NO_WEIGHTS = "`backbone=scattering`, which needs none"


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


def cached(entry: Entry, *, top: bool) -> Path | None:
    """Find the published weights in Keras's cache; a file with the top serves a network without it as well."""
    names = (entry.weights_file_top,) if top else (entry.weights_file, entry.weights_file_top)
    paths = (keras_home() / "models" / name for name in names if name is not None)
    return next((path for path in paths if path.is_file()), None)


def download(entry: Entry, *, top: bool) -> Path:
    """Let Keras download the published weights into its cache and check their hash; return the file.

    Raises
    ------
    WeightsError
        Not to be had; the message names the file, where it may be put, and the other way.
    """
    name = entry.weights_file_top if top else entry.weights_file
    assert name is not None
    assert entry.constructor is not None
    folder = keras_home() / "models"
    import_keras()  # it makes its folder, if it can
    place = _download_folder()
    fault = fault_of_temporary(place) or (
        "every user of this machine may write there" if anybody_writes(place) else None
    )
    if fault is not None:
        raise WeightsError(
            f"`weights=imagenet`: Keras would download {name} into {place}, but {fault}; set KERAS_HOME to a folder "
            f"of your own, give a file with `weights=FILE`, or extract with {_NO_WEIGHTS}"
        )
    logger.info("Keras downloads %s into %s", name, folder)
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_S)
    try:
        with fresh_names(), silent():
            constructor = getattr(import_keras().applications, entry.constructor.rpartition(".")[2])
            constructor(include_top=top, weights="imagenet", input_shape=(*entry.image_size, 3), **entry.arguments)
    except Exception as error:
        raise WeightsError(
            f"`weights=imagenet`: {name} for {entry.name} could not be downloaded ({_line(error)}); put this file "
            f"into {folder}, give another file with `weights=FILE`, or extract with {_NO_WEIGHTS}"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    for path in (folder / name, place / name):
        if path.is_file():
            return path
    raise WeightsError(
        f"`weights=imagenet`: Keras has loaded {name}, but it is not in {folder}; put this file there, give another "
        f"file with `weights=FILE`, or extract with {_NO_WEIGHTS}"
    )


def _download_folder() -> Path:
    """Return where Keras puts what it downloads: where its folder can't be written, in the temporary one."""
    home = keras_home()
    return (home if os.access(home, os.W_OK) else TEMPORARY_HOME) / "models"


def _tensors(network: Any, entry: Entry, source: WeightsSource, *, top: bool) -> list[NDArray[Any]]:
    from featx.backbones.tensors import read

    path = source.path or download(entry, top=top)
    try:
        return read(path, network, entry, top=top)
    except WeightsError as broken:
        if source.kind != "imagenet" or source.path is None:
            raise
        logger.info("%s; asking Keras to fetch it again", broken)
        try:
            return read(download(entry, top=top), network, entry, top=top)
        except WeightsError as error:
            raise WeightsError(f"{broken}; it is in Keras's cache and could not be replaced: {error}") from error


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


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
