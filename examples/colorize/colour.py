"""Colour a grey photo with the network that `train.py` made, and write the picture.

python examples/colorize/colour.py photo.jpg coloured.png [--model artifacts/colorize]
"""

import argparse
import json
from pathlib import Path

import numpy as np
from decoder import lightness, painted, predict
from PIL import Image, ImageOps

import featx


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("picture", type=Path, help="file to be written")
    parser.add_argument("--model", type=Path, default=Path("artifacts/colorize"))
    given = parser.parse_args()

    import keras

    about = json.loads((given.model / "decoder.json").read_text(encoding="utf-8"))
    network = keras.saving.load_model(given.model / "decoder.keras", compile=False)
    pixels = featx.ImageLoader(image_size=about["size"], colours="grey").transform([given.photo])
    maps = []
    for layer in about["layers"]:
        encoder = featx.Backbone(about["backbone"], weights=about["weights"], layer=layer, pooling="none")
        flat = encoder.transform(pixels)
        maps.append(flat.reshape(1, *network.inputs[len(maps)].shape[1:]))
    ab = predict(network, [*maps, lightness(pixels, about["size"] // 4)])
    with Image.open(given.photo) as photo:
        whole = np.asarray(ImageOps.exif_transpose(photo).convert("L").convert("RGB"))
    Image.fromarray(painted(whole[None], ab)[0]).save(given.picture)
    print(f"{given.picture} is written")


if __name__ == "__main__":
    main()
