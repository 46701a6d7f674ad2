"""From a report to its page, with the images it shows."""

from pathlib import Path

from featx.files import write_whole
from featx.pipeline.evaluation.judging import Judged
from featx.pipeline.evaluation.thumbnails import Thumbnailer
from featx.pipeline.evaluation.training import Training, keys
from featx.reports import Report, page


def write_page(
    report: Report, judged: Judged, training: Training | None, path: Path | str, *, thumbnailer: Thumbnailer
) -> None:
    """Write a report as one HTML file that needs no other, whole or not at all.

    Only images that are still what was extracted are shown.

    Parameters
    ----------
    report : Report
    judged : Judged
        What it was made from.
    training : Training or None
        What the model was fitted on.
    path : Path or str
        Replaced where it exists; folders are made.
    thumbnailer : Thumbnailer
        Processes that make its thumbnails.

    Raises
    ------
    FeatxError
        The file can't be written.
    """
    store, positions, scored, trained = judged.store, None, {}, {}
    if training is not None:
        digests = keys(training.store.digests[training.rows])
        trained = dict(zip(training.paths, digests, strict=True))
        scored = dict(zip(training.seen_from(report.root), digests, strict=True))
    if store is not None and report.images is not None:
        every = len(judged.rows) == len(store)
        positions = page.positions(store.features if every else store.features[judged.rows])
        scored |= dict(zip(report.images.paths, keys(store.digests[judged.rows]), strict=True))
    make = thumbnailer.thumbnails
    text = page.render(
        report,
        thumbnails=make(report.root, page.wanted(report, positions=positions), digests=scored),
        training=make(report.training_root, page.wanted_training(report), digests=trained),
        positions=positions,
    )
    write_whole(Path(path), text.encode("utf-8", "surrogateescape"))
