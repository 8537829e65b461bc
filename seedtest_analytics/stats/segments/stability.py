"""Stability of segments under resampling of the students: bootstrap Jaccard (Hennig 2007, CSDA 52:258).

J(A, B) = |A ∩ B| / |A ∪ B|,   stability of A = mean over resamples of max over their clusters B of J(A, B)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.segments.clustering import cluster, sample_rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STABILITY_ROWS = 5_000
UNSTABLE = 0.6
"""Below this a cluster is not reliable (Hennig 2007, section 4)."""


@dataclass(frozen=True)
class Stability:
    """``jaccard`` (k,), NaN where unknown, and the ``reason`` where it is unknown for every cluster."""

    jaccard: Floats
    reason: str = ""


def bootstrap_jaccard(Z: Floats, labels: Ints, *, k: int, method: str, seed: int, repeats: int = 20) -> Stability:
    """Mean over resamples of each cluster's best Jaccard similarity with a cluster of the resample.

    It uses at most 5,000 students. A cluster without members in the sample is NaN. A resample contains about 63 % of
    the students; one with fewer distinct students than clusters is skipped, because it does not have ``k`` clusters.
    Where more than half are skipped the result is unknown: the rest would be biased towards complete samples.
    """
    rows = sample_rows(len(Z), STABILITY_ROWS)
    Z, labels = Z[rows], labels[rows]
    rng = np.random.default_rng(seed)
    found = np.full((repeats, k), np.nan)
    n_clustered = 0
    for repeat in range(repeats):
        drawn = np.unique(rng.integers(0, len(Z), len(Z)))
        if len(np.unique(Z[drawn], axis=0)) < k:
            continue
        n_clustered += 1
        again = cluster(Z[drawn], k, method=method, seed=seed + repeat, n_init=3).labels
        table = np.zeros((k, k))
        np.add.at(table, (labels[drawn], again), 1.0)
        union = table.sum(axis=1)[:, None] + table.sum(axis=0)[None, :] - table
        best = (table / np.maximum(union, 1.0)).max(axis=1)
        found[repeat] = np.where(table.sum(axis=1) > 0, best, np.nan)
    if 2 * n_clustered < repeats:
        why = f"only {n_clustered} of {repeats} resamples of the students hold {k} different ones"
        return Stability(np.full(k, np.nan), why)
    known = np.isfinite(found).any(axis=0)
    mean = np.nansum(found, axis=0) / np.maximum(np.isfinite(found).sum(axis=0), 1)
    return Stability(np.where(known, mean, np.nan))
