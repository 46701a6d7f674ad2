"""The ways of transfer learning side by side, on the same test images: what each gains, and the seconds that it takes.

    python benchmarks/ways.py --sets sign_digits flowers5_dev trashnet_dev --images FOLDER --weights FILE

FOLDER has a folder or CSV of each set. A fifth of each class is drawn with the seed and tested on; everything is chosen
on the other images. The ways are logistic regression on frozen features, the same with views, a head of one hidden
layer on them, fine-tuning of the last blocks, and a small network from scratch. Differences from the first have 95 %
intervals over the same images (`featx.statistics.comparison`). Seconds are from files to report; features that an
earlier way computed are copied.
"""

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import featx
from featx.manifest import find
from featx.selection.folds import split
from featx.statistics.comparison import rank

SIZES = {"sign_digits": 96}
"""Images of hands are small; the others are taken at the backbone's own size."""

WITHOUT_MIRRORS = {"sign_digits"}
"""A mirrored sign is another one."""


def divided(source: Path, *, seed: int) -> None:
    """Write data/train.csv, data/test.csv with a fifth of each class, and both as data/both.csv with a split."""
    (images,) = find(source)
    labels = images.labels.astype(np.int64)
    train, test = next(iter(split(labels, images.classes, images.groups, folds=5, seed=seed)))
    Path("data").mkdir()
    rows = {
        name: [[images.root / images.paths[row], images.classes[images.labels[row]], name] for row in chosen]
        for name, chosen in (("train", train), ("test", test))
    }
    for name, lines in (rows | {"both": [*rows["train"], *rows["test"]]}).items():
        with Path("data", f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            written = csv.writer(file)
            written.writerow(["path", "label", "split"] if name == "both" else ["path", "label"])
            written.writerows(lines if name == "both" else [line[:2] for line in lines])


def ways(name: str, *, backbone: str, weights: str, seed: int) -> dict[str, Callable[[], Any]]:
    """Give the ways; each returns a report on data/test.csv."""
    flip, quiet = name not in WITHOUT_MIRRORS, {"progress": False}
    request = {"backbone": backbone, "weights": weights, "image_size": SIZES.get(name)}
    test = Path("data/test.csv")

    def frozen(number: int, **views: Any) -> Any:
        store = featx.extract("data/train.csv", **request, **views, out=f"{number}.h5", **quiet)
        return featx.fit(store, views=bool(views), **quiet)

    def tuned() -> Any:
        model = frozen(3)
        return featx.tune("data/train.csv", model=model, views=4, flip=flip, seed=seed, out="tuned", **quiet).model

    def head() -> Any:
        options = request | {"last": 0, "head": 256, "seed": seed, "out": "head"}
        return featx.tune("data/train.csv", **options, **quiet).model

    return {
        "frozen features, logistic regression": lambda: featx.score(frozen(1), test, **quiet),
        "the same, 4 views averaged": lambda: featx.score(frozen(2, views=4, flip=flip), test, views=True, **quiet),
        "head of 256 on frozen features": lambda: featx.score(head(), test, **quiet),
        "fine-tuned, 4 views": lambda: featx.score(tuned(), test, **quiet),
        "small network from scratch": lambda: featx.baseline("data/both.csv", flip=flip, seed=seed, **quiet),
    }


def predictions(report: Any) -> dict[str, tuple[str, str]]:
    """Give label and prediction by folder and name of the image."""
    classes = report.metrics.classes
    rows = zip(report.images.paths, report.images.labels, report.images.predicted, strict=True)
    return {"/".join(Path(path).parts[-2:]): (classes[label], classes[said]) for path, label, said in rows}


def compare(name: str, options: argparse.Namespace) -> list[str]:
    """Run all ways on one set; give the rows of its table."""
    found, seconds = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        divided(options.images / name, seed=options.seed)
        for way, run in ways(name, backbone=options.backbone, weights=options.weights, seed=options.seed).items():
            if options.only and not any(word in way for word in options.only):
                continue
            start = time.perf_counter()
            found[way] = predictions(run())
            seconds[way] = time.perf_counter() - start
            right = np.mean([label == said for label, said in found[way].values()])
            print(f"{name}: {way}: {right:.1%} of {len(found[way])}, {seconds[way]:.0f} s", flush=True)
        os.chdir("/")
    first = next(iter(found))
    paths = list(found[first])
    labels = [found[first][path][0] for path in paths]
    number = {label: index for index, label in enumerate(sorted(set(labels)))}
    lines = [f"| {name} ({len(paths)} tested) | accuracy | difference [95 %] | seconds |", "| --- | --- | --- | --- |"]
    for way, said in found.items():
        right = np.mean([said[path][0] == said[path][1] for path in paths])
        difference = ""
        if way != first:
            told = {one: [number.get(found[one][path][1], -1) for path in paths] for one in (first, way)}
            (pair,) = rank([number[label] for label in labels], told).with_best
            sign = 1 if pair.a == way else -1
            low, high = sorted(100 * sign * end for end in (pair.accuracy.interval.low, pair.accuracy.interval.high))
            difference = f"{100 * sign * pair.accuracy.value:+.1f} [{low:+.1f}, {high:+.1f}]"
        lines.append(f"| {way} | {right:.1%} | {difference} | {seconds[way]:.0f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder with a folder or CSV of each set")
    parser.add_argument("--sets", nargs="+", default=["sign_digits", "flowers5_dev", "trashnet_dev"])
    parser.add_argument("--backbone", default="mobilenetv2-0.35")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="words of the ways to run")
    options = parser.parse_args()
    options.images = options.images.resolve()
    if options.weights not in ("imagenet", "none"):
        options.weights = str(Path(options.weights).resolve())
    tables = [compare(name, options) for name in options.sets]
    print("\n\n".join("\n".join(lines) for lines in tables))


if __name__ == "__main__":
    main()
