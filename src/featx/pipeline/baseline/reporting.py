"""From the predictions of a baseline to its report and the files beside it."""

import hashlib
import importlib.metadata
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx import reports
from featx.backbones.session import backend_name
from featx.errors import FeatxError
from featx.files import write_whole
from featx.leakage import Leak
from featx.manifest import Failure, outside
from featx.pipeline.baseline.pixels import RULES, Decoded
from featx.pipeline.baseline.sets import Sets
from featx.pipeline.evaluation.image_list import write_list
from featx.pipeline.evaluation.test_sets import LONGEST
from featx.pipeline.evaluation.thumbnails import Thumbnailer
from featx.pipeline.evaluation.training import keys
from featx.pipeline.naming import report_path
from featx.reports import Images, Report, page
from featx.statistics import Metrics, label_errors, measured, scored_images
from featx.training.recipe import Recipe
from featx.training.scratch import Trained, log_softmax
from featx.version import __version__
from featx.words import counted, some

logger = logging.getLogger(__name__)

CLF = "small network"
"""Name of the classifier in reports of baselines, whose backbone has no name."""


def free_name(sets: Sets) -> str:
    """Name of the test set in the names of files: one that no baseline of other images has in its default place."""
    name = _short(sets.name)
    try:
        earlier = Report.load(report_path(model_name(sets), name))
    except FeatxError:  # there is none, or nothing that is to be kept
        return name
    roots = (str(sets.test.root), str(sets.training.root))
    if (earlier.root, earlier.training_root) == roots:
        return name
    return f"{name}-{hashlib.sha256(os.fsencode(''.join(roots))).hexdigest()[:8]}"


def model_name(sets: Sets) -> str:
    """Name of a baseline among models."""
    return f"{_short(sets.training.name)}-baseline"


def _short(name: str) -> str:
    data = os.fsencode(name)
    return name if len(data) <= LONGEST else hashlib.sha256(data).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, eq=False)
class Baseline:
    """A trained network and its test images.

    Parameters
    ----------
    sets : Sets
        The images as they were listed.
    trained : Trained
        The network.
    recipe : Recipe
        The way in which it was trained.
    flip : bool
        Half of the training images were mirrored.
    training, test : Decoded
        The images that could be read.
    scores : (n, k) float32
        What the network gives the test images.
    seconds : float
        Time that reading and training took.
    """

    sets: Sets
    trained: Trained
    recipe: Recipe
    flip: bool
    training: Decoded
    test: Decoded
    scores: NDArray[np.float32]
    seconds: float


def report_of(found: Baseline, *, command: str) -> Report:
    """Put together what is known of the predictions for the test images."""
    sets, test = found.sets, found.test
    classes = sets.training.classes
    logarithms = log_softmax(found.scores)
    probabilities, predicted = np.exp(logarithms), logarithms.argmax(axis=1)
    labels = sets.test.labels[test.rows]
    paths = tuple(sets.test.paths[row] for row in test.rows)
    leaks = _leaks(found)
    leaked = np.isin(np.arange(len(paths)), [place for place, _ in leaks])

    def figures(rows: NDArray[np.bool_]) -> Metrics:
        return measured(
            scored_images(
                labels[rows],
                predicted[rows],
                classes=classes,
                scores=logarithms[rows],
                probabilities=probabilities[rows],
            )
        )

    everyone = np.ones(len(paths), np.bool_)
    scored = scored_images(labels, predicted, classes=classes, scores=logarithms, probabilities=probabilities)
    new = np.flatnonzero(~leaked)
    return Report(
        model=model_name(sets),
        scored_on=f"{sets.scored_on} ({counted(len(paths), 'image')})",
        test_set=sets.name,
        backbone="",
        clf=CLF,
        params=_params(found),
        classes=classes,
        metrics=figures(everyone),
        spec=json.dumps({**asdict(RULES), "trained": "from scratch"}),
        fingerprint="",
        root=str(sets.test.root),
        training_root=str(sets.training.root),
        images=Images(
            paths=paths,
            digests=tuple(bytes(digest).hex() for digest in test.digests),
            labels=labels.astype(np.int32),
            predicted=predicted.astype(np.int32),
            confidence=probabilities.max(axis=1),
        ),
        reliability=scored.reliability,
        leaks=tuple(leak for _, leak in leaks),
        without_leaks=figures(~leaked) if leaked.any() and not leaked.all() else None,
        label_errors=label_errors([paths[row] for row in new], labels[new], probabilities[new], classes=classes)
        if len(new)
        else (),
        failures=tuple((failure.path, failure.reason) for failure in test.failures),
        notes=(*sets.notes, *_notes(found, leaked=int(leaked.sum()))),
        remarks=sets.remarks,
        command=command,
        versions=_versions(),
    )


