"""From a model and labelled images to a report."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from featx import reports
from featx.errors import DataError, FeatxError, ModelError, SpecMismatch, UsageError
from featx.manifest import TableOptions, is_table, source_path
from featx.model import Model
from featx.pipeline.evaluation.averaging import views_of
from featx.pipeline.evaluation.image_list import check_own, write_list
from featx.pipeline.evaluation.judging import cross_validated, on_store, report_of
from featx.pipeline.evaluation.page import write_page
from featx.pipeline.evaluation.test_sets import choose, free_name, set_name
from featx.pipeline.evaluation.thumbnails import Thumbnailer
from featx.pipeline.evaluation.training import Missing, Training, training_of
from featx.pipeline.filling.job import Job, RunOptions
from featx.pipeline.filling.loop import extract_with, listed
from featx.pipeline.filling.unreadable import warn_of_unreadable
from featx.pipeline.naming import MODELS, STORE_SUFFIXES, default_models, report_path
from featx.pipeline.prediction import runner_of
from featx.progress import Progress, observed
from featx.reports import Report
from featx.spec import ViewsSpec
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
    safe_csv: bool = False,
    show_outside: bool = False,
    views: bool = False,
    command: str = "",
    progress: Progress | bool | None = None,
) -> Report:
    """Score a model on labelled images that it was not fitted on, and save the report: JSON, a page, a list, a figure.

    Every figure has an interval. Images that the model was fitted on too, or copies of such, are found and named, with
    the figures without them; likely label errors are listed.

    Parameters
    ----------
    model : Model or path
        The model.
    source : FeatureStore, path or None
        A feature store, or a folder or CSV, which is extracted under the model's own spec (and cached). None is
        ``data/test`` where that exists; else the test set or, without one, the validation set whose store lies beside
        the training store and comes from the same folder or CSV; else the model's own cross-validated predictions.
    path_column, label_column, root
        As in `extract`, where the source is a CSV.
    weights : str, optional
        Where the backbone's weights are now, if no longer where the model has them from.
    runtime, device, batch_size, workers, max_pixels, timeout
        As in `extract`, for the images that are to be extracted, or read again to find copies.
    out : path, optional
        The report's file; by default ``artifacts/reports/<model>-on-<set>.json``, or ``<model>.json`` for
        cross-validation. The page (HTML), the confusion matrix (PNG) and a list of the images (CSV: path, label,
        predicted, confidence, right, set; the surest mistakes first) lie beside it.
    safe_csv : bool
        Put an apostrophe before paths and names in that CSV which a spreadsheet would take for formulas.
    show_outside : bool
        Show thumbnails of images outside the folder of the data too, which links or a CSV lead to. A page is made to be
        shared, and they may be anybody's.
    views : bool
        Average the probabilities of each image and its views, for a model that was fitted with views. The views are
        those of the store, or made with the model's number and seed where a folder or CSV is extracted. The report's
        model is ``<model>-averaged``.
    command : str
        Command line that asked for it, for the report.
    progress : Progress, bool or None
        As in `extract`, where images are to be extracted.

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
    averaged = views_of(model) if views else None
    training = training_of(model)
    remarks: tuple[str, ...] = ()
    if source is None:
        chosen = choose(training if isinstance(training, Training) else None)
        source, remarks = chosen.source, chosen.remarks
    table = _table(source, path_column=path_column, label_column=label_column, root=root)
    store = None
    if source is not None:
        images = Images(source=source, table=table, views=averaged)
        store = labelled_store(model, images, weights=weights, options=run, progress=progress)
    output = _Output(
        file=None if out is None else Path(out),
        safe_csv=safe_csv,
        show_outside=show_outside,
        command=command,
        views=views,
    )
    return _scored(model, store, training, remarks, output=output, options=run)


@dataclass(frozen=True, kw_only=True)
class _Output:
    """The files of a report, and what it is made of; see `score`."""

    file: Path | None = None
    safe_csv: bool = False
    show_outside: bool = False
    command: str = ""
    views: bool = False


