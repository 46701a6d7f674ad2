"""``featx extract``."""

from pathlib import Path
from typing import Annotated

import typer

from featx.backbones import Request
from featx.cli import options as shared
from featx.pipeline.filling.job import Check, Job, RunOptions
from featx.spec import Interpolation, Pooling, Precision, Resize


def _size(text: str | None) -> int | tuple[int, int] | None:
    """``224`` or ``224x320`` (height, width)."""
    if text is None:
        return None
    try:
        sides = [int(side) for side in text.lower().split("x")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2) or min(sides) <= 0:
        raise typer.BadParameter(
            f"{text!r} is neither a side (224) nor HEIGHTxWIDTH (224x320)", param_hint="--image-size"
        )
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def extract(
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder with a sub-folder per class, flat folder, folder of train/val/test, or CSV (path, label).",
            metavar="SOURCE",
            show_default=False,
        ),
    ],
    backbone: shared.Backbone = Request.backbone,
    weights: shared.Weights = Request.weights,
    layer: Annotated[
        str | None,
        typer.Option(help="Layer whose output is the feature.", metavar="NAME", show_default="the last"),
    ] = Request.layer,
    pooling: Annotated[
        Pooling | None, typer.Option(help="Pooling of a spatial output; `none` flattens it.", show_default="avg")
    ] = Request.pooling,
    image_size: Annotated[
        str | None,
        typer.Option(help="Side, or HEIGHTxWIDTH, in pixels.", metavar="PIXELS", show_default="the backbone's own"),
    ] = None,
    resize: Annotated[Resize, typer.Option(help="How images of another shape get that size.")] = Request.resize,
    interpolation: Annotated[Interpolation, typer.Option(help="How new pixels are computed.")] = Request.interpolation,
    precision: Annotated[Precision, typer.Option(help="Arithmetic of the backbone.")] = Request.precision,
    runtime: shared.Runtime = RunOptions.runtime,
    device: shared.Device = RunOptions.device,
    batch_size: shared.BatchSize = RunOptions.batch_size,
    workers: shared.Workers = RunOptions.workers,
    max_pixels: shared.MaxPixels = RunOptions.max_pixels,
    split: Annotated[
        str | None, typer.Option(help="Only this split of the source.", metavar="NAME", show_default="all")
    ] = Job.split,
    limit: Annotated[
        int | None, typer.Option(help="Only N images, drawn evenly from the classes.", metavar="N", min=1)
    ] = Job.limit,
    seed: shared.Seed = Job.seed,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File or folder of the feature store.",
            metavar="PATH",
            show_default="artifacts/features/<source>-<backbone>.h5",
        ),
    ] = Job.out,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store that is there.")] = Job.overwrite,
    check: Annotated[
        Check,
        typer.Option(help="Know unchanged images by path, size and time, or by reading and digesting each."),
    ] = Job.check,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try images again that failed before and haven't changed.")
    ] = Job.retry_failed,
    failures: Annotated[
        Path | None,
        typer.Option(help="Write a CSV of the images without a row: path, reason, message.", metavar="FILE"),
    ] = Job.failures,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 3 if any image failed; the others' rows are kept.")
    ] = Job.strict,
    max_errors: Annotated[
        str | None,
        typer.Option(help="Exit with 3 if more images failed; the others' rows are kept.", metavar="N|P%"),
    ] = Job.max_errors,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = Job.dry_run,
    json: shared.Json = False,
) -> None:
    """Cache the features of images: a frozen network runs once over each, and its vectors go to an HDF5 file.

    What is there already is never computed again: new or changed images are added, an interrupted run is completed.
    An image that can't be read is named with its reason, and the run goes on.
    """
    from featx.cli import show
    from featx.pipeline.extraction import extract_all

    job = Job(
        source=source,
        split=split,
        limit=limit,
        seed=seed,
        out=out,
        overwrite=overwrite,
        check=check,
        retry_failed=retry_failed,
        failures=failures,
        strict=strict,
        max_errors=max_errors,
        dry_run=dry_run,
    )
    requests = [
        Request(
            backbone=name,
            weights=weights,
            layer=layer,
            pooling=pooling,
            image_size=_size(image_size),
            resize=resize,
            interpolation=interpolation,
            precision=precision,
        )
        for name in backbone.split(",")
    ]
    run = RunOptions(runtime=runtime, device=device, batch_size=batch_size, workers=workers, max_pixels=max_pixels)
    with show.extraction_progress(dry_run=dry_run) as watcher:
        try:
            extract_all(job, requests, run, progress=watcher)
        finally:
            # Too many failures make an error of a run that is done, and whose stores are there.
            if json and watcher.ended:
                show.as_json([show.extraction_record(one) for one in watcher.ended])
