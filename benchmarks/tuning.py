"""Fine-tuning: what it gains in cross-validation, and what a training step costs.

    python benchmarks/tuning.py folds FOLDER|CSV --backbone mobilenetv2-0.35 --weights FILE [--views 8 …]
    python benchmarks/tuning.py step --backbone mobilenetv2-0.35 --weights FILE [--cut block_12_add]

``folds`` cuts the images into folds. For each, features are extracted, a logistic regression is fitted and tuned on the
other images alone, and both are scored on the images of the fold, which neither has seen. ``step`` times one step of
training on cached activations, the same step from pixels, and Keras's own ``fit`` on the same tail, one after the other
in turn; it gives medians, and ratios with the range over the turns. Pixels are in memory: nothing is decoded.
"""

import argparse
import csv
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import featx
from featx.manifest import find
from featx.selection.folds import split
from featx.statistics.comparison import rank


def folds(options: argparse.Namespace) -> None:
    source = options.source.resolve()
    (images,) = find(source)
    splits = split(
        images.labels.astype(np.int64), images.classes, images.groups, folds=options.folds, seed=options.seed
    )
    labels, predicted, seconds = [], {"frozen": [], "tuned": []}, []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for number, (train, test) in enumerate(splits):
            for name, rows in (("train", train), ("test", test)):
                with Path(f"{name}{number}.csv").open("w", newline="") as file:
                    written = csv.writer(file)
                    written.writerow(["path", "label"])
                    written.writerows(
                        [images.root / images.paths[row], images.classes[images.labels[row]]] for row in rows
                    )
            store = featx.extract(
                f"train{number}.csv",
                backbone=options.backbone,
                weights=options.weights,
                image_size=options.image_size,
                workers=options.workers,
                progress=False,
            )
            model = featx.fit(store, progress=False)
            start = time.perf_counter()
            tuned = featx.tune(
                f"train{number}.csv",
                model=model,
                last=options.last,
                epochs=options.epochs,
                rate=options.rate,
                views=options.views,
                flip=not options.no_flip or not options.views,
                workers=options.workers,
                progress=False,
            )
            seconds.append(time.perf_counter() - start)
            known = None
            for name, one in (("frozen", model), ("tuned", tuned.model)):
                report = featx.score(one, f"test{number}.csv", workers=options.workers, progress=False)
                right = {
                    path: (report.metrics.classes[true], report.metrics.classes[said])
                    for path, true, said in zip(
                        report.images.paths, report.images.labels, report.images.predicted, strict=True
                    )
                }
                known = known or list(right)
                predicted[name] += [right[path][1] for path in known]
                if name == "frozen":
                    labels += [right[path][0] for path in known]
            n = len(known)
            here = " ".join(
                f"{name} {np.mean([a == b for a, b in zip(labels[-n:], said[-n:], strict=True)]):.3f}"
                for name, said in predicted.items()
            )
            print(f"fold {number + 1}: {here}; epoch {tuned.taken} taken, {seconds[-1]:.0f} s", flush=True)
    number_of = {name: index for index, name in enumerate(sorted(set(labels)))}
    found = rank(
        [number_of[one] for one in labels],
        {name: [number_of.get(one, -1) for one in said] for name, said in predicted.items()},
    )
    shares = {one.model: one.accuracy for one in found.models}
    (pair,) = found.with_best
    sign = 1 if pair.a == "tuned" else -1
    low, high = (sign * end for end in (pair.accuracy.interval.low, pair.accuracy.interval.high))
    result = {
        "source": source.name,
        "images": len(labels),
        "folds": options.folds,
        "frozen": shares["frozen"],
        "tuned": shares["tuned"],
        "gain": sign * pair.accuracy.value,
        "gain_95": sorted((low, high)),
        "tune_seconds": statistics.median(seconds),
    }
    print(json.dumps(result))


