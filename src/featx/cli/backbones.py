"""``featx backbones``."""

from featx.cli import options as shared


def backbones(json: shared.Json = False) -> None:
    """List the backbones, and say which of their weights are already on this machine."""
    from featx.backbones import table
    from featx.cli.show.description import backbones as show_backbones

    show_backbones(table(), json=json)
