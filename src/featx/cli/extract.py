"""``featx extract``."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from featx.backbones import Request
from featx.cli import options as shared
from featx.pipeline.filling.job import Check, Job, RunOptions
from featx.spec import Colours, Interpolation, Pooling, Precision, Resize


def size_of(text: str | None) -> int | tuple[int, int] | None:
    """``224`` or ``224x320`` (height, width)."""
    if text is None:
        return None
    try:
        sides = [int(side) for side in text.lower().split("x")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2) or min(sides) <= 0:
        raise typer.BadParameter(
            f"{text!r} is not a size: give one side (224) or HEIGHTxWIDTH (224x320)", param_hint="--image-size"
        )
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def extract(
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder with one sub-folder of images per class, folder of images without classes, folder that holds "
            "train, val and test, or CSV file with the columns path and label.",
            metavar="SOURCE",
            show_default=False,
        ),
    ],
    backbone: shared.Backbone = Request.backbone,
    weights: shared.Weights = Request.weights,
    split: Annotated[
        str | None,
        typer.Option(
            help="Use only this split (train, val or test) of the source.", metavar="NAME", show_default="all"
        ),
    ] = Job.split,
    limit: Annotated[
        int | None,
        typer.Option(
            help="Use only N images, drawn at random, the same number from each class if possible.",
            metavar="N",
            min=1,
            show_default="all images",
        ),
    ] = Job.limit,
    seed: shared.Seed = Job.seed,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File for the features (the feature store), or a folder for it.",
            metavar="PATH",
            show_default="artifacts/features/<source>-<backbone>.h5",
        ),
    ] = Job.out,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a feature store that already exists.")
    ] = Job.overwrite,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Compute nothing; only show what would be done.")
    ] = Job.dry_run,
    path_column: shared.PathColumn = Job.path_column,
    label_column: shared.LabelColumn = Job.label_column,
    root: shared.Root = Job.root,
    layer: Annotated[
        str | None,
        typer.Option(
            help="Layer of the network whose output is taken as the features, or several with commas: a file for each.",
            metavar="NAME",
            show_default="the last",
            rich_help_panel=shared.FEATURE,
        ),
    ] = Request.layer,
    pooling: Annotated[
        Pooling | None,
        typer.Option(
            help="Summary of an output that has height and width: average (`avg`) or maximum (`max`) over all places; "
            "`none` keeps every number.",
            show_default="avg",
            rich_help_panel=shared.FEATURE,
        ),
    ] = Request.pooling,
    precision: Annotated[
        Precision,
        typer.Option(
            help="Number format in which the backbone computes; the shorter ones can be faster, but less exact.",
            rich_help_panel=shared.FEATURE,
        ),
    ] = Request.precision,
    image_size: Annotated[
        str | None,
        typer.Option(
            help="Size to which images are resized for the backbone, in pixels: one side, or HEIGHTxWIDTH.",
            metavar="PIXELS",
            show_default="the backbone's own",
            rich_help_panel=shared.PIXELS,
        ),
    ] = None,
    resize: Annotated[
        Resize,
        typer.Option(
            help="Treatment of images of another shape: `stretch` them, `crop` their edges or `pad` them with black.",
            rich_help_panel=shared.PIXELS,
        ),
    ] = Request.resize,
    interpolation: Annotated[
        Interpolation,
        typer.Option(
            help=f"Method of resizing: {', '.join(get_args(Interpolation))}.",
            metavar="METHOD",
            rich_help_panel=shared.PIXELS,
        ),
    ] = Request.interpolation,
    colours: Annotated[
        Colours,
        typer.Option(
            "--as",
            help="Colours that the network sees: the image's own (`rgb`), or `grey`, as of a greyscale copy.",
            rich_help_panel=shared.PIXELS,
        ),
    ] = Request.colours,
    max_pixels: shared.MaxPixels = RunOptions.max_pixels,
    views: Annotated[
        int | None,
        typer.Option(
            help="Number of views of each image (turned, zoomed, shifted, other colours) whose features are kept too, "
            "for `featx fit --views`.",
            metavar="K",
            show_default="those that the store has, else 0",
            rich_help_panel=shared.VIEWS,
        ),
    ] = Job.views,
    flip: Annotated[
        bool,
        typer.Option(
            "--flip/--no-flip",
            help="Mirror half of the views; not for signs, digits or text.",
            rich_help_panel=shared.VIEWS,
        ),
    ] = Job.flip,
    runtime: shared.Runtime = RunOptions.runtime,
    device: shared.Device = RunOptions.device,
    batch_size: shared.BatchSize = RunOptions.batch_size,
    workers: shared.Workers = RunOptions.workers,
    check: Annotated[
        Check,
        typer.Option(
            help="Way to find changed images: by path, size and time of the file (`mtime`), or by reading every file "
            "(`content`).",
            rich_help_panel=shared.SPEED,
        ),
    ] = Job.check,
    failures: Annotated[
        Path | None,
        typer.Option(
            help="Write a CSV file of the images that could not be read, with the columns path, reason and message.",
            metavar="FILE",
            rich_help_panel=shared.FAILURES,
        ),
    ] = Job.failures,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Try again to read images that failed in an earlier run, even if they have not changed.",
            rich_help_panel=shared.FAILURES,
        ),
    ] = Job.retry_failed,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="End with exit code 3 if any image failed; the features of the others are kept.",
            rich_help_panel=shared.FAILURES,
        ),
    ] = Job.strict,
    max_errors: Annotated[
        str | None,
        typer.Option(
            help="End with exit code 3 if more images failed than this number or percentage; the features of the "
            "others are kept.",
            metavar="N|P%",
            rich_help_panel=shared.FAILURES,
        ),
    ] = Job.max_errors,
    safe_csv: shared.SafeCsv = Job.safe_csv,
    json: shared.Json = False,
) -> None:
    """Describe each image by numbers ("features") with a pretrained network, and keep them in an HDF5 file.

    The features of an image are computed only once: another run adds only new and changed images, and completes a run
    that was interrupted. If an image can't be read, its name and the reason are shown, and the run continues.
    """
    from featx.cli import show
    from featx.cli.show.extraction import extraction_record, next_step_of
    from featx.cli.show.progress import TerminalProgress
    from featx.pipeline.extraction import extract_all

    with TerminalProgress(dry_run=dry_run) as progress:
        try:
            extract_all(
                source,
                backbones=backbone.split(","),
                weights=weights,
                layers=None if layer is None else layer.split(","),
                pooling=pooling,
                image_size=size_of(image_size),
                resize=resize,
                interpolation=interpolation,
                colours=colours,
                precision=precision,
                runtime=runtime,
                device=device,
                batch_size=batch_size,
                workers=workers,
                max_pixels=max_pixels,
                path_column=path_column,
                label_column=label_column,
                root=root,
                split=split,
                limit=limit,
                seed=seed,
                views=views,
                flip=flip,
                out=out,
                overwrite=overwrite,
                check=check,
                retry_failed=retry_failed,
                failures=failures,
                safe_csv=safe_csv,
                strict=strict,
                max_errors=max_errors,
                dry_run=dry_run,
                progress=progress,
            )
        finally:
            # Too many failures make an error of a run that is done, and whose stores are there.
            if json and progress.extractions:
                show.as_json([extraction_record(one) for one in progress.extractions])
    if not json and not dry_run and (text := next_step_of(progress.extractions)):
        show.next_step(text)
