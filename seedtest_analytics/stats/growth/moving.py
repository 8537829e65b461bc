"""What moves a stored fit to a later day: the weeks in which each student's line has rested until then.

    mu_i(g) | draw k ~ N(x'm_ik − E(v_i) s_i, x'V_ik x),   x = (1, g)
    s_i = [min(g, a) − (l_i + G)]+ + [min(g, b) − max(a, max(l_i, r_i) + G)]+

g is the goal's week, a and b the as-of weeks of the fit and of today, l_i the last scored week, r_i the last week with an
answer since the fit, and G `GROWTH_WEEKS`. At b = a this is the fit's own prediction. A student who answers again grows
again, and weeks that were silent as of the fit stay so. `prediction.predict_sums` does the rest.
"""

import numpy as np

from seedtest_analytics.stats.growth.prediction import GROWTH_WEEKS, silence


def weeks_rested(
    goal_week: np.ndarray, *, last_week: np.ndarray, returned_week: np.ndarray, fitted_week: float, as_of_week: float
) -> np.ndarray:
    """s_i of each student, shape (J,). Weeks count from the fit's origin.

    Args:
        goal_week: shape (J,).
        last_week: last scored week of each student in the fit, shape (J,).
        returned_week: last week with a first answer since the fit; NaN without one, shape (J,).
        fitted_week, as_of_week: as-of weeks of the fit and of the prediction.
    """
    resting_from = np.maximum(fitted_week - GROWTH_WEEKS, np.fmax(last_week, returned_week))
    before = silence(goal_week, last_week=last_week, as_of=fitted_week)
    return np.asarray(before + silence(goal_week, last_week=resting_from, as_of=as_of_week))
