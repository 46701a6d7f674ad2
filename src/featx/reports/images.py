"""The images that a report scored: true and predicted class, confidence, place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """The scored images, a column for each thing known; row i of each belongs to the same image.

    Parameters
    ----------
    paths : tuple of str, length n
        Relative to the folder that was scored.
    digests : tuple of str, length n
        SHA-256 of each file's bytes in hexadecimal; ``""`` where it isn't known.
    labels : (n,) int32, read-only
        True classes, indices into the classes of the report's metrics.
    predicted : (n,) int32, read-only
        Predicted classes, likewise.
    confidence : (n,) float64 or None, read-only
        Probability of the predicted class, in [0, 1]; None without probabilities.
    folds : (n,) int32 or None, read-only
        Fold, from 0, that each image was held out in; None where the images are no training images.

    Raises
    ------
    ValueError
        Columns of different lengths, negative indices, or confidences outside [0, 1].
    """

    paths: tuple[str, ...]
    digests: tuple[str, ...]
    labels: NDArray[np.int32]
    predicted: NDArray[np.int32]
    confidence: NDArray[np.float64] | None = None
    folds: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        columns: dict[str, tuple[NDArray[Any], type]] = {
            "labels": (self.labels, np.int32),
            "predicted": (self.predicted, np.int32),
        }
        if self.folds is not None:
            columns["folds"] = (self.folds, np.int32)
        if self.confidence is not None:
            # A float32 share may exceed 1 by a rounding.
            confidence = np.asarray(self.confidence, dtype=np.float64)
            columns["confidence"] = (np.where(confidence < 1 + 1e-6, np.minimum(confidence, 1), confidence), np.float64)
        for name, (values, kind) in columns.items():
            column: NDArray[Any] = np.array(values, dtype=kind)
            column.flags.writeable = False
            object.__setattr__(self, name, column)
        lengths = {name: len(getattr(self, name)) for name in ("paths", "digests", *columns)}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the columns of images have different lengths: {lengths}")
        if len(self) and min(self.labels.min(), self.predicted.min()) < 0:
            raise ValueError("a class of an image is negative; give indices into the classes")
        if len(self) and self.confidence is not None and not (0 <= self.confidence.min() <= self.confidence.max() <= 1):
            found = f"{self.confidence.min():.4g} to {self.confidence.max():.4g}"
            raise ValueError(f"confidences must be probabilities from 0 to 1, found {found}")

    def __len__(self) -> int:
        return len(self.paths)

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, Images) else NotImplemented

    @property
    def right(self) -> NDArray[np.bool_]:
        """(n,): whether the prediction is the label."""
        return np.asarray(self.labels == self.predicted)

    @property
    def worst_first(self) -> NDArray[np.intp]:
        """(n,): rows, the surest mistakes first, then right ones, of which the least sure come first."""
        sure = np.zeros(len(self)) if self.confidence is None else self.confidence
        return np.lexsort((np.where(self.right, sure, -sure), self.right))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain lists."""
        return {
            "paths": list(self.paths),
            "digests": list(self.digests),
            "labels": self.labels.tolist(),
            "predicted": self.predicted.tolist(),
            "confidence": None if self.confidence is None else self.confidence.tolist(),
            "folds": None if self.folds is None else self.folds.tolist(),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            A column is missing or isn't what it should be.
        """
        confidence, folds = plain.get("confidence"), plain.get("folds")
        return cls(
            paths=tuple(plain["paths"]),
            digests=tuple(plain["digests"]),
            labels=np.asarray(plain["labels"], dtype=np.int32),
            predicted=np.asarray(plain["predicted"], dtype=np.int32),
            confidence=None if confidence is None else np.asarray(confidence, dtype=np.float64),
            folds=None if folds is None else np.asarray(folds, dtype=np.int32),
        )
