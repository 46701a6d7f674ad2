"""``featx compare``."""

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as shared


def compare(
    reports: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Reports (JSON), or models that have one.",
            metavar="REPORT",
            show_default="every report under artifacts/reports, grouped by the images it is on",
        ),
    ] = None,
    common: Annotated[
        bool,
        typer.Option("--common", help="Compare on the images that all models were scored on, and ignore the others."),
    ] = False,
    json: shared.Json = False,
) -> None:
    """Rank models that were scored on the same images, and say which of their differences are significant."""
    from featx.cli import show
    from featx.cli.show.comparing import comparisons
    from featx.pipeline.comparing import compare_all

    found = compare_all(reports, common=common)
    if json:
        show.as_json([one.to_dict() for one in found])
    else:
        comparisons(found)
