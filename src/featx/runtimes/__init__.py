"""What executes a backbone: one file each, chosen without importing any of them."""

import importlib
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from featx.backbones import find
from featx.errors import UsageError
from featx.spec import ExtractionSpec
from featx.weights import WeightsSource

__all__ = ["Runtime", "RuntimeOptions", "runtime"]


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
    """

    name: str
    precision: str
    device: str
    feature_shape: tuple[int, ...]

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the features of any number of images.

        Parameters
        ----------
        images : (b, H, W, 3) uint8
            RGB.

        Returns
        -------
        (b, d) float32
            Row i belongs to image i, whatever else is in the batch. Valid until the next call.
        """
        ...

    def close(self) -> None:
        """Free what it holds; not to be called afterwards."""
        ...


@dataclass(frozen=True, kw_only=True)
class RuntimeOptions:
    """How a backbone is run; none of it changes a feature.

    Parameters
    ----------
    runtime : {"auto", "keras", "numpy"}
        What executes it; auto is the best that can.
    device : str
        ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.
    batch_size : int
        Images per call of the compiled program.
    threads : int or None
        CPU threads; None leaves it to the runtime.
    """

    runtime: str = "auto"
    device: str = "auto"
    batch_size: int = 32
    threads: int | None = None


# Each module has a function open_runtime(spec, source, options).
_RUNTIMES = {"keras": "featx.runtimes.keras", "numpy": "featx.runtimes.mean_colour"}


def runtime(spec: ExtractionSpec, source: WeightsSource, options: RuntimeOptions) -> Runtime:
    """Make a spec's backbone ready to run.

    Parameters
    ----------
    spec : ExtractionSpec
        What to compute.
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
    wanted = options.runtime.lower()
    if wanted not in ("auto", *_RUNTIMES):
        raise UsageError(f"--runtime {options.runtime}: not one of auto, {', '.join(_RUNTIMES)}")
    if options.batch_size < 1:
        raise UsageError(f"--batch-size {options.batch_size}: at least 1 is needed")
    able = find(spec.backbone).runtime or "keras"
    if wanted not in ("auto", able):
        raise UsageError(f"--runtime {options.runtime}: {spec.backbone} runs on {able}; use --runtime {able} or auto")
    if spec.precision != "float32":
        raise UsageError(f"--precision {spec.precision}: runtime {able} computes in float32 only; use float32")
    opened: Runtime = importlib.import_module(_RUNTIMES[able]).open_runtime(spec, source, options)
    return opened
