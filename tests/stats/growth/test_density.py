"""The marginal log posterior against the multivariate normal it stands for."""

import numpy as np
import pytest
from scipy import stats

from benchmarks._cohorts import GrowthTruth, simulate_cohort
from seedtest_analytics.stats.growth.data import growth_data
from seedtest_analytics.stats.growth.density import MarginalDensity
from seedtest_analytics.stats.growth.laplace import laplace_mode
from seedtest_analytics.stats.growth.mode import find_mode
from seedtest_analytics.stats.growth.priors import GrowthPriors, HalfCauchy, Normal

PRIORS = GrowthPriors(
    Normal(0.2, 0.7), Normal(0.01, 0.2), sd=HalfCauchy(0.05, 0.4), sigma=HalfCauchy(0.1, 0.3), lkj_eta=2.0
)
POINTS = [(0.5, 0.01, -2.0, -4.0, -0.3, -2.4), (0.1, -0.05, -1.0, -2.0, 1.5, -3.0), (0.9, 0.1, -6.0, -7.0, 0.0, -0.5)]


def brute_force(theta, student, week, score, weight):
    """Log posterior from the definition: every student's scores are one multivariate normal vector."""
    intercept, slope, rho = theta[0], theta[1], np.tanh(theta[4])
    tau0, tau1, sigma = np.exp(np.array(theta)[[2, 3, 5]])
    covariance = np.array([[tau0**2, rho * tau0 * tau1], [rho * tau0 * tau1, tau1**2]])
    value = 0.0
    for j in np.unique(student):
        rows = student == j
        design = np.column_stack([np.ones(rows.sum()), week[rows]])
        mean = design @ [intercept - slope * week.mean(), slope]
        spread = design @ covariance @ design.T + np.diag(sigma**2 / weight[rows])
        value += stats.multivariate_normal.logpdf(score[rows], mean, spread)
    value += stats.norm.logpdf(intercept, 0.2, 0.7) + stats.norm.logpdf(slope, 0.01, 0.2)
    value += stats.cauchy.logpdf(tau0, 0.05, 0.4) + stats.cauchy.logpdf(tau1, 0.05, 0.4)
    value += stats.cauchy.logpdf(sigma, 0.1, 0.3) + np.log1p(-(rho**2))  # the latter: LKJ(2)
    return value + theta[2] + theta[3] + theta[5] + np.log1p(-(rho**2))  # Jacobians


@pytest.mark.parametrize("weighted", [False, True])
def test_value_up_to_a_constant_and_gradient(weighted):
    c = simulate_cohort(25, seed=2)
    weight = np.random.default_rng(4).integers(1, 6, len(c.week)).astype(float) if weighted else np.ones(len(c.week))
    density = MarginalDensity.of(
        growth_data(c.student, c.week, score=c.score, weight=weight if weighted else None), PRIORS
    )
    arguments = (c.student, c.week, c.score, weight)
    offsets = [density.value_and_gradient(np.array(p))[0] - brute_force(p, *arguments) for p in POINTS]
    np.testing.assert_allclose(offsets, offsets[0], atol=1e-8)
    for point in POINTS:
        numeric = [
            (brute_force(np.add(point, h), *arguments) - brute_force(np.subtract(point, h), *arguments)) / 2e-5
            for h in 1e-5 * np.eye(6)
        ]
        analytic = density.value_and_gradient(np.array(point))[1]
        np.testing.assert_allclose(analytic, numeric, rtol=1e-5, atol=1e-4)


def test_the_posterior_does_not_depend_on_where_scores_are_large():
    """Scores far from zero lose no digits: only residuals from the reference line are squared."""
    c = simulate_cohort(40, seed=6)
    wide = GrowthPriors(Normal(0.0, 1e12), Normal(0.0, 1e12))
    theta = np.array([0.5, 0.012, -2.4, -4.7, -0.2, -2.5])
    near = MarginalDensity.of(growth_data(c.student, c.week, score=c.score), wide).value_and_gradient(theta)
    moved = theta + np.array([1e5, 0, 0, 0, 0, 0])
    far = MarginalDensity.of(growth_data(c.student, c.week, score=c.score + 1e5), wide).value_and_gradient(moved)
    assert far[0] == pytest.approx(near[0], rel=1e-7)


def test_points_far_outside_have_no_density():
    c = simulate_cohort(10, seed=1)
    density = MarginalDensity.of(growth_data(c.student, c.week, score=c.score), GrowthPriors())
    for point in ([0, 0, 900, 0, 0, 0], [0, 0, 0, 0, 0, -900], [np.nan, 0, 0, 0, 0, 0]):
        value, gradient = density.value_and_gradient(np.array(point, dtype=float))
        assert value == -np.inf
        assert not gradient.any()


def test_rounding_error_is_not_taken_for_likelihood():
    """Slopes that differ by 0.35 a week, measured to 0.003: far below, sums of squares cancel to the last digit."""
    truth = GrowthTruth(-0.18, 0.02, tau0=0.09, tau1=0.35, rho=0.0, sigma=0.003)
    c = simulate_cohort(25, n_weeks=8, seed=2, truth=truth)
    data = growth_data(c.student, c.week, score=c.score)
    density = MarginalDensity.of(data, GrowthPriors())
    mode = laplace_mode(data, density)
    assert mode.has_converged
    np.testing.assert_allclose(np.exp(mode.location[5]), 0.003, rtol=0.2)
    for log_sigma in (-20.0, -30.0, -45.0):
        nowhere = np.append(mode.location[:5], log_sigma)
        assert density.value_and_gradient(nowhere)[0] < density.value_and_gradient(mode.location)[0]


def test_the_mode_of_a_known_density_is_found():
    centre = np.array([3.0, -2.0])
    precision = np.array([[4.0, 1.0], [1.0, 9.0]])

    def density(x):
        return -0.5 * (x - centre) @ precision @ (x - centre), -precision @ (x - centre)

    mode = find_mode(density, np.zeros(2), steps=np.ones(2))
    assert mode.has_converged
    np.testing.assert_allclose(mode.location, centre, atol=1e-6)
    np.testing.assert_allclose(mode.scale() @ mode.scale().T, np.linalg.inv(precision), rtol=1e-6)
