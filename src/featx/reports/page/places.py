"""Names in place of paths: a page that is shared tells nothing of the folders around the data."""

import os
import shlex
from pathlib import Path, PurePath

from featx.reports.report import Report


def image(report: Report, path: str) -> str:
    """Name an image below the scored folder, below the training folder, or by its file alone."""
    if not (PurePath(path).is_absolute() or path.startswith("../")):
        return path
    if report.root and report.training_root:
        place = os.path.normpath(Path(report.root, path))
        if (training := PurePath(report.training_root)) in PurePath(place).parents:
            return str(PurePath(training.name, PurePath(place).relative_to(training)))
    return PurePath(path).name


def scored_on(report: Report) -> str:
    """Say what was scored, by the name of its folder or file."""
    text = report.scored_on
    return text.rpartition("/")[2] if text.startswith("/") else text


def preposition(report: Report) -> str:
    """Word between "scored" and what it was scored on: cross-validation is a way, and no set of images."""
    return "by" if report.scored_on.startswith("cross-validation") else "on"


def command(text: str) -> str:
    """Write a command line with the names of the files and folders that it gives by absolute paths."""
    try:
        words = shlex.split(text)
    except ValueError:  # no command line of a shell's
        return text
    return shlex.join([_last(word) for word in words])


def _last(word: str) -> str:
    option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return f"{option}{equals}{PurePath(value).name}" if value.startswith("/") and len(value) > 1 else word
