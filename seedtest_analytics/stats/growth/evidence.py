"""What earlier fits and a longer history say before a week is fitted: the look-back, and the priors of gains.

    look-back   half of the history, from 8 to 26 weeks
    week        Normal(mean, √(sd² / weight + m²)),   mean and sd of the earlier posterior, m its median SD of gains
    sd_week     half-Cauchy(m, IQR / 2 / √weight)
    weight      2^(-distance / 26 weeks)

The earlier fit shares no answer with the look-back, so that no answer counts twice. It knows the gains of another time:
the mean gain of now differs from that one about as gains of students differ, hence m². A half-Cauchy has tails that give
way where the scores disagree. Neither prior is wider than the one it narrows.
"""

from dataclasses import replace

import numpy as np

from seedtest_analytics.stats.checks import count, number, numbers
from seedtest_analytics.stats.growth.priors import GrowthPriors, HalfCauchy, Normal

LEAST_LOOKBACK_WEEKS, LONGEST_LOOKBACK_WEEKS = 8, 26
"""The contract's look-back, and half a year: longer lines cost more by what they miss than they gain."""
HALF_LIFE_WEEKS = 26.0
"""After this time a posterior counts as if half of its students had been seen."""
SLOPE, LOG_SD_WEEK = 1, 3
"""Columns of the draws of a growth posterior."""
_LARGEST_GAIN, _LARGEST_LOG, _LONGEST_DISTANCE_WEEKS = 1e6, 50.0, 5_200.0
DIGITS = 4
"""Significant digits of a prior's numbers: what is stored is what was used."""


def lookback_weeks(history_weeks: int) -> int:
    """Calendar weeks of scores for a fit; ValueError unless `history_weeks` is a whole number from 0."""
    count(history_weeks, "history_weeks", low=0)
    return min(max(-(-history_weeks // 2), LEAST_LOOKBACK_WEEKS), LONGEST_LOOKBACK_WEEKS)


def weight_of(distance_weeks: float) -> float:
    """What a posterior from that many weeks ago counts; ValueError for a distance below 0 or above a century."""
    distance = number(distance_weeks, "distance_weeks", low=0.0, high=_LONGEST_DISTANCE_WEEKS)
    return float(2.0 ** (-distance / HALF_LIFE_WEEKS))


def narrowed(priors: GrowthPriors, draws: np.ndarray, *, distance_weeks: float) -> GrowthPriors:
    """`priors` with those of `week` and `sd_week` from the draws of an earlier posterior, shape (K, P).

    Raises ValueError for a distance below 0, missing draws, and an SD of gains that is not a number.
    """
    weight = weight_of(distance_weeks)
    known = numbers(draws, "draws", ndim=2)
    if not len(known) or known.shape[1] <= LOG_SD_WEEK:
        raise ValueError(f"draws have shape {known.shape}, need (K, P) with K from 1 and P above {LOG_SD_WEEK}")
    gain = numbers(known[:, SLOPE], "gains", low=-_LARGEST_GAIN, high=_LARGEST_GAIN)
    log_sd = numbers(known[:, LOG_SD_WEEK], "log SD of gains", low=-_LARGEST_LOG, high=_LARGEST_LOG)
    sd = np.exp(log_sd)
    low, middle, high = np.quantile(sd, [0.25, 0.5, 0.75])
    wide = priors.sd_week or priors.sd
    week_sd = min(float(np.sqrt(np.var(gain) / weight + middle**2)), priors.week.sd)
    sd_scale = min(float((high - low) / 2 / np.sqrt(weight)), wide.scale)
    return replace(
        priors,
        week=Normal(_rounded(float(np.mean(gain))), _rounded(week_sd)),
        sd_week=HalfCauchy(_rounded(float(middle)), _rounded(sd_scale)),
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
