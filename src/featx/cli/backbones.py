"""``featx backbones``."""

from typing import Annotated

import typer

from featx.cli import options as shared


def backbones(
    every: Annotated[bool, typer.Option("--all", help="List all backbones.")] = False,
    json: shared.Json = False,
) -> None:
    """Say which backbone to start with, how fast the common ones are, and which of their weights are already here."""
    from featx.backbones import table
    from featx.cli.show.backbones import backbones as show_backbones

    show_backbones(table(), json=json, every=every)
