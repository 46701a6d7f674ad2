"""featx: from a folder of images to a scored classifier, by way of cached features.

>>> import featx
>>> store = featx.extract("data/train", backbone="resnet50")
>>> model = featx.fit(store, clf="svm")
>>> report = featx.score(model, "data/test")
>>> featx.predict(model, ["new.jpg"])

Every public name loads what it needs when it is first used, so importing featx costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

from featx.version import __version__

if TYPE_CHECKING:
    from featx.classifiers import make_classifier
    from featx.errors import (
        DataError,
        DecoderError,
        FeatxError,
        ImageError,
        Interrupted,
        ModelError,
        SourceError,
        SpecMismatch,
        StoreError,
        StoreInUse,
        TooManyFailures,
        UnreadableWarning,
        UsageError,
        WeightsError,
    )
    from featx.gallery import Gallery, show
    from featx.manifest import Failure
    from featx.model import Model, Ranking
    from featx.pipeline.baseline.verb import baseline
    from featx.pipeline.comparing import compare, compare_all
    from featx.pipeline.curves.verb import curve
    from featx.pipeline.exporting import export
    from featx.pipeline.extraction import extract, extract_all
    from featx.pipeline.filling.job import Extraction
    from featx.pipeline.fitting import fit, fit_all
    from featx.pipeline.prediction import Predictions, predict, predict_batches
    from featx.pipeline.scoring import score, score_all
    from featx.pipeline.tuning.results import Tuned
    from featx.pipeline.tuning.verb import tune
    from featx.pipeline.verifying import Verification, verify
    from featx.progress import Progress, Silent, Step
    from featx.reports import Report
    from featx.reports.curve import Curve
    from featx.spec import ExtractionSpec, ViewsSpec
    from featx.statistics.comparison import Comparisons
    from featx.store import FeatureStore
    from featx.store import open_store as open  # noqa: A004  (featx.open, as h5py.open would be)
    from featx.transformers import Backbone, ImageLoader

_PUBLIC = {
    "extract": "featx.pipeline.extraction",
    "extract_all": "featx.pipeline.extraction",
    "Extraction": "featx.pipeline.filling.job",
    "fit": "featx.pipeline.fitting",
    "fit_all": "featx.pipeline.fitting",
    "tune": "featx.pipeline.tuning.verb",
    "Tuned": "featx.pipeline.tuning.results",
    "score": "featx.pipeline.scoring",
    "score_all": "featx.pipeline.scoring",
    "baseline": "featx.pipeline.baseline.verb",
    "compare": "featx.pipeline.comparing",
    "compare_all": "featx.pipeline.comparing",
    "Comparisons": "featx.statistics.comparison",
    "curve": "featx.pipeline.curves.verb",
    "Curve": "featx.reports.curve",
    "predict": "featx.pipeline.prediction",
    "predict_batches": "featx.pipeline.prediction",
    "Predictions": "featx.pipeline.prediction",
    "verify": "featx.pipeline.verifying",
    "Verification": "featx.pipeline.verifying",
    "export": "featx.pipeline.exporting",
    "show": "featx.gallery",
    "Gallery": "featx.gallery",
    "open": "featx.store:open_store",
    "FeatureStore": "featx.store",
    "make_classifier": "featx.classifiers",
    "Model": "featx.model",
    "Ranking": "featx.model",
    "Report": "featx.reports",
    "ExtractionSpec": "featx.spec",
    "ViewsSpec": "featx.spec",
    "Failure": "featx.manifest",
    "Progress": "featx.progress",
    "Silent": "featx.progress",
    "Step": "featx.progress",
    "ImageLoader": "featx.transformers",
    "Backbone": "featx.transformers",
    "FeatxError": "featx.errors",
    "UsageError": "featx.errors",
    "SourceError": "featx.errors",
    "WeightsError": "featx.errors",
    "StoreError": "featx.errors",
    "SpecMismatch": "featx.errors",
    "StoreInUse": "featx.errors",
    "ModelError": "featx.errors",
    "DataError": "featx.errors",
    "ImageError": "featx.errors",
    "DecoderError": "featx.errors",
    "TooManyFailures": "featx.errors",
    "Interrupted": "featx.errors",
    "UnreadableWarning": "featx.errors",
}

__all__ = [
    "Backbone",
    "Comparisons",
    "Curve",
    "DataError",
    "DecoderError",
    "Extraction",
    "ExtractionSpec",
    "Failure",
    "FeatureStore",
    "FeatxError",
    "Gallery",
    "ImageError",
    "ImageLoader",
    "Interrupted",
    "Model",
    "ModelError",
    "Predictions",
    "Progress",
    "Ranking",
    "Report",
    "Silent",
    "SourceError",
    "SpecMismatch",
    "Step",
    "StoreError",
    "StoreInUse",
    "TooManyFailures",
    "Tuned",
    "UnreadableWarning",
    "UsageError",
    "Verification",
    "ViewsSpec",
    "WeightsError",
    "__version__",
    "baseline",
    "compare",
    "compare_all",
    "curve",
    "export",
    "extract",
    "extract_all",
    "fit",
    "fit_all",
    "make_classifier",
    "open",
    "predict",
    "predict_batches",
    "score",
    "score_all",
    "show",
    "tune",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'featx' has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    value = getattr(importlib.import_module(module), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
