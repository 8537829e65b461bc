"""Screens the anchors: only those that still behave as their parameters say may be held fixed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seedtest_analytics.assets.psychometrics.engine import calibrate_natively
from seedtest_analytics.assets.psychometrics.scale.link import Reference
from seedtest_analytics.settings import CalibrationSettings
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.link_anchors import DroppedAnchor
from seedtest_analytics.stats.irt.linking import drifted_anchors
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.irt.result import NOT_FOR_SCORING, Calibration


@dataclass(frozen=True, eq=False)
class ScreenedAnchors:
    """``held``: anchors to fix. ``n_screened``: compared anchors. ``dropped``: anchors that drifted."""

    held: ItemParameters
    n_screened: int
    dropped: tuple[DroppedAnchor, ...]


def answered_anchors(tagged: ItemParameters, data: ResponseData) -> ItemParameters:
    """Anchors with an answer in the data."""
    return tagged.take(np.isin(tagged.item_ids, data.item_ids))


def count_testable(anchors: ItemParameters, data: ResponseData, *, min_responses: int) -> int:
    """Number of anchors that can define a scale: enough answers, right and wrong ones."""
    n, right = data.answer_counts()
    place = np.searchsorted(data.item_ids, anchors.item_ids)
    n, right = n[place], right[place]
    return int(np.count_nonzero((n >= min_responses) & (right > 0) & (right < n)))


def free_calibration(data: ResponseData, settings: CalibrationSettings) -> Calibration:
    """Calibrate the answers as if no anchor were known, without items that have too few answers to carry a scale.

    The platform's engine does this for every backend. A second fit by mirt would double the longest step for nothing.
    """
    few_left_out = settings.overridden_by({"min_responses": settings.responses_to_link})
    return calibrate_natively(data, None, settings=few_left_out)


def screen(free: Calibration, anchors: ItemParameters, *, tagged: Reference, min_anchors: int) -> ScreenedAnchors:
    """Drop the anchors whose free estimates have left the common line of the others; they are estimated like any item.

    An anchor with too few answers cannot be compared: it stays fixed, has no influence, and does not count towards
    ``min_anchors``. Raises LinkingError if too few are left or too many have drifted.
    """
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
