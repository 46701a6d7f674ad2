"""Supervised decoder processes over a shared-memory ring: ordered batches, failures beside them and never in them.

In the order of a call: `decoders` hands images out and gives batches back, `batch` puts them together from ring slots,
`supervisor` keeps the processes alive and finds the image that one died of, `process` is such a process seen from
outside, `worker` what runs inside it, `ring` the memory they share.

The names load what they need when they are first used: a decoder process needs `worker` alone, and is to be up soon.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featx.batches.batch import Batch, FileFacts
    from featx.batches.decoders import DecodeOptions, Decoders

__all__ = ["Batch", "DecodeOptions", "Decoders", "FileFacts"]

_HOMES = {"Batch": "batch", "FileFacts": "batch", "DecodeOptions": "decoders", "Decoders": "decoders"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
