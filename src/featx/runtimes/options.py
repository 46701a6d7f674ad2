"""How a backbone is run."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RuntimeOptions:
    """How a backbone is run; none of it changes a feature at float32.

    Parameters
    ----------
    runtime : {"auto", "keras", "openvino", "numpy"}
        What executes it; auto is the best that can.
    device : str
        ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.
    batch_size : int
        Images per call of the compiled program.
    threads : int or None
        CPU threads; None: OpenVINO takes the cores that this process may use, Keras decides for itself.
    """

    runtime: str = "auto"
    device: str = "auto"
    batch_size: int = 32
    threads: int | None = None
