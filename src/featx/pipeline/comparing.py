"""Comparison of models by their reports on the same images."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError, FeatxError, UsageError
from featx.files import write_whole
from featx.pipeline.naming import MODEL_SUFFIX, REPORTS, report_path
from featx.reports import Report, comparison_page
from featx.reports.images import Images
from featx.statistics.comparison import Comparisons, rank
from featx.words import counted, some

logger = logging.getLogger(__name__)

NAMED = 3
"""Reports without another on their images that are named."""

Key = tuple[str, int]
"""Key of an image: its digest (its path if there is none), and its number among images of that digest."""


def compare(
    reports: Sequence[Report | Path | str], *, common: bool = False, page: Path | str | None = None
) -> Comparisons:
    """Rank models that were scored on the same images, and test which differences are real.

    Parameters
    ----------
    reports : sequence of Report or path
        At least two. A path is that of a report, or of a model that has its report in the default place. Of models
        with reports on several sets of images, those on one set that all have are taken: the test set, else another
        set, else cross-validation.
    common : bool
        Compare on the images that all were scored on, where they were not scored on the same.
    page : path, optional
        HTML file to write: a table of the models, with intervals and differences.

    Returns
    -------
    Comparisons
        Best first; see `featx.statistics.comparison.rank`. Images are known by their digests, so that a folder may have
        moved in between. Images that any of the models was trained on, or copies of these, are left out where there are
        others; a note tells how many.

    Raises
    ------
    UsageError
        Fewer than two reports.
    DataError
        Reports without their images, of other images, or of images whose labels differ.
    FeatxError
        A file that is no report.
    """
    chosen = _sets(reports)[0]
    found = _compared(chosen, common=common)
    _write_page(page, [(found, chosen)])
    return found


def _compared(reports: Sequence[Report], *, common: bool) -> Comparisons:
    """Compare reports that are on one set."""
    scored = _named(reports)
    if len(scored) < 2:
        raise UsageError(
            f"{counted(len(scored), 'report')} to compare: give at least two, of models that were scored on the same "
            "images"
        )
    shared = list(scored[0].rows)
    for other in scored[1:]:
        shared = [key for key in shared if key in other.rows]
    largest = max(scored, key=lambda one: len(one.rows))
    notes = []
    if len(shared) < len(largest.rows):
        smallest = min(scored, key=lambda one: len(one.rows))
        if not common or not shared:
            raise DataError(_apart(scored, shared=len(shared)))
        notes.append(
            f"compared on the {counted(len(shared), 'image')} that all models were scored on; each was scored on "
            f"{len(smallest.rows):,} to {counted(len(largest.rows), 'image')}"
        )
    classes = list(dict.fromkeys(name for one in scored for name in one.report.metrics.classes))
    labels = scored[0].column("labels", shared, classes)
    for other in scored[1:]:
        if differ := np.count_nonzero(other.column("labels", shared, classes) != labels):
            raise DataError(
                f"{scored[0].name} and {other.name} were scored on different labels: {differ} of "
                f"{counted(len(shared), 'image')} {'has' if differ == 1 else 'have'} a different label; score the "
                "models again on the same labels"
            )
    new = _new(shared, scored)
    if (left_out := len(shared) - int(np.count_nonzero(new))) and new.any():
        shared, labels = [key for key, one in zip(shared, new, strict=True) if one], labels[new]
        notes.append(
            f"compared on the {counted(len(shared), 'image')} that no model was trained on; left out: "
            f"{counted(left_out, 'image')} that a model was trained on, or that {_copies(left_out)}"
        )
    elif left_out:
        notes.append(
            "at least one model was trained on each of these images, or on a copy of it: these figures are no test"
        )
    notes += [f"{one.name}: the backbone is untrained" for one in scored if one.report.untrained]
    notes += [
        f"{one.name}: the network was tuned on {one.report.tuned_on:,} of the images, so that its figure is no test"
        for one in scored
        # Of a test set, all images that the network was tuned on are among those left out.
        if one.report.tuned_on and not (new.any() and one.learnt)
    ]
    return rank(
        labels,
        {one.name: one.column("predicted", shared, classes) for one in scored},
        scored_on=scored[0].report.scored_on,
        notes=notes,
    )


def _new(keys: Sequence[Key], scored: Sequence["_Scored"]) -> NDArray[np.bool_]:
    """Mark the images that no model was trained on, (n,) bool; what one has learnt would be unfair to the others."""
    learnt = {known for one in scored for known in one.learnt}
    return np.array([known not in learnt for known, _ in keys], dtype=np.bool_)


def _copies(count: int) -> str:
    return "is a copy of such an image" if count == 1 else "are copies of such images"


def compare_all(
    reports: Sequence[Path | str] | None = None, *, common: bool = False, page: Path | str | None = None
) -> list[Comparisons]:
    """Compare the given reports or, without any, all reports, grouped by the images they were scored on.

    Parameters
    ----------
    reports : sequence of path, optional
        As in `compare`, but models are compared on every set that all have a report on. By default every report in its
        default place: those on the same images are compared with each other, and those that have no other beside them
        are left out, which is logged in one line.
    common : bool
        As in `compare`.
    page : path, optional
        As in `compare`, with a table for each set of images.

    Returns
    -------
    list of Comparisons
        At least one.

    Raises
    ------
    DataError
        No two reports are on the same images.
    UsageError, FeatxError
        As in `compare`.
    """
    chosen = _sets(reports) if reports else _default_sets(common=common)
    found = [_compared(one, common=common) for one in chosen]
    _write_page(page, list(zip(found, chosen, strict=True)))
    return found


def _default_sets(*, common: bool) -> list[list[Report]]:
    """Group the reports in their default place by the images that they are on."""
    found = _default_reports()
    if common and len(found) > 1:
        return [found]

    def images(report: Report) -> list[Key]:
        assert report.images is not None
        return sorted(_rows(report.images))

    groups = [_newest(list(same)) for _, same in groupby(sorted(found, key=images), key=images)]
    if not any(len(group) > 1 for group in groups):
        there = (
            f"no two of the {len(found):,} reports under {REPORTS} are of models scored on the same images"
            if len(found) > 1
            else f"there is {'only one report' if found else 'no report'} under {REPORTS}"
        )
        raise DataError(f"{there}: score at least two models on the same images with `featx score` first")
    if lone := [group[0] for group in groups if len(group) == 1]:
        logger.warning(
            "not compared, because no other model was scored on the same images: %s",
            some([f"{one.model} ({one.scored_on})" for one in lone], most=NAMED),
        )
    return [group for group in groups if len(group) > 1]


def _write_page(page: Path | str | None, sets: Sequence[tuple[Comparisons, Sequence[Report]]]) -> None:
    """Write the page of comparisons, whole or not at all; without a path nothing is written."""
    if page is None:
        return
    text = comparison_page.render(
        [
            comparison_page.OneSet(comparisons=found, reports={one.name: one.report for one in _named(reports)})
            for found, reports in sets
        ]
    )
    write_whole(Path(page), text.encode("utf-8", "surrogateescape"))


@dataclass(frozen=True, kw_only=True)
class _Scored:
    name: str
    report: Report
    images: Images
    rows: dict[Key, int]

    @property
    def learnt(self) -> set[str]:
        """Images that the model was trained on, or whose copies it was, by digest (by path if there is none)."""
        paths = {leak.path for leak in self.report.leaks if leak.where == "train-test"}
        return {known for (known, _), row in self.rows.items() if self.images.paths[row] in paths}

    def column(self, name: str, keys: Sequence[Key], classes: Sequence[str]) -> NDArray[np.int64]:
        """Return a column of the given images, as indices into the given classes instead of the report's own."""
        place = {one: index for index, one in enumerate(classes)}
        own = np.array([place[one] for one in self.report.metrics.classes])
        return np.asarray(own[getattr(self.images, name)[[self.rows[key] for key in keys]]], dtype=np.int64)


