"""Did an item move, or did other students answer its topic?

    m_i = median of Δb over the other items of the topic,   apart_i = Δb_i − m_i

Students choose topics, so a change in who chooses moves all items of a topic alike, and what is apart from them is the
item's own. A topic that moved as a whole was taught otherwise, or is answered by others; the selection gaps of the two
windows (`selection`) tell these apart as far as answers can: where a topic gets easier while the gap grows, it is answered
more by students who are better in it than their ability says.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.irt.drift import DriftResult
from seedtest_analytics.stats.irt.selection import SelectionGaps

Floats = NDArray[np.float64]
DriftOrigin = Literal["item", "who_answers", "topic", "cannot_be_told"]

NO_TOPIC = -1
"""Code of the items that have no topic."""
MIN_OTHERS = 3
"""A median of fewer items says little about their topic."""
NORMAL_95 = 1.96
_MEDIAN_ERROR, _MAD_TO_SD = 1.2533, 1.4826
"""Standard error of a median by that of the mean, and SD by the median absolute deviation, of normal values."""


@dataclass(frozen=True, eq=False)
class DriftInTopic:
    """The items of a comparison beside the others of their topic; arrays are (n_items,), NaN where that is not known.

    ``topic_delta``: the median change of b of the topic's ``n_others`` other items. ``apart``: the item's change less that.
    ``gap_change``: the selection gap of the topic in the recent window less that of the baseline. Each has its error.
    """

    item_ids: NDArray[Any]
    topic_delta: Floats
    topic_se: Floats
    apart: Floats
    apart_se: Floats
    gap_change: Floats
    gap_change_se: Floats
    n_others: NDArray[np.int64]

    def rows(self) -> list[dict[str, Any]]:
        """The numbers of each item by their names."""
        names = [field.name for field in fields(self) if field.name != "item_ids"]
        columns = [getattr(self, name).tolist() for name in names]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    @property
    def origins(self) -> list[DriftOrigin]:
        """Where each item's change comes from, as if it had moved."""
        toward = np.sign(self.topic_delta + self.apart)
        is_item = toward * self.apart > NORMAL_95 * self.apart_se
        is_topic = toward * self.topic_delta > NORMAL_95 * self.topic_se
        is_choice = -toward * self.gap_change > NORMAL_95 * self.gap_change_se
        found = np.select([is_item, is_topic & is_choice, is_topic], ["item", "who_answers", "topic"], "cannot_be_told")
        return found.tolist()  # type: ignore[no-any-return]


def drift_in_topic(
    drift: DriftResult, topic: NDArray[np.int64], *, baseline: SelectionGaps, recent: SelectionGaps
) -> DriftInTopic:
    """Compare each item of ``drift`` with the others of its topic, (n_items,) codes or NO_TOPIC.

    The errors of Δb contain that of the link, which both sides share, so fewer items are apart than could be.
    """
    delta, se = drift.delta[:, 1], drift.se_delta[:, 1]
    middle, error, n_others = np.full(len(delta), np.nan), np.full(len(delta), np.nan), np.zeros(len(delta), np.int64)
    for code in np.unique(topic[topic != NO_TOPIC]):
        items = np.flatnonzero(topic == code)
        n_others[items] = len(items) - 1
        if len(items) <= MIN_OTHERS:
            continue
        middle[items] = _median_of_others(delta[items])
        spread = _MAD_TO_SD * np.median(np.abs(delta[items] - np.median(delta[items])))
        error[items] = _MEDIAN_ERROR * max(spread, float(np.sqrt(np.mean(se[items] ** 2)))) / np.sqrt(len(items) - 1)
    before, before_se = _of_items(baseline, drift.item_ids)
    now, now_se = _of_items(recent, drift.item_ids)
    return DriftInTopic(
        drift.item_ids,
        middle,
        error,
        apart=delta - middle,
        apart_se=np.hypot(se, error),
        gap_change=now - before,
        gap_change_se=np.hypot(now_se, before_se),
        n_others=n_others,
    )


def _median_of_others(values: Floats) -> Floats:
    """(n,) for each value the median of the others."""
    order = np.argsort(values, kind="stable")
    ascending, n = values[order], len(values)
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    low, high = (n - 2) // 2, (n - 1) // 2
    return np.asarray((ascending[low + (low >= rank)] + ascending[high + (high >= rank)]) / 2)


def _of_items(gaps: SelectionGaps, item_ids: NDArray[Any]) -> tuple[Floats, Floats]:
    """Topic gap and its error of these items; NaN for an item that is not among the gaps'."""
    at = np.minimum(np.searchsorted(gaps.item_ids, item_ids), len(gaps.item_ids) - 1)
    is_there = gaps.item_ids[at] == item_ids
    return np.where(is_there, gaps.topic_gap[at], np.nan), np.where(is_there, gaps.topic_gap_se[at], np.nan)
