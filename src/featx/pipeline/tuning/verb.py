"""From images and a fitted model, or a backbone, to tuned weights and a model."""

from pathlib import Path

from featx.backbones import Request, find
from featx.errors import UsageError
from featx.manifest import Manifest, TableOptions, source_path
from featx.model import Model
from featx.pipeline.filling.job import Job, RunOptions
from featx.pipeline.filling.loop import extract_with
from featx.pipeline.filling.runner import BackboneRunner
from featx.pipeline.naming import STORE_SUFFIXES
from featx.pipeline.prediction import runner_of
from featx.pipeline.tuning.activations import WithoutEnd
from featx.pipeline.tuning.head import tune_head
from featx.pipeline.tuning.images import check_classes, find_images, labelled
from featx.pipeline.tuning.job import VALIDATION, TuningJob
from featx.pipeline.tuning.results import Tuned
from featx.pipeline.tuning.tail import tune_tail
from featx.progress import Progress, observed
from featx.store import FeatureStore, open_store
from featx.training.head import fold


def tune(
    source: Path | str,
    *,
    model: Model | Path | str | None = None,
    backbone: str | None = None,
    weights: Path | str | None = None,
    image_size: int | tuple[int, int] | None = None,
    last: int | None = None,
    from_layer: str | None = None,
    head: int | None = None,
    epochs: int | None = None,
    rate: float | None = None,
    patience: int = TuningJob.patience,
    seed: int = TuningJob.seed,
    views: int = TuningJob.views,
    flip: bool = TuningJob.flip,
    validation: float | Path | str = VALIDATION,
    group_by: str | None = None,
    keep_cache: bool = False,
    path_column: str | None = None,
    label_column: str | None = None,
    root: Path | str | None = None,
    runtime: str = RunOptions.runtime,
    device: str = RunOptions.device,
    batch_size: int | None = RunOptions.batch_size,
    workers: int | None = RunOptions.workers,
    max_pixels: int | None = RunOptions.max_pixels,
    timeout: float = RunOptions.timeout,
    out: Path | str | None = None,
    progress: Progress | bool | None = None,
) -> Tuned:
    """Fine-tune the last blocks of a network on labelled images, from a fitted logistic regression.

    The network is split at a layer. What comes before stays as it is: its activations are computed once and cached.
    What comes behind it is trained together with the head, which begins as the logistic regression, fitted again
    without the validation images. After each epoch the accuracy on these is measured; the best epoch is taken, and the
    start is one of those compared. Batch normalisation keeps its statistics. Interrupted, the same call goes on with
    the epoch after the last that was finished.

    With ``last=0`` and `head`, the network stays as it is, and a head with one hidden layer and dropout is trained on
    its features.

    Parameters
    ----------
    source : path
        Folder, CSV or feature store of labelled images, as in `extract`: those that the model was fitted on.
    model : Model or path, optional
        A logistic regression (``fit(clf="logreg")``) to start from; not with ``last=0``.
    backbone, weights, image_size
        As in `extract`, for ``last=0``. With `model`, `weights` says where its backbone's weights are now, if no longer
        where the model has them from.
    last : int, optional
        Blocks to train. By default all behind the point where the image is last halved, and the last alone for under
        500 images. 0 trains a head only.
    from_layer : str, optional
        Train the layers behind this one, in place of `last`.
    head : int, optional
        Width of the hidden layer, for ``last=0``.
    epochs : int, optional
        Passes over the images, at most; 15 by default, 60 for a head.
    rate : float, optional
        Highest learning rate of Adam; 1e-3 by default, 1e-4 for under 500 images. It rises to this within two epochs
        and then falls to 0 along a cosine.
    patience : int
        Epochs without a better one after which training ends.
    seed : int
        Of the division of the images, their order, and all else that is drawn.
    views : int
        Augmented views of each image, as in `extract`: in every epoch an image is seen as it is or as one of them. Each
        costs as much time and room before the training as the image itself, and nothing in it.
    flip : bool
        Mirror half of the views; not for signs, digits or text.
    validation : float, str or path
        Share of the images that the epochs are compared on (copies of a file and groups stay together); or the name of
        a split of the source; or a folder, CSV or store, of which copies of training images are left out.
    group_by : str, optional
        Regular expression that is searched in each path; images where it finds the same text stay together when a
        share is held out.
    keep_cache : bool
        Keep the activations in the cache folder, for the next tuning of the same network on the same images.
    path_column, label_column, root
        As in `extract`.
    runtime, device, batch_size, workers, max_pixels, timeout
        As in `extract`, for the activations and features. The training itself runs on Keras.
    out : path, optional
        Folder of all results; by default ``artifacts/weights`` and ``artifacts/models``.
    progress : Progress, bool or None
        As in `extract`; the parts of the task are epochs, and `step` gets a sentence about each.

    Returns
    -------
    Tuned
        The weights' file (``<name>.weights.h5``, for `extract`), the model (``<name>-tuned.skops``), the record
        (``<name>.json``: recipe, curves, digests of the images) and the figures of every epoch.

    Raises
    ------
    UsageError
        A model that is no logistic regression, a layer at which the network can't be split, or options that make no
        sense.
    DataError
        No labels, too few images of a class, or labels that have changed since the model was fitted.
    WeightsError, SpecMismatch
        The weights of the model's backbone are gone, or are others now.
    StoreError
        There is no space for the activations.
    Interrupted
        Stopped by the user; the epochs so far are kept.

    References
    ----------
    A. Kumar, A. Raghunathan, R. Jones, T. Ma, P. Liang (2022). Fine-tuning can distort pretrained features and
    underperform out-of-distribution. ICLR.
    """
    run = RunOptions(
        runtime=runtime,
        device=device,
        batch_size=batch_size,
        workers=workers,
        max_pixels=max_pixels,
        timeout=timeout,
    )
    job = TuningJob(
        source=source_path(source),
        table=TableOptions(
            path_column=path_column, label_column=label_column, root=None if root is None else source_path(root)
        ),
        last=last,
        from_layer=from_layer,
        head=head,
        epochs=epochs,
        rate=rate,
        patience=patience,
        seed=seed,
        views=views,
        flip=flip,
        validation=str(validation) if isinstance(validation, Path | str) else validation,
        group_by=group_by,
        keep_cache=keep_cache,
        out=None if out is None else Path(out),
    )
    with observed(progress) as observer:
        if job.head is not None:
            if model is not None:
                raise UsageError("a head with a hidden layer begins with nothing: leave out the model, or `head`")
            request = Request(
                backbone=backbone or Request.backbone,
                weights=str(weights or Request.weights),
                image_size=image_size,
            )
            found = _head(job, request, run, observer, given=backbone is not None)
            observer.end(found.record, found)
            return found
        if model is None:
            raise UsageError(
                "tuning starts from a model: fit a logistic regression on features of these images first "
                "(featx.fit), and name it"
            )
        if backbone is not None or image_size is not None:
            raise UsageError(
                "the model says which backbone and image size it has: leave out `backbone` and `image_size`"
            )
        start = Model.load(model) if isinstance(model, Path | str) else model
        _check_start(start)
        training, other = find_images(job)
        images = labelled(training), None if other is None else labelled(other)
        check_classes(images[0], start.classes)
        found = tune_tail(start, runner_of(start, weights=weights, options=run), images, job, observer)
        observer.end(found.record, found)
        return found


