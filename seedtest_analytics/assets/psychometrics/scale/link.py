"""The link of a calibration to a scale that is there already, and the constants that are stored of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seedtest_analytics.assets.framework.json_text import finite_or_none

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from seedtest_analytics.stats.irt.link_anchors import DroppedAnchor
    from seedtest_analytics.stats.irt.linking import Link, LinkMethod
    from seedtest_analytics.stats.irt.model import ItemParameters
    from seedtest_analytics.stats.irt.result import Calibration

Origin = Literal["own", "anchors", "linked", "unlinked"]

MAX_COMMON_ITEMS = 150
"""The most answered common items that a link uses: more change the constants by less than their standard errors, and
the standard errors cost the square of their number."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Known parameters of items, ``covariance`` (n_items, 3, 3) of (a, b, c); zeros for values taken as given.

    ``origin``: how a calibration that is linked to them is called; ``version``: of their scale.
    """

    parameters: ItemParameters
    covariance: np.ndarray
    origin: Origin
    version: str


def reference_of(rows: Sequence[RowMapping], origin: Origin, *, version: str) -> Reference:
    """Parameters that a query gives, with their covariance where it has standard errors."""
    from seedtest_analytics.stats.irt.model import ItemParameters

    column = {
        n: np.asarray([r.get(n) for r in rows], dtype=np.float64) for n in ("a", "b", "c", "se_a", "se_b", "se_c")
    }
    ids = np.asarray([int(r["item_id"]) for r in rows], dtype=np.int64)
    variance = np.nan_to_num(np.stack([column["se_a"], column["se_b"], column["se_c"]], axis=1)) ** 2
    return Reference(
        ItemParameters.of(ids, column["a"], b=column["b"], c=column["c"]),
        variance[:, :, None] * np.eye(3),
        origin=origin,
        version=version,
    )


def method_for(model: str, linking: str) -> LinkMethod:
    """The method asked for, Stocking-Lord in place of ``fixed``; mean-mean for Rasch, whose slopes are always 1."""
    if model == "Rasch":
        return "mean-mean"
    return "stocking-lord" if linking == "fixed" else linking  # type: ignore[return-value]


def link_onto(
    calibration: Calibration, reference: Reference, *, method: LinkMethod, min_anchors: int
) -> tuple[Link, int]:
    """The link and the number of common items. Raises LinkingError where it cannot be trusted."""
    from seedtest_analytics.stats.irt.linking import link

    own = calibration.parameters
    position = np.searchsorted(calibration.items.item_ids, own.item_ids)
    theirs = reference.parameters.positions(own.item_ids)
    common = np.flatnonzero(theirs >= 0)
    used = np.sort(
        common[np.argsort(-calibration.items.n_responses[position[common]], kind="stable")][:MAX_COMMON_ITEMS]
    )
    found = link(
        own.take(used),
        reference.parameters.take(theirs[used]),
        method=method,
        min_anchors=min_anchors,
        covariance_new=calibration.items.covariance[position[used]],
        covariance_old=reference.covariance[theirs[used]],
    )
    return found, len(common)


def fixed_constants(n_fixed: int, n_screened: int, *, dropped: Sequence[DroppedAnchor]) -> dict[str, Any]:
    """Constants where the anchors were held fixed: the fit is on their scale."""
    return _constants(
        1.0,
        0.0,
        n_anchors=n_fixed,
        method="fixed",
        n_screened=n_screened,
        dropped=[dropped_row(anchor) for anchor in dropped],
    )


def constants_of(link: Link, reference: Reference, *, n_common: int) -> dict[str, Any]:
    """Contract keys A, B, slope, intercept, n_anchors_used; standard errors, method, what was dropped and why."""
    return _constants(
        link.A,
        link.B,
        n_anchors=link.n_anchors_used,
        method=link.method,
        se_slope=finite_or_none(link.se_slope),
        se_intercept=finite_or_none(link.se_intercept),
        criterion=finite_or_none(link.criterion),
        onto=reference.version,
        n_common=n_common,
        dropped=[dropped_row(anchor) for anchor in link.dropped],
    )


def refusal(method: str, reference: Reference, *, reason: str) -> dict[str, Any]:
    """What is stored where there is no link: no constants, and why."""
    return _constants(None, None, n_anchors=0, method=method, onto=reference.version, refused=reason, dropped=[])


def dropped_row(anchor: DroppedAnchor) -> dict[str, Any]:
    """An anchor that carries no scale, as it is stored; a shift that is not known is null."""
    return {
        "item_id": str(anchor.item_id),
        "shift_b_logit": finite_or_none(anchor.shift_b),
        "log_ratio_a": finite_or_none(anchor.log_ratio_a),
        "reason": anchor.reason,
    }


def _constants(
    slope: float | None, intercept: float | None, *, n_anchors: int, method: str, **more: Any
) -> dict[str, Any]:
    both = {"A": slope, "B": intercept, "slope": slope, "intercept": intercept}
    return {**both, "n_anchors_used": n_anchors, "method": method, **more}
