"""Labels and probabilities of new images, as a result for people and programs."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx import notebook
from featx.manifest import Failure
from featx.words import counted, some

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10
"""Images in the table that a notebook shows."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Predictions:
    """Labels and probabilities that a model gives new images.

    Parameters
    ----------
    paths : tuple of str, length n
        As they were given, or found in a folder that was given.
    labels : (n,) array of str
        The class of each; ``""`` where the model abstained.
    abstained : (n,) bool
        Where the confidence is below `min_confidence`.
    confidence : (n,) float64 or None
        Probability of the class that the model would say, also where it abstained. None without probabilities.
    classes : tuple of str, length k
        What the columns of the others stand for.
    probabilities : (n, k) float64 or None
        Calibrated on the model's cross-validation. None where there was none and the classifier itself gives none.
    margins : (n, k) float64
        The classifier's score of each class: the larger, the surer; not comparable between models.
    failures : tuple of Failure
        Images that could not be read; they have no row.
    min_confidence : float or None
        What was asked for; None labels every image.
    seen : (n,) bool
        Images that the model was fitted on, known by their digests: that it labels them rightly says nothing.
    """

    paths: tuple[str, ...]
    labels: NDArray[np.str_]
    abstained: NDArray[np.bool_]
    confidence: NDArray[np.float64] | None
    classes: tuple[str, ...]
    probabilities: NDArray[np.float64] | None
    margins: NDArray[np.float64]
    failures: tuple[Failure, ...]
    min_confidence: float | None = None
    seen: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"<Predictions of {counted(len(self), 'image')} · {self._counts}>"

    def _repr_html_(self) -> str:
        unsure = [""] * len(self) if self.confidence is None else [f"{value:.1%}" for value in self.confidence[:SHOWN]]
        rows = zip(self.paths[:SHOWN], self.labels[:SHOWN].tolist(), unsure, strict=False)
        title = f"{counted(len(self), 'image')}: {self._counts}"
        notes = [f"the first {SHOWN} of {len(self):,}; to_pandas() has all of them"] if len(self) > SHOWN else []
        notes += [f"{one.path}: {one.message}" for one in self.failures[:SHOWN]]
        return notebook.html_table(title, rows, header=("image", "label", "confidence"), notes=notes)

    @property
    def _counts(self) -> str:
        counts = Counter(label for label in self.labels.tolist() if label)
        parts = [f"{count:,} {name}" for name, count in counts.most_common()]
        told = [some(parts) or "none labelled"]
        if abstained := int(self.abstained.sum()):
            told.append(f"{abstained:,} without a label")
        if seen := int(self.seen.sum()):
            told.append(f"{seen:,} already seen in training")
        if self.failures:
            told.append(f"{len(self.failures):,} failed")
        return " · ".join(told)

    def to_pandas(self) -> "pd.DataFrame":
        """Table for pandas, a row for each image.

        Returns
        -------
        pandas.DataFrame
            ``path`` and ``label`` (text; missing where the model abstained), ``abstained`` (bool), and float64 columns:
            ``confidence`` and ``probability_<class>``, or, where the model has no probabilities, ``margin_<class>``.

        Raises
        ------
        UsageError
            pandas isn't installed.
        """
        pd = notebook.pandas()
        columns = {
            "path": notebook.text_column(self.paths),
            "label": notebook.text_column(label or None for label in self.labels.tolist()),
            "abstained": self.abstained,
        }
        if self.confidence is not None:
            columns["confidence"] = self.confidence
        word, values = ("margin", self.margins) if self.probabilities is None else ("probability", self.probabilities)
        frame = pd.concat([pd.DataFrame(columns), pd.DataFrame(values)], axis=1)
        # As in `text_column`.
        frame.columns = pd.Index([*columns, *(f"{word}_{name}" for name in self.classes)], dtype=object)
        return frame

    def records(self) -> list[dict[str, Any]]:
        """One dictionary for each image.

        They hold path, label (empty where the model abstained, which ``abstained`` says too), and the confidence and by
        class the probability, or else by class the margin.
        """
        return [
            {
                "path": path,
                "label": str(self.labels[row]),
                "abstained": bool(self.abstained[row]),
                **self._values(row),
            }
            for row, path in enumerate(self.paths)
        ]

    def _values(self, row: int) -> dict[str, Any]:
        if self.probabilities is None or self.confidence is None:
            return {"margins": dict(zip(self.classes, self.margins[row].tolist(), strict=True))}
        probabilities = dict(zip(self.classes, self.probabilities[row].tolist(), strict=True))
        return {"confidence": float(self.confidence[row]), "probabilities": probabilities}
