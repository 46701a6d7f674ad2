"""Description of a feature store or a model as plain data."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from featx.leakage.tuned import among
from featx.pipeline.naming import MODEL_SUFFIX
from featx.spec import ViewsSpec
from featx.store import open_store


def describe(path: Path | str) -> dict[str, Any]:
    """Describe how a feature store or a model was made, in values that JSON can hold.

    Parameters
    ----------
    path : path
        A feature store, or a model (ending in ``.skops``).

    Raises
    ------
    StoreError, ModelError
        It is neither, or damaged.
    """
    path = Path(path)
    return _model(path) if path.suffix.lower() == MODEL_SUFFIX else _store(path)


def _store(path: Path) -> dict[str, Any]:
    store = open_store(path)
    return {
        "kind": "feature store",
        "path": str(store.path),
        "bytes": path.stat().st_size,
        "rows": len(store),
        "width": int(store.features.shape[1]),
        "views": _views(store.views_spec, "the store also holds", "image"),
        "feature_shape": list(store.feature_shape),
        "classes": store.class_counts,
        "unlabelled": int((store.labels < 0).sum()),
        "split": store.split,
        "groups": None if store.groups is None else len(set(store.groups)),
        "found": store.found,
        "extracted": store.extracted,
        "reused": store.reused,
        "failed": store.failed,
        "failures": [
            {"path": failure.path, "reason": failure.reason, "message": failure.message} for failure in store.failures
        ],
        "source": store.source,
        "root": store.root,
        "spec": json.loads(store.spec.to_json()),
        "fingerprint": store.fingerprint,
        "weights_source": store.weights_source,
        "weights_tuned_on": _tuned(len(store.tuned_on), int(among(store.digests, store.tuned_on).sum())),
        "runtime": store.runtime,
        "precision": store.precision,
        "featx_version": store.featx_version,
        "created": store.created,
        "seconds": store.seconds,
        "content_digest": store.content_digest,
    }


def _tuned(images: int, own: int) -> dict[str, int] | None:
    """Count the images that the weights were tuned on, and those of them that are here."""
    return None if not images else {"images": images, "of_these": own}


def _views(spec: ViewsSpec | None, verb: str, each: str) -> dict[str, Any] | None:
    if spec is None:
        return None
    words = f"{verb} {spec.said} of each {each}"
    return {"in_words": words, **json.loads(spec.to_json()), "fingerprint": spec.fingerprint}


def _model(path: Path) -> dict[str, Any]:
    # A store is described without scikit-learn.
    from featx.model import Model

    model = Model.load(path)
    counts = [int((model.labels == label).sum()) for label in range(len(model.classes))]
    return {
        "kind": "model",
        "path": str(path.absolute()),
        "bytes": path.stat().st_size,
        "name": model.name,
        "clf": model.clf,
        "params": dict(model.params),
        "classes": dict(zip(model.classes, counts, strict=True)),
        "width": model.width,
        "folds": model.selection.folds,
        "sweep": [{**row.params, "mean": row.mean, "std": row.std} for row in model.selection.rows],
        "store": {key: value for key, value in dataclasses.asdict(model.origin).items() if key != "spec"},
        "spec": json.loads(model.spec.to_json()),
        "fingerprint": model.spec.fingerprint,
        "views": _views(model.views, "the model was also fitted on", "training image"),
        "weights_source": model.weights_source,
        "weights_tuned_on": _tuned(len(model.tuned_on), int(model.tuned.sum())),
        "versions": dict(model.versions),
        "created": model.created,
    }
