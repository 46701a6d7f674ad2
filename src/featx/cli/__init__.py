"""The command line: parse, call one function of the library, show what it returned."""

import contextlib
import errno
import io
import logging
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import featx
from featx.cli import options as shared
from featx.cli.commands import COMMANDS, Commands, new_typer, set_verbosity
from featx.cli.stopping import MESSAGE, Stopping
from featx.errors import FeatxError, Interrupted

REFUSALS = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENAMETOOLONG, errno.ELOOP}
)
"""Errors of the operating system that say that a place is at fault, and not the program."""


class _Group(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes | {"commands": Commands()})

    def format_help(self, ctx: Any, formatter: Any) -> None:
        # Where the user's TYPER_USE_RICH wants plain text, typer writes it.
        if not getattr(typer.core, "HAS_RICH", True):
            super().format_help(ctx, formatter)
            return
        from featx.cli.overview import show_overview

        show_overview(self.get_usage(ctx), self.help or "", self.get_params(ctx), COMMANDS)


app = new_typer(
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
    quiet: shared.Quiet = False,
    verbose: shared.Verbose = False,
) -> None:
    from featx.cli.flags import FlagFormatter

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FlagFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.ERROR, handlers=[handler])
    set_verbosity(quiet=quiet, verbose=verbose)


def _said(error: FeatxError) -> str:
    """Write an error as a line of the command line."""
    from featx.cli.flags import in_flags

    return f"featx: {in_flags(str(error))}"


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
                typer.echo(_said(end) if isinstance(end, Interrupted) else MESSAGE, err=True)
                stopping.told = True
                sys.exit(stopping.exit_code)
            if isinstance(end, FeatxError):
                typer.echo(_said(end), err=True)
                sys.exit(end.exit_code)
            if isinstance(end, OSError) and end.errno in REFUSALS:
                with contextlib.suppress(OSError):
                    sys.stdout.close()  # or the interpreter tries once more to write what is left
                typer.echo(f"featx: {end.filename or 'the output'}: {end.strerror}", err=True)
                sys.exit(1)
            raise
