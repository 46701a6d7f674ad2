"""Output of the commands: tables and bars for people on stderr, data on stdout."""

from featx.cli.show.description import backbones, description
from featx.cli.show.extraction import extraction_record
from featx.cli.show.fitting import model_record
from featx.cli.show.prediction import predictions
from featx.cli.show.progress import ModelProgress, TerminalProgress
from featx.cli.show.scoring import files, reports
from featx.cli.show.terminal import as_json, console, failures, line, next_step, quiet, shorten, shown, step

__all__ = [
    "ModelProgress",
    "TerminalProgress",
    "as_json",
    "backbones",
    "console",
    "description",
    "extraction_record",
    "failures",
    "files",
    "line",
    "model_record",
    "next_step",
    "predictions",
    "quiet",
    "reports",
    "shorten",
    "shown",
    "step",
]
