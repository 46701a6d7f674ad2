"""Pairs of images of which one is a copy of the other, and the collection of all that were found."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

Kind = Literal["exact", "near"]
Where = Literal["train-test", "train-train"]


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Two images of which one is a copy of the other.

    Parameters
    ----------
    path : str
        The image: a scored one for ``"train-test"``, a training image for ``"train-train"``.
    other : str
        The training image that it repeats; empty where the training store is gone and only its digests are known.
    kind : {"exact", "near"}
        The same bytes; or the same picture re-encoded, resized, lightly cropped or mirrored.
    where : {"train-test", "train-train"}
        Between training and the scored images, or inside training under two labels.
    labels : (str, str)
        Class of either, in that order; empty for none.

    Raises
    ------
    ValueError
        A kind or place that there is not.
    """

    path: str
    other: str
    kind: Kind
    where: Where
    labels: tuple[str, str]

    def __post_init__(self) -> None:
        """Refuse an unknown kind or place."""
        if self.kind not in get_args(Kind) or self.where not in get_args(Where):
            raise ValueError(f"no such kind of leak: {self.kind!r}, {self.where!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain strings and lists."""
        return {**asdict(self), "labels": list(self.labels)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            A field is missing or isn't what it should be.
        """
        first, second = plain["labels"]
        fields = {name: plain[name] for name in cls.__dataclass_fields__}
        return cls(**{**fields, "labels": (str(first), str(second))})


@dataclass(frozen=True, kw_only=True)
class Leaks:
    """All leaks that were found for one model and the images it is scored on.

    Parameters
    ----------
    pairs : tuple of Leak
        At most one for each scored image, in the order of the store; then those inside training, at most one for each
        training image.
    complete : bool
        Whether every pair that was proposed could be decided.
    notes : tuple of str
        What a reader should know, one sentence each.
    repeats : int
        Scored images (without any, training images) that are near copies of others of their set and class, the first
        of each such lot not counted.
    """

    pairs: tuple[Leak, ...] = ()
    complete: bool = True
    notes: tuple[str, ...] = ()
    repeats: int = 0

    def at(self, where: Where) -> tuple[Leak, ...]:
        """Select the leaks of one place."""
        return tuple(pair for pair in self.pairs if pair.where == where)

    def leaked(self, paths: Iterable[str]) -> NDArray[np.bool_]:
        """Mark the images that are in training too, (n,) bool for n paths; the figures without leaks omit them."""
        found = {pair.path for pair in self.at("train-test")}
        return np.array([path in found for path in paths], dtype=np.bool_)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, strings, lists and dictionaries."""
        return {
            "pairs": [pair.to_dict() for pair in self.pairs],
            "complete": self.complete,
            "notes": list(self.notes),
            "repeats": self.repeats,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            A field is missing or isn't what it should be.
        """
        return cls(
            pairs=tuple(Leak.from_dict(pair) for pair in plain["pairs"]),
            complete=bool(plain["complete"]),
            notes=tuple(plain["notes"]),
            repeats=int(plain.get("repeats", 0)),
        )
