"""From a report to its page, with the images it shows."""

from pathlib import Path

from featx import reports
from featx.pipeline.judging import Judged
from featx.pipeline.thumbnails import thumbnails
from featx.reports import Report, page


def write_page(report: Report, judged: Judged, path: Path | str) -> None:
    """Write a report as one HTML file that needs no other, whole or not at all.

    Parameters
    ----------
    report : Report
    judged : Judged
        What it was made from.
    path : Path or str
        Replaced where it exists; folders are made.

    Raises
    ------
    FeatxError
        The file can't be written.
    """
    store = judged.store
    positions = None
    if store is not None:
        every = len(judged.rows) == len(store)
        positions = page.positions(store.features if every else store.features[judged.rows])
    text = page.render(
        report,
        thumbnails=thumbnails(report.root, page.wanted(report, positions=positions)),
        training=thumbnails(report.training_root, page.wanted_training(report)),
        positions=positions,
    )
    reports.write_whole(Path(path), text.encode("utf-8", "surrogateescape"))
