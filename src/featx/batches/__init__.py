"""Decoder processes under supervision: batches of images in order, and the failures beside them.

In the order of a call: `decoders` distributes images and yields batches, `batch` assembles them from ring slots,
`supervisor` keeps the processes alive and finds the image that one died of, `process` is such a process seen from
outside, `worker` runs inside it, `ring` is the memory they share. `readers` tells of readers that were installed since.

A name loads its module when it is first used, because a decoder process needs `worker` alone and should start fast.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featx.batches.batch import Batch, FileFacts
    from featx.batches.decoders import DecodeOptions, Decoders
    from featx.batches.readers import has_reader_now

__all__ = ["Batch", "DecodeOptions", "Decoders", "FileFacts", "has_reader_now"]

_HOMES = {
    "Batch": "batch",
    "FileFacts": "batch",
    "DecodeOptions": "decoders",
    "Decoders": "decoders",
    "has_reader_now": "readers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
