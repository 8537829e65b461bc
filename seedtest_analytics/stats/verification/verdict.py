"""Verdicts on predictions: against their baseline, their own stated uncertainty, and their past."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import count, number, numbers
from seedtest_analytics.stats.verification.expectations import ForecastScore
from seedtest_analytics.stats.verification.probabilities import ProbabilityScore

LARGE_SHIFT = 0.5
"""Calibration in the large, in logits, that counts against a model: 50 % predicted where 62 % happened."""


@dataclass(frozen=True)
class Verdict:
    """Reasons against a prediction, as whole sentences."""

    reasons: tuple[str, ...] = ()

    @property
    def is_credible(self) -> bool:
        """Whether there is no reason against it."""
        return not self.reasons


def judge_probabilities(
    score: ProbabilityScore, *, slope_range: tuple[float, float] = (0.5, 2.0), z: float = 1.96
) -> Verdict:
    """Worse than the baseline, shifted by half a logit, or a slope outside ``slope_range``, by ``z`` standard errors.

    Raises:
        ValueError: for a negative ``z``, or a range that is not two ascending numbers.
    """
    number(z, "z", low=0.0)
    low, high = numbers(slope_range, "slope_range", like=(2,)).tolist()
    if not low < high:
        raise ValueError(f"slope_range must ascend, not go from {low:g} to {high:g}")
    reasons = []
    if score.brier_gain + z * score.brier_gain_se < 0:
        reasons.append(
            f"its Brier score {score.brier:.4f} is worse than the baseline's {score.brier_baseline:.4f} "
            f"on {score.n} cases"
        )
    intercept, error = score.calibration_intercept, score.calibration_intercept_se
    if np.isfinite(intercept) and abs(intercept) - z * error > LARGE_SHIFT:
        reasons.append(
            f"it happened {'more' if intercept > 0 else 'less'} often than predicted: {score.observed_share:.0%} "
            f"against {score.predicted_share:.0%} of {score.n} cases"
        )
    slope, margin = score.calibration_slope, z * score.calibration_slope_se
    if np.isfinite(slope) and (slope + margin < low or slope - margin > high):
        too = "too extreme" if slope < 1 else "too timid"
        reasons.append(f"its probabilities are {too}: calibration slope {slope:.2f} (1 is right)")
    return Verdict(tuple(reasons))


def judge_forecasts(score: ForecastScore) -> Verdict:
    """Worse than the baseline, or with intervals whose coverage contradicts their level."""
    reasons = []
    if score.skill < 0:
        reasons.append(
            f"its mean error {score.mae:.4g} is larger than the naive forecast's {score.mae_baseline:.4g} "
            f"on {score.n} weeks"
        )
    return Verdict((*reasons, *judge_coverage(score).reasons))


def judge_coverage(score: ForecastScore) -> Verdict:
    """Intervals whose coverage contradicts their level."""
    if score.is_covered_as_stated:
        return Verdict()
    return Verdict((f"its {score.level:.0%} intervals held {score.coverage:.0%} of {score.n} observations",))


def judge_drift(observed: ArrayLike, predicted: ArrayLike, *, n: ArrayLike, recent: int = 4, z: float = 3.0) -> Verdict:
    """Whether the gap between observed and predicted share has moved in the last ``recent`` weeks.

    Weeks that follow each other are about the same students, and often about the same outcome: a goal's probability is
    stated every week and comes true once. So the sampling error of ``recent`` weeks is that of one, while the spread
    between weeks is each week's own.

    Args:
        observed, predicted, n: (weeks,) observed share, mean prediction and cases, oldest first.
        recent: weeks to compare with all earlier ones.
        z: standard errors of the difference that count as drift.

    Raises:
        ValueError: for shares outside 0..1, negative numbers of cases, columns of unequal length, ``recent`` below 1 or a
            negative ``z``.
    """
    seen = numbers(observed, "observed share", low=0.0, high=1.0, is_missing_allowed=True)
    weeks = seen.shape
    mean = numbers(predicted, "predicted share", like=weeks, low=0.0, high=1.0, is_missing_allowed=True)
    size = numbers(n, "number of cases", like=weeks, low=0.0, is_missing_allowed=True)
    count(recent, "recent", low=1)
    number(z, "z", low=0.0)
    gap = seen - mean
    known = np.isfinite(gap) & (size > 0)
    gap, size = gap[known], size[known]
    if len(gap) < recent + 4:
        return Verdict()
    share = np.clip(mean[known], 0.01, 0.99)
    sampling = share * (1 - share) / size
    past, now = slice(None, -recent), slice(-recent, None)
    centre = np.average(gap[past], weights=size[past])
    excess = max(0.0, float(np.average((gap[past] - centre) ** 2 - sampling[past], weights=size[past])))
    variance = excess + sampling
    mean_now, mean_past = (np.average(gap[part], weights=1 / variance[part]) for part in (now, past))
    error = math.hypot(*(_error(sampling[part], excess, shared=recent) for part in (now, past)))
    distance = float((mean_now - mean_past) / error)
    if abs(distance) <= z:
        return Verdict()
    direction = "more" if distance > 0 else "less"
    reason = (
        f"in the last {recent} weeks it happened {direction} often than predicted, by {mean_now - mean_past:+.3f} "
        f"against the weeks before ({abs(distance):.1f} standard errors)"
    )
    return Verdict((reason,))


def _error(sampling: NDArray[np.float64], excess: float, *, shared: int) -> float:
    """Standard error of the mean gap of weeks, of which each ``shared`` in a row have one sampling error."""
    weeks = len(sampling)
    return float(np.sqrt(sampling.mean() * min(1.0, shared / weeks) + excess / weeks))
