"""The runtimes that execute a backbone: one file each, chosen without importing any of them."""

import importlib
import importlib.util
import logging
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from featx.backbones import configured_backend, find_device
from featx.errors import UsageError
from featx.runtimes.choosing import RUNTIMES, batch_size, choose, gpu_for_keras, gpu_wanted
from featx.runtimes.options import RuntimeOptions
from featx.spec import ExtractionSpec
from featx.weights import WeightsSource

if TYPE_CHECKING:
    from featx.backbones import Pending

__all__ = [
    "Overlapping",
    "Runtime",
    "RuntimeOptions",
    "batch_size",
    "choose",
    "executed",
    "runtime",
]

logger = logging.getLogger(__name__)

KERAS_ON_A_CPU = "Keras runs it on the CPU, which is up to three times slower, and every run must load TensorFlow first"
"""Cost of a fallback from OpenVINO, for messages."""


@runtime_checkable
class Runtime(Protocol):
    """A backbone, ready to run.

    Attributes
    ----------
    name : str
        What executes it, such as ``"keras-tensorflow"``.
    precision : str
        Arithmetic truly executed.
    device : str
        Where, such as ``"cpu:0"``.
    feature_shape : tuple of int
        Shape of one feature before it was flattened.
    fallback : str or None
        Why it runs in place of a faster one, and what that costs; None where nothing better should be there.
    """

    name: str
    precision: str
    device: str
    feature_shape: tuple[int, ...]
    fallback: str | None

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the features of any number of images.

        Parameters
        ----------
        images : (b, H, W, 3) uint8
            RGB.

        Returns
        -------
        (b, d) float32
            Row i belongs to image i. At float32 it is the same for every batch and every place in it: to the last bit
            on OpenVINO and numpy, to a relative error of 1e-5 on Keras (`KerasRuntime`). Valid until the next call.
        """
        ...

    def close(self) -> None:
        """Free the program and its memory; the runtime can't be called afterwards."""
        ...


@runtime_checkable
class Overlapping(Runtime, Protocol):
    """A runtime that can compute while its caller does something else.

    Attributes
    ----------
    in_flight : int
        Batches that it is to be given before the features of the first are asked for; with 0 nothing is gained by it.
    """

    in_flight: int

    def submit(self, images: NDArray[np.uint8]) -> "Pending":
        """Begin to compute the features of any number of images.

        Parameters
        ----------
        images : (b, H, W, 3) uint8
            RGB. Free to be overwritten as soon as this returns.

        Returns
        -------
        Pending
            Gives what calling the runtime would give. Asked for in the order of submission; an error of the device may
            come as late as that.
        """
        ...


def runtime(spec: ExtractionSpec, source: WeightsSource, options: RuntimeOptions) -> Runtime:
    """Make a spec's backbone ready to run.

    Where nothing was asked for and the best choice turns out not to work (a GPU that Keras doesn't see, a backbone that
    can't be exported to OpenVINO, an OpenVINO that can't be imported), the next best takes its place; the log and the
    runtime's `fallback` say so.

    Parameters
    ----------
    spec : ExtractionSpec
        What to compute; at reduced precision with the `runtime` that `executed` gives.
    source : WeightsSource
        Where the weights come from.
    options : RuntimeOptions
        How to run it.

    Raises
    ------
    UsageError
        No such runtime or device, or one that can't execute this spec.
    WeightsError
        As `featx.backbones.build`.
    """
    if options.batch_size is not None and options.batch_size < 1:
        raise UsageError(f"`batch_size={options.batch_size}`: it must be 1 or more")
    chosen = choose(spec, options)
    if (wanted := executed(spec, options)) != spec.runtime:
        raise UsageError(
            f"`precision={spec.precision}`: {wanted} was chosen, but the features are from {spec.runtime}; use the "
            "same runtime, or `precision=float32`"
        )
    free = options.runtime.lower() == "auto" and wanted is None
    fallback = None
    if chosen == "keras" and free:
        if importlib.util.find_spec("openvino") is None and not gpu_wanted(options):
            fallback = f"OpenVINO isn't installed: {KERAS_ON_A_CPU}"
        elif options.device.lower() == "auto" and _no_gpu_after_all():
            chosen = "openvino"
            fallback = (
                f"Keras on {configured_backend()} does not find this machine's GPU: the CPU is used instead, which is "
                "many times slower"
            )
    if chosen == "openvino":
        from featx.backbones import ExportError

        try:
            return _said(_open(chosen, spec, source, options), fallback)
        except (ExportError, ImportError) as error:
            reason = (
                f"{spec.backbone} can't be exported to OpenVINO ({error})"
                if isinstance(error, ExportError)
                else f"OpenVINO can't be imported ({error})"
            )
            if not free:
                raise UsageError(f"`runtime=openvino`: {reason}; use `runtime=keras`") from error
            fallback = f"{reason}: {KERAS_ON_A_CPU}"
            chosen = "keras"
    return _said(_open(chosen, spec, source, options), fallback)


def executed(spec: ExtractionSpec, options: RuntimeOptions) -> str | None:
    """Name the runtime that will execute a spec at reduced precision, as the spec itself records it.

    Neither the backbone nor Keras is loaded for it.

    Returns
    -------
    str or None
        Such as ``"openvino:bfloat16, first 3 convolutions float32"`` or ``"keras-torch:float16"``; None at float32,
        where runtimes agree.

    Raises
    ------
    UsageError
        This machine would execute another precision than the spec's, or `choose` refuses.
    """
    chosen = choose(spec, options)
    if spec.precision == "float32":
        return None
    if chosen == "numpy":
        raise UsageError(f"`precision={spec.precision}`: {spec.backbone} is computed in float32 only; use float32")
    if chosen == "keras":
        return f"keras-{configured_backend()}:{spec.precision}"
    return str(importlib.import_module(RUNTIMES[chosen]).executed(spec))


def _open(name: str, spec: ExtractionSpec, source: WeightsSource, options: RuntimeOptions) -> Runtime:
    opened: Runtime = importlib.import_module(RUNTIMES[name]).open_runtime(spec, source, options)
    return opened


def _said(opened: Runtime, fallback: str | None) -> Runtime:
    """Record in a runtime, and log, the reason of a fallback."""
    if fallback is not None:
        opened.fallback = fallback
        logger.warning("%s", fallback)
    return opened


def _no_gpu_after_all() -> bool:
    """Tell whether Keras, chosen for a GPU that seemed to be there, sees none."""
    return gpu_for_keras() and find_device("auto") == "cpu:0"
