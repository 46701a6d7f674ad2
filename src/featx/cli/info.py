"""``featx info``."""

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as shared


def info(
    paths: Annotated[list[Path], typer.Argument(help="Feature stores or models.", metavar="FILE", show_default=False)],
    json: shared.Json = False,
) -> None:
    """Show how feature stores or models were made: from which images, with which settings, and with which result."""
    from featx.cli import show
    from featx.cli.show.description import description as show_description
    from featx.pipeline.describing import describe

    found = [describe(path) for path in paths]
    if json:
        # One file gives an object, as it always did.
        show.as_json(found[0] if len(found) == 1 else found)
        return
    for path, one in zip(paths, found, strict=True):
        if len(found) > 1:
            show.console(data=True).print(f"[bold]{show.shorten(path.absolute())}[/]", soft_wrap=True)
        show_description(one)
