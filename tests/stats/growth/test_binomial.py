"""The binomial family: quadrature, recovery, coverage, faults; against the naive Stan program (slow)."""

import numpy as np
import pytest
from scipy import integrate, special, stats

from benchmarks._cohorts import PROGRAMS, simulate_counts
from seedtest_analytics.stats.growth.binomial import CountDensity, default_draws, fit_binomial, predict_counts
from seedtest_analytics.stats.growth.counts import count_data
from seedtest_analytics.stats.growth.errors import GrowthDataError
from seedtest_analytics.stats.growth.posterior import Thresholds
from seedtest_analytics.stats.growth.priors import GrowthPriors, HalfCauchy, Normal
from seedtest_analytics.stats.growth.quadrature import integrate_student
from seedtest_analytics.stats.growth.stan import COUNTS, StanProgram, StanSettings, count_inputs, fit_stan, prior_data
from tests.stats.growth.support import mcse_mean

NAIVE = StanProgram(PROGRAMS / "growth_binomial_naive.stan")

POINT = (-0.1, 0.05, 0.7, -0.02, 0.07)  # e0, e1, l11, l21, l22


@pytest.fixture(scope="module")
def fit():
    c = simulate_counts(400, seed=3)
    data = count_data(c.student, c.week, answered=c.answered, right=c.right)
    return c, data, fit_binomial(data, n_draws=1000, seed=1)


@pytest.mark.parametrize(("seed", "mean_answered", "tolerance"), [(1, 8, 2e-4), (2, 1, 2e-3)])
def test_the_quadrature_integrates_one_student(seed, mean_answered, tolerance):
    """Against adaptive two-dimensional integration; single answers a week are the hard case."""
    c = simulate_counts(1, missing=0, mean_answered=mean_answered, seed=seed)
    week, answered, right = c.week, c.answered.astype(float), c.right.astype(float)
    e0, e1, l11, l21, l22 = POINT

    def joint(z1, z0):
        eta = e0 + l11 * z0 + (e1 + l21 * z0 + l22 * z1) * week
        return np.exp(np.sum(right * eta - answered * np.logaddexp(0, eta)) - 0.5 * (z0**2 + z1**2)) / (2 * np.pi)

    exact = np.log(integrate.dblquad(joint, -8, 8, -8, 8, epsabs=0, epsrel=1e-7)[0])
    out = np.empty(10)
    assert integrate_student(week, answered, right, *POINT, np.zeros(2), out) == pytest.approx(exact, abs=tolerance)
    first = integrate.dblquad(lambda a, b: b * joint(a, b), -8, 8, -8, 8, epsrel=1e-6)[0] / np.exp(exact)
    assert out[5] == pytest.approx(first, abs=20 * tolerance)


@pytest.mark.parametrize("n_students", [2, 1000, 2500, 10_000, 1_000_000])
def test_at_any_size_draws_that_are_effective_enough_are_also_enough(n_students):
    limits = Thresholds()
    assert limits.min_effective_share * default_draws(n_students) >= limits.min_ess


def test_gradient():
    c = simulate_counts(40, seed=5)
    priors = GrowthPriors(Normal(0.2, 0.7), Normal(0.1, 0.3), sd=HalfCauchy(0.1, 0.6), lkj_eta=2.0)
    density = CountDensity(count_data(c.student, c.week, answered=c.answered, right=c.right), priors)
    theta = np.array([0.2, 0.05, -0.3, -2.4, -0.2])
    numeric = [
        (density.value_and_gradient(theta + h)[0] - density.value_and_gradient(theta - h)[0]) / 2e-4
        for h in 1e-4 * np.eye(5)
    ]
    # Fisher's identity is exact for the integral and off by the quadrature's own error.
    np.testing.assert_allclose(density.value_and_gradient(theta)[1], numeric, rtol=5e-3, atol=5e-2)


@pytest.mark.long
def test_the_truth_is_recovered(fit):
    _, _, posterior = fit
    assert posterior.verdict.usable
    summary = posterior.summary()
    truth = {"intercept": -0.2, "week": 0.06, "sd_intercept": 0.8, "sd_week": 0.08, "correlation": -0.2}
    for name, value in truth.items():
        assert abs(summary[name]["mean"] - value) < 4 * summary[name]["sd"], name
    assert "sigma" not in summary


@pytest.mark.long
def test_projections_cover_the_true_share(fit):
    """400 students; tolerances are four binomial SDs."""
    c, data, posterior = fit
    share = special.expit(c.lines @ [1.0, 15.0])
    for level in (0.5, 0.95):
        p = predict_counts(posterior, data, goal_week=15.0, goal=0.7, level=level, n_hyper_draws=40)
        covered = np.mean((p.projected_lower <= share) & (share <= p.projected_upper))
        assert covered == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 400))
        assert ((p.P_lower <= p.P) & (p.P_upper >= p.P)).all()
    reached = share >= 0.7
    error = np.sqrt(np.sum(p.P * (1 - p.P))) / 400
    assert reached.mean() == pytest.approx(p.P.mean(), abs=4 * error)
    brier = np.mean((p.P - reached) ** 2)
    assert brier < 0.6 * reached.mean() * (1 - reached.mean())


