"""The tensors of a network in a weights file.

A file is only read: tensors are matched with the network's by their place in it, and all shapes are compared. No model
is ever deserialised and no code of a file runs.

A file of a whole model that was built on the network holds it as one of its layers, or as a layer of such a layer, and
it is found there by its tensors. A ``.h5`` lists the tensors of a layer that is a network in another order than the
network's where some of them were frozen, and between those of its other layers where it lies deeper: there the names of
the layers tell which is which.
"""

import contextlib
import itertools
import logging
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.table import Entry
from featx.errors import WeightsError
from featx.words import counted

logger = logging.getLogger(__name__)

FORMATS = "Keras's .h5 (with or without the top), .weights.h5 or .keras"
"""Files that can be read."""

Place = tuple[str, Any]
"""A variable of a network, and the path by which ``.weights.h5`` knows it."""

Held = Sequence[tuple[str, Any]]
"""Datasets of a file with their names, in the order of a network's tensors."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A part of a file that may hold the network.

    Parameters
    ----------
    layer : str
        Layer of the file's model that it is; empty for the whole.
    held : sequence of (str, h5py.Dataset)
        As many of the network's tensors as it has, then others.
    """

    layer: str
    held: Held

    def fits(self, variables: Sequence[Any]) -> bool:
        """Tell whether it has a tensor of each variable's shape."""
        return len(self.held) >= len(variables) and all(
            tuple(variable.shape) == tuple(dataset.shape)
            for variable, (_, dataset) in zip(variables, self.held, strict=False)
        )


def read(path: Path, network: Any, entry: Entry, *, top: bool) -> list[NDArray[Any]]:
    """Read a network's tensors, in the order of `places`.

    Parameters
    ----------
    path : Path
        The weights file.
    network : keras.Model
        The network, with any weights.
    entry : Entry
        Its row of the table.
    top : bool
        The network has its top.

    Raises
    ------
    WeightsError
        The file can't be read, or holds another network, or this one twice.
    """
    wanted = places(network)
    # Room for an optimizer, which keeps up to three more tensors of every shape, and for a top.
    limit = 2**30 + 16 * sum(int(np.prod(variable.shape)) for _, variable in wanted)
    try:
        with _hdf5(path, limit=limit) as file:
            _check_links(path, file)
            # A whole model saved as .h5 keeps its weights in a group.
            root = file["model_weights"] if "model_weights" in file and "layer_names" not in file.attrs else file
            if _attribute(root, "layer_names"):
                whole, *layers = _candidates_of_layers(root, wanted)
            elif "layers" in root:
                whole, *layers = _candidates_by_place(root, wanted)
            else:
                raise WeightsError(f"weights file {path}: this HDF5 file has no weights of Keras; give {FORMATS}")
            found = _chosen(path, entry, wanted, whole, layers, top=top)
            matched = found.held[: len(wanted)]
            _check_plain(path, root, matched)
            if more := len(found.held) - len(wanted):
                logger.info("%s: %s of its top not used", path, counted(more, "tensor"))
            return [np.asarray(dataset) for _, dataset in matched]
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        # h5py's classes of error for a truncated or corrupt file.
        raise WeightsError(
            f"weights file {path}: can't be read ({_line(error)}); it is incomplete, damaged or not one of {FORMATS}"
        ) from error


def places(network: Any) -> list[Place]:
    """Collect the tensors of the network by the path that ``.weights.h5`` gives them, in topological order.

    Keras's order within a layer is the same in both formats: trainable first.
    """
    from keras.src.utils.naming import to_snake_case

    found: list[Place] = []

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
                found.extend((f"{place}/vars/{i}", variable) for i, variable in enumerate(variables))

    walk(network.layers, "layers")
    return found


