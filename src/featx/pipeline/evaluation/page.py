"""From a report to its page, with the images it shows."""

import logging
from pathlib import Path

from featx.files import write_whole
from featx.manifest import outside
from featx.pipeline.evaluation.judging import Judged
from featx.pipeline.evaluation.thumbnails import Thumbnailer
from featx.pipeline.evaluation.training import Training, keys
from featx.reports import Report, page
from featx.words import counted

logger = logging.getLogger(__name__)


def write_page(
    report: Report,
    judged: Judged,
    training: Training | None,
    path: Path | str,
    *,
    thumbnailer: Thumbnailer,
    show_outside: bool = False,
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
    show_outside : bool
        Show images outside the folders of the data too, which links or a CSV lead to.

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
    wanted, wanted_training = page.wanted(report, positions=positions), page.wanted_training(report)
    if not show_outside and report.root:
        inside = _folders(report, judged, training)
        elsewhere = outside(report.root, scored, also=inside)
        if elsewhere:
            logger.warning(
                "not shown on the page, because links or a CSV lead to them and they lie outside %s: %s "
                "(`show_outside=True` shows them)",
                report.root,
                counted(len(elsewhere), "image"),
            )
        wanted = [one for one in wanted if one not in elsewhere]
        hidden = outside(report.training_root, wanted_training, also=inside)
        wanted_training = [one for one in wanted_training if one not in hidden]
    text = page.render(
        report,
        thumbnails=thumbnailer.thumbnails(report.root, wanted, digests=scored),
        training=thumbnailer.thumbnails(report.training_root, wanted_training, digests=trained),
        positions=positions,
    )
    write_whole(Path(path), text.encode("utf-8", "surrogateescape"))


def _folders(report: Report, judged: Judged, training: Training | None) -> list[str]:
    """List the folders of the data: the roots of its images, and the folders of whose splits these are."""
    roots = [root for root in (report.root, report.training_root) if root]
    stores = [judged.store, None if training is None else training.store]
    sources = [store.source for store in stores if store is not None]
    return roots + [source for source in sources if any(Path(root).is_relative_to(source) for root in roots)]
