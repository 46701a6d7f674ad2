"""Solvers of support vector machines on one matrix of products or distances, which all C and gamma share."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.blueprint import Blueprint
from featx.classifiers.direct import Direct
from featx.classifiers.machines import PairwiseSVC, rbf, scale, squared_distances
from featx.classifiers.recipes import Params
from featx.classifiers.scores import Verdict, least_margins
from featx.classifiers.workload import FLOPS_64, Estimate, Workload

LIBSVM = 2e-8
"""Seconds of libsvm for each pair of training rows on a Gram matrix; the pairs of classes share the rows."""

LIBSVM_KERNEL = 7e-10
"""Seconds of libsvm for each pair of training rows and column where it computes the kernel itself."""


class Gram(Direct):
    """Solver of support vector machines with a linear kernel, on the matrix of the products of the rows.

    libsvm gets float64 values of the kernel, as it computes them itself, so the machines are those of
    `sklearn.svm.SVC` on the rows. The rows are sorted by class, which changes nothing in the problem of a pair of
    classes but makes libsvm read it from one piece of memory.

    Where no support vector reaches the bound C, a larger C changes nothing any more. Two fits of the same iterations
    and weights show it: the second never reached the first's bound, and so no larger one. The rest of the grid is
    then known.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        known: NDArray[Any],
        y: NDArray[np.int64],
        unknown: NDArray[Any] | None = None,
    ) -> None:
        self._order = np.argsort(y, kind="stable")
        super().__init__(blueprint, known[self._order], y[self._order], unknown)
        self._seen: dict[float, dict[float, tuple[bytes, Verdict]]] = {}
        self._prepare(self.known.astype(np.float64))

    @staticmethod
    def bytes_needed(n: int, m: int, d: int) -> int:
        """Estimate the memory: the matrix, and the rows in float32 and float64."""
        return 8 * n * n + 12 * d * (n + m)

    @staticmethod
    def cost(work: Workload) -> Estimate:
        """Estimate time and memory: the products once, libsvm for every C."""
        products = 2 * work.train**2 * work.d / FLOPS_64
        rows = 12 * work.n * work.d
        size = max(work.jobs * (8 * work.train**2 + rows), 8 * work.n**2 + rows)
        return work.seconds(once=products, each=LIBSVM * work.train**2), size

    def fit(self, params: Mapping[str, Any]) -> Any:
        """Fit the machine with these hyperparameters."""
        machine = self._machine(params, self._kernel(params))
        machine.support_ = self._order[machine.support_]
        return machine

    def judge(self, chain: Sequence[Params]) -> list[Verdict]:
        """Let a machine fitted at each point of a chain, all of one kernel, judge the unknown rows."""
        kernel = self._kernel(self.absolute(chain[0]))
        return [self._judge(self.absolute(point), kernel) for point in chain]

    def _prepare(self, rows: NDArray[np.float64]) -> None:
        self._products = rows @ rows.T

    def _kernel(self, params: Mapping[str, Any]) -> NDArray[np.float64]:  # noqa: ARG002  (other kernels have some)
        return self._products

    def _machine(self, params: Mapping[str, Any], kernel: NDArray[np.float64]) -> PairwiseSVC:
        machine: PairwiseSVC = self.blueprint.classifier(params)
        return machine.fit_gram(kernel, self.known, self.y)

    def _judge(self, params: Mapping[str, Any], kernel: NDArray[np.float64]) -> Verdict:
        seen = self._seen.setdefault(params.get("gamma", 0.0), {})
        below = [seen[C] for C in sorted(C for C in list(seen) if params["C"] > C)]
        if len(below) >= 2 and below[-1][0] == below[-2][0]:
            return below[-1][1]
        machine = self._machine(params, kernel)
        verdict = self._verdict(machine, params)
        weights = machine.coef_ if machine.kernel == "linear" else machine.dual_coef_
        mark = hashlib.sha256(weights.tobytes() + machine.intercept_.tobytes() + machine.n_iter_.tobytes()).digest()
        seen[params["C"]] = mark, verdict
        return verdict

    def _verdict(self, machine: PairwiseSVC, params: Mapping[str, Any]) -> Verdict:  # noqa: ARG002
        return self.verdict(machine)


class RadialGram(Gram):
    """Solver of support vector machines with an rbf kernel.

    All gamma share the squared distances of the rows, and all C the kernel's matrix for one gamma.
    """

    @staticmethod
    def chains(points: Sequence[Params]) -> list[list[Params]]:
        """Chain the points of each gamma."""
        by_gamma: dict[float, list[Params]] = {}
        for point in points:
            by_gamma.setdefault(point["gamma"], []).append(point)
        return list(by_gamma.values())

    @staticmethod
    def bytes_needed(n: int, m: int, d: int) -> int:
        """Estimate the memory: distances, a kernel's matrix for each of a few threads, the rows."""
        return 24 * n * (n + m) + 12 * d * (n + m)

    @staticmethod
    def cost(work: Workload) -> Estimate:
        """Estimate time and memory: distances too, which stay while the kernel's matrix is made of them."""
        seconds, size = Gram.cost(work)
        return seconds + work.seconds(once=0.0, each=5e-9 * work.train * work.n), 3 * size

    def absolute(self, point: Params) -> Mapping[str, Any]:
        """Turn gamma from a multiple of scikit-learn's scale into a value for these rows."""
        return {**point, "gamma": point["gamma"] * self._scale}

    def fit(self, params: Mapping[str, Any]) -> Any:
        """Fit the machine with these hyperparameters, ``"scale"`` among the values of gamma."""
        return super().fit({**params, "gamma": self._scale} if params["gamma"] == "scale" else params)

    def _prepare(self, rows: NDArray[np.float64]) -> None:
        self._scale = scale(rows)
        self._distances = squared_distances(rows, rows)
        if self.unknown is not None:
            self._beyond = squared_distances(self.unknown.astype(np.float64), rows)

    def _kernel(self, params: Mapping[str, Any]) -> NDArray[np.float64]:
        return rbf(self._distances, params["gamma"])

    def _verdict(self, machine: PairwiseSVC, params: Mapping[str, Any]) -> Verdict:
        margins = machine.margins_from(rbf(self._beyond[:, machine.support_], params["gamma"]))
        return Verdict(
            labels=machine.labels_from(margins),
            scores=least_margins(margins, len(machine.classes_)).astype(np.float32),
        )


class Radial(Direct):
    """Solver of support vector machines with an rbf kernel, where a Gram matrix is too large for memory."""

    @staticmethod
    def cost(work: Workload) -> Estimate:
        """Estimate time and memory: libsvm computes the kernel row by row, for every point."""
        each = LIBSVM_KERNEL * work.train**2 * work.d
        return work.seconds(once=0.0, each=each), work.jobs * (16 * work.n * work.d + 2e8)
