"""Train a network that colours grey photos, and compare it with simpler ways on images that it hasn't seen.

    python examples/colorize/train.py FOLDER [--weights FILE] [--out artifacts/colorize]

Written are the decoder, trained on all images, with what `colour.py` needs; `table.md`; and `pictures.jpg`: grey,
predicted and true, each by the network that hadn't seen that image.
"""

import argparse
import json
import logging
import time
from pathlib import Path

import numpy as np
from decoder import Maps, build, colours, lightness, painted, predict, train
from lab import colourfulness, delta_e
from numpy.typing import NDArray
from PIL import Image

import featx

LAYERS = ("block_2_add", "block_5_add", "block_12_add", "block_15_add")
BINS = 32
SHOWN = 6


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", type=Path, help="folder of colour photos")
    parser.add_argument("--backbone", default="mobilenetv2-0.35")
    parser.add_argument("--weights", default="imagenet", help="imagenet, or a file of Keras weights")
    parser.add_argument("--layers", default=",".join(LAYERS), help="layers whose maps the decoder sees")
    parser.add_argument("--size", type=int, default=128, help="side of the grey image, a multiple of 32")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("artifacts/colorize"))
    given = parser.parse_args()
    if given.size < 32 or given.size % 32:
        parser.error(f"--size must be a multiple of 32, and is {given.size}")
    return given


def encoded(given: argparse.Namespace, weights: str) -> tuple[featx.FeatureStore, Maps]:
    """Extract the maps of all layers of grey images: a store each, decoded once."""
    found = featx.extract_all(
        given.images,
        backbones=[given.backbone],
        layers=given.layers.split(","),
        weights=weights,
        pooling="none",
        image_size=given.size,
        colours="grey",
        # Keras is loaded in any case, for the decoder.
        runtime="keras",
        out=given.out / ("untrained" if weights == "none" else "features"),
        progress=False,
    )
    stores = [one.store for one in found if one.store is not None]
    return stores[0], [np.array(store.maps) for store in stores]


def own_maps(grey: NDArray[np.uint8]) -> Maps:
    """Make maps of the sizes that an encoder gives from the lightness alone: the 4 x 4 pixels below each place."""
    size, maps = grey.shape[1], []
    for side in (size // 32, size // 16, size // 8, size // 4):
        fine = lightness(grey, 4 * side)[..., 0]
        maps.append(fine.reshape(-1, side, 4, side, 4).transpose(0, 1, 3, 2, 4).reshape(-1, side, side, 16))
    return maps


def mean_per_lightness(
    light: NDArray[np.float32], ab: NDArray[np.float32], wanted: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Mean colour of the training pixels that are as light as each wanted one."""
    bins = np.minimum((light[..., 0] * BINS).astype(int), BINS - 1).ravel()
    count = np.bincount(bins, minlength=BINS)
    mean = [
        np.where(count > 0, np.bincount(bins, ab[..., at].ravel(), BINS) / np.maximum(count, 1), ab[..., at].mean())
        for at in (0, 1)
    ]
    at = np.minimum((wanted[..., 0] * BINS).astype(int), BINS - 1)
    return np.stack([one[at] for one in mean], axis=-1).astype(np.float32)


def parts(labels: NDArray[np.int32], folds: int) -> NDArray[np.int64]:
    """Give each image its fold, the classes spread evenly."""
    order = np.lexsort((np.random.default_rng(0).permutation(len(labels)), labels))
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % folds
    return fold


def interval(gain: NDArray[np.float64]) -> tuple[float, float]:
    """Mean of a gain over images and half its 95 % interval, by Student's t."""
    from scipy.stats import t

    n = len(gain)
    return float(gain.mean()), float(t.ppf(0.975, n - 1) * gain.std(ddof=1) / np.sqrt(n))


def main() -> None:
    given = arguments()
    # TensorFlow warns of many networks that are compiled; each fold needs its own.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    began = time.perf_counter()
    given.out.mkdir(parents=True, exist_ok=True)
    side = given.size // 4
    store, maps = encoded(given, given.weights)
    grey, true = store.pixels(), store.pixels(colours="rgb")
    light, ab, fold = lightness(grey, side), colours(true, side), parts(store.labels, given.folds)
    inputs = {"lightness alone": own_maps(grey)}
    if given.weights != "none":
        inputs["untrained encoder"] = [*encoded(given, "none")[1], light]
    inputs["encoder"] = [*maps, light]

    names = ("grey", "mean colour", "mean per lightness", *inputs)
    found = {name: np.zeros_like(ab) for name in names}
    seconds = dict.fromkeys(names, 0.0)
    for number in range(given.folds):
        test, rest = fold == number, fold != number
        found["mean colour"][test] = ab[rest].mean(axis=(0, 1, 2))
        found["mean per lightness"][test] = mean_per_lightness(light[rest], ab[rest], light[test])
        for name, of in inputs.items():
            start = time.perf_counter()
            network = build([one[rest] for one in of], side, seed=number)
            train(network, [one[rest] for one in of], ab[rest], epochs=given.epochs)
            found[name][test] = predict(network, [one[test] for one in of])
            seconds[name] += time.perf_counter() - start
    pictures = {name: painted(grey, one) for name, one in found.items()}
    error = {name: delta_e(one, true) for name, one in pictures.items()}

    lines = [
        "| colours from | delta E 76 | gain of the encoder | colourfulness | s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in names:
        mean, half = interval(error[name] - error["encoder"])
        wins = "" if name == "encoder" else f"{mean:.2f} [{mean - half:.2f}, {mean + half:.2f}]"
        vivid = colourfulness(pictures[name])
        lines.append(f"| {name} | {error[name].mean():.2f} | {wins} | {vivid:.1f} | {seconds[name]:.0f} |")
    lines.append(f"| the photo itself | 0 | | {colourfulness(true):.1f} | |")
    (given.out / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")

    # From the best to the worst, at even steps: no choice of what looks well.
    order = np.argsort(error["encoder"])[np.linspace(0, len(grey) - 1, min(SHOWN, len(grey))).astype(int)]
    rows = [np.concatenate(list(of[order]), axis=1) for of in (grey, pictures["encoder"], true)]
    Image.fromarray(np.concatenate(rows)).save(given.out / "pictures.jpg", quality=85)

    network = build(inputs["encoder"], side, seed=0)
    train(network, inputs["encoder"], ab, epochs=given.epochs)
    network.save(given.out / "decoder.keras")
    about = {
        "backbone": given.backbone,
        "weights": store.weights_source,
        "layers": given.layers.split(","),
        "size": given.size,
    }
    (given.out / "decoder.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    print("\n".join(lines))
    print(f"\n{len(grey)} images, {given.folds} folds, {time.perf_counter() - began:.0f} s; written to {given.out}")


if __name__ == "__main__":
    main()
