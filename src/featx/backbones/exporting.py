"""Export of a backbone's graph to OpenVINO's format, once, into the cache folder.

An entry is a folder: the graph, its weights, and a description with their digests, which is checked whenever the entry
is opened. It appears under its name whole or not at all. Keras and TensorFlow are loaded to make it, in a process of
their own unless they are here already, and never to use it.
"""

import contextlib
import dataclasses
import errno
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from featx import children
from featx.backbones.build import build
from featx.backbones.entries import (
    ABOUT,
    FOLDER,
    GRAPH,
    Exported,
    ExportError,
    Key,
    describe,
    described_source,
    entries,
    open_entry,
    settle,
    temporary,
)
from featx.backbones.session import backend_name, silent
from featx.backbones.table import find
from featx.cache import all_remembered, cache_home, remember, remembered
from featx.errors import FeatxError
from featx.files import parse_json
from featx.spec import ExtractionSpec
from featx.weights import WeightsSource

logger = logging.getLogger(__name__)

EXPORT_FORMAT = 2
"""Raise it when the same versions of Keras and OpenVINO would be given another graph."""

# First convolutions that stay float32 when the rest is executed in bfloat16 or float16, by family: with the published
# MobileNetV2 they bring the cosine with float32 from .9979 to .9988 on average and from .993 to .997 at worst (photos
# of flowers), for a seventh of the speed. Not measured for other families; on ResNet50 OpenVINO 2026.4 was seen to fail
# with more than one ("is not initialized").
_FLOAT32_CONVOLUTIONS = {"mobilenet_v2": 3}

_FAILURE = "failure.json"
_TOLERANCE = 1e-3


def exported(spec: ExtractionSpec, source: WeightsSource) -> Exported:
    """Return a spec's graph in OpenVINO's format from the cache folder, exporting it first if need be.

    The graph is the same for every precision. A failure that would only repeat itself is remembered for as long as the
    versions of Keras and OpenVINO stay.

    Parameters
    ----------
    spec : ExtractionSpec
        What to compute.
    source : WeightsSource
        Where the weights come from.

    Raises
    ------
    ExportError
        It can't be exported, or the cache folder can't be written.
    FeatxError
        As `featx.backbones.build`, where that ran in this process.
    """
    key = _key(spec)
    entry = cache_home() / FOLDER / hashlib.sha256(json.dumps(key).encode("ascii")).hexdigest()[:32]
    if (found := open_entry(entry, key)) is not None:
        return found
    if (known := remembered(_failure_key(key))) is not None:
        raise ExportError(str(known.get("reason")))
    logger.info("%s is converted for OpenVINO, only once, into %s", spec.backbone, entry)
    try:
        with temporary(entry.parent) as folder:
            _make(spec, source, folder, key)
            describe(folder, key, source)
            return settle(folder, entry, key)
    except OSError as error:
        raise ExportError(f"{entry.parent}: {error.strerror or error}") from error


def failed_exports() -> dict[str, str]:
    """Return the backbones whose export was tried and failed with the versions installed here, with the reasons."""
    current = (importlib.metadata.version("keras"), importlib.metadata.version("openvino"), *_where())
    return {
        str(key[2]): str(value.get("reason"))
        for key, value in all_remembered("no-export")
        if key[1] == EXPORT_FORMAT and tuple(key[-4:]) == current
    }


def kept_exports() -> Iterator[tuple[Path, ExtractionSpec, WeightsSource | None]]:
    """Find the sound graphs in the cache folder that the versions installed here would use.

    Yields
    ------
    entry : Path
        Folder of the graph.
    spec : ExtractionSpec
        A spec that it is used for.
    source : WeightsSource or None
        Source of the weights; None where they are gone or aren't recorded.
    """
    current = (importlib.metadata.version("keras"), importlib.metadata.version("openvino"))
    for entry, about in entries().items():
        key = tuple(about["key"])
        if key[:1] == (EXPORT_FORMAT,) and key[-2:] == current and open_entry(entry, key) is not None:
            yield entry, _spec(key), described_source(about)


