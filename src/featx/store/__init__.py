"""The feature store: one HDF5 file of the features of one manifest under one spec.

`featx.store.format`    what a store must hold, and the digests over it: ``docs/feature-store.md`` as tables
`featx.store.text`      names of any bytes as fixed-length columns, and back
`featx.store.disk`      bytes to and from a place in a file
`featx.store.layout`    where a file holds what, by h5py, the one module that imports it
`featx.store.locking`   one process at a time on one target
`featx.store.sealed`    open a finished store
`featx.store.contents`  what a store says before its first row, and of the images that get none
`featx.store.partial`   fill a store, seal it
`featx.store.planning`  plan a store, or resume it
`featx.store.rows`      rows of an older store or of a partial one, to be copied by digest
`featx.store.verifying` hold a whole file against every rule and every checksum
`featx.store.repairing` write damaged rows anew, into a copy that takes the store's place
"""

import importlib
from typing import TYPE_CHECKING, Any

from featx.store.contents import Provenance
from featx.store.partial import Partial, partial_path
from featx.store.planning import plan, remove_leftovers
from featx.store.rows import StoredRows, Unfinished, files_of, fingerprint_of, rows_of, unfinished, views_spec_of
from featx.store.sealed import FeatureStore, open_store

if TYPE_CHECKING:
    from featx.store.repairing import Repair
    from featx.store.verifying import Findings, check

_LATER = {"Repair": "repairing", "Findings": "verifying", "check": "verifying"}
"""Modules of what is loaded when it is first used."""

__all__ = [
    "FeatureStore",
    "Findings",
    "Partial",
    "Provenance",
    "Repair",
    "StoredRows",
    "Unfinished",
    "check",
    "files_of",
    "fingerprint_of",
    "open_store",
    "partial_path",
    "plan",
    "remove_leftovers",
    "rows_of",
    "unfinished",
    "views_spec_of",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value
