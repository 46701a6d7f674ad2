"""What views bring: logistic regression without them, fitted on them, and averaged over them, with paired intervals.

    python benchmarks/views.py FOLDER --weights FILE [--image-size 96] [--views 4] [--no-flip]

FOLDER has a sub-folder for each class. All accuracies are cross-validated in five parts of the images; no view crosses
from one part to another. The gain is that of the last row over the first on the same images. The table in
``docs/views.md`` is of MobileNetV2 0.35: sign_digits (at 96 pixels, without flip), flowers5_dev and trashnet_dev.
"""

import argparse
import os
import tempfile
from pathlib import Path

import featx


def main() -> None:
    """Measure one folder and print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", default="mobilenetv2-0.35")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--no-flip", action="store_true")
    parser.add_argument("--seed", type=int, default=0, help="of the views and of the folds")
    given = parser.parse_args()
    folder = given.folder.absolute()
    weights = given.weights if given.weights in ("imagenet", "none") else Path(given.weights).absolute()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        store = featx.extract(
            folder,
            backbone=given.backbone,
            weights=weights,
            image_size=given.image_size,
            views=given.views,
            flip=not given.no_flip,
            seed=given.seed,
        )
        without, with_views = (featx.fit(store, views=views, nested=False, seed=given.seed) for views in (False, True))
        reports = [featx.score(without), featx.score(with_views), featx.score(with_views, views=True)]
        views = "1 view" if given.views == 1 else f"{given.views} views"
        print(f"{folder.name}: {len(store)} images, {views} of each, five folds")
        for way, report in zip(("without views", "fitted on views", "and averaged"), reports, strict=True):
            accuracy = report.metrics.intervals["accuracy"]
            print(f"{way:16} {report.metrics.accuracy:6.1%} [{accuracy.low:.1%}, {accuracy.high:.1%}]")
        (pair,) = featx.compare([reports[0], reports[2]]).pairs
        gain = pair.by_metric["accuracy"]
        sign = 1 if pair.a == reports[2].model else -1
        low, high = sorted((sign * gain.interval.low, sign * gain.interval.high))
        print(f"gain             {sign * gain.value:+6.1%} [{low:+.1%}, {high:+.1%}]")
        os.chdir("/")  # the folder is removed


if __name__ == "__main__":
    main()
