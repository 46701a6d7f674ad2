"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation and with ReLU6, as Google published it for phones.

The architecture is that of ``tensorflow/tpu``, models/official/efficientnet/lite; after M. Tan and Q. Le,
*EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks*, ICML 2019, table 1. Width and depth are
scaled but for stem and head, and the first and last stage are never deepened.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.backbones.session import import_keras
from featx.errors import WeightsError


class _Stage(NamedTuple):
    """One stage of blocks: the first of them has the stride and changes the number of channels."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_STEM, _HEAD, _CLASSES = 32, 1280, 1000
_EPSILON = 1e-3
_MULTIPLE = 8  # of channels


def preprocess_input(x: Any, data_format: str | None = None) -> Any:  # noqa: ARG001  (as Keras Applications have it)
    """Scale pixels from 0..255 to (x - 127) / 128, as the networks were trained."""
    return (x - 127.0) / 128.0


def construct(
    *,
    include_top: bool,
    weights: None,
    input_shape: tuple[int, int, int],
    pooling: str | None,
    width: float,
    depth: float,
) -> Any:
    """Build a network, with the signature of a constructor of Keras Applications.

    Parameters
    ----------
    include_top : bool
        With the probabilities of the 1,000 classes of ImageNet.
    weights
        None; they are assigned afterwards.
    input_shape : (int, int, int)
        Height, width and 3.
    pooling : {"avg", "max"} or None
        Over the last map, where there is no top.
    width, depth : float
        Factors of the numbers of channels and of blocks.

    Returns
    -------
    keras.Model
        ``(b, H, W, 3)`` of `preprocess_input` to ``(b, 1280)``, ``(b, 1000)`` or ``(b, H / 32, W / 32, 1280)``
        float32. Its layers are named as those of Keras's EfficientNet.
    """
    assert weights is None
    layers = import_keras().layers
    images = import_keras().Input(input_shape, name="pixels")
    maps = layers.Conv2D(_STEM, 3, strides=2, padding="same", use_bias=False, name="stem_conv")(images)
    maps = _normalised(maps, "stem")
    for name, stage in _blocks(width, depth):
        maps = _block(maps, name, stage)
    maps = layers.Conv2D(_HEAD, 1, use_bias=False, name="top_conv")(maps)
    maps = _normalised(maps, "top")
    if include_top:
        maps = layers.GlobalAveragePooling2D(name="avg_pool")(maps)
        maps = layers.Dense(_CLASSES, activation="softmax", name="predictions")(maps)
    elif pooling == "avg":
        maps = layers.GlobalAveragePooling2D(name="avg_pool")(maps)
    elif pooling == "max":
        maps = layers.GlobalMaxPooling2D(name="max_pool")(maps)
    return import_keras().Model(images, maps, name="efficientnet_lite")


def tensors(network: Any, checkpoint: Mapping[str, NDArray[Any]], *, width: float, depth: float) -> list[NDArray[Any]]:
    """Lay the tensors of a published checkpoint out as Keras's layers hold them.

    Parameters
    ----------
    network : keras.Model
        From `construct`.
    checkpoint : mapping of str to ndarray
        By the names of the PyTorch port (``_blocks.0._depthwise_conv.weight``); kernels (out, in, height, width).
    width, depth : float
        As `network` was built.

    Returns
    -------
    list of ndarray
        float32, in the order of the network's variables.

    Raises
    ------
    WeightsError
        A tensor is missing or has another shape.
    """
    places = dict(_places(width, depth))
    found = []
    for layer in network.layers:
        for variable in layer.weights:
            name = f"{places[layer.name]}.{_TENSORS[variable.name]}"
            found.append(_laid_out(name, checkpoint.get(name), tuple(variable.shape)))
    return found


_TENSORS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""Names of a layer's tensors in the checkpoint."""


def _laid_out(name: str, tensor: NDArray[Any] | None, shape: tuple[int, ...]) -> NDArray[Any]:
    if tensor is not None and tensor.ndim == 4:
        # Depthwise kernels are (channels, 1, height, width) there, and (height, width, channels, 1) here.
        tensor = tensor.transpose(2, 3, 0, 1) if tensor.shape[1] == 1 else tensor.transpose(2, 3, 1, 0)
    elif tensor is not None and tensor.ndim == 2:
        tensor = tensor.T
    if tensor is None or tensor.shape != shape:
        found = "nothing" if tensor is None else f"shape {tensor.shape}"
        raise WeightsError(f"{name}: found {found} where the network has {shape}; these are weights of another network")
    return np.ascontiguousarray(tensor, np.float32)


def _places(width: float, depth: float) -> Iterator[tuple[str, str]]:
    """Give the place of each layer's tensors in the checkpoint."""
    yield from (("stem_conv", "_conv_stem"), ("stem_bn", "_bn0"), ("top_conv", "_conv_head"), ("top_bn", "_bn1"))
    yield "predictions", "_fc"
    for index, (name, _) in enumerate(_blocks(width, depth)):
        for number, part in enumerate(("expand", "dw", "project")):
            conv = "depthwise" if part == "dw" else part
            yield f"{name}_{part}conv" if part == "dw" else f"{name}_{part}_conv", f"_blocks.{index}._{conv}_conv"
            yield f"{name}_{part}_bn" if part != "dw" else f"{name}_bn", f"_blocks.{index}._bn{number}"


def _blocks(width: float, depth: float) -> Iterator[tuple[str, _Stage]]:
    """Give the blocks with their names, each as a stage of one block."""
    for number, stage in enumerate(_STAGES):
        scaled = number not in (0, len(_STAGES) - 1)
        repeats = math.ceil(depth * stage.repeats) if scaled else stage.repeats
        channels = _channels(width * stage.channels)
        for index in range(repeats):
            stride = stage.stride if index == 0 else 1
            yield (
                f"block{number + 1}{chr(ord('a') + index)}",
                stage._replace(repeats=1, stride=stride, channels=channels),
            )


def _channels(wanted: float) -> int:
    """Round to the next multiple, but not down by more than a tenth."""
    rounded = max(_MULTIPLE, int(wanted + _MULTIPLE / 2) // _MULTIPLE * _MULTIPLE)
    return rounded if rounded >= 0.9 * wanted else rounded + _MULTIPLE


def _block(maps: Any, name: str, stage: _Stage) -> Any:
    layers = import_keras().layers
    before, channels = maps, int(maps.shape[-1])
    if stage.expansion != 1:
        maps = layers.Conv2D(stage.expansion * channels, 1, use_bias=False, name=f"{name}_expand_conv")(maps)
        maps = _normalised(maps, f"{name}_expand")
    maps = layers.DepthwiseConv2D(
        stage.kernel, strides=stage.stride, padding="same", use_bias=False, name=f"{name}_dwconv"
    )(maps)
    maps = _normalised(maps, name)
    maps = layers.Conv2D(stage.channels, 1, use_bias=False, name=f"{name}_project_conv")(maps)
    maps = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_project_bn")(maps)
    if stage.stride == 1 and stage.channels == channels:
        maps = layers.Add(name=f"{name}_add")([maps, before])
    return maps


def _normalised(maps: Any, name: str) -> Any:
    layers = import_keras().layers
    maps = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")(maps)
    return layers.ReLU(6.0, name=f"{name}_activation")(maps)