def _candidates_of_layers(root: Any, wanted: Sequence[Place]) -> list[Candidate]:
    """Take the layers of a ``.h5``, which lists their tensors in topological order: all of them, then each.

    By order, since names in these files hang on what else the process that wrote them had built. Of a layer that is a
    network itself the trainable tensors come before the others, unless it was frozen; where there are more, or only
    some were frozen, names tell.
    """
    layers = {
        layer: [(f"{layer}/{name}", root[layer][name]) for name in _attribute(root[layer], "weight_names")]
        for layer in _attribute(root, "layer_names")
    }
    trainable = [index for index, (_, variable) in enumerate(wanted) if variable.trainable]
    order = trainable + [index for index, (_, variable) in enumerate(wanted) if not variable.trainable]
    found = [Candidate(layer="", held=[one for held in layers.values() for one in held])]
    for layer, held in layers.items():
        found.append(Candidate(layer=layer, held=held))
        if len(held) == len(wanted):
            sorted_back = sorted(zip(order, held, strict=True), key=lambda one: one[0])
            found.append(Candidate(layer=layer, held=[one for _, one in sorted_back]))
        # Last, so that it is the one taken: equal blocks, some of them frozen, fit in an order that isn't theirs.
        if named := _by_names(held, wanted):
            found.append(Candidate(layer=layer, held=named))
    return found


def _by_names(held: Held, wanted: Sequence[Place]) -> Held | None:
    """Pick the tensors of the network out of those of a layer around it, by the names of their layers.

    Keras numbers what has no name of its own (``conv2d_7``) on and on within a process, so that all numbers of a kind
    may be larger by one offset. None where a layer is missing, or where more than one offset would do.
    """
    groups, own = dict[str, list[tuple[str, Any]]](), dict[str, list[Any]]()
    for name, dataset in held:
        groups.setdefault(name.split("/")[-2], []).append((name, dataset))
    for _, variable in wanted:
        own.setdefault(variable.path.split("/")[-2], []).append(variable)
    kinds: dict[str, list[str]] = {}
    for name in own:
        kinds.setdefault(_kind(name)[0], []).append(name)
    there: dict[str, set[int]] = {}
    for name in groups:
        kind, number = _kind(name)
        there.setdefault(kind, set()).add(number)
    found: dict[str, list[tuple[str, Any]]] = {}
    for kind, names in kinds.items():
        first = min(_kind(name)[1] for name in names)
        fitting = []
        for number in there.get(kind, set()):
            moved = {name: _numbered(kind, _kind(name)[1] + number - first) for name in names}
            if all(len(groups.get(moved[name], ())) == len(own[name]) for name in names) and all(
                Candidate(layer="", held=groups[moved[name]]).fits(own[name]) for name in names
            ):
                fitting.append(moved)
        # Of several the one with the network's own names is meant.
        same = [moved for moved in fitting if all(name == other for name, other in moved.items())]
        if len(same or fitting) != 1:
            return None
        found |= {name: groups[other] for name, other in (same or fitting)[0].items()}
    return [one for name in own for one in found[name]]


def _kind(name: str) -> tuple[str, int]:
    """Split a layer's name into its kind and its number, 0 where it has none: ``conv2d_7``, ``conv2d``."""
    match = re.fullmatch(r"(.*?)(?:_(\d+))?", name)
    assert match is not None
    return match[1], int(match[2] or 0)


def _numbered(kind: str, number: int) -> str:
    return f"{kind}_{number}" if number else kind


def _candidates_by_place(root: Any, wanted: Sequence[Place]) -> list[Candidate]:
    """Take the tensors of a ``.weights.h5`` by the paths of the network's: from its root, then from within each layer.

    Optimizers and random generators are left out.
    """
    import h5py

    present: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and "seed_generator" not in name:
            present[f"layers/{name}"] = item

    root["layers"].visititems(visit)
    names, first = {name for name, _ in wanted}, wanted[0][0]
    starts = ["", *(name.removesuffix(first) for name in present if name.endswith(f"/{first}"))]
    found = []
    for start in starts:
        own = itertools.takewhile(present.__contains__, (start + name for name, _ in wanted))
        held = [(name, present[name]) for name in own]
        if not start and len(held) == len(wanted):
            held += [(name, item) for name, item in present.items() if name not in names]
        found.append(Candidate(layer=start.removesuffix("/"), held=held))
    return found


