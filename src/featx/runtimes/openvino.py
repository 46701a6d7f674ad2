"""Backbones on OpenVINO, on the CPU: neither Keras nor TensorFlow is loaded where the graph was exported before."""

import functools
import importlib
import logging
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones import exported, float32_convolutions
from featx.errors import UsageError
from featx.machine import available_cores, instruction_limit
from featx.runtimes.options import DEFAULT_BATCH_SIZE, RuntimeOptions
from featx.spec import ExtractionSpec
from featx.weights import WeightsSource

logger = logging.getLogger(__name__)

_CONVERTER = "openvino.tools.ovc"


def _imported() -> Any:
    """Import OpenVINO without its converter of models, which is imported when somebody asks for it.

    Nothing here needs the converter. Left out, it saves 0.07 s of 0.11 s (0.05 s of 0.07 s of processor time) and 148
    modules, HTTP and TLS among them: medians of eleven imports by turns, OpenVINO 2026.4.1, NumPy loaded already. It
    also spares the user a report over the network, which the converter sends at its import without asking
    (`openvino_telemetry`, unless the user has opted out, or the environment variable ``CI`` is set).

    May go once ``import openvino`` doesn't import ``openvino.tools.ovc`` by itself: the test of the modules that are
    loaded passes without this function then.
    """
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    sys.modules[_CONVERTER] = None  # type: ignore[assignment]  # importing it fails, which OpenVINO is prepared for
    try:
        package = importlib.import_module("openvino")
    finally:
        del sys.modules[_CONVERTER]
    vars(package).setdefault("__getattr__", _late)
    return package


def _late(name: str) -> Any:
    """Import the converter for the one attribute that OpenVINO lacks without it."""
    if name != "convert_model":
        raise AttributeError(f"module 'openvino' has no attribute {name!r}")
    return importlib.import_module(_CONVERTER).convert_model


openvino = _imported()

_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_CAPABILITIES = {"float32": "FP32", "bfloat16": "BF16", "float16": "FP16"}

DEPTHWISE = "GroupConvolution"
IMAGES_AT_ONCE = 4
"""Images in one call of a network of depthwise convolutions or of hardly any weights, however many a batch has: such a
network is bound by memory, and the activations of more images don't stay in a CPU's cache. Others are bound by
arithmetic, and take a batch at once.

Images/s with 4, 8 and 32 at once, on two cores of a Zen 4 at 224 x 224. MobileNetV2: 207, 190, 135 (float32) and 374,
340, 274 (bfloat16); EfficientNetB0: 42, 39, 35. ResNet50: 19, 19, 23 and 34, 36, 43; DenseNet121: 14, 17, 21; VGG16: 6,
6, 7. From files to features, MobileNetV2 in batches of 32, 4 at once: 196 and 316; whole batches at once: 139 and 283.
Scattering at 128 x 128: 65, 63, 60.
"""

SMALL_NETWORK_BYTES = 2**22
"""Bytes of weights."""


