"""The command line: parse, call one function of the library, show what it returned."""

import io
import logging
import sys
from typing import Annotated

import typer

import featx
from featx.cli import backbones, demo, extract, fit, info, predict, score
from featx.errors import FeatxError

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

for command in (extract, fit, score, predict, info, backbones, demo):
    app.command()(getattr(command, command.__name__.rpartition(".")[2]))


def _version(value: bool) -> None:
    if value:
        typer.echo(f"featx {featx.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[  # noqa: ARG001  (its callback answers)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
) -> None:
    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s: %(message)s", stream=sys.stderr)
    logging.getLogger("featx").setLevel(level)


def main() -> None:
    """Run the command line; user errors are one line on stderr and an exit code, a bug keeps its traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name may be any bytes, and comes out as it went in
            stream.reconfigure(errors="surrogateescape")
    try:
        app()
    except FeatxError as error:
        typer.echo(f"featx: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("featx: stopped", err=True)
        sys.exit(130)
