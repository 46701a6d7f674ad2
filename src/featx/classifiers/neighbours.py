"""Solver of nearest neighbours, which are found once for all numbers of them.

scikit-learn looks for them anew for every number, and again for labels, probabilities and scores. Measured by
`benchmarks/solvers.py`: one fold of a grid of six numbers on one core, seconds of processor time. The labels are the
same.

================ ====== =============
features         here   scikit-learn
================ ====== =============
2,000 x 1,280    0.04   0.60
4,000 x 2,048    0.19   3.49
20,000 x 1,280   3.03   54.4
================ ====== =============
"""

from collections.abc import Sequence

import numpy as np

from featx.classifiers.direct import Direct
from featx.classifiers.recipes import Params
from featx.classifiers.scores import Verdict, vote_scores
from featx.classifiers.workload import FLOPS_32, Estimate, Workload


class Neighbours(Direct):
    """Solver of nearest neighbours with the votes of `sklearn.neighbors.KNeighborsClassifier`."""

    @staticmethod
    def chains(points: Sequence[Params]) -> list[list[Params]]:
        """Chain all points, since they share the neighbours."""
        return [list(points)]

    @staticmethod
    def cost(work: Workload) -> Estimate:
        """Estimate time and memory: the products of all pairs of rows, once, and a search for every point."""
        products = 2 * work.n**2 * work.d / FLOPS_32 / work.jobs
        return products + work.seconds(once=0.0, each=2e-9 * work.n**2), work.jobs * (16 * work.n * work.d + 2e8)

    def judge(self, chain: Sequence[Params]) -> list[Verdict]:
        """Count the votes of the nearest rows for each number of neighbours."""
        from sklearn.neighbors import NearestNeighbors

        most = int(max(point["n_neighbors"] for point in chain))
        finder = NearestNeighbors(n_neighbors=most, algorithm="brute").fit(self.known)
        found = self.y[finder.kneighbors(self.unknown, return_distance=False)]
        counted = np.cumsum(found[:, :, None] == np.arange(int(self.y.max()) + 1), axis=1)
        verdicts = []
        for point in chain:
            number = int(point["n_neighbors"])
            votes = counted[:, number - 1]
            verdicts.append(
                Verdict(
                    labels=votes.argmax(axis=1),
                    scores=vote_scores(votes).astype(np.float32),
                    probabilities=(votes / number).astype(np.float32),
                )
            )
        return verdicts