def _check_start(model: Model) -> None:
    """Refuse a model that can't be the start of a tuning."""
    if model.clf != "logreg":
        raise UsageError(
            f"tuning starts from a logistic regression, and the model {model.name} is {model.clf}: fit one with "
            '`clf="logreg"` on the same features'
        )
    fold(model.pipeline)
    if model.spec.precision != "float32":
        raise UsageError(
            f"tuning computes in float32, and the features of the model {model.name} are {model.spec.precision}: "
            "extract and fit with `precision=float32`"
        )
    if find(model.spec.backbone).formula:
        raise UsageError(
            f"the backbone {model.spec.backbone} is a formula and has nothing to train; take a network, or train a "
            "head with `last=0` and `head`"
        )


def _head(job: TuningJob, request: Request, run: RunOptions, progress: Progress, *, given: bool) -> Tuned:
    """Train a head on the features of a store, or of images that are extracted into their usual store."""
    images = find_images(job)
    if job.source.suffix.lower() in STORE_SUFFIXES and not job.source.is_dir():
        if given:
            raise UsageError("a feature store says which backbone it has: leave out `backbone`")
        stores = [open_store(job.source)]
        if images[1] is not None:
            from featx.pipeline.filling.runner import runner_again

            first = stores[0]
            runner = runner_again(
                first.spec, made=str(first.path), recorded=first.weights_source, near=first.path, options=run
            )
            stores.append(_extracted(runner, images[1], progress))
    else:
        runner = BackboneRunner.resolve(request, run)
        stores = [_extracted(runner, one, progress) for one in images if one is not None]
    return tune_head(stores[0], stores[1] if len(stores) > 1 else None, job, progress=progress)


def _extracted(runner: BackboneRunner, images: Manifest, progress: Progress) -> FeatureStore:
    """Extract images into their usual store, also those without a label, which may be there already."""
    (extraction,) = extract_with(
        Job(source=images.source, for_scoring=True), [runner], [images], progress=WithoutEnd(progress)
    )
    assert extraction.store is not None
    return extraction.store
