"""The report: what scoring found, on what, with what, as one object and one JSON file."""

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from featx import words
from featx.errors import FeatxError, Reason
from featx.files import open_regular, parse_json, write_whole
from featx.leakage import Leak
from featx.reports.images import Images
from featx.reports.shown_page import Page
from featx.statistics import table
from featx.statistics.label_errors import LabelError
from featx.statistics.metrics import Metrics
from featx.statistics.reliability import Reliability
from featx.statistics.table import Metric

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "featx-report"
FORMAT_VERSION = 1
"""Raise it when a field changes its meaning or goes; a new optional field needs no new version."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, kw_only=True, repr=False)
class Report:
    """The score of one model on one set of images.

    Parameters
    ----------
    model : str
        Name of the model (``"train-resnet50-svm"``).
    scored_on : str
        For people: ``"cross-validation (5 folds)"``, ``"data/test (360 images)"``.
    test_set : str
        Name of the set of images in the names of files; empty for cross-validation.
    backbone, clf : str
        Names of the backbone and the classifier.
    params : mapping of str to Any
        What the classifier was made with: C, kernel, seed and the like.
    classes : tuple of str
        The model's classes. Those of `metrics` begin with them; further ones were never seen in training.
    metrics : Metrics
        The figures.
    spec : str
        JSON of the extraction spec; kept in its canonical form.
    fingerprint : str
        Of the spec.
    untrained : bool
        The backbone has no trained weights: the score tells nothing about it.
    tuned_on : int
        Scored images that the backbone's weights were tuned on, with their labels: figures on these are no test.
    root : str
        Folder that the paths are below; empty where it isn't known any more.
    training_root : str
        Folder that the paths of training images in `leaks` are below; likewise.
    images : Images or None
        What is known of every scored image.
    reliability : Reliability or None
        Confidence against accuracy; None without probabilities.
    leaks : tuple of Leak
        Scored images that the model was fitted on too, and training images under two labels.
    without_leaks : Metrics or None
        The figures without the former; None where there are none, or nothing would be left.
    label_errors : tuple of LabelError
        Images whose label is likely wrong, the likeliest first.
    failures : tuple of (path, reason)
        Images that couldn't be read and aren't in the figures.
    notes : tuple of str
        What a reader should know, one sentence each.
    remarks : tuple of str
        Likewise, where nothing is wrong.
    command : str
        Command line that made it; empty for a call of the library.
    versions : mapping of str to str
        Of the packages that took part.
    created : str
        Time, ISO 8601 in UTC.
    file : Path or None
        JSON file that it was saved to or loaded from, absolute; not a part of the report.

    Raises
    ------
    ValueError
        `classes` aren't the first ones of the metrics, `images` are others than those of the metrics, or `spec` is no
        JSON object.
    """

    model: str
    scored_on: str
    backbone: str
    clf: str
    params: Mapping[str, Any]
    classes: tuple[str, ...]
    metrics: Metrics
    spec: str
    fingerprint: str
    test_set: str = ""
    untrained: bool = False
    tuned_on: int = 0
    root: str = ""
    training_root: str = ""
    images: Images | None = None
    reliability: Reliability | None = None
    leaks: tuple[Leak, ...] = ()
    without_leaks: Metrics | None = None
    label_errors: tuple[LabelError, ...] = ()
    failures: tuple[tuple[str, Reason], ...] = ()
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = field(default_factory=_now)
    file: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.metrics.classes[: len(self.classes)] != self.classes:
            raise ValueError(f"its figures have the classes {self.metrics.classes}, but the model has {self.classes}")
        if self.images is not None and len(self.images) != self.metrics.n:
            raise ValueError(f"it lists {len(self.images)} images, but its figures are on {self.metrics.n}")
        if self.images is not None and len(self.images):
            highest = max(self.images.labels.max(), self.images.predicted.max())
            if highest >= len(self.metrics.classes):
                raise ValueError(
                    f"an image has class number {highest}, but there are {len(self.metrics.classes)} classes"
                )
        spec = parse_json(self.spec)
        if not isinstance(spec, dict):
            raise ValueError(f"not the JSON of an extraction spec: {self.spec[:200]}")
        # The file holds the spec as an object, not as a string in a string; one form keeps the round trip exact.
        object.__setattr__(self, "spec", _canonical(spec))

    def __repr__(self) -> str:
        return f"<Report of {self.model} on {self.scored_on}: {self.counted.headline}>"

    def _repr_html_(self) -> str:
        notes = [*filter(None, (self.baseline, self.doubt)), *self.notes, *self.remarks]
        return self.counted.as_html(f"{self.model}, scored on {self.scored_on}", notes=notes)

    def to_pandas(self) -> "pd.DataFrame":
        """Table for pandas of all figures, a row for each.

        Returns
        -------
        pandas.DataFrame
            ``figure`` (``"accuracy"``, ``"log_loss"``, and for each class ``"precision"``, ``"recall"`` and ``"f1"``),
            ``class`` (missing for figures of the whole), ``value`` and the ends of its interval, ``low`` and ``high``
            (float64; shares in [0, 1], the log loss in nats; NaN where there is no interval), ``n`` (int64, images of
            that class, or all) and ``method`` (of the interval).

        Raises
        ------
        UsageError
            pandas isn't installed.
        """
        return self.metrics.to_pandas()

    @property
    def page(self) -> Page | None:
        """HTML page beside the report's file, a path that a notebook shows as the page; None without such a file."""
        page = None if self.file is None else Page(self.file.with_suffix(".html"))
        return page if page is not None and page.is_file() else None

    @property
    def unseen(self) -> tuple[str, ...]:
        """Classes among the scored images that the model never had; their images count as errors."""
        return self.metrics.classes[len(self.classes) :]

    @property
    def counted(self) -> Metrics:
        """The figures that count: without images that the model was fitted on, where there are such and others."""
        return self.without_leaks or self.metrics

    @property
    def baseline(self) -> str:
        """Sentence for people: the accuracy of always naming the commonest class, and that of a random guess."""
        commonest, share = self._commonest
        known = sum(one.support for one in self.counted.per_class[: len(self.classes)])
        guess = known / self.counted.n / len(self.classes)
        return f"always answering {commonest!r} would get {share:.1%} right, guessing at random {guess:.1%}"

    @property
    def doubt(self) -> str | None:
        """Sentence for people where the model isn't clearly better than always naming the commonest class."""
        commonest, share = self._commonest
        accuracy, interval = self.counted.accuracy, self.counted.intervals["accuracy"]
        if interval.low > share:
            return None
        if accuracy <= share:
            return f"this is no better than always answering {commonest!r}"
        ends = f"{100 * interval.low:.0f} to {100 * interval.high:.0f} %"
        return (
            f"{words.counted(self.counted.n, 'image is', 'images are')} too few to show that this is better than "
            f"always answering {commonest!r}: the true accuracy may be anything from {ends}"
        )

    @property
    def _commonest(self) -> tuple[str, float]:
        """The class with the most images, the first of several, and its share of them."""
        most = max(self.counted.per_class, key=lambda one: one.support)
        return most.name, most.support / self.counted.n

    def to_json(self) -> str:
        """JSON with a field per line, ASCII only; a value that is no finite number is null.

        Paths and names that aren't UTF-8 stand as escaped surrogates, as Python's own ``json`` reads them back.
        """
        fields: dict[str, Any] = {"format": FORMAT, "format_version": FORMAT_VERSION}
        fields |= {name: getattr(self, name) for name in _names()}
        for name, kind in _PARTS.items():
            value = fields[name]
            if isinstance(value, tuple):
                fields[name] = [one.to_dict() for one in value]
            elif isinstance(value, kind):
                fields[name] = value.to_dict()
        fields["spec"] = parse_json(self.spec)
        fields["failures"] = [{"path": path, "reason": reason} for path, reason in self.failures]
        lines = (f"{json.dumps(key)}: {json.dumps(_finite(value), allow_nan=False)}" for key, value in fields.items())
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a report back from `to_json`; fields that this version doesn't know are left aside.

        Raises
        ------
        ValueError
            The text is no report, or one of a newer format.
        """
        fields = parse_json(text)
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            raise ValueError(f"this is not the JSON of a report: {text[:100]!r}")
        if fields.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"format version {fields.get('format_version')!r}; this featx reads only {FORMAT_VERSION}")
        known = {name: fields[name] for name in _names() if name in fields}
        try:
            for name, kind in _PARTS.items():
                value = known.get(name)
                if isinstance(value, list):
                    known[name] = tuple(kind.from_dict(one) for one in value)
                elif value is not None or name == "metrics":
                    known[name] = kind.from_dict(value)
            known["spec"] = _canonical(fields["spec"])
            known["failures"] = tuple((one["path"], one["reason"]) for one in fields.get("failures", ()))
            known |= {name: tuple(known[name]) for name in ("classes", "notes", "remarks") if name in known}
            return cls(**known)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"a field is missing or has another type: {error}") from error

    def save(self, path: Path | str) -> None:
        """Write `to_json` to a file, whole or not at all; folders are made, a file there is replaced.

        Raises
        ------
        FeatxError
            The file can't be written.
        """
        path = Path(path)
        write_whole(path, self.to_json().encode("ascii"))
        object.__setattr__(self, "file", path.absolute())

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        FeatxError
            The file can't be read or is no report.
        """
        try:
            with open_regular(Path(path)) as file:
                report = cls.from_json(file.read().decode("utf-8"))
            return dataclasses.replace(report, file=Path(path).absolute())
        except OSError as error:
            raise FeatxError(
                f"can't read the report {path}: {error.strerror or error}; give a JSON file written by score"
            ) from error
        except ValueError as error:
            raise FeatxError(
                f"{path} is not a report of this version of featx ({error}); score the model again"
            ) from error


