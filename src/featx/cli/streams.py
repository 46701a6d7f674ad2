"""Text on its way to a terminal: made printable, so that names and messages are shown and never obeyed.

Folders, files, classes and the messages of libraries hold whatever somebody wrote: escape sequences that move the
cursor or set the clipboard, signs that turn the reading direction around. `main` puts a `PrintableStream` before stdout
and stderr, so all that the process writes goes through `printable`: errors, log lines, warnings, tracebacks. Rich alone
writes past it, since it makes escape sequences of its own; `featx.cli.show.terminal.console` makes its texts printable.
"""

import codecs
import io
import sys
from typing import Any, TextIO, cast

SIGNS = {"±": "+/-", "×": "x", "·": "-", "…": "...", "–": "-", "—": "-", "•": "*", "✓": "+"} | dict.fromkeys(
    "─━═╌╶╴╸╺", "-"
)
SIGNS |= dict.fromkeys("│┃║", "|") | dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼┏┓┗┛╞╡╪", "+")
"""Signs of featx, typer and rich, as they are written where the encoding of a stream doesn't have them."""

_ERRORS = "featx.cli.streams"


def printable(text: object, *, keep: str = "") -> str:
    r"""Write a text with every character escaped that is not visible: controls, bidi controls, separators, surrogates.

    >>> printable("a\x1b[31m\u202eb")
    'a\\x1b[31m\\u202eb'

    Parameters
    ----------
    text : object
        A text or a path.
    keep : str
        Characters that stay as they are, such as line ends.
    """
    told = str(text)
    if told.isprintable():
        return told
    return "".join(char if char.isprintable() or char in keep else _escaped(char) for char in told)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _signs(error: UnicodeError) -> tuple[str, int]:
    """Replace what an encoding lacks, instead of an error: featx's own signs by similar ones, others escaped."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(SIGNS.get(char) or _escaped(char) for char in lacking), error.end


class PrintableStream:
    """A text stream before another one, in which everything is made printable; line ends and tabs stay.

    Parameters
    ----------
    stream : TextIO
        Stream that the text goes on to.
    """

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream  # rich's name for the stream to which its consoles write instead

    def write(self, text: str | bytes) -> int:
        """Write a text; bytes are decoded first."""
        # A program that tries bytes on a stream (click) and sees no error goes on writing bytes.
        told = text if isinstance(text, str) else bytes(text).decode(self._encoding(), "replace")
        self.rich_proxied_file.write(printable(told, keep="\n\t"))
        return len(text)

    def _encoding(self) -> str:
        """Choose the encoding of bytes as click does: UTF-8 where the stream has ASCII only."""
        name = getattr(self.rich_proxied_file, "encoding", None) or "utf-8"
        return "utf-8" if codecs.lookup(name).name == "ascii" else name

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


def guard_streams() -> None:
    """Put a `PrintableStream` before stdout and stderr, and let neither fail at a sign that its encoding lacks."""
    codecs.register_error(_ERRORS, _signs)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, PrintableStream):
            continue
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)
        setattr(sys, name, cast("TextIO", PrintableStream(stream)))


def behind(stream: TextIO) -> TextIO:
    """Give the stream behind a `PrintableStream`, for those who make their texts printable themselves."""
    return stream.rich_proxied_file if isinstance(stream, PrintableStream) else stream


def write_data(text: str) -> None:
    """Write data to stdout: into a file or pipe as UTF-8, whatever the locale, and names that are no text as they were.

    A terminal gets it printable.
    """
    stream = sys.stdout
    stream.flush()
    if stream.isatty() or not hasattr(stream, "buffer"):
        stream.write(text)
    else:
        stream.buffer.write(text.encode("utf-8", "surrogateescape"))
    stream.flush()
