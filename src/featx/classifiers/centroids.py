"""Nearest centroids, also of features that don't vary.

`sklearn.neighbors.NearestCentroid.fit` warns of a constant column and refuses constant rows, and copies all rows more
than once. Measured by `benchmarks/solvers.py`: one fold on one core, 10 classes, seconds of processor time, and memory
beyond the rows. The labels are the same.

================ ============= ==============
features         here          scikit-learn
================ ============= ==============
2,000 x 1,280    0.01 s, 0 MB  0.02 s, 33 MB
4,000 x 2,048    0.02 s, 1 MB  0.17 s, 105 MB
20,000 x 1,280   0.05 s, 0 MB  0.65 s, 270 MB
================ ============= ==============
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from featx.classifiers.direct import Direct
from featx.classifiers.workload import Estimate, Workload


class Centroids(Direct):
    """Solver of nearest centroids that takes constant columns and constant rows as well.

    `sklearn.neighbors.NearestCentroid.fit` warns of the former and refuses the latter, though neither harms the
    distances to the means of the classes.
    """

    @staticmethod
    def cost(work: Workload) -> Estimate:
        """Estimate time and memory: the means are one pass."""
        each = 2e-9 * work.n * work.d
        return work.seconds(once=5 * each, each=each), work.jobs * 12 * work.n * work.d

    def fit(self, params: Mapping[str, Any]) -> Any:
        """Compute the means and put them into an ordinary `NearestCentroid`."""
        centroid = self.blueprint.classifier(params)
        counts = np.bincount(self.y)
        centroid.classes_ = np.arange(len(counts))
        centroid.class_prior_ = np.full(len(counts), 1 / len(counts))
        centroid.n_features_in_ = self.known.shape[1]
        centroid.centroids_ = np.stack([self.known[self.y == label].mean(axis=0) for label in centroid.classes_])
        squares = sum(
            np.square(self.known[self.y == label] - centroid.centroids_[label]).sum(axis=0)
            for label in centroid.classes_
        )
        centroid.within_class_std_dev_ = np.sqrt(squares / max(1, len(self.y) - len(counts)))
        return centroid
