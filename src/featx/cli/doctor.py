"""``featx doctor``."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import options as shared

if TYPE_CHECKING:
    from featx.doctor import Finding

_WORDS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "failed": "[bold red]FAILED[/]"}


def doctor(
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the checks that load Keras (10 to 20 seconds).")
    ] = False,
    json: shared.Json = False,
) -> None:
    """Check this machine: versions, devices, weights, folders, and the features of known images.

    The last check computes the features of some small, difficult images and compares them with the right ones. The
    exit code is 1 if any check FAILED: features computed on this machine would be wrong, or can't be computed at all.
    """
    from featx.cli import show
    from featx.cli.flags import in_flags
    from featx.doctor import examine

    if not quick and not json:
        show.step("this loads Keras, which takes 10 to 20 seconds; --quick leaves these checks out")
    found = []
    for finding in examine(quick=quick):
        finding = dataclasses.replace(finding, text=in_flags(finding.text))
        found.append(finding)
        if not json and (finding.state == "failed" or not show.quiet()):
            _show(finding)
    if json:
        show.as_json([dataclasses.asdict(finding) for finding in found])
    if any(finding.state == "failed" for finding in found):
        raise typer.Exit(1)


def _show(finding: "Finding") -> None:
    from rich.table import Table

    from featx.cli import show

    screen = show.console(data=True)
    words = (_WORDS[finding.state], f"[bold]{finding.name}[/]", show.shown(finding.text))
    if not screen.is_terminal:
        screen.print(*words, sep="\t", soft_wrap=True)
        return
    row = Table.grid(padding=(0, 1))
    for width in (6, 11, None):
        row.add_column(width=width, overflow="fold")
    row.add_row(*words)
    screen.print(row)
