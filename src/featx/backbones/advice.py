"""Advice on which backbone to start with, and the measured speed of the common ones."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from featx.files import parse_json

START = "efficientnet-lite0"
"""Backbone to start with."""

USES = {
    START: "first tries and many images",
    "efficientnetv2b0": "more accuracy, still fast",
    "resnet50": "comparing with other studies",
    "convnexttiny": "most accurate, but slow",
    "scattering": "works without any weights",
}
"""The backbones that people use: each with what it is for, in one phrase."""

ADVICE = (
    f"Start with {START}: it is fast without a GPU, and its weights are installed with featx[offline]; for more "
    "accuracy, try efficientnetv2b0 next."
)
"""Which backbone to start with and why, in the words of the pages too."""

COMMAND = f"featx extract data/train `backbone={START}`"
"""The command that follows the advice, its parameter marked as messages mark it."""

_SPEEDS = Path(__file__).with_name("speeds.json")


@dataclass(frozen=True, kw_only=True)
class Speeds:
    """Images/s of some backbones in float32 on one machine, as ``benchmarks/throughput.py --speeds`` found them.

    Parameters
    ----------
    machine : str
        Cores and processor, in words.
    images : int
        Number of images.
    what : str
        Kind of the images, in words.
    featx_version : str
        Version of featx that was measured.
    files_to_store, backbone_alone : mapping of str to float
        Images/s by backbone: from image files to a feature store, and of the backbone without a decoder.
    """

    machine: str
    images: int
    what: str
    featx_version: str
    files_to_store: Mapping[str, float]
    backbone_alone: Mapping[str, float]


@functools.cache
def speeds() -> Speeds:
    """Read the measured speeds that the package has."""
    found = parse_json(_SPEEDS.read_text(encoding="utf-8"))
    cores = "1 core" if found["cores"] == 1 else f"{found['cores']} cores"
    rates = found["images_per_second"]
    return Speeds(
        machine=f"{cores} of {found['processor']}",
        images=found["images"],
        what=found["what"],
        featx_version=found["featx_version"],
        files_to_store={name: rate["files_to_store"] for name, rate in rates.items()},
        backbone_alone={name: rate["backbone_alone"] for name, rate in rates.items()},
    )
