"""Made features that resemble those of a network after global average pooling.

A few hundred hidden factors, their power falling as that of the principal components of real features does, are mixed
into the columns and rectified: so columns are non-negative, often zero, correlated, and of scales that differ by an
order of magnitude. The classes differ in the means of the factors by so little that a good classifier is right on 80
to 95 % of the rows, and that it matters how strongly it is penalised.
"""

from pathlib import Path

import numpy as np

FACTORS = 256
ROWS_AT_ONCE = 4_096

SEPARATION = {10: 0.25, 100: 0.42}
"""Number of classes -> distance of their means, in standard deviations of a factor."""


def make(folder: Path, *, n: int, d: int, k: int, seed: int = 0) -> None:
    """Write ``X.npy`` (n, d) float32 and ``y.npy`` (n,) int64 into a folder, in blocks of rows."""
    rng = np.random.default_rng(seed)
    factors = min(FACTORS, d)
    power = (1 + np.arange(factors)) ** -0.5
    mixing = rng.standard_normal((factors, d)) * power[:, None] / np.sqrt(np.sum(power**2))
    mixing = mixing.astype(np.float32)
    separation = SEPARATION.get(k, 0.25 * (k / 10) ** 0.2)
    means = separation * rng.standard_normal((k, factors)).astype(np.float32)
    threshold, scale = rng.normal(-0.3, 0.5, d).astype(np.float32), rng.lognormal(-0.7, 0.6, d).astype(np.float32)

    folder.mkdir(parents=True)
    y = rng.permutation(np.arange(n) % k)
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, (n, d))
    for first in range(0, n, ROWS_AT_ONCE):
        classes = y[first : first + ROWS_AT_ONCE]
        rows = means[classes] + rng.standard_normal((len(classes), factors), np.float32)
        columns = rows @ mixing + 0.35 * rng.standard_normal((len(classes), d), np.float32) + threshold
        X[first : first + ROWS_AT_ONCE] = np.maximum(columns, 0) * scale
    X.flush()
    np.save(folder / "y.npy", y)
