"""The check of each runtime: known pictures through known networks, compared with known features."""

import dataclasses
import importlib.metadata
import importlib.util
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx import runtimes
from featx.backbones import configured_backend, failed_exports, find, kept_exports
from featx.cache import remember, remembered
from featx.doctor import golden
from featx.doctor.finding import Finding
from featx.doctor.golden import Known
from featx.errors import FeatxError
from featx.runtimes import RuntimeOptions
from featx.runtimes.choosing import gpu_for_keras
from featx.spec import ExtractionSpec, PixelRules, Precision
from featx.weights import WeightsSource, locate
from featx.words import counted

Pixels = dict[PixelRules, NDArray[np.uint8]]

_REDUCED: tuple[Precision, ...] = ("bfloat16", "float16")

# Keras first: where it is loaded already, exporting to OpenVINO takes two seconds and not twenty.
_ORDER = ("keras", "openvino")

FORGED = (
    "somebody else may have changed it: delete that folder, and extract again with `overwrite=True` what was computed "
    "with it"
)

_ADVICE = "do not trust its features; install featx in a new environment, and report it if this does not help"


def examine(*, quick: bool) -> Iterator[Finding]:
    """Check the pixels, then each runtime that is installed."""
    formula, *networks = golden.known()
    try:
        pixels = {one.spec.pixels: golden.pixels(one) for one in (formula, networks[0])}
    except FeatxError as error:
        yield Finding(name="pixels", state="failed", text=str(error))
        return
    yield check_pixels(formula, pixels[formula.spec.pixels])
    yield _choice(networks[0])
    for name in _ORDER:
        yield _left_out(name, networks, quick=quick) or check(name, networks, pixels)
    if not quick and importlib.util.find_spec("openvino") is not None:
        yield from exports(networks[0].tolerance)
    yield from _fallbacks()


def exports(tolerance: float) -> Iterator[Finding]:
    """Compare every exported backbone in the cache folder with Keras, since its digests show damage, not forgery.

    Parameters
    ----------
    tolerance : float
        Largest relative error of features.
    """
    wrong, unknown = [], []
    errors: dict[str, float] = {}
    try:
        for entry, spec, source in kept_exports():
            if source is None:
                unknown.append(spec.backbone)
                continue
            error = _error_of_export(spec, source)
            errors[str(entry)] = error
            if not error <= tolerance:
                wrong.append(f"{spec.backbone} in {entry} (off by {error:.0e})")
    except Exception as error:  # noqa: BLE001  (as in `check`)
        text = f"exported backbones can't be compared with Keras ({_said(error)}); {_ADVICE}"
        yield Finding(name="exports", state="failed", text=text)
        return
    facts = {"errors": _plain(errors)}
    if wrong:
        text = f"features differ from Keras's: {', '.join(wrong)}; {FORGED}"
        yield Finding(name="exports", state="failed", text=text, facts=facts)
        return
    text = f"{counted(len(errors), 'exported backbone gives', 'exported backbones give')} the same features as Keras"
    if unknown:
        text += f"; not compared, because their weights are missing: {', '.join(sorted(set(unknown)))}"
    yield Finding(name="exports", state="note" if unknown else "ok", text=text, facts=facts)


def _error_of_export(spec: ExtractionSpec, source: WeightsSource) -> float:
    """Compute how far an exported graph's features of two random images are from Keras's."""
    images = np.random.default_rng(0).integers(0, 256, (2, *spec.image_size, 3), dtype=np.uint8)
    features = []
    for name in _ORDER:
        ready = runtimes.runtime(spec, source, RuntimeOptions(runtime=name, device="cpu", batch_size=len(images)))
        features.append(ready(images).astype(np.float64))
        ready.close()
    wanted, found = features
    # An untrained network may overflow, in one program as in the other.
    if not np.isfinite(wanted).all():
        return 0.0
    return float(np.linalg.norm(found - wanted) / max(np.linalg.norm(wanted), np.finfo(np.float32).tiny))


def check_pixels(formula: Known, pixels: NDArray[np.uint8]) -> Finding:
    """Compare decoded pictures, the features of ``mean-colour`` without pooling, with the known pixels."""
    features, _ = _features(formula, "numpy", pixels)
    facts = {"errors": _plain(formula.errors(features))}
    if wrong := formula.wrong(features):
        return Finding(name="pixels", state="failed", text=f"{_named(wrong)}; {_ADVICE}", facts=facts)
    text = f"{counted(len(formula.files), 'picture is', 'pictures are')} read, turned and resized correctly"
    return Finding(name="pixels", state="ok", text=text, facts=facts)


