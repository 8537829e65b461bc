"""The expected level on a later date, and the probability that it reaches a target.

level(t + d) ~ N(level + d · slope, V + 2 d C + d² V_slope + level_walk · d + slope_walk · d³ / 3 + m² V_mean)

with V, V_slope, C the variances and covariance of level and slope at t, V_mean the variance of the cohort's mean slope, and
m = (C + d V_slope) / slope_variance what a step of that mean moves the expected level. In a log's first weeks a student's slope
is the cohort's, and nobody knows that yet; later it is the student's own, and m is small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from seedtest_analytics.stats.ability.data import LAST_DAY, Floats
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.smoothing import LevelWeeks
from seedtest_analytics.stats.checks import LARGEST, floats, one_of

Pace = Literal["own", "cohort", "none"]

ASSUMPTIONS: dict[Pace, str] = {
    "own": "practice continues, and the student keeps the pace estimated from all of the student's answers",
    "cohort": "practice continues at the cohort's mean pace",
    "none": "nothing changes except by chance",
}


@dataclass(frozen=True, eq=False)
class GoalPath:
    """(rows,) expected level on the date, its SE and the probability to reach the target; NaN without a target."""

    level: Floats
    se: Floats
    probability: Floats
    assumption: str


def goal_path(
    levels: LevelWeeks,
    hyperparameters: Hyperparameters,
    *,
    days_ahead: ArrayLike,
    pace: Pace = "own",
    target: ArrayLike | None = None,
) -> GoalPath:
    """Project every row of ``levels`` by ``days_ahead`` (one number, or one per row; days after the row's week end).

    Raises:
        AbilityDataError: for an unknown pace, days that are negative, not finite or beyond 10 million, an infinite target, or
            arrays that are not numbers of one for each row.
    """
    from scipy.special import ndtr

    one_of(pace, "pace", choices=tuple(ASSUMPTIONS), error=AbilityDataError)
    days = _by_row(days_ahead, "days_ahead", n_rows=len(levels.level))
    bad = np.flatnonzero(~((days >= 0) & (days <= LAST_DAY)))
    if len(bad):
        raise AbilityDataError(
            f"{len(bad)} rows have days_ahead that are negative or not finite; take dates in the future"
        )
    h = hyperparameters
    variance = levels.level_se**2 + h.level_walk * days
    if pace == "own":
        mean = levels.level + days * levels.slope
        variance = variance + days**2 * levels.slope_se**2 + 2.0 * days * levels.level_slope_covariance
        variance = (
            variance + h.slope_walk * days**3 / 3.0 + _moved_by_mean(levels, h, days=days) ** 2 * h.slope_mean_variance
        )
    elif pace == "cohort":
        mean = levels.level + days * h.slope_mean
        variance = variance + days**2 * (h.slope_variance + h.slope_mean_variance)
    else:
        mean = levels.level
    se = np.sqrt(np.maximum(variance, 0.0))
    probability = np.full(len(mean), np.nan)
    if target is not None:
        goals = _by_row(target, "target", n_rows=len(mean))
        if (np.abs(goals) > LARGEST).any():
            raise AbilityDataError(f"{int((np.abs(goals) > LARGEST).sum())} targets are infinite; leave those rows out")
        gap = mean - goals
        probability = np.where(se > 0, ndtr(gap / np.where(se > 0, se, 1.0)), (gap >= 0).astype(np.float64))
    return GoalPath(mean, se, probability=probability, assumption=ASSUMPTIONS[pace])


def _moved_by_mean(levels: LevelWeeks, h: Hyperparameters, *, days: Floats) -> Floats:
    """(rows,) days of growth at the cohort's pace in the expected level."""
    if h.slope_variance == 0.0:
        return days
    return (levels.level_slope_covariance + days * levels.slope_se**2) / h.slope_variance


def _by_row(values: ArrayLike, name: str, *, n_rows: int) -> Floats:
    given = floats(values, name, error=AbilityDataError)
    if given.shape not in ((), (n_rows,)):
        raise AbilityDataError(f"{name} has shape {given.shape}, need one number or ({n_rows},): one for each row")
    return np.broadcast_to(given.astype(np.float64), (n_rows,))
