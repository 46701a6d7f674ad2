"""Does featx give what a plain script gives? Real photos and weights, Keras's `predict` and scikit-learn beside it.

    FEATX_MATERIAL=… python benchmarks/agreement.py [--sets flowers5_dev trashnet_dev sign_digits]

The plain script decodes by the same rules (`featx.images`), calls `keras.applications.MobileNetV2(…).predict` on
preprocessed pixels, and cross-validates `make_pipeline(StandardScaler(), …)` with `GridSearchCV` on the same folds.
Prints, for each set and classifier, both accuracies and the share of equal out-of-fold predictions.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["flowers5_dev", "trashnet_dev", "sign_digits"])
    chosen = parser.parse_args()
    material = Path(os.environ["FEATX_MATERIAL"])
    weights = material / "weights" / WEIGHTS
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in chosen.sets:
            source = material / "images" / name
            store = featx.extract(source, backbone="mobilenetv2", weights=weights)
            features = plain_features([source / path for path in store.paths], weights)
            error = np.linalg.norm(store.features - features) / np.linalg.norm(features)
            print(f"{name}: {len(store)} images, {len(store.classes)} classes, relative error of features {error:.1e}")
            for clf, classifier in PLAIN.items():
                start = time.perf_counter()
                model = featx.fit(store, clf=clf)
                ours = time.perf_counter() - start
                grid = [row.C for row in model.selection.rows]
                folds = StratifiedKFold(5, shuffle=True, random_state=0)
                pipeline = make_pipeline(StandardScaler(), classifier)
                start = time.perf_counter()
                search = GridSearchCV(pipeline, {STEP[clf]: grid}, cv=folds, n_jobs=2).fit(features, store.labels)
                theirs = time.perf_counter() - start
                pipeline.set_params(**{STEP[clf]: model.selection.C})
                expected = cross_val_predict(pipeline, features, store.labels, cv=folds)
                equal = np.mean(expected == model.selection.oof.labels)
                best = max(row.mean for row in model.selection.rows)
                print(
                    f"  {clf:6}  featx {best:.2%} at C={model.selection.C:g} in {ours:.1f} s, "
                    f"plain {search.best_score_:.2%} at C={search.best_params_[STEP[clf]]:g} in {theirs:.1f} s, "
                    f"{equal:.2%} of the predictions equal at featx's C",
                    flush=True,
                )
            fixed = [featx.fit(store, C=0.01, seed=seed, out=f"{seed}.skops").selection.rows[0].mean for seed in (0, 1)]
            print(f"  logreg at C=0.01, two fold seeds: {fixed[0]:.1%}, {fixed[1]:.1%}")


if __name__ == "__main__":
    main()
