"""Output of the commands: tables and bars for people on stderr, data on stdout.

Each kind of result has a module of its own, which loads what it draws with; what all commands say is here.
"""

from featx.cli.show.terminal import as_json, console, failures, line, next_step, quiet, shorten, shown, step

__all__ = [
    "as_json",
    "console",
    "failures",
    "line",
    "next_step",
    "quiet",
    "shorten",
    "shown",
    "step",
]
