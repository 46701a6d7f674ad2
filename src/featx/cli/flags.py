"""Parameters of the library as flags of the command line.

A message of the library marks a parameter by backquotes: `batch_size`, or with a value `batch_size=8`. That is what
somebody types in a notebook; here it becomes ``--batch-size`` and ``--batch-size 8``. Errors, log lines, notes of
reports and findings go through `in_flags` on their way to the terminal.
"""

import logging
import re

from featx.cli.streams import printable
from featx.words import as_flag

PARAMETERS = frozenset(
    {
        "backbone",
        "batch_size",
        "C",
        "check",
        "class_weight",
        "clf",
        "colours",
        "common",
        "device",
        "epochs",
        "failures",
        "flip",
        "from_layer",
        "group_by",
        "group_copies",
        "head",
        "image_size",
        "interpolation",
        "jobs",
        "keep_cache",
        "label_column",
        "last",
        "layer",
        "limit",
        "max_errors",
        "max_pixels",
        "min_confidence",
        "model",
        "nested",
        "normalize",
        "out",
        "overwrite",
        "path_column",
        "patience",
        "pca",
        "points",
        "pooling",
        "precision",
        "quick",
        "rate",
        "repair",
        "repeats",
        "resize",
        "root",
        "runtime",
        "safe_csv",
        "sample",
        "seed",
        "show_outside",
        "split",
        "strict",
        "to",
        "validation",
        "views",
        "weights",
        "workers",
    }
)
"""Parameters that messages name. Other words in backquotes (a program, a file's odd name) stay as they are."""

_MARKED = re.compile(r"(?<![\w/])`(\w+)(?:=([^`]*))?`(?![\w/])")


def in_flags(text: str) -> str:
    """Write the parameters that a text marks as flags.

    >>> in_flags("`overwrite=True` replaces it; `batch_size=0`: at least 1 is needed")
    '--overwrite replaces it; --batch-size 0: at least 1 is needed'
    """
    return _MARKED.sub(_flag, text)


def _flag(marked: re.Match[str]) -> str:
    name, value = marked.groups()
    if name not in PARAMETERS:
        return marked[0]
    return as_flag(name, value)


class FlagFormatter(logging.Formatter):
    """Formats a log line, its parameters as flags and its message as one printable line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's name)
        """Format a record without its traceback."""
        record.message = printable(in_flags(record.message))
        return super().formatMessage(record)
