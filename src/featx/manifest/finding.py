"""The choice of what lists the images of a source: its folders, or its rows."""

import logging
import os
import stat
from pathlib import Path

from featx.errors import SourceError, UsageError
from featx.files import meant
from featx.manifest.alike import sets_alike
from featx.manifest.classes import from_folder
from featx.manifest.drawing import limited
from featx.manifest.listing import AS_USUAL, WHAT_TO_GIVE, Manifest, TableOptions

logger = logging.getLogger(__name__)

SUFFIXES = frozenset({".csv", ".tsv"})
"""Suffixes of tables, in lower case."""


def source_path(source: Path | str) -> Path:
    """Take a path where one is given.

    Raises
    ------
    UsageError
        Something else is given, such as a list of paths or a data frame.
    """
    if isinstance(source, str | os.PathLike):
        return Path(source)
    if hasattr(source, "to_csv"):
        way = 'write the table with frame.to_csv("images.csv", index=False)'
    else:
        way = 'write the paths into a file, one per line, below a first line "path"'
    raise UsageError(
        f"images must be given as a folder or a CSV file, found {type(source).__name__}: {way}, and give the path of "
        "that file"
    )


def find(
    source: Path | str, *, limit: int | None = None, seed: int = 0, table: TableOptions = AS_USUAL
) -> list[Manifest]:
    """List the images of a folder or a CSV.

    Every regular file that is not hidden is taken for an image: what it is shows when its bytes are read.

    Parameters
    ----------
    source : path
        A folder of images (no labels); a folder with one sub-folder per class, whose deeper levels keep the class; a
        folder of splits (sub-folders named train, val or test, or in such a way: Training, valid, dev, test_set; and no
        others); or
        a CSV with a header and the column ``path`` (or another one that certainly holds the paths), relative to the CSV
        or absolute, and optionally ``label``, ``split``, ``group``.
    limit : int, optional
        Choose so many images of each manifest, evenly over its classes.
    seed : int
        Seed of that choice.
    table : TableOptions
        The way to read a CSV.

    Returns
    -------
    list of Manifest
        One per split, in the order train, val, test, others; exactly one where there are no splits. Never empty, and
        none of them is.

    Raises
    ------
    SourceError
        Nothing there, nothing in it, a folder that can't be listed, a CSV that can't be understood.
    UsageError
        A limit below 1, a seed below 0, or options of a CSV for a folder.

    Notes
    -----
    Files and folders with a leading dot are ignored, and so are ``__MACOSX`` and its like, stores and models of featx,
    and what it wrote below ``artifacts``. Folders without a file are neither classes nor splits. Links are followed,
    but not into a folder that they are in.
    Sockets, pipes and devices are never listed. A dangling link, and a file that a CSV names and that isn't there, is
    listed with size and time -1.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"`limit` must be 1 or more, and is {limit}")
    if seed < 0:
        raise UsageError(f"`seed` must be 0 or more, and is {seed}")
    try:
        given = Path(os.path.abspath(Path(source).expanduser()))  # noqa: PTH100  (resolve would follow links)
    except RuntimeError as error:  # there is no such user
        raise SourceError(f"{source}: {error}; {WHAT_TO_GIVE}") from error
    try:
        mode = given.stat().st_mode
    except OSError as error:
        advice = meant(Path(source).expanduser()) or f"; {WHAT_TO_GIVE}"
        raise SourceError(f"{given}: {error.strerror or error}{advice}") from error
    if stat.S_ISDIR(mode):
        if table:
            raise UsageError(
                f"`path_column`, `label_column` and `root` work only with a CSV file, but {given} is a folder: leave "
                "them out"
            )
        manifests = from_folder(given)
    elif stat.S_ISREG(mode) and given.suffix.lower() in SUFFIXES:
        # What reads a CSV takes as long to import as a thousand files to list, and most sources are folders.
        from featx.manifest.tables import from_csv

        manifests = from_csv(given, table)
    else:
        raise SourceError(f"{given} is neither a folder nor a .csv file; {WHAT_TO_GIVE}")
    for manifest in manifests:
        for names, words in sets_alike(manifest.classes):
            shown = " and ".join(repr(name) for name in names)
            logger.warning(
                "%s: the names of the classes %s differ only in %s; if they are the same class, use one name for it",
                given,
                shown,
                words,
            )
    return [manifest if limit is None else limited(manifest, limit, seed) for manifest in manifests]


def is_table(path: Path) -> bool:
    """Tell whether a path is a file that is read as a CSV."""
    return path.suffix.lower() in SUFFIXES and os.path.isfile(path)  # noqa: PTH113  (pathlib's raises for odd names)
