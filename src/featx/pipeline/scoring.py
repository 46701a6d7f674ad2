"""From a model and labelled images to a report."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from featx import reports
from featx.errors import DataError, FeatxError, ModelError, SpecMismatch, UsageError
from featx.manifest import TableOptions, is_table, source_path
from featx.model import Model
from featx.pipeline.evaluation.judging import cross_validated, on_store, report_of
from featx.pipeline.evaluation.page import write_page
from featx.pipeline.evaluation.thumbnails import Thumbnailer
from featx.pipeline.evaluation.training import Training, training_of
from featx.pipeline.filling.job import Job, RunOptions
from featx.pipeline.filling.loop import extract_with, listed
from featx.pipeline.naming import MODELS, STORE_SUFFIXES, TEST_SOURCE, default_models, report_path
from featx.pipeline.prediction import runner_of
from featx.progress import SILENT, Progress
from featx.reports import Report
from featx.store import FeatureStore, open_store

logger = logging.getLogger(__name__)


def score(
    model: Model | Path | str,
    source: FeatureStore | Path | str | None = None,
    *,
    path_column: str | None = None,
    label_column: str | None = None,
    root: Path | str | None = None,
    weights: Path | str | None = None,
    runtime: str = RunOptions.runtime,
    device: str = RunOptions.device,
    batch_size: int | None = RunOptions.batch_size,
    workers: int | None = RunOptions.workers,
    max_pixels: int | None = RunOptions.max_pixels,
    timeout: float = RunOptions.timeout,
    out: Path | str | None = None,
    show_outside: bool = False,
    command: str = "",
    progress: Progress = SILENT,
) -> Report:
    """Score a model on labelled images that it was not fitted on, and save the report: JSON, a page, a figure.

    Every figure has an interval. Images that the model was fitted on too, or copies of such, are found and named, with
    the figures without them; likely label errors are listed.

    Parameters
    ----------
    model : Model or path
        The model.
    source : FeatureStore, path or None
        A feature store, or a folder or CSV, which is extracted under the model's own spec (and cached). None is
        ``data/test`` where that exists, else the model's own cross-validated predictions.
    path_column, label_column, root
        As in `extract`, where the source is a CSV.
    weights : str, optional
        Where the backbone's weights are now, if no longer where the model has them from.
    runtime, device, batch_size, workers, max_pixels, timeout
        As in `extract`, for the images that are to be extracted, or read again to find copies.
    out : path, optional
        The report's file; ``artifacts/reports/<model>.json`` by default. The page (HTML) and the confusion matrix (PNG)
        lie beside it.
    show_outside : bool
        Show thumbnails of images outside the folder of the data too, which links or a CSV lead to. A page is made to be
        shared, and they may be anybody's.
    command : str
        Command line that asked for it, for the report.
    progress : Progress
        Observer of the extraction, where images are to be extracted.

    Returns
    -------
    Report
        Metrics, each with what is needed to judge it.

    Raises
    ------
    SpecMismatch
        The store was made under another spec than the model.
    DataError
        There are no labels to score against.
    ModelError, StoreError, SourceError, WeightsError
        As in `fit` and `extract`.
    """
    run = RunOptions(
        runtime=runtime,
        device=device,
        batch_size=batch_size,
        workers=workers,
        max_pixels=max_pixels,
        timeout=timeout,
    )
    model = Model.load(model) if isinstance(model, Path | str) else model
    if source is None and TEST_SOURCE.exists():
        source = TEST_SOURCE
    table = _table(source, path_column=path_column, label_column=label_column, root=root)
    store = None
    if source is not None:
        store = labelled_store(model, source, table=table, weights=weights, options=run, progress=progress)
    training = training_of(model)
    there = training if isinstance(training, Training) else None
    target = report_path(model.name) if out is None else Path(out)
    with Thumbnailer(run) as thumbnailer:
        judged = cross_validated(model, there) if store is None else on_store(model, store)
        report = report_of(model, judged, training, options=run, command=command)
        report.save(target)
        reports.plot_confusion(report, target.with_suffix(".png"))
        write_page(
            report, judged, there, target.with_suffix(".html"), thumbnailer=thumbnailer, show_outside=show_outside
        )
    return report


def score_all(
    models: Sequence[Path] | None = None,
    source: FeatureStore | Path | str | None = None,
    *,
    path_column: str | None = None,
    label_column: str | None = None,
    root: Path | str | None = None,
    show_outside: bool = False,
    command: str = "",
    weights: Path | str | None = None,
    progress: Progress = SILENT,
    **options: Any,
) -> list[Report]:
    """Score several models on the same images, which are extracted once for all that want the same features.

    Parameters
    ----------
    models : sequence of path, optional
        Every model in its default place, by default.
    source, path_column, label_column, root, show_outside, command, weights, progress
        As in `score`.
    **options
        `runtime`, `device`, `batch_size`, `workers`, `max_pixels` and `timeout`, as in `score`.

    Returns
    -------
    list of Report
        One for each model that could be scored, in the order of the models. All files are written, as by `score`.

    Raises
    ------
    ModelError
        There is no model to score.
    UsageError
        Two models have the same name.
    SpecMismatch, DataError
        None of the models can be scored; one that can't beside others that can is logged and left out.
    """
    run = RunOptions(**options)
    chosen = models or default_models()
    if not chosen:
        raise ModelError(f"there is no model to score under {MODELS}: run `featx fit` first, or name one with `model`")
    if len({path.stem for path in chosen}) < len(chosen):
        raise UsageError("two models of the same name would share a report: score them one by one, with `out`")
    source = TEST_SOURCE if source is None and TEST_SOURCE.exists() else source
    table = _table(source, path_column=path_column, label_column=label_column, root=root)
    stores: dict[str, FeatureStore] = {}
    scored: list[Report] = []
    unscored: list[FeatxError] = []
    for path in chosen:
        model = Model.load(path)
        try:
            if source is not None and model.spec.fingerprint not in stores:
                stores[model.spec.fingerprint] = labelled_store(
                    model, source, table=table, weights=weights, options=run, progress=progress
                )
            store = stores.get(model.spec.fingerprint)
            scored.append(score(model, store, show_outside=show_outside, command=command, **options))
        except (SpecMismatch, DataError) as error:
            # Says something of this model only; the others still have their score.
            unscored.append(error)
            logger.warning("%s is not scored: %s", path, error)
    if unscored and not scored:
        raise unscored[0]
    return scored


def _table(
    source: FeatureStore | Path | str | None,
    *,
    path_column: str | None,
    label_column: str | None,
    root: Path | str | None,
) -> TableOptions:
    """Make the options of a CSV; refuse them for what is none."""
    table = TableOptions(
        path_column=path_column, label_column=label_column, root=None if root is None else source_path(root)
    )
    if table and (source is None or isinstance(source, FeatureStore) or not is_table(source_path(source))):
        raise UsageError("`path_column`, `label_column` and `root` are for a CSV, and the source is none")
    return table


def labelled_store(
    model: Model,
    source: FeatureStore | Path | str,
    *,
    table: TableOptions,
    weights: Path | str | None,
    options: RunOptions,
    progress: Progress,
) -> FeatureStore:
    """The store that is given or that a path names, or that is made from its images under the model's own spec."""
    if isinstance(source, FeatureStore):
        return source
    source = source_path(source)
    if source.suffix.lower() in STORE_SUFFIXES:
        return open_store(source)
    job = Job(
        source=source,
        path_column=table.path_column,
        label_column=table.label_column,
        root=table.root,
        for_scoring=True,
    )
    images = listed(job)
    runner = runner_of(model, weights=weights, options=options)
    extractions = extract_with(job, [runner], images, progress=progress)
    store = extractions[0].store
    assert store is not None
    return store
