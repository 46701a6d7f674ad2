"""The table of commands, from which their order, the overview and their loading are made.

A command is a row here and a module of its name beside this one, with a function of its name.
"""

import functools
import importlib
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typer

from featx.cli import options as shared

COMMANDS = {
    "extract": "Describe each image by numbers (features), once, and keep them.",
    "fit": "Fit a classifier on extracted features.",
    "tune": "Train the last layers of a network further, on your images.",
    "score": "Test classifiers on images they have not seen.",
    "baseline": "Train a small network on your images alone, to compare with.",
    "compare": "Rank models that were scored on the same images.",
    "curve": "Show whether more training images would help.",
    "predict": "Label new images.",
    "info": "Show how a feature store or a model was made.",
    "verify": "Check feature stores for damage, and repair them.",
    "export": "Write features to a Parquet, npz or CSV file.",
    "backbones": "List the networks (backbones) that can compute features.",
    "doctor": "Check that featx works correctly on this machine.",
    "demo": "Run extract, fit and score on sample images.",
}
"""Name of the command: its line in the overview; in the overview's order."""

SHORT = 8
"""So many options need no panels in a command's help."""

new_typer = functools.partial(typer.Typer, rich_markup_mode="markdown", pretty_exceptions_enable=False)


class Commands(Mapping[str, Any]):
    """Commands by name, loaded when they are asked for: `extract` need not wait for what `curve` imports."""

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        return load(name)

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS

    def get(self, name: str, default: Any = None) -> Any:
        """Give the command of that name, or the default."""
        # Mapping's own would take a KeyError in a command's module for a command that isn't there.
        return load(name) if name in self else default

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


@functools.cache
def load(name: str) -> Any:
    """Import a command's module and make the command."""
    # Here, where the stack is shallow. Further down, NumPy's types are made where one chunk of Python's stack of frames
    # ends and the next begins, which is mapped and unmapped hundreds of times: 25 ms of a command's start.
    import numpy  # noqa: F401, ICN001

    alone = new_typer(add_completion=False)
    function = getattr(importlib.import_module(f"featx.cli.{name}"), name)
    alone.command(name, short_help=COMMANDS[name])(_with_verbosity(function))
    command = typer.main.get_command(alone)
    options = [one for one in command.params if one.param_type_name == "option"]
    if len(options) <= SHORT:
        for one in options:
            vars(one)["rich_help_panel"] = None
    return command


def set_verbosity(*, quiet: bool, verbose: bool) -> None:
    """Set how much featx logs."""
    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    logging.getLogger("featx").setLevel(level)


def _with_verbosity(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that every one has."""
    own = {"quiet": shared.Quiet, "verbose": shared.Verbose}

    @functools.wraps(function)
    def command(*, quiet: bool, verbose: bool, **options: Any) -> None:
        if quiet or verbose:
            set_verbosity(quiet=quiet, verbose=verbose)
        function(**options)

    signature = inspect.signature(function)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in own.items()
    ]
    # What typer reads a command's options from.
    vars(command)["__signature__"] = signature.replace(parameters=[*signature.parameters.values(), *added])
    command.__annotations__ = function.__annotations__ | own
    return command
