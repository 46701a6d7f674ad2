"""From a user's request to a spec: names checked, defaults filled in, weights digested or their digest remembered."""

import dataclasses
import importlib.metadata

from featx.backbones.build import network
from featx.backbones.loading import load
from featx.backbones.origins import formulas, origin
from featx.backbones.table import Entry, find
from featx.cache import remember, remembered
from featx.errors import UsageError
from featx.spec import (
    COLOURS,
    INTERPOLATIONS,
    POOLINGS,
    PRECISIONS,
    RESIZES,
    Colours,
    ExtractionSpec,
    Interpolation,
    Pooling,
    Precision,
    Resize,
)
from featx.weights import WeightsSource, file_digest, locate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """A user's request for features; its defaults are those of every verb.

    Parameters
    ----------
    backbone : str
        Any spelling that `find` takes.
    weights : str
        ``imagenet``, ``none``, the path of a weights file, or what a store or model recorded.
    layer : str or None
        Layer whose output is the feature, by the name that a fresh Keras process gives it; None is the last.
    pooling : {"avg", "max", "none"} or None
        None: avg where it applies.
    image_size : int or (int, int) or None
        Side, or height and width, in pixels; None: the backbone's own.
    resize, interpolation, precision, colours
        As in `ExtractionSpec`.
    """

    backbone: str = "resnet50"
    weights: str = "imagenet"
    layer: str | None = None
    pooling: Pooling | None = None
    image_size: int | tuple[int, int] | None = None
    resize: Resize = "stretch"
    interpolation: Interpolation = "bilinear"
    precision: Precision = "float32"
    colours: Colours = "rgb"


def resolve(request: Request) -> tuple[ExtractionSpec, WeightsSource]:
    """Check a request and fill in the rest, down to the digest of the weights' tensors.

    Keras is loaded only where the cache folder doesn't know the answer already; what is asked a second time is
    answered from there. Published weights are downloaded where they aren't on this machine.

    Parameters
    ----------
    request : Request
        What is wanted.

    Returns
    -------
    spec : ExtractionSpec
        Complete.
    source : WeightsSource
        Where `build` finds these weights.

    Raises
    ------
    UsageError
        An unknown name, or options that don't fit the backbone.
    WeightsError
        The weights can't be had, or belong to another network.
    """
    entry = find(request.backbone)
    for option, value, choices in (
        ("resize", request.resize, RESIZES),
        ("interpolation", request.interpolation, INTERPOLATIONS),
        ("precision", request.precision, PRECISIONS),
        ("colours", request.colours, COLOURS),
        ("pooling", request.pooling or "avg", POOLINGS),
    ):
        if value not in choices:
            raise UsageError(f"`{option}={value}` is unknown; choose one of {', '.join(choices)}")
    image_size = _image_size(request.image_size, entry)
    if request.layer is None or entry.formula:
        request = dataclasses.replace(request, pooling=request.pooling or "avg")
    if entry.formula:
        source, digest, pooling = _formula(entry, request, image_size)
    else:
        source, digest, pooling = _network(entry, request, image_size)
    spec = ExtractionSpec(
        backbone=entry.name,
        weights=digest,
        layer=request.layer,
        pooling=pooling,
        image_size=image_size,
        resize=request.resize,
        interpolation=request.interpolation,
        preprocessing=entry.preprocessing,
        precision=request.precision,
        colours=request.colours,
    )
    return spec, source


def feature_shape(spec: ExtractionSpec, source: WeightsSource) -> tuple[int, ...]:
    """Return the shape of one feature before it is flattened, without Keras if `resolve` has seen this spec before."""
    entry = find(spec.backbone)
    if entry.formula:
        whole = formulas.feature_map(entry, spec.image_size)
        return whole if spec.pooling == "none" else whole[-1:]
    if (known := remembered(_key(entry, spec.layer, spec.pooling, spec.image_size, source))) is not None:
        return tuple(known["feature_shape"])
    return network(entry, layer=spec.layer, pooling=spec.pooling, image_size=spec.image_size).feature_shape


_Resolved = tuple[WeightsSource, str, Pooling | None]


def _formula(entry: Entry, request: Request, image_size: tuple[int, int]) -> _Resolved:
    if request.layer is not None:
        raise UsageError(f"`layer={request.layer}`: {entry.name} is a formula and has no layers; leave out `layer`")
    source = locate(request.weights, filename=None)
    if request.weights not in ("imagenet", "none", source.recorded):
        raise UsageError(
            f"`weights={request.weights}`: {entry.name} is a formula and has no weights; leave out `weights`"
        )
    return source, formulas.digest(entry, image_size), request.pooling


def _network(entry: Entry, request: Request, image_size: tuple[int, int]) -> _Resolved:
    entry = entry.published_for(image_size)
    source = locate(request.weights, filename=entry.weights_file)
    # Whether a layer belongs to the top decides which of the published files it needs.
    place = ("place", entry.name, request.layer, _keras_version())
    top = False if request.layer is None else (remembered(place) or {}).get("top")
    published = origin(entry)
    if source.kind == "imagenet":
        # A package that isn't there is known at once; a download comes after the rest of the request was checked.
        there = top is not None and (entry.package or published.find(entry, top=top)) is not None
        source = dataclasses.replace(source, path=published.obtain(entry, top=bool(top)) if there else None)
    if top is not None and (source.kind != "imagenet" or source.path is not None):
        known = remembered(_key(entry, request.layer, request.pooling, image_size, source))
        if known is not None:
            return source, known["digest"], known["pooling"]

    built = network(entry, layer=request.layer, pooling=request.pooling, image_size=image_size)
    if source.kind == "imagenet":
        source = dataclasses.replace(source, path=published.obtain(entry, top=built.top))
    load(built.whole, entry, source, top=built.top)
    if source.kind == "imagenet" and source.path is not None:
        published.check(built.whole, entry, source.path, top=built.top)
    digest = built.digest()
    remember(place, {"top": built.top})
    answer = {"digest": digest, "pooling": built.pooling, "feature_shape": list(built.feature_shape)}
    for pooling in {request.pooling, built.pooling}:
        remember(_key(entry, request.layer, pooling, image_size, source), answer)
    return source, digest, built.pooling


def _key(
    entry: Entry, layer: str | None, pooling: Pooling | None, image_size: tuple[int, int], source: WeightsSource
) -> tuple[str | int | None, ...]:
    # The kind belongs to it: a published EfficientNet is mended, a file of the same bytes need not be. Only what was
    # checked is remembered as published; earlier versions checked nothing, and remembered it as imagenet.
    kind = "published" if source.kind == "imagenet" else source.kind
    content = source.recorded if source.path is None else file_digest(source.path)
    return ("digest", entry.name, layer, pooling, *image_size, kind, content, _keras_version())


def _image_size(asked: int | tuple[int, int] | None, entry: Entry) -> tuple[int, int]:
    size = entry.image_size if asked is None else (asked, asked) if isinstance(asked, int) else tuple(asked)
    if len(size) != 2 or any(not isinstance(side, int) or side < 1 for side in size):
        raise UsageError(f"`image_size={asked}` is not a size; give one side, or height and width, in pixels")
    return size[0], size[1]


def _keras_version() -> str:
    return importlib.metadata.version("keras")
