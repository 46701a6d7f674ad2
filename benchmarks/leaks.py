"""How many planted copies of training images are found among those scored, and how many pairs are found that are none?

    FEATX_MATERIAL=… python benchmarks/leaks.py [--sets flowers5_dev trashnet_dev sign_digits] [--sheet pairs.png]

Each set is split in half, the one to train on, the other to score (seeded). Copies of training images, altered in one
way each, are planted among the latter; features are MobileNetV2's, with real weights. Then
`featx.pipeline.evaluation.leaks.find` is asked, as `featx score` asks it. Prints the share of each kind that is found,
and the pairs found that were not planted, between the halves and inside training across labels: whether those are
false is for eyes to judge, so `--sheet` draws them side by side."""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageOps

import featx
from featx.pipeline.evaluation import leaks

WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
SETS = ("flowers5_dev", "trashnet_dev", "sign_digits")
SUFFIXES = {".jpg", ".jpeg", ".png"}
PLANTED = "planted "
TILE = 220
PER_ROW = 4


def half(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.LANCZOS)


def cropped(share: float) -> Callable[[Image.Image, np.random.Generator], Image.Image]:
    """Take this share of both sides away, at random ends."""

    def crop(image: Image.Image, generator: np.random.Generator) -> Image.Image:
        width, height = (round(side * (1 - share)) for side in image.size)
        left, top = (round(room * generator.random()) for room in (image.width - width, image.height - height))
        return image.crop((left, top, left + width, top + height))

    return crop


KINDS: dict[str, tuple[Callable[[Image.Image, np.random.Generator], Image.Image] | None, int]] = {
    "exact copy": (None, 0),
    "JPEG quality 60": (lambda image, _: image, 60),
    "JPEG quality 30": (lambda image, _: image, 30),
    "half size": (half, 92),
    "8 % cropped": (cropped(0.08), 92),
    "16 % cropped": (cropped(0.16), 92),
    "mirrored": (lambda image, _: ImageOps.mirror(image), 92),
}
"""Way to alter an image, and quality of the JPEG that it is written as."""


def plant(source: Path, folder: Path, *, each: int, seed: int) -> dict[str, tuple[str, str]]:
    """Split a set into train and test, plant copies in test; (kind, original) of each planted path."""
    generator = np.random.default_rng(seed)
    files = sorted(file for file in source.rglob("*") if file.suffix.lower() in SUFFIXES)
    order = [files[index] for index in generator.permutation(len(files))]
    train, test = order[: len(order) // 2], order[len(order) // 2 :]
    for split, chosen in (("train", train), ("test", test)):
        for file in chosen:
            target = folder / split / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    planted = {}
    for number, (kind, (alter, quality)) in enumerate(KINDS.items()):
        for index in range(each):
            original = train[(number * each + index) % len(train)]
            path = original.relative_to(source)
            suffix = ".jpg" if alter else path.suffix
            target = folder / "test" / path.parent / f"{PLANTED}{number} {path.stem}{suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            if alter is None:
                shutil.copyfile(original, target)
            else:
                image = ImageOps.exif_transpose(Image.open(original)).convert("RGB")
                alter(image, generator).save(target, quality=quality)
            planted[str(target.relative_to(folder / "test"))] = (kind, str(path))
    return planted


def search(source: Path, weights: Path, folder: Path, *, each: int, seed: int) -> dict[str, Any]:
    """What is found in one set."""
    planted = plant(source, folder, each=each, seed=seed)
    model = featx.fit(
        featx.extract(folder / "train", backbone="mobilenetv2", weights=weights, out=folder / "train.h5"),
        C=0.01,
        out=folder / "model.skops",
    )
    store = featx.extract(folder / "test", backbone="mobilenetv2", weights=weights, out=folder / "test.h5")
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        found = leaks.find(model, store)
        seconds.append(time.perf_counter() - start)
    named = {leak.path: leak for leak in found.at("train-test")}
    kinds = {}
    for kind in KINDS:
        wanted = {path: original for path, (what, original) in planted.items() if what == kind}
        right = sum(path in named and named[path].other == original for path, original in wanted.items())
        kinds[kind] = {"planted": len(wanted), "found": sum(path in named for path in wanted), "named_right": right}
    others = [leak for leak in found.pairs if leak.path not in planted]
    return {
        "set": source.name,
        "train": len(model.labels),
        "test": len(store) - len(planted),
        "kinds": kinds,
        "not_planted": [leak.to_dict() for leak in others],
        "complete": found.complete,
        "seconds_first": seconds[0],
        "seconds_again": seconds[1],
    }


def sheet(pairs: list[tuple[Path, Path, str]], target: Path) -> None:
    """Draw pairs of images side by side."""
    rows = max(1, -(-len(pairs) // PER_ROW))
    canvas = Image.new("RGB", (PER_ROW * (2 * TILE + 20), rows * (TILE + 20)), "white")
    draw = ImageDraw.Draw(canvas)
    for number, (first, second, words) in enumerate(pairs):
        left, top = number % PER_ROW * (2 * TILE + 20), number // PER_ROW * (TILE + 20)
        for place, file in enumerate((first, second)):
            image = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
            canvas.paste(ImageOps.contain(image, (TILE - 4, TILE - 4)), (left + place * TILE, top + 16))
        draw.text((left, top + 2), words, fill="black")
    canvas.save(target)


def told(found: dict[str, Any]) -> str:
    """One set's findings for people."""
    lines = [
        f"{found['set']}: {found['train']} training images, {found['test']} others; {found['seconds_first']:.1f} s, "
        f"again {found['seconds_again']:.1f} s"
    ]
    for kind, one in found["kinds"].items():
        share = one["found"] / one["planted"] if one["planted"] else float("nan")
        lines.append(f"  {kind:16} {one['found']:4} of {one['planted']:4} found ({share:.1%})")
    lines.append(f"  not planted: {len(found['not_planted'])} pairs")
    lines += [f"    {one['where']} {one['kind']}: {one['path']}, {one['other']}" for one in found["not_planted"]]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--each", type=int, default=100, help="copies of each kind in each set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="PNG of the pairs that were found and not planted")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    material = Path(os.environ["FEATX_MATERIAL"]).absolute()
    results, pairs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen.sets:
            place = Path(folder, name)
            found = search(
                material / "images" / name, material / "weights" / WEIGHTS, place, each=chosen.each, seed=chosen.seed
            )
            results.append(found)
            if not chosen.json:
                print(told(found), flush=True)
            for one in found["not_planted"]:
                split = "test" if one["where"] == "train-test" else "train"
                words = f"{one['where']} {one['kind']} {one['labels'][0]}, {one['labels'][1]}"
                pairs.append((place / split / one["path"], place / "train" / one["other"], words))
        if chosen.sheet:
            sheet(pairs, chosen.sheet)
    if chosen.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
