"""Plan a store with a slot for every image, or resume the partial store of an earlier run."""

import contextlib
import logging
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import StoreError, StoreInUse
from featx.files import NotOwnFile, open_own, open_regular
from featx.manifest import Manifest
from featx.spec import ExtractionSpec
from featx.store import layout as hdf5
from featx.store.contents import Provenance, planned
from featx.store.disk import store_errors, sync_folder
from featx.store.format import ROW_COLUMNS, LayoutError
from featx.store.layout import Layout
from featx.store.locking import Lock, lock_path
from featx.store.partial import Partial, partial_path, sealing_path

logger = logging.getLogger(__name__)

_MAY_DIFFER = ("found", "extracted", "reused", "failed", "created", "seconds", "content_digest")
"""Attributes that don't keep a partial store from being resumed, since they are written when it is sealed.

All others are sealed as they stand there, so they must be what a new store would say.
"""


def plan(
    target: Path,
    manifest: Manifest,
    spec: ExtractionSpec,
    *,
    feature_shape: tuple[int, ...],
    provenance: Provenance,
    resume: bool = True,
) -> "Partial":
    """Make ``<target>.partial`` with a slot and space for every image, or resume the one that is there.

    It is resumed where it is of the same plan: spec, feature shape, provenance, root, split, paths, labels, classes,
    groups, and the files' sizes and times as listed. Rows that no longer agree with their checksums are pending again.
    Anything else at that place is replaced; `rows_of` gives its rows beforehand. The target itself isn't touched.

    Parameters
    ----------
    target : Path
        The store to be; its folder is made where it isn't there.
    manifest : Manifest
        The images; image i gets slot i.
    spec : ExtractionSpec
        What decides the features' values.
    feature_shape : tuple of int
        Shape of one feature before it is flattened.
    provenance : Provenance
        How they are computed.
    resume : bool
        Whether the partial store that is there may be gone on with; if not, it is replaced whatever it is.

    Returns
    -------
    Partial
        To be used as a context manager; it holds a lock until it is closed.

    Raises
    ------
    StoreInUse
        Another process writes the same target.
    StoreError
        It can't be written, or there is no space for it.
    """
    target = Path(target).absolute()
    width, views = math.prod(feature_shape), 0 if provenance.views is None else provenance.views.count
    size = 4e-6 * len(manifest) * (1 + views) * width
    what = f"the {size:,.0f} MB of its features" + (f" and of {views} views of each image" if views else "")
    with contextlib.ExitStack() as on_error, store_errors(target, what):
        if target.is_dir():
            raise StoreError(f"{target} is a folder, but features are written to a file; give the path of a file")
        if partial_path(target).is_dir():
            raise StoreError(
                f"{partial_path(target)} is a folder, but featx needs this name for an unfinished store; rename or "
                "move the folder"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(target)
        on_error.callback(lock.release)
        for leftover in (_planning_path(target), sealing_path(target)):
            leftover.unlink(missing_ok=True)
        attributes, columns = planned(manifest, spec, feature_shape, provenance)
        layout = _resumable(target, attributes, columns) if resume else None
        if layout is None:
            layout = _create(target, attributes, columns, width=width, views=views)
        partial = Partial(target, layout, lock)
        on_error.pop_all()
    return partial


def remove_leftovers(target: Path) -> None:
    """Remove the files that a process has left beside a whole store by ending just after sealing it.

    A partial store of another plan holds work that another run may want, and is kept. Where another process is at work
    or nothing may be removed, all is.
    """
    beside = (partial_path(target), sealing_path(target), _planning_path(target), lock_path(target))
    if not any(path.exists() for path in beside):
        return
    with contextlib.suppress(OSError, StoreInUse), contextlib.ExitStack() as locked:
        locked.callback(Lock(target).release)
        for leftover in (sealing_path(target), _planning_path(target)):
            leftover.unlink(missing_ok=True)
        if _plan_of(partial_path(target)) == _plan_of(target):
            partial_path(target).unlink()


def _plan_of(path: Path) -> str | None:
    try:
        with open_regular(path) as file:
            return hdf5.scan(file).text("plan")
    except (LayoutError, FileNotFoundError):
        return None


def _resumable(target: Path, attributes: dict[str, NDArray[Any]], columns: dict[str, NDArray[Any]]) -> Layout | None:
    """Return the layout of the partial store that is there; None if there is none of this plan."""
    path = partial_path(target)
    try:
        with open_own(path) as file:
            layout = hdf5.scan(file)
            there = {name: layout.read(file.fileno(), name) for name in layout.places if name in columns}
            # The digest of the plan says that it was the same, the members themselves that they still are.
            same = _agree(layout.attributes, attributes, but=_MAY_DIFFER) and _agree(
                there, columns, but=(*ROW_COLUMNS, "status")
            )
    except FileNotFoundError:
        return None
    except LayoutError as error:
        logger.warning("%s %s; it is started again from the beginning", path, error)
        return None
    except NotOwnFile as error:
        logger.warning("%s; it is started again from the beginning", error)
        return None
    if not same:
        logger.warning("%s is from a run with other images or settings; it is started again from the beginning", path)
        return None
    return layout


def _agree(found: Mapping[str, NDArray[Any]], wanted: Mapping[str, NDArray[Any]], *, but: Collection[str]) -> bool:
    """Compare all members but those named in `but`."""
    return all(name in found and np.array_equal(found[name], wanted[name]) for name in wanted if name not in but)


def _create(
    target: Path, attributes: dict[str, NDArray[Any]], columns: dict[str, NDArray[Any]], *, width: int, views: int
) -> Layout:
    """Create the partial store under another name and rename it, so that it appears whole."""
    planning = _planning_path(target)
    try:
        layout = hdf5.create(planning, attributes=attributes, columns=columns, width=width, views=views)
        planning.replace(partial_path(target))
    except BaseException:
        planning.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)
    return layout


def _planning_path(target: Path) -> Path:
    return target.with_name(target.name + ".planning")
