"""The image files that are meant by what somebody names to be predicted."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from featx import manifest
from featx.errors import SourceError, UsageError
from featx.manifest import Failure, TableOptions
from featx.model import Model


def check_paths(given: Sequence[Any], model: Model) -> None:
    """Refuse what is no path, and say how the features of pixels are had.

    Raises
    ------
    UsageError
        An image isn't a path, or there is none.
    """
    if not given:
        raise UsageError("there are no images to predict: give image files, folders or CSV files")
    if (strange := next((one for one in given if not isinstance(one, Path | str)), None)) is not None:
        height, width = model.spec.image_size
        grey = '(colours="grey")' if model.spec.colours == "grey" else ""
        raise UsageError(
            f"images must be given as paths, found {type(strange).__name__}: for pixels X, (n, {height}, {width}, 3) "
            f'uint8, model.predict(featx.Backbone("{model.spec.backbone}").transform(X)) gives the labels; '
            f"featx.ImageLoader{grey} makes such pixels from files"
        )


def expand(given: Sequence[Path], table: TableOptions) -> tuple[list[str], list[Failure]]:
    """Image files, those in folders and CSVs included, as they were named; and the folders that hold none."""
    if table and not any(manifest.is_table(path) for path in given):
        raise UsageError("`path_column` and `root` work only with a CSV file of images: leave them out")
    from featx.manifest.tables import paths_in

    paths: list[str] = []
    failures: list[Failure] = []
    for path in given:
        if manifest.is_table(path):
            folder, named = paths_in(path.absolute(), table)
            start = os.path.relpath(folder) if table.root is None and not path.is_absolute() else str(folder)
            paths += [os.path.join("" if start == "." else start, name) for name in named]  # noqa: PTH118  (as written)
            continue
        if not os.path.isdir(path):  # noqa: PTH112  (pathlib's raises where a name is too long or not to be looked at)
            paths.append(str(path))
            continue
        try:
            for found in manifest.find(path):
                below = os.path.relpath(found.root, path.absolute())
                paths += [os.path.normpath(path / below / name) for name in found.paths]
        except SourceError as error:
            failures.append(
                Failure(path=str(path), reason="unreadable", message=str(error), digest=None, size=-1, mtime_ns=-1)
            )
    return paths, failures
