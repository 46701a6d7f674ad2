"""Labels and groups for a store's rows, from a CSV and from their paths."""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from featx.errors import SourceError, UsageError
from featx.manifest.encoding import checked_text
from featx.manifest.records import read_records
from featx.store import FeatureStore
from featx.words import counted

logger = logging.getLogger(__name__)

COLUMNS = ("path", "label")


def labels_of(store: FeatureStore, file: Path | str) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Read the labels of a store's rows from a CSV.

    Parameters
    ----------
    store : FeatureStore
        Its paths are what the CSV's are held against.
    file : path
        CSV with a header and the columns ``path``, as in the store or absolute, and ``label``; others are
        ignored. Images that it doesn't name, or names with an empty label, have none. It may name images that failed.

    Returns
    -------
    labels : (n,) int32
        Index into the classes, -1 for none.
    classes : tuple of str
        Sorted.

    Raises
    ------
    SourceError
        The file can't be read as such a CSV, names an image twice, or one that the store doesn't have.
    """
    file = Path(file)
    given: dict[str, str] = {}
    for line, path, label in _rows(file):
        plain = PurePosixPath(path)
        path = str(plain.relative_to(store.root) if plain.is_relative_to(store.root) else plain)
        if path in given:
            raise SourceError(f"{file}, line {line}: {path} was already named above; delete one of the two lines")
        given[path] = label
    known = {failure.path for failure in store.failures}.union(store.paths)
    unknown = [path for path in given if path not in known]
    if unknown:
        raise SourceError(
            f"{len(unknown)} of {counted(len(given), 'image')} in {file} {'is' if len(unknown) == 1 else 'are'} not "
            f"in {store.path} (the first is {unknown[0]!r}; the paths in the store look like "
            f"{store.paths[0] if store.paths else ''!r}): write the paths as in the store"
        )
    classes = tuple(sorted(set(given.values()) - {""}, key=os.fsencode))
    index = {name: number for number, name in enumerate(classes)}
    labels = np.array([index.get(given.get(path, ""), -1) for path in store.paths], np.int32)
    if without := int((labels < 0).sum()):
        logger.warning("without a label in %s, so left out: %d of %s", file, without, counted(len(store), "image"))
    return labels, classes


def groups_by(pattern: str, paths: Sequence[str]) -> tuple[str, ...]:
    """Find the group of each path: the match of a regular expression, or of its first parenthesis."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"`group_by` must be a regular expression, but {pattern!r} is not a valid one: {error}"
        ) from error
    matches = [expression.search(path) for path in paths]
    for path, match in zip(paths, matches, strict=True):
        if match is None:
            raise UsageError(
                f"`group_by={pattern}` finds nothing in {path!r}: it must match in the path of every image"
            )
    return tuple(match[1] if expression.groups else match[0] for match in matches if match is not None)


def _rows(file: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line number, path and label of each row."""
    records = read_records(file, lambda header: set(COLUMNS) <= set(header))
    if missing := [name for name in COLUMNS if name not in records.header]:
        raise SourceError(
            f"{records.where}: no column {' or '.join(missing)}, found {records.listed_names}; name the columns path "
            "and label"
        )
    path, label = (records.header.index(name) for name in COLUMNS)
    for line, fields in records.rows:
        if not fields[path]:
            raise SourceError(f"{file}, line {line}: the path is empty; write the path of an image")
        yield line, fields[path], checked_text(f"{file}, line {line}: the label", fields[label])
