"""Segments of students: from named features to identities, names, profiles and a map."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.segments.choice import ClusterCount, choose_count
from seedtest_analytics.stats.segments.clustering import Clustering, assign, cluster, one_thread, within_sums
from seedtest_analytics.stats.segments.features import FeatureScale, plan_scale
from seedtest_analytics.stats.segments.identity import PreviousSegment, match_segments
from seedtest_analytics.stats.segments.labels import describe, distinct_labels, own_label, still_holds
from seedtest_analytics.stats.segments.stability import UNSTABLE, Stability, bootstrap_jaccard

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SegmentSettings:
    """``n_clusters`` None chooses; ``method`` is ``kmeans`` or ``gmm``; below ``min_users`` there is one
    segment.
    """

    n_clusters: int | None = None
    method: str = "kmeans"
    min_users: int = 10
    largest: int = 8
    bootstrap_repeats: int = 20
    seed: int = 42


@dataclass(frozen=True)
class Segment:
    """One segment: medians of its members in the features' units, its scaled centre, how stable it is.

    ``jaccard`` is NaN where the resamples cannot say; the run's warnings say why.
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

    def as_previous(self) -> PreviousSegment:
        """What the next run needs to recognise it."""
        return PreviousSegment(self.segment_id, self.label, centre=self.centre)


@dataclass(frozen=True)
class Segmentation:
    """A run: (n,) ``segment_id`` and ``confidence`` and (n, 2) ``coordinates`` of the map, and the segments.

    ``explained`` is the share of variance the map shows; ``between_ss`` and the segments' ``within_ss`` are
    in scaled units. ``method``: ``kmeans``, ``minibatch_kmeans``, ``gaussian_mixture`` or ``single`` (one
    segment, ``reason`` says why).
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
    total_ss: float
    scale: FeatureScale
    warnings: tuple[str, ...]
    estimator: Any = field(repr=False)

    def assign(self, features: Mapping[str, ArrayLike]) -> tuple[Ints, Floats]:
        """(m,) segment ids and confidence of new students, on *this run's* scale."""
        Z = self.scale.transform(features)
        ids = np.array([segment.segment_id for segment in self.segments])
        if self.estimator is None:
            return np.full(len(Z), ids[0]), np.ones(len(Z))
        labels, confidence = assign(self.estimator, Z)
        return ids[labels], confidence


def segment_students(
    features: Mapping[str, ArrayLike],
    settings: SegmentSettings | None = None,
    *,
    previous: Sequence[PreviousSegment] = (),
    first_new_id: int = 0,
) -> Segmentation:
    """Segment n students by named (n,) features, missing values as NaN.

    Segments that match none of ``previous`` get ids from ``first_new_id``, or above the previous ones'.

    Raises:
        ValueError: for no student, columns of different length, or an unknown method.
    """
    chosen = settings or SegmentSettings()
    if chosen.method not in ("kmeans", "gmm"):
        raise ValueError(f"method must be 'kmeans' or 'gmm', not {chosen.method!r}")
    lengths = {len(np.asarray(values)) for values in features.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"features need one column each of the same length above 0, not lengths {sorted(lengths)}")
    scale = plan_scale(features)
    Z = scale.transform(features) if scale.names else np.zeros((lengths.pop(), 0))
    with one_thread():
        return _segment(features, Z, scale=scale, chosen=chosen, previous=previous, first_new_id=first_new_id)


def _segment(
    features: Mapping[str, ArrayLike],
    Z: Floats,
    *,
    scale: FeatureScale,
    chosen: SegmentSettings,
    previous: Sequence[PreviousSegment],
    first_new_id: int,
) -> Segmentation:
    n = len(Z)
    count = _count(Z, chosen)
    if count.k == 1:
        clustering = Clustering(
            Z.mean(axis=0)[None, :],
            np.zeros(n, np.int64),
            confidence=np.ones(n),
            method="single",
            n_fitted=n,
            estimator=None,
        )
    else:
        clustering = cluster(Z, count.k, method=chosen.method, seed=chosen.seed)
        clustering = _without_empty(clustering)
    return _segmentation(
        features,
        Z,
        scale=scale,
        count=count,
        clustering=clustering,
        settings=chosen,
        previous=previous,
        first_new_id=first_new_id,
    )


