"""Summaries of extractions."""

from collections.abc import Sequence
from typing import Any

from featx.cli.flags import in_flags
from featx.cli.show.terminal import failures, line, shorten, shown, verbose
from featx.errors import is_of_another_kind
from featx.pipeline.filling.job import Extraction
from featx.pipeline.naming import TRAINING_SPLITS
from featx.words import counted

RATED = 64
"""Computed images from which on their number per second says something."""

ADVICE_SECONDS = 30
"""A shorter run needs no advice."""

NAMED_CLASSES = 10
"""Classes that are named with the number of their images."""

ADVICE = {
    "decode": "reading the images takes most of the time: more --workers (if there are free cores) or smaller image "
    "files are faster",
    "backbone": "the backbone takes most of the time: a GPU, a smaller --backbone or a smaller --image-size is faster",
}


def summary(extraction: Extraction, *, dry_run: bool) -> None:
    """Show what an extraction did, or in a dry run would do."""
    one = extraction
    others = sum(is_of_another_kind(failure.path, failure.reason) for failure in one.failures)
    unreadable = one.failed - others
    what = counted(one.found, "file" if others else "image")
    more = f", {counted(others, 'is not an image', 'are not images')}" if others else ""
    counts = f"{what}: {one.extracted:,} new, {one.reused:,} reused, {unreadable:,} unreadable{more}"
    if dry_run:
        counts = (
            f"{what}: {one.extracted:,} to compute, {one.reused:,} to reuse, "
            f"{unreadable:,} known to be unreadable{more}"
        )
    elif not one.extracted and one.seconds == 0:
        counts = f"nothing to do: {counts}"
    width = 1
    for side in one.feature_shape:
        width *= side
    rows = (one.extracted + one.reused) if one.store is None else len(one.store)
    shape = f"{rows:,} x {width:,} float32, {_bytes(4 * rows * width)}"
    if len(one.feature_shape) > 1:
        shape += f", each {' x '.join(map(str, one.feature_shape))} flattened"
    # Of a handful of images the start is measured, not the speed.
    rate = "" if one.speed is None or one.extracted < RATED else f", {one.speed:,.0f} images/s"
    line(f"[bold]{shorten(one.target)}[/]  {shape}")
    line(f"  {counts}{rate}")
    if one.views:
        now = "to compute" if dry_run else "computed"
        which = f"{now} for {counted(one.views_computed, 'image')}" if one.views_computed else "all there already"
        line(f"  {counted(one.views, 'view')} of each image, {_bytes(4 * rows * width * one.views)}: {which}")
    line(f"  {shown(_classes(one))}")
    for lender, rows in one.lent.items():
        where = "the store that was replaced" if lender == one.target else shorten(lender)
        line(
            f"  {counted(rows, 'row was', 'rows were')} copied from {where}, after a few of them were computed again "
            "and found to be the same"
        )
    if one.timings and verbose():
        parts = ", ".join(f"{shown(name)} {_seconds(seconds)}" for name, seconds in one.timings.items())
        line(f"  [dim]{_seconds(one.seconds)} in total: {parts}[/]")
    if one.seconds > ADVICE_SECONDS and one.bottleneck is not None:
        line(f"  [dim]{ADVICE[one.bottleneck]}[/]")
    if one.untrained:
        line("  [yellow]the backbone is UNTRAINED (--weights none): its features are almost useless[/]")
    if one.fallback is not None:
        line(f"  [yellow]{shown(in_flags(one.fallback))}[/]")
    failures(one.failures)


def next_step_of(extractions: Sequence[Extraction]) -> str:
    """Say what can be done with stores that were just made; empty where nothing is plain."""
    stores = [one.store for one in extractions if one.store is not None]
    if any(store.split in TRAINING_SPLITS and len(store.classes) > 1 for store in stores):
        return "featx fit"
    if stores and all(store.classes and store.split not in TRAINING_SPLITS for store in stores):
        return "featx score, when there is a model fitted on training images"
    return ""


def extraction_record(extraction: Extraction) -> dict[str, Any]:
    """An extraction for programs."""
    one = extraction
    return {
        "store": str(one.target),
        "fingerprint": one.spec.fingerprint,
        "found": one.found,
        "extracted": one.extracted,
        "reused": one.reused,
        "failed": one.failed,
        "views": one.views,
        "views_computed": one.views_computed,
        "classes": one.classes,
        "feature_shape": list(one.feature_shape),
        "untrained": one.untrained,
        "fallback": None if one.fallback is None else in_flags(one.fallback),
        "seconds": round(one.seconds, 3),
        "stages": {name: round(seconds, 3) for name, seconds in one.timings.items()},
        "failures": [
            {"path": failure.path, "reason": failure.reason, "message": failure.message} for failure in one.failures
        ],
    }


def _classes(one: Extraction) -> str:
    """Name the classes with their images, the largest first where there are too many to name."""
    # Once there are rows, files that are no images count no more.
    classes = one.classes if one.store is None else one.store.class_counts
    without = (one.found if one.store is None else len(one.store)) - sum(classes.values())
    if not classes:
        return "no labels: put the images of each class into a sub-folder, or write a CSV with a column label"
    counts = list(classes.items())
    if len(counts) > NAMED_CLASSES:
        counts = sorted(counts, key=lambda item: -item[1])[:NAMED_CLASSES]
    named = ", ".join(f"{name} ({count:,})" for name, count in counts)
    more = len(classes) - len(counts)
    text = f"{counted(len(classes), 'class', 'classes')}: {named}" + (f" and {more:,} more" if more else "")
    return text + (f"; {without:,} without a label" if without else "")


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
