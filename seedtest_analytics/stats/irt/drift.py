"""Drift of item parameters between two calibrations on a common scale, and DIF between groups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.irt.linking import Link
from seedtest_analytics.stats.irt.multiplicity import Adjustment, adjust
from seedtest_analytics.stats.irt.result import ItemEstimates

Floats = NDArray[np.float64]
Severity = Literal["minor", "moderate", "severe"]


@dataclass(frozen=True)
class DriftThresholds:
    """Sizes (contract 4.13) and the level of significance that an alert needs, both of them."""

    delta_a: float = 0.20
    delta_b: float = 0.25
    delta_c: float = 0.03
    alpha: float = 0.05
    min_responses: int = 200
    adjustment: Adjustment = "benjamini-hochberg"


@dataclass(frozen=True)
class DriftAlert:
    """One parameter of one item has moved: ``value`` beyond ``threshold``, ``p_adjusted`` below alpha."""

    item_id: Any
    metric: Literal["delta_a", "delta_b", "delta_c", "b_ci_separation"]
    value: float
    threshold: float
    severity: Severity
    p_adjusted: float


@dataclass(frozen=True, eq=False)
class DriftResult:
    """Items of both calibrations, all (n_items,); deltas are recent (on the baseline's scale) less baseline.

    Standard errors hold both calibrations' and the link's. ``p_*_adjusted`` are over all tests of all items
    together. ``n_baseline``, ``n_recent``: answers. ``skipped``: items in both with too few answers or no
    standard errors.
    """

    item_ids: NDArray[Any]
    delta_a: Floats
    delta_b: Floats
    delta_c: Floats
    se_delta_a: Floats
    se_delta_b: Floats
    se_delta_c: Floats
    p_a: Floats
    p_b: Floats
    p_c: Floats
    p_a_adjusted: Floats
    p_b_adjusted: Floats
    p_c_adjusted: Floats
    b_baseline: Floats
    b_recent: Floats
    se_b_baseline: Floats
    se_b_recent: Floats
    n_baseline: NDArray[np.int64]
    n_recent: NDArray[np.int64]
    alerts: tuple[DriftAlert, ...]
    skipped: tuple[Any, ...]
    link: Link
    thresholds: DriftThresholds

    @property
    def share_with_alert(self) -> float:
        return len({alert.item_id for alert in self.alerts}) / max(len(self.item_ids), 1)


def item_drift(
    baseline: ItemEstimates, recent: ItemEstimates, *, link: Link, thresholds: DriftThresholds | None = None
) -> DriftResult:
    """Compare two calibrations; ``link`` maps the recent scale to the baseline's (``Link.identity()`` if shared).

    An alert needs a change that matters (its threshold) and that chance does not explain (adjusted p < alpha,
    over every parameter of every item at once). Raises IrtDataError where no item can be compared.
    """
    limits = thresholds or DriftThresholds()
    here, there, skipped = _comparable(baseline, recent, limits=limits)
    if not len(here):
        raise IrtDataError(
            f"no item has {limits.min_responses} answers and standard errors in both calibrations "
            f"({len(skipped)} are in both); widen the periods or lower min_responses"
        )
    old = np.stack([baseline.a[here], baseline.b[here], baseline.c[here]], axis=1)
    new = np.stack([recent.a[there], recent.b[there], recent.c[there]], axis=1)
    moved = np.stack([new[:, 0] / link.A, link.A * new[:, 1] + link.B, new[:, 2]], axis=1)
    variance = _variance(baseline.covariance[here], recent.covariance[there], new=new, link=link)
    delta, se = moved - old, np.sqrt(variance)
    p = _two_sided(delta, se)
    p_adjusted = adjust(p.ravel(), limits.adjustment).reshape(p.shape)
    se_recent = link.A * recent.se_b[there]
    result = DriftResult(
        item_ids=baseline.item_ids[here],
        **{f"delta_{name}": delta[:, k] for k, name in enumerate("abc")},
        **{f"se_delta_{name}": se[:, k] for k, name in enumerate("abc")},
        **{f"p_{name}": p[:, k] for k, name in enumerate("abc")},
        **{f"p_{name}_adjusted": p_adjusted[:, k] for k, name in enumerate("abc")},
        b_baseline=old[:, 1],
        b_recent=moved[:, 1],
        se_b_baseline=baseline.se_b[here],
        se_b_recent=se_recent,
        n_baseline=baseline.n_responses[here],
        n_recent=recent.n_responses[there],
        alerts=(),
        skipped=skipped,
        link=link,
        thresholds=limits,
    )
    return replace(result, alerts=_alerts(result))


def _comparable(
    baseline: ItemEstimates, recent: ItemEstimates, *, limits: DriftThresholds
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[Any, ...]]:
    common, here, there = np.intersect1d(baseline.item_ids, recent.item_ids, return_indices=True)
    fine = np.ones(len(common), dtype=bool)
    for items, rows in ((baseline, here), (recent, there)):
        fine &= (items.n_responses[rows] >= limits.min_responses) & (items.status[rows] != "set_aside")
        fine &= np.isfinite(items.se_b[rows]) & np.isfinite(items.b[rows])
    return here[fine], there[fine], tuple(common[~fine].tolist())


def _variance(baseline: Floats, recent: Floats, *, new: Floats, link: Link) -> Floats:
    """(n, 3) variances of the deltas: both calibrations', and of the link's constants through the recent ones.

    The link's errors come from the same answers as the items'; their covariance is left out, which errs on the
    side of fewer alerts.
    """
    own = np.einsum("nii->ni", baseline) + np.einsum("nii->ni", recent) * np.array([1 / link.A, link.A, 1.0]) ** 2
    constants = np.nan_to_num(link.covariance)
    by_constants = np.zeros((len(new), 3, 2))
    by_constants[:, 0, 0] = -new[:, 0] / link.A**2
    by_constants[:, 1, 0], by_constants[:, 1, 1] = new[:, 1], 1.0
    return np.asarray(own + np.einsum("nij,jk,nik->ni", by_constants, constants, by_constants))


def _two_sided(delta: Floats, se: Floats) -> Floats:
    from scipy.special import ndtr

    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(se > 0, delta / se, np.nan)
    return np.asarray(2.0 * ndtr(-np.abs(z)))


def _alerts(result: DriftResult) -> tuple[DriftAlert, ...]:
    limits = result.thresholds
    found = []
    for k, item_id in enumerate(result.item_ids.tolist()):
        a, b, c = float(result.delta_a[k]), float(result.delta_b[k]), float(result.delta_c[k])
        p_a, p_b, p_c = (float(p[k]) for p in (result.p_a_adjusted, result.p_b_adjusted, result.p_c_adjusted))
        if p_a < limits.alpha and abs(a) > limits.delta_a:
            severity: Severity = "severe" if abs(a) > 2 * limits.delta_a else "moderate"
            found.append(
                DriftAlert(item_id, "delta_a", value=a, threshold=limits.delta_a, severity=severity, p_adjusted=p_a)
            )
        if p_b < limits.alpha and abs(b) > limits.delta_b:
            severity = _b_severity(abs(b) / limits.delta_b)
            found.append(
                DriftAlert(item_id, "delta_b", value=b, threshold=limits.delta_b, severity=severity, p_adjusted=p_b)
            )
            apart = abs(b) - 1.96 * (result.se_b_baseline[k] + result.se_b_recent[k])
            if apart > 0:
                found.append(
                    DriftAlert(
                        item_id,
                        "b_ci_separation",
                        value=float(apart),
                        threshold=0.0,
                        severity="severe",
                        p_adjusted=p_b,
                    )
                )
        # Only a rising asymptote is leakage; a falling one follows from better distractors.
        if p_c < limits.alpha and c > limits.delta_c:
            found.append(
                DriftAlert(item_id, "delta_c", value=c, threshold=limits.delta_c, severity="moderate", p_adjusted=p_c)
            )
    return tuple(found)


def _b_severity(multiple: float) -> Severity:
    """Severe above twice the threshold, moderate above 1.4 times (contract: 0.25, 0.35 and 0.5)."""
    if multiple > 2.0:
        return "severe"
    return "moderate" if multiple > 1.4 else "minor"
