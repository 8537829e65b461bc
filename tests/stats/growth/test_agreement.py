"""One posterior from Stan, the Laplace backend and brms, and from the naive program on fresh data."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks._cohorts import PROGRAMS, simulate_cohort
from seedtest_analytics.stats.growth.brms import BRMS_NAMES
from seedtest_analytics.stats.growth.data import growth_data
from seedtest_analytics.stats.growth.density import MarginalDensity
from seedtest_analytics.stats.growth.diagnostics import ess_bulk
from seedtest_analytics.stats.growth.laplace import fit_laplace
from seedtest_analytics.stats.growth.posterior import GrowthPosterior
from seedtest_analytics.stats.growth.priors import GrowthPriors, HalfCauchy, Normal
from seedtest_analytics.stats.growth.stan import (
    MARGINAL,
    StanDraws,
    StanProgram,
    StanSettings,
    fit_stan,
    marginal_data,
    prior_data,
)
from tests._shared import shared
from tests.stats.growth.support import mcse_mean, predict_students

NAIVE = StanProgram(PROGRAMS / "growth_naive.stan")


@pytest.fixture(scope="module")
def reference():
    scores = pd.read_csv(shared("reference/growth/growth_200.csv"))
    brms = json.loads(shared("reference/growth/brms_growth_200.json").read_text())
    return growth_data(scores["student_id"], scores["week"], score=scores["score"]), brms


@pytest.fixture(scope="module")
def by_stan(reference, stan_runner):
    return fit_stan(reference[0], stan_runner, settings=StanSettings(draws=2000, seed=11))


@pytest.fixture(scope="module")
def by_laplace(reference):
    return fit_laplace(reference[0], n_draws=8000, seed=12)


def effective_draws(posterior: GrowthPosterior, name: str) -> float:
    draws = posterior.parameters[name]
    if posterior.importance is not None:
        return posterior.importance.effective_draws
    return float(draws.var() / mcse_mean(draws) ** 2)


def monte_carlo_error(posterior: GrowthPosterior, name: str) -> float:
    return float(posterior.parameters[name].std() / np.sqrt(effective_draws(posterior, name)))


def sd_error(posterior: GrowthPosterior, name: str, *, effective: float | None = None) -> float:
    """Relative Monte Carlo error of a posterior SD, by the delta method: half that of the mean squared deviation.

    Squared deviations of a chain mix more slowly than its draws, so their error is larger. With ``effective``
    draws of another program the error is sqrt((kurtosis - 1) / 4 n).
    """
    draws = posterior.parameters[name]
    squares = (draws - draws.mean()) ** 2
    if effective is None and posterior.importance is None:
        return float(mcse_mean(squares) / (2 * squares.mean()))
    kurtosis = float(np.mean(squares**2) / draws.var() ** 2)
    return float(np.sqrt((kurtosis - 1) / (4 * (effective or effective_draws(posterior, name)))))


@pytest.mark.reference
@pytest.mark.parametrize("backend", [pytest.param("by_stan", marks=pytest.mark.stan), "by_laplace"])
class TestAgainstBrms:
    def test_population_means_and_sds(self, backend, reference, request):
        """Means within three Monte Carlo errors of both, SDs within four."""
        posterior = request.getfixturevalue(backend)
        assert posterior.verdict.usable
        ours = posterior.summary()
        for theirs in reference[1]["summary"]:
            name = BRMS_NAMES[theirs["variable"]]
            error = np.hypot(theirs["sd"] / np.sqrt(theirs["ess_bulk"]), monte_carlo_error(posterior, name))
            assert abs(ours[name]["mean"] - theirs["mean"]) < 3 * error, name
            # The tails of the draws decide the error of an SD, so brms's n is that of its tails.
            error = np.hypot(sd_error(posterior, name, effective=theirs["ess_tail"]), sd_error(posterior, name))
            assert abs(ours[name]["sd"] / theirs["sd"] - 1) < 4 * error, name

    def test_students(self, backend, reference, request):
        data, brms = reference
        theirs = pd.DataFrame(brms["students"]).set_index("student_id").loc[list(data.students)]
        ours = predict_students(request.getfixturevalue(backend), data, goal_week=15, goal=0.7)
        # brms projects the line itself, which is ours where the student was not silent at the end.
        practises = data.last_week >= data.weeks[-1] - 1
        assert practises.mean() > 0.5
        assert np.abs(ours.P - theirs["p_mu15_gt_0.7"])[practises].max() < 0.02
        for mean, sd, name in (
            (ours.intercept_mean, ours.intercept_sd, "intercept"),
            (ours.slope_mean, ours.slope_sd, "slope"),
            (ours.projected, ours.sigma, "mu15"),
        ):
            # Half of brms's 8,000 draws taken as effective; 600 comparisons, so four errors.
            z = (mean - theirs[f"{name}_mean"]) / (theirs[f"{name}_sd"] / np.sqrt(4000))
            assert np.abs(z)[practises | (name != "mu15")].max() < 4, name
            np.testing.assert_allclose(sd, theirs[f"{name}_sd"], rtol=0.05)


@pytest.mark.reference
def test_stan_and_the_quick_look_agree(by_stan, by_laplace):
    stan, laplace = by_stan.summary(), by_laplace.summary()
    for name in stan:
        error = np.hypot(monte_carlo_error(by_stan, name), monte_carlo_error(by_laplace, name))
        assert abs(stan[name]["mean"] - laplace[name]["mean"]) < 4 * error, name
        error = np.hypot(sd_error(by_stan, name), sd_error(by_laplace, name))
        assert abs(stan[name]["sd"] / laplace[name]["sd"] - 1) < 4 * error, name
        for bound in ("q2.5", "q97.5"):
            assert stan[name][bound] == pytest.approx(laplace[name][bound], abs=0.2 * stan[name]["sd"]), name


@pytest.mark.reference
def test_trees_stay_shallow(by_stan):
    report = by_stan.diagnostics()
    assert report["treedepth"]["max"] <= 4
    assert report["divergences"] == 0
    assert report["ess_bulk"]["min"] > 4000


@pytest.mark.parametrize("n_students", [3, 8, 21])
def test_cpp_and_numba_are_one_density(stan_runner, n_students):
    """Stan's lp__ of its own draws, less a constant, is the compiled density at the same points.

    The numbers of designs leave every remainder by the program's vector width, and weights make designs
    unlike.
    """
    c = simulate_cohort(n_students, seed=n_students)
    weight = np.random.default_rng(1).integers(1, 4, len(c.week)).astype(float)
    data = growth_data(c.student, c.week, score=c.score, weight=weight if n_students == 21 else None)
    priors = GrowthPriors(
        Normal(0.3, 0.4), Normal(0.02, 0.1), sd=HalfCauchy(0.1, 0.2), sigma=HalfCauchy(0.05, 0.3), lkj_eta=3.0
    )
    location, scale = np.array([0.5, 0.01, -2.4, -4.7, 0.1, -2.5]), np.diag([0.05, 0.01, 0.3, 0.3, 0.3, 0.2])
    draws = stan_runner.sample(
        MARGINAL,
        marginal_data(data, priors, location=location, scale=scale),
        settings=StanSettings(2, 100, draws=100, seed=5),
    )
    theta = location + draws.variables["z"].reshape(-1, 6) @ scale.T
    ours = MarginalDensity.of(data, priors).values(theta)
    difference = draws.log_density.ravel() - ours
    np.testing.assert_allclose(difference, difference.mean(), atol=1e-4)


@pytest.mark.slow
def test_naive_program_on_fresh_data(stan_runner):
    """Three fresh cohorts of 60, every student sampled: pooled z of means at most 4, SDs within 8 per cent.

    Priors other than the defaults, so that both programs must use what they are given.
    """
    priors = GrowthPriors(
        Normal(0.3, 0.3), Normal(0.0, 0.05), sd=HalfCauchy(0.05, 0.1), sigma=HalfCauchy(0.0, 0.2), lkj_eta=2.0
    )
    for seed in (51, 52, 53):
        c = simulate_cohort(60, seed=seed)
        data = growth_data(c.student, c.week, score=c.score)
        inputs = {
            "N": data.n_scores,
            "J": data.n_students,
            "student": (c.student + 1).tolist(),
            "week": c.week,
            "score": c.score,
        }
        naive: StanDraws = stan_runner.sample(
            NAIVE, inputs | prior_data(priors), settings=StanSettings(chains=4, warmup=700, draws=1000, seed=seed)
        )
        marginal = fit_stan(data, stan_runner, priors=priors, settings=StanSettings(draws=2000, seed=seed))
        assert marginal.verdict.usable
        ours = marginal.parameters
        tau = naive.variables["tau"]
        theirs = {
            "intercept_at_mean_week": naive.variables["Intercept"],
            "week": naive.variables["slope"],
            "sd_intercept": tau[..., 0],
            "sd_week": tau[..., 1],
            "correlation": naive.variables["rho"],
            "sigma": naive.variables["sigma"],
        }
        for name, draws in theirs.items():
            error = np.hypot(mcse_mean(draws), mcse_mean(ours[name]))
            assert abs(draws.mean() - ours[name].mean()) < 4 * error, (seed, name)
            assert ours[name].std() == pytest.approx(draws.std(), rel=0.08 + 2 / np.sqrt(ess_bulk(draws))), name
        lines = naive.variables["lines"].reshape(-1, 2, 60)
        students = predict_students(marginal, data, goal_week=15, goal=0.65)
        level = lines[:, 0] + 15 * lines[:, 1]
        assert np.abs(students.P - (level >= 0.65).mean(axis=0)).max() < 0.05
        np.testing.assert_allclose(students.sigma, level.std(axis=0), rtol=0.1)
