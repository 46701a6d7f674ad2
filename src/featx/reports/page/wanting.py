"""Which images a page would show, the most important first."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from featx.reports.page.content import PAIRS, PLACES, SUSPECTS, listed, mistakes, unique
from featx.reports.report import Report

MOST = 4_000
"""More paths than any budget has room for."""

_OF_EACH_CELL = 6
"""So many of every cell come before the rest of the map."""


def wanted(report: Report, *, positions: NDArray[np.float32] | None = None) -> list[str]:
    """List the images whose thumbnails a page wants, the most important first.

    The most confident mistakes, the likely label errors, the leaked images; then image by image from every cell of the
    confusion matrix in turn, the images on the map before the others.

    Parameters
    ----------
    report : Report
        The report that is to be shown.
    positions : (n, 2) float32, optional
        The map of its images, as for `render`.

    Returns
    -------
    list of str
        Paths as the report has them, each once; 4,000 at most.
    """
    rows = listed(report, positions)
    images = report.images
    paths = [] if images is None else [images.paths[row] for row in rows]
    return unique(
        (
            (paths[place] for place in mistakes(report, rows)),
            (one.path for one in report.label_errors[:SUSPECTS]),
            _leaked(report, "scored"),
            (paths[place] for place in _in_turn(report, rows, positions)),
        )
    )[:MOST]


def wanted_training(report: Report) -> list[str]:
    """List the training images in leaked pairs, by their paths below the folder of the training images."""
    return unique([_leaked(report, "training")])


def _leaked(report: Report, place: str) -> Iterator[str]:
    for leak in report.leaks[:PAIRS]:
        for path, where in zip((leak.path, leak.other), PLACES[leak.where], strict=True):
            if where == place and path:
                yield path


def _in_turn(report: Report, rows: NDArray[np.intp], positions: NDArray[np.float32] | None) -> list[int]:
    """Places in `rows`: the first of every cell, then the second of every cell, and so on."""
    images = report.images
    if images is None:
        return []
    on = np.ones(len(images), bool) if positions is None else np.asarray(np.isfinite(positions).all(axis=1))
    seen: defaultdict[tuple[int, int], int] = defaultdict(int)
    turns = []
    for place, row in enumerate(rows):
        cell = int(images.labels[row]), int(images.predicted[row])
        turns.append((seen[cell] >= _OF_EACH_CELL and not on[row], seen[cell], place))
        seen[cell] += 1
    return [place for *_, place in sorted(turns)]
