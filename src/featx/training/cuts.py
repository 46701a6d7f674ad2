"""Layers at which a network may be split: everything passes through them, as the graph of its operations tells.

A layer is such a point where every path from the images to the features leads through it, which is found by counting
paths. Operations that are no layers (MobileNetV3 multiplies, adds and clips so) are counted as well.
"""

import difflib
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from featx.errors import UsageError

_BLOCK = re.compile(
    r"conv\d+_block\d+|(?<!downsampling_)block_?\d+[a-z]?(?:_\d+(?=_))?|expanded_conv_\d+|mixed_?\d+[a-z]?"
    r"|(?<=conv_dw_)\d+|(?<=conv_pw_)\d+|(?<=conv_pad_)\d+|^add(?:_\d+)?$"
)
"""Part of a layer's name that all layers of its block have, in the networks of Keras Applications."""

_DEFAULTS = {"densenet": "pool4_pool"}
"""Families whose usual cut is not the end of the last block before the map is halved for the last time.

Nothing is trained between DenseNet's ``pool4_conv`` and the pooling behind it, whose map is a quarter of the size.
"""


@dataclass(frozen=True, kw_only=True)
class Block:
    """Layers of a network that are trained together.

    Parameters
    ----------
    name : str
        Part of their names, such as ``block_12``.
    end : str
        The last layer of the block through which everything passes.
    side : int
        Height of its map in pixels.
    """

    name: str
    end: str
    side: int


def points(cut: Any) -> list[Any]:
    """List the layers through which everything passes that are followed by something to train, in order.

    Parameters
    ----------
    cut : keras.Model
        From the images to the features, as in `featx.backbones.build.Network`.
    """
    operations = cut.operations
    before = {id(one): [id(node.operation) for node in one._inbound_nodes[0].parent_nodes] for one in operations}
    after = defaultdict(list)
    for one, parents in before.items():
        for parent in parents:
            after[parent].append(one)
    # Numbers of paths from the images to here, and from here to the features; Python's integers have no limit.
    to, onward = dict[int, int](), dict[int, int]()
    order = [id(one) for one in operations]
    for one in order:
        to[one] = sum(to[parent] for parent in before[one]) if before[one] else 1
    for one in reversed(order):
        onward[one] = sum(onward[child] for child in after[one]) if after[one] else 1
    every = to[order[-1]]
    layers = {id(layer) for layer in cut.layers}
    all_pass = [one for one in operations if to[id(one)] * onward[id(one)] == every]
    last = max((place for place, one in enumerate(operations) if getattr(one, "trainable_variables", None)), default=-1)
    place_of = {id(one): place for place, one in enumerate(operations)}
    return [
        one
        for one in all_pass
        if id(one) in layers and before[id(one)] and place_of[id(one)] < last and len(one.output.shape) == 4
    ]


def blocks(cut: Any) -> list[Block]:
    """List the blocks of a network that have a point at their end or, as the last one may, inside, in order."""
    found: dict[str, Block] = {}
    name = ""
    for layer in points(cut):
        match = _BLOCK.search(layer.name)
        name = match.group() if match else name
        found[name] = Block(name=name, end=layer.name, side=int(layer.output.shape[1]))
    return list(found.values())


def _ends(cut: Any) -> list[Block]:
    """List the blocks that something to train follows: all but the final one."""
    found = blocks(cut)
    place = max(
        (place for place, one in enumerate(cut.operations) if getattr(one, "trainable_variables", None)), default=0
    )
    # A block that ends by adding its input has no point inside, so that the last block found is the one before it.
    # Its name is that of the last operations; where those have none (a convolution on top), it is the last one found.
    named = [match.group() for one in cut.operations[place:] if (match := _BLOCK.search(one.name))]
    return found if named and found and named[-1] != found[-1].name else found[:-1]


def choose(cut: Any, *, family: str, backbone: str, last: int | None = None, layer: str | None = None) -> str:
    """Choose the layer at which a network is split: what follows it is trained.

    Parameters
    ----------
    cut : keras.Model
        As in `points`.
    family, backbone : str
        As in `featx.backbones.Entry`; the latter for messages.
    last : int or None
        Number of blocks to be trained.
    layer : str or None
        Name of the layer itself. Without both, the last block before the map is halved for the last time ends there.

    Raises
    ------
    UsageError
        There is no such point.
    """
    if layer is not None:
        return _named(cut, layer, backbone=backbone)
    ends = _ends(cut)
    if last is not None:
        if not 1 <= last <= len(ends):
            raise UsageError(
                f"`last={last}`: {backbone} can be split before its last 1 to {len(ends)} blocks; name a layer with "
                "`from_layer` for another place"
                if ends
                else f"`last={last}`: {backbone} has no blocks that everything passes through; name a layer with "
                f"`from_layer`: {_some([one.name for one in points(cut)])}"
            )
        return ends[-last].end
    names = {one.name for one in points(cut)}
    if (usual := _DEFAULTS.get(family)) in names and usual is not None:
        return usual
    if not ends:
        raise UsageError(
            f"{backbone} has no blocks that everything passes through: name a layer with `from_layer`, such as "
            f"{_some(sorted(names))}, or take another backbone"
        )
    smallest = next(int(one.output.shape[1]) for one in reversed(cut.operations) if len(one.output.shape) == 4)
    return next((one.end for one in reversed(ends) if one.side >= 1.5 * smallest), ends[-1].end)


def _named(cut: Any, layer: str, *, backbone: str) -> str:
    names = [one.name for one in points(cut)]
    if layer in names:
        return layer
    nearest = difflib.get_close_matches(layer, names, n=4, cutoff=0.4) or names[-4:]
    every = [one.name for one in cut.layers]
    if layer not in every:
        raise UsageError(f"`from_layer={layer}`: {backbone} has no such layer; nearest: {', '.join(nearest)}")
    before = [name for name in every[: every.index(layer)] if name in set(names)][-1:]
    after = [name for name in every[every.index(layer) + 1 :] if name in set(names)][:1]
    if not after:
        raise UsageError(
            f"`from_layer={layer}`: nothing is left to train behind that layer of {backbone}; take an earlier one, "
            f"such as {', '.join(names[-3:])}"
        )
    raise UsageError(
        f"`from_layer={layer}`: {backbone} can't be split there, since not everything passes through that layer; "
        f"it can be at {' or '.join(before + after)}"
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[-4:]) or "there is none"
