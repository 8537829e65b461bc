"""Segments of students: from named features to identities, names, profiles and a map.

    k-means: min Σ_i |z_i - μ_label(i)|²     mixture: max Σ_i log Σ_j π_j N(z_i | μ_j, Σ_j)

of robustly scaled features z. Silhouette and gap statistic choose k, a bootstrap measures stability.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import array_of, count, numbers, one_of
from seedtest_analytics.stats.segments.choice import ClusterCount, choose_count
from seedtest_analytics.stats.segments.clustering import Clustering, cluster, one_thread, within_sums
from seedtest_analytics.stats.segments.features import FeatureScale, plan_scale
from seedtest_analytics.stats.segments.identity import PreviousSegment, match_segments
from seedtest_analytics.stats.segments.labels import describe, distinct_labels, own_label, still_holds
from seedtest_analytics.stats.segments.stability import UNSTABLE, Stability, bootstrap_jaccard

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_CLUSTERS = 1000
LARGEST_SEED = 2**31
"""The resamples count on from the seed, and scikit-learn takes seeds below 2³²."""


@dataclass(frozen=True)
class SegmentSettings:
    """``n_clusters`` None chooses k; ``method`` is ``kmeans`` or ``gmm``; fewer than ``min_users`` are one segment.

    Raises ValueError for another method, and for numbers that are not whole or out of range.
    """

    n_clusters: int | None = None
    method: str = "kmeans"
    min_users: int = 10
    largest: int = 8
    bootstrap_repeats: int = 20
    seed: int = 42

    def __post_init__(self) -> None:
        one_of(self.method, "method", choices=("kmeans", "gmm"))
        if self.n_clusters is not None:
            count(self.n_clusters, "n_clusters", low=1, high=MOST_CLUSTERS)
        count(self.min_users, "min_users", low=1)
        count(self.largest, "largest", low=1, high=MOST_CLUSTERS)
        count(self.bootstrap_repeats, "bootstrap_repeats", high=100_000)
        count(self.seed, "seed", high=LARGEST_SEED)


@dataclass(frozen=True)
class Segment:
    """One segment of a run.

    ``centre`` has the members' medians in the features' units; ``moved`` is the scaled distance from the previous centre.
    ``jaccard`` (stability) is NaN where unknown; the run's warnings give the reason.
    """

    segment_id: int
    label: str
    description: str
    centre: Mapping[str, float]
    scaled_centre: Mapping[str, float]
    n: int
    share: float
    within_ss: float
    jaccard: float
    is_new: bool
    moved: float


@dataclass(frozen=True)
class Segmentation:
    """A run: (n,) ``segment_id`` and ``confidence``, (n, 2) ``coordinates`` of the map, and the segments.

    ``explained`` is the share of variance that the map shows; ``between_ss`` and the segments' ``within_ss`` are in
    scaled units. ``method``: ``kmeans``, ``minibatch_kmeans``, ``gaussian_mixture`` or ``single`` (one segment; see
    ``reason``).
    """

    segment_id: Ints
    confidence: Floats
    coordinates: Floats
    explained: float
    segments: tuple[Segment, ...]
    count: ClusterCount
    method: str
    reason: str
    n_fitted: int
    between_ss: float
    scale: FeatureScale
    warnings: tuple[str, ...]


@one_thread()
def segment_students(
    features: Mapping[str, ArrayLike],
    settings: SegmentSettings | None = None,
    *,
    previous: Sequence[PreviousSegment] = (),
    first_new_id: int = 0,
) -> Segmentation:
    """Segment n students by named (n,) features, missing values as NaN.

    Segments that match none of ``previous`` get ids from ``first_new_id`` on, or above the previous ids.

    Raises:
        ValueError: without students, for columns that are not (n,) numbers of one length, infinite values, or a first id
            that is not a whole number from 0.
    """
    chosen = settings or SegmentSettings()
    count(first_new_id, "first_new_id")
    lengths = {array_of(values, name).size for name, values in features.items()}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"features need one column each of the same length above 0, not lengths {sorted(lengths)}")
    raw = {name: numbers(values, name, is_missing_allowed=True) for name, values in features.items()}
    scale = plan_scale(raw)
    Z = scale.transform(raw) if scale.names else np.zeros((lengths.pop(), 0))
    found = _count(Z, chosen)
    clustering, stability = _one_segment(Z), Stability(np.ones(1))
    if found.k > 1:
        clustering = _without_empty(cluster(Z, found.k, method=chosen.method, seed=chosen.seed))
    k, labels = len(clustering.centres), clustering.labels
    if k > 1:
        repeats = chosen.bootstrap_repeats
        stability = bootstrap_jaccard(Z, labels, k=k, method=chosen.method, seed=chosen.seed, repeats=repeats)
    medians = [_medians(raw, labels == j) for j in range(k)]
    scaled = np.zeros((k, 0))
    if scale.names:
        scaled = scale.scale_centres({name: [m.get(name, np.nan) for m in medians] for name in scale.names})
    match = match_segments(scaled, scale, previous=previous)
    ids, names = _identities(
        match.previous, previous, medians=medians, names=scale.names, scaled=scaled, first_new_id=first_new_id
    )
    within = within_sums(Z, labels, k=k)
    sizes = np.bincount(labels, minlength=k)
    segments = tuple(
        Segment(
            segment_id=ids[j],
            label=names[j],
            description=describe(medians[j], scale.names, scaled=scaled[j])
            if scale.names
            else "All students are alike.",
            centre=medians[j],
            scaled_centre=dict(zip(scale.names, scaled[j].tolist(), strict=True)),
            n=int(sizes[j]),
            share=float(sizes[j] / len(Z)),
            within_ss=float(within[j]),
            jaccard=float(stability.jaccard[j]),
            is_new=match.previous[j] is None,
            moved=float(match.distance[j]),
        )
        for j in range(k)
    )
    coordinates, explained = map_coordinates(Z)
    total = float(((Z - Z.mean(axis=0)) ** 2).sum())
    return Segmentation(
        segment_id=np.array(ids, dtype=np.int64)[labels],
        confidence=clustering.confidence,
        coordinates=coordinates,
        explained=explained,
        segments=segments,
        count=found,
        method=clustering.method,
        reason=found.reason,
        n_fitted=clustering.n_fitted,
        between_ss=total - float(within.sum()),
        scale=scale,
        warnings=_warnings(segments, stability),
    )


def _count(Z: Floats, settings: SegmentSettings) -> ClusterCount:
    if len(Z) < settings.min_users:
        return ClusterCount(1, f"{len(Z)} students are fewer than the {settings.min_users} needed")
    if Z.shape[1] == 0:
        return ClusterCount(1, "no feature differs between students")
    if settings.n_clusters is None:
        return choose_count(Z, settings.method, seed=settings.seed, largest=settings.largest)
    different = len(np.unique(Z[:100_000], axis=0))
    if different < settings.n_clusters:
        why = f"{settings.n_clusters} were asked for, but there are only {different} different students"
        return ClusterCount(different, why)
    return ClusterCount(settings.n_clusters, "the number was given")


def _one_segment(Z: Floats) -> Clustering:
    n, labels = len(Z), np.zeros(len(Z), np.int64)
    return Clustering(Z.mean(axis=0)[None, :], labels, confidence=np.ones(n), method="single", n_fitted=n)


def _without_empty(clustering: Clustering) -> Clustering:
    """Drop centres without members, which a mixture can have."""
    used = np.unique(clustering.labels)
    labels = np.searchsorted(used, clustering.labels)
    return replace(clustering, centres=clustering.centres[used], labels=labels)


def _medians(raw: Mapping[str, Floats], members: NDArray[np.bool_]) -> dict[str, float]:
    out = {}
    for name, values in raw.items():
        known = values[members & np.isfinite(values)]
        out[name] = float(np.median(known)) if len(known) else float("nan")
    return out


def _identities(
    matched: Sequence[PreviousSegment | None],
    previous: Sequence[PreviousSegment],
    *,
    medians: list[dict[str, float]],
    names: tuple[str, ...],
    scaled: Floats,
    first_new_id: int,
) -> tuple[list[int], list[str]]:
    """Ids and labels of the segments.

    A matched segment keeps its id, and its label while that still describes it. Others get new ids.
    """
    new_ids = itertools.count(max([first_new_id, *(segment.segment_id + 1 for segment in previous)]))
    ids, labels, kept = [], [], []
    for j, before in enumerate(matched):
        ids.append(next(new_ids) if before is None else before.segment_id)
        label = own_label(medians[j], names, scaled=scaled[j]) if names else "average"
        keeps = False
        if before is not None and names:
            keeps = still_holds(before.label.split("_with_")[0], medians[j], names=names, scaled=scaled[j])
            label = before.label if keeps else label
        labels.append(label)
        kept.append(keeps)
    order = sorted(range(len(labels)), key=lambda j: (not kept[j], j))
    resolved = distinct_labels([labels[j] for j in order], names, scaled=scaled[order]) if names else labels
    return ids, [resolved[order.index(j)] for j in range(len(labels))]


def map_coordinates(Z: Floats) -> tuple[Floats, float]:
    """(n, 2) first two principal components, signs fixed by the largest loading, and the share of variance they show."""
    if Z.shape[1] == 0:
        return np.zeros((len(Z), 2)), float("nan")
    mean = Z.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(Z, rowvar=False, bias=True).reshape(Z.shape[1], Z.shape[1]))
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    coordinates = np.zeros((len(Z), 2))
    coordinates[:, : axes.shape[1]] = (Z - mean) @ axes
    total = values.sum()
    return coordinates, float(values[::-1][:2].sum() / total) if total > 0 else float("nan")


def _warnings(segments: tuple[Segment, ...], stability: Stability) -> tuple[str, ...]:
    if stability.reason:
        return (f"whether the segments are stable is not known: {stability.reason}",)
    unstable = (
        f"segment {s.label} is not stable: bootstrap Jaccard {s.jaccard:.2f} (below {UNSTABLE})"
        for s in segments
        if s.jaccard < UNSTABLE
    )
    unknown = (
        f"whether segment {s.label} is stable is not known: none of its students is in the resamples"
        for s in segments
        if math.isnan(s.jaccard)
    )
    return (*unstable, *unknown)
