"""What do featx's own solvers buy, beside scikit-learn's classifiers fitted anew at each point of the grid?

    python benchmarks/solvers.py                        # ten minutes
    python benchmarks/solvers.py --sizes 200x16         # does it still run?

One fold of the sweep on one core: fit at every point of the grid, and judge the held-out fifth of the rows. Each run is
a fresh process. Seconds are of processor time; memory is the peak beyond the rows. The docstrings of
`featx.classifiers.centroids`, `neighbours` and `shifted` have figures from here.
"""

import argparse
import itertools
import json
import pickle
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from deep_features import make
from processes import run

CLASSES = 10
NAMES = ("centroid", "knn", "ridge", "lda")
SIZES = ("2000x1280", "4000x2048", "20000x1280")


def prepare(folder: Path, *, n: int, d: int) -> None:
    """Write standardised features and labels, a fifth of them apart: whoever is measured only has to read them."""
    make(folder, n=n, d=d, k=CLASSES)
    X, y = np.load(folder / "X.npy"), np.load(folder / "y.npy")
    held_out = np.arange(n) % 5 == 0
    X -= X[~held_out].mean(axis=0)
    X /= np.maximum(X[~held_out].std(axis=0), 1e-6)
    np.save(folder / "known.npy", X[~held_out])
    np.save(folder / "unknown.npy", X[held_out])
    np.save(folder / "classes.npy", y[~held_out])
    np.save(folder / "true.npy", y[held_out])


def measure(folder: Path, name: str, *, own: bool) -> dict[str, Any]:
    """Time one fold, by featx's solver or by scikit-learn alone; labels are given to be compared."""
    from threadpoolctl import threadpool_limits

    from featx.classifiers import RECIPES, Blueprint
    from featx.classifiers.direct import Direct
    from featx.classifiers.fitting import solver_of

    known, unknown, classes, true = (
        np.load(folder / f"{part}.npy") for part in ("known", "unknown", "classes", "true")
    )
    blueprint, axes = Blueprint(clf=name), RECIPES[name].grids["linear"]
    points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*(a.values for a in axes.values()))]
    kind = solver_of(blueprint, "direct") if own else Direct
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constant columns
        few = slice(0, 100)
        kind(blueprint, known[few].copy(), classes[few], unknown[few]).judge(points[:1])  # imports what it needs
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        solver = kind(blueprint, known, classes, unknown)
        verdicts = [verdict for chain in solver.chains(points) for verdict in solver.judge(chain)]
        seconds = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        fitted = kind(blueprint, known, classes).fit({**RECIPES[name].defaults, **points[-1]})
    return {
        "seconds": seconds,
        "memory": peak * 1024 / 1e6,
        "model": len(pickle.dumps(fitted)) / 1e6,
        "right": [float(np.mean(verdict.labels == true)) for verdict in verdicts],
        "labels": np.stack([verdict.labels for verdict in verdicts]).tolist(),
    }


def compare(folder: Path, name: str) -> str:
    """Measure both ways in processes of their own, and say what was found in a line."""
    command = [sys.executable, __file__, "--folder", str(folder), "--names", name]
    own, plain = (run([*command, "--way", way], environment={}).result for way in ("own", "scikit-learn"))
    same = np.array_equal(own["labels"], plain["labels"])
    figures = "; ".join(
        f"{way} {found['seconds']:.2f} s, {found['memory']:.0f} MB, model {found['model']:.1f} MB"
        for way, found in (("own", own), ("scikit-learn", plain))
    )
    best = max(plain["right"])
    return f"{figures}; {'the same' if same else 'other'} labels, {best:.1%} right at best"


def main() -> None:
    """Measure all, or one way in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", default=NAMES, choices=NAMES)
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="ROWSxCOLUMNS")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--way", choices=("own", "scikit-learn"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.folder, options.names[0], own=options.way == "own")))
        return
    with tempfile.TemporaryDirectory(prefix="featx-bench-") as place:
        for size in options.sizes:
            rows, columns = map(int, size.split("x"))
            folder = Path(place, size)
            prepare(folder, n=rows, d=columns)
            for name in options.names:
                print(f"{name:9}{size:>12}: {compare(folder, name)}", flush=True)


if __name__ == "__main__":
    main()
