"""The columns of a CSV that hold paths, labels, splits and groups; taken where that is certain, else asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from featx.errors import SourceError
from featx.manifest.encoding import as_shown
from featx.manifest.listing import TableOptions
from featx.manifest.records import Records

PATHS = ("path", "file_name", "image")
"""Columns of paths that are documented, in the order in which they are taken."""

OTHER_PATHS = (
    "file",
    "filename",
    "filepath",
    "file_path",
    "img",
    "imagename",
    "image_name",
    "image_file",
    "image_path",
    "img_path",
    "imagepath",
)
"""Other columns that are taken for paths if they lead to files."""

LABELS = ("label", "labels", "class", "class_name", "classname", "label_name", "category")
"""Columns of labels. The first is taken before the others, of which there may be only one."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Numbers of the columns that are taken, from 0; None for a column that there isn't."""

    path: int
    label: int | None = None
    split: int | None = None
    group: int | None = None


Leads = Callable[[str], object]
"""A function that gives what identifies the file of a path; None for a path that leads to no file."""


def as_compared(name: str) -> str:
    """Write a column's name as names of columns are compared."""
    return name.strip().lower()


def knows_paths(options: TableOptions) -> Callable[[Sequence[str]], bool]:
    """Make a function that tells if a header has a column of paths."""
    wanted = (*PATHS, *OTHER_PATHS) if options.path_column is None else (as_compared(options.path_column),)
    return lambda header: any(_plain(name) in wanted or name in wanted for name in header)


def choose_columns(records: Records, options: TableOptions, leads: Leads) -> Columns:
    """Choose the columns of a CSV.

    Parameters
    ----------
    records : Records
        The CSV.
    options : TableOptions
        Columns that were asked for.
    leads : function
        The file of a path.

    Raises
    ------
    SourceError
        A column that was asked for isn't there, or none is certain to hold the paths or the labels.
    """
    header = records.header
    return Columns(
        path=path_column(records, options, leads),
        label=_label_column(records) if options.label_column is None else _named(records, options.label_column),
        split=header.index("split") if "split" in header else None,
        group=header.index("group") if "group" in header else None,
    )


def columns_line(records: Records, columns: Columns) -> str:
    """Say which columns are taken, in one line."""
    names = records.names
    parts = [f"paths from the column {names[columns.path]}"]
    if columns.label is None:
        parts.append(
            f"no labels, because no column is called label; found {records.listed_names} (choose one with "
            "`label_column`)"
        )
    else:
        parts.append(f"labels from {names[columns.label]}")
    parts += [f"splits from {names[columns.split]}"] if columns.split is not None else []
    parts += [f"groups from {names[columns.group]}"] if columns.group is not None else []
    return ", ".join(parts)


def _plain(name: str) -> str:
    return name.replace(" ", "_").replace("-", "_")


def _named(records: Records, name: str) -> int:
    if as_compared(name) not in records.header:
        raise SourceError(f"{records.where}: there is no column {as_shown(name)}; choose one of {records.listed_names}")
    return records.header.index(as_compared(name))


def path_column(records: Records, options: TableOptions, leads: Leads) -> int:
    """Choose the column of the paths; parameters and errors as in `choose_columns`."""
    if options.path_column is not None:
        return _named(records, options.path_column)
    header = records.header
    known = [position for name in (*PATHS, *OTHER_PATHS) for position in _positions(header, name)]
    if not known:
        raise SourceError(_no_paths(records, leads))
    sure = _plain(header[known[0]]) in PATHS
    if sure and len(known) == 1:
        return known[0]
    leading = [position for position in known if any(leads(fields[position]) for _, fields in records.rows)]
    first = leading[0] if leading else known[0]
    if not leading and not sure:
        sample = next((fields[first] for _, fields in records.rows if fields[first]), "")
        raise SourceError(
            f"{records.where}: there is no column path, found {records.listed_names}; the values of "
            f"{records.names[first]} lead to no file (the first is '{as_shown(sample)}'). Give the folder of the "
            "images with `root`, or the column of the paths with `path_column`"
        )
    if (sure and leading and first != known[0]) or not _alike(records, leading, leads):
        both = " and ".join(records.names[position] for position in dict.fromkeys((known[0], *leading)))
        raise SourceError(
            f"{records.where}: the columns {both} could both hold the paths; choose one with `path_column`"
        )
    return first


def _positions(header: Sequence[str], name: str) -> list[int]:
    return [position for position, found in enumerate(header) if _plain(found) == name]


def _alike(records: Records, positions: Sequence[int], leads: Leads) -> bool:
    """Tell whether several columns lead to the same files."""
    if len(positions) < 2:
        return True
    return all(len({leads(fields[position]) for position in positions}) == 1 for _, fields in records.rows)


def _no_paths(records: Records, leads: Leads) -> str:
    said = f"{records.where}: there is no column path (or file_name, image), found {records.listed_names}"
    image = next((as_shown(name) for name in records.written if leads(name)), None)
    if image is not None:
        return (
            f"{said}; {image} is a file, so the line with the names of the columns is missing: write it first, such "
            "as path,label"
        )
    first = records.rows[0][1] if records.rows else []
    found = next((name for name, field in zip(records.names, first, strict=False) if leads(field)), None)
    if found is not None:
        return f"{said}; the column {found} leads to files: choose it with `path_column`"
    return f"{said}; rename the column, or choose it with `path_column`"


def _label_column(records: Records) -> int | None:
    found = [position for name in LABELS for position in _positions(records.header, name)]
    if len(found) > 1 and records.header[found[0]] != LABELS[0]:
        both = " and ".join(records.names[position] for position in found)
        raise SourceError(
            f"{records.where}: the columns {both} could both hold the labels; choose one with `label_column`"
        )
    return found[0] if found else None
