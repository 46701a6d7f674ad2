"""The learning curve: accuracy against images per class, as an object and as files."""

import csv
import dataclasses
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from featx.errors import FeatxError
from featx.files import parse_json, write_whole
from featx.statistics.intervals import Interval

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "featx-curve"
FORMAT_VERSION = 1

REPEATS = 3
"""Draws of each size from the training images of each fold, where nobody says."""
REPEATS_ON_TEST = 10
"""The same where there is a test set: one pool to draw from, in place of one for each fold."""

COLUMNS = ("images_per_class", "images", "draws", "accuracy", "low", "high", "spread")


@dataclass(frozen=True, kw_only=True)
class CurveRow:
    """One size of the learning curve.

    Parameters
    ----------
    images_per_class : int
        Drawn of each class; a class with fewer gave all that it has.
    images : float
        Images that a classifier was fitted on, the mean over the draws.
    accuracy : float
        Mean over test images and draws, 0 to 1.
    interval : Interval
        Of the accuracy that is expected of a fresh draw of this size, on fresh images.
    scores : tuple of float
        Accuracy of each draw on its test images.
    """

    images_per_class: int
    images: float
    accuracy: float
    interval: Interval
    scores: tuple[float, ...]

    @property
    def draws(self) -> int:
        """Number of classifiers fitted."""
        return len(self.scores)

    @property
    def spread(self) -> float:
        """Standard deviation of the accuracy over the draws; of a single one 0."""
        return float(np.std(self.scores, ddof=1)) if self.draws > 1 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, strings, lists and dictionaries."""
        return dataclasses.asdict(self) | {"draws": self.draws, "spread": self.spread}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave."""
        known = {one.name: plain[one.name] for one in dataclasses.fields(cls)}
        return cls(**known | {"interval": Interval(**plain["interval"]), "scores": tuple(plain["scores"])})


@dataclass(frozen=True, kw_only=True)
class Gain:
    """Gain in accuracy by more images at the end of the curve.

    Parameters
    ----------
    start, end : int
        Images per class of the two sizes compared.
    difference : float
        By which the accuracy grew for each doubling of the images per class between them, as a share.
    interval : Interval
        Of that; paired by test image.
    """

    start: int
    end: int
    difference: float
    interval: Interval

    @property
    def sentence(self) -> str:
        """The gain for people, and what may be hoped of more images."""
        gained, low, high = (
            round(100 * share, 1) + 0.0 for share in (self.difference, self.interval.low, self.interval.high)
        )
        doubling = "The last doubling"
        if self.end != 2 * self.start:
            doubling = f"Each doubling from {self.start} to {self.end} images per class"
        hope = (
            "more images may help, less each time"
            if low > 0
            else "more images may not help"
            if high > 0
            else "more images like these would not help"
        )
        return f"{doubling} added {gained:.1f} points ({low:.1f} to {high:.1f}): {hope}."