def _params(found: Baseline) -> dict[str, str | int | float | bool]:
    """List how the network was trained."""
    recipe, trained = found.recipe, found.trained
    return {
        "weights": trained.parameters,
        "image_size": RULES.image_size[0],
        "epochs": recipe.epochs,
        "epochs_trained": len(trained.history),
        "epoch_taken": trained.taken.number,
        "validation_accuracy": round(trained.taken.validation_accuracy, 4),
        "rate": recipe.rate,
        "flip": found.flip,
        "seed": recipe.seed,
        "training_images": len(found.training.rows),
        "seconds": round(found.seconds, 1),
    }


def _notes(found: Baseline, *, leaked: int) -> list[str]:
    notes = []
    if failures := found.training.failures:
        what = f"{counted(len(failures), 'training image')} could not be read and {_were(len(failures))} left out"
        notes.append(f"{what}: {some([failure.path for failure in failures])}")
    if leaked:
        notes.append(
            f"the network was trained on {leaked:,} of {counted(len(found.test.rows), 'image')}, or on exact copies of "
            "them: figures that include these images are too high"
        )
    return notes


def _leaks(found: Baseline) -> list[tuple[int, Leak]]:
    """Find test images whose very file is among the training images, by its digest: place among them, and the pair."""
    training, test = found.sets.training, found.sets.test
    known = dict(zip(keys(found.training.digests), found.training.rows.tolist(), strict=True))
    return [
        (
            place,
            Leak(
                path=test.paths[row],
                other=training.paths[known[key]],
                kind="exact",
                where="train-test",
                labels=(test.classes[test.labels[row]], training.classes[training.labels[known[key]]]),
            ),
        )
        for place, (key, row) in enumerate(zip(keys(found.test.digests), found.test.rows.tolist(), strict=True))
        if key in known
    ]


def write(report: Report, target: Path, *, sources: tuple[Path, ...], thumbnailer: Thumbnailer, safe: bool) -> None:
    """Write the report, the list of images, the confusion matrix and the page, each whole or not at all.

    Images outside the folders of the data are not shown on the page.
    """
    assert report.images is not None
    report.save(target)
    write_list(report, target.with_suffix(".csv"), safe=safe)
    reports.plot_confusion(report, target.with_suffix(".png"))
    shown = page.wanted(report)
    hidden = outside(report.root, shown, also=sources)
    pairs = page.wanted_training(report)
    hidden_pairs = outside(report.training_root, pairs, also=sources)
    if count := len(hidden) + len(hidden_pairs):
        logger.warning("not shown on the page, because they lie outside %s: %s", report.root, counted(count, "image"))
    digests = dict(zip(report.images.paths, map(bytes.fromhex, report.images.digests), strict=True))
    # The training image of a pair is the same file.
    of_pairs = {leak.other: digests[leak.path] for leak in report.leaks}
    text = page.render(
        report,
        thumbnails=thumbnailer.thumbnails(report.root, [one for one in shown if one not in hidden], digests=digests),
        training=thumbnailer.thumbnails(
            report.training_root, [one for one in pairs if one not in hidden_pairs], digests=of_pairs
        ),
    )
    write_whole(target.with_suffix(".html"), text.encode("utf-8", "surrogateescape"))


def unreadable(found: Baseline) -> list[Failure]:
    """List the images of both sets that could not be read."""
    return [*found.training.failures, *found.test.failures]


def _versions() -> dict[str, str]:
    names = ("keras", backend_name(), "numpy")
    return {"featx": __version__, **{name: importlib.metadata.version(name) for name in names}}


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
