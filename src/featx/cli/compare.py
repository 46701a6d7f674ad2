"""``featx compare``."""

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as shared


def compare(
    reports: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Reports (JSON files written by featx score), or models that were scored.",
            metavar="REPORT",
            show_default="all reports under artifacts/reports; those on the same images are compared",
        ),
    ] = None,
    common: Annotated[
        bool,
        typer.Option("--common", help="Compare only on the images that all models were scored on."),
    ] = False,
    json: shared.Json = False,
) -> None:
    """Rank models that were scored on the same images, and show which differences are more than chance."""
    from featx.cli import show
    from featx.cli.show.comparing import comparisons
    from featx.pipeline.comparing import compare_all

    found = compare_all(reports, common=common)
    if json:
        show.as_json([one.to_dict() for one in found])
    else:
        comparisons(found)