def check(name: str, networks: list[Known], pixels: Pixels) -> Finding:
    """Compare a runtime's features with the known ones, and try it at reduced precision.

    Parameters
    ----------
    name : {"keras", "openvino"}
        The runtime.
    networks : list of Known
        What is known.
    pixels : dict of PixelRules to (n, H, W, 3) uint8
        The pictures.
    """
    start = time.perf_counter()
    facts: dict[str, Any] = {"runtime": name, "networks": {}, "precisions": {}}
    ran: dict[str, Any] = {}
    worst, wrong = 0.0, ""
    try:
        for one in networks:
            features, ran = _features(one, name, pixels[one.spec.pixels])
            facts["networks"][one.spec.backbone] = _plain(one.errors(features))
            worst = max(worst, *one.errors(features).values())
            if off := one.wrong(features):
                wrong += f"{'; ' if wrong else ''}{one.spec.backbone}: {_named(off)}"
        facts |= ran
        facts["precisions"] = {"float32": worst} | _reduced(name, networks[-1], pixels)
    except FeatxError as error:  # what a backbone that can't be exported answers; others run it
        text = f"does not work ({error}). {runtimes.KERAS_ON_A_CPU}"
        return Finding(name=name, state="note" if name == "openvino" else "failed", text=text, facts=facts)
    except Exception as error:  # noqa: BLE001  (whatever a broken installation raises is what is looked for)
        text = f"does not work ({_said(error)}); {_ADVICE}"
        return Finding(name=name, state="failed", text=text, facts=facts)
    facts["seconds"] = round(time.perf_counter() - start, 1)
    if wrong:
        return Finding(name=name, state="failed", text=f"{wrong}; {_ADVICE}", facts=facts)
    if name == "openvino":
        remember(_exports_key(networks), {"exported": True})
    offs = ", ".join(f"{precision} (off by {error:.0e})" for precision, error in facts["precisions"].items())
    text = f"{ran['name']} on {ran['device']} gives the known features: {offs}"
    if lacking := [precision for precision in _REDUCED if precision not in facts["precisions"]]:
        text += f"; can't use {' or '.join(lacking)}"
    if name == "keras" and ran["device"].startswith("cpu") and gpu_for_keras():
        text += "; it doesn't find the GPU: check `nvidia-smi`, and try `pip install --upgrade 'featx[gpu]'`"
        return Finding(name=name, state="note", text=text, facts=facts)
    return Finding(name=name, state="ok", text=text, facts=facts)


def _choice(network: Known) -> Finding:
    chosen = runtimes.choose(network.spec, RuntimeOptions())
    facts = {"auto": chosen}
    if chosen == "keras" and not gpu_for_keras():
        text = (
            "keras, because OpenVINO isn't installed: with `pip install openvino`, the CPU computes two to four times "
            "as fast"
        )
        return Finding(name="runtime", state="note", text=text, facts=facts)
    return Finding(name="runtime", state="ok", text=f"`runtime=auto` is {chosen} on this machine", facts=facts)


def _fallbacks() -> Iterator[Finding]:
    """Name the backbones that were found not to run on OpenVINO here, and why."""
    if importlib.util.find_spec("openvino") is None or not (failed := failed_exports()):
        return
    said = "; ".join(f"{backbone}: {reason}" for backbone, reason in sorted(failed.items()))
    text = f"not for {said}. {runtimes.KERAS_ON_A_CPU}; another version of openvino or keras may help"
    yield Finding(name="openvino", state="note", text=text, facts={"failed_exports": failed})


def _left_out(name: str, networks: list[Known], *, quick: bool) -> Finding | None:
    """Return the reason why a runtime isn't checked; None if it is."""
    facts = {"runtime": name}
    if importlib.util.find_spec(name) is None:
        return Finding(name=name, state="note", text="not installed", facts=facts)
    if quick and (name == "keras" or remembered(_exports_key(networks)) is None):
        return Finding(name=name, state="note", text="not checked: leave out `quick`", facts=facts)
    return None


def _features(one: Known, name: str, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Compute the features of known pictures on a runtime, with the runtime's name and device."""
    source = locate("none", filename=find(one.spec.backbone).weights_file)
    options = RuntimeOptions(runtime=name, batch_size=len(pixels))
    ready = runtimes.runtime(one.spec, source, options)
    try:
        ran = {"name": ready.name, "device": ready.device, "precision": ready.precision}
        return ready(pixels).copy(), ran
    finally:
        ready.close()


def _reduced(name: str, one: Known, pixels: Pixels) -> dict[str, float]:
    """Measure the error at each reduced precision that the runtime truly executes here."""
    found: dict[str, float] = {}
    for precision in _REDUCED:
        spec = dataclasses.replace(one.spec, precision=precision)
        try:
            spec = dataclasses.replace(spec, runtime=runtimes.executed(spec, RuntimeOptions(runtime=name)))
            features, _ = _features(dataclasses.replace(one, spec=spec), name, pixels[spec.pixels])
        except FeatxError:  # what a runtime that would execute another precision answers
            continue
        found[precision] = max(one.errors(features).values())
    return found


def _exports_key(networks: list[Known]) -> tuple[str, ...]:
    versions = [importlib.metadata.version(name) for name in ("keras", "openvino")]
    return ("doctor", *versions, configured_backend(), *(one.spec.fingerprint for one in networks))


def _plain(errors: dict[str, float]) -> dict[str, float | None]:
    """Turn errors into values that JSON can hold: None for what is no finite number."""
    return {file: error if math.isfinite(error) else None for file, error in errors.items()}


def _named(wrong: dict[str, float]) -> str:
    return "wrong results: " + ", ".join(f"{file} (off by {error:.0e})" for file, error in wrong.items())


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
