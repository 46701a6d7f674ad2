"""The images that a CSV names, one row for each file."""

import logging
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from featx.errors import SourceError
from featx.manifest.columns import Columns, choose_columns, columns_line, knows_paths, path_column
from featx.manifest.encoding import LINE_END, as_shown, checked_text
from featx.manifest.listing import MISSING, Listed, Manifest, TableOptions, in_order, made_of, split_named
from featx.manifest.records import Records, parse_line, read_records
from featx.manifest.spellings import Folder, Located, is_url
from featx.words import counted

logger = logging.getLogger(__name__)

_NO_LABEL = frozenset({"nan", "NaN", "NAN", "null", "NULL", "None", "NA", "N/A", "n/a", "<NA>", "#N/A"})
"""Texts that programs write where a label is missing."""


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A row of a CSV that names an image."""

    line: int
    located: Located
    label: str = ""
    split: str = ""
    group: str = ""

    @property
    def meaning(self) -> tuple[str, str, str]:
        return self.label, self.split, self.group


def from_csv(file: Path, options: TableOptions) -> list[Manifest]:
    """List the images of a CSV, as a manifest for each of its splits."""
    folder = _folder(file, options)
    records = read_records(file, knows_paths(options))
    columns = choose_columns(records, options, folder.identity)
    rows = list(_one_for_each_file(file, _rows(records, columns, folder)))
    if not rows:
        raise SourceError(f"{file} has only a header and no lines below it; name one image per line")
    notes = (_reading(records, columns_line(records, columns), rows),)
    _warn_of_labels(file, rows)
    by_split: dict[str, list[_Row]] = {}
    for row in rows:
        by_split.setdefault(row.split, []).append(row)
    names = {split: f"{file.stem}-{split}".replace("/", "_") if split else file.stem for split in by_split}
    if len(set(names.values())) < len(names):
        raise SourceError(
            f"{file}: the splits {', '.join(map(as_shown, by_split))} would get the same name; rename them"
        )
    return in_order(
        made_of(
            source=file,
            root=folder.root,
            name=names[split],
            listed=[_listed(row) for row in found],
            split=split or split_named(file.stem),
            notes=notes,
            absent=_absent(found, folder),
        )
        for split, found in by_split.items()
    )


def paths_in(file: Path, options: TableOptions) -> tuple[Path, list[str]]:
    """List the paths that a CSV names, in its order, whatever their labels are; and the folder they are relative to."""
    folder = _folder(file, options)
    records = read_records(file, knows_paths(options))
    columns = Columns(path=path_column(records, options, folder.identity))
    rows = list(_one_for_each_file(file, _rows(records, columns, folder)))
    logger.info("%s", _reading(records, f"paths from the column {records.names[columns.path]}", rows))
    if absent := _absent(rows, folder):
        logger.warning("%s: %s", file, absent)
    return folder.root, [row.located.path for row in rows]


def _folder(file: Path, options: TableOptions) -> Folder:
    if options.root is None:
        return Folder(file.parent)
    root = Path(os.path.abspath(os.path.expanduser(options.root)))  # noqa: PTH100, PTH111  (resolve would follow links)
    if not root.is_dir():
        raise SourceError(
            f"`root={options.root}` is not a folder; give the folder that the paths in {file} are relative to"
        )
    return Folder(root)


def _rows(records: Records, columns: Columns, folder: Folder) -> Iterator[_Row]:
    """Yield the rows of a CSV, each with its file."""
    file = records.file
    taken = {name: number for name in ("label", "split", "group") if (number := getattr(columns, name)) is not None}
    for line, fields in records.rows:
        written = fields[columns.path]
        where = f"{file}, line {line}"
        if not written.strip():
            raise SourceError(
                f"{where}: the {records.names[columns.path]} is empty; write the path of an image, or delete the line"
            )
        located = folder.locate(written)
        if located.status is None and is_url(written):
            raise SourceError(
                f"{where}: {as_shown(written.strip())} is an address on the web, but featx reads only files; download "
                "the images and write their paths"
            )
        if located.status is not None and not stat.S_ISREG(located.status.st_mode):
            raise SourceError(f"{where}: {as_shown(located.path)} is not a regular file; write the path of an image")
        values = {
            name: checked_text(f"{where}: the {name}", fields[number], any_bytes=name == "group")
            for name, number in taken.items()
        }
        if any("\n" in field or "\r" in field for field in fields):
            _refuse_swallowed(records, columns, folder, line, fields)
        if "split" in values:
            values["split"] = split_named(values["split"]) or values["split"]
        yield _Row(line=line, located=located, **values)


def _refuse_swallowed(records: Records, columns: Columns, folder: Folder, line: int, fields: Sequence[str]) -> None:
    """Refuse a row in which a quote that was never meant to open takes in the rows after it."""
    where = f"{records.file}, line {line}"
    for position, field in enumerate(fields):
        first, *more = LINE_END.split(field)
        if not more:
            continue
        name = records.names[position]
        if position == columns.path and folder.identity(field) is None:
            raise SourceError(
                f"{where}: the {name} '{as_shown(first)}' continues on the next line, and there is no such file; add "
                "the closing quote before"
            )
        for number, text in enumerate(more, start=1):
            inner = parse_line(text, records.delimiter)
            as_long = len(inner) == len(fields) or (number == len(more) and len(inner) > 1)
            if as_long and len(inner) > columns.path and folder.identity(inner[columns.path]) is not None:
                named = as_shown(inner[columns.path])
                raise SourceError(
                    f"{where}: a quote opens in {name} and includes a later line, which names {named}; add the "
                    "closing quote before"
                )


def _one_for_each_file(file: Path, rows: Iterable[_Row]) -> Iterator[_Row]:
    """Yield one row for each file; refuse a path that is there twice, and a file under two labels, splits or groups."""
    by_path: dict[str, _Row] = {}
    by_file: dict[tuple[int, int], _Row] = {}
    again: list[tuple[_Row, _Row]] = []
    for row in rows:
        path, status = row.located.path, row.located.status
        if (other := by_path.setdefault(path, row)) is not row:
            raise SourceError(
                f"{file}, line {row.line}: {as_shown(path)} is already on line {other.line}; delete one of them"
            )
        if status is not None and status.st_ino:  # 0 on file systems that number no files
            other = by_file.setdefault((status.st_dev, status.st_ino), row)
            if other is not row:
                if other.meaning != row.meaning:
                    same = as_shown(other.located.path)
                    raise SourceError(
                        f"{file}, line {row.line}: {as_shown(path)} is the same file as {same} on line {other.line}, "
                        "under another label, split or group; delete one of them"
                    )
                again.append((row, other))
                continue
        yield row
    if again:
        row, other = again[0]
        logger.warning(
            "%s: files named a second time are left out, on %s (the first is line %d: %s is the same file as %s)",
            file,
            counted(len(again), "line"),
            row.line,
            as_shown(row.located.path),
            as_shown(other.located.path),
        )


def _warn_of_labels(file: Path, rows: Iterable[_Row]) -> None:
    """Warn of labels that likely mean that there is none."""
    labels = Counter(row.label for row in rows)
    for label in labels.keys() & _NO_LABEL:
        logger.warning(
            "%s: %r is taken as a class, with %s; if it means that there is no label, leave the label empty",
            file,
            label,
            counted(labels[label], "image"),
        )


def _reading(records: Records, text: str, rows: Iterable[_Row]) -> str:
    """Say how a CSV was read, in one line."""
    readings = Counter(row.located.reading for row in rows)
    del readings[""]
    parts = [
        text,
        *records.oddities,
        *(f"{counted(count, 'path')} read {reading}" for reading, count in readings.items()),
    ]
    return f"{records.file.name}: {'; '.join(parts)}"


def _absent(rows: Iterable[_Row], folder: Folder) -> str:
    """Name the first file that isn't there, and say why that may be; empty where all are there."""
    first = next((row for row in rows if row.located.status is None), None)
    if first is None:
        return ""
    guess = folder.guess(first.located.path)
    return f"the first, on line {first.line}, is '{as_shown(first.located.path)}'" + (f"; {guess}" if guess else "")


def _listed(row: _Row) -> Listed:
    status = row.located.status
    size, mtime_ns = MISSING if status is None else (status.st_size, status.st_mtime_ns)
    return Listed(path=row.located.path, label=row.label, group=row.group, size=size, mtime_ns=mtime_ns)