class OpenVinoRuntime:
    """A `featx.runtimes.Runtime` on OpenVINO.

    The graph is compiled for any number of images: a row's bits are then the same whatever else is in its batch.
    Images are handed over as they lie in memory.

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
        This CPU doesn't execute the precision.
    ExportError
        The graph can't be had in OpenVINO's format.
    """

    name = "openvino"
    device = "cpu:0"
    fallback: str | None = None

    def __init__(self, spec: ExtractionSpec, source: WeightsSource, options: RuntimeOptions) -> None:
        self.precision = _checked(spec.precision)
        found = exported(spec, source)
        self.feature_shape = found.feature_shape
        core = openvino.Core()
        graph = core.read_model(found.graph)
        compiled = core.compile_model(graph, "CPU", _properties(spec.precision, options.threads or available_cores()))
        self._request: Any = compiled.create_infer_request()
        self._image_shape = (*spec.image_size, 3)
        batch = options.batch_size or DEFAULT_BATCH_SIZE[self.name]
        depthwise = any(node.get_type_name() == DEPTHWISE for node in graph.get_ops())
        bound_by_memory = depthwise or found.graph.with_suffix(".bin").stat().st_size < SMALL_NETWORK_BYTES
        self._at_once = min(batch, IMAGES_AT_ONCE) if bound_by_memory else batch
        if spec.precision != "float32":
            self._try(spec)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute (b, d) float32 features of (b, H, W, 3) uint8 images, any b; valid until the next call."""
        if images.dtype != np.uint8 or images.shape[1:] != self._image_shape:
            raise ValueError(f"images must be uint8 of shape {self._image_shape}, found {images.dtype} {images.shape}")
        if 0 < len(images) <= self._at_once:
            return self._run(images)
        features = np.empty((len(images), int(np.prod(self.feature_shape))), np.float32)
        for start in range(0, len(images), self._at_once):
            part = slice(start, start + self._at_once)
            features[part] = self._run(images[part])
        return features

    def close(self) -> None:
        """Drop the program and its weights."""
        del self._request

    def _try(self, spec: ExtractionSpec) -> None:
        """Compute one image, since only execution shows if OpenVINO can execute a graph at a precision."""
        try:
            self._run(np.zeros((1, *self._image_shape), np.uint8))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1][:200]
            raise UsageError(
                f"`precision={spec.precision}`: OpenVINO can't compute {spec.backbone} with it ({reason}); use float32"
            ) from error

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        outputs = self._request.infer([np.ascontiguousarray(images)], share_inputs=True, share_outputs=True)
        features: NDArray[np.float32] = outputs[0]
        return features


def open_runtime(spec: ExtractionSpec, source: WeightsSource, options: RuntimeOptions) -> OpenVinoRuntime:
    """Open an `OpenVinoRuntime`."""
    return OpenVinoRuntime(spec, source, options)


def executed(spec: ExtractionSpec) -> str:
    """Say what OpenVINO will execute for a spec of reduced precision.

    Raises
    ------
    UsageError
        This CPU doesn't execute the precision.
    """
    number = float32_convolutions(spec.backbone)
    kept = f", first {number} convolutions float32" if number else ""
    return f"openvino:{_checked(spec.precision)}{kept}"


@functools.cache
def _checked(precision: str) -> str:
    """Return a precision if OpenVINO truly executes it on this CPU.

    OpenVINO takes a hint, and may silently run another: float16 asked for on a CPU with AVX-512 runs as bfloat16. So a
    small network is compiled, and asked what became of it.
    """
    if precision == "float32":  # every CPU executes it
        return precision
    core = openvino.Core()
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    cpu = core.get_property("CPU", "FULL_DEVICE_NAME").strip()
    limits = {name: limit for name in _CAPABILITIES if name != "float32" and (limit := instruction_limit(name))}
    if limits:
        cpu = f"{cpu}, limited by {limits.get(precision, next(iter(limits.values())))}"
        capabilities = [word for word in capabilities if word not in {_CAPABILITIES[name] for name in limits}]
    try:
        compiled = core.compile_model(_small_network(), "CPU", _properties(precision, 1))
        found = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    except RuntimeError as error:
        logger.debug("%s: %s", precision, error)
        found = "nothing"
    if found == _HINTS[precision] and _CAPABILITIES[precision] in capabilities:
        return precision
    instead = {hint: name for name, hint in _HINTS.items() if name != precision}.get(found, "no such arithmetic")
    first, *others = (name for name, word in _CAPABILITIES.items() if word in capabilities)
    able = " or ".join([f"`precision={first}`", *others])
    raise UsageError(
        f"`precision={precision}`: on this CPU ({cpu}) OpenVINO would use {instead} instead; choose {able}"
    )


def _properties(precision: str, threads: int) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # The decoders run on the same cores: threads that can't move would wait for them.
        "ENABLE_CPU_PINNING": False,
    }


def _small_network() -> Any:
    ops = openvino.opset13
    images = ops.parameter([-1, 16, 8, 8], np.float32)
    kernel = ops.constant(np.ones((16, 16, 3, 3), np.float32))
    return openvino.Model([ops.convolution(images, kernel, [1, 1], [0, 0], [0, 0], [1, 1])], [images])
