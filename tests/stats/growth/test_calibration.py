"""Simulation-based calibration of the gaussian model (Talts, Betancourt, Simpson, Vehtari, Gelman 2018).

Parameters drawn from the prior, data drawn from the parameters: the rank of the true value among posterior
draws is then uniform, for every parameter and for functions of them, or sampler and density disagree with the
model.
"""

import numpy as np
import pytest
from scipy import stats

from seedtest_analytics.stats.growth.data import growth_data
from seedtest_analytics.stats.growth.laplace import fit_laplace
from seedtest_analytics.stats.growth.posterior import Thresholds
from seedtest_analytics.stats.growth.prediction import conditional_lines
from seedtest_analytics.stats.growth.priors import GrowthPriors, HalfCauchy, Normal
from seedtest_analytics.stats.growth.stan import StanSettings, fit_stan

# Of the scale of the data; the half-Cauchy's tail still gives cohorts that are all noise or all spread.
PRIORS = GrowthPriors(
    Normal(0.5, 0.3), Normal(0.01, 0.02), sd=HalfCauchy(0.05, 0.05), sigma=HalfCauchy(0.05, 0.05), lkj_eta=1.5
)
N_STUDENTS, N_WEEKS, N_KEPT = 25, 8, 99
# Every twentieth draw is kept, so a twentieth of the draws has to be effective, and then some.
RANKS_NEED = Thresholds(max_rhat=1.03, min_ess=200, max_divergences=20)


def draw_half_cauchy(prior, rng):
    value = -1.0
    while value <= 0:
        value = prior.location + prior.scale * rng.standard_cauchy()
    return value


def draw_cohort(rng):
    """True parameters, the cohort's rows, and the first student's true line."""
    weeks = np.arange(N_WEEKS, dtype=float)
    seen = rng.random((N_STUDENTS, N_WEEKS)) < 0.8
    seen[:, 0] = True
    student, position = np.nonzero(seen)
    week = weeks[position]
    rho = 2 * rng.beta(PRIORS.lkj_eta, PRIORS.lkj_eta) - 1
    truth = {
        "intercept_at_mean_week": rng.normal(PRIORS.intercept.mean, PRIORS.intercept.sd),
        "week": rng.normal(PRIORS.week.mean, PRIORS.week.sd),
        "sd_intercept": draw_half_cauchy(PRIORS.sd, rng),
        "sd_week": draw_half_cauchy(PRIORS.sd, rng),
        "correlation": rho,
        "sigma": draw_half_cauchy(PRIORS.sigma, rng),
    }
    z = rng.standard_normal((N_STUDENTS, 2))
    intercept = truth["intercept_at_mean_week"] - truth["week"] * week.mean() + truth["sd_intercept"] * z[:, 0]
    slope = truth["week"] + truth["sd_week"] * (rho * z[:, 0] + np.sqrt(1 - rho**2) * z[:, 1])
    score = intercept[student] + slope[student] * week + truth["sigma"] * rng.standard_normal(len(week))
    return truth, (student, week, score), (intercept[0], slope[0])


def ranks_of(truth, line, data, posterior, rng):
    """Rank of each true value among N_KEPT posterior draws; 0 to N_KEPT."""
    theta = posterior.hyper_draws(N_KEPT)
    n_draws = posterior.theta.shape[0] * posterior.theta.shape[1]
    kept = {name: draws.ravel() for name, draws in posterior.parameters.items()}
    chosen = ((np.arange(N_KEPT) + 0.5) / N_KEPT * n_draws).astype(int)
    ranks = {name: int(np.sum(kept[name][chosen] < value)) for name, value in truth.items()}
    mean, covariance = conditional_lines(theta, data, student=0)
    level = mean @ [1.0, 12.0] + rng.standard_normal(len(theta)) * np.sqrt(
        np.einsum("i,kij,j->k", [1.0, 12.0], covariance, [1.0, 12.0])
    )
    ranks["projected level of a student"] = int(np.sum(level < line[0] + 12 * line[1]))
    return ranks


@pytest.mark.slow
def test_ranks_are_uniform_under_stan(stan_runner):
    """200 cohorts; chi-square over ten bins, the smallest of seven p values at least 0.001 (seed 71)."""
    rng = np.random.default_rng(71)
    ranks, unusable = [], 0
    for replication in range(200):
        truth, rows, line = draw_cohort(rng)
        student, week, score = rows
        data = growth_data(student, week, score=score)
        settings = StanSettings(chains=2, warmup=400, draws=990, seed=replication + 1, adapt_delta=0.95)
        posterior = fit_stan(data, stan_runner, priors=PRIORS, settings=settings, thresholds=RANKS_NEED)
        unusable += not posterior.verdict.usable
        ranks.append(ranks_of(truth, line, data, posterior, rng))
    # A fit is never left out for its diagnostics, which would bias the ranks; but few may be bad.
    assert unusable <= 10
    p_values = {
        name: stats.chisquare(np.histogram([r[name] for r in ranks], bins=10, range=(0, N_KEPT + 1))[0]).pvalue
        for name in ranks[0]
    }
    assert min(p_values.values()) > 0.001, p_values


@pytest.mark.slow
def test_the_quick_looks_gate_lets_only_good_approximations_through(stan_runner):
    """On 60 fresh small cohorts: wherever the gate says yes, means lie within 0.2 posterior SDs of Stan's (seed 72)."""
    rng = np.random.default_rng(72)
    passed = 0
    for replication in range(60):
        _, rows, _ = draw_cohort(rng)
        student, week, score = rows
        data = growth_data(student, week, score=score)
        quick = fit_laplace(data, PRIORS, n_draws=8000, seed=replication)
        if not quick.verdict.usable:
            continue
        settings = StanSettings(chains=4, warmup=400, draws=2000, seed=replication + 1, adapt_delta=0.95)
        slow = fit_stan(data, stan_runner, priors=PRIORS, settings=settings)
        if not slow.verdict.usable:
            continue
        passed += 1
        theirs, ours = slow.summary(), quick.summary()
        for name in ("intercept", "week", "sd_intercept", "sd_week", "correlation", "sigma"):
            assert abs(ours[name]["mean"] - theirs[name]["mean"]) < 0.2 * theirs[name]["sd"], (replication, name)
    assert passed >= 10
