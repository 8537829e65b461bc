"""A student who stops answering stays where the last scores were, while others go on."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import special

from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.growth.binomial import fit_binomial, predict_counts
from seedtest_analytics.stats.growth.counts import count_data
from seedtest_analytics.stats.growth.data import growth_data
from seedtest_analytics.stats.growth.laplace import fit_laplace
from seedtest_analytics.stats.growth.plots import student_fans
from seedtest_analytics.stats.growth.prediction import StudentPredictions
from tests.stats.growth.support import predict_students

LAST_SCORE = 4
SILENT_WEEKS = (3, 6, 9)
N_STUDENTS = 200


def cohort(silent: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Students, weeks and lines; student 0 has scores in weeks 0 to 4 and gains 0.08 a week, as others go on (seed 7)."""
    rng = np.random.default_rng(7)
    lines = np.column_stack([rng.normal(0.3, 0.5, N_STUDENTS), rng.normal(0.07, 0.04, N_STUDENTS)])
    lines[0] = 0.6, 0.08
    student, week = (code.ravel() for code in np.indices((N_STUDENTS, LAST_SCORE + silent + 1)))
    seen = (student > 0) | (week <= LAST_SCORE)
    return student[seen], week[seen].astype(float), lines


def by_scores(silent: int) -> StudentPredictions:
    student, week, lines = cohort(silent)
    noise = np.random.default_rng(8).normal(0, 0.2, (N_STUDENTS, LAST_SCORE + max(SILENT_WEEKS) + 1))
    score = lines[student, 0] + lines[student, 1] * week + noise[student, week.astype(int)]
    data = growth_data(student, week, score=score)
    return predict_students(fit_laplace(data, n_draws=2000, seed=1), data, goal_week=in_four_weeks(silent), goal=1.5)


def by_counts(silent: int) -> StudentPredictions:
    student, week, lines = cohort(silent)
    chance = special.expit(lines[student, 0] + lines[student, 1] * week)
    answered = np.full(len(week), 12)
    right = (chance * answered).round()
    data = count_data(student, week, answered=answered, right=right)
    fit = fit_binomial(data, n_draws=1000, seed=1)
    return predict_counts(fit, data, goal_week=in_four_weeks(silent), goal=0.85, n_hyper_draws=40)


def in_four_weeks(silent: int) -> float:
    """Four weeks after the end of the newest scored week."""
    return LAST_SCORE + silent + 0.5 + 4


@pytest.mark.parametrize("predicted", [by_scores, by_counts])
def test_without_new_answers_the_projection_stays_and_widens(predicted: Callable[[int], StudentPredictions]) -> None:
    """On the student's line it grew from 1.13 to 1.57 in six silent weeks, and P from 0.13 to 0.55."""
    found = [predicted(silent) for silent in SILENT_WEEKS]
    projected, p, lower, upper = (
        np.array([getattr(one, name)[0] for one in found])
        for name in ("projected", "P", "projected_lower", "projected_upper")
    )
    np.testing.assert_allclose(projected, projected[0], atol=0.03)
    assert (np.diff(upper - lower) > 0).all()
    assert (p < 0.25).all()
    assert (np.abs(np.diff(p)) < 0.1).all()


def test_who_practises_is_projected_as_before() -> None:
    found = by_scores(9)
    expected = found.intercept_mean + in_four_weeks(9) * found.slope_mean
    np.testing.assert_allclose(found.projected[1:], expected[1:], atol=1e-9)
    rest = 9 + 0.5 - Hyperparameters().growth_days / 7
    assert found.projected[0] == pytest.approx(expected[0] - rest * found.slope_mean[0], abs=1e-9)


def test_silence_lasts_to_the_as_of_week_also_where_nobody_answered() -> None:
    """In the last three weeks before the as-of week nobody had a score; a goal of that very week has no practice."""
    student, week, lines = cohort(0)
    score = lines[student, 0] + lines[student, 1] * week + np.random.default_rng(9).normal(0, 0.2, len(week))
    data = growth_data(student, week, score=score)
    posterior = fit_laplace(data, n_draws=1000, seed=1)
    as_of = LAST_SCORE + 3.5
    now, later = (
        predict_students(posterior, data, goal_week=as_of + ahead, goal=1.0, as_of_week=as_of) for ahead in (0, 4)
    )
    stay = now.intercept_mean + (LAST_SCORE + 2) * now.slope_mean
    np.testing.assert_allclose(now.projected, stay, atol=1e-9)
    np.testing.assert_allclose(later.projected, stay + 4 * now.slope_mean, atol=1e-9)
    assert (later.sigma > now.sigma).all()
    fans = student_fans(posterior, data, students=[0], weeks=[2.0, as_of, as_of + 4], as_of_week=as_of)
    assert fans[0].mean == pytest.approx(
        [now.intercept_mean[0] + 2 * now.slope_mean[0], now.projected[0], later.projected[0]], abs=0.01
    )
    assert fans[0].outer_upper[2] == pytest.approx(later.projected_upper[0], abs=0.02)
    for wrong in (LAST_SCORE - 1, 1e4, np.nan):
        with pytest.raises(ValueError, match="as_of_week"):
            predict_students(posterior, data, goal_week=as_of, goal=1.0, as_of_week=wrong)
