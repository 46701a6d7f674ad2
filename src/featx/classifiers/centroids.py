"""Nearest centroids, also of features that don't vary."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from featx.classifiers.direct import Direct
from featx.classifiers.workload import Estimate, Workload


class Centroids(Direct):
    """Fits `sklearn.neighbors.NearestCentroid`, which warns of a constant column and refuses constant rows.

    Neither harms the distances to the means of the classes.
    """

    @staticmethod
    def cost(work: Workload) -> Estimate:
        """Estimate time and memory: the means are one pass."""
        each = 2e-9 * work.n * work.d
        return work.seconds(once=5 * each, each=each), work.jobs * 12 * work.n * work.d

    def fit(self, params: Mapping[str, Any]) -> Any:
        """Give an ordinary fitted one."""
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
