"""The command line: parse, call one function of the library, show what it returned."""

import contextlib
import errno
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import featx
from featx.cli import options as shared
from featx.cli.commands import COMMANDS, Commands, new_typer, set_verbosity
from featx.cli.stopping import MESSAGE, Stopping
from featx.cli.streams import guard_streams, printable
from featx.errors import FeatxError, Interrupted, UnreadableWarning, UsageError

REFUSALS = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENAMETOOLONG, errno.ELOOP}
)
"""Errors of the operating system that say that a place is at fault, and not the program."""


@contextlib.contextmanager
def _printable_complaints() -> Iterator[None]:
    """Make plain and printable what typer says of a command line, whose words may come from a folder's listing."""
    try:
        yield
    except Exception as error:
        if hasattr(error, "format_message") and isinstance(message := getattr(error, "message", None), str):
            from featx.cli.complaints import plainly

            vars(error)["message"] = printable(plainly(message), keep="\n")
        raise


class _Group(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes | {"commands": Commands()})

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        with _printable_complaints():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: Any) -> Any:
        with _printable_complaints():
            return super().invoke(ctx)

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
    help="""Train an image classifier from folders of photos, in two steps.

    `featx extract data/train` describes each image by numbers ("features"), once, with a pretrained network, and keeps
    them. `featx fit` fits a classifier on these features, in seconds, as often as you like.
    `featx score` shows how good the classifier is; `featx predict` labels new images.

    The folder data/train has one sub-folder of images for each class; data/test, if there is one, has the same
    sub-folders. `featx demo` shows all of this on sample images.
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


def _say(text: str) -> None:
    """Write an error as one line of the command line."""
    from featx.cli.flags import in_flags

    sys.stderr.write(f"featx: {printable(in_flags(text))}\n")
    sys.stderr.flush()


def _misread_variable(error: BaseException) -> str | None:
    """Return the name of an environment variable whose value a library couldn't read as a number."""
    if not isinstance(error, ValueError) or not str(error).startswith(
        ("invalid literal for int()", "could not convert")
    ):
        return None
    return next((name for name, value in os.environ.items() if str(error).endswith(f": {value!r}")), None)


def _in_utf8_mode() -> None:
    """Start the program anew in Python's UTF-8 mode, where the locale's encoding is another one.

    File names are UTF-8 on Linux and macOS whatever the locale says. Read as ASCII or Latin-1, a class in a store is
    not the class of that name in a folder. What is written to the terminal keeps the locale's encoding.
    """
    if (
        sys.getfilesystemencoding().lower().replace("-", "") == "utf8"
        or sys._getframe(2).f_globals["__name__"] != "__main__"
    ):
        return
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    environment = {"PYTHONIOENCODING": encoding} | os.environ
    with contextlib.suppress(OSError):  # as well as it can without
        os.execve(sys.executable, [sys.orig_argv[0], "-X", "utf8", *sys.orig_argv[1:]], environment)  # noqa: S606


def main() -> None:
    """Run the command line; user errors are one line on stderr and an exit code, a bug keeps its traceback."""
    _in_utf8_mode()
    # Daemons start without them.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    guard_streams()
    with Stopping() as stopping:
        try:
            with warnings.catch_warnings():
                # The summary of a command names each image.
                warnings.simplefilter("ignore", UnreadableWarning)
                app()
        except BaseException as end:
            if stopping.signal is not None and getattr(end, "code", None) != 0:
                # Whatever the interrupt became on its way: typer makes it an exit code, a half-loaded library an error.
                _say(str(end) if isinstance(end, Interrupted) else MESSAGE)
                stopping.told = True
                sys.exit(stopping.exit_code)
            if isinstance(end, FeatxError):
                _say(str(end))
                sys.exit(end.exit_code)
            if isinstance(end, OSError) and end.errno in REFUSALS:
                with contextlib.suppress(OSError):
                    sys.stdout.close()  # or the interpreter tries once more to write what is left
                _say(f"{end.filename or 'the output'}: {end.strerror}")
                sys.exit(1)
            if (name := _misread_variable(end)) is not None:
                _say(
                    f"the environment variable {name} must be a number, but is {os.environ[name]!r}: correct it or "
                    "unset it"
                )
                sys.exit(UsageError.exit_code)
            raise
