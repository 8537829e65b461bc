"""What a longer history and earlier fits change: the look-back, and the priors of gains."""

from dataclasses import astuple

import numpy as np
import pytest

from benchmarks._cohorts import GrowthTruth, simulate_cohort
from seedtest_analytics.stats.growth.data import growth_data
from seedtest_analytics.stats.growth.evidence import lookback_weeks, narrowed, weight_of
from seedtest_analytics.stats.growth.laplace import fit_laplace
from seedtest_analytics.stats.growth.posterior import GrowthPosterior
from seedtest_analytics.stats.growth.priors import GrowthPriors, HalfCauchy, Normal

GAINS = {"intercept": 0.2, "slope": 0.03, "tau0": 0.9, "rho": 0.0, "sigma": 0.6}


@pytest.mark.parametrize(("history", "weeks"), [(0, 8), (8, 8), (16, 8), (17, 9), (30, 15), (52, 26), (300, 26)])
def test_the_look_back_is_half_of_the_history_within_its_limits(history: int, weeks: int) -> None:
    assert lookback_weeks(history) == weeks


def test_a_history_or_a_distance_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="history_weeks"):
        lookback_weeks(-1)
    with pytest.raises(ValueError, match="distance_weeks"):
        weight_of(-1.0)


def test_what_an_earlier_fit_counts_halves_in_half_a_year() -> None:
    assert [weight_of(weeks) for weeks in (0.0, 26.0, 52.0)] == [1.0, 0.5, 0.25]


def draws(gain: np.ndarray, sd: np.ndarray) -> np.ndarray:
    theta = np.zeros((len(gain), 6))
    theta[:, 1], theta[:, 3] = gain, np.log(sd)
    return theta


def test_the_priors_of_gains_are_those_of_the_earlier_posterior_and_widen_with_its_age() -> None:
    """Gains of mean 0.03 and SD 0.004; SDs of gains at the quartiles 0.015, 0.02 and 0.03."""
    theta = draws(np.array([0.026, 0.034] * 2), np.array([0.01, 0.02, 0.02, 0.04]))
    low, high = np.quantile([0.01, 0.02, 0.02, 0.04], [0.25, 0.75])
    given = GrowthPriors(Normal(0.4, 2.0), sigma=HalfCauchy(0.0, 0.5), lkj_eta=2.0)
    now, old = (narrowed(given, theta, distance_weeks=weeks) for weeks in (0, 26))
    for found, weight in ((now, 1.0), (old, 0.5)):
        assert astuple(found.week) == pytest.approx((0.03, np.hypot(0.004 / np.sqrt(weight), 0.02)), rel=1e-3)
        assert found.sd_week is not None
        assert astuple(found.sd_week) == pytest.approx((0.02, (high - low) / 2 / np.sqrt(weight)), rel=1e-3)
    assert (now.intercept, now.sd, now.sigma, now.lkj_eta) == (given.intercept, given.sd, given.sigma, 2.0)


def test_a_prior_is_never_wider_than_the_one_it_narrows() -> None:
    theta = draws(np.array([-3.0, 3.0] * 2), np.array([0.1, 1.0, 5.0, 50.0]))
    found = narrowed(GrowthPriors(), theta, distance_weeks=100)
    assert (found.week.sd, found.sd_week.scale if found.sd_week else None) == (0.5, 1.0)


def small_cohort(spread: float, seed: int, priors: GrowthPriors) -> GrowthPosterior:
    truth = GrowthTruth(tau1=spread, **GAINS)
    c = simulate_cohort(60, 8, missing=0.4, seed=seed, truth=truth)
    return fit_laplace(growth_data(c.student, c.week, score=c.score), priors, n_draws=2000, seed=seed)


def sd_of_gains(posterior: GrowthPosterior) -> dict[str, float]:
    return posterior.summary()["sd_week"]


@pytest.mark.long
def test_with_earlier_fits_eight_weeks_of_a_small_cohort_say_how_far_gains_differ() -> None:
    """Gains of SD 0.02: seeds 711 and 712 after a fit of 400 students and 26 weeks (seed 710)."""
    c = simulate_cohort(400, 26, missing=0.4, seed=710, truth=GrowthTruth(tau1=0.02, **GAINS))
    earlier = fit_laplace(growth_data(c.student, c.week, score=c.score), n_draws=2000, seed=1)
    known = narrowed(GrowthPriors(), earlier.hyper_draws(400), distance_weeks=26)
    for seed in (711, 712):
        loose, tight = (sd_of_gains(small_cohort(0.02, seed, priors)) for priors in (GrowthPriors(), known))
        assert tight["q2.5"] < 0.02 < tight["q97.5"]
        assert tight["q97.5"] - tight["q2.5"] < 0.6 * (loose["q97.5"] - loose["q2.5"])
        # Where the scores contradict the earlier fits, they decide: gains now differ twenty times as much.
        moved = sd_of_gains(small_cohort(0.4, seed, known))
        assert moved["q2.5"] < 0.4 < moved["q97.5"]
