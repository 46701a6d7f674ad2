"""`Model`, a fitted classifier with its classes, its spec and its cross-validated predictions."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from featx import notebook
from featx.classifiers import (
    RECIPES,
    ROWS_AT_ONCE,
    check_features,
    class_probabilities,
    class_scores,
    has_probabilities,
    trusted_steps,
)
from featx.errors import DataError, ModelError, SpecMismatch
from featx.files import parse_json
from featx.leakage.tuned import NO_TEST, among
from featx.model import archive
from featx.model.contents import PREDICTIONS, arrays_of, misfits, record_of, selection_from
from featx.model.origin import Origin
from featx.model.ranking import Ranking
from featx.selection import Selection
from featx.selection.calibration import Calibration
from featx.spec import ExtractionSpec, ViewsSpec
from featx.words import counted, some

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Model:
    """A fitted classifier with its classes, its spec and its cross-validated predictions.

    Parameters
    ----------
    name : str
        As in the name of its file.
    clf : str
        Name of the classifier; of an estimator from elsewhere, its type's.
    params : mapping of str to Any
        What the classifier was made with: the hyperparameters chosen, class_weight, normalize, pca, seed, and the
        kernel of an SVM. Where it was fitted with K views, C is that of images: the classifier's own is C / (1 + K),
        since each of an image's 1 + K rows has an equal share of its weight.
    pipeline : sklearn.pipeline.Pipeline
        Scaler and classifier, fitted on all rows; its labels are indices into `classes`.
    classes : tuple of str, length k
        Names.
    selection : Selection
        The sweep and the out-of-fold predictions, whose rows are those of `labels`.
    labels : (n,) int32
        Of the images it was fitted on, as indices into `classes`.
    digests : (n, 32) uint8
        SHA-256 of the image files it was fitted on.
    origin : Origin
        The store they are from.
    calibration : Calibration or None
        What makes probabilities of scores, fitted on the out-of-fold scores; None without cross-validation.
    tuned_on : (t, 32) uint8
        SHA-256 of the image files that the backbone's weights were tuned on; t is 0 where they weren't.
    views : ViewsSpec or None
        Views of each image that it was fitted on too; None where it was fitted on the images alone.
    versions : mapping of str to str
        Of what made it.
    created : str
        When, ISO 8601, UTC.
    file : Path or None
        The file that it was loaded from, absolute; not a part of it.
    ranking : Ranking or None
        All classifiers that ``fit(clf="all")`` fitted beside it; None of any other fit. Not a part of the file.
    """

    name: str
    clf: str
    params: Mapping[str, Any]
    pipeline: Pipeline
    classes: tuple[str, ...]
    selection: Selection
    labels: NDArray[np.int32]
    digests: NDArray[np.uint8]
    origin: Origin
    calibration: Calibration | None = None
    tuned_on: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 32), np.uint8))
    views: ViewsSpec | None = None
    versions: Mapping[str, str] = field(default_factory=archive.versions)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    file: Path | None = None
    ranking: Ranking | None = None

    def __repr__(self) -> str:
        k, n = len(self.classes), len(self.labels)
        return (
            f"<Model {self.name}: {self._made} on {self.spec.backbone} · {counted(k, 'class', 'classes')} · "
            f"{counted(n, 'image')} · {self._accuracy}>"
        )

    def _repr_html_(self) -> str:
        params = [f"{name} = {_short(value)}" for name, value in self.params.items() if value is not None]
        rows = [
            ("classifier", self.clf),
            ("hyperparameters", ", ".join(params) or "none"),
            ("classes", f"{len(self.classes)}: {some(self.classes)}"),
            ("backbone", f"{self.spec.backbone}, weights {self.weights_source}"),
            *([] if self.views is None else [("views", self.said_of_views)]),
            ("fitted on", f"{counted(len(self.labels), 'image')} of {self.origin.path}"),
            ("accuracy", self._accuracy),
            ("made", f"{self.created}, featx {self.versions.get('featx', '')}"),
        ]
        notes = ["the backbone is untrained"] if self.untrained else []
        return notebook.html_table(self.name, rows, notes=notes)

    @property
    def _made(self) -> str:
        chosen = ", ".join(f"{name} = {_short(value)}" for name, value in self.selection.params.items())
        return f"{self.clf} ({chosen})" if chosen else self.clf

    @property
    def _accuracy(self) -> str:
        if self.accuracy is None:
            return "not cross-validated"
        return f"cross-validated {self.accuracy:.1%}" + (f" ({NO_TEST})" if self.tuned.any() else "")

    def to_pandas(self) -> "pd.DataFrame":
        """Table for pandas of the sweep, a row for each point of the grid.

        Returns
        -------
        pandas.DataFrame
            A float64 column for each hyperparameter; ``mean`` and ``std`` (float64), the mean accuracy over the folds
            and its standard deviation, in [0, 1]; ``chosen`` (bool). Empty without cross-validation.

        Raises
        ------
        UsageError
            pandas isn't installed.
        """
        rows, chosen = self.selection.rows, self.selection.chosen
        return notebook.pandas().DataFrame(
            {name: [row.params[name] for row in rows] for name in self.selection.params}
            | {
                "mean": [row.mean for row in rows],
                "std": [row.std for row in rows],
                "chosen": [row is chosen for row in rows],
            }
        )

    @property
    def accuracy(self) -> float | None:
        """Share of its images that are classified right in the cross-validation, in [0, 1]; None without one.

        Where the choice of the hyperparameters was cross-validated too, it is the share in that.
        """
        found = self.selection.nested or self.selection.oof
        return None if found is None else float(np.mean(found.labels == self.labels))

    @property
    def tuned(self) -> NDArray[np.bool_]:
        """(n,): images that it was fitted on whose labels the backbone's weights have learnt before."""
        return among(self.digests, self.tuned_on)

    @property
    def spec(self) -> ExtractionSpec:
        """Spec that features must have."""
        return self.origin.spec

    @property
    def weights_source(self) -> str:
        """Source of the backbone's weights, as in `Origin`."""
        return self.origin.weights_source

    @property
    def said_of_views(self) -> str:
        """Sentence for people that says with which views it was fitted; empty without."""
        return "" if self.views is None else f"the model was also fitted on {self.views.said} of each training image"

    @property
    def untrained(self) -> bool:
        """True if the backbone was never trained, so that scores say little."""
        return self.weights_source == "none"

    @property
    def width(self) -> int:
        """Length of the feature vectors that the model takes."""
        return int(self.pipeline.n_features_in_)

    def check(self, spec: ExtractionSpec) -> None:
        """Compare a spec of features with the one that the model was fitted on.

        Raises
        ------
        SpecMismatch
            They aren't; the error holds the fields that differ.
        """
        differences = self.spec.differences(spec)
        if differences:
            raise SpecMismatch(
                f"model {self.name!r} can't be used on these features: extract them with the settings of the model",
                differences,
            )

    def predict(self, X: NDArray[Any]) -> NDArray[np.str_]:
        """Predict the class of every row.

        Parameters
        ----------
        X : (n, d) float32 or float64
            Features under the model's spec.

        Returns
        -------
        (n,) str
            Names of classes.

        Raises
        ------
        DataError
            Features of another width, or that aren't finite.
        """
        codes = self._by_blocks(self.pipeline.predict, X, np.empty(0, np.int64))
        names: NDArray[np.str_] = np.asarray(self.classes)[codes]
        return names

    def scores(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Score every class for every row, higher being likelier (`featx.classifiers.class_scores`).

        Parameters and errors are those of `predict`.

        Returns
        -------
        (n, k) float64
            Columns in the order of `classes`.
        """
        return self._by_blocks(lambda rows: class_scores(self.pipeline, rows), X, np.empty((0, len(self.classes))))

    def probabilities(self, X: NDArray[Any], *, views: NDArray[Any] | None = None) -> NDArray[np.float64] | None:
        """Give the probability of every class for every row.

        Calibrated on the scores of the cross-validation; without one the classifier's own, or None where it has none.
        Parameters and errors are those of `predict`; with `views` (n, K, d), features of views of the same images, the
        probabilities of an image and its views are averaged.

        Returns
        -------
        (n, k) float64 or None
            Columns in the order of `classes`; rows sum to one.
        """
        if views is not None:
            n, count, width = views.shape
            own, others = self.probabilities(X), self.probabilities(views.reshape(n * count, width))
            if own is None or others is None:
                return None
            averages: NDArray[np.float64] = (own + others.reshape(n, count, -1).sum(axis=1)) / (1 + count)
            return averages
        if self.calibration is not None:
            return self.calibration.probabilities(self.scores(X))
        if not has_probabilities(self.pipeline):
            return None
        return self._by_blocks(
            lambda rows: class_probabilities(self.pipeline, rows), X, np.empty((0, len(self.classes)))
        )

    def _by_blocks(
        self, function: Callable[[NDArray[Any]], Any], X: NDArray[Any], nothing: NDArray[Any]
    ) -> NDArray[Any]:
        check_features(X)
        if X.shape[1] != self.width:
            raise DataError(
                f"model {self.name!r} needs features of length {self.width}, found {X.shape[1]}: extract them with "
                "the settings of the model"
            )
        blocks = [function(X[first : first + ROWS_AT_ONCE]) for first in range(0, len(X), ROWS_AT_ONCE)]
        return np.concatenate(blocks) if blocks else nothing

    def save(self, path: Path | str) -> None:
        """Write the model to one file, whole or not at all.

        Parameters
        ----------
        path : Path or str
            Replaced where it exists; folders are made.

        Raises
        ------
        ModelError
            The file can't be written, or the model holds an estimator of a type that is not safe to load.
        """
        archive.write(Path(path), self._contents(), version=archive.PLAIN if self.views is None else archive.WITH_VIEWS)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a model from `save`; nothing in the file is executed.

        Parameters
        ----------
        path : Path or str
            A copy under another name is a model of that name.

        Raises
        ------
        ModelError
            There is no such file, or it is no whole, safe model that this version of featx can read.
        """
        path = Path(path)
        contents = archive.read(path)
        try:
            model = replace(cls._from_contents(contents), name=path.stem, file=path.absolute())
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{str(path)!r} is not a valid model: its contents contradict each other ({error}); fit again"
            ) from error
        fitted_with = model.versions["scikit-learn"]
        if fitted_with != sklearn.__version__:
            logger.warning(
                "model %r was fitted with scikit-learn %s, but this is scikit-learn %s: fit it again if results look "
                "wrong",
                model.name,
                fitted_with,
                sklearn.__version__,
            )
        return model

    def _contents(self) -> dict[str, Any]:
        """Take the model apart into the pipeline, plain arrays, and one JSON text of all else."""
        origin, selection = self.origin, self.selection
        record = {
            "name": self.name,
            "clf": self.clf,
            "params": dict(self.params),
            "classes": list(self.classes),
            "origin": {**asdict(origin), "spec": origin.spec.to_json()},
            "fingerprint": origin.fingerprint,
            "selection": record_of(selection),
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
            "versions": dict(self.versions),
            "created": self.created,
            **({} if self.views is None else {"views": self.views.to_json()}),
        }
        return {
            "pipeline": self.pipeline,
            "record": json.dumps(record),
            "labels": self.labels,
            "digests": self.digests,
            "tuned_on": self.tuned_on,
            **{name: arrays_of(getattr(selection, name)) for name in PREDICTIONS},
        }

    @classmethod
    def _from_contents(cls, contents: Any) -> Self:
        pipeline, record = contents["pipeline"], parse_json(contents["record"])
        kinds = [type(step) for _, step in pipeline.steps] if isinstance(pipeline, Pipeline) else [type(pipeline)]
        # An estimator from elsewhere may be of any type that the archive let pass.
        foreign = record.get("clf", next(iter(RECIPES))) not in RECIPES and isinstance(pipeline, Pipeline)
        strange = [kind.__name__ for kind in kinds if not foreign and kind not in trusted_steps()]
        if strange:
            raise ValueError(f"it has steps of the unknown type {', '.join(strange)}")
        selection, calibration = record["selection"], record["calibration"]
        model = cls(
            pipeline=pipeline,
            classes=tuple(record["classes"]),
            selection=selection_from(selection, contents),
            calibration=None if calibration is None else Calibration.from_dict(calibration),
            labels=contents["labels"],
            digests=contents["digests"],
            tuned_on=contents.get("tuned_on", np.empty((0, 32), np.uint8)),
            views=ViewsSpec.from_json(record["views"]) if "views" in record else None,
            origin=Origin(**{**record["origin"], "spec": ExtractionSpec.from_json(record["origin"]["spec"])}),
            **{name: record[name] for name in ("name", "clf", "params", "versions", "created")},
        )
        n, k = len(model.labels), len(model.classes)
        shapes = {
            "digests": model.digests.shape == (n, 32),
            "tuned_on": model.tuned_on.shape[1:] == (32,),
            "classes": len(pipeline.classes_) == k,
            **{part: not misfits(getattr(model.selection, part), (n, k)) for part in PREDICTIONS},
        }
        if record["fingerprint"] != model.origin.fingerprint:
            raise ValueError("the fingerprint doesn't belong to the spec")
        wrong = [name for name, right in shapes.items() if not right]
        if wrong:
            raise ValueError(f"the shape of {', '.join(wrong)} doesn't fit to {n} images of {k} classes")
        return model
