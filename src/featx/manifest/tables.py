"""The images that a CSV names."""

import csv
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from featx.errors import SourceError
from featx.manifest.listing import MISSING, Listed, Manifest, in_order, made_of, split_named

_PATH_COLUMNS = ("path", "file_name", "image")
_EXTRA = "\0extra"


def from_csv(file: Path) -> list[Manifest]:
    """List the images of a CSV, as a manifest for each of its splits."""
    by_split: dict[str, list[Listed]] = {}
    try:
        # Paths are bytes to the file system: what is no UTF-8 goes through unchanged.
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            for split, listed in _rows(file, lines):
                by_split.setdefault(split, []).append(listed)
    except OSError as error:
        raise SourceError(
            f"{file} can't be read ({error.strerror or error}); allow it, or give another source"
        ) from error
    if not by_split:
        raise SourceError(f"{file} has a header and no rows; name one image per line")
    names = {split: f"{file.stem}-{split}".replace("/", "_") if split else file.stem for split in by_split}
    if len(set(names.values())) < len(names):
        raise SourceError(f"{file}: the splits {', '.join(by_split)} would share a name; give them others")
    return in_order(
        made_of(
            source=file,
            root=file.parent,
            name=names[split],
            listed=listed,
            split=split or split_named(file.stem),
        )
        for split, listed in by_split.items()
    )


def _rows(file: Path, lines: Iterable[str]) -> Iterator[tuple[str, Listed]]:
    """Yield split and image of each row of a CSV."""
    reader = csv.DictReader(lines, restkey=_EXTRA, restval="")
    seen: dict[str, int] = {}
    try:
        header = [name.strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = header
        column = next((name for name in _PATH_COLUMNS if name in header), None)
        if column is None:
            found = ", ".join(header) or "no header"
            raise SourceError(f"{file}, line 1: no column path (or file_name, image), found {found}; name the column")
        for row in reader:
            where = f"{file}, line {reader.line_num}"
            if _EXTRA in row:
                raise SourceError(f"{where}: more fields than the header has; put a path with commas in quotes")
            if not row[column]:
                raise SourceError(f"{where}: the {column} is empty; name an image, or delete the line")
            path = _relative(row[column], file.parent)
            if path in seen:
                raise SourceError(f"{where}: {path} is already on line {seen[path]}; delete one of them")
            seen[path] = reader.line_num
            size, mtime_ns = _status(file.parent / path, where)
            label, split, group = (row.get(name, "").strip() for name in ("label", "split", "group"))
            listed = Listed(path=path, label=label, group=group, size=size, mtime_ns=mtime_ns)
            yield split_named(split) or split, listed
    except csv.Error as error:
        raise SourceError(f"{file}, line {reader.line_num}: no CSV ({error}); correct the line") from error


def _relative(path: str, root: Path) -> str:
    """Remove meaningless parts of a path (``./``, ``//``, the root itself), so that one image has one name."""
    plain = PurePosixPath(path)
    return str(plain.relative_to(root) if plain.is_relative_to(root) else plain)


def _status(path: Path, where: str) -> tuple[int, int]:
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a null character in the path
        return MISSING
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{where}: {path} is no regular file; name an image")
    return status.st_size, status.st_mtime_ns