@pytest.mark.parametrize(("answered", "right"), [(0, 0), (3, 4), (3, -1), (2.5, 1), (3, np.nan), (np.inf, 1)])
def test_rows_that_are_no_counts_are_named(answered, right):
    with pytest.raises(GrowthDataError, match=r"rows? .*2"):
        count_data(
            [1, 1, 1, 2, 2, 2], [0, 1, 2, 0, 1, 2], answered=[3, 3, answered, 3, 3, 3], right=[1, 2, right, 2, 1, 3]
        )


@pytest.mark.parametrize("right", [0, 3])
def test_all_right_or_all_wrong_is_refused(right):
    with pytest.raises(GrowthDataError, match="every answer is right, or every one wrong"):
        count_data([1, 1, 1, 2, 2, 2], [0, 1, 2, 0, 1, 2], answered=[3] * 6, right=[right] * 6)


@pytest.mark.parametrize("goal", [0.0, 1.0, 1.7, -0.2])
def test_goals_are_shares(fit, goal):
    _, data, posterior = fit
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        predict_counts(posterior, data, goal_week=15.0, goal=goal)


def test_cpp_and_numba_are_one_density(stan_runner):
    """Stan's lp__ of its own draws, less a constant, is the compiled density at the same points."""
    c = simulate_counts(30, seed=6)
    priors = GrowthPriors(Normal(0.2, 0.7), Normal(0.1, 0.3), sd=HalfCauchy(0.1, 0.6), lkj_eta=2.0)
    data = count_data(c.student, c.week, answered=c.answered, right=c.right)
    location, scale = np.array([-0.2, 0.06, -0.3, -2.6, 0.0]), np.diag([0.3, 0.03, 0.2, 0.3, 0.3])
    inputs = count_inputs(data, priors, location=location, scale=scale)
    draws = stan_runner.sample(COUNTS, inputs, settings=StanSettings(1, 60, draws=60, seed=5))
    density = CountDensity(data, priors)
    theta = location + draws.variables["z"].reshape(-1, 5) @ scale.T
    difference = draws.log_density.ravel() - [density.value_and_gradient(row)[0] for row in theta]
    np.testing.assert_allclose(difference, difference.mean(), atol=1e-4)


@pytest.fixture(scope="module")
def both(stan_runner):
    """120 students, by the quick look and by Stan."""
    c = simulate_counts(120, 10, seed=12)
    data = count_data(c.student, c.week, answered=c.answered, right=c.right)
    slow = fit_stan(data, stan_runner, settings=StanSettings(chains=2, draws=900, seed=8))
    return data, fit_binomial(data, n_draws=2000, seed=1), slow


def test_stan_recovers_the_truth_and_agrees_with_the_quick_look(both):
    """Means within four posterior SDs of the truth, and within 0.2 SDs of the quick look; SDs within 15 %."""
    _, posterior, by_stan = both
    quick = posterior.summary()
    assert posterior.verdict.usable
    assert by_stan.verdict.usable, by_stan.verdict.reasons
    summary = by_stan.summary()
    truth = {"intercept": -0.2, "week": 0.06, "sd_intercept": 0.8, "sd_week": 0.08, "correlation": -0.2}
    for name, value in truth.items():
        assert abs(summary[name]["mean"] - value) < 4 * summary[name]["sd"], name
        assert abs(summary[name]["mean"] - quick[name]["mean"]) < 0.2 * quick[name]["sd"], name
        assert summary[name]["sd"] == pytest.approx(quick[name]["sd"], rel=0.15), name
    assert "sigma" not in summary


def test_predictions_from_stan_are_those_of_the_quick_look(both):
    data, *fits = both
    ours, theirs = (predict_counts(fit, data, goal_week=15.0, goal=0.7, n_hyper_draws=40) for fit in fits)
    assert np.abs(ours.P - theirs.P).max() < 0.05


@pytest.mark.slow
def test_naive_program(stan_runner):
    """One cohort of 150, every student sampled by Stan: means within four Monte Carlo errors, SDs within 10 %."""
    c = simulate_counts(150, seed=9)
    data = count_data(c.student, c.week, answered=c.answered, right=c.right)
    inputs = {"N": data.n_scores, "J": 150, "student": (c.student + 1).tolist(), "week": c.week}
    inputs |= {"answered": c.answered.tolist(), "right": c.right.tolist()}
    naive = stan_runner.sample(
        NAIVE,
        inputs | {k: v for k, v in prior_data(GrowthPriors()).items() if k != "sigma_prior"},
        settings=StanSettings(chains=4, warmup=600, draws=800, seed=2),
    )
    posterior = fit_binomial(data, n_draws=4000, seed=2)
    assert posterior.importance is not None
    ours = posterior.summary()
    theirs = {
        "intercept_at_mean_week": naive.variables["Intercept"],
        "week": naive.variables["slope"],
        "sd_intercept": naive.variables["tau"][..., 0],
        "sd_week": naive.variables["tau"][..., 1],
        "correlation": naive.variables["rho"],
    }
    for name, draws in theirs.items():
        error = np.hypot(mcse_mean(draws), ours[name]["sd"] / np.sqrt(posterior.importance.effective_draws))
        assert abs(ours[name]["mean"] - draws.mean()) < 4 * error, name
        assert ours[name]["sd"] == pytest.approx(draws.std(), rel=0.1), name
    lines = naive.variables["lines"].reshape(-1, 2, 150)
    eta = lines[:, 0] + 15 * lines[:, 1]
    p = predict_counts(posterior, data, goal_week=15.0, goal=0.7)
    assert np.abs(p.P - (eta >= stats.logistic.ppf(0.7)).mean(axis=0)).max() < 0.05