_PARTS: Mapping[str, Any] = {
    "metrics": Metrics,
    "images": Images,
    "reliability": Reliability,
    "leaks": Leak,
    "without_leaks": Metrics,
    "label_errors": LabelError,
}
"""Fields that are no plain values: what they are, or what they are tuples of."""


def rows(reports: Iterable[Report]) -> list[dict[str, Any]]:
    """Make a table of reports, best first.

    Returns
    -------
    list of dict
        One flat row per report, all with the same keys, by falling accuracy, then balanced accuracy, then name.
        Figures are those that count, shares in [0, 1] (the log loss in nats) or None.
    """
    ordered = sorted(
        reports, key=lambda one: (-one.counted.accuracy, -one.counted.balanced_accuracy, one.model, one.scored_on)
    )
    return [_row(report) for report in ordered]


def _row(report: Report) -> dict[str, Any]:
    metrics = report.counted
    return {
        "model": report.model,
        "backbone": report.backbone,
        "clf": report.clf,
        "params": " ".join(f"{name}={value}" for name, value in report.params.items() if value is not None),
        "scored_on": report.scored_on,
        "n": metrics.n,
        **{key: value for metric in table.METRICS if metric.heading for key, value in _columns(metrics, metric)},
        "failed": len(report.failures),
        "untrained": report.untrained,
        "no_test": 0 < report.tuned_on == report.metrics.n,
    }


def _columns(metrics: Metrics, metric: Metric) -> Iterator[tuple[str, float | None]]:
    """Yield the columns of a metric: its value and, where its row asks for them, the ends of its interval."""
    yield metric.name, metrics.by_metric.get(metric.name)
    if metric.ends_in_tables:
        interval = metrics.intervals.get(metric.name)
        yield f"{metric.name}_low", None if interval is None else interval.low
        yield f"{metric.name}_high", None if interval is None else interval.high


def _names() -> list[str]:
    """List the fields that are a part of a report."""
    return [one.name for one in dataclasses.fields(Report) if one.name != "file"]


def _canonical(spec: Mapping[str, Any]) -> str:
    return json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value
