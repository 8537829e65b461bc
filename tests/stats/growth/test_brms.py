"""A brms fit becomes a posterior with its priors, diagnostics and seed."""

import dataclasses

import numpy as np
import pytest

from benchmarks._cohorts import simulate_cohort
from seedtest_analytics.stats.growth.brms import posterior_of_brms
from seedtest_analytics.stats.growth.data import growth_data
from seedtest_analytics.stats.growth.laplace import fit_laplace
from seedtest_analytics.stats.growth.priors import GrowthPriors, HalfCauchy
from seedtest_analytics.stats.mixed_model.brms_draws import BrmsDraws
from tests.stats.growth.support import predict_students


def test_a_brms_fit_predicts_like_the_posterior_its_draws_come_from():
    """Four chains cut from the draws of the Laplace fit, under brms's names."""
    c = simulate_cohort(150, seed=81)
    data = growth_data(c.student, c.week, score=c.score)
    quick = fit_laplace(data, n_draws=4000, seed=1)
    resampled = dataclasses.replace(
        quick, theta=quick.hyper_draws(4000)[np.random.default_rng(1).permutation(4000)][None], weights=None
    )
    named = {name: draws.reshape(4, 1000) for name, draws in resampled.parameters.items()}
    empty = np.empty((4, 1000, 0))
    priors = GrowthPriors(sigma=HalfCauchy(0.0, 2.0))
    draws = BrmsDraws(
        family="gaussian",
        parameters={
            "b_Intercept": named["intercept"],
            "b_week": named["week"],
            "sd_student_id__Intercept": named["sd_intercept"],
            "sd_student_id__week": named["sd_week"],
            "cor_student_id__Intercept__week": named["correlation"],
            "sigma": named["sigma"],
        },
        student_ids=data.students,
        student_intercept=empty,
        student_slope=empty,
        priors=priors.to_json(),
        divergences=0,
        ebfmi=np.ones(4),
        treedepth_max=5,
        treedepth_hits=0,
        seed=7,
        program="",
        is_model_from_cache=True,
        toolchain="brms 2.18",
    )
    posterior = posterior_of_brms(draws, data)
    assert posterior.method == "brms"
    assert posterior.seed == 7
    assert posterior.priors == priors
    assert posterior.diagnostics()["treedepth"] == {"max": 5, "at_limit": 0}
    ours, theirs = (
        predict_students(quick, data, goal_week=15, goal=0.65),
        predict_students(posterior, data, goal_week=15, goal=0.65),
    )
    np.testing.assert_allclose(theirs.P, ours.P, atol=0.01)
    np.testing.assert_allclose(theirs.sigma, ours.sigma, rtol=0.03)
    with pytest.raises(ValueError, match="or others"):
        posterior_of_brms(dataclasses.replace(draws, student_ids=data.students + 1), data)
