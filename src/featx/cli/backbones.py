"""``featx backbones``."""

from featx.cli import options as shared


def backbones(json: shared.Json = False) -> None:
    """List the backbones, and say which of their weights are already on this machine."""
    from featx.backbones import table
    from featx.cli import show

    show.backbones(table(), json=json)
