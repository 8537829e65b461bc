"""Links a calibration to an existing scale, and describes the link as it is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sqlalchemy import RowMapping

from seedtest_analytics.assets.framework.json_text import finite_or_none
from seedtest_analytics.stats.irt.link_anchors import DroppedAnchor
from seedtest_analytics.stats.irt.linking import Link, LinkMethod, link
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.irt.result import Calibration

Origin = Literal["own", "anchors", "linked", "unlinked"]

MIN_RARE_ITEMS = 100
"""Rare items carry a scale together from this many on: their difficulties come from topics and few answers each."""
MAX_COMMON_ITEMS = 150
"""A link uses at most this many common items, those with the most answers. More items change the constants by less than
their standard errors, and the cost of the standard errors grows with the square of the number."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Known item parameters on the platform scale. ``covariance`` (n_items, 3, 3) is of (a, b, c); zeros if given.

    ``origin``: the origin of a calibration that is linked to them; ``version``: the version of such a calibration.
    ``scale``: the name of their scale, the ISO week of the calibration that began it, or 'anchors' if it came from
    elsewhere. ``run_id``: their calibration; None for anchors.
    """

    parameters: ItemParameters
    covariance: np.ndarray
    origin: Origin
    version: str
    scale: str
    run_id: str | None = None

    @property
    def fingerprint(self) -> str:
        """Names the parameters and their errors (hexadecimal, 128 bits): another link makes another calibration."""
        p = self.parameters
        digest = hashlib.blake2b(digest_size=16)
        for values in (p.item_ids, p.a, p.b, p.c, self.covariance):
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()


def reference_of(
    rows: Sequence[RowMapping], origin: Origin, *, version: str, scale: str, run_id: str | None = None
) -> Reference:
    """Parameters from the rows of a query, with their covariance if the rows have standard errors."""
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
        scale=scale,
        run_id=run_id,
    )


def method_for(model: str, linking: str) -> LinkMethod:
    """The configured method; Stocking-Lord for ``fixed``, and mean-mean for Rasch, whose slopes are always 1."""
    if model == "Rasch":
        return "mean-mean"
    return "stocking-lord" if linking == "fixed" else linking  # type: ignore[return-value]


def link_onto(
    calibration: Calibration, reference: Reference, *, method: LinkMethod, min_anchors: int, min_responses: int = 0
) -> tuple[Link, int]:
    """The link and the number of common items that may carry it. Raises LinkingError if it is not trustworthy.

    They have ``min_responses`` answers. Where too few have, and the calibration pooled its rare items, many rare items
    stand for them.
    """
    own = calibration.parameters
    position = np.searchsorted(calibration.items.item_ids, own.item_ids)
    theirs = reference.parameters.positions(own.item_ids)
    is_common, n_responses = theirs >= 0, calibration.items.n_responses[position]
    common = np.flatnonzero(is_common & (n_responses >= min_responses))
    if len(common) < min_anchors and calibration.pool is not None and int(is_common.sum()) >= MIN_RARE_ITEMS:
        common = np.flatnonzero(is_common)
    used = np.sort(common[np.argsort(-n_responses[common], kind="stable")][:MAX_COMMON_ITEMS])
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
    """Constants of a fit with fixed anchors: it is on their scale."""
    return _constants(
        1.0,
        0.0,
        n_anchors=n_fixed,
        method="fixed",
        n_screened=n_screened,
        dropped=[dropped_row(anchor) for anchor in dropped],
    )


def constants_of(link: Link, reference: Reference, *, n_common: int, refused: str = "") -> dict[str, Any]:
    """Contract keys A, B, slope, intercept, n_anchors_used; standard errors, method, the dropped anchors and why.

    ``refused`` names better references that allow no link, and why.
    """
    return _constants(
        link.A,
        link.B,
        n_anchors=link.n_anchors_used,
        method=link.method,
        se_slope=finite_or_none(link.se_slope),
        se_intercept=finite_or_none(link.se_intercept),
        criterion=finite_or_none(link.criterion),
        onto=reference.version,
        onto_run_id=reference.run_id,
        n_common=n_common,
        dropped=[dropped_row(anchor) for anchor in link.dropped],
        **({"refused": refused} if refused else {}),
    )


def refusal(method: str, reference: Reference, *, reason: str) -> dict[str, Any]:
    """Constants of a failed link: none, with the reason."""
    return _constants(None, None, n_anchors=0, method=method, onto=reference.version, refused=reason, dropped=[])


def dropped_row(anchor: DroppedAnchor) -> dict[str, Any]:
    """An anchor excluded from the link, as it is stored; an unknown shift is null."""
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
