"""Pictures and networks whose pixels and features are known, made by ``benchmarks/golden.py`` without featx's own path.

The pictures are a photo's worth of trouble in a few hundred bytes each: EXIF orientation, transparency, 16 bits, CMYK,
fine stripes, no symmetry. They are decoded by the processes that decode users' images.
"""

import contextlib
import importlib.resources
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.batches import DecodeOptions, Decoders
from featx.errors import DecoderError
from featx.spec import ExtractionSpec

_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """The features that some of the pictures must have under one spec.

    Parameters
    ----------
    spec : ExtractionSpec
        Of ``mean-colour``, whose features without pooling are the pixels, or of an untrained network.
    files : tuple of str, length n
        The pictures.
    features : (n, d) float64
        What is known.
    tolerance : float
        Largest error that a healthy machine may have, relative to the length of the feature.
    """

    spec: ExtractionSpec
    files: tuple[str, ...]
    features: NDArray[np.float64]
    tolerance: float

    def errors(self, features: NDArray[np.float32]) -> dict[str, float]:
        """Compute the relative error of each picture's features (n, d); infinite if not comparable or not finite."""
        if features.shape != self.features.shape:
            return dict.fromkeys(self.files, np.inf)
        with np.errstate(invalid="ignore"):
            off = np.linalg.norm(features - self.features, axis=1) / np.linalg.norm(self.features, axis=1)
        return dict(zip(self.files, np.where(np.isfinite(off), off, np.inf).tolist(), strict=True))

    def wrong(self, features: NDArray[np.float32]) -> dict[str, float]:
        """Select the errors above the tolerance, by picture."""
        return {file: error for file, error in self.errors(features).items() if error > self.tolerance}


def known() -> list[Known]:
    """Load all known features: the pixels first, then those of each network."""
    text = importlib.resources.files("featx").joinpath("golden", "known.json").read_text(encoding="ascii")
    return [
        Known(
            spec=ExtractionSpec.from_json(json.dumps(one["spec"])),
            files=tuple(one["features"]),
            features=np.array(list(one["features"].values()), np.float64),
            tolerance=one["tolerance"],
        )
        for one in json.loads(text)
    ]


def pixels(one: Known, *, decoder: str = "featx.images:decode_into") -> NDArray[np.uint8]:
    """Decode the pictures in a decoder process, to pixels (n, H, W, 3).

    Parameters
    ----------
    one : Known
        Which pictures, and by which rules.
    decoder : str
        What decodes, as for `featx.batches.Decoders`.

    Raises
    ------
    DecoderError
        No decoder process can be started, or a picture can't be decoded.
    """
    options = DecodeOptions(workers=1, batch_size=len(one.files), timeout_s=_TIMEOUT_S)
    with _folder() as folder, Decoders(one.spec.pixels, options, decoder=decoder) as decoders:
        (batch,) = decoders.batches(folder, enumerate(one.files))
        if batch.failures:
            said = "; ".join(f"{failure.path}: {failure.reason}, {failure.message}" for failure in batch.failures)
            raise DecoderError(f"good pictures can't be read ({said}); reinstall opencv-python-headless and pillow")
        return batch.images.copy()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with importlib.resources.as_file(importlib.resources.files("featx").joinpath("golden")) as folder:
        yield folder
