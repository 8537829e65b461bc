"""A stored fit as of a later day: against the fit's own predictions, and against the posterior of the raw scores."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from seedtest_analytics.stats.growth.data import GrowthData, growth_data
from seedtest_analytics.stats.growth.laplace import fit_laplace
from seedtest_analytics.stats.growth.moving import weeks_rested
from seedtest_analytics.stats.growth.posterior import GrowthPosterior
from seedtest_analytics.stats.growth.prediction import hyper_draws_needed, predict_sums
from tests.stats.growth.support import predict_students

N_STUDENTS, N_WEEKS, GOAL, AHEAD = 60, 8, 0.9, 4.0
FITTED = N_WEEKS - 0.5
NOBODY = np.full(N_STUDENTS, np.nan)


@dataclasses.dataclass(frozen=True)
class Fit:
    """A cohort's scores, whose students stop in different weeks, and its fit."""

    student: np.ndarray
    week: np.ndarray
    score: np.ndarray
    weight: np.ndarray
    data: GrowthData
    posterior: GrowthPosterior

    def moved(self, as_of: float, returned: np.ndarray = NOBODY) -> dict[str, np.ndarray]:
        goal_week = np.full(N_STUDENTS, as_of + AHEAD)
        last_week = self.data.last_week
        silent = weeks_rested(
            goal_week, last_week=last_week, returned_week=returned, fitted_week=FITTED, as_of_week=as_of
        )
        return predict_sums(
            self.posterior.hyper_draws(hyper_draws_needed(N_STUDENTS)),
            np.ascontiguousarray(self.data.statistics[:, :5]),
            week_mean=self.posterior.week_mean,
            reference=self.data.reference,
            goal_week=goal_week,
            silent_weeks=silent,
            goal=np.full(N_STUDENTS, GOAL),
        )


@pytest.fixture(scope="module")
def fit() -> Fit:
    rng = np.random.default_rng(31)
    student, week = (code.ravel() for code in np.indices((N_STUDENTS, N_WEEKS)))
    seen = week <= rng.integers(3, N_WEEKS, N_STUDENTS)[student]
    student, week = student[seen], week[seen].astype(float)
    line = np.column_stack([rng.normal(0.2, 0.7, N_STUDENTS), rng.normal(0.08, 0.06, N_STUDENTS)])[student]
    weight = rng.lognormal(0, 0.4, len(week))
    score = line[:, 0] + line[:, 1] * week + rng.normal(0, 0.5, len(week)) / np.sqrt(weight)
    data = growth_data(student, week, score=score, weight=weight)
    return Fit(student, week, score, weight, data, fit_laplace(data, n_draws=1000, seed=3))


@pytest.mark.parametrize("later", [0.0, 2 / 7, 1.0, 5.0])
def test_the_fit_says_the_same_as_of_a_later_day(fit: Fit, later: float) -> None:
    as_of = FITTED + later
    found = fit.moved(as_of)
    expected = predict_students(fit.posterior, fit.data, goal_week=as_of + AHEAD, goal=GOAL, as_of_week=as_of)
    for name, values in found.items():
        np.testing.assert_allclose(values, getattr(expected, name), atol=1e-12, err_msg=name)


@pytest.mark.parametrize("number", [0, 7, 33])
def test_p_is_that_of_the_posterior_of_the_raw_scores(fit: Fit, number: int) -> None:
    """Each draw's line by Bayes' rule on the student's scores in a dense matrix, P as the mean of normal tails."""
    as_of, rows = FITTED + 3.0, fit.student == number
    design = np.column_stack([np.ones(rows.sum()), fit.week[rows]])
    means, covariances = [], []
    for mean_intercept, gain, *logs in fit.posterior.hyper_draws(4000):
        sd = np.exp(logs[:2])
        spread = np.outer(sd, sd) * [[1, np.tanh(logs[2])], [np.tanh(logs[2]), 1]]
        noise = np.diag(np.exp(2 * logs[3]) / fit.weight[rows])
        population = np.array([mean_intercept - gain * fit.posterior.week_mean, gain])
        pull = spread @ design.T @ np.linalg.inv(design @ spread @ design.T + noise)
        means.append(population + pull @ (fit.score[rows] - design @ population))
        covariances.append(spread - pull @ design @ spread)
    lines, at_goal = np.array(means), np.array([1.0, as_of + AHEAD])
    silent = max(as_of - (fit.week[rows].max() + 2), 0)
    levels = lines @ at_goal - silent * lines[:, 1].mean()
    variances = np.einsum("i,kij,j->k", at_goal, np.array(covariances), at_goal)
    found = {name: values[number] for name, values in fit.moved(as_of).items()}
    assert found["projected"] == pytest.approx(levels.mean(), abs=1e-9)
    assert found["sigma"] == pytest.approx(np.sqrt(variances.mean() + levels.var()), abs=1e-9)
    assert found["P"] == pytest.approx(stats.norm.sf(GOAL, levels, np.sqrt(variances)).mean(), abs=1e-8)


def test_who_answers_again_grows_again_and_what_was_silent_stays_so(fit: Fit) -> None:
    """Seven weeks after the fit; an answer three weeks after it lets the line grow from the fit to two weeks later."""
    as_of = FITTED + 7
    resting, returned = fit.moved(as_of), fit.moved(as_of, returned=np.full(N_STUDENTS, FITTED + 3.0))
    silent = fit.data.last_week + 2 < FITTED
    gained = returned["projected"] - resting["projected"]
    np.testing.assert_allclose(gained[silent], 5 * resting["slope_mean"][silent], atol=1e-12)
    later = 5 - np.maximum(fit.data.last_week + 2 - FITTED, 0)
    np.testing.assert_allclose(gained, later * resting["slope_mean"], atol=1e-12)
    np.testing.assert_allclose(returned["sigma"], resting["sigma"], rtol=1e-12)
