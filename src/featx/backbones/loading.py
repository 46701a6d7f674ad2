"""Filling a network with the tensors of a weights file, of Keras's download or of a seed.

A file is only read: tensors are matched with the graph's by their place in the network, all shapes are compared, and
only then is anything assigned, so nothing loads in part. No model is ever deserialised and no code of a file runs.
"""

import contextlib
import itertools
import logging
import shutil
import socket
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.session import fresh_names, import_keras, silent
from featx.backbones.table import Entry
from featx.errors import WeightsError
from featx.weights import UNTRAINED_SEED, WeightsSource, keras_home

logger = logging.getLogger(__name__)

_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
_DOWNLOAD_TIMEOUT_S = 20.0
_NO_WEIGHTS = "`backbone=scattering`, which needs none"
_FORMATS = "Keras's .h5 (with or without the top), .weights.h5 or .keras"


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
    logger.info("Keras downloads %s into %s", name, folder)
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_S)
    try:
        with fresh_names(), silent():
            constructor = getattr(import_keras().applications, entry.constructor.rpartition(".")[2])
            constructor(include_top=top, weights="imagenet", input_shape=(*entry.image_size, 3), **entry.arguments)
    except Exception as error:
        raise WeightsError(
            f"`weights=imagenet`: {name} for {entry.name} could not be downloaded ({_line(error)}); "
            f"put that file into {folder}, give another with `weights=FILE`, or extract with {_NO_WEIGHTS}"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    # Where its folder can't be written, Keras goes to /tmp instead.
    for path in (folder / name, Path("/tmp/.keras/models") / name):  # noqa: S108
        if path.is_file():
            return path
    raise WeightsError(
        f"`weights=imagenet`: Keras has loaded {name}, but it is not in {folder}; put that file there, "
        f"give another with `weights=FILE`, or extract with {_NO_WEIGHTS}"
    )


def _tensors(network: Any, entry: Entry, source: WeightsSource, *, top: bool) -> list[NDArray[Any]]:
    path = source.path or download(entry, top=top)
    try:
        return _read(path, network, entry, top=top)
    except WeightsError as broken:
        if source.kind != "imagenet" or source.path is None:
            raise
        logger.info("%s; asking Keras to fetch it again", broken)
        try:
            return _read(download(entry, top=top), network, entry, top=top)
        except WeightsError as error:
            raise WeightsError(f"{broken}; it is in Keras's cache and could not be replaced: {error}") from error


def _read(path: Path, network: Any, entry: Entry, *, top: bool) -> list[NDArray[Any]]:
    """Read the network's tensors, in the order of `_places`."""
    places = _places(network)
    # Room for an optimizer, which keeps up to three more tensors of every shape, and for a top.
    limit = 2**30 + 16 * sum(int(np.prod(variable.shape)) for _, variable in places)
    try:
        with _hdf5(path, limit=limit) as file:
            # A whole model saved as .h5 keeps its weights in a group.
            root = file["model_weights"] if "model_weights" in file and "layer_names" not in file.attrs else file
            if _attribute(root, "layer_names"):
                found = _legacy(root)
                # By order: names in these files hang on what else the process that wrote them had built.
                matched = found[: len(places)]
            elif "layers" in root:
                found = _by_place(root)
                present = dict(found)
                held = itertools.takewhile(present.__contains__, (name for name, _ in places))
                matched = [(name, present[name]) for name in held]
            else:
                raise WeightsError(f"weights file {path}: an HDF5 file, but without weights of Keras; give {_FORMATS}")
            _compare(path, entry, places, matched, found, top=top)
            _check_plain(path, root, matched)
            if len(found) > len(places):
                logger.info("%s: %d tensors of its top are left aside", path, len(found) - len(places))
            return [np.asarray(dataset) for _, dataset in matched]
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        # h5py's classes of error for a truncated or corrupt file.
        raise WeightsError(
            f"weights file {path}: can't be read ({_line(error)}); it is truncated, corrupt or none of {_FORMATS}"
        ) from error


@contextlib.contextmanager
def _hdf5(path: Path, *, limit: int) -> Iterator[Any]:
    """Open the HDF5 file, out of the archive where it is a ``.keras``; `limit` bounds in bytes what is unpacked."""
    import h5py

    if not zipfile.is_zipfile(path):
        with h5py.File(path, "r") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryFile() as unpacked:
        member = archive.getinfo("model.weights.h5")
        if member.file_size > limit:
            raise ValueError(f"its weights would unpack to {member.file_size} bytes")
        with archive.open(member) as packed:
            shutil.copyfileobj(packed, unpacked)
        unpacked.seek(0)
        with h5py.File(unpacked, "r") as file:
            yield file


def _places(network: Any) -> list[tuple[str, Any]]:
    """Collect the tensors of the network by the path that ``.weights.h5`` gives them, in topological order.

    Keras's order within a layer is the same in both formats: trainable first.
    """
    from keras.src.utils.naming import to_snake_case

    places: list[tuple[str, Any]] = []

    def walk(layers: Sequence[Any], prefix: str) -> None:
        used: dict[str, int] = {}
        for layer in layers:
            kind = to_snake_case(type(layer).__name__)
            number = used.get(kind, 0)
            used[kind] = number + 1
            place = f"{prefix}/{kind}_{number}" if number else f"{prefix}/{kind}"
            if hasattr(layer, "layers"):
                walk(layer.layers, f"{place}/layers")
            else:
                variables = layer.trainable_weights + layer.non_trainable_weights
                places.extend((f"{place}/vars/{i}", variable) for i, variable in enumerate(variables))

    walk(network.layers, "layers")
    return places


def _legacy(root: Any) -> list[tuple[str, Any]]:
    """Collect the tensors of a legacy ``.h5``, in its own topological order."""
    return [
        (f"{layer}/{name}", root[layer][name])
        for layer in _attribute(root, "layer_names")
        for name in _attribute(root[layer], "weight_names")
    ]


def _by_place(root: Any) -> list[tuple[str, Any]]:
    """Collect the tensors of a ``.weights.h5`` but those of optimizers and random generators."""
    import h5py

    found: list[tuple[str, Any]] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and "seed_generator" not in name:
            found.append((f"layers/{name}", item))

    root["layers"].visititems(visit)
    return found


def _attribute(group: Any, name: str) -> list[str]:
    """Read a list of names; Keras cuts one over HDF5's 64 KB into ``name0``, ``name1`` and so on."""
    parts = [group.attrs[name]] if name in group.attrs else []
    while not (parts and name in group.attrs) and f"{name}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{name}{len(parts)}"])
    return [text.decode() if isinstance(text, bytes) else str(text) for part in parts for text in part]


