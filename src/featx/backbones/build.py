"""The frozen graph of a spec: uint8 pixels in, float32 features out, preprocessing inside."""

import difflib
import importlib
from dataclasses import dataclass
from typing import Any

from featx.backbones.loading import load
from featx.backbones.session import fresh_names, import_keras, silent
from featx.backbones.table import Entry, find
from featx.errors import UsageError, WeightsError
from featx.spec import ExtractionSpec, Pooling
from featx.weights import WeightsSource, digest_tensors

_POOLINGS = {"avg": "GlobalAveragePooling2D", "max": "GlobalMaxPooling2D"}


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network cut at the wanted layer, float32 in, before weights and preprocessing.

    Parameters
    ----------
    whole : keras.Model
        As Keras's constructor gave it; weights are loaded into this.
    cut : keras.Model
        The part of it that the feature depends on, pooled, not flattened; shares the layers of `whole`.
    pooling : {"avg", "max", "none"} or None
        The pooling that applies; None where the layer gives a vector.
    top : bool
        The network holds its top.
    """

    whole: Any
    cut: Any
    pooling: Pooling | None
    top: bool

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of one feature before it is flattened."""
        return tuple(int(n) for n in self.cut.output.shape[1:])

    def digest(self) -> str:
        """Compute the digest of the tensors that the output depends on."""
        return digest_tensors(self.cut.get_weights())


def network(
    entry: Entry,
    *,
    layer: str | None,
    pooling: Pooling | None,
    image_size: tuple[int, int],
    policy: str = "float32",
) -> Network:
    """Build a backbone's network up to a layer, with names as in a fresh process and without weights.

    Parameters
    ----------
    entry : Entry
        Row of the table.
    layer : str or None
        Layer whose output is the feature; None is the network's last without the top.
    pooling : {"avg", "max", "none"} or None
        None: avg where the output is spatial.
    image_size : (int, int)
        Height and width in pixels.
    policy : str
        Keras's dtype policy of the layers.

    Raises
    ------
    UsageError
        No such layer, an image size that the network can't take, or pooling over a vector.
    """
    with fresh_names(policy=policy), silent():
        if layer is None:
            pooling = pooling or "avg"
            # Left to the constructor: ConvNeXt normalises after its pooling.
            whole = _construct(entry, top=False, image_size=image_size, pooling=None if pooling == "none" else pooling)
            return _cut(whole, whole.output, pooling=pooling, top=False)
        whole = _construct(entry, top=False, image_size=image_size, pooling=None)
        if top := layer not in _names(whole):
            whole = _with_top(entry, without=whole, layer=layer, image_size=image_size, policy=policy)
        output = whole.get_layer(layer).output
        if len(output.shape) == 4:
            pooling = pooling or "avg"
            if pooling != "none":
                output = getattr(import_keras().layers, _POOLINGS[pooling])(name="featx_pooling")(output)
        elif pooling is not None:
            raise UsageError(
                f"`pooling={pooling}`: layer {layer} of {entry.name} gives a vector already, so there is nothing to "
                "pool; leave out `pooling`"
            )
        return _cut(whole, output, pooling=pooling, top=top)


def build(spec: ExtractionSpec, source: WeightsSource) -> tuple[Any, tuple[int, ...]]:
    """Build the graph of a spec, once, ready for inference.

    Parameters
    ----------
    spec : ExtractionSpec
        What to compute.
    source : WeightsSource
        Where the weights come from; their digest must be the spec's.

    Returns
    -------
    model : keras.Model
        ``(b, H, W, 3)`` uint8 RGB to ``(b, d)`` float32: Keras's own ``preprocess_input`` of the family, the network
        in inference mode with nothing trainable, pooling, and spatial features flattened.
    feature_shape : tuple of int
        Shape of one feature before it was flattened; its product is d.

    Raises
    ------
    UsageError
        The backbone is no network, or layer, pooling or image size don't fit it.
    WeightsError
        The weights can't be had, belong to another network, or are not those of the spec.
    """
    entry = find(spec.backbone).published_for(spec.image_size)
    policy = "float32" if spec.precision == "float32" else f"mixed_{spec.precision}"
    built = network(entry, layer=spec.layer, pooling=spec.pooling, image_size=spec.image_size, policy=policy)
    load(built.whole, entry, source, top=built.top)
    if (digest := built.digest()) != spec.weights:
        raise WeightsError(
            f"these are not the weights of {entry.name} ({source.recorded}) that were used before: expected the "
            f"digest {spec.weights}, found {digest}; give the file of the right weights with `weights=FILE`"
        )
    return _with_pixels(built, entry, spec), built.feature_shape


def _with_pixels(built: Network, entry: Entry, spec: ExtractionSpec) -> Any:
    keras = import_keras()
    module, _, function = entry.preprocessing.rpartition(".")
    preprocess = getattr(importlib.import_module(module), function)
    with fresh_names():
        built.cut.trainable = False
        images = keras.Input((*spec.image_size, 3), dtype="uint8", name="images")
        pixels = preprocess(keras.ops.cast(images, "float32"), data_format="channels_last")
        features = built.cut(pixels, training=False)
        if len(features.shape) > 2:
            features = keras.layers.Flatten(name="flat")(features)
        if spec.precision != "float32":
            features = keras.ops.cast(features, "float32")
        model = keras.Model(images, features, name="featx")
        model.trainable = False
    return model


def _construct(entry: Entry, *, top: bool, image_size: tuple[int, int], pooling: str | None) -> Any:
    if entry.constructor is None:
        raise UsageError(f"`backbone={entry.name}` is a formula, not a network of Keras; it has no layers to choose")
    import_keras()
    module, _, function = entry.constructor.rpartition(".")
    try:
        return getattr(importlib.import_module(module), function)(
            include_top=top, weights=None, input_shape=(*image_size, 3), pooling=pooling, **entry.arguments
        )
    except ValueError as error:
        height, width = image_size
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"`image_size={height}x{width}`: {entry.name} can't work with this size ({reason}); its usual size is "
            f"{entry.image_size[0]}x{entry.image_size[1]}"
        ) from error


def _with_top(entry: Entry, *, without: Any, layer: str, image_size: tuple[int, int], policy: str) -> Any:
    with fresh_names(policy=policy):
        whole = _construct(entry, top=True, image_size=entry.image_size, pooling=None)
    if layer not in (names := _names(whole)):
        names += [name for name in _names(without) if name not in names]
        nearest = difflib.get_close_matches(layer, names, n=4, cutoff=0.4) or names[-4:]
        raise UsageError(
            f"`layer={layer}`: {entry.name} has no layer of this name; similar names: {', '.join(nearest)}"
        )
    if image_size != entry.image_size:
        own = "x".join(map(str, entry.image_size))
        raise UsageError(
            f"`image_size={image_size[0]}x{image_size[1]}`: layer {layer} is in the top of {entry.name}, which works "
            f"only with {own}; leave out `image_size`"
        )
    return whole


def _cut(whole: Any, output: Any, *, pooling: Pooling | None, top: bool) -> Network:
    cut = import_keras().Model(whole.input, output, name="backbone")
    return Network(whole=whole, cut=cut, pooling=pooling, top=top)


def _names(model: Any) -> list[str]:
    return [layer.name for layer in model.layers]
