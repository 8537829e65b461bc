"""Identity of segments over runs, by matching their centres to those of the previous run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from seedtest_analytics.stats.checks import count, numbers
from seedtest_analytics.stats.segments.features import FeatureScale

Floats = NDArray[np.float64]

SAME_SEGMENT = 0.75
"""Largest root mean square distance over the features, in scaled units, within one segment."""


@dataclass(frozen=True)
class PreviousSegment:
    """A segment of an earlier run: identity, name and centre in the features' own units, NaN where unknown.

    Raises ValueError for an id that is not a whole number from 0, or a centre that is not numbers.
    """

    segment_id: int
    label: str
    centre: Mapping[str, float]

    def __post_init__(self) -> None:
        count(self.segment_id, "segment_id")
        numbers(list(self.centre.values()), f"centre of segment {self.segment_id}", is_missing_allowed=True)


@dataclass(frozen=True)
class Match:
    """For each centre the matched earlier segment (None for a new one) and the scaled distance moved."""

    previous: tuple[PreviousSegment | None, ...]
    distance: Floats


def match_segments(centres: Floats, scale: FeatureScale, *, previous: Sequence[PreviousSegment]) -> Match:
    """Assign (k, q) scaled centres to earlier segments with the least total distance (Kuhn 1955).

    Pairs farther apart than ``SAME_SEGMENT`` do not match; a segment without a match is new.
    """
    matched: list[PreviousSegment | None] = [None] * len(centres)
    distance = np.full(len(centres), np.nan)
    if not previous or not scale.names:
        return Match(tuple(matched), distance)
    raw = {name: [segment.centre.get(name, np.nan) for segment in previous] for name in scale.names}
    before = scale.scale_centres(raw)
    cost = np.sqrt(((centres[:, None, :] - before[None, :, :]) ** 2).mean(axis=2))
    # A forbidden pair costs more than any two allowed ones, so it never displaces an allowed one.
    rows, columns = linear_sum_assignment(np.where(cost <= SAME_SEGMENT, cost, 1e3 + cost))
    for row, column in zip(rows, columns, strict=True):
        if cost[row, column] <= SAME_SEGMENT:
            matched[row], distance[row] = previous[column], cost[row, column]
    return Match(tuple(matched), distance)
