"""The attributes and columns of a store before its first row, and the columns of its failures."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.manifest import Failure, Manifest
from featx.spec import ExtractionSpec, ViewsSpec
from featx.store.format import FORMAT, PLAIN, WITH_VIEWS, content_digest
from featx.store.text import encode, encode_attribute
from featx.version import __version__

MESSAGE_LENGTH = 500
"""Characters kept of a failure's message: the column is as wide as its longest."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Origin of the weights, runtime and precision, and the views: recorded, but no part of the features' spec.

    Parameters
    ----------
    weights_source : str
        A word such as ``imagenet``, or a file's path.
    runtime, precision : str
        What executes the backbone, and in which arithmetic.
    views : ViewsSpec or None
        Views of each image that the store holds too.
    tuned_on : (t, 32) uint8 or None
        Digests of the images that the weights were tuned on; None where they weren't.
    """

    weights_source: str
    runtime: str
    precision: str
    views: ViewsSpec | None = None
    tuned_on: NDArray[np.uint8] | None = None


def planned(
    manifest: Manifest, spec: ExtractionSpec, feature_shape: tuple[int, ...], provenance: Provenance
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Make the attributes and columns of a store before its first row."""
    n = len(manifest)
    same = {
        **encode_attribute("format", FORMAT),
        "format_version": np.array(PLAIN if provenance.views is None else WITH_VIEWS, "<i8"),
        **encode_attribute("spec", spec.to_json()),
        **encode_attribute("fingerprint", spec.fingerprint),
        **_views_attributes(provenance.views),
        "feature_shape": np.array(feature_shape, "<i8"),
        **encode_attribute("weights_source", provenance.weights_source),
        **encode_attribute("runtime", provenance.runtime),
        **encode_attribute("precision", provenance.precision),
        **encode_attribute("root", os.fspath(manifest.root)),
        **({} if manifest.split is None else encode_attribute("split", manifest.split)),
    }
    columns = {
        **encode("paths", manifest.paths),
        "labels": np.asarray(manifest.labels, "<i4"),
        **encode("classes", manifest.classes),
        **({} if manifest.groups is None else encode("groups", manifest.groups)),
        **({} if provenance.tuned_on is None else {"tuned_on": np.ascontiguousarray(provenance.tuned_on, np.uint8)}),
        "sizes": np.asarray(manifest.sizes, "<i8"),
        "mtimes_ns": np.asarray(manifest.mtimes_ns, "<i8"),
    }
    attributes = {
        **same,
        "plan": np.array(content_digest(same, columns).encode()),
        **encode_attribute("featx_version", __version__),
        **encode_attribute("name", manifest.name),
        **encode_attribute("source", os.fspath(manifest.source)),
        **{name: np.array(0, "<i8") for name in ("found", "extracted", "reused", "failed")},
        "seconds": np.array(0, "<f8"),
        # As long as they will be: an attribute is changed in place or not at all.
        "created": np.array(b"", "S20"),
        "content_digest": np.array(b"", "S64"),
    }
    columns |= {
        "digests": np.zeros((n, 32), np.uint8),
        "status": np.zeros(n, np.uint8),
        "checksums": np.zeros((n, 32), np.uint8),
        **({} if provenance.views is None else {"views_checksums": np.zeros((n, 32), np.uint8)}),
        **failure_columns(()),
    }
    return attributes, columns


def _views_attributes(views: ViewsSpec | None) -> dict[str, NDArray[Any]]:
    if views is None:
        return {}
    return {
        **encode_attribute("views_spec", views.to_json()),
        **encode_attribute("views_fingerprint", views.fingerprint),
    }


def failure_columns(failures: Sequence[Failure]) -> dict[str, NDArray[Any]]:
    """Make the columns of the images that have no row."""
    messages = [
        " ".join(failure.message.replace("\0", " ").split()).encode("utf-8", "replace").decode()[:MESSAGE_LENGTH]
        for failure in failures
    ]
    digests = b"".join(bytes.fromhex(failure.digest or "00" * 32) for failure in failures)
    return {
        **encode("failures/paths", [failure.path for failure in failures]),
        **encode("failures/reasons", [failure.reason for failure in failures]),
        **encode("failures/messages", messages),
        "failures/digests": np.frombuffer(digests, np.uint8).reshape(-1, 32),
        "failures/sizes": np.array([failure.size for failure in failures], "<i8"),
        "failures/mtimes_ns": np.array([failure.mtime_ns for failure in failures], "<i8"),
    }
