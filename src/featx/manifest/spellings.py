"""The files that paths of a CSV lead to, also where other programs write them in another way."""

import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from featx.files import near
from featx.manifest.encoding import is_text, readings

_URL = re.compile(r"\s*([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_DRIVE = re.compile(r"([A-Za-z]):/")
_QUOTES = "'\"‘’“”`"


def _without_quotes(path: str) -> str:
    return path.strip(_QUOTES).strip() if path[:1] in _QUOTES else path


def _decoded(path: str) -> str:
    return unquote(path, errors="surrogateescape") if "%" in path else path


def _drive(path: str) -> str:
    """Write a path on a Windows drive as the Windows Subsystem for Linux does."""
    return _DRIVE.sub(lambda found: f"/mnt/{found[1].lower()}/", path, count=1) if _DRIVE.match(path) else path


def _home(path: str) -> str:
    return os.path.expanduser(path) if path.startswith("~") else path  # noqa: PTH111  (of no user: left as it is)


_STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("without the blanks around them", str.strip),
    ("without the quotes around them", _without_quotes),
    ("with / in place of \\", lambda path: path.replace("\\", "/")),
    ("with drives under /mnt", _drive),
    ("from the home folder", _home),
    ("with %-codes as letters", _decoded),
)
"""Ways to read a path that leads to no file as it is written; each goes on from the result of those before it."""


@dataclass(frozen=True, kw_only=True)
class Located:
    """The file of a path.

    Parameters
    ----------
    path : str
        The path that leads to it, without meaningless parts.
    status : stat result or None
        None where there is no file.
    reading : str
        The way in which the path was read to lead there; empty where it is as it was written.
    """

    path: str
    status: os.stat_result | None = None
    reading: str = ""


class Folder:
    """The folder that the paths of a CSV are relative to.

    Parameters
    ----------
    root : Path
        The folder, absolute.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._prefix = os.fspath(root).rstrip("/") + "/"
        self._stems: dict[str, dict[str, list[str]]] = {}

    def locate(self, written: str) -> Located:
        """Find the file of a path: as it is written, else in the first other way that leads to one."""
        path = self._plain(written)
        status = self._status(path)
        if status is not None:
            return Located(path=path, status=status)
        for reading, other in self._others(written):
            candidate = self._plain(other)
            status = self._status(candidate)
            if status is not None and stat.S_ISREG(status.st_mode):
                return Located(path=candidate, status=status, reading=reading)
        return Located(path=path)

    def identity(self, written: str) -> tuple[int, int] | None:
        """Device and inode of the file of a path; None where there is none."""
        status = self.locate(written).status if written else None
        return (status.st_dev, status.st_ino) if status is not None and stat.S_ISREG(status.st_mode) else None

    def guess(self, path: str) -> str:
        """Say why a path may lead to no file; empty where nothing tells."""
        try:
            os.stat(os.path.join(self.root, path))  # noqa: PTH116, PTH118
        except PermissionError:
            return "you have no right to enter its folder"
        except (OSError, ValueError):
            pass
        path = path.strip().replace("\\", "/")
        parent, name = os.path.split(path)
        if len(names := self._names(parent).get(name, [])) > 1:
            return f"{' and '.join(names[:3])} exist: write the path with its suffix"
        if _DRIVE.match(path):
            return "it is on a Windows drive; write paths relative to the folder of the CSV"
        # Slips of the keyboard are not looked through: images are often called by numbers.
        if (other := near(self.root / path, slips=False)) is not None:
            return f"did you mean {other if path.startswith('/') else other.relative_to(self.root)}?"
        if not path.startswith("/"):
            for folder in dict.fromkeys((os.curdir, *map(str, list(self.root.parents)[:3]))):
                if os.path.isfile(os.path.join(folder, path)):  # noqa: PTH113, PTH118  (pathlib's raises for odd names)
                    return f"it exists in {os.path.abspath(folder)}: give that folder with `root`"  # noqa: PTH100
        return ""

    def _plain(self, path: str) -> str:
        """Remove meaningless parts of a path (``./``, ``//``, the root itself), so that one image has one name."""
        if path[:1] not in ("/", ".") and "//" not in path and "/./" not in path and path[-1:] not in ("/", "."):
            return path
        plain = PurePosixPath(path)
        return str(plain.relative_to(self.root) if plain.is_relative_to(self.root) else plain)

    def _status(self, path: str) -> os.stat_result | None:
        try:
            return os.stat(path if path.startswith("/") else self._prefix + path)  # noqa: PTH116  (10,000 in 20 ms)
        except (OSError, ValueError):  # ValueError: what no file can be called
            return None

    def _others(self, written: str) -> Iterator[tuple[str, str]]:
        """Yield other ways to read a path, each with the path that it gives."""
        if (url := _URL.match(written)) is not None:
            host, slash, path = written.strip().split("://", 1)[1].partition("/")
            if url[1].lower() == "file" and host in ("", "localhost"):
                yield from (("as file URLs", slash + one) for one in (unquote(path, errors="surrogateescape"), path))
            return
        used: list[str] = []
        forms = [("", written)]
        for reading, step in _STEPS:
            if (changed := step(forms[-1][1])) != forms[-1][1]:
                used.append(reading)
                forms.append((" and ".join(used), changed))
        yield from forms[1:]
        for reading, path in forms:
            also = f"{reading} and " if reading else ""
            if not is_text(path):
                yield from ((f"{also}in {encoding}", text) for text, encoding in readings(path).items())
            elif not path.isascii():
                yield from (
                    (f"{also}in another Unicode form", unicodedata.normalize(form, path)) for form in ("NFC", "NFD")
                )
            parent, name = os.path.split(path)
            if len(names := self._names(parent).get(name, [])) == 1:
                yield f"{also}with the suffix of the file", os.path.join(parent, names[0])  # noqa: PTH118

    def _names(self, folder: str) -> dict[str, list[str]]:
        """List the files of a folder by their names without the suffix."""
        if folder not in self._stems:
            stems: dict[str, list[str]] = {}
            for name in self._entries(folder):
                stem, dot, _ = name.rpartition(".")
                if dot and stem:
                    stems.setdefault(stem, []).append(name)
            self._stems[folder] = stems
        return self._stems[folder]

    def _entries(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(os.path.join(self.root, folder)))  # noqa: PTH118, PTH208  (as it is written)
        except (OSError, ValueError):
            return []


def is_url(path: str) -> bool:
    """Tell whether a path is the address of something that is on no file system."""
    found = _URL.match(path)
    return found is not None and found[1].lower() != "file"
