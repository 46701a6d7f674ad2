"""Search for copies of images in another list: features and small pictures propose, small pictures decide."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.leakage.agreement import same
from featx.leakage.pictures import Pictures, layouts, mirrored
from featx.leakage.proposals import Chosen, Labels, Matrix, nearest

NEIGHBOURS = 5
"""Largest number of pairs that each kind of proposal makes for an image."""

LEAST_COSINE = 0.7
"""Least cosine of the features of a proposed pair; crops and mirrored copies reach .77 with MobileNetV2."""

LEAST_LAYOUT = 0.9
"""Least correlation of the coarse light and dark of a proposed pair; copies of the same framing reach .99."""

_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictured:
    """Images with their features and small pictures, one row each.

    Parameters
    ----------
    features : (n, d) float32
        One for each image; may be mapped from a file.
    pictures : (n, WIDTH) uint8
        Small pictures (`featx.leakage.reduced`).
    seen : (n,) bool
        Where there is a picture; the rest of `pictures` means nothing.
    labels : (n,) int, optional
        Number of the class, for a search across classes.
    """

    features: Matrix | Chosen
    pictures: Pictures
    seen: NDArray[np.bool_]
    labels: Labels | None = None

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """The result of a search.

    Parameters
    ----------
    pairs : (p, 2) int64
        Row of the one list and row of the other, at most one pair for each row of the one, in its order.
    undecided : int
        Proposed pairs of which a picture is missing and that no other pair made unnecessary.
    """

    pairs: NDArray[np.int64]
    undecided: int


def copies(some: Pictured, others: Pictured | None = None) -> Found:
    """Find the images of one list that are copies of images of another, or inside one list across its labels.

    Parameters
    ----------
    some : Pictured
        The images.
    others : Pictured, optional
        The images that they may be copies of. None looks inside `some`, among pairs of different labels, and names
        every image at most once.

    Returns
    -------
    Found

    Notes
    -----
    For each image the nearest by features, and the nearest by the layout of light and dark: features of a small
    photo at half its size may be far from its own (on a set of 100 x 100 pixels, 67 % are among the nearest five),
    the layout of a cropped one may be. Both together propose all but a few of the planted copies.
    """
    inside = others is None
    others = some if others is None else others
    proposed = _proposed(some, others, apart=inside)
    known = some.seen[proposed[:, 0]] & others.seen[proposed[:, 1]]
    undecided = proposed[~known]
    pairs = _decided(some, others, proposed[known])
    if inside:
        pairs = _each_once(pairs)
        done = np.isin(undecided, pairs).any(axis=1)
    else:
        pairs = pairs[np.unique(pairs[:, 0], return_index=True)[1]]
        done = np.isin(undecided[:, 0], pairs[:, 0])
    return Found(pairs=pairs, undecided=int((~done).sum()))


def clumps(images: Pictured) -> NDArray[np.int64]:
    """Put images together that are copies of each other, or of copies.

    Parameters
    ----------
    images : Pictured
        The images, whatever their labels are.

    Returns
    -------
    (n,) int64
        Number of the clump of each image, from 0; one without a picture is a clump of its own.
    """
    proposed = _proposed(images, images, apart=False, more=1)
    proposed = proposed[proposed[:, 0] != proposed[:, 1]]
    proposed = np.unique(np.sort(proposed[images.seen[proposed].all(axis=1)], axis=1), axis=0)
    return joined(_decided(images, images, proposed), len(images))


def joined(pairs: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Number the parts (n,) int64 that pairs (p, 2) of n things make of them, from 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), np.bool_), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    numbers: NDArray[np.int64] = np.array(connected_components(graph, directed=False)[1], np.int64)
    return numbers


def _decided(some: Pictured, others: Pictured, proposed: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keep the proposed pairs of which the pictures are of one image."""
    confirmed = [
        _confirmed(some.pictures, others.pictures, proposed[first : first + _AT_ONCE])
        for first in range(0, len(proposed), _AT_ONCE)
    ]
    kept: NDArray[np.int64] = proposed[np.concatenate([np.empty(0, np.bool_), *confirmed])]
    return kept


def _proposed(some: Pictured, others: Pictured, *, apart: bool, more: int = 0) -> NDArray[np.int64]:
    """Propose pairs, each once, grouped by image, the likeliest first; `more` of each kind than usual."""
    k = NEIGHBOURS + more
    labels = None
    if apart:
        assert some.labels is not None
        assert others.labels is not None
        labels = (some.labels, others.labels)
    by_features = nearest(some.features, others.features, k=k, least=LEAST_COSINE, apart=labels)
    mine, theirs = np.flatnonzero(some.seen), np.flatnonzero(others.seen)
    by_layout = nearest(
        layouts(some.pictures[mine]),
        layouts(others.pictures[theirs]),
        k=k,
        least=LEAST_LAYOUT,
        apart=None if labels is None else (labels[0][mine], labels[1][theirs]),
    )
    by_layout = np.stack([mine[by_layout[:, 0]], theirs[by_layout[:, 1]]], axis=1)
    both = np.concatenate([by_features, by_layout])
    if apart:
        both = np.sort(both, axis=1)
    _, first = np.unique(both, axis=0, return_index=True)
    both = both[np.sort(first)]
    return both[np.argsort(both[:, 0], kind="stable")]


def _confirmed(some: Pictures, others: Pictures, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    a, b = some[pairs[:, 0]], others[pairs[:, 1]]
    found = same(a, b)
    rest = np.flatnonzero(~found)
    found[rest] = same(mirrored(a[rest]), b[rest])
    return found


def _each_once(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Drop pairs of which either image was named before: a clump of n copies gives n / 2 pairs, not n squared."""
    named: set[int] = set()
    kept = []
    for pair in pairs.tolist():
        if not named.intersection(pair):
            named.update(pair)
            kept.append(pair)
    return np.array(kept, np.int64).reshape(-1, 2)
