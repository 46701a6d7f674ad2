"""Options of running a backbone."""

from dataclasses import dataclass

# A batch costs little beyond its images, and need only be large enough for that: how much of one OpenVINO computes at
# once is its own matter (`featx.runtimes.openvino`). A GPU has more to fill; its figure is usual, and wasn't measured.
DEFAULT_BATCH_SIZE = {"openvino": 32, "keras": 32, "keras on a gpu": 64, "numpy": 32}
"""Images that a runtime is given at once where nothing else is asked for."""


@dataclass(frozen=True, kw_only=True)
class RuntimeOptions:
    """Options of running a backbone; none of them changes a feature at float32.

    Parameters
    ----------
    runtime : {"auto", "keras", "openvino", "numpy"}
        What executes it; auto is the best that can.
    device : str
        ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.
    batch_size : int or None
        Images that a runtime takes at once, at most; None: as many as suit it (`DEFAULT_BATCH_SIZE`).
    threads : int or None
        CPU threads; None: OpenVINO takes the cores that this process may use, Keras decides for itself.
    """

    runtime: str = "auto"
    device: str = "auto"
    batch_size: int | None = None
    threads: int | None = None
