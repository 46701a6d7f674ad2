"""The list of scored images as CSV: which were classified wrong."""

from pathlib import Path

from featx.errors import UsageError
from featx.files import write_whole
from featx.pipeline.spreadsheets import safe_text, to_csv
from featx.reports import Report

COLUMNS = ("path", "label", "predicted", "confidence", "right", "set")


def write_list(report: Report, path: Path, *, safe: bool = False) -> None:
    """Write a row for each scored image, the surest mistakes first, or no file where the images aren't known.

    ``confidence`` is empty without probabilities. ``set`` is the fold that an image was held out in (``fold 1``), or
    the name of the test set. Bytes of names that aren't UTF-8 stand as they are.

    Parameters
    ----------
    report : Report
    path : Path
        Replaced where it exists; folders are made.
    safe : bool
        Put an apostrophe before paths and names that a spreadsheet would take for formulas.

    Raises
    ------
    FeatxError
        The file can't be written.
    """
    images = report.images
    if images is None:
        path.unlink(missing_ok=True)  # else the list of an earlier score would stand beside this one
        return
    classes = report.metrics.classes
    clean = safe_text if safe else str
    rows: list[tuple[str, ...]] = [COLUMNS]
    for row in images.worst_first.tolist():
        texts = (images.paths[row], classes[images.labels[row]], classes[images.predicted[row]])
        sure = "" if images.confidence is None else f"{images.confidence[row]:.6g}"
        right = "true" if images.labels[row] == images.predicted[row] else "false"
        where = report.test_set if images.folds is None else f"fold {images.folds[row] + 1}"
        rows.append((*map(clean, texts), sure, right, clean(where)))
    write_whole(path, to_csv(rows, quote=safe).encode("utf-8", "surrogateescape"))


def check_own(path: Path) -> None:
    """Refuse to replace a CSV that is no list of scored images, such as that of the images themselves.

    Raises
    ------
    UsageError
        It is another file.
    """
    try:
        with path.open("rb") as file:
            first = file.readline(200)
    except OSError:  # there is none, or writing will say what is wrong
        return
    if first.strip().replace(b'"', b"") != ",".join(COLUMNS).encode("ascii"):
        raise UsageError(
            f"`out`: the list of images would replace {path}, which featx has not written: give the report another name"
        )
