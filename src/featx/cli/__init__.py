"""The command line: parse, call one function of the library, show what it returned."""

import contextlib
import errno
import functools
import inspect
import io
import logging
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

import featx
from featx.cli import backbones, compare, curve, demo, doctor, export, extract, fit, info, predict, score, verify
from featx.cli.stopping import MESSAGE, Stopping
from featx.errors import FeatxError, Interrupted

REFUSALS = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENAMETOOLONG, errno.ELOOP}
)
"""What the system says where the place is at fault, and not the program."""


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


app = typer.Typer(
    name="featx",
    help="""A classifier from a folder of images, in two stages that never mix.

    `featx extract data/train` runs a frozen, pretrained network once over every image and caches its feature vectors.
    `featx fit` fits a classifier on the cached features, in seconds, as often as you like.
    `featx score` says how good it is, `featx predict` labels new images.

    data/train holds one sub-folder of images per class; data/test, if there is one, likewise.
    `featx demo` shows all of it on sample images.
    """,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

for command in (extract, fit, score, compare, curve, predict, info, verify, export, backbones, doctor, demo):
    app.command()(_with_verbosity(getattr(command, command.__name__.rpartition(".")[2])))


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