def _scored(
    model: Model,
    store: FeatureStore | None,
    training: Training | Missing,
    remarks: tuple[str, ...],
    *,
    output: _Output,
    options: RunOptions,
) -> Report:
    """Score a model on a store, or by cross-validation without one, and write all files."""
    if output.file is not None:
        check_own(output.file.with_suffix(".csv"))
    there = training if isinstance(training, Training) else None
    views = output.views
    with Thumbnailer(options) as thumbnailer:
        judged = cross_validated(model, there, views=views) if store is None else on_store(model, store, views=views)
        judged = replace(judged, remarks=(*remarks, *judged.remarks))
        report = report_of(model, judged, training, options=options, command=output.command)
        if views:  # beside the report on the images alone, and compared with it
            report = replace(report, model=f"{model.name}-averaged")
        if store is not None:
            name = free_name(report, store) if output.file is None else set_name(store)
            report = replace(report, test_set=name)
        target = report_path(report.model, report.test_set) if output.file is None else output.file
        report.save(target)
        write_list(report, target.with_suffix(".csv"), safe=output.safe_csv)
        reports.plot_confusion(report, target.with_suffix(".png"))
        write_page(
            report,
            judged,
            there,
            target.with_suffix(".html"),
            thumbnailer=thumbnailer,
            show_outside=output.show_outside,
        )
    return report


def score_all(
    models: Sequence[Path] | None = None,
    source: FeatureStore | Path | str | None = None,
    *,
    path_column: str | None = None,
    label_column: str | None = None,
    root: Path | str | None = None,
    safe_csv: bool = False,
    show_outside: bool = False,
    views: bool = False,
    command: str = "",
    weights: Path | str | None = None,
    progress: Progress | bool | None = None,
    **options: Any,
) -> list[Report]:
    """Score several models on the same images, which are extracted once for all that want the same features.

    Parameters
    ----------
    models : sequence of path, optional
        Every model in its default place, by default.
    source, path_column, label_column, root, safe_csv, show_outside, views, command, weights, progress
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
        raise ModelError(
            f"there is no model to score under {MODELS}: run `featx fit` first, or name a model with `model`"
        )
    if len({path.stem for path in chosen}) < len(chosen):
        raise UsageError(
            "two models have the same name, so their reports would have the same file name: score them one by one"
        )
    output = _Output(safe_csv=safe_csv, show_outside=show_outside, command=command, views=views)
    stores: dict[tuple[str, str, str], FeatureStore] = {}
    scored: list[Report] = []
    unscored: list[FeatxError] = []
    for path in chosen:
        model = Model.load(path)
        training = training_of(model)
        wanted, remarks = source, tuple[str, ...]()
        if source is None:
            choice = choose(training if isinstance(training, Training) else None)
            wanted, remarks = choice.source, choice.remarks
        table = _table(wanted, path_column=path_column, label_column=label_column, root=root)
        try:
            averaged = views_of(model) if views else None
            store = wanted if isinstance(wanted, FeatureStore) else None
            if wanted is not None and store is None:
                key = (model.spec.fingerprint, str(wanted), "" if averaged is None else averaged.fingerprint)
                if key not in stores:
                    images = Images(source=wanted, table=table, views=averaged)
                    stores[key] = labelled_store(model, images, weights=weights, options=run, progress=progress)
                store = stores[key]
            scored.append(_scored(model, store, training, remarks, output=output, options=run))
        except (SpecMismatch, DataError, UsageError) as error:
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
        raise UsageError(
            "`path_column`, `label_column` and `root` work only with a CSV file, but the source is not one: leave "
            "them out"
        )
    return table


@dataclass(frozen=True, kw_only=True)
class Images:
    """The labelled images to score on.

    Parameters
    ----------
    source : FeatureStore, path
        A store, or a folder or CSV that is extracted.
    table : TableOptions
        The way to read a CSV.
    views : ViewsSpec or None
        Views that are extracted too; None are those that the store has already, if there is one.
    """

    source: FeatureStore | Path | str
    table: TableOptions
    views: ViewsSpec | None = None


def labelled_store(
    model: Model,
    images: Images,
    *,
    weights: Path | str | None,
    options: RunOptions,
    progress: Progress | bool | None,
) -> FeatureStore:
    """The store that is given or that a path names, or that is made from its images under the model's own spec."""
    if isinstance(images.source, FeatureStore):
        return images.source
    source, table, views = source_path(images.source), images.table, images.views
    if source.suffix.lower() in STORE_SUFFIXES:
        return open_store(source)
    job = Job(
        source=source,
        path_column=table.path_column,
        label_column=table.label_column,
        root=table.root,
        views=None if views is None else views.count,
        flip=views is None or views.flip,
        seed=0 if views is None else views.seed,
        for_scoring=True,
    )
    manifests = listed(job)
    runner = runner_of(model, weights=weights, options=options)
    with observed(progress) as observer:
        extractions = extract_with(job, [runner], manifests, progress=observer)
    store = extractions[0].store
    assert store is not None
    warn_of_unreadable(extractions, named_in="report.failures")
    return store