def _compare(
    path: Path,
    entry: Entry,
    places: Sequence[tuple[str, Any]],
    matched: Sequence[tuple[str, Any]],
    found: Sequence[tuple[str, Any]],
    *,
    top: bool,
) -> None:
    """Refuse a file whose tensors aren't the network's."""
    whole = f"{entry.name} {'with' if top else 'without'} its top has {len(places)} tensors"
    for (_, variable), (name, dataset) in zip(places, matched, strict=False):
        if tuple(variable.shape) != tuple(dataset.shape):
            raise WeightsError(
                f"weights file {path} is of another network: {whole}, the file {len(found)}; the first that differs is "
                f"{variable.path} {tuple(variable.shape)}, found {name} {tuple(dataset.shape)}; "
                "check `backbone` and its width"
            )
    if len(matched) < len(places):
        hint = "a file with the top is needed" if top else "check `backbone` and its width"
        raise WeightsError(
            f"weights file {path} does not hold the whole network: {whole}, the file {len(found)}, without "
            f"{places[len(matched)][1].path}; {hint}"
        )


def _check_plain(path: Path, root: Any, matched: Sequence[tuple[str, Any]]) -> None:
    """Refuse tensors that aren't numbers in this file: of a type that swallows memory, or read from another file."""
    for name, dataset in matched:
        elsewhere = dataset.external or dataset.is_virtual or dataset.file.filename != root.file.filename
        if dataset.dtype.kind not in "fiu" or dataset.dtype.itemsize > 8 or elsewhere:
            held = "lies in another file" if elsewhere else f"is of type {dataset.dtype}"
            raise WeightsError(f"weights file {path}: {name} {held}, where numbers are wanted; give {_FORMATS}")


def _assign(network: Any, tensors: Sequence[NDArray[Any]]) -> None:
    for (_, variable), tensor in zip(_places(network), tensors, strict=True):
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
    generator = np.random.default_rng(UNTRAINED_SEED)
    for place, variable in _places(network):
        shape = tuple(variable.shape)
        if len(shape) < 2:
            continue
        depthwise = "depthwise" in place or variable.name == "depthwise_kernel"
        fan_in = int(np.prod(shape[:2] if depthwise else shape[:-1]))
        bound = float(np.sqrt(6.0 / fan_in))
        variable.assign(generator.uniform(-bound, bound, shape).astype(np.float32))


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