def _sets(reports: Sequence[Report | Path | str]) -> list[list[Report]]:
    """Load reports; of models, one list for each set of images that all have a report on, the test set first.

    Raises
    ------
    DataError
        There is no such set.
    FeatxError
        A file that is no report.
    """
    loaded = [_loaded(one) for one in reports]
    kinds = [set(one) for one in loaded if isinstance(one, dict)]
    if not kinds:
        return [[one for one in loaded if isinstance(one, Report)]]
    given = {one.test_set for one in loaded if isinstance(one, Report)}
    names = set.intersection(*kinds, *([given] if given else []))
    if not names:
        of_each = "; ".join(
            f"{Path(str(one)).stem} on {', '.join(sorted(map(_called, kind)))}"
            for one, kind in zip(reports, loaded, strict=True)
            if isinstance(kind, dict)
        )
        raise DataError(
            f"the models were not scored on the same images ({of_each}): score them on the same images first"
        )
    order = sorted(names, key=lambda name: (name != "test", not name, name))
    return [[one if isinstance(one, Report) else one[name] for one in loaded] for name in order]


def _called(test_set: str) -> str:
    return test_set or "cross-validation"


def _loaded(report: Report | Path | str) -> Report | dict[str, Report]:
    """Load a report; of a model, those in the default place, by the set that they are on."""
    if isinstance(report, Report):
        return report
    path = Path(report)
    if path.suffix.lower() != MODEL_SUFFIX:
        return Report.load(path)
    model = path.stem
    files = [file for file in sorted(REPORTS.glob("*.json")) if file.stem.startswith(f"{model}-on-")]
    found = {}
    if not files or report_path(model).exists():
        plain = Report.load(report_path(model))
        found[plain.test_set] = plain
    for file in files:
        one = Report.load(file)
        if file == report_path(model, one.test_set):
            found[one.test_set] = one
    return found


