"""Screening of anchors: drifted ones are found before they move the scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.checks import number
from seedtest_analytics.stats.irt.errors import AnchorsDisagreeError, IrtDataError

Floats = NDArray[np.float64]

_MAD_TO_SD = 1.4826
_ROUNDS = 20


@dataclass(frozen=True)
class AnchorRule:
    """An anchor is dropped if its curve has moved by more than matters and by more than chance explains.

    That is, its shift in b exceeds ``min_shift_b`` (logits) or its log ratio of slopes ``min_log_ratio_a``, and the same
    shift exceeds ``critical`` robust SDs of all anchors' shifts and, if known, ``critical`` of its standard errors.
    ``critical`` follows from ``false_alarms``, the share of links without drift in which any anchor may be dropped, because
    a calibration a week with dozens of anchors would meet three standard errors by chance every few weeks. At
    most ``max_share`` of the anchors may be dropped. A robust SD of the shifts in b above ``max_spread_b`` means that
    the two sides share no scale. Raises IrtDataError for negative numbers, or a share above 1.
    """

    false_alarms: float = 0.01
    min_shift_b: float = 0.2
    min_log_ratio_a: float = 0.25
    max_share: float = 0.4
    max_spread_b: float = 1.0

    def __post_init__(self) -> None:
        for name in ("min_shift_b", "min_log_ratio_a", "max_spread_b"):
            number(getattr(self, name), name, low=0.0, error=IrtDataError)
        for name in ("false_alarms", "max_share"):
            number(getattr(self, name), name, low=0.0, high=1.0, error=IrtDataError)

    def critical(self, n_anchors: int) -> float:
        """How many SDs one of two shifts of one of ``n_anchors`` may have (Šidák); none is dropped with no false alarms."""
        from scipy.special import ndtri

        if self.false_alarms >= 1.0:
            return 0.0
        return float(-ndtri(-0.5 * np.expm1(np.log1p(-self.false_alarms) / (2 * n_anchors))))


@dataclass(frozen=True)
class DroppedAnchor:
    """An anchor excluded from a link, with its shift in b (old scale, logits), its log ratio of slopes and the stored reason."""

    item_id: Any
    shift_b: float
    log_ratio_a: float
    reason: str


@dataclass(frozen=True, eq=False)
class CommonItems:
    """(n, 3) parameters (a, b, c) of the common items on the new and the old scale; covariances (3 n, 3 n) or None."""

    ids: NDArray[Any]
    new: Floats
    old: Floats
    covariance_new: Floats | None
    covariance_old: Floats | None

    def take(self, mask: NDArray[np.bool_]) -> CommonItems:
        wide = np.repeat(mask, 3)
        new, old = (None if c is None else c[np.ix_(wide, wide)] for c in (self.covariance_new, self.covariance_old))
        return CommonItems(self.ids[mask], self.new[mask], old=self.old[mask], covariance_new=new, covariance_old=old)


def screen_anchors(pair: CommonItems, rule: AnchorRule) -> tuple[NDArray[np.bool_], tuple[DroppedAnchor, ...]]:
    """(n,) mask of the anchors to keep, and the dropped ones.

    A provisional link by medians, log A = median(log a_new − log a_old) and B = median(b_old − A b_new), is robust to a
    minority of drifted anchors (the robust z of Huynh & Meyer 2010). It is repeated on the kept anchors until nothing
    changes. Raises AnchorsDisagreeError if more than ``rule.max_share`` would be dropped, as either side may then be right.
    """
    n = len(pair.ids)
    kept = np.ones(n, dtype=bool)
    shift_b = log_ratio_a = np.zeros(n)
    critical = rule.critical(n)
    for _ in range(_ROUNDS):
        shift_b, log_ratio_a, slope = _shifts(pair, kept)
        chance_b, chance_a = _chance(pair, slope, shift_b=shift_b, log_ratio_a=log_ratio_a, kept=kept)
        off_b = np.abs(shift_b) > np.maximum(rule.min_shift_b, critical * chance_b)
        off_a = np.abs(log_ratio_a) > np.maximum(rule.min_log_ratio_a, critical * chance_a)
        now = ~(off_b | off_a)
        if np.array_equal(now, kept):
            break
        kept = now
        if n - int(kept.sum()) > rule.max_share * n:
            raise AnchorsDisagreeError(
                f"{n - int(kept.sum())} of {n} anchors have drifted apart, more than {rule.max_share:.0%}: it "
                "cannot be told which side is right; review the anchors"
            )
    spread = _robust_sd(shift_b[kept])
    if spread > rule.max_spread_b:
        raise AnchorsDisagreeError(
            f"the anchors' difficulties disagree by {spread:.2f} logits (SD) after the link: they share no scale; "
            "check that the item ids mean the same items on both sides"
        )
    dropped = tuple(
        DroppedAnchor(
            pair.ids[k],
            float(shift_b[k]),
            log_ratio_a=float(log_ratio_a[k]),
            reason=_reason(rule, shift_b[k], log_ratio_a=log_ratio_a[k]),
        )
        for k in np.flatnonzero(~kept)
    )
    return kept, dropped


def _shifts(pair: CommonItems, kept: NDArray[np.bool_]) -> tuple[Floats, Floats, float]:
    """(n,) shifts in b on the old scale, (n,) log ratios of slopes, and A of the link by medians."""
    ratio = np.log(pair.new[:, 0]) - np.log(pair.old[:, 0])
    slope = float(np.exp(np.median(ratio[kept])))
    difference = pair.old[:, 1] - slope * pair.new[:, 1]
    return difference - np.median(difference[kept]), ratio - np.log(slope), slope


def _chance(
    pair: CommonItems, slope: float, *, shift_b: Floats, log_ratio_a: Floats, kept: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """(n,) SD of each shift by chance: the spread among the anchors, or its own standard error if larger."""
    spread_b, spread_a = _robust_sd(shift_b[kept]), _robust_sd(log_ratio_a[kept])
    variance_b, variance_a = np.zeros(len(shift_b)), np.zeros(len(shift_b))
    for covariance, parameters, factor in (
        (pair.covariance_new, pair.new, slope),
        (pair.covariance_old, pair.old, 1.0),
    ):
        if covariance is not None:
            diagonal = np.diag(covariance).reshape(-1, 3)
            variance_b += factor**2 * diagonal[:, 1]
            variance_a += diagonal[:, 0] / parameters[:, 0] ** 2
    return np.maximum(spread_b, np.sqrt(variance_b)), np.maximum(spread_a, np.sqrt(variance_a))


def _robust_sd(values: Floats) -> float:
    return _MAD_TO_SD * float(np.median(np.abs(values - np.median(values))))


def _reason(rule: AnchorRule, shift_b: float, *, log_ratio_a: float) -> str:
    parts = []
    if abs(shift_b) > rule.min_shift_b:
        parts.append(f"difficulty moved by {shift_b:+.2f} logits")
    if abs(log_ratio_a) > rule.min_log_ratio_a:
        parts.append(f"slope changed by a factor of {np.exp(log_ratio_a):.2f}")
    return " and ".join(parts)
