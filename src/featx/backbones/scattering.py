"""The scattering network as a Keras graph: convolutions with fixed filters, and moduli.

From S. Mallat, *Group Invariant Scattering*, Comm. Pure Appl. Math. 65 (2012), and J. Bruna and S. Mallat, *Invariant
Scattering Convolution Networks*, IEEE PAMI 35 (2013). `docs/scattering.md` has the mathematics, and what the cascade
approximates.
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.session import import_keras
from featx.backbones.wavelets import Filter, Filters, LowPasses, filters
from featx.errors import UsageError

SCALES, ORIENTATIONS = 4, 8
"""J and L of the backbone with the plain name ``scattering``."""

FLOOR = 1e-3
"""Constant added before the logarithm, for pixels in 0 to 1."""

COLOURS = np.array([[0.299, 0.587, 0.114], [0.5, -0.5, 0.0], [0.25, 0.25, -0.5]])
"""Rows: luminance (ITU-R BT.601) in 0 to 1; red against green, and yellow against blue, both in -1/2 to 1/2."""

_SHIFTS = np.array([0.0, 0.5, 0.5])


def width(scales: int, orientations: int) -> int:
    """Length of a pooled feature: three times ``1 + J L + L^2 J (J - 1) / 2``."""
    return 3 * (1 + scales * orientations + orientations**2 * scales * (scales - 1) // 2)


def feature_map(image_size: tuple[int, int], scales: int, orientations: int) -> tuple[int, int, int]:
    """Shape of a feature that isn't pooled: a grid of cells of 2^J pixels.

    Raises
    ------
    UsageError
        The network can't take the image size.
    """
    height, width_ = image_size
    side = 2**scales
    if height % side or width_ % side or min(image_size) < 2 * side:
        raise UsageError(
            f"`image_size={height}x{width_}`: scattering with {scales} scales needs sides that are multiples of "
            f"{side} pixels, and at least {2 * side}"
        )
    return height // side, width_ // side, width(scales, orientations)


@functools.lru_cache(maxsize=8)
def known_filters(image_size: tuple[int, int], scales: int, orientations: int) -> Filters:
    """Compute a network's filters, and keep them for the next call."""
    feature_map(image_size, scales, orientations)
    return filters(image_size=image_size, scales=scales, orientations=orientations)


def tensors(image_size: tuple[int, int], scales: int, orientations: int) -> tuple[Filter, ...]:
    """Return all filters of a network, in the order of the graph's weights, without Keras.

    Raises
    ------
    UsageError
        The network can't take the image size.
    """
    return tuple(_named(known_filters(image_size, scales, orientations)).values())


def preprocess_input(x: Any, data_format: str | None = None) -> Any:  # noqa: ARG001  (as Keras Applications have it)
    """Scale pixels from 0..255 to 0..1."""
    return x / 255.0


def construct(
    *,
    include_top: bool,
    weights: None,
    input_shape: tuple[int, int, int],
    pooling: str | None,
    scales: int,
    orientations: int,
) -> Any:
    """Build the network, with the signature of a constructor of Keras Applications.

    Parameters
    ----------
    include_top, weights
        There are none.
    input_shape : (int, int, int)
        Height, width and 3.
    pooling : {"avg", "max"} or None
        Over the cells.
    scales, orientations : int
        J and L.

    Returns
    -------
    keras.Model
        ``(b, H, W, 3)`` RGB in 0 to 1 to the logarithms, ``(b, width)`` or with `pooling` None
        ``(b, H / 2^J, W / 2^J, width)``. For each of the three colours: order 0; order 1 by scale and angle; order 2
        by pair of scales, first angle and second angle.

    Raises
    ------
    UsageError
        Keras's backend can't compute it.
    """
    assert not include_top
    assert weights is None
    keras = import_keras()
    if keras.backend.backend() == "torch":
        # Its pad(mode="symmetric") repeats the border instead of mirroring it, without a word (Keras 3.15).
        raise UsageError(
            "`backbone=scattering`: with PyTorch, Keras pads images differently; use OpenVINO, or Keras with JAX"
        )
    images = keras.Input(input_shape, name="pixels")
    maps = _scattering(input_shape[:2], scales, orientations)(images)
    # In float32 at any precision: logarithms of small numbers are what is averaged.
    if pooling == "avg":
        maps = keras.layers.GlobalAveragePooling2D(dtype="float32", name="mean")(maps)
    elif pooling == "max":
        maps = keras.layers.GlobalMaxPooling2D(dtype="float32", name="max")(maps)
    return keras.Model(images, maps, name="scattering")


