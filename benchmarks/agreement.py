"""Does featx give what a plain script gives? Real photos and weights, Keras's `predict` and scikit-learn beside it.

    FEATX_MATERIAL=… python benchmarks/agreement.py [--sets flowers5_dev trashnet_dev sign_digits]

The plain script decodes by the same rules (`featx.images`), calls `keras.applications.MobileNetV2(…).predict` on
preprocessed pixels, and cross-validates `make_pipeline(StandardScaler(), …)` with `GridSearchCV` on the same folds.
Prints, for each set and classifier, both accuracies and the share of equal out-of-fold predictions.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import featx
from featx.images import decode
from featx.spec import PixelRules

WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
PLAIN = {"logreg": LogisticRegression(max_iter=5000), "svm": SVC(kernel="linear")}
STEP = {"logreg": "logisticregression__C", "svm": "svc__C"}


def plain_features(files: list[Path], weights: Path) -> np.ndarray:
    """Features as Keras's documentation computes them."""
    import keras

    pixels = np.stack([decode(file.read_bytes(), PixelRules(image_size=(224, 224))) for file in files])
    network = keras.applications.MobileNetV2(include_top=False, weights=str(weights), pooling="avg")
    scaled = keras.applications.mobilenet_v2.preprocess_input(pixels.astype(np.float32))
    return network.predict(scaled, batch_size=32, verbose=0)


def compare(source: Path, weights: Path) -> dict[str, Any]:
    """featx and the plain script on one set."""
    store = featx.extract(source, backbone="mobilenetv2", weights=weights)
    features = plain_features([source / path for path in store.paths], weights)
    found: dict[str, Any] = {
        "set": source.name,
        "images": len(store),
        "classes": len(store.classes),
        "relative_error": float(np.linalg.norm(store.features - features) / np.linalg.norm(features)),
        "classifiers": {},
    }
    for clf, classifier in PLAIN.items():
        start = time.perf_counter()
        model = featx.fit(store, clf=clf)
        ours = time.perf_counter() - start
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        pipeline = make_pipeline(StandardScaler(), classifier)
        start = time.perf_counter()
        grid = {STEP[clf]: [row.params["C"] for row in model.selection.rows]}
        search = GridSearchCV(pipeline, grid, cv=folds, n_jobs=2).fit(features, store.labels)
        theirs = time.perf_counter() - start
        pipeline.set_params(**{STEP[clf]: model.selection.params["C"]})
        expected = cross_val_predict(pipeline, features, store.labels, cv=folds)
        found["classifiers"][clf] = {
            "featx_accuracy": max(row.mean for row in model.selection.rows),
            "featx_C": model.selection.params["C"],
            "featx_seconds": ours,
            "plain_accuracy": float(search.best_score_),
            "plain_C": search.best_params_[STEP[clf]],
            "plain_seconds": theirs,
            "equal_predictions": float(np.mean(expected == model.selection.oof.labels)),
        }
    found["logreg_at_0.01"] = [
        featx.fit(store, C=0.01, seed=seed, out=f"{seed}.skops").selection.rows[0].mean for seed in (0, 1)
    ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["flowers5_dev", "trashnet_dev", "sign_digits"])
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    material = Path(os.environ["FEATX_MATERIAL"]).absolute()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in chosen.sets:
            found = compare(material / "images" / name, material / "weights" / WEIGHTS)
            results.append(found)
            if chosen.json:
                continue
            print(
                f"{name}: {found['images']} images, {found['classes']} classes, "
                f"relative error of features {found['relative_error']:.1e}"
            )
            for clf, one in found["classifiers"].items():
                print(
                    f"  {clf:6} featx {one['featx_accuracy']:.2%} at C={one['featx_C']:g}, {one['featx_seconds']:.1f} s"
                    f"; plain {one['plain_accuracy']:.2%} at C={one['plain_C']:g}, {one['plain_seconds']:.1f} s"
                    f"; {one['equal_predictions']:.2%} of predictions equal"
                )
            first, second = found["logreg_at_0.01"]
            print(f"  logreg at C=0.01, two fold seeds: {first:.1%}, {second:.1%}", flush=True)
        os.chdir("/")
    if chosen.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
