"""Comparison of a store's contents with what its file says about itself."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.spec import ExtractionSpec, ViewsSpec
from featx.store.format import LayoutError, content_digest
from featx.store.layout import Layout


def disagreements(layout: Layout, columns: Mapping[str, NDArray[Any]]) -> list[str]:
    """List what no longer agrees with what the file says about itself, except the rows' checksums.

    Raises
    ------
    LayoutError
        The spec can't be read.
    """
    attributes = layout.attributes
    status = np.bincount(columns["status"], minlength=3)
    counts = (0, int(attributes["extracted"]), int(attributes["reused"]))
    failed = len(columns["failures/paths"])
    labels, classes = columns["labels"], len(columns["classes"])
    try:
        fingerprint = ExtractionSpec.from_json(layout.text("spec")).fingerprint
    except (ValueError, TypeError, KeyError) as error:
        raise LayoutError(
            f"has a spec that this featx can't read (written by {layout.text('featx_version')})"
        ) from error
    rules = {
        "content_digest": content_digest(attributes, columns) == layout.text("content_digest"),
        "fingerprint": fingerprint == layout.text("fingerprint"),
        "feature_shape": math.prod(attributes["feature_shape"].tolist()) == columns["features"].shape[1],
        "status": tuple(status.tolist()) == counts,
        "failed": int(attributes["failed"]) == failed,
        "found": int(attributes["found"]) == len(labels) + failed,
        "labels": not len(labels) or (labels.min() >= -1 and labels.max() < classes),
        **_rules_of_views(layout, columns),
    }
    return [name for name, holds in rules.items() if not holds]


def _rules_of_views(layout: Layout, columns: Mapping[str, NDArray[Any]]) -> dict[str, bool]:
    if "views" not in columns:
        return {}
    try:
        spec = ViewsSpec.from_json(layout.text("views_spec"))
    except ValueError as error:
        raise LayoutError(
            f"has a spec of views that this featx can't read (written by {layout.text('featx_version')})"
        ) from error
    return {
        "views_fingerprint": spec.fingerprint == layout.text("views_fingerprint"),
        "views": spec.count == columns["views"].shape[1],
    }
