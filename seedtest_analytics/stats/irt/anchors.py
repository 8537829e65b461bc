"""Choice of anchor items that are good, stable, and spread over content and difficulty."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.checks import array_of, codes, column, count, number
from seedtest_analytics.stats.irt.errors import IrtDataError

Floats = NDArray[np.float64]

ANY_LABEL = "OUSiufb"
"""Types of labels: text, numbers, None."""


@dataclass(frozen=True)
class AnchorCriteria:
    """The contract's criteria (4.3), with stability and coverage added. Parameters are on the platform scale.

    ``max_sd_b``: an item with a larger population SD (logits) of b over previous calibrations is unstable.
    ``min_history``: calibrations needed to prove stability. ``min_per_bin``, ``min_per_topic``: anchors needed in each of
    the ``n_difficulty_bins`` bins of equal width and in each topic. Raises IrtDataError for numbers out of range.
    """

    min_responses: int = 100
    difficulty_lower: float = -2.0
    difficulty_upper: float = 2.0
    discrimination_min: float = 0.5
    max_sd_b: float = 0.5
    min_history: int = 2
    max_anchors: int = 50
    min_anchors: int = 5
    n_difficulty_bins: int = 4
    min_per_bin: int = 1
    min_per_topic: int = 1

    def __post_init__(self) -> None:
        for name in ("min_responses", "min_history", "min_anchors", "min_per_bin", "min_per_topic"):
            count(getattr(self, name), name, error=IrtDataError)
        count(self.max_anchors, "max_anchors", low=1, error=IrtDataError)
        count(self.n_difficulty_bins, "n_difficulty_bins", low=1, high=1000, error=IrtDataError)
        for name in ("difficulty_lower", "difficulty_upper", "discrimination_min"):
            number(getattr(self, name), name, error=IrtDataError)
        number(self.max_sd_b, "max_sd_b", low=0.0, error=IrtDataError)
        if not self.difficulty_lower < self.difficulty_upper:
            raise IrtDataError(
                f"difficulties from {self.difficulty_lower:g} to {self.difficulty_upper:g} leave no room for anchors"
            )


@dataclass(frozen=True, eq=False)
class AnchorCandidates:
    """Items to choose from, all (n_items,), with a and b on the platform scale.

    ``flag``: a reason against the item (an odd estimate, drift, DIF), or None. ``is_proven``: stable by other evidence
    than the history, such as an anchor that a calibration has just screened and held fixed.

    Raises IrtDataError for columns of unequal length or other types, and for missing item ids.
    """

    item_ids: NDArray[Any]
    a: Floats
    b: Floats
    n_responses: NDArray[np.int64]
    topics: NDArray[Any]
    flag: NDArray[Any]
    is_proven: NDArray[np.bool_]

    def __post_init__(self) -> None:
        ids = array_of(self.item_ids, "item ids", error=IrtDataError)
        codes(ids, "item id", length=ids.size, error=IrtDataError)
        kinds = {"a": "f", "b": "f", "n_responses": "iu", "is_proven": "b", "topics": ANY_LABEL, "flag": ANY_LABEL}
        for name, kind in kinds.items():
            column(getattr(self, name), name, length=len(ids), kinds=kind, error=IrtDataError)


@dataclass(frozen=True, eq=False)
class ParameterHistory:
    """Difficulties of previous calibrations on the platform scale, one entry per calibration and item, in any order.

    Raises IrtDataError for columns of unequal length or other types, and for missing item ids.
    """

    item_ids: NDArray[Any]
    b: Floats

    def __post_init__(self) -> None:
        ids = array_of(self.item_ids, "item ids", error=IrtDataError)
        codes(ids, "item id", length=ids.size, error=IrtDataError)
        column(self.b, "b", length=len(ids), kinds="f", error=IrtDataError)


@dataclass(frozen=True, eq=False)
class AnchorSelection:
    """``item_ids`` in order of preference. ``rejected``: stored reason by item. ``sd_b`` (n_candidates,): SD over the
    history, NaN below two calibrations. ``per_topic``, ``per_bin``: number chosen and number eligible. ``is_adequate``:
    whether the anchors can define a scale; if not, ``reasons`` say why.
    """

    item_ids: NDArray[Any]
    rejected: dict[Any, str]
    sd_b: Floats
    per_topic: dict[Any, tuple[int, int]]
    per_bin: dict[tuple[float, float], tuple[int, int]]
    is_adequate: bool
    reasons: tuple[str, ...]


def select_anchor_items(
    candidates: AnchorCandidates, history: ParameterHistory | None = None, *, criteria: AnchorCriteria | None = None
) -> AnchorSelection:
    """Rank eligible items by a, |b| and answers, and take the best of each topic × difficulty cell in turn.

    So one large topic cannot supply all anchors. Candidates, history and criteria check themselves.
    """
    rule = criteria or AnchorCriteria()
    sd_b, n_history = _spread(candidates, history)
    rejected = _rejected(candidates, rule, sd_b=sd_b, n_history=n_history)
    eligible = np.array([item not in rejected for item in candidates.item_ids.tolist()], dtype=bool)
    edges = np.linspace(rule.difficulty_lower, rule.difficulty_upper, rule.n_difficulty_bins + 1)
    bins = np.clip(np.searchsorted(edges, candidates.b, side="right") - 1, 0, rule.n_difficulty_bins - 1)
    chosen = _draw(candidates, eligible, bins=bins, limit=rule.max_anchors)
    per_topic = _coverage(candidates.topics, chosen, eligible=eligible)
    per_bin = {
        (float(edges[k]), float(edges[k + 1])): (int((bins[chosen] == k).sum()), int((bins[eligible] == k).sum()))
        for k in range(rule.n_difficulty_bins)
    }
    reasons = _inadequacies(rule, len(chosen), per_topic=per_topic, per_bin=per_bin)
    return AnchorSelection(
        candidates.item_ids[chosen],
        rejected,
        sd_b=sd_b,
        per_topic=per_topic,
        per_bin=per_bin,
        is_adequate=not reasons,
        reasons=tuple(reasons),
    )


def _spread(candidates: AnchorCandidates, history: ParameterHistory | None) -> tuple[Floats, NDArray[np.int64]]:
    """(n,) population SD of b over the history, and the number of calibrations in it."""
    n = len(candidates.item_ids)
    if not n or history is None or not len(history.item_ids):
        return np.full(n, np.nan), np.zeros(n, dtype=np.int64)
    order = np.argsort(candidates.item_ids, kind="stable")
    place = np.minimum(np.searchsorted(candidates.item_ids, history.item_ids, sorter=order), n - 1)
    index = order[place]
    known = (candidates.item_ids[index] == history.item_ids) & np.isfinite(history.b)
    index, b = index[known], history.b[known]
    count = np.bincount(index, minlength=n)
    mean = np.bincount(index, weights=b, minlength=n) / np.maximum(count, 1)
    square = np.bincount(index, weights=(b - mean[index]) ** 2, minlength=n)
    return np.where(count >= 2, np.sqrt(square / np.maximum(count, 1)), np.nan), count


def _rejected(
    candidates: AnchorCandidates, rule: AnchorCriteria, *, sd_b: Floats, n_history: NDArray[np.int64]
) -> dict[Any, str]:
    a, b = candidates.a, candidates.b
    proven = candidates.is_proven | (n_history >= max(rule.min_history, 2))
    has_flag = np.array([flag is not None for flag in candidates.flag.tolist()], dtype=bool)
    tests = [
        (~(np.isfinite(a) & np.isfinite(b)), "no parameters"),
        (candidates.n_responses < rule.min_responses, f"fewer than {rule.min_responses} answers"),
        (~((b >= rule.difficulty_lower) & (b <= rule.difficulty_upper)), "difficulty out of range"),
        (~(a >= rule.discrimination_min), f"discrimination below {rule.discrimination_min}"),
        (has_flag, "flagged"),
        (np.nan_to_num(sd_b) > rule.max_sd_b, f"not stable: SD of b over calibrations above {rule.max_sd_b}"),
        (~proven, f"unproven: fewer than {max(rule.min_history, 2)} calibrations"),
    ]
    rejected: dict[Any, str] = {}
    for failed, reason in tests:
        for row in np.flatnonzero(failed).tolist():
            own = f"flagged: {candidates.flag[row]}" if reason == "flagged" else reason
            rejected.setdefault(candidates.item_ids[row], own)
    return rejected


def _draw(
    candidates: AnchorCandidates, eligible: NDArray[np.bool_], *, bins: NDArray[np.int64], limit: int
) -> NDArray[np.int64]:
    """Positions: the best of every (topic, difficulty) cell before the second best of any."""
    rows = np.flatnonzero(eligible)
    if not len(rows):
        return rows
    by_merit = rows[np.lexsort((-candidates.n_responses[rows], np.abs(candidates.b[rows]), -candidates.a[rows]))]
    turn = np.zeros(len(by_merit), dtype=np.int64)
    seen: dict[tuple[Any, int], int] = {}
    for k, row in enumerate(by_merit.tolist()):
        cell = (candidates.topics[row], int(bins[row]))
        turn[k] = seen.get(cell, 0)
        seen[cell] = int(turn[k]) + 1
    return by_merit[np.argsort(turn, kind="stable")][:limit]


def _coverage(
    topics: NDArray[Any], chosen: NDArray[np.int64], *, eligible: NDArray[np.bool_]
) -> dict[Any, tuple[int, int]]:
    taken, possible = Counter(topics[chosen].tolist()), Counter(topics[eligible].tolist())
    return {topic: (taken[topic], possible[topic]) for topic in dict.fromkeys(topics.tolist())}


def _inadequacies(
    rule: AnchorCriteria,
    n_chosen: int,
    *,
    per_topic: dict[Any, tuple[int, int]],
    per_bin: dict[tuple[float, float], tuple[int, int]],
) -> list[str]:
    reasons = []
    if n_chosen < rule.min_anchors:
        reasons.append(f"only {n_chosen} anchors; {rule.min_anchors} are needed")
    bare = [str(topic) for topic, (taken, _) in per_topic.items() if taken < rule.min_per_topic]
    if bare:
        reasons.append(f"topics with fewer than {rule.min_per_topic} anchors: {', '.join(sorted(bare)[:10])}")
    empty = [f"[{low:g}, {high:g}]" for (low, high), (taken, _) in per_bin.items() if taken < rule.min_per_bin]
    if empty:
        reasons.append(f"difficulties with fewer than {rule.min_per_bin} anchors: {', '.join(empty)}")
    return reasons
