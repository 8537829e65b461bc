"""Posterior predictive check of a fit whose scores count by their precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seedtest_analytics.assets.growth_scores import WeeklyScores

if TYPE_CHECKING:
    from seedtest_analytics.stats.growth.plots import PredictiveCheck
    from seedtest_analytics.stats.growth.posterior import GrowthPosterior

DRAWS = 60
MAX_STUDENTS = 2000


def weighted_predictive_check(
    posterior: GrowthPosterior, scores: WeeklyScores, weight: np.ndarray, seed: int = 0
) -> PredictiveCheck:
    """Weighted mean and SD of each week's scores, as observed and replicated for new students of the population.

    A score of weight v is its student's line plus noise of variance σ² / v. At most 2,000 students, drawn by ``seed``.
    """
    from seedtest_analytics.stats.growth.plots import PredictiveCheck

    rng = np.random.default_rng(seed)
    present = np.unique(scores.student)
    kept = np.isin(scores.student, rng.permutation(present)[:MAX_STUDENTS])
    week, score, v = scores.week[kept], scores.score[kept], weight[kept]
    student = np.unique(scores.student[kept], return_inverse=True)[1]
    weeks, position = np.unique(week, return_inverse=True)
    moments = [
        _weekly_moments(_replicate(draw, posterior.week_mean, week, v, student, rng), v, position)
        for draw in posterior.hyper_draws(DRAWS)
    ]
    mean, sd = _weekly_moments(score, v, position)
    means, sds = (np.array([m[part] for m in moments]) for part in (0, 1))
    bounds = [0.025, 0.975]
    return PredictiveCheck(
        weeks, mean, sd, *np.quantile(means, bounds, axis=0), *np.quantile(sds, bounds, axis=0)
    )


def _replicate(
    draw: np.ndarray,
    week_mean: float,
    week: np.ndarray,
    weight: np.ndarray,
    student: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Scores of new students with the weeks and weights of the old ones, given one draw of the population."""
    level, slope, log_tau0, log_tau1, atanh_rho, log_sigma = draw
    rho = np.tanh(atanh_rho)
    z = rng.standard_normal((2, student.max() + 1))
    own_level = np.exp(log_tau0) * z[0]
    own_slope = np.exp(log_tau1) * (rho * z[0] + np.sqrt(1 - rho**2) * z[1])
    noise = np.exp(log_sigma) / np.sqrt(weight) * rng.standard_normal(len(week))
    return level + slope * (week - week_mean) + own_level[student] + own_slope[student] * week + noise


def _weekly_moments(
    score: np.ndarray, weight: np.ndarray, position: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    total = np.bincount(position, weight)
    mean = np.bincount(position, weight * score) / total
    return mean, np.sqrt(np.bincount(position, weight * (score - mean[position]) ** 2) / total)