def _newest(reports: Sequence[Report]) -> list[Report]:
    """Keep the latest of reports of one model, in the order of the first ones."""
    latest: dict[str, Report] = {}
    for one in reports:
        if one.model not in latest or one.created > latest[one.model].created:
            latest[one.model] = one
    return list(latest.values())


def _named(reports: Sequence[Report]) -> list[_Scored]:
    """Give every report a unique name, and index its images."""
    seen: Counter[str] = Counter()
    scored = []
    for report in reports:
        if report.images is None:
            raise DataError(f"the report of {report.model} has no list of its images: score the model again")
        seen[report.model] += 1
        name = report.model if seen[report.model] == 1 else f"{report.model} #{seen[report.model]}"
        scored.append(_Scored(name=name, report=report, images=report.images, rows=_rows(report.images)))
    return scored


def _rows(images: Images) -> dict[Key, int]:
    """Map each image to its row."""
    seen: Counter[str] = Counter()
    rows = {}
    # Of copies of one file the first path is the first in every report, whatever their order there.
    for row in sorted(range(len(images)), key=images.paths.__getitem__):
        known = images.digests[row] or images.paths[row]
        rows[known, seen[known]] = row
        seen[known] += 1
    return rows


def _default_reports() -> list[Report]:
    found = []
    for path in sorted(REPORTS.glob("*.json")):
        try:
            report = Report.load(path)
        except FeatxError as error:
            # Learning curves lie there too.
            logger.info("%s is left out: %s", path, error)
            continue
        if report.images is None:
            logger.warning("%s is left out: it has no list of its images; score the model again", path)
            continue
        own = path == report_path(report.model, report.test_set)
        found.append(report if own else replace(report, model=path.stem))
    return found


def _apart(scored: Sequence[_Scored], *, shared: int) -> str:
    """Write the message about reports on different images, by the two that differ most."""
    first = scored[0]
    other = max(scored[1:], key=lambda one: len(one.rows.keys() ^ first.rows.keys()))
    only = [len(one.rows.keys() - two.rows.keys()) for one, two in ((first, other), (other, first))]
    advice = (
        f"`common=True` compares them on the {counted(shared, 'image')} that they share"
        if shared
        else "they share none"
    )
    return (
        f"{first.name} and {other.name} were scored on different images: {counted(only[0], 'image')} only with the "
        f"first, {counted(only[1], 'image')} only with the second; score them on the same images ({advice})"
    )
