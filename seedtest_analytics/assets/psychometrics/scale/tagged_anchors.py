"""The items tagged 'anchor': their parameters in the item bank, and anchors whose stored parameters are invalid."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sqlalchemy import Connection

from seedtest_analytics.assets.psychometrics.scale.link import Reference, reference_of
from seedtest_analytics.assets.psychometrics.statements import RESPONSES
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.stats.irt.link_anchors import DroppedAnchor
from seedtest_analytics.stats.irt.optimiser import DISCRIMINATION_LIMIT

FOREIGN_SCALE = "anchors"
"""The scale of anchors that do not all come from calibrations of one scale."""


@dataclass(frozen=True, eq=False)
class TaggedAnchors:
    """``reference``: the valid parameters. ``unusable``: anchors with invalid stored parameters, and why."""

    reference: Reference
    unusable: tuple[DroppedAnchor, ...]


def tagged_anchors(connection: Connection) -> TaggedAnchors:
    """Every tagged item that has numbers for parameters. Each is judged alone, so one mistake does not cost the rest."""
    usable, unusable = [], []
    for row in connection.execute(statement(RESPONSES, "anchors")).mappings():
        fault = _fault(float(row["a"]), float(row["b"]), c=float(row["c"] or 0))
        if fault is None:
            usable.append(row)
        else:
            reason = f"question.meta.irt has {fault}"
            unusable.append(DroppedAnchor(int(row["item_id"]), math.nan, log_ratio_a=math.nan, reason=reason))
    scales = {row["scale"] for row in usable}
    scale = scales.pop() if len(scales) == 1 else None
    return TaggedAnchors(
        reference_of(usable, "anchors", version="question.meta", scale=scale or FOREIGN_SCALE), tuple(unusable)
    )


def _fault(a: float, b: float, *, c: float) -> str | None:
    """Why these parameters cannot define a scale.

    A slope of 0 or less is a wrong key. A slope at the engine's limit is not an estimate: such an item does not score.
    """
    if not a > 0:
        return f"a = {a:g}, which is not above 0"
    if not a < DISCRIMINATION_LIMIT:
        return f"a = {a:g}, which is not below {DISCRIMINATION_LIMIT:g}"
    if not math.isfinite(b):
        return f"b = {b:g}, which is not finite"
    if not 0 <= c < 1:
        return f"c = {c:g}, which is not in [0, 1)"
    return None
