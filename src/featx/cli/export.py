"""``featx export``."""

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as shared
from featx.pipeline.exporting import Format


def export(
    store: Annotated[
        Path, typer.Argument(help="Feature store (made by featx extract).", metavar="STORE", show_default=False)
    ],
    to: Annotated[
        Format,
        typer.Option(
            help="File format: `parquet` for pandas, polars, R or Spark, `npz` for numpy, `csv` for everything else.",
            metavar="FORMAT",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write, or a folder for it.",
            metavar="PATH",
            show_default="artifacts/exports/<store>.<format>",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that already exists.")] = False,
    safe_csv: shared.SafeCsv = False,
    json: shared.Json = False,
) -> None:
    """Write the features of a store, with paths and labels, to a file for other programs.

    The memory that is needed does not grow with the store. Every row is checked against its checksum; if one is
    damaged, the export ends with an error and leaves no file.
    """
    from featx.cli import show
    from featx.pipeline import exporting

    target = exporting.export(store, to=to, out=out, overwrite=overwrite, safe_csv=safe_csv)
    if json:
        show.as_json({"file": str(target), "bytes": target.stat().st_size})
    elif not show.quiet():
        show.line(f"[bold]{show.shorten(target)}[/]  {target.stat().st_size / 1e6:,.1f} MB")
