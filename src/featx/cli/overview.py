"""The help of `featx` itself.

Typer's own formatter imports rich's Markdown and tracebacks, and asks every command for its module: twice what the rest
of `featx --help` takes. This one looks the same and needs neither.
"""

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text


def show_overview(usage: str, text: str, options: Iterable[Any], commands: Mapping[str, str]) -> None:
    """Write the overview to stdout.

    Parameters
    ----------
    usage : str
        Usage line.
    text : str
        Paragraphs; what is between backticks is code.
    options : iterable of click options
        Options of the program itself; hidden ones are left out.
    commands : mapping
        Name of each command, and its line.
    """
    console = Console(highlight=False, emoji=False)
    console.print(Padding(Text(usage, style="bold"), 1))
    console.print(Padding(_with_code(inspect.cleandoc(text)), (0, 1, 1, 1)))
    switches = {_names(option.opts): option.help for option in options if not option.hidden}
    for title, rows in (("Commands", commands), ("Options", switches)):
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold cyan", no_wrap=True)
        table.add_column()
        for name, line in rows.items():
            table.add_row(name, _with_code(line))
        console.print(Panel(table, title=Text(title), title_align="left", border_style="dim"))


def _names(names: Iterable[str]) -> str:
    """Short name, where there is one, and long name, each in its place."""
    short = "".join(f"{name}, " for name in names if not name.startswith("--"))
    return f"{short:4}" + "".join(name for name in names if name.startswith("--"))


def _with_code(text: str) -> Text:
    """Lines of a paragraph joined, and what is between backticks in another colour."""
    joined = re.sub(r"(?<!\n)\n(?!\n)", " ", text)
    shown = Text()
    for index, part in enumerate(joined.split("`")):
        shown.append(part, style="cyan" if index % 2 else "")
    return shown
