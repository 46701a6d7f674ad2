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
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Write a page (HTML) with the models, their intervals and their differences.",
            metavar="FILE",
            show_default="no page, or artifacts/reports/comparison.html with --open",
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Write the page and show it in the browser.")] = False,
    json: shared.Json = False,
) -> None:
    """Rank models that were scored on the same images, and show which differences are more than chance."""
    from featx.cli import show
    from featx.cli.show.comparing import comparisons, show_page
    from featx.pipeline.comparing import compare_all
    from featx.pipeline.naming import REPORTS

    page = REPORTS / "comparison.html" if out is None and open_page else out
    found = compare_all(reports, common=common, page=page)
    if json:
        show.as_json([one.to_dict() for one in found])
    else:
        comparisons(found)
    if page is not None:
        show_page(page, open_page=open_page)
