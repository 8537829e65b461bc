"""Choice of the items that a calibration estimates or holds fixed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.irt.config import CalibrationConfig
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.errors import AnchorError
from seedtest_analytics.stats.irt.result import FEW_RESPONSES, ONE_CATEGORY


@dataclass(frozen=True, eq=False)
class Screening:
    """Which items of the data are estimated or fixed, and why the others are not. All (n_items,).

    ``is_rare``: estimated with a prior from the topic, because there are few answers.
    """

    keep: NDArray[np.bool_]
    reason: NDArray[np.object_]
    anchor_position: NDArray[np.int64]
    n_responses: NDArray[np.int64]
    n_right: NDArray[np.int64]
    is_rare: NDArray[np.bool_]


def screen(data: ResponseData, config: CalibrationConfig) -> Screening:
    """Set items aside that have few answers or one response category.

    Anchors always stay: they are not estimated. Rare items may have one category: their topic says where they lie, and
    leaving them out would make the topic's others look alike.
    """
    n, right = data.answer_counts()
    anchor_position = np.full(data.n_items, -1, dtype=np.int64)
    if config.anchors is not None:
        anchor_position = config.anchors.positions(data.item_ids)
        n_anchors = int(np.count_nonzero(anchor_position >= 0))
        if n_anchors < config.min_anchors:
            raise AnchorError(
                f"{n_anchors} of {len(config.anchors)} anchors have answers and {config.min_anchors} are needed "
                "to fix the scale; calibrate without anchors and link, or widen the period"
            )
    reason = np.full(data.n_items, None, dtype=object)
    reason[(right == 0) | (right == n)] = ONE_CATEGORY
    is_rare = np.asarray((n >= config.min_responses) & (n < config.pool_below) & (anchor_position < 0))
    reason[is_rare] = None
    reason[n < config.min_responses] = FEW_RESPONSES
    reason[anchor_position >= 0] = None
    keep = np.asarray([r is None for r in reason], dtype=bool)
    return Screening(keep, reason, anchor_position=anchor_position, n_responses=n, n_right=right, is_rare=is_rare)
