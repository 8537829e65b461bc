"""One result object: contract shapes, verdicts, draws made elsewhere."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks._cohorts import simulate_cohort
from seedtest_analytics.stats.growth.brms import theta_of
from seedtest_analytics.stats.growth.data import growth_data
from seedtest_analytics.stats.growth.errors import UnusablePosteriorError
from seedtest_analytics.stats.growth.laplace import fit_laplace
from seedtest_analytics.stats.growth.posterior import GrowthPosterior, ImportanceRun, SamplerRun, weighted_quantile
from seedtest_analytics.stats.growth.priors import GrowthPriors, HalfCauchy, Normal

SEED = 20
CLEAN = SamplerRun(divergences=0, ebfmi=np.array([0.9, 1.0, 1.1, 0.8]), treedepth_max=3, treedepth_hits=0)


def brms_draws(chains=4, draws=500):
    rng = np.random.default_rng(SEED)
    shape = (chains, draws)
    return {
        "b_Intercept": 0.44 + 0.01 * rng.standard_normal(shape),
        "b_week": 0.012 + 0.001 * rng.standard_normal(shape),
        "sd_student_id__Intercept": 0.12 * np.exp(0.05 * rng.standard_normal(shape)),
        "sd_student_id__week": 0.01 * np.exp(0.05 * rng.standard_normal(shape)),
        "cor_student_id__Intercept__week": -0.2 + 0.05 * rng.standard_normal(shape),
        "sigma": 0.08 * np.exp(0.02 * rng.standard_normal(shape)),
        "lp__": rng.standard_normal(shape),
    }


def from_brms(draws=None, sampler=CLEAN):
    return GrowthPosterior(
        family="gaussian",
        method="brms",
        theta=theta_of(draws or brms_draws(), "gaussian", week_mean=6.5),
        weights=None,
        priors=GrowthPriors(),
        seed=SEED,
        week_mean=6.5,
        last_week=12.0,
        n_students=200,
        n_scores=1904,
        sampler=sampler,
        toolchain="brms 2.18",
    )


def test_draws_made_elsewhere_come_back_as_they_were():
    draws = brms_draws()
    taken = from_brms(draws).parameters
    np.testing.assert_allclose(taken["intercept"], draws["b_Intercept"], atol=1e-12)
    np.testing.assert_allclose(taken["intercept_at_mean_week"], draws["b_Intercept"] + 6.5 * draws["b_week"])
    np.testing.assert_allclose(taken["sd_week"], draws["sd_student_id__week"])
    np.testing.assert_allclose(taken["correlation"], draws["cor_student_id__Intercept__week"])
    np.testing.assert_allclose(taken["sigma"], draws["sigma"])


def test_summary_and_diagnostics_have_the_contracts_shapes():
    posterior = from_brms()
    summary = posterior.summary()
    draws = brms_draws()["b_week"].ravel()
    assert summary["week"]["mean"] == pytest.approx(draws.mean())
    assert summary["week"]["q97.5"] == pytest.approx(np.quantile(draws, 0.975))
    assert {"intercept", "week", "sigma", "sd_intercept", "sd_week", "correlation"} <= set(summary)
    assert all(set(entry) == {"mean", "sd", "q2.5", "q97.5"} for entry in summary.values())
    report = posterior.diagnostics()
    assert report["rhat"]["max"] < 1.01
    assert report["ess_bulk"]["min"] > 1000
    assert report["ess_tail"]["min"] > 1000
    assert report["divergences"] == 0
    assert report["ebfmi"] == {"min": 0.8}
    assert report["treedepth"] == {"max": 3, "at_limit": 0}
    json.dumps([summary, report, posterior.priors.to_json()], allow_nan=False)


def test_a_clean_fit_is_usable():
    assert from_brms().verdict.usable
    from_brms().require_usable()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"divergences": 3}, "3 divergent"),
        ({"ebfmi": np.array([0.9, 0.1])}, "E-BFMI 0.10"),
        ({"treedepth_hits": 2}, "2 transitions at the tree-depth limit"),
    ],
)
def test_a_sampler_in_trouble_makes_the_fit_unusable(change, reason):
    posterior = from_brms(sampler=dataclasses.replace(CLEAN, **change))
    with pytest.raises(UnusablePosteriorError, match=reason):
        posterior.require_usable()


def test_chains_that_disagree_make_the_fit_unusable():
    draws = brms_draws()
    draws["sigma"][0] *= 1.2
    reasons = from_brms(draws).verdict.reasons
    assert any("R-hat" in reason for reason in reasons)
    assert any("ess_bulk" in reason for reason in reasons)


def test_too_few_draws_make_the_fit_unusable():
    assert any("ess_bulk" in reason for reason in from_brms(brms_draws(2, 100)).verdict.reasons)


def test_a_parameter_that_never_moved_cannot_be_judged():
    draws = brms_draws()
    draws["sigma"][:] = 0.08
    posterior = from_brms(draws)
    assert not posterior.verdict.usable
    assert posterior.diagnostics()["rhat"]["max"] is None
    assert "R-hat unknown above 1.01" in posterior.verdict.reasons


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("sigma", None, "missing"), ("sigma", -0.1, "not positive"), ("b_week", np.nan, "not finite")],
)
def test_impossible_draws_are_refused(name, value, message):
    draws = brms_draws()
    if value is None:
        del draws[name]
    else:
        draws[name][1, 3] = value
    with pytest.raises(ValueError, match=message):
        from_brms(draws)


def test_draws_of_unequal_shape_are_refused():
    draws = brms_draws()
    draws["sigma"] = draws["sigma"][:, :-1]
    with pytest.raises(ValueError, match="one shape"):
        from_brms(draws)


def test_a_correlation_at_the_edge_stays_finite():
    draws = brms_draws()
    draws["cor_student_id__Intercept__week"][0, 0] = -1.0
    assert np.isfinite(from_brms(draws).theta).all()


def test_a_spread_of_gains_that_the_scores_do_not_know_is_a_caution():
    draws = brms_draws()
    spread = np.exp(np.linspace(np.log(0.006), np.log(0.15), draws["sd_student_id__week"].size))
    draws["sd_student_id__week"] = spread.reshape(draws["sd_student_id__week"].shape)
    assert len(from_brms().cautions) == 0
    (caution,) = from_brms(draws).cautions
    assert "differ (SD of a week's gain from 0.0065 to 0.14)" in caution
    assert from_brms(draws).warnings == ()


def test_hyper_draws_thin_every_chain_and_follow_the_weights():
    posterior = from_brms()
    thinned = posterior.hyper_draws(200)
    assert thinned.shape == (200, 6)
    origin = {tuple(row): chain for chain, rows in enumerate(posterior.theta) for row in rows}
    np.testing.assert_array_equal(np.bincount([origin[tuple(row)] for row in thinned]), [50] * 4)
    weights = np.zeros(2000)
    weights[[5, 900]] = 0.25, 0.75
    weighted = dataclasses.replace(posterior, weights=weights)
    flat = posterior.theta.reshape(-1, 6)
    chosen = weighted.hyper_draws(40)
    assert sum((row == flat[900]).all() for row in chosen) == 30
    assert sum((row == flat[5]).all() for row in chosen) == 10


def test_weighted_quantile():
    values = np.array([3.0, 1.0, 2.0])
    assert weighted_quantile(values, 0.5, weights=np.array([1e-9, 1e-9, 1.0])) == pytest.approx(2.0)
    assert weighted_quantile(values, 0.5, weights=None) == 2.0


class TestQuickLook:
    def test_the_priors_given_are_the_priors_used(self):
        """Priors of means much tighter than the data must win; priors of SDs must pull a small cohort down."""
        c = simulate_cohort(30, seed=4)
        data = growth_data(c.student, c.week, score=c.score)
        tight = GrowthPriors(intercept=Normal(0.0, 1e-4), week=Normal(0.1, 1e-5))
        summary = fit_laplace(data, tight, n_draws=500, seed=1).summary()
        assert summary["intercept_at_mean_week"]["mean"] == pytest.approx(0.0, abs=1e-3)
        assert summary["week"]["mean"] == pytest.approx(0.1, abs=1e-4)
        c = simulate_cohort(6, n_weeks=4, seed=4)
        few = growth_data(c.student, c.week, score=c.score)
        loose = fit_laplace(few, GrowthPriors(), seed=1).summary()
        small_sd = fit_laplace(few, GrowthPriors(sd=HalfCauchy(0.0, 0.01)), seed=1).summary()
        assert small_sd["sd_intercept"]["mean"] < 0.8 * loose["sd_intercept"]["mean"]
        small_sigma = fit_laplace(few, GrowthPriors(sigma=HalfCauchy(0.0, 0.001)), seed=1).summary()
        assert small_sigma["sigma"]["mean"] < 0.98 * loose["sigma"]["mean"]

    def test_same_seed_same_answer(self):
        c = simulate_cohort(30, seed=4)
        data = growth_data(c.student, c.week, score=c.score)
        one, two = (fit_laplace(data, n_draws=500, seed=9) for _ in range(2))
        np.testing.assert_array_equal(one.theta, two.theta)
        assert one.seed == 9

    def test_it_refuses_where_the_proposal_misses_the_posterior(self):
        """Three students with two scores each: curvature at the mode says little about the rest."""
        rng = np.random.default_rng(2)
        data = growth_data([0, 0, 1, 1, 2, 2], [0, 1, 0, 2, 1, 2], score=0.5 + 0.05 * rng.standard_normal(6))
        posterior = fit_laplace(data, n_draws=2000, seed=3)
        assert not posterior.verdict.usable
        with pytest.raises(UnusablePosteriorError, match="sample with Stan instead"):
            posterior.require_usable()
        assert json.dumps(posterior.diagnostics(), allow_nan=False)

    def test_too_few_draws_are_a_reason_however_good_they_are(self):
        c = simulate_cohort(300, seed=4)
        data = growth_data(c.student, c.week, score=c.score)
        few = fit_laplace(data, n_draws=100, seed=1)
        assert few.importance is not None
        assert few.importance.effective_draws > 50
        (reason,) = few.verdict.reasons
        assert reason == f"importance draws worth {few.importance.effective_draws:.0f} below 400: take more draws"
        # What the asset takes by default: 2 x 1,000.
        assert fit_laplace(data, n_draws=2000, seed=1).verdict.usable

    def test_a_mode_that_was_not_found_is_a_reason(self):
        c = simulate_cohort(30, seed=4)
        good = fit_laplace(growth_data(c.student, c.week, score=c.score), n_draws=500)
        assert good.importance is not None
        bad = dataclasses.replace(good, importance=ImportanceRun(0.1, 400.0, has_converged=False))
        assert bad.verdict.reasons == ("the mode was not found",)

    def test_recovery_tightens_with_the_cohort(self):
        """Posterior means within four posterior SDs of the truth, which shrink as 1 / sqrt(students)."""
        truth = {"week": 0.012, "sigma": 0.08, "sd_week": 0.009, "sd_intercept": 0.09, "correlation": -0.2}
        sds = {}
        for n_students in (500, 8000):
            c = simulate_cohort(n_students, seed=13)
            summary = fit_laplace(growth_data(c.student, c.week, score=c.score), seed=2).summary()
            for name, value in truth.items():
                assert abs(summary[name]["mean"] - value) < 4 * summary[name]["sd"], (n_students, name)
            sds[n_students] = summary["sigma"]["sd"]
        assert sds[8000] == pytest.approx(sds[500] / 4, rel=0.1)
