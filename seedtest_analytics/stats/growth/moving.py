"""Predictions of a stored fit as of a later day, by the draws of the population and the sums of each student's scores.

    mu_i(g) | draw k ~ N(x'm_ik − E(v_i) s_i, x'V_ik x),   x = (1, g)
    s_i = [min(g, a) − (l_i + G)]+ + [min(g, b) − max(a, max(l_i, r_i) + G)]+

g is the goal's week, a and b the as-of weeks of the fit and of today, l_i the last scored week, r_i the last week with an
answer since the fit, and G `GROWTH_WEEKS`. At b = a this is the fit's own prediction. A student who answers again grows
again, and weeks that were silent as of the fit stay so.
"""

import numpy as np

from seedtest_analytics.stats.growth.posterior import GrowthPosterior
from seedtest_analytics.stats.growth.prediction import GROWTH_WEEKS, hyper_draws_needed, predict_sums, silence


def predict_moved(
    posterior: GrowthPosterior,
    sums: np.ndarray,
    *,
    reference: tuple[float, float],
    last_week: np.ndarray,
    returned_week: np.ndarray,
    goal_week: np.ndarray,
    goal: np.ndarray,
    fitted_week: float,
    as_of_week: float,
) -> dict[str, np.ndarray]:
    """The columns of `prediction.RESULT_COLUMNS` for event "level", each of shape (J,). Weeks count from the fit's origin.

    Args:
        posterior: of the fit, of the gaussian family.
        sums: Σv, Σvw, Σvw², Σve, Σvwe of each student's scores as `GrowthData.statistics` has them, shape (J, 5).
        reference: intercept and slope of the line that the residuals e are from.
        last_week: last scored week of each student in the fit, shape (J,).
        returned_week: last week with a first answer since the fit; NaN without one, shape (J,).
        goal_week, goal: shape (J,).
        fitted_week, as_of_week: as-of weeks of the fit and of the prediction.
    """
    resting_from = np.maximum(fitted_week - GROWTH_WEEKS, np.fmax(last_week, returned_week))
    silent = silence(goal_week, last_week=last_week, as_of=fitted_week)
    silent += silence(goal_week, last_week=resting_from, as_of=as_of_week)
    return predict_sums(
        posterior.hyper_draws(hyper_draws_needed(posterior.n_students)),
        sums,
        week_mean=posterior.week_mean,
        reference=reference,
        goal_week=goal_week,
        silent_weeks=silent,
        goal=goal,
    )
