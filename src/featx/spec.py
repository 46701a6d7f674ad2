"""The spec, which decides a feature's value, and that of views; their fingerprints and differences."""

import dataclasses
import hashlib
import json
from typing import Any, Literal, Self, get_args

from featx import notebook
from featx.errors import UsageError
from featx.files import parse_json

DECODER_VERSION = 1
"""Version of the rules from a file's bytes to pixels (``docs/pixels.md``). Raise it when any pixel may change."""

VIEWS_VERSION = 1
"""Version of the recipe of views (``docs/pixels.md``). Raise it when any pixel of a view may change."""

MOST_VIEWS = 64
"""Views of an image at most: each costs as much time and space as the image itself."""

Resize = Literal["stretch", "crop", "pad"]
Interpolation = Literal["bilinear", "bicubic", "area", "lanczos"]
Colours = Literal["rgb", "grey"]
Pooling = Literal["avg", "max", "none"]
Precision = Literal["float32", "bfloat16", "float16"]

RESIZES: tuple[Resize, ...] = get_args(Resize)
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)
COLOURS: tuple[Colours, ...] = get_args(Colours)
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PixelRules:
    """Everything that decides an image's pixels: specs with equal rules can share decoded images.

    Parameters
    ----------
    image_size : (int, int)
        Height and width in pixels of what the backbone sees.
    resize : {"stretch", "crop", "pad"}
        How an image of another shape is brought to that size.
    interpolation : {"bilinear", "bicubic", "area", "lanczos"}
        How new pixels are computed from old ones.
    decoder : int
        Version of the decoder's rules.
    colours : {"rgb", "grey"}
        The image's own, or the grey of each pixel, three times.
    """

    image_size: tuple[int, int]
    resize: Resize = "stretch"
    interpolation: Interpolation = "bilinear"
    decoder: int = DECODER_VERSION
    colours: Colours = "rgb"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractionSpec:
    """Everything that decides a feature's value, and nothing else.

    Parameters
    ----------
    backbone : str
        Name of a row of the table of backbones.
    weights : str
        Digest of the weight tensors that the output depends on (``"sha256:…"``).
    layer : str or None
        Layer whose output is the feature; None is the backbone's last.
    pooling : {"avg", "max", "none"} or None
        Global pooling over a spatial output; None where the layer's output is already a vector.
    image_size : (int, int)
        Height and width in pixels of what the backbone sees.
    resize, interpolation, colours
        As in `PixelRules`.
    preprocessing : str
        Import path of the family's own ``preprocess_input``; ``"none"`` for a backbone that takes raw pixels.
    precision : {"float32", "bfloat16", "float16"}
        Arithmetic asked for.
    runtime : str or None
        Runtime and precision truly executed, part of a feature's value at reduced precision only: None at float32,
        where runtimes agree to about 1e-6.
    decoder : int
        Version of the decoder's rules.
    """

    backbone: str
    weights: str
    layer: str | None = None
    pooling: Pooling | None = "avg"
    image_size: tuple[int, int]
    resize: Resize = "stretch"
    interpolation: Interpolation = "bilinear"
    preprocessing: str
    precision: Precision = "float32"
    runtime: str | None = None
    decoder: int = DECODER_VERSION
    colours: Colours = "rgb"

    def _repr_html_(self) -> str:
        rows = [(one.name, str(getattr(self, one.name))) for one in dataclasses.fields(self)]
        return notebook.html_table("what decides a feature's value", rows)

    @property
    def pixels(self) -> PixelRules:
        """Part of the spec that decides the pixels."""
        return PixelRules(
            image_size=self.image_size,
            resize=self.resize,
            interpolation=self.interpolation,
            decoder=self.decoder,
            colours=self.colours,
        )

    def to_json(self) -> str:
        """Return canonical JSON: keys sorted, no white space, ASCII only; every field but `colours` where it is rgb."""
        return _canonical(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a spec back from `to_json`.

        Raises
        ------
        ValueError
            The text is not the JSON of a spec of this version of featx.
        """
        fields = parse_json(text)
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(fields, dict) or not names - set(_LATER) <= set(fields) <= names:
            raise ValueError(f"this is not the JSON of an extraction spec: {text[:200]}")
        strange = [name for name, value in fields.items() if not _is_valid(name, value)]
        if strange:
            raise ValueError(f"an extraction spec with impossible values of {', '.join(strange)}")
        fields["image_size"] = tuple(fields["image_size"])
        return cls(**fields)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
        return _digest(self)

    def differences(self, other: "ExtractionSpec") -> dict[str, tuple[Any, Any]]:
        """Compare with another spec: the fields that differ, with both values; empty if features are comparable."""
        return _differences(self, other)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ViewsSpec:
    """Everything that decides the views of an image, beside the spec of the features.

    Parameters
    ----------
    count : int
        Number K of views of each image, 1 to `MOST_VIEWS`.
    seed : int
        Seed of what is drawn at random.
    flip : bool
        Whether half of the views are mirrored, left to right.
    version : int
        Version of the recipe.

    Raises
    ------
    UsageError
        A number of views, or a seed, that can't be.
    """

    count: int
    seed: int = 0
    flip: bool = True
    version: int = VIEWS_VERSION

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_VIEWS:
            raise UsageError(
                f"`views={self.count}`: an image has 1 to {MOST_VIEWS} views, each of which costs as much as the image"
            )
        if self.seed < 0:
            raise UsageError(f"a seed is 0 or more, and is {self.seed}")

    def _repr_html_(self) -> str:
        rows = [(one.name, str(getattr(self, one.name))) for one in dataclasses.fields(self)]
        return notebook.html_table("what decides the views of an image", rows)

    def to_json(self) -> str:
        """Return canonical JSON: every field, keys sorted, no white space, ASCII only."""
        return _canonical(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a spec back from `to_json`.

        Raises
        ------
        ValueError
            The text is not the JSON of a spec of views of this version of featx.
        """
        fields = parse_json(text)
        kinds = {"count": int, "seed": int, "flip": bool, "version": int}
        if (
            not isinstance(fields, dict)
            or set(fields) != set(kinds)
            or any(type(value) is not kinds[name] for name, value in fields.items())
        ):
            raise ValueError(f"not the JSON of a spec of views: {text[:200]}")
        try:
            return cls(**fields)
        except UsageError as error:
            raise ValueError(str(error)) from error

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
        return _digest(self)

    def alike(self, other: "ViewsSpec") -> bool:
        """Tell whether other views are made by the same recipe; their number and seed may differ."""
        return (self.flip, self.version) == (other.flip, other.version)

    @property
    def said(self) -> str:
        """Number and kind of the views, for people."""
        mirrored = "half of them mirrored" if self.flip else "none mirrored"
        views = "1 view" if self.count == 1 else f"{self.count} views"
        return f"{views} (turned, zoomed, shifted, in other colours, {mirrored})"

    def differences(self, other: "ViewsSpec") -> dict[str, tuple[Any, Any]]:
        """Compare with another spec: the fields that differ, with both values."""
        return _differences(self, other)


def _canonical(spec: Any) -> str:
    fields = {name: value for name, value in dataclasses.asdict(spec).items() if _LATER.get(name, ...) != value}
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _digest(spec: Any) -> str:
    return hashlib.sha256(_canonical(spec).encode("ascii")).hexdigest()


def _differences(one: Any, other: Any) -> dict[str, tuple[Any, Any]]:
    return {
        field.name: (getattr(one, field.name), getattr(other, field.name))
        for field in dataclasses.fields(one)
        if getattr(one, field.name) != getattr(other, field.name)
    }


_LATER: dict[str, str] = {"colours": "rgb"}
"""Fields that earlier specs don't have, left out at this default: so the fingerprints of earlier specs stay."""

_CHOICES: dict[str, tuple[str | None, ...]] = {
    "pooling": (*POOLINGS, None),
    "resize": RESIZES,
    "interpolation": INTERPOLATIONS,
    "precision": PRECISIONS,
    "colours": tuple(one for one in COLOURS if one != _LATER["colours"]),
}
_OPTIONAL = ("layer", "runtime")


def _is_valid(name: str, value: Any) -> bool:
    """Tell whether a field of a spec can have a value that was read from somewhere."""
    if name == "image_size":
        return isinstance(value, list) and len(value) == 2 and all(type(side) is int and side > 0 for side in value)
    if name == "decoder":
        return type(value) is int
    if name in _CHOICES:
        return value in _CHOICES[name]
    return isinstance(value, str) or (value is None and name in _OPTIONAL)
