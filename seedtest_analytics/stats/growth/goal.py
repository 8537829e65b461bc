"""The goal probability of one student on demand, from a current score and a trend.

    mu ~ N(score + trend · weeks remaining, σ² x'M x),   M the covariance of a line after `weeks_observed` scores
    p = Φ((mu - target) / σ),   the chance of a weekly score at the target or above, for a student with that line

σ, M and their uncertainty come from a growth fit of the cohort. The student's line is uncertain, so p has a
distribution: its mean is the probability, and its quantiles are the bounds.
"""

import numpy as np

from seedtest_analytics.stats.checks import count, number, one_of
from seedtest_analytics.stats.growth.density import relative_factor
from seedtest_analytics.stats.growth.mixture import (
    level_probability,
    mixture_moments,
    normal_quantile,
    score_probability,
)
from seedtest_analytics.stats.growth.posterior import GrowthPosterior
from seedtest_analytics.stats.growth.prediction import MAX_HORIZON_WEEKS, Event, check_level, relative_covariance

DEFAULT_WEEKS_OBSERVED = 8
LARGEST_SCORE = 1e9
"""In the unit of the fit. Far larger numbers overflow when they are squared."""


def goal_probability(
    current_score: float,
    trend: float,
    *,
    weeks_remaining: float,
    target_score: float,
    credible_interval: float = 0.95,
    posterior: GrowthPosterior,
    weeks_observed: int = DEFAULT_WEEKS_OBSERVED,
    event: Event = "score",
) -> dict[str, float]:
    """Probability that a student at `current_score`, moving by `trend` a week, reaches `target_score`.

    Event "score" asks for a weekly score at the target. `lower` and `upper` then hold the student's own chance p with
    probability `credible_interval`: they say how little two estimates know about one student. Event "level" asks for
    the line itself. Whether the line reaches the target is certain for a given line, so the bounds of "level" span only
    what the fit does not know about the cohort; where the projection meets the target all three numbers are 0.5.

    Args:
        current_score: best estimate of the student's level today, in the unit of the fit.
        trend: gain a week.
        weeks_remaining: until the goal is due; 0 or more.
        target_score: the goal.
        credible_interval: probability between `lower` and `upper`.
        posterior: a usable gaussian fit.
        weeks_observed: weekly scores behind the two estimates, the latest of them today.
        event: which probability, see `prediction`.

    Returns:
        `{"probability", "lower", "upper", "uncertainty"}`: probability and bounds of the event, and the SD of what it
        asks for: of the projected weekly score, or of the projected level.

    Raises:
        UnusablePosteriorError: the fit's diagnostics fall short.
        ValueError: an argument is not finite or out of range.
    """
    score = number(current_score, "current_score", low=-LARGEST_SCORE, high=LARGEST_SCORE)
    gain = number(trend, "trend", low=-LARGEST_SCORE, high=LARGEST_SCORE)
    target = number(target_score, "target_score", low=-LARGEST_SCORE, high=LARGEST_SCORE)
    weeks_to_goal = number(weeks_remaining, "weeks_remaining", low=0.0, high=MAX_HORIZON_WEEKS)
    one_of(event, "event", choices=("level", "score"))
    check_level(credible_interval)
    posterior.require_usable()
    if posterior.family != "gaussian":
        raise ValueError("the goal probability of a score needs a gaussian growth fit")
    theta = posterior.hyper_draws(posterior.theta.shape[0] * posterior.theta.shape[1])
    factors = np.array([relative_factor(row) for row in theta])
    population = np.column_stack([np.zeros((len(theta), 2)), factors])
    weeks = posterior.last_week - np.arange(count(weeks_observed, "weeks_observed", low=1))
    design = np.array([[len(weeks), weeks.sum()], [weeks.sum(), (weeks**2).sum()]])
    at_goal = np.array([1.0, posterior.last_week + weeks_to_goal])
    variance = np.einsum("i,kij,j->k", at_goal, relative_covariance(population, design), at_goal)
    sigmas = np.ascontiguousarray(factors[:, 3])
    sds = sigmas * np.sqrt(variance)
    means = np.full(len(theta), score + gain * weeks_to_goal)
    quantiles = np.array([(1 - credible_interval) / 2, (1 + credible_interval) / 2])
    result = np.empty(3)
    if event == "score":
        score_probability(means, sds, sigmas, target, quantiles, normal_quantile(quantiles), result)
        sds = np.hypot(sds, sigmas)
    else:
        level_probability(means, 1 / sds, target, quantiles, np.empty(len(theta)), result)
    probability, lower, upper = (float(value) for value in result)
    uncertainty = float(mixture_moments(means, sds)[1])
    return {"probability": probability, "lower": lower, "upper": upper, "uncertainty": uncertainty}