def _attribute(group: Any, name: str) -> list[str]:
    """Read a list of names; Keras cuts one over HDF5's 64 KB into ``name0``, ``name1`` and so on."""
    parts = [group.attrs[name]] if name in group.attrs else []
    while not (parts and name in group.attrs) and f"{name}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{name}{len(parts)}"])
    return [text.decode() if isinstance(text, bytes) else str(text) for part in parts for text in part]


def _chosen(
    path: Path, entry: Entry, wanted: Sequence[Place], whole: Candidate, layers: Sequence[Candidate], *, top: bool
) -> Candidate:
    """Choose the part of a file that holds the network: the whole, else the one layer that does.

    Raises
    ------
    WeightsError
        Its tensors are others than the network's, or several layers have them.
    """
    variables = [variable for _, variable in wanted]
    if whole.fits(variables):
        return whole
    # The tensors of a network that was frozen in part fit in one order only: no layer counts twice.
    fitting = {one.layer: one for one in layers if one.fits(variables)}
    if len(fitting) > 1:
        raise WeightsError(
            f"weights file {path} holds {entry.name} {len(fitting)} times, as {' and '.join(fitting)}; save only the "
            "weights of the one that you want: `model.get_layer(NAME).save_weights(FILE)`"
        )
    for layer, one in fitting.items():
        logger.info("%s: %s is its layer %s, whose weights are taken", path, entry.name, layer)
        return one
    text = f"{entry.name} {'with' if top else 'without'} its top has {len(wanted)} tensors"
    # Of a model without the network, the whole says little.
    nearest = max([whole, *layers], key=lambda one: min(len(one.held), len(wanted)))
    inside = f", its layer {nearest.layer}" if nearest.layer else ""
    for variable, (name, dataset) in zip(variables, nearest.held, strict=False):
        if tuple(variable.shape) != tuple(dataset.shape):
            raise WeightsError(
                f"weights file {path} is of another network: {text}, but the file{inside} has {len(nearest.held)}; "
                f"the first difference: expected {variable.path} {tuple(variable.shape)}, found {name} "
                f"{tuple(dataset.shape)}; check `backbone` and its width"
            )
    hint = "give a file with the top" if top else "check `backbone` and its width"
    raise WeightsError(
        f"weights file {path} does not contain the whole network: {text}, but the file{inside} has only "
        f"{len(nearest.held)}, without {variables[len(nearest.held)].path}; {hint}"
    )


def _check_links(path: Path, file: Any) -> None:
    """Refuse links to other files, before one is followed: it may lead to a pipe, which would be waited for."""
    import h5py

    leading = file.visititems_links(lambda name, link: name if isinstance(link, h5py.ExternalLink) else None)
    if leading is not None:
        raise WeightsError(f"weights file {path}: {leading} is in another file; give {FORMATS}")


def _check_plain(path: Path, root: Any, matched: Sequence[tuple[str, Any]]) -> None:
    """Refuse tensors in another file, of a type that is no number, or in pieces that swallow memory."""
    for name, dataset in matched:
        elsewhere = dataset.external or dataset.is_virtual or dataset.file.filename != root.file.filename
        if dataset.dtype.kind not in "fiu" or dataset.dtype.itemsize > 8 or elsewhere:
            held = "is in another file" if elsewhere else f"is of type {dataset.dtype}"
            raise WeightsError(f"weights file {path}: {name} {held}, but must be numbers; give {FORMATS}")
        # A piece is unpacked as a whole, whatever part of it the tensor is.
        if dataset.chunks is not None and int(np.prod(dataset.chunks)) > 2 * dataset.size + 2**20:
            raise WeightsError(
                f"weights file {path}: {name} is stored in pieces that are larger than itself; give {FORMATS}"
            )


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


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
