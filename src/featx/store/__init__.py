"""The feature store: one HDF5 file of the features of one manifest under one spec.

`featx.store.layout`   what the file holds and where: format 1, as ``docs/feature-store.md`` writes it down
`featx.store.text`     names of any bytes as fixed-length columns, and back
`featx.store.locking`  one process at a time on one target
`featx.store.sealed`   open a finished store
`featx.store.partial`  plan a store, fill it, seal it
`featx.store.rows`     rows of an older store or of a partial one, to be copied by digest
"""

from featx.store.partial import Partial, Provenance, partial_path, plan
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
