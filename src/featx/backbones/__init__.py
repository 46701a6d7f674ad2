"""The table of backbones, and the graph of a spec; the only package that imports Keras.

``table`` is data; ``advice`` says which of its rows to start with; ``resolving`` turns a request into a spec; ``build``
makes the graph; ``loading`` fills it with weights; ``wavelets`` and ``scattering`` are the network that needs none;
``tuned`` keeps in a weights file the digests of the images that it was tuned on; ``exporting`` gives the graph to
OpenVINO, and ``entries`` keeps what comes of it in the cache folder; ``session`` imports Keras, late and quietly;
``backends`` holds the functions that differ between Keras's backends.
"""

import importlib
from typing import TYPE_CHECKING, Any

from featx.backbones.build import build
from featx.backbones.resolving import Request, feature_shape, resolve
from featx.backbones.table import Entry, find, table

if TYPE_CHECKING:
    from featx.backbones.backends import Forward, Pending
    from featx.backbones.entries import Exported, ExportError
    from featx.backbones.exporting import exported, failed_exports, float32_convolutions, kept_exports
    from featx.backbones.origins import cached
    from featx.backbones.session import (
        backend_name,
        compile_forward,
        configured_backend,
        exact_arithmetic,
        find_device,
        limit_threads,
        on_device,
    )
    from featx.backbones.tuned import tuned_on

_LATER = {
    "Forward": "backends",
    "Pending": "backends",
    "ExportError": "entries",
    "Exported": "entries",
    "exported": "exporting",
    "failed_exports": "exporting",
    "float32_convolutions": "exporting",
    "kept_exports": "exporting",
    "cached": "origins",
    "backend_name": "session",
    "compile_forward": "session",
    "configured_backend": "session",
    "exact_arithmetic": "session",
    "find_device": "session",
    "limit_threads": "session",
    "on_device": "session",
    "tuned_on": "tuned",
}
"""Modules of what is loaded when it is first used: a formula, or features that are there already, need none of it."""

__all__ = [
    "Entry",
    "ExportError",
    "Exported",
    "Forward",
    "Pending",
    "Request",
    "backend_name",
    "build",
    "cached",
    "compile_forward",
    "configured_backend",
    "exact_arithmetic",
    "exported",
    "failed_exports",
    "feature_shape",
    "find",
    "find_device",
    "float32_convolutions",
    "kept_exports",
    "limit_threads",
    "on_device",
    "resolve",
    "table",
    "tuned_on",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value