def float32_convolutions(backbone: str) -> int:
    """Return the number of first convolutions that a backbone's exported graph keeps in float32 at any precision."""
    return _FLOAT32_CONVOLUTIONS.get(find(backbone).family, 0)


def export(spec: ExtractionSpec, source: WeightsSource, folder: Path) -> None:
    """Export a spec's graph into a folder, with Keras in this process, and compare its features with Keras's.

    Raises
    ------
    ExportError
        Keras or OpenVINO can't, or what comes out isn't the same function.
    FeatxError
        As `featx.backbones.build`.
    """
    model, feature_shape = build(dataclasses.replace(spec, precision="float32", runtime=None), source)
    try:
        with silent(), _no_telemetry():
            _convert(model, folder / GRAPH)
        _plain_roots(folder / GRAPH)
        _keep_float32(folder / GRAPH, float32_convolutions(spec.backbone))
        _compare(model, folder / GRAPH, spec.image_size)
    except (OSError, MemoryError, ExportError):
        raise
    except Exception as error:
        if shutil.disk_usage(folder).free < 8 * model.count_params():  # the graph's weights, and the SavedModel's
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        # Whatever Keras, TensorFlow or OpenVINO raise: there is another runtime.
        raise ExportError(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}") from error
    (folder / ABOUT).write_text(json.dumps({"feature_shape": list(feature_shape)}), encoding="ascii")


def export_in_child(spec: str, source: dict[str, Any], folder: str) -> int:
    """Run `export` in a child process: arguments as JSON, a failure left in a file; returns the exit code."""
    path = None if source["path"] is None else Path(source["path"])
    try:
        export(ExtractionSpec.from_json(spec), WeightsSource(**{**source, "path": path}), Path(folder))
    except (ExportError, FeatxError, OSError, MemoryError) as error:
        failure = {"reason": str(error) or type(error).__name__, "lasting": isinstance(error, ExportError)}
        (Path(folder) / _FAILURE).write_text(json.dumps(failure), encoding="ascii")
        return 1
    return 0


def _make(spec: ExtractionSpec, source: WeightsSource, folder: Path, key: Key) -> None:
    if "keras" in sys.modules and backend_name() == "tensorflow":
        export(spec, source, folder)
    else:
        _have_exported(spec, source, folder, key)


