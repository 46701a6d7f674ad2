"""The command line: parse, call one function of the library, show what it returned."""

import contextlib
import errno
import functools
import importlib
import inspect
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import featx
from featx.cli.stopping import MESSAGE, Stopping
from featx.errors import FeatxError, Interrupted

REFUSALS = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENAMETOOLONG, errno.ELOOP}
)
"""What the system says where the place is at fault, and not the program."""

COMMANDS = (
    "extract",
    "fit",
    "score",
    "compare",
    "curve",
    "predict",
    "info",
    "verify",
    "export",
    "backbones",
    "doctor",
    "demo",
)
"""Names of the commands, of the modules here that hold them and of the functions there."""

_typer = functools.partial(typer.Typer, rich_markup_mode="markdown", pretty_exceptions_enable=False)

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]


def _level(*, quiet: bool, verbose: bool) -> int:
    return logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING


def _with_verbosity(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that every one has."""
    own = {"quiet": Quiet, "verbose": Verbose}

    @functools.wraps(function)
    def command(*, quiet: bool, verbose: bool, **options: Any) -> None:
        if quiet or verbose:
            logging.getLogger("featx").setLevel(_level(quiet=quiet, verbose=verbose))
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


class _Commands(Mapping[str, Any]):
    """Commands by name, loaded when they are asked for: `extract` need not wait for what `curve` imports."""

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        return _command(name)

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS

    def get(self, name: str, default: Any = None) -> Any:
        # Mapping's own would take a KeyError in a command's module for a command that isn't there.
        return _command(name) if name in self else default

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


@functools.cache
def _command(name: str) -> Any:
    alone = _typer(add_completion=False)
    alone.command(name)(_with_verbosity(getattr(importlib.import_module(f"featx.cli.{name}"), name)))
    return typer.main.get_command(alone)


class _Group(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes | {"commands": _Commands()})


app = _typer(
    name="featx",
    cls=_Group,
    help="""A classifier from a folder of images, in two stages that never mix.

    `featx extract data/train` runs a frozen, pretrained network once over every image and caches its feature vectors.
    `featx fit` fits a classifier on the cached features, in seconds, as often as you like.
    `featx score` says how good it is, `featx predict` labels new images.

    data/train holds one sub-folder of images per class; data/test, if there is one, likewise.
    `featx demo` shows all of it on sample images.
    """,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"featx {featx.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[  # noqa: ARG001  (its callback answers)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s: %(message)s", stream=sys.stderr)
    logging.getLogger("featx").setLevel(_level(quiet=quiet, verbose=verbose))


def main() -> None:
    """Run the command line; user errors are one line on stderr and an exit code, a bug keeps its traceback."""
    # Daemons start without them.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name may be any bytes, and comes out as it went in
            stream.reconfigure(errors="surrogateescape")
    with Stopping() as stopping:
        try:
            app()
        except BaseException as end:
            if stopping.signal is not None and getattr(end, "code", None) != 0:
                # Whatever the interrupt became on its way: typer makes it an exit code, a half-loaded library an error.
                typer.echo(f"featx: {end}" if isinstance(end, Interrupted) else MESSAGE, err=True)
                stopping.told = True
                sys.exit(stopping.exit_code)
            if isinstance(end, FeatxError):
                typer.echo(f"featx: {end}", err=True)
                sys.exit(end.exit_code)
            if isinstance(end, OSError) and end.errno in REFUSALS:
                with contextlib.suppress(OSError):
                    sys.stdout.close()  # or the interpreter tries once more to write what is left
                typer.echo(f"featx: {end.filename or 'the output'}: {end.strerror}", err=True)
                sys.exit(1)
            raise
