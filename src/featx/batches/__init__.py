"""Supervised decoder processes over a shared-memory ring: ordered batches, failures beside them and never in them.

In the order of a call: `decoders` hands images out and gives batches back, `batch` puts them together from ring slots,
`supervisor` keeps the processes alive and finds the image that one died of, `process` is such a process seen from
outside, `worker` what runs inside it, `ring` the memory they share.
"""

from featx.batches.batch import Batch, Rows
from featx.batches.decoders import DecodeOptions, Decoders

__all__ = ["Batch", "DecodeOptions", "Decoders", "Rows"]