def _scattering(image_size: tuple[int, int], scales: int, orientations: int) -> Any:
    keras = import_keras()
    ops = keras.ops
    known = known_filters(image_size, scales, orientations)

    class Scattering(keras.layers.Layer):  # type: ignore[misc,name-defined]  # (Keras is imported late, and untyped)
        """Layer that computes the logarithms of orders 0 to 2 of luminance and two opponent colours."""

        def build(self, _: Any) -> None:
            self.held: dict[str, Any] = {}
            for name, tensor in _named(known).items():
                self.held[name] = self.add_weight(shape=tensor.shape, name=name, initializer="zeros", trainable=False)
                self.held[name].assign(tensor)
            self.built = True

        def call(self, images: Any) -> Any:
            # Planes are images of their own: one more to convolve is one more in the batch.
            planes = ops.transpose(ops.matmul(images, self.held["colours"]), (0, 3, 1, 2))
            planes = ops.reshape(planes, (-1, *image_size))
            found = _Cascade(ops, self.held, scales, orientations).orders(planes)
            zero, *others = (ops.cast(maps, "float32") for maps in found)
            cells = zero.shape[2:]
            zero = ops.reshape(zero, (-1, 3, 1, *cells)) + _SHIFTS.astype(np.float32).reshape(3, 1, 1, 1)
            maps = ops.concatenate([zero, *(ops.reshape(one, (-1, 3, one.shape[1], *cells)) for one in others)], 2)
            maps = ops.reshape(maps, (-1, width(scales, orientations), *cells))
            return ops.log(ops.transpose(maps, (0, 2, 3, 1)) + FLOOR)

    return Scattering(name="scattering")


def _named(known: Filters) -> dict[str, Filter]:
    def axis(name: str, one: LowPasses) -> dict[str, Filter]:
        every = {"window": one.window, "halving": one.halving, "again": one.again}
        return {f"{name}_{kind}": matrix for kind, matrix in every.items() if matrix is not None}

    named = {
        "colours": COLOURS.T.astype(np.float32),
        "finest": known.finest,
        "direct": known.direct,
        "smoothed": known.smoothed,
    }
    for k, (rows, columns) in enumerate(zip(known.rows, known.columns, strict=True)):
        named |= axis(f"rows_{k}", rows)
        named |= {name: np.ascontiguousarray(matrix.T) for name, matrix in axis(f"columns_{k}", columns).items()}
    return named


class _Cascade:
    """Computation of wavelets, moduli and low-passes, each scale on the coarsest grid that can hold it."""

    def __init__(self, ops: Any, held: dict[str, Any], scales: int, orientations: int) -> None:
        self.ops = ops
        self.held = held
        self.scales = scales
        self.orientations = orientations

    def orders(self, planes: Any) -> list[Any]:
        """Compute order 0, the scales of order 1 and the pairs of scales of order 2, each (n, paths, cells, cells)."""
        first: list[Any] = []
        second: dict[tuple[int, int], Any] = {}
        moduli = self.moduli(planes, "finest", stride=1)
        first.append(self.low_pass(moduli, 0, "window"))
        # Planes by the scale of the wavelet that they come from, on the grid of the next; -1 is the image.
        sources = {-1: planes, 0: self.unfold(moduli)}
        for j in range(1, self.scales):
            nearby = {j - 1, -1} if j == 1 else {j - 1}
            ahead: dict[int, Any] = {}
            for source, these in sources.items():
                moduli = self.moduli(these, "direct" if source in nearby else "smoothed", stride=2)
                maps = self.low_pass(moduli, j, "window")
                if source < 0:
                    first.append(maps)
                    ahead[j] = self.unfold(moduli)
                else:
                    second[source, j] = self.ops.reshape(maps, (-1, self.orientations**2, *maps.shape[2:]))
                if j < self.scales - 1:
                    ahead[source] = self.low_pass(these, j - 1, "halving" if source in nearby else "again")
            sources = ahead
        zero = self.ops.expand_dims(self.low_pass(planes, 0, "window"), 1)
        return [zero, *first, *(second[pair] for pair in sorted(second))]

    def moduli(self, planes: Any, kernel: str, *, stride: int) -> Any:
        """Compute moduli of the wavelet transform of (n, h, w) planes: (n, L, h / stride, w / stride)."""
        ops, filter_ = self.ops, self.held[kernel]
        margin = (filter_.shape[0] - stride) // 2
        planes = ops.pad(planes, ((0, 0), (margin, margin), (margin, margin)), mode="symmetric")
        parts = ops.conv(ops.expand_dims(planes, -1), filter_, strides=stride, padding="valid")
        # A power and a convolution with ones and zeros: OpenVINO makes one step of each with what is before it.
        squares = ops.conv(ops.power(parts, 2.0), ops.cast(self.sums, parts.dtype), padding="valid")
        return ops.transpose(ops.sqrt(squares), (0, 3, 1, 2))

    @property
    def sums(self) -> NDArray[np.float32]:
        """Kernel (1, 1, 2 L, L) that adds real and imaginary parts."""
        return np.tile(np.eye(self.orientations, dtype=np.float32), (2, 1))[None, None]

    def low_pass(self, maps: Any, k: int, kind: str) -> Any:
        """Apply a low-pass to (..., h, w) maps on the grid of step 2^k and sample them more coarsely."""
        ops = self.ops
        return ops.matmul(self.held[f"rows_{k}_{kind}"], ops.matmul(maps, self.held[f"columns_{k}_{kind}"]))

    def unfold(self, moduli: Any) -> Any:
        """Reshape (n, L, h, w) moduli to (n * L, h, w) planes."""
        return self.ops.reshape(moduli, (-1, *moduli.shape[2:]))