@dataclass(frozen=True, kw_only=True, repr=False)
class Curve:
    """A learning curve: how the accuracy grows with the images per class.

    Parameters
    ----------
    name : str
        Of the store and the classifier.
    store : str
        Path of the feature store.
    backbone, clf : str
        Names.
    options : mapping of str to Any
        Kernel, folds, repeats, seed and whatever else the classifiers were made with.
    classes : tuple of str
        Names.
    tested_on : str
        For people: ``"5 folds"``, ``"test-resnet50 (360 images)"``.
    n : int
        Test images.
    rows : tuple of CurveRow
        By rising size.
    gain : Gain or None
        None of a single size.
    notes : tuple of str
        What a reader should know, one sentence each.
    fingerprint : str
        Of the spec of the features.
    untrained : bool
        The backbone has no trained weights: the curve tells nothing about it.
    tuned_on : int
        Test images that the backbone's weights were tuned on: the curve is no test.
    versions : mapping of str to str
        Of the packages that took part.
    created : str
        Time, ISO 8601 in UTC.
    """

    name: str
    store: str
    backbone: str
    clf: str
    options: Mapping[str, Any]
    classes: tuple[str, ...]
    tested_on: str
    n: int
    rows: tuple[CurveRow, ...]
    gain: Gain | None
    notes: tuple[str, ...]
    fingerprint: str
    untrained: bool = False
    tuned_on: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def __repr__(self) -> str:
        last = self.rows[-1]
        return f"<Curve of {self.name}: accuracy {last.accuracy:.1%} at {last.images_per_class} images per class>"

    def _repr_html_(self) -> str:
        from featx import notebook

        rows = [
            (
                f"{row.images_per_class:,}",
                f"{row.images:,.0f}",
                f"{row.accuracy:.1%}",
                f"{row.interval.low:.1%} to {row.interval.high:.1%}",
            )
            for row in self.rows
        ]
        level = f"{self.rows[-1].interval.level:.0%} interval"
        header = ("images per class", "images", "accuracy", level)
        notes = [*([] if self.gain is None else [self.gain.sentence]), *self.notes]
        return notebook.html_table(f"{self.name}, tested on {self.tested_on}", rows, header=header, notes=notes)

    def to_pandas(self) -> "pd.DataFrame":
        """Table for pandas, a row for each size; its columns are those of the CSV, `COLUMNS`.

        Raises
        ------
        UsageError
            pandas isn't installed.
        """
        from featx import notebook

        return notebook.pandas().DataFrame([_figures(row) for row in self.rows], columns=list(COLUMNS))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, strings, lists and dictionaries."""
        plain = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        plain["rows"] = [row.to_dict() for row in self.rows]
        plain["gain"] = None if self.gain is None else dataclasses.asdict(self.gain) | {"sentence": self.gain.sentence}
        return {"format": FORMAT, "format_version": FORMAT_VERSION} | plain

    def to_csv(self) -> str:
        """A line for each size, after a header: `COLUMNS`."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in self.rows:
            size, *figures = _figures(row)
            writer.writerow([size, *(f"{figure:.6g}" for figure in figures)])
        return text.getvalue()

    def save(self, path: Path | str) -> None:
        """Write a JSON file and, under the same name, a CSV, each whole or not at all; folders are made.

        Raises
        ------
        FeatxError
            A file can't be written.
        """
        path = Path(path)
        write_whole(path, (json.dumps(self.to_dict(), indent=1) + "\n").encode("ascii"))
        write_whole(path.with_suffix(".csv"), self.to_csv().encode("ascii"))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read the JSON that `save` wrote.

        Raises
        ------
        FeatxError
            The file can't be read or is no learning curve.
        """
        try:
            plain = parse_json(Path(path).read_text(encoding="utf-8"))
            if plain["format"] != FORMAT or plain["format_version"] != FORMAT_VERSION:
                raise ValueError(f"{plain['format']!r}, version {plain['format_version']!r}")
            known = {one.name: plain[one.name] for one in dataclasses.fields(cls)}
            known["rows"] = tuple(CurveRow.from_dict(row) for row in plain["rows"])
            if plain["gain"] is not None:
                gain = {one.name: plain["gain"][one.name] for one in dataclasses.fields(Gain)}
                known["gain"] = Gain(**gain | {"interval": Interval(**gain["interval"])})
            return cls(**known | {name: tuple(known[name]) for name in ("classes", "notes")})
        except OSError as error:
            raise FeatxError(
                f"can't read the learning curve {path}: {error.strerror}; give a JSON file written by curve"
            ) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FeatxError(
                f"{path} is not a learning curve of this version of featx ({error}): make it again"
            ) from error


def _figures(row: CurveRow) -> tuple[float, ...]:
    """Give the values of a row, in the order of `COLUMNS`."""
    interval = row.interval
    return row.images_per_class, row.images, row.draws, row.accuracy, interval.low, interval.high, row.spread
