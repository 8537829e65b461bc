"""Drift of item parameters between two calibrations, on the scale of the baseline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.checks import count, number
from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.irt.linking import Link
from seedtest_analytics.stats.irt.multiplicity import adjust
from seedtest_analytics.stats.irt.result import ItemEstimates

Floats = NDArray[np.float64]
Metric = Literal["delta_a", "delta_b", "delta_c", "b_ci_separation"]
Severity = Literal["minor", "moderate", "severe"]
_SEVERE = 2.0
"""A change of difficulty above this many thresholds is severe."""
DriftVerdict = Literal["moved", "no_drift", "cannot_be_judged"]
ENOUGH_POWER = 0.8
"""An item without an alert has not moved severely only if such a move would have been found this often."""


@dataclass(frozen=True)
class DriftThresholds:
    """An alert needs a change above its size (contract 4.13) and an adjusted p-value below alpha.

    Raises IrtDataError for negative numbers, or an alpha above 1.
    """

    delta_a: float = 0.20
    delta_b: float = 0.25
    delta_c: float = 0.03
    alpha: float = 0.05
    min_responses: int = 200

    def __post_init__(self) -> None:
        for name in ("delta_a", "delta_b", "delta_c"):
            number(getattr(self, name), name, low=0.0, error=IrtDataError)
        number(self.alpha, "alpha", low=0.0, high=1.0, error=IrtDataError)
        count(self.min_responses, "min_responses", error=IrtDataError)


@dataclass(frozen=True)
class DriftAlert:
    """One parameter of one item moved by ``value``, beyond ``threshold`` and with ``p_adjusted`` below alpha."""

    item_id: Any
    metric: Metric
    value: float
    threshold: float
    severity: Severity
    p_adjusted: float


@dataclass(frozen=True, eq=False)
class DriftResult:
    """Changes of the items in both calibrations, on the scale of the baseline.

    ``delta``, ``se_delta``, ``p_adjusted``: (n_items, 3) of a, b, c; recent minus baseline. Standard errors include both
    calibrations and the link. ``p_adjusted`` is over all tests of all items together. ``skipped``: items in both
    calibrations with too few answers or no standard errors.
    """

    item_ids: NDArray[Any]
    delta: Floats
    se_delta: Floats
    p_adjusted: Floats
    alerts: tuple[DriftAlert, ...]
    skipped: tuple[Any, ...]
    link: Link
    thresholds: DriftThresholds

    @property
    def severe_shift(self) -> float:
        """The change of difficulty, in logits, from which an alert is severe; the power is for this change."""
        return _SEVERE * self.thresholds.delta_b

    @property
    def cut(self) -> Floats:
        """(n_items,) the estimated |Δb| from which an item has an alert.

        One more rejection of Benjamini and Hochberg's procedure needs p ≤ (k + 1) α / m, with k rejections of m tests.
        """
        from scipy.special import ndtri

        tested = np.isfinite(self.p_adjusted)
        rejected = int((self.p_adjusted[tested] < self.thresholds.alpha).sum())
        alpha = self.thresholds.alpha * min(rejected + 1, int(tested.sum())) / max(int(tested.sum()), 1)
        return np.asarray(np.maximum(self.thresholds.delta_b, -ndtri(alpha / 2.0) * self.se_delta[:, 1]))

    @property
    def minimum_detectable(self) -> Floats:
        """(n_items,) the change of difficulty, in logits, that would be found with a probability of 80 %."""
        from scipy.special import ndtri

        return np.asarray(self.cut + ndtri(ENOUGH_POWER) * self.se_delta[:, 1])

    @property
    def power(self) -> Floats:
        """(n_items,) probability that a severe change of difficulty would have been found."""
        from scipy.special import ndtr

        se = np.maximum(self.se_delta[:, 1], 1e-12)
        return np.asarray(ndtr((self.severe_shift - self.cut) / se) + ndtr((-self.severe_shift - self.cut) / se))

    @property
    def verdicts(self) -> list[DriftVerdict]:
        """What each item's comparison says: it moved, it did not move severely, or nothing."""
        moved = {alert.item_id for alert in self.alerts}
        return [
            "moved" if item in moved else "no_drift" if power >= ENOUGH_POWER else "cannot_be_judged"
            for item, power in zip(self.item_ids.tolist(), self.power.tolist(), strict=True)
        ]

    @property
    def share_with_alert(self) -> float:
        return len({alert.item_id for alert in self.alerts}) / max(len(self.item_ids), 1)


