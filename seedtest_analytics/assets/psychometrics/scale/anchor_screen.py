"""Which of the anchors may be held fixed: those that still behave as their parameters say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from seedtest_analytics.assets.psychometrics.calibration.engine import calibrate_natively
from seedtest_analytics.settings import CalibrationSettings

if TYPE_CHECKING:
    from seedtest_analytics.assets.psychometrics.scale.link import Reference
    from seedtest_analytics.stats.irt.data import ResponseData
    from seedtest_analytics.stats.irt.link_anchors import DroppedAnchor
    from seedtest_analytics.stats.irt.model import ItemParameters
    from seedtest_analytics.stats.irt.result import Calibration


@dataclass(frozen=True, eq=False)
class ScreenedAnchors:
    """``held``: anchors to fix. ``n_screened``: those whose parameters could be compared. ``dropped``: what moved."""

    held: ItemParameters
    n_screened: int
    dropped: tuple[DroppedAnchor, ...]


def answered_anchors(tagged: ItemParameters, data: ResponseData) -> ItemParameters:
    """Anchors with an answer in the data."""
    return tagged.take(np.isin(tagged.item_ids, data.item_ids))


def count_testable(anchors: ItemParameters, data: ResponseData, *, min_responses: int) -> int:
    """Anchors that a scale can rest on: enough answers, right and wrong ones."""
    n, right = data.answer_counts()
    place = np.searchsorted(data.item_ids, anchors.item_ids)
    n, right = n[place], right[place]
    return int(np.count_nonzero((n >= min_responses) & (right > 0) & (right < n)))


def free_calibration(data: ResponseData, settings: CalibrationSettings) -> Calibration:
    """The answers calibrated as if no anchor were known. By the platform's engine whatever fits the week: screening
    needs no second opinion, and a second fit by mirt would double the longest step.
    """
    return calibrate_natively(data, None, settings=settings)


def screen(free: Calibration, anchors: ItemParameters, *, tagged: Reference, min_anchors: int) -> ScreenedAnchors:
    """Anchors whose free estimates have left the others' common line are dropped, and estimated like any item.

    An anchor with too few answers to be estimated cannot be compared: it stays fixed, moves nothing, and does not
    count towards ``min_anchors``. Raises LinkingError where the rest is too few or too many have moved.
    """
    from seedtest_analytics.stats.irt.link_anchors import DroppedAnchor
    from seedtest_analytics.stats.irt.linking import drifted_anchors
    from seedtest_analytics.stats.irt.result import NOT_FOR_SCORING

    own = free.parameters
    position = np.searchsorted(free.items.item_ids, own.item_ids)
    kept, moved = drifted_anchors(
        own,
        anchors,
        min_anchors=min_anchors,
        covariance_new=free.items.covariance[position],
        covariance_old=tagged.covariance[tagged.parameters.positions(anchors.item_ids)],
    )
    row = np.searchsorted(free.items.item_ids, anchors.item_ids)
    misled = tuple(
        DroppedAnchor(item, float("nan"), log_ratio_a=float("nan"), reason=f"estimated freely it has {flag}")
        for item, flag in zip(anchors.item_ids.tolist(), free.items.flag[row].tolist(), strict=True)
        if flag in NOT_FOR_SCORING
    )
    dropped = (*moved, *misled)
    stays = ~np.isin(anchors.item_ids, [anchor.item_id for anchor in dropped])
    return ScreenedAnchors(anchors.take(stays), len(kept) + len(dropped), dropped=dropped)
