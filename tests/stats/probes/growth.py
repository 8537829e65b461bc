"""Good calls of ``stats.growth``. The fits use few draws and loose thresholds; no test looks at their estimates."""

from functools import cache

import numpy as np

N = 12
RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=N)
STUDENTS, WEEKS = 8, 5
ROWS = {"student": np.repeat(np.arange(STUDENTS), WEEKS), "week": np.tile(np.arange(float(WEEKS)), STUDENTS)}
DRAWS = RNG.normal(size=(2, 8))
EARLIER = RNG.normal(size=60)
BRMS_DRAWS = {
    "b_Intercept": DRAWS,
    "b_week": DRAWS,
    "sd_student_id__Intercept": np.exp(DRAWS),
    "sd_student_id__week": np.exp(DRAWS),
    "cor_student_id__Intercept__week": np.tanh(DRAWS),
    "sigma": np.exp(DRAWS),
}


@cache
def scores():
    rng = np.random.default_rng(4)
    level = rng.normal(size=STUDENTS)[ROWS["student"]]
    return level + 0.05 * ROWS["week"] + rng.normal(0, 0.3, STUDENTS * WEEKS)


@cache
def data():
    from seedtest_analytics.stats.growth.data import growth_data

    return growth_data(ROWS["student"], ROWS["week"], score=scores())


@cache
def counts():
    from seedtest_analytics.stats.growth.counts import count_data

    right = np.round(10 / (1 + np.exp(-scores())))
    return count_data(ROWS["student"], ROWS["week"], answered=np.full(len(right), 10), right=right)


@cache
def thresholds():
    from seedtest_analytics.stats.growth.posterior import Thresholds

    return Thresholds(min_ess=1.0, max_pareto_k=10.0, min_effective_share=0.0)


@cache
def posterior():
    from seedtest_analytics.stats.growth.laplace import fit_laplace

    return fit_laplace(data(), n_draws=100, thresholds=thresholds())


@cache
def count_posterior():
    from seedtest_analytics.stats.growth.binomial import fit_binomial

    return fit_binomial(counts(), n_draws=100, thresholds=thresholds())


@cache
def growth_priors():
    from seedtest_analytics.stats.growth.priors import GrowthPriors

    return GrowthPriors()


@cache
def brms_draws():
    from seedtest_analytics.stats.growth.priors import GrowthPriors
    from seedtest_analytics.stats.mixed_model.brms_draws import BrmsDraws

    return BrmsDraws(
        "gaussian",
        BRMS_DRAWS,
        student_ids=np.arange(STUDENTS),
        student_intercept=np.zeros((2, 8, STUDENTS)),
        student_slope=np.zeros((2, 8, STUDENTS)),
        priors=GrowthPriors().to_json(),
        divergences=0,
        ebfmi=np.ones(2),
        treedepth_max=3,
        treedepth_hits=0,
        seed=1,
        program="",
        is_model_from_cache=False,
        toolchain="",
    )


