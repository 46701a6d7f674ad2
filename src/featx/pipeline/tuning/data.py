"""The rows of cached values that a network is trained on, and those that its epochs are compared on."""

import importlib.metadata
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.model import Origin
from featx.pipeline.labels import groups_by
from featx.pipeline.tuning.images import divide, labels_by_model, without_copies
from featx.pipeline.tuning.job import TuningJob
from featx.store import FeatureStore
from featx.training.loop import Examples
from featx.words import counted


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Values by image, and the rows that a network is trained on and tried on.

    Parameters
    ----------
    store : FeatureStore
        The images to train on, and those held out of them.
    values : (n, ...) float32
        Their values, in the shape that is wanted.
    labels : (n,) int32
        Their classes, -1 for none.
    training, validation : Examples
        Rows of them, or of another store.
    validation_store : FeatureStore
        The store of the validation images; `store` itself where they are held out of it.
    notes : tuple of str
        What a reader should know of them.
    """

    store: FeatureStore
    values: NDArray[np.float32]
    labels: NDArray[np.int32]
    training: Examples
    validation: Examples
    validation_store: FeatureStore
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, store: FeatureStore, other: FeatureStore | None, classes: tuple[str, ...], job: TuningJob) -> "Data":
        """Divide a store, or take another for validation."""
        values = _shaped(store)
        labels = labels_by_model(store, classes)
        notes: tuple[str, ...] = ()
        if other is None:
            assert not isinstance(job.validation, str)
            groups = store.groups if job.group_by is None else groups_by(job.group_by, store.paths)
            rows, held = divide(store, labels, classes, groups=groups, share=job.validation, seed=job.seed)
            other, other_values, other_labels = store, values, labels
        else:
            other_values, other_labels = _shaped(other), labels_by_model(other, classes)
            rows, held = np.flatnonzero(labels >= 0), np.flatnonzero(other_labels >= 0)
            found = without_copies(other, held, of=store.digests[rows])
            if copies := len(held) - len(found):
                notes = (
                    counted(
                        copies,
                        "validation image is a copy of a training image and is left out",
                        "validation images are copies of training images and are left out",
                    ),
                )
            held = found
        return cls(
            store=store,
            values=values,
            labels=labels,
            training=Examples(values=values, rows=rows, labels=labels[rows], views=_views(store)),
            validation=Examples(values=other_values, rows=held, labels=other_labels[held]),
            validation_store=other,
            notes=notes,
        )

    @property
    def labelled(self) -> NDArray[np.int64]:
        """Rows of the training store that have a label."""
        return np.flatnonzero(self.labels >= 0)

    @property
    def everyone(self) -> Examples:
        """All images of the training store."""
        every = np.arange(len(self.store))
        return Examples(values=self.values, rows=every, labels=np.zeros(len(every), np.int32))

    @property
    def digests(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Digests (m, 32) of the images trained on, and of those that the epochs are compared on."""
        return self.store.digests[self.training.rows], self.validation_store.digests[self.validation.rows]

    def parts(self) -> dict[str, Any]:
        """Collect everything here that decides the result, for `digest_of`."""
        trained, compared = self.digests
        return {
            "images": [[bytes(one).hex() for one in part] for part in (trained, compared)],
            "labels": [part.labels.tolist() for part in (self.training, self.validation)],
        }


def _views(store: FeatureStore) -> NDArray[np.float32] | None:
    if store.views is None:
        return None
    return store.views.reshape(*store.views.shape[:2], *store.feature_shape)


def _shaped(store: FeatureStore) -> NDArray[np.float32]:
    return store.features.reshape(len(store), *store.feature_shape)


def origin_of(store: FeatureStore) -> Origin:
    """Describe a store as the one that a model was fitted on."""
    return Origin(
        name=store.path.stem,
        path=str(store.path),
        content_digest=store.content_digest,
        spec=store.spec,
        weights_source=store.weights_source,
    )


@dataclass(kw_only=True)
class Clock:
    """Seconds that the parts of a tuning took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Seconds of all parts, as a page of approaches compares them."""
        return round(sum(self.seconds.values()), 1)

    def timed(self, part: str, function: Callable[[], Any]) -> Any:
        """Call a function and note its time."""
        start = time.perf_counter()
        found = function()
        self.seconds[part] = round(time.perf_counter() - start, 3)
        return found


def versions() -> dict[str, str]:
    """Versions that decide the last bits of a result."""
    return {name: importlib.metadata.version(name) for name in ("keras", "tensorflow", "numpy")}
