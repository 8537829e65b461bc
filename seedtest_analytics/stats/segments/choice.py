"""The number of segments, by silhouette and gap statistic.

    silhouette: mean of (b_i - a_i) / max(a_i, b_i)     a_i, b_i: mean distance to the own and to the nearest other segment
    Gap(k) = E*[log W_k] - log W_k                      W_k: within sum of squares, E*: under a uniform reference

(Rousseeuw 1987; Tibshirani, Walther & Hastie 2001.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.segments.clustering import cluster, sample_rows, within_sums

Floats = NDArray[np.float64]

CHOICE_ROWS = 2_000
"""Silhouette and gap use at most this many students, because the silhouette needs all pairs."""
REFERENCES = 10
WEAK_SILHOUETTE = 0.25
"""Below this the structure is not substantial (Kaufman & Rousseeuw 1990, table 4)."""
NEARLY_AS_GOOD = 0.02


@dataclass(frozen=True)
class ClusterCount:
    """The number chosen, the reason, and the criteria by k where they were computed."""

    k: int
    reason: str
    silhouette: Mapping[int, float] = field(default_factory=dict)
    gap: Mapping[int, float] = field(default_factory=dict)
    gap_se: Mapping[int, float] = field(default_factory=dict)


def choose_count(Z: Floats, method: str, *, seed: int, largest: int = 8) -> ClusterCount:
    """Choose k from 1..``largest`` for (n, q) scaled rows.

    The k with the largest silhouette wins, unless the gap statistic (10 uniform references along the principal axes,
    one-standard-error rule) prefers another k whose silhouette is within 0.02 of it. Only the gap statistic can find a
    single group, and it counts where no silhouette shows substantial structure.
    """
    from sklearn.metrics import silhouette_score

    sample = Z[sample_rows(len(Z), CHOICE_ROWS)]
    largest = min(largest, len(np.unique(sample, axis=0)) - 1)
    if largest < 2:
        return ClusterCount(1, "there are too few different students for two groups")
    silhouette = {}
    for k in range(2, largest + 1):
        labels = cluster(sample, k, method=method, seed=seed, n_init=5).labels
        silhouette[k] = float(silhouette_score(sample, labels)) if len(np.unique(labels)) > 1 else -1.0
    gap, gap_se = _gap_statistic(sample, largest, seed=seed)
    by_gap = next((k for k in range(1, largest) if gap[k] >= gap[k + 1] - gap_se[k + 1]), largest)
    best = max(silhouette, key=lambda k: silhouette[k])
    k, reason = best, f"silhouette is largest ({silhouette[best]:.2f}) for {best}"
    if by_gap == 1 and silhouette[best] < WEAK_SILHOUETTE:
        k, reason = 1, f"the gap statistic finds one group, and no silhouette exceeds {silhouette[best]:.2f}"
    elif by_gap in silhouette and by_gap != best and silhouette[by_gap] >= silhouette[best] - NEARLY_AS_GOOD:
        k, reason = by_gap, f"the gap statistic prefers {by_gap} among silhouettes near {silhouette[best]:.2f}"
    return ClusterCount(k, reason, silhouette=silhouette, gap=gap, gap_se=gap_se)


def _gap_statistic(Z: Floats, largest: int, *, seed: int) -> tuple[dict[int, float], dict[int, float]]:
    """Gap and its standard error for k = 1..largest, always by k-means, as the statistic is defined."""
    rng = np.random.default_rng(seed)
    mean = Z.mean(axis=0)
    axes = np.linalg.svd(Z - mean, full_matrices=False)[2]
    rotated = (Z - mean) @ axes.T
    low, high = rotated.min(axis=0), rotated.max(axis=0)
    references = [rng.uniform(low, high, size=rotated.shape) for _ in range(REFERENCES)]
    gap, error = {}, {}
    for k in range(1, largest + 1):
        own = _log_within(Z, k, seed=seed)
        theirs = np.array([_log_within(reference, k, seed=seed) for reference in references])
        gap[k] = float(theirs.mean() - own)
        error[k] = float(theirs.std() * np.sqrt(1 + 1 / REFERENCES))
    return gap, error


def _log_within(Z: Floats, k: int, *, seed: int) -> float:
    labels = np.zeros(len(Z), dtype=np.int64) if k == 1 else cluster(Z, k, method="kmeans", seed=seed, n_init=2).labels
    return float(np.log(max(within_sums(Z, labels, k=k).sum(), 1e-300)))
