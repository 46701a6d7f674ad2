"""Default paths of stores, models, reports and exports."""

import hashlib
import os
from pathlib import Path

from featx.errors import UsageError
from featx.manifest import Manifest

FEATURES = Path("artifacts/features")
MODELS = Path("artifacts/models")
REPORTS = Path("artifacts/reports")
EXPORTS = Path("artifacts/exports")
TEST_SOURCE = Path("data/test")
TRAINING_SPLITS = (None, "train")
"""Splits of the stores that `fit` takes when none is named."""

STORE_SUFFIXES = frozenset({".h5", ".hdf5"})
MODEL_SUFFIX = ".skops"


def store_path(
    manifest: Manifest, *, backbone: str, layer: str | None = None, drawn: str, out: Path | None, several: bool
) -> Path:
    """Path of the feature store of one manifest.

    Parameters
    ----------
    manifest : Manifest
        Its images.
    backbone : str
        Name of the backbone.
    layer : str or None
        Name of the layer, where the backbone gives a store for each of several.
    drawn : str
        Which part of the source it is, so that it never replaces the whole or another part; empty for the whole.
    out : Path or None
        What the user asked for: a file ending in ``.h5``, or a folder.
    several : bool
        Whether the source gives more than one store, so that a file can't be meant.
    """
    # A layer of a user's own may have any name, but a file's name has no slash.
    part = "" if layer is None else f"-{layer.replace('/', '_')}"
    name = f"{manifest.name}-{backbone}{part}{drawn}.h5"
    if out is None:
        return FEATURES / name
    if out.suffix.lower() in STORE_SUFFIXES and not out.is_dir():
        if several:
            raise UsageError(
                f"{manifest.source} gives several feature stores (one for each split, backbone and layer), but {out} is"
                " one file: give a folder"
            )
        return out
    return out / name


def beside(target: Path, *, root: Path, fingerprint: str) -> Path:
    """Fallback file name, unique to this root and spec."""
    mark = hashlib.sha256(os.fsencode(root) + fingerprint.encode("ascii")).hexdigest()[:8]
    return target.with_stem(f"{target.stem}-{mark}")


def default_stores() -> list[Path]:
    """List the feature stores in their default place."""
    return sorted(FEATURES.glob("*.h5"))


def default_models() -> list[Path]:
    """List the models in their default place."""
    return sorted(MODELS.glob(f"*{MODEL_SUFFIX}"))


def model_path(store: Path, *, clf: str, kernel: str, out: Path | None, views: bool = False) -> Path:
    """Path of the model of one classifier on one store.

    Parameters
    ----------
    store : Path
        The feature store.
    clf, kernel : str
        Names of the classifier and its kernel.
    out : Path or None
        What the user asked for: a file ending in ``.skops``, or a folder.
    views : bool
        Whether it is fitted on views too, so that it doesn't replace the model without.
    """
    name = f"{store.stem}-{clf}" + "-rbf" * (kernel == "rbf") + "-views" * views + MODEL_SUFFIX
    if out is None:
        return MODELS / name
    return out if out.suffix.lower() == MODEL_SUFFIX and not out.is_dir() else out / name


def export_path(store: Path, *, to: str, out: Path | None) -> Path:
    """Path of what a store is exported to.

    Parameters
    ----------
    store : Path
        The feature store.
    to : str
        The format, which is the suffix as well.
    out : Path or None
        What the user asked for: a file with that suffix, or a folder.
    """
    name = f"{store.stem}.{to}"
    if out is None:
        return EXPORTS / name
    return out if out.suffix.lower() == f".{to}" and not out.is_dir() else out / name


def report_path(model: str, test_set: str = "") -> Path:
    """Path of the report of a model; its page, list and picture lie beside it, with suffixes of their own.

    Parameters
    ----------
    model : str
        Name of the model.
    test_set : str
        Name of the set of images that it was scored on; empty for cross-validation.
    """
    return REPORTS / (f"{model}-on-{test_set}.json" if test_set else f"{model}.json")
