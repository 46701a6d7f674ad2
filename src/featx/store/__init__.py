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
"""

from featx.store.contents import Provenance
from featx.store.partial import Partial, partial_path
from featx.store.planning import plan
from featx.store.rows import StoredRows, rows_of
from featx.store.sealed import FeatureStore, open_store

__all__ = [
    "FeatureStore",
    "Partial",
    "Provenance",
    "StoredRows",
    "open_store",
    "partial_path",
    "plan",
    "rows_of",
]
