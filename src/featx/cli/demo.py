"""``featx demo``."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to write data and artifacts.")] = Path(),
) -> None:
    """Write sample images (handwritten digits) to data/train and data/test, then extract, fit and score."""
    from featx.cli import show
    from featx.demo import run

    run(folder, show)