PROBES = {
    "growth.data.growth_data": {
        "student": np.repeat(["a", "b", "c"], 4),
        "week": np.tile(np.arange(4.0), 3),
        "score": NORMAL,
        "weight": np.ones(N),
    },
    "growth.counts.count_data": {
        "student": np.repeat(["a", "b", "c"], 4),
        "week": np.tile(np.arange(4.0), 3),
        "answered": np.full(N, 9),
        "right": np.arange(N) % 9,
    },
    "growth.priors.Normal": {"mean": 0.0, "sd": 1.0},
    "growth.priors.HalfCauchy": {"location": 0.0, "scale": 1.0},
    "growth.priors.GrowthPriors": {"lkj_eta": 1.0},
    "growth.priors.GrowthPriors.from_json": {
        "value": {
            "intercept": {"dist": "normal", "mean": 0.0, "sd": 1.0},
            "sd": {"dist": "cauchy", "location": 0.0, "scale": 1.0},
            "cor": {"dist": "lkj", "eta": 2.0},
        }
    },
    "growth.evidence.lookback_weeks": {"history_weeks": 40},
    "growth.evidence.weight_of": {"distance_weeks": 13.0},
    "growth.evidence.narrowed": {"priors": growth_priors, "draws": RNG.normal(size=(60, 6)), "distance_weeks": 26.0},
    "growth.posterior.Thresholds": {
        "max_rhat": 1.01,
        "min_ess": 400.0,
        "max_divergences": 0,
        "min_ebfmi": 0.3,
        "max_treedepth_hits": 0,
        "max_pareto_k": 0.5,
        "min_effective_share": 0.5,
    },
    "growth.stan.StanSettings": {
        "chains": 4,
        "warmup": 300,
        "draws": 1000,
        "seed": 42,
        "adapt_delta": 0.8,
        "max_treedepth": 10,
    },
    "growth.laplace.fit_laplace": {"data": data, "n_draws": 100, "seed": 0, "thresholds": thresholds},
    "growth.binomial.fit_binomial": {"data": counts, "n_draws": 100, "seed": 0, "thresholds": thresholds},
    "growth.binomial.default_draws": {"n_students": 100},
    "growth.binomial.predict_counts": {
        "posterior": count_posterior,
        "data": counts,
        "goal_week": np.full(STUDENTS, 10.0),
        "goal": np.full(STUDENTS, 0.6),
        "as_of_week": 8.0,
        "level": 0.9,
        "n_hyper_draws": 20,
    },
    "growth.brms.posterior_of_brms": {"draws": brms_draws, "data": data, "thresholds": thresholds},
    "growth.brms.theta_of": {"draws": BRMS_DRAWS, "family": "gaussian", "week_mean": 2.0},
    "growth.diagnostics.rhat": {"draws": DRAWS},
    "growth.diagnostics.ess_bulk": {"draws": DRAWS},
    "growth.diagnostics.ess_tail": {"draws": DRAWS},
    "growth.diagnostics.ebfmi": {"energy": DRAWS},
    "growth.goal.goal_probability": {
        "current_score": 0.1,
        "trend": 0.05,
        "weeks_remaining": 6.0,
        "target_score": 0.4,
        "credible_interval": 0.9,
        "posterior": posterior,
        "weeks_observed": 8,
        "event": "level",
    },
    "growth.prediction.predict_blocks": {
        "posterior": posterior,
        "data": data,
        "goal_week": np.full(STUDENTS, 10.0),
        "goal": np.full(STUDENTS, 0.6),
        "as_of_week": 8.0,
        "event": "score",
        "level": 0.9,
        "n_hyper_draws": 20,
        "block_students": 4,
    },
    "growth.prediction.hyper_draws_needed": {"n_students": 100},
    "growth.quantile_regression.quantile_regression": {
        "x": np.column_stack([np.ones(N), NORMAL]),
        "y": RNG.normal(size=N),
        "probability": 0.3,
    },
    "growth.percentiles.growth_percentiles": {
        "earlier": EARLIER,
        "earlier_se": np.full(60, 0.3),
        "later": EARLIER + RNG.normal(0.1, 0.2, 60),
        "later_se": np.full(60, 0.3),
        "gain_se": np.full(60, 0.35),
        "is_reference": np.ones(60, dtype=bool),
        "level": 0.9,
    },
    "growth.plots.posterior_intervals": {"posterior": posterior},
    "growth.plots.rank_histogram": {"draws": DRAWS, "n_bins": 4},
    "growth.plots.predictive_check": {
        "posterior": posterior,
        "student": ROWS["student"],
        "week": ROWS["week"],
        "score": np.tile(np.linspace(-1, 1, WEEKS), STUDENTS),
        "weight": np.ones(STUDENTS * WEEKS),
        "seed": 0,
    },
    "growth.plots.student_fans": {
        "posterior": posterior,
        "data": data,
        "students": np.array([0, 3]),
        "weeks": np.arange(3.0),
        "as_of_week": 8.0,
        "n_hyper_draws": 20,
    },
    "growth.plots.probability_histogram": {"probability": RNG.random(N), "n_bins": 4},
}

DATA_AND_PRIORS = "growth.data.growth_data growth.counts.count_data growth.priors.GrowthPriors"

CHECKED_BY_CALLER = [
    (
        "growth.data",
        "numeric check_finite name_rows check_lengths check_students check_counts",
        "growth.data.growth_data growth.counts.count_data",
    ),
    ("growth.density", "relative_factor shrinkage log_prior is_far_outside", DATA_AND_PRIORS),
    ("growth.laplace", "sample_around laplace_mode", DATA_AND_PRIORS),
    ("growth.laplace", "check_sampling", "growth.laplace.fit_laplace growth.binomial.fit_binomial"),
    ("growth.mode", "starting_point find_mode scale_of", DATA_AND_PRIORS),
    ("growth.binomial", "count_mode", DATA_AND_PRIORS),
    ("growth.proposal", "proposal_around theta_of log_jacobian density_of_phi mode_of_phi", DATA_AND_PRIORS),
    ("growth.quadrature", "integrate_student integrate_everyone", DATA_AND_PRIORS),
    ("growth.psis", "smooth_weights fit_generalised_pareto", "growth.laplace.fit_laplace growth.binomial.fit_binomial"),
    ("splines", "spline_basis", "growth.percentiles.growth_percentiles"),
    ("growth.diagnostics", "chains_of", "growth.diagnostics.rhat growth.plots.rank_histogram"),
    ("growth.posterior", "fitted_data weighted_quantile", DATA_AND_PRIORS),
    (
        "growth.mixture",
        "normal_quantile normal_cdf mixture_moments mixture_quantile level_probability score_probability",
        "growth.prediction.predict_blocks growth.binomial.predict_counts growth.goal.goal_probability",
    ),
    (
        "growth.prediction",
        "check_fit check_level spread_goals weeks_without_growth silence relative_covariance conditional_lines predict_sums",
        "growth.prediction.predict_blocks growth.binomial.predict_counts growth.plots.student_fans",
    ),
    ("growth.moving", "weeks_rested", "growth.prediction.predict_blocks"),
    (
        "growth.stan",
        "fit_stan marginal_data count_inputs prior_data",
        f"{DATA_AND_PRIORS} growth.stan.StanSettings growth.posterior.Thresholds",
    ),
]