def step(options: argparse.Namespace) -> None:
    from featx.backbones import Request, resolve
    from featx.backbones.session import import_keras
    from featx.training.head import Head
    from featx.training.steps import compiled
    from featx.training.tail import Backbone, attach

    keras = import_keras()
    spec, source = resolve(
        Request(backbone=options.backbone, weights=str(options.weights), image_size=options.image_size)
    )
    rng = np.random.default_rng(0)
    batch, k = 32, 10
    pixels = rng.random((batch, *spec.image_size, 3), dtype=np.float32) * 2 - 1
    labels = (np.arange(batch) % k).astype(np.int32)
    ones = np.ones(batch, np.float32)

    def opened():
        backbone = Backbone.load(spec, source)
        cut = backbone.choose_cut(last=None, layer=options.cut)
        width = backbone.network.cut.output.shape[-1]
        head = Head(layers=((0.01 * rng.normal(size=(width, k)).astype(np.float32), np.zeros(k, np.float32)),))
        return backbone, cut, head

    backbone, cut, head = opened()
    whole = backbone.network.cut
    values = keras.Model(whole.input, whole.get_layer(cut).output).predict(pixels, verbose=0)
    cached = compiled(attach(backbone.split(cut), head).model, batch_size=batch)

    # From pixels: the same layers are trained, the frozen ones are computed again for every step.
    other, _, _ = opened()
    names = [layer.name for layer in other.network.cut.layers]
    for layer in other.network.cut.layers[: names.index(cut) + 1]:
        layer.trainable = False
    model = keras.Model([other.network.cut.input], other.network.cut.output)
    from_pixels = compiled(attach(model, head).model, batch_size=batch)

    third, _, _ = opened()
    fitted = attach(third.split(cut), head).model
    fitted.compile(
        optimizer=keras.optimizers.Adam(1e-3), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    many = [np.concatenate([one] * options.steps) for one in (values, labels)]
    ways = {
        "cached": lambda: [float(cached.step([values], labels, ones, 1e-4)[0]) for _ in range(options.steps)],
        "from pixels": lambda: [float(from_pixels.step([pixels], labels, ones, 1e-4)[0]) for _ in range(options.steps)],
        "Keras's fit": lambda: fitted.fit(many[0], many[1], batch_size=batch, epochs=1, verbose=0, shuffle=False),
    }
    # The time of the processors says something on a busy machine too; it counts all threads.
    clocks = {"wall": time.perf_counter, "processor": time.process_time}
    taken = {clock: {name: [] for name in ways} for clock in clocks}
    for turn in range(options.repeats + 1):
        for name, way in ways.items():
            start = {clock: now() for clock, now in clocks.items()}
            way()
            for clock, now in clocks.items():
                if turn:  # the first compiles
                    taken[clock][name].append(1e3 * (now() - start[clock]) / options.steps / batch)
    found = {"backbone": spec.backbone, "image_size": list(spec.image_size), "cut": cut, "turns": options.repeats}
    for clock, times in taken.items():
        print(f"{clock} time, ms an image and step: ", end="")
        print(", ".join(f"{name} {statistics.median(one):.2f}" for name, one in times.items()))
        found[clock] = {name: statistics.median(one) for name, one in times.items()}
        for name in ("from pixels", "Keras's fit"):
            ratios = [slow / fast for slow, fast in zip(times[name], times["cached"], strict=True)]
            print(f"  {name} / cached: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
            found[clock][f"{name} / cached"] = [statistics.median(ratios), min(ratios), max(ratios)]
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_subparsers(required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--backbone", default="mobilenetv2-0.35")
    common.add_argument("--weights", default="imagenet")
    common.add_argument("--image-size", type=int)
    one = ways.add_parser("folds", parents=[common])
    one.add_argument("source", type=Path)
    one.add_argument("--folds", type=int, default=5)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--last", type=int)
    one.add_argument("--epochs", type=int)
    one.add_argument("--rate", type=float)
    one.add_argument("--views", type=int, default=0)
    one.add_argument("--no-flip", action="store_true")
    one.add_argument("--workers", type=int)
    one.set_defaults(run=folds)
    two = ways.add_parser("step", parents=[common])
    two.add_argument("--cut")
    two.add_argument("--steps", type=int, default=10)
    two.add_argument("--repeats", type=int, default=7)
    two.set_defaults(run=step)
    options = parser.parse_args()
    if options.weights not in ("imagenet", "none"):
        options.weights = str(Path(options.weights).resolve())
    options.run(options)


if __name__ == "__main__":
    main()