def _have_exported(spec: ExtractionSpec, source: WeightsSource, folder: Path, key: Key) -> None:
    """Export in a child process, so that TensorFlow's memory and threads stay out of this one."""
    words = children.command(
        "featx.backbones.exporting:export_in_child",
        spec.to_json(),
        {**dataclasses.asdict(source), "path": None if source.path is None else str(source.path.absolute())},
        str(folder.absolute()),
    )
    # Always by TensorFlow, which comes with featx, so that the graph is the same whatever backend Keras has elsewhere.
    # It needs no GPU for that, and must not take one's memory.
    environment = {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    with tempfile.TemporaryDirectory(prefix="featx-") as empty:
        child = subprocess.run(  # noqa: S603  (this very interpreter, and our own words)
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=children.environment(**environment),
            cwd=empty,
            check=False,
        )
    if child.returncode == 0:
        return
    logger.debug("the export said: %s", child.stderr)
    try:
        failure = parse_json((folder / _FAILURE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise ExportError(f"the exporting process ended with code {child.returncode}: {last}") from None
    if failure["lasting"]:
        remember(_failure_key(key), {"reason": failure["reason"]})
    raise ExportError(failure["reason"])


def _convert(model: Any, graph: Path) -> None:
    """Write a Keras model as an OpenVINO graph, by way of a SavedModel.

    Keras's own ``export(format="openvino")`` hands OpenVINO a function in memory. OpenVINO 2026.4 can't take one on
    Python 3.13 (its ``frontend/tensorflow/utils.py`` deletes a local variable through ``exec``), and gives the same
    graph on 3.11 and 3.12; a SavedModel takes one to three seconds longer and works on all of them.
    """
    import openvino

    with tempfile.TemporaryDirectory(prefix="saved-model-", dir=graph.parent) as folder:
        model.export(folder, format="tf_saved_model", verbose=False)
        openvino.serialize(openvino.convert_model(folder), graph)


def _keep_float32(graph: Path, number: int) -> None:
    """Mark a graph's first convolutions; its layers are written in the order of execution."""
    tree = ET.parse(graph)  # noqa: S314  (written by OpenVINO a moment ago)
    layers = [layer for layer in tree.getroot().iter("layer") if "Convolution" in layer.get("type", "")]
    for layer in layers[:number]:
        if (about := layer.find("rt_info")) is None:
            about = ET.Element("rt_info")
            layer.insert(0, about)
        # OpenVINO's own mark for what may not be converted, as its converters to float16 set it.
        ET.SubElement(about, "attribute", {"name": "precise", "version": "0"})
    tree.write(graph, encoding="utf-8", xml_declaration=True)


def _plain_roots(graph: Path) -> None:
    """Replace powers of 1/2 by square roots; OpenVINO's converter writes roots as powers.

    Only a square root becomes one step with the convolution before it: a fifth of the time of the scattering network.
    """
    import openvino
    from openvino import opset13

    model = openvino.Core().read_model(graph)
    powers = [node for node in model.get_ordered_ops() if node.get_type_name() == "Power"]
    exponents = [node.input_value(1).get_node() for node in powers]
    roots = [
        node
        for node, exponent in zip(powers, exponents, strict=True)
        if exponent.get_type_name() == "Constant" and np.all(exponent.get_data() == 0.5)
    ]
    if not roots:
        return
    for node in roots:
        node.output(0).replace(opset13.sqrt(node.input_value(0)).output(0))
    # Beside the old graph, whose weights are mapped into memory.
    changed = graph.with_name("changed.xml")
    openvino.serialize(model, changed)
    changed.with_suffix(".bin").replace(graph.with_suffix(".bin"))
    changed.replace(graph)


def _compare(model: Any, graph: Path, image_size: tuple[int, int]) -> None:
    """Compare the exported graph with Keras's own on two images."""
    import openvino

    images = np.random.default_rng(0).integers(0, 256, (2, *image_size, 3), dtype=np.uint8)
    wanted = np.asarray(model(images, training=False))
    compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(images)[0]
    error = np.linalg.norm(found - wanted) / max(np.linalg.norm(wanted), np.finfo(np.float32).tiny)
    # A random network may overflow, in one program as in the other.
    if np.isfinite(wanted).all() and not error <= _TOLERANCE:
        raise ExportError(f"the exported graph gives different features (relative error {error:.1e})")


@contextlib.contextmanager
def _no_telemetry() -> Iterator[None]:
    """Keep OpenVINO's converter from reporting its use over the network, which it does unasked.

    It stays silent in what it takes for an automatic build; its other switch is a file in the user's home.
    """
    before = os.environ.get("CI")
    os.environ["CI"] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ["CI"]
        else:
            os.environ["CI"] = before


def _key(spec: ExtractionSpec) -> Key:
    return (
        EXPORT_FORMAT,
        spec.backbone,
        spec.weights,
        spec.layer,
        spec.pooling,
        *spec.image_size,
        spec.preprocessing,
        importlib.metadata.version("keras"),
        importlib.metadata.version("openvino"),
    )


def _spec(key: Key) -> ExtractionSpec:
    """Return a spec of a graph's key; resizing plays no part in it."""
    _, backbone, weights, layer, pooling, height, width, preprocessing, *_ = key
    fields: dict[str, Any] = {
        "backbone": backbone,
        "weights": weights,
        "layer": layer,
        "pooling": pooling,
        "image_size": (height, width),
        "preprocessing": preprocessing,
    }
    return ExtractionSpec(**fields)


def _failure_key(key: Key) -> Key:
    """Return the key of a failure: everything it may depend on, which is more than a finished graph depends on."""
    return ("no-export", *key, *_where())


def _where() -> tuple[str | None, str | None]:
    """Return the versions of Python and of TensorFlow, which may be installed under another name."""
    try:
        return platform.python_version(), importlib.metadata.version("tensorflow")
    except importlib.metadata.PackageNotFoundError:
        return platform.python_version(), None