def item_drift(
    baseline: ItemEstimates, recent: ItemEstimates, *, link: Link, thresholds: DriftThresholds | None = None
) -> DriftResult:
    """Compare two calibrations on the scale of the baseline.

    Δ = (a / A, A b + B, c) of ``recent`` − (a, b, c) of ``baseline``, z = Δ / SE(Δ), with A and B of ``link``, which maps
    the recent scale to the baseline's (``Link.identity()`` for a shared scale).

    An alert needs a change that matters (its threshold) and that chance does not explain (adjusted p below alpha). Where no
    item has enough answers, all are in ``skipped``.
    """
    limits = thresholds or DriftThresholds()
    here, there, skipped = _comparable(baseline, recent, limits=limits)
    old = np.stack([baseline.a[here], baseline.b[here], baseline.c[here]], axis=1)
    new = np.stack([recent.a[there], recent.b[there], recent.c[there]], axis=1)
    moved = np.stack([new[:, 0] / link.A, link.A * new[:, 1] + link.B, new[:, 2]], axis=1)
    delta = moved - old
    se = np.sqrt(_variance(baseline.covariance[here], recent.covariance[there], new=new, link=link))
    p_adjusted = adjust(_two_sided(delta, se))
    half_widths = 1.96 * (baseline.se_b[here] + link.A * recent.se_b[there])
    ids = baseline.item_ids[here]
    alerts = tuple(
        alert
        for k, item_id in enumerate(ids.tolist())
        for alert in _alerts(item_id, delta[k].tolist(), p=p_adjusted[k].tolist(), reach=half_widths[k], limits=limits)
    )
    return DriftResult(
        ids, delta, se_delta=se, p_adjusted=p_adjusted, alerts=alerts, skipped=skipped, link=link, thresholds=limits
    )


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
    """(n, 3) variances of Δ: those of both calibrations, and those of A and B by the delta method.

    The link and the items are estimated from the same answers. Ignoring their covariance gives fewer alerts.
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


def _alerts(
    item_id: Any, delta: list[float], *, p: list[float], reach: float, limits: DriftThresholds
) -> Iterator[DriftAlert]:
    """Alerts of one item. ``reach``: the sum of the half widths of both 95 % intervals of b."""
    (a, b, c), (p_a, p_b, p_c) = delta, p

    def alert(metric: Metric, value: float, *, threshold: float, severity: Severity, p: float) -> DriftAlert:
        return DriftAlert(item_id, metric, value=value, threshold=threshold, severity=severity, p_adjusted=p)

    if p_a < limits.alpha and abs(a) > limits.delta_a:
        severity: Severity = "severe" if abs(a) > 2 * limits.delta_a else "moderate"
        yield alert("delta_a", a, threshold=limits.delta_a, severity=severity, p=p_a)
    if p_b < limits.alpha and abs(b) > limits.delta_b:
        yield alert("delta_b", b, threshold=limits.delta_b, severity=_b_severity(abs(b) / limits.delta_b), p=p_b)
        if abs(b) > reach:
            yield alert("b_ci_separation", float(abs(b) - reach), threshold=0.0, severity="severe", p=p_b)
    # Only a rising asymptote indicates leakage; a falling one follows from better distractors.
    if p_c < limits.alpha and c > limits.delta_c:
        yield alert("delta_c", c, threshold=limits.delta_c, severity="moderate", p=p_c)


def _b_severity(multiple: float) -> Severity:
    """Severe above twice the threshold, moderate above 1.4 times (contract: 0.25, 0.35, 0.5)."""
    if multiple > _SEVERE:
        return "severe"
    return "moderate" if multiple > 1.4 else "minor"
