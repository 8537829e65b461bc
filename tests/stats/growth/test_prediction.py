"""Per-student predictions against plain NumPy, coverage, calibration of both events, and faults."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from benchmarks._cohorts import GrowthTruth, simulate_cohort
from seedtest_analytics.stats.growth.data import growth_data
from seedtest_analytics.stats.growth.errors import GrowthDataError, UnusablePosteriorError
from seedtest_analytics.stats.growth.goal import goal_probability
from seedtest_analytics.stats.growth.laplace import fit_laplace
from seedtest_analytics.stats.growth.mixture import normal_cdf
from seedtest_analytics.stats.growth.posterior import ImportanceRun
from seedtest_analytics.stats.growth.prediction import (
    RESULT_COLUMNS,
    conditional_lines,
    hyper_draws_needed,
    predict_blocks,
)
from tests.stats.growth.support import predict_students

GOAL_WEEK, GOAL = 15.0, 0.65


@pytest.fixture(scope="module")
def fit():
    c = simulate_cohort(120, seed=21)
    data = growth_data(c.student, c.week, score=c.score)
    return data, fit_laplace(data, n_draws=1000, seed=5)


def by_simulation(data, posterior, student, goal_week, goal, n_draws, size=400, seed=1):
    """The same quantities from random draws of the line and of the score."""
    rng = np.random.default_rng(seed)
    theta = posterior.hyper_draws(n_draws)
    mean, covariance = conditional_lines(theta, data, student=student)
    x = np.array([1.0, goal_week])
    level_mean, level_sd = mean @ x, np.sqrt(np.einsum("i,kij,j->k", x, covariance, x))
    levels = level_mean[:, None] + level_sd[:, None] * rng.standard_normal((len(theta), size))
    sigma = np.exp(theta[:, 5])[:, None]
    return levels.ravel(), stats.norm.cdf((levels - goal) / sigma).ravel(), level_mean, level_sd


@pytest.mark.parametrize("student", [0, 17, 119])
def test_everything_agrees_with_random_draws(fit, student):
    """Tolerances are four Monte Carlo SDs of 200,000 draws."""
    data, posterior = fit
    level = predict_students(posterior, data, goal_week=GOAL_WEEK, goal=GOAL, n_hyper_draws=500)
    score = predict_students(posterior, data, goal_week=GOAL_WEEK, goal=GOAL, event="score", n_hyper_draws=500)
    levels, chances, level_mean, level_sd = by_simulation(data, posterior, student, GOAL_WEEK, GOAL, 500)
    sd = level.sigma[student]
    assert level.projected[student] == pytest.approx(levels.mean(), abs=4 * sd / 447)
    assert sd == pytest.approx(levels.std(), rel=0.01)
    bounds = np.quantile(levels, [0.025, 0.975])
    assert level.projected_lower[student] == pytest.approx(bounds[0], abs=0.03 * sd)
    assert level.projected_upper[student] == pytest.approx(bounds[1], abs=0.03 * sd)
    assert level.P[student] == pytest.approx(np.mean(levels >= GOAL), abs=0.005)
    conditional = stats.norm.cdf((level_mean - GOAL) / level_sd)
    assert level.P[student] == pytest.approx(conditional.mean(), abs=1e-9)
    expected = np.quantile(stats.norm.ppf(conditional), [0.025, 0.975])
    np.testing.assert_allclose(stats.norm.ppf([level.P_lower[student], level.P_upper[student]]), expected, atol=1e-6)
    assert score.P[student] == pytest.approx(chances.mean(), abs=0.005)
    np.testing.assert_allclose(
        [score.P_lower[student], score.P_upper[student]], np.quantile(chances, [0.025, 0.975]), atol=0.01
    )
    mean, covariance = conditional_lines(posterior.hyper_draws(500), data, student=student)
    assert level.intercept_mean[student] == pytest.approx(mean[:, 0].mean())
    assert level.slope_mean[student] == pytest.approx(mean[:, 1].mean())
    slope_variance = covariance[:, 1, 1].mean() + mean[:, 1].var()
    assert level.slope_sd[student] == pytest.approx(np.sqrt(slope_variance))
    assert level.intercept_sd[student] == pytest.approx(np.sqrt(covariance[:, 0, 0].mean() + mean[:, 0].var()))


def test_probability_lies_between_its_bounds(fit):
    data, posterior = fit
    for event in ("level", "score"):
        p = predict_students(posterior, data, goal_week=GOAL_WEEK, goal=GOAL, event=event)
        assert (p.P_lower <= p.P).all()
        assert (p.P_upper >= p.P).all()
        assert (p.projected_lower < p.projected).all()
        assert (p.projected < p.projected_upper).all()


def test_each_student_may_have_a_goal_and_a_date_of_their_own(fit):
    data, posterior = fit
    weeks = np.where(np.arange(120) % 3 == 0, 14.0, 20.0)
    goals = np.linspace(0.3, 0.9, 120)
    together = predict_students(posterior, data, goal_week=weeks, goal=goals)
    for student in (0, 1, 50, 119):
        alone = predict_students(posterior, data, goal_week=weeks[student], goal=goals[student])
        assert together.P[student] == pytest.approx(alone.P[student], abs=1e-12)
        assert together.projected[student] == pytest.approx(alone.projected[student], abs=1e-12)


def test_blocks_do_not_change_the_answer(fit):
    data, posterior = fit
    whole = predict_students(posterior, data, goal_week=GOAL_WEEK, goal=GOAL)
    blocks = list(predict_blocks(posterior, data, goal_week=GOAL_WEEK, goal=GOAL, block_students=7))
    assert [len(block.students) for block in blocks] == [7] * 17 + [1]
    np.testing.assert_allclose(np.concatenate([block.P for block in blocks]), whole.P, atol=1e-12)
    np.testing.assert_array_equal(np.concatenate([block.students for block in blocks]), whole.students)


@pytest.mark.long
def test_intervals_cover_the_future_and_probabilities_are_calibrated():
    """20,000 students whose lines are known; tolerances are four binomial SDs."""
    n = 20_000
    c = simulate_cohort(n, seed=31)
    data = growth_data(c.student, c.week, score=c.score)
    posterior = fit_laplace(data, n_draws=1000, seed=6)
    level_then = c.lines @ [1.0, GOAL_WEEK]
    for level in (0.5, 0.8, 0.95):
        p = predict_students(posterior, data, goal_week=GOAL_WEEK, goal=GOAL, level=level)
        covered = np.mean((p.projected_lower <= level_then) & (level_then <= p.projected_upper))
        assert covered == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / n) + 0.002)
    score_then = level_then + 0.08 * np.random.default_rng(7).standard_normal(n)
    for event, reached in (("level", level_then >= GOAL), ("score", score_then >= GOAL)):
        p = predict_students(posterior, data, goal_week=GOAL_WEEK, goal=GOAL, event=event)
        for low in np.arange(0, 1, 0.2):
            inside = (low <= p.P) & (low + 0.2 > p.P)
            error = np.sqrt(np.sum(p.P[inside] * (1 - p.P[inside]))) / inside.sum()
            assert reached[inside].mean() == pytest.approx(p.P[inside].mean(), abs=4 * error + 0.003)


def test_a_student_with_500_weeks_among_others_with_twelve():
    """Their line is known best by far, and found: 0.3 + 0.001 a week, noise 0.1, seed 4."""
    rng = np.random.default_rng(4)
    c = simulate_cohort(200, seed=22)
    long = np.arange(500.0)
    score = 0.3 + 0.001 * long + rng.normal(0, 0.1, 500)
    student = np.concatenate([c.student, np.full(500, 200)])
    data = growth_data(student, np.concatenate([c.week, long]), score=np.concatenate([c.score, score]))
    predicted = predict_students(fit_laplace(data, n_draws=1000, seed=5), data, goal_week=510.0, goal=0.7)
    assert all(np.isfinite(getattr(predicted, name)).all() for name in RESULT_COLUMNS)
    assert abs(predicted.projected[200] - 0.81) < 4 * predicted.sigma[200]
    assert predicted.sigma[200] < 0.02 < predicted.sigma[:200].min()
    assert predicted.P[200] > 0.999


@pytest.mark.long
def test_fewer_hyper_draws_suffice_in_a_large_cohort():
    assert [hyper_draws_needed(n) for n in (10, 1000, 10_000, 1_000_000)] == [4000, 4000, 400, 100]
    n = 10_000
    c = simulate_cohort(n, seed=33)
    data = growth_data(c.student, c.week, score=c.score)
    posterior = fit_laplace(data, n_draws=4000, seed=6)
    few = predict_students(posterior, data, goal_week=GOAL_WEEK, goal=GOAL)
    many = predict_students(posterior, data, goal_week=GOAL_WEEK, goal=GOAL, n_hyper_draws=4000)
    assert few.n_hyper_draws == 400
    assert np.sqrt(np.mean((few.P - many.P) ** 2)) < 0.002


def test_normal_table():
    x = np.concatenate([np.linspace(-9, 9, 5001), [-1e300, 1e300, np.nextafter(8, 0), -8.0]])
    np.testing.assert_allclose([normal_cdf(v) for v in x], stats.norm.cdf(x), atol=5e-10)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_goals_must_be_finite(fit, value):
    data, posterior = fit
    with pytest.raises(GrowthDataError, match="goal: 120 of 120 values"):
        predict_students(posterior, data, goal_week=GOAL_WEEK, goal=value)
    with pytest.raises(GrowthDataError, match="goal_week: 120 of 120 values"):
        predict_students(posterior, data, goal_week=value, goal=GOAL)


def test_goal_weeks_of_another_calendar_are_refused(fit):
    data, posterior = fit
    with pytest.raises(ValueError, match="same origin"):
        predict_students(posterior, data, goal_week=2900.0, goal=GOAL)


def test_a_posterior_of_other_data_is_refused(fit):
    _, posterior = fit
    c = simulate_cohort(119, seed=22)
    with pytest.raises(ValueError, match="not fitted to these data"):
        predict_students(posterior, growth_data(c.student, c.week, score=c.score), goal_week=GOAL_WEEK, goal=GOAL)


def test_a_bad_fit_feeds_no_prediction(fit):
    data, posterior = fit
    bad = dataclasses.replace(posterior, importance=ImportanceRun(0.9, 20.0, has_converged=True))
    with pytest.raises(UnusablePosteriorError, match=r"Pareto k 0\.90"):
        predict_students(bad, data, goal_week=GOAL_WEEK, goal=GOAL)
    with pytest.raises(UnusablePosteriorError):
        goal_probability(0.5, 0.01, weeks_remaining=4, target_score=0.6, posterior=bad)


class TestGoalProbability:
    def test_it_has_the_contracts_keys_and_orders(self, fit):
        _, posterior = fit
        for event in ("level", "score"):
            answer = goal_probability(
                0.6, 0.01, weeks_remaining=8, target_score=0.7, credible_interval=0.9, posterior=posterior, event=event
            )
            assert set(answer) == {"probability", "lower", "upper", "uncertainty"}
            assert 0 <= answer["lower"] <= answer["probability"] <= answer["upper"] <= 1
            assert answer["uncertainty"] > 0

    def test_it_is_even_odds_when_the_projection_meets_the_target(self, fit):
        _, posterior = fit
        answer = goal_probability(0.6, 0.01, weeks_remaining=10, target_score=0.7, posterior=posterior)
        assert answer["probability"] == pytest.approx(0.5, abs=1e-9)
        assert answer["lower"] < 0.4
        assert answer["upper"] > 0.6

    def test_the_bounds_hold_the_chance_of_a_students_true_line(self):
        """300 students with a score in each of eight weeks, 80 % bounds; the tolerance is four binomial SDs."""
        truth = GrowthTruth()
        c = simulate_cohort(300, n_weeks=8, missing=0.0, seed=43, truth=truth)
        data = growth_data(c.student, c.week, score=c.score)
        posterior = fit_laplace(data, n_draws=1000, seed=3)
        lines = predict_students(posterior, data, goal_week=12.0, goal=0.6, n_hyper_draws=500)
        chance = stats.norm.cdf((c.lines @ [1.0, 12.0] - 0.6) / truth.sigma)
        answers = [
            goal_probability(
                intercept + 8 * slope,
                slope,
                weeks_remaining=4,
                target_score=0.6,
                credible_interval=0.8,
                posterior=posterior,
            )
            for intercept, slope in zip(lines.intercept_mean, lines.slope_mean, strict=True)
        ]
        inside = [a["lower"] <= p <= a["upper"] for a, p in zip(answers, chance, strict=True)]
        assert np.mean(inside) == pytest.approx(0.8, abs=4 * np.sqrt(0.8 * 0.2 / 300))
        assert np.mean([a["probability"] for a in answers]) == pytest.approx(chance.mean(), abs=0.03)

    def test_it_moves_as_it_should(self, fit):
        _, posterior = fit

        def p(**change):
            state = {"current_score": 0.6, "trend": 0.01, "weeks_remaining": 8, "target_score": 0.7} | change
            return goal_probability(**state, posterior=posterior)

        assert p(current_score=0.65)["probability"] > p()["probability"] > p(target_score=0.75)["probability"]
        assert p(trend=0.02)["probability"] > p()["probability"]
        assert p(weeks_remaining=20)["uncertainty"] > p()["uncertainty"]

    def test_it_equals_the_pass_over_everyone_for_a_student_of_that_design(self):
        """A student with a score in each of the last eight weeks, asked both ways."""
        c = simulate_cohort(400, n_weeks=8, missing=0.0, seed=41)
        data = growth_data(c.student, c.week, score=c.score)
        posterior = fit_laplace(data, n_draws=4000, seed=2)
        p = predict_students(posterior, data, goal_week=12.0, goal=0.6, n_hyper_draws=500)
        trend = p.slope_mean[3]
        answer = goal_probability(
            p.intercept_mean[3] + 8 * trend,
            trend,
            weeks_remaining=4,
            target_score=0.6,
            posterior=posterior,
            weeks_observed=8,
            event="level",
        )
        # The pass also spreads the line's mean over the draws, which a state given as two numbers has not.
        assert answer["probability"] == pytest.approx(p.P[3], abs=0.01)
        assert answer["uncertainty"] == pytest.approx(p.sigma[3], rel=0.05)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"current_score": np.nan}, "current_score must be between"),
            ({"target_score": np.inf}, "target_score"),
            ({"weeks_remaining": -1}, "weeks_remaining must be between 0"),
            ({"weeks_remaining": 1e6}, "weeks_remaining must be between 0"),
            ({"credible_interval": 1.0}, "probability between 0 and 1"),
            ({"weeks_observed": 0}, "weeks_observed must be between 1"),
        ],
    )
    def test_impossible_questions_are_refused(self, fit, change, message):
        state = {"current_score": 0.6, "trend": 0.01, "weeks_remaining": 8, "target_score": 0.7} | change
        with pytest.raises(ValueError, match=message):
            goal_probability(**state, posterior=fit[1])
