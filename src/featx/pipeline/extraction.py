"""Stage one: from a source of images to sealed feature stores, computing nothing that is there already."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from featx.backbones import Request
from featx.errors import UsageError
from featx.manifest import source_path
from featx.pipeline.filling.job import Check, Extraction, Job, RunOptions
from featx.pipeline.filling.loop import extract_job
from featx.pipeline.filling.unreadable import warn_of_unreadable
from featx.progress import Progress, observed
from featx.spec import Colours, Interpolation, Pooling, Precision, Resize
from featx.store import FeatureStore


def extract(
    source: Path | str,
    *,
    path_column: str | None = Job.path_column,
    label_column: str | None = Job.label_column,
    root: Path | str | None = Job.root,
    split: str | None = Job.split,
    backbone: str = Request.backbone,
    weights: Path | str = Request.weights,
    layer: str | None = Request.layer,
    pooling: Pooling | None = Request.pooling,
    image_size: int | tuple[int, int] | None = Request.image_size,
    resize: Resize = Request.resize,
    interpolation: Interpolation = Request.interpolation,
    colours: Colours = Request.colours,
    precision: Precision = Request.precision,
    runtime: str = RunOptions.runtime,
    device: str = RunOptions.device,
    batch_size: int | None = RunOptions.batch_size,
    workers: int | None = RunOptions.workers,
    max_pixels: int | None = RunOptions.max_pixels,
    timeout: float = RunOptions.timeout,
    out: Path | str | None = Job.out,
    overwrite: bool = Job.overwrite,
    check: Check = Job.check,
    retry_failed: bool = Job.retry_failed,
    failures: Path | str | None = Job.failures,
    safe_csv: bool = Job.safe_csv,
    strict: bool = Job.strict,
    max_errors: str | None = Job.max_errors,
    limit: int | None = Job.limit,
    seed: int = Job.seed,
    views: int | None = Job.views,
    flip: bool = Job.flip,
    progress: Progress | bool | None = None,
) -> FeatureStore:
    """Run a frozen backbone once over every image of a source and keep the feature vectors in a store.

    Rows that an earlier run computed, of the same content under the same spec, are taken over; an interrupted run is
    completed; a store of unchanged images is returned as it is, without a backbone being loaded.

    Parameters
    ----------
    source : path
        A folder with a sub-folder per class, a flat folder, or a CSV with a column ``path`` and, if there are any,
        ``label``, ``split`` and ``group``.
    path_column, label_column : str, optional
        Columns of the CSV that hold the paths and the labels, if they are called otherwise.
    root : path, optional
        Folder that the paths in the CSV are relative to; that of the CSV by default.
    split : str, optional
        Which one, where the source has several (``train``, ``val``, ``test`` under one root, or a CSV's column).
    backbone : str
        A name of ``featx backbones``.
    weights : str or path
        ``"imagenet"``, ``"none"`` (untrained, fixed seed) or a file of Keras weights.
    layer : str, optional
        Layer whose output is the feature; the backbone's last by default.
    pooling : {"avg", "max", "none"}, optional
        Global pooling of a spatial output (``"avg"`` by default); ``"none"`` flattens it.
    image_size : int or (int, int), optional
        Side, or height and width, in pixels; the backbone's native size by default.
    resize : {"stretch", "crop", "pad"}
        How images of another shape are brought to that size.
    interpolation : {"bilinear", "bicubic", "area", "lanczos"}
        How new pixels are computed.
    colours : {"rgb", "grey"}
        The images' own colours, or grey: then the features are those of greyscale copies of the images.
    precision : {"float32", "bfloat16", "float16"}
        Arithmetic of the backbone.
    runtime : {"auto", "keras", "openvino"}
        What executes the backbone; auto is Keras where it can use a GPU, else OpenVINO.
    device : str
        ``"auto"``, ``"cpu"``, ``"gpu"`` or ``"gpu:1"``.
    batch_size : int, optional
        Images that the backbone takes at once; as many as suit what executes it by default.
    workers : int, optional
        Decoder processes; one for each core, at most eight, by default.
    max_pixels : int, optional
        Images whose header announces more fail; the decoder's own limit by default. Where it is given, images that
        were too large before are tried again.
    timeout : float
        Seconds that one image may take to read and decode.
    out : path, optional
        File (ending in ``.h5``) or folder of the store; ``artifacts/features/<source>-<backbone>.h5`` by default.
    overwrite : bool
        Replace what is there, whatever it is. Its rows are taken if a few of them, computed again, agree.
    check : {"mtime", "content"}
        Know an unchanged image by its path, size and modification time, or by reading and digesting it.
    retry_failed : bool
        Try images again that failed before and haven't changed.
    failures : path, optional
        CSV to be written of the images that have no row: path, reason, message.
    safe_csv : bool
        Put an apostrophe before paths and messages in that CSV which a spreadsheet would take for formulas.
    strict : bool
        Let no image fail.
    max_errors : str, optional
        Images that may fail: a number (``"10"``) or a share of the images found (``"0.5%"``); any number by default.
    limit : int, optional
        Take only so many images, drawn evenly from the classes.
    seed : int
        Seed of that draw, and of the views.
    views : int, optional
        Keep the features of so many augmented views of each image beside its own (`FeatureStore.views`), 64 at most; 0
        keeps none. By default those that the store has already, else none.
    flip : bool
        Whether half of the views are mirrored: not for signs, digits or text.
    progress : Progress, bool or None
        An observer of the run, the parts of its task being images; or True for a bar, False for none. None shows one in
        a notebook and on a terminal.

    Returns
    -------
    FeatureStore
        The sealed store, its features (n, d) float32 memory-mapped.

    Raises
    ------
    UsageError
        Options that make no sense, or several splits and none named.
    SourceError
        The source has no images, or none that can be read.
    WeightsError
        The weights are missing or of another network.
    SpecMismatch, StoreError
        The target is a store of another spec or folder, or no store, and `overwrite` is not set.
    TooManyFailures
        The store is sealed, with more failures than allowed.
    Interrupted
        Stopped by the user; the next run goes on from there.
    """
    requests = [
        Request(
            backbone=backbone,
            weights=str(weights),
            layer=layer,
            pooling=pooling,
            image_size=image_size,
            resize=resize,
            interpolation=interpolation,
            colours=colours,
            precision=precision,
        )
    ]
    run = RunOptions(
        runtime=runtime,
        device=device,
        batch_size=batch_size,
        workers=workers,
        max_pixels=max_pixels,
        timeout=timeout,
    )
    job = Job(
        source=source_path(source),
        path_column=path_column,
        label_column=label_column,
        root=None if root is None else Path(root),
        split=split,
        out=None if out is None else Path(out),
        overwrite=overwrite,
        check=check,
        retry_failed=retry_failed,
        failures=None if failures is None else Path(failures),
        safe_csv=safe_csv,
        strict=strict,
        max_errors=max_errors,
        limit=limit,
        seed=seed,
        views=views,
        flip=flip,
        one_split=True,
    )
    with observed(progress) as observer:
        (extraction,) = extract_job(job, requests, run, progress=observer)
    assert extraction.store is not None
    warn_of_unreadable([extraction], named_in="store.failures")
    return extraction.store


def extract_all(
    source: Path | str,
    *,
    backbones: Sequence[str] = (Request.backbone,),
    layers: Sequence[str | None] | None = None,
    dry_run: bool = Job.dry_run,
    progress: Progress | bool | None = None,
    **options: Any,
) -> list[Extraction]:
    """Extract every split of a source with each of several backbones, or with several layers of them.

    An image is read once for all backbones and layers, and decoded once for those that want the same pixels. Each layer
    has a pass of the network of its own, up to that layer.

    Parameters
    ----------
    source : path
        As in `extract`; each of its splits gives a store, or the one that `split` names.
    backbones : sequence of str
        Names of ``featx backbones``.
    layers : sequence of str or None, optional
        Layers of every backbone whose outputs are features, a store for each; None is the last. Where there are
        several, the name of a store says which layer it has. One may be given as `layer` too.
    dry_run : bool
        Only plan: count what would be computed, and write nothing.
    progress : Progress, bool or None
        As in `extract`; an observer gets each `Extraction` at its end.
    **options
        The other parameters of `extract`, such as ``image_size`` or ``workers``; those of features hold for every
        backbone. `out` is a folder where there are several stores.

    Returns
    -------
    list of Extraction
        What was done for each store, by split, then by backbone, then by layer as given. An extraction has the sealed
        `FeatureStore` (None in a dry run) and the counts, with ``found = extracted + reused + failed``.

    Raises
    ------
    TypeError
        A parameter that `extract` doesn't have.
    UsageError
        No layer, or both `layer` and `layers`.
    FeatxError
        As in `extract`. After `TooManyFailures` the stores are there all the same.
    """
    parts: dict[type, dict[str, Any]] = {
        kind: {name: options.pop(name) for name in names & options.keys()} for kind, names in _OPTIONS.items()
    }
    if options:
        raise TypeError(f"extract_all() got an unexpected keyword argument {next(iter(options))!r}")
    for kind, name, plain in (
        (Job, "root", Path),
        (Job, "out", Path),
        (Job, "failures", Path),
        (Request, "weights", str),
    ):
        if parts[kind].get(name) is not None:
            parts[kind][name] = plain(parts[kind][name])
    layer = parts[Request].pop("layer", None)
    if layers is None:
        layers = [layer]
    elif layer is not None or not layers:
        raise UsageError("give the layers as a list that isn't empty, or a single one as `layer`, and not both")
    requests = [Request(backbone=backbone, layer=layer, **parts[Request]) for backbone in backbones for layer in layers]
    job = Job(source=source_path(source), dry_run=dry_run, **parts[Job])
    with observed(progress) as observer:
        extractions = extract_job(job, requests, RunOptions(**parts[RunOptions]), progress=observer)
    warn_of_unreadable(extractions, named_in="failures of each Extraction")
    return extractions


_OPTIONS: dict[type, set[str]] = {
    Job: {one.name for one in fields(Job)} - {"source", "for_scoring", "one_split", "dry_run"},
    Request: {one.name for one in fields(Request)} - {"backbone"},
    RunOptions: {one.name for one in fields(RunOptions)},
}
"""Parameters of `extract`, by what they are a part of."""
