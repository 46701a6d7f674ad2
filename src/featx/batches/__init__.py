"""Supervised decoder processes over a shared-memory ring: ordered batches, failures beside them and never in them.

Four modules, in the order of the data: `decoders` hands out ring slots and puts batches together, `supervisor` keeps
the processes alive and finds the image that a process died of, `worker` is what runs in a process, `ring` is the memory
they share.
"""

from featx.batches.decoders import Batch, DecodeOptions, Decoders, Rows

__all__ = ["Batch", "DecodeOptions", "Decoders", "Rows"]
