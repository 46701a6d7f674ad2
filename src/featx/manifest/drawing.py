"""A smaller manifest, drawn evenly from the classes."""

from dataclasses import replace

import numpy as np

from featx.manifest.listing import Manifest


def limited(manifest: Manifest, limit: int, seed: int) -> Manifest:
    """Choose images evenly over the classes; a class with too few leaves its share to the others."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(manifest))
    # The k-th image of each class, in random order, before the (k+1)-th of any; ties among classes at random too.
    turn = np.empty(len(manifest), np.int64)
    for label in np.unique(manifest.labels):
        members = order[manifest.labels[order] == label]
        turn[members] = np.arange(len(members))
    chosen = np.sort(order[np.argsort(turn[order], kind="stable")][:limit])
    return replace(
        manifest,
        paths=tuple(manifest.paths[i] for i in chosen),
        labels=manifest.labels[chosen],
        groups=None if manifest.groups is None else tuple(manifest.groups[i] for i in chosen),
        sizes=manifest.sizes[chosen],
        mtimes_ns=manifest.mtimes_ns[chosen],
    )
