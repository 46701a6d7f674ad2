"""Features against Keras's own ``model.predict(preprocess_input(x))``, one backbone of every family.

The networks are untrained, but every tensor is drawn anew, with batch-norm statistics about what they should be: as
initialised, features vanish and any two programs agree. The weights go through a file, as a user's would.

``error`` is the largest relative error of a row over all batch sizes, ``openvino`` the same of the OpenVINO runtime.
``one ulp`` is how far Keras's own features
move when every preprocessed pixel does by one unit in the last place: what any other program may differ by, since
TensorFlow divides by a constant as it likes. ``spread`` shows that features tell the images apart (standard deviation
over the images, relative to their size).

    python benchmarks/parity.py
    python benchmarks/parity.py --families vgg16 convnext --image-size 96
    python benchmarks/parity.py --table          # names, files, widths and parameters of the whole table instead
"""

import argparse
import gc
import importlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones import Entry, Request, resolve, table
from featx.backbones.session import import_keras
from featx.runtimes import RuntimeOptions, runtime

TOLERANCE = 1e-5
BATCH_SIZES = (1, 7, 32)
IMAGES = 39  # the last batch is ragged at 7 and at 32


def images(size: tuple[int, int], *, seed: int) -> NDArray[np.uint8]:
    """(IMAGES, H, W, 3) uint8: blotches of colour under noise, so that pooled features differ between images."""
    generator = np.random.default_rng(seed)
    blotches = generator.integers(0, 256, (IMAGES, 4, 4, 3))
    rows, columns = (np.arange(side) * 4 // side for side in size)
    noise = generator.integers(-40, 41, (IMAGES, *size, 3))
    return np.clip(blotches[:, rows][:, :, columns] + noise, 0, 255).astype(np.uint8)


def randomise(model: Any, *, seed: int) -> None:
    """Draw every tensor anew such that signals neither vanish nor explode."""
    generator = np.random.default_rng(seed)
    for layer, variable in [(owner, variable) for owner in model.layers for variable in owner.weights]:
        shape = tuple(variable.shape)
        if len(shape) > 1:
            depthwise = "Depthwise" in type(layer).__name__ or variable.name == "depthwise_kernel"
            fan_in = np.prod(shape[:2] if depthwise else shape[:-1])
            value = generator.normal(0.0, np.sqrt(1.5 / fan_in), shape)
        elif variable.name in ("gamma", "moving_variance", "variance"):
            value = generator.uniform(0.5, 1.5, shape)
        elif variable.name == "beta":
            # Mostly above zero: random networks that cut off half of every layer amplify rounding a hundredfold.
            value = generator.normal(0.5, 0.2, shape)
        else:
            value = generator.normal(0.0, 0.2, shape)
        variable.assign(value.astype("float32"))
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def settle(model: Any, inputs: NDArray[np.float32], *, seed: int) -> None:
    """Give batch norm statistics near those of its inputs, or gates and depth drown the images in constants."""
    layers = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    model(inputs, training=True)
    generator = np.random.default_rng(seed)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        variance = layer.moving_variance.numpy()
        layer.moving_variance.assign(variance * generator.uniform(0.7, 1.4, variance.shape) + 1e-3 * variance.mean())
        shift = generator.normal(0.0, 0.2, variance.shape) * np.sqrt(variance)
        layer.moving_mean.assign(layer.moving_mean.numpy() + shift)


def relative(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Give the largest relative error of a row."""
    return float((np.linalg.norm(found - wanted, axis=1) / np.linalg.norm(wanted, axis=1)).max())


def compare(
    entry: Entry, size: tuple[int, int], folder: Path, *, batch_sizes: tuple[int, ...] = BATCH_SIZES
) -> tuple[float, float, float, int]:
    """Give error, one ulp, spread (see above) and width, for the Keras runtime."""
    errors, ulp, spread, width = compare_runtimes(entry, size, folder, names=("keras",), batch_sizes=batch_sizes)
    return errors["keras"], ulp, spread, width


def compare_runtimes(
    entry: Entry,
    size: tuple[int, int],
    folder: Path,
    *,
    names: tuple[str, ...] = ("keras", "openvino"),
    batch_sizes: tuple[int, ...] = BATCH_SIZES,
) -> tuple[dict[str, float], float, float, int]:
    """Give the error of each runtime, one ulp, spread (see above) and width."""
    keras = import_keras()
    constructor = getattr(keras.applications, str(entry.constructor).rpartition(".")[2])
    model = constructor(include_top=False, weights=None, pooling="avg", input_shape=(*size, 3), **dict(entry.arguments))
    randomise(model, seed=1)
    pixels = images(size, seed=2)
    module, _, function = entry.preprocessing.rpartition(".")
    preprocess = getattr(importlib.import_module(module), function)
    settle(model, preprocess(pixels[:8].astype("float32")), seed=4)
    weights = folder / f"{entry.name}.weights.h5"
    model.save_weights(weights)
    inputs = preprocess(pixels.astype("float32"))
    wanted = model.predict(inputs, batch_size=32, verbose=0)
    ulp = relative(model.predict(np.nextafter(inputs, np.float32(np.inf)), batch_size=32, verbose=0), wanted)

    spec, source = resolve(Request(backbone=entry.name, weights=str(weights), image_size=size))
    worst: dict[str, float] = {}
    for name in names:
        for batch_size in batch_sizes:
            run = runtime(spec, source, RuntimeOptions(runtime=name, batch_size=batch_size))
            found = run(pixels)
            run.close()
            worst[name] = max(worst.get(name, 0.0), relative(found, wanted))
    weights.unlink()
    spread = float(np.sqrt(wanted.var(axis=0).mean()) / np.sqrt((wanted**2).mean()))
    return worst, ulp, spread, wanted.shape[1]


def check_table() -> int:
    """Hold the whole table against Keras: constructors, file names, widths, parameters."""
    keras = import_keras()
    from keras.src.utils import file_utils

    class AskedError(Exception):
        pass

    def get_file(name: str, *_: Any, **__: Any) -> None:
        raise AskedError(name)

    file_utils.get_file = get_file
    wrong = 0
    entries = [entry for entry in table() if not entry.formula]
    offered = {name for name in dir(keras.applications) if name[0].isupper()}
    missing = offered - {str(entry.constructor).rpartition(".")[2] for entry in entries}
    for entry in entries:
        constructor = getattr(keras.applications, str(entry.constructor).rpartition(".")[2])
        asked = []
        for top in (False, True):
            try:
                constructor(include_top=top, weights="imagenet", input_shape=(*entry.image_size, 3), **entry.arguments)
            except AskedError as file:
                asked.append(str(file))
        model = constructor(include_top=False, weights=None, pooling="avg", **entry.arguments)
        found = (*asked, model.output_shape[-1], model.count_params())
        wanted = (entry.weights_file, entry.weights_file_top, entry.width, entry.parameters)
        wrong += found != wanted
        print(f"{entry.name:32}{'ok' if found == wanted else f'DIFFERS: table {wanted}, Keras {found}'}", flush=True)
        del model
        keras.backend.clear_session()
    print(f"{len(entries)} rows, {wrong} wrong; offered by Keras and not in the table: {sorted(missing) or 'none'}")
    return int(bool(wrong or missing))


def main() -> int:
    """Run and print; 0 where all hold."""
    families: dict[str, Entry] = {}
    for entry in sorted(table(), key=lambda entry: -entry.parameters):
        # The smallest of each family, but with all that the family is made of.
        if not entry.formula and "minimalistic" not in entry.arguments:
            families[entry.family] = entry
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="*", choices=list(families), default=list(families), metavar="FAMILY")
    parser.add_argument("--image-size", type=int, help="side in pixels instead of the native one")
    parser.add_argument("--table", action="store_true", help="check the table against Keras instead")
    options = parser.parse_args()
    if options.table:
        return check_table()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FEATX_CACHE"] = folder
        print(
            f"{'family':22}{'backbone':32}{'pixels':>9}{'width':>7}{'error':>10}{'openvino':>10}{'one ulp':>10}"
            f"{'spread':>9}{'s':>7}"
        )
        for family in options.families:
            entry, start = families[family], time.perf_counter()
            size = entry.image_size if options.image_size is None else (options.image_size, options.image_size)
            errors, ulp, spread, width = compare_runtimes(entry, size, Path(folder))
            good = max(errors.values()) <= TOLERANCE and spread > 1e-2
            failed += not good
            print(
                f"{family:22}{entry.name:32}{size[0]:>4}x{size[1]:<4}{width:>7}{errors['keras']:>10.1e}{errors['openvino']:>10.1e}"
                f"{ulp:>10.1e}{spread:>9.1e}{time.perf_counter() - start:>7.1f}{'' if good else '  FAILED'}",
                flush=True,
            )
            import_keras().backend.clear_session()
            gc.collect()
    batches = ", ".join(map(str, BATCH_SIZES))
    print(f"{IMAGES} images in batches of {batches}; relative error of a row at most {TOLERANCE:g}: {failed} failed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
