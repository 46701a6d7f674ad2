"""Make the pictures and the known features that `featx doctor` compares a machine with.

Nothing of featx's own path computes what is known: pixels come from Pillow and the written rules (docs/pixels.md) in
numpy, features from Keras's `preprocess_input` and `predict`. Only the untrained weights are drawn by featx.

    python benchmarks/golden.py [FOLDER]     writes pictures and known.json (default: src/featx/golden)

Run it when the rules of decoding or the drawing of untrained weights change, and say why in the changelog.
"""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HEIGHT, WIDTH = 45, 61
PIXEL_SIZE = (8, 12)
NETWORK_SIZE = (32, 48)

# Networks of the two kinds of preprocessing that differ most: BGR minus a mean per channel, and a plain rescaling.
NETWORKS = (("vgg16", "block1_pool"), ("mobilenet-0.25", None))

# JPEG decoders may differ by a level; the features of a network are held more narrowly than that.
LOSSY = frozenset({"turned.jpg", "cmyk.jpg"})


def scene() -> np.ndarray:
    """A picture that is not the same turned, mirrored, with its channels swapped, or without its fine stripes."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    red, green = 255 * x / (WIDTH - 1), 255 * y / (HEIGHT - 1)
    stripes = np.where((x + 2 * y) % 5 < 2, 200, 30)
    pixels = np.stack([red, green, stripes], axis=-1)
    pixels[4:16, 4:24] = (230, 20, 40)
    pixels[30:42, 40:50] = (20, 40, 240)
    pixels[6:40:2, 30:34] = (250, 250, 10)
    return pixels.round().astype(np.uint8)


def write_pictures(folder: Path) -> None:
    pixels = scene()
    picture = Image.fromarray(pixels)
    picture.save(folder / "colours.png", optimize=True)
    # As a camera held upright writes it: turned, and a note that says so.
    turned, clockwise = picture.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    clockwise[0x0112] = 6
    turned.save(folder / "turned.png", exif=clockwise, optimize=True)
    turned.save(folder / "turned.jpg", exif=clockwise, quality=90, subsampling=2, optimize=True)
    alpha = np.linspace(0, 255, WIDTH).round().astype(np.uint8)[None].repeat(HEIGHT, axis=0)
    Image.fromarray(np.dstack([pixels, alpha])).save(folder / "see-through.png", optimize=True)
    grey = (pixels.astype(np.uint32).sum(axis=2) * 85).astype(np.uint16)
    Image.fromarray(grey).save(folder / "grey16.png", optimize=True)
    picture.convert("CMYK").save(folder / "cmyk.jpg", quality=90, optimize=True)


def upright(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        image = ImageOps.exif_transpose(image)
        if image.mode == "I;16":
            grey = np.round(np.asarray(image) / 257)
            return np.stack([grey] * 3, axis=-1)
        if image.mode == "RGBA":
            values = np.asarray(image).astype(float)
            alpha = values[..., 3:]
            return np.round((values[..., :3] * alpha + 255 * (255 - alpha)) / 255)
        return np.asarray(image.convert("RGB")).astype(float)


def stretched(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Plain bilinear, centres at half-integers, edges repeated."""
    for axis, new in enumerate(size):
        old = pixels.shape[axis]
        at = ((np.arange(new) + 0.5) * old / new - 0.5).clip(0, old - 1)
        low = np.floor(at).astype(int)
        share = np.expand_dims(at - low, tuple(i for i in range(3) if i != axis))
        pixels = pixels.take(low, axis) * (1 - share) + pixels.take((low + 1).clip(max=old - 1), axis) * share
    return np.round(pixels)


def pixels_known(folder: Path, files: list[str]) -> dict:
    from featx.backbones import Request, resolve

    spec, _ = resolve(Request(backbone="mean-colour", pooling="none", image_size=PIXEL_SIZE))
    values = {file: stretched(upright(folder / file), PIXEL_SIZE).astype(int).ravel().tolist() for file in files}
    return {"spec": json.loads(spec.to_json()), "tolerance": 0.01, "features": values}


def features_known(folder: Path, files: list[str], backbone: str, layer: str | None) -> dict:
    from featx.backbones import Request, find, resolve
    from featx.backbones.build import network
    from featx.backbones.loading import load
    from featx.images import decode

    spec, source = resolve(Request(backbone=backbone, layer=layer, weights="none", image_size=NETWORK_SIZE))
    entry = find(backbone)
    built = network(entry, layer=layer, pooling=spec.pooling, image_size=NETWORK_SIZE)
    load(built.whole, entry, source, top=built.top)
    module, _, function = entry.preprocessing.rpartition(".")
    preprocess = getattr(importlib.import_module(module), function)
    images = np.stack([decode((folder / file).read_bytes(), spec.pixels) for file in files])
    features = built.cut.predict(preprocess(images.astype(np.float32)), verbose=0)
    return {
        "spec": json.loads(spec.to_json()),
        "tolerance": 1e-4,
        "features": {
            file: [float(f"{value:.7g}") for value in row] for file, row in zip(files, features.tolist(), strict=True)
        },
    }


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "src/featx/golden"
    write_pictures(folder)
    files = sorted(file.name for file in folder.iterdir() if file.suffix in (".png", ".jpg"))
    exact = [file for file in files if file not in LOSSY]
    known = [pixels_known(folder, files), *(features_known(folder, exact, *network) for network in NETWORKS)]
    text = ",\n".join(json.dumps(one) for one in known)
    (folder / "known.json").write_text(f"[\n{text}\n]\n", encoding="ascii")


if __name__ == "__main__":
    main()
