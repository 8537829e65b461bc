"""Would the same segments come out of other students of the same kind? Bootstrap Jaccard (Hennig 2007, CSDA
52:258).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.segments.clustering import cluster, sample_rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STABILITY_ROWS = 5_000
UNSTABLE = 0.6
"""Below this a cluster should not be trusted (Hennig 2007, section 4)."""


def bootstrap_jaccard(Z: Floats, labels: Ints, k: int, method: str, seed: int, repeats: int = 20) -> Floats:
    """(k,) mean over resamples of each cluster's best Jaccard similarity with a cluster found again.

    Computed on at most 5,000 students. A cluster without members in the sample is NaN.
    """
    rows = sample_rows(len(Z), STABILITY_ROWS)
    Z, labels = Z[rows], labels[rows]
    rng = np.random.default_rng(seed)
    found = np.full((repeats, k), np.nan)
    for repeat in range(repeats):
        drawn = np.unique(rng.integers(0, len(Z), len(Z)))
        again = cluster(Z[drawn], k, method, seed + repeat, n_init=3).labels
        table = np.zeros((k, k))
        np.add.at(table, (labels[drawn], again), 1.0)
        union = table.sum(axis=1)[:, None] + table.sum(axis=0)[None, :] - table
        best = (table / np.maximum(union, 1.0)).max(axis=1)
        found[repeat] = np.where(table.sum(axis=1) > 0, best, np.nan)
    known = np.isfinite(found).any(axis=0)
    return np.where(known, np.nansum(found, axis=0) / np.maximum(np.isfinite(found).sum(axis=0), 1), np.nan)
