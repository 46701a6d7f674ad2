"""From features to a map in two dimensions."""

import numpy as np
from numpy.typing import NDArray

MOST = 1_500
"""So many images are on the map at most: t-SNE of them takes a few seconds, and more couldn't be told apart."""

_FEWEST_NEIGHBOURS = 12
"""With fewer images t-SNE finds no neighbourhoods; principal components show as much."""
_COMPONENTS = 50
_PERPLEXITY = 30.0
_ITERATIONS = 500


def positions(X: NDArray[np.floating], *, most: int = MOST, seed: int = 0) -> NDArray[np.float32]:
    """Place images on a map, so that neighbours there have similar features.

    A random sample of at most `most` images is reduced to its first 50 principal components, and these to two
    dimensions by t-SNE (perplexity 30, started from the first two components, so that the large arrangement means
    something too). Fewer than 12 images have their first two principal components. The same features and seed give
    the same map on the same machine.

    Parameters
    ----------
    X : (n, d) float
        Features, one row per image; may be a memory map, of which only the sampled rows are read.
    most : int
        Images on the map at most.
    seed : int
        Of the sample, and of t-SNE.

    Returns
    -------
    (n, 2) float32
        In [-1, 1], the centre of the map at 0; NaN for the images that are not on it.

    References
    ----------
    L. van der Maaten, G. Hinton (2008). Visualizing data using t-SNE. Journal of Machine Learning Research 9,
    2579-2605.

    D. Kobak, P. Berens (2019). The art of using t-SNE for single-cell transcriptomics. Nature Communications 10, 5416
    (the start from principal components).
    """
    n = len(X)
    rows = np.arange(n) if n <= most else np.sort(np.random.default_rng(seed).choice(n, most, replace=False))
    found = np.full((n, 2), np.nan, np.float32)
    if len(rows):
        found[rows] = _placed(np.asarray(X[rows], dtype=np.float64), seed=seed)
    return found


def method(drawn: int) -> str:
    """Say, in a few words, how a map of so many images was made."""
    return "t-SNE of the features" if drawn >= _FEWEST_NEIGHBOURS else "first two principal components of the features"


def _placed(X: NDArray[np.float64], *, seed: int) -> NDArray[np.float64]:
    components = _principal(X, seed=seed)
    flat: NDArray[np.float64] = components[:, :2]
    if len(X) >= _FEWEST_NEIGHBOURS and flat.std() > 0:
        flat = _neighbourhoods(components, seed=seed)
    flat -= (flat.max(axis=0) + flat.min(axis=0)) / 2
    reach = np.abs(flat).max()
    return np.asarray(flat / reach) if reach > 0 else flat


def _principal(X: NDArray[np.float64], *, seed: int) -> NDArray[np.float64]:
    """The first principal components (n, at least 2), zero where there are none."""
    from sklearn.utils.extmath import randomized_svd

    count = min(_COMPONENTS, *X.shape)
    left, singular, _ = randomized_svd(X - X.mean(axis=0), n_components=count, random_state=seed)
    components = np.zeros((len(X), max(count, 2)))
    components[:, :count] = left * singular
    return components


def _neighbourhoods(components: NDArray[np.float64], *, seed: int) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    start = components[:, :2] / components[:, 0].std() * 1e-4  # as scikit-learn's own init="pca"
    reducer = TSNE(
        perplexity=min(_PERPLEXITY, (len(components) - 1) / 3),
        init=start.astype(np.float32),
        max_iter=_ITERATIONS,
        random_state=seed,
        n_jobs=1,
    )
    # Threads add up the gradient in any order, and t-SNE makes another map of a rounding error.
    with threadpool_limits(limits=1):
        placed: NDArray[np.float64] = reducer.fit_transform(components).astype(np.float64)
    return placed
