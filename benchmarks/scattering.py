"""What scattering gives: accuracy on photographs and digits beside MobileNetV2's, and images per second.

    FEATX_MATERIAL=… python benchmarks/scattering.py [--sets flowers5_dev trashnet_dev sign_digits digits]

Each set is extracted and fitted by the public verbs (`featx.extract`, `featx.fit`, logistic regression, five folds).
``digits`` are all the images that `featx demo` draws from, at its sizes. MobileNetV2 has the published weights of the
material's folder, or none where they aren't there. Speed is files to store over the largest set, in a process that has
extracted before, and of the backbone alone.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import featx
from featx.backbones import Request, resolve
from featx.demo import BACKBONE, WITHOUT_WEIGHTS, write_digits
from featx.machine import available_cores
from featx.runtimes import RuntimeOptions, runtime

WEIGHTS = {"mobilenetv2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"}
DIGITS: dict[str, dict[str, Any]] = {
    "scattering": {"image_size": WITHOUT_WEIGHTS.image_size, "pooling": "none"},
    "mobilenetv2": {"image_size": BACKBONE.image_size},
}
"""Options for the digits, by the beginning of a backbone's name: the sizes of the demo, and scattering by cells."""

SETS = ("flowers5_dev", "trashnet_dev", "sign_digits", "digits")


def alone(backbone: str, *, seconds: float, batch_size: int = 32) -> float:
    """Images per second of a backbone on OpenVINO at its own size, nothing else running."""
    spec, source = resolve(Request(backbone=backbone, weights="none"))
    run = runtime(spec, source, RuntimeOptions(runtime="openvino", batch_size=batch_size))
    images = np.random.default_rng(0).integers(0, 256, (batch_size, *spec.image_size, 3), dtype=np.uint8)
    run(images)
    rates: list[float] = []
    end = time.perf_counter() + seconds
    while not rates or time.perf_counter() < end:
        start = time.perf_counter()
        run(images)
        rates.append(batch_size / (time.perf_counter() - start))
    run.close()
    return float(np.median(rates))


def measure(source: Path, backbone: str, weights: Path | str, more: dict[str, Any]) -> dict[str, Any]:
    """Accuracy and speed of one backbone on one folder of images."""
    known: dict[str, Any] = {"backbone": backbone, "weights": weights, "runtime": "openvino", **more}
    featx.extract(source, out="first.h5", overwrite=True, **{**known, "limit": 10})
    target = Path(f"{source.name}-{backbone}.h5")
    target.unlink(missing_ok=True)  # its rows would be taken
    start = time.perf_counter()
    store = featx.extract(source, out=target, overwrite=True, **known)
    seconds = time.perf_counter() - start
    model = featx.fit(store, clf="logreg")
    best = max(model.selection.rows, key=lambda row: row.mean)
    return {
        "set": source.name,
        "backbone": backbone,
        "images": len(store),
        "width": store.features.shape[1],
        "accuracy": best.mean,
        "deviation": best.std,
        "images_per_second": len(store) / seconds,
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--backbones", nargs="+", default=["scattering", "mobilenetv2"])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement of a backbone alone")
    parser.add_argument("--limit", type=int, help="images of each set, to try it out")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    material = Path(os.environ["FEATX_MATERIAL"]).absolute() if "FEATX_MATERIAL" in os.environ else None
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in chosen.sets:
            if name == "digits":
                write_digits(Path("digits"))
                source = Path("digits/train")
            else:
                assert material is not None, "FEATX_MATERIAL is not set"
                source = material / "images" / name
            for backbone in chosen.backbones:
                file = material / "weights" / WEIGHTS[backbone] if material and backbone in WEIGHTS else None
                more = DIGITS.get(backbone.partition("-")[0], {}) if name == "digits" else {}
                more = {**more, "limit": chosen.limit}
                found = measure(source, backbone, file if file and file.is_file() else "none", more)
                results.append({**found, "set": name})
                if not chosen.json:
                    print(
                        f"{name:14} {backbone:18} {found['images']:>6,} images  {found['width']:>5,} values  "
                        f"accuracy {found['accuracy']:.3f} (folds +-{found['deviation']:.3f})  "
                        f"files to store {found['images_per_second']:.0f} images/s",
                        flush=True,
                    )
        for backbone in chosen.backbones:
            rate = alone(backbone, seconds=chosen.seconds)
            results.append({"backbone": backbone, "alone_images_per_second": rate, "cores": available_cores()})
            if not chosen.json:
                print(f"{backbone:18} alone: {rate:.0f} images/s on {available_cores()} cores", flush=True)
        os.chdir("/")
    if chosen.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