def _count(Z: Floats, settings: SegmentSettings) -> ClusterCount:
    if len(Z) < settings.min_users:
        why = f"{len(Z)} students are fewer than the {settings.min_users} needed"
        return ClusterCount(1, {}, gap={}, gap_se={}, reason=why, n_sampled=len(Z))
    if Z.shape[1] == 0:
        return ClusterCount(1, {}, gap={}, gap_se={}, reason="no feature differs between students", n_sampled=len(Z))
    if settings.n_clusters is None:
        return choose_count(Z, settings.method, seed=settings.seed, largest=settings.largest)
    different = len(np.unique(Z[:100_000], axis=0))
    if different < settings.n_clusters:
        why = f"{settings.n_clusters} were asked for, but there are only {different} different students"
        return ClusterCount(different, {}, gap={}, gap_se={}, reason=why, n_sampled=len(Z))
    return ClusterCount(settings.n_clusters, {}, gap={}, gap_se={}, reason="the number was given", n_sampled=len(Z))


def _without_empty(clustering: Clustering) -> Clustering:
    """Every centre must have members (a mixture can leave a component without); empty ones stay unassignable
    but unseen.
    """
    used = np.unique(clustering.labels)
    if len(used) == len(clustering.centres):
        return clustering
    estimator = _Renumbered(clustering.estimator, used)
    labels = np.searchsorted(used, clustering.labels)
    return Clustering(
        clustering.centres[used],
        labels,
        confidence=clustering.confidence,
        method=clustering.method,
        n_fitted=clustering.n_fitted,
        estimator=estimator,
    )


@dataclass(frozen=True)
class _Renumbered:
    """A mixture with its empty components left out."""

    estimator: Any
    used: NDArray[np.intp]

    def predict_proba(self, Z: Floats) -> Floats:
        posterior = self.estimator.predict_proba(Z)[:, self.used]
        return np.asarray(posterior / np.maximum(posterior.sum(axis=1, keepdims=True), 1e-300))


def _segmentation(
    features: Mapping[str, ArrayLike],
    Z: Floats,
    *,
    scale: FeatureScale,
    count: ClusterCount,
    clustering: Clustering,
    settings: SegmentSettings,
    previous: Sequence[PreviousSegment],
    first_new_id: int,
) -> Segmentation:
    k, labels = len(clustering.centres), clustering.labels
    raw = {name: np.asarray(features[name], dtype=np.float64) for name in features}
    medians = [_medians(raw, labels == j) for j in range(k)]
    scaled = np.zeros((k, 0))
    if scale.names:
        scaled = scale.scale_centres({name: [m.get(name, np.nan) for m in medians] for name in scale.names})
    match = match_segments(scaled, scale, previous=previous)
    stability = Stability(np.ones(1))
    if k > 1:
        stability = bootstrap_jaccard(
            Z, labels, k=k, method=settings.method, seed=settings.seed, repeats=settings.bootstrap_repeats
        )
    within = within_sums(Z, labels, k=k)
    sizes = np.bincount(labels, minlength=k)
    ids, names = _identities(
        match.previous, previous, medians=medians, names=scale.names, scaled=scaled, first_new_id=first_new_id
    )
    segments = tuple(
        Segment(
            segment_id=ids[j],
            label=names[j],
            description=describe(medians[j], scale.names, scaled=scaled[j])
            if scale.names
            else "All students are alike.",
            centre=medians[j],
            scaled_centre=dict(zip(scale.names, scaled[j].tolist(), strict=True)) if scale.names else {},
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
        count=count,
        method=clustering.method,
        reason=count.reason,
        n_fitted=clustering.n_fitted,
        between_ss=total - float(within.sum()),
        total_ss=total,
        scale=scale,
        warnings=_warnings(segments, stability),
        estimator=clustering.estimator,
    )


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
    """Ids and labels of the segments; a matched one keeps its id, and its label while that still describes
    it. Others get ids from ``first_new_id``.
    """
    next_id = max(first_new_id, max((segment.segment_id for segment in previous), default=-1) + 1)
    ids, labels, kept = [], [], []
    for j, before in enumerate(matched):
        if before is None:
            ids.append(next_id)
            next_id += 1
        else:
            ids.append(before.segment_id)
        own = own_label(medians[j], names, scaled=scaled[j]) if names else "average"
        keeps = (
            before is not None and bool(names) and _may_stay(before.label, medians[j], names=names, scaled=scaled[j])
        )
        labels.append(before.label if keeps and before is not None else own)
        kept.append(keeps)
    order = sorted(range(len(labels)), key=lambda j: (not kept[j], j))
    resolved = distinct_labels([labels[j] for j in order], names, scaled=scaled[order]) if names else labels
    return ids, [resolved[order.index(j)] for j in range(len(labels))]


def _may_stay(label: str, centre: Mapping[str, float], *, names: tuple[str, ...], scaled: Floats) -> bool:
    return still_holds(label.split("_with_")[0], centre, names=names, scaled=scaled)


def map_coordinates(Z: Floats) -> tuple[Floats, float]:
    """(n, 2) first two principal components and the share of variance they show; signs fixed by the largest
    loading.
    """
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
