"""``featx info``."""

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as shared


def info(
    path: Annotated[Path, typer.Argument(help="Feature store or model.", metavar="FILE", show_default=False)],
    json: shared.Json = False,
) -> None:
    """Show how a feature store or a model was made, from which images, and with which result."""
    from featx.cli import show
    from featx.pipeline.describing import describe

    found = describe(path)
    if json:
        show.as_json(found)
    else:
        show.description(found)
