"""Data for the page's script: images, pictures, the confusion matrix, the map."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.leakage import Leak
from featx.reports.page import places, projection
from featx.reports.page.text import finite
from featx.reports.report import Report

LISTED = 20_000
"""So many images are listed in a page at most, the errors first; each costs some 60 bytes."""
MISTAKES = 48
SUSPECTS = 48
PAIRS = 100
"""So many mistakes, likely label errors and leaked pairs are shown at most."""

KINDS = {"exact": "The same file", "near": "Nearly the same picture"}
PLACES = {"train-test": ("scored", "training"), "train-train": ("training", "training")}
"""Place of either image of a pair."""


class Pictures:
    """Thumbnails by path, each kept once and called by its number.

    Parameters
    ----------
    scored, training : mapping of str to bytes
        JPEG files, of scored and of training images: the same path may be below both folders.
    """

    def __init__(self, scored: Mapping[str, bytes], training: Mapping[str, bytes]) -> None:
        both = [("scored", path) for path in scored] + [("training", path) for path in training]
        self._numbers = {one: number for number, one in enumerate(both)}
        self.encoded = [base64.b64encode(data).decode("ascii") for data in (*scored.values(), *training.values())]

    def number(self, path: str, *, of: str = "scored") -> int:
        """Number of the picture of an image; -1 where there is none."""
        return self._numbers.get((of, path), -1)


def listed(report: Report, positions: NDArray[np.float32] | None) -> NDArray[np.intp]:
    """Rows of the report's images that a page has: the first `LISTED`, then the others that are on the map.

    The first are the surest errors, then the least sure of the others: without the rest, a map of many images would
    show hardly anything but mistakes.
    """
    if report.images is None:
        return np.zeros(0, np.intp)
    rows = report.images.worst_first
    others = rows[LISTED:]
    on = np.zeros(len(others), bool) if positions is None else np.isfinite(positions[others]).all(axis=1)
    return np.concatenate([rows[:LISTED], others[on]])


def gathered(report: Report, pictures: Pictures, positions: NDArray[np.float32] | None) -> dict[str, Any]:
    """Everything that the script reads, as plain lists and dictionaries."""
    rows = listed(report, positions)
    confusion = report.metrics.confusion
    return {
        "classes": list(report.metrics.classes),
        "confusion": [[int(r), int(c), int(confusion[r, c])] for r, c in np.argwhere(confusion)],
        "rows": _columns(report, pictures, rows),
        "listed": min(len(rows), LISTED),
        "mistakes": mistakes(report, rows),
        "checked": len(set(_suspected(report)) & set(_paths(report, rows[: mistaken(report)]))),
        "suspects": [
            {
                "path": places.image(report, one.path),
                "label": one.label,
                "predicted": one.predicted,
                "confidence": finite(one.confidence),
                "picture": pictures.number(one.path),
            }
            for one in report.label_errors[:SUSPECTS]
        ],
        "leaks": [_leak(report, one, pictures) for one in report.leaks[:PAIRS]],
        "map": _map(positions, rows),
        "pictures": pictures.encoded,
    }


def mistaken(report: Report) -> int:
    """Count the listed images that are classified wrong."""
    return 0 if report.images is None else min(LISTED, int(np.count_nonzero(~report.images.right)))


def mistakes(report: Report, rows: NDArray[np.intp]) -> list[int]:
    """Places in the listed rows of the mistakes that are shown: the surest, but for those whose label is to be checked.

    The likely label errors are the surest mistakes of all, and would be shown twice.
    """
    suspected = set(_suspected(report))
    wrong = enumerate(_paths(report, rows[: mistaken(report)]))
    return [place for place, path in wrong if path not in suspected][:MISTAKES]


def _suspected(report: Report) -> list[str]:
    return [one.path for one in report.label_errors[:SUSPECTS]]


def _paths(report: Report, rows: NDArray[np.intp]) -> list[str]:
    return [] if report.images is None else [report.images.paths[row] for row in rows]


def _columns(report: Report, pictures: Pictures, rows: NDArray[np.intp]) -> dict[str, Any]:
    images = report.images
    if images is None:
        return {"path": [], "label": [], "predicted": [], "confidence": None, "set": "", "picture": []}
    paths = _paths(report, rows)
    return {
        "path": [places.image(report, path) for path in paths],
        "label": images.labels[rows].tolist(),
        "predicted": images.predicted[rows].tolist(),
        "confidence": None if images.confidence is None else images.confidence[rows].round(4).tolist(),
        "set": report.test_set if images.folds is None else (images.folds[rows] + 1).tolist(),
        "picture": [pictures.number(path) for path in paths],
    }


def _leak(report: Report, leak: Leak, pictures: Pictures) -> dict[str, Any]:
    sides = zip((leak.path, leak.other), leak.labels, PLACES[leak.where], strict=True)
    return {
        "words": KINDS[leak.kind],
        "sides": [
            {
                "path": places.image(report, path),
                "label": label,
                "place": place,
                "picture": pictures.number(path, of=place),
            }
            for path, label, place in sides
        ],
    }


def _map(positions: NDArray[np.float32] | None, rows: NDArray[np.intp]) -> dict[str, Any] | None:
    if positions is None or not len(rows):
        return None
    place = np.flatnonzero(np.isfinite(positions[rows]).all(axis=1))
    x, y = np.round(positions[rows[place]].astype(np.float64), 4).T
    return {"row": place.tolist(), "x": x.tolist(), "y": y.tolist(), "method": projection.method(len(place))}


def unique(groups: Iterable[Iterable[str]]) -> list[str]:
    """Each text once, in the order in which it comes first."""
    return list(dict.fromkeys(text for group in groups for text in group))
