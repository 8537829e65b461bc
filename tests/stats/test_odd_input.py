"""Odd input to every public function of the statistics: an error with a cause, or a result; nothing else.

``PROBES`` has a good call of each function. Each array in it is made odd in turn (NaN, infinity, empty, too long, huge, text,
None, other shapes), and each number too. A function that is neither probed nor listed fails the test of completeness.
"""

import importlib
import inspect
import pkgutil
import warnings

import numpy as np
import pytest

import seedtest_analytics.stats as package

PREFIX = "seedtest_analytics.stats."
DAYS = np.datetime64("2026-01-05") + 7 * np.arange(12)
RNG = np.random.default_rng(0)
N = 12
UNIT, NORMAL = RNG.random(N), RNG.normal(size=N)
HAPPENED = np.arange(N) % 3 == 0
TIMES = np.arange(1.0, N + 1)

PROBES = {
    "survival.cox.check_survival_data": {
        "X": RNG.normal(size=(N, 2)),
        "stop_times": TIMES,
        "events": HAPPENED,
        "weights": np.ones(N),
        "strata": np.arange(N) % 2,
        "entry_times": TIMES - 1.0,
        "clusters": np.arange(N),
    },
    "survival.kaplan_meier.kaplan_meier": {"stop_times": TIMES, "events": HAPPENED, "entry_times": TIMES - 1.0},
    "survival.concordance.concordance_index": {
        "stop_times": TIMES,
        "events": HAPPENED,
        "scores": NORMAL,
        "strata": np.arange(N) % 2,
        "entry_times": TIMES - 1.0,
    },
    "survival.panel.activity_states": {"days_since_last": TIMES, "stopped_after_days": 7.0},
    "forecasts.series.weekly_series": {
        "metric": "A_t",
        "week_starts": DAYS,
        "values": UNIT,
        "evidence": TIMES,
        "standard_errors": UNIT,
    },
    "forecasts.scores.anomaly_scores": {"errors": NORMAL, "relative_sd": np.ones((N, N)), "floors": UNIT},
    "forecasts.scores.t_to_z": {"t": 2.0, "degrees_of_freedom": 4},
    "forecasts.local_level.checked_rows": {"values": RNG.normal(size=(3, 5)), "evidence": np.ones((3, 5))},
    "forecasts.expectation.expect_students": {
        "values": RNG.normal(size=(6, 5)),
        "evidence": np.ones((6, 5)),
        "min_history": 3,
    },
    "verification.expectations.score_forecasts": {
        "expected": UNIT,
        "observed": UNIT + 0.1,
        "lower": UNIT - 1,
        "upper": UNIT + 1,
        "baseline": UNIT,
        "level": 0.8,
        "weights": np.ones(N),
    },
    "verification.measured.probability_of_measured": {"probability": UNIT, "sd": UNIT, "error_sd": UNIT},
    "verification.probabilities.score_probabilities": {
        "probability": UNIT,
        "outcome": HAPPENED,
        "baseline": np.full(N, 0.4),
        "clusters": np.arange(N),
        "n_groups": 3,
    },
    "verification.probabilities.auc": {"score": NORMAL, "outcome": HAPPENED},
    "verification.probabilities.reliability_curve": {"p": UNIT, "y": HAPPENED, "n_groups": 3},
    "verification.probabilities.wilson_interval": {"share": UNIT, "n": TIMES},
    "verification.verdict.judge_drift": {"observed": UNIT, "predicted": UNIT[::-1], "n": 10 * TIMES, "recent": 3},
    "kpi.goal.normal_goal_probability": {"mean": NORMAL, "sd": UNIT, "target": NORMAL[::-1]},
    "irt.multiplicity.adjust": {"p": UNIT},
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
}
"""A good call of each function, by name of the arguments."""

NOT_YET_PROBED = {
    "ability.filter_kernels": (
        "answer_update earlier_counts fill_table filter_answers find_slots levels_at predict_answers "
    ),
    "ability.filtering": "continue_filter expect find_slots run_filter",
    "ability.fitting": "fit_hyperparameters",
    "ability.goals": "goal_path",
    "ability.next_answer": "continue_next fit_effects learn_next predict_next",
    "ability.next_answer_kernels": "describe predict_and_learn",
    "ability.smoother_kernels": (
        "combine_students count_cells group_by_student invert smooth_students student_posterior "
    ),
    "ability.smoothing": "change_between smooth",
    "forecasts.forecast": "forecast_series forecast_many",
    "forecasts.holidays": "public_holidays",
    "forecasts.local_level": "one_step walk_local_level fit_pooled_level",
    "forecasts.prophet_model": "repetitions fit_prophet holiday_weeks",
    "forecasts.scores": "error_scale lone_outliers counted_errors score_of",
    "growth.binomial": "fit_binomial default_draws predict_counts absolute_factor",
    "growth.brms": "posterior_of_brms theta_of",
    "growth.data": "numeric check_finite name_rows check_lengths check_students check_counts",
    "growth.density": "relative_factor shrinkage log_prior is_far_outside",
    "growth.diagnostics": "rhat ess_bulk ess_tail ebfmi",
    "growth.goal": "goal_probability",
    "growth.laplace": "fit_laplace sample_around laplace_mode propose",
    "growth.mixture": (
        "normal_quantile normal_cdf mixture_moments mixture_quantile level_probability score_probability "
    ),
    "growth.mode": "starting_point find_mode",
    "growth.plots": "posterior_intervals rank_histogram predictive_check student_fans probability_histogram",
    "growth.posterior": "fitted_data weighted_quantile",
    "growth.prediction": (
        "predict_blocks hyper_draws_needed check_fit check_level spread_goals population_draws "
        "relative_covariance conditional_lines "
    ),
    "growth.psis": "smooth_weights fit_generalised_pareto",
    "growth.quadrature": "integrate_student integrate_everyone",
    "growth.stan": "fit_stan marginal_data prior_data",
    "irt.ability_kernels": "grid_moments modes local_moments warm_estimates",
    "irt.anchors": "select_anchor_items",
    "irt.curves": "characteristic_curves drift_forest",
    "irt.data": "row_blocks",
    "irt.dif": "stratum_counts compare_counts ets_classes",
    "irt.dif_groups": "compare_groups",
    "irt.drift": "item_drift",
    "irt.estimation": "calibrate",
    "irt.fit": "item_fit person_fit",
    "irt.fit_kernels": "residual_sums",
    "irt.grid_tables": "in_blocks points answer_tables",
    "irt.kernels": "compress select_items item_components row_posterior expected_counts",
    "irt.link_anchors": "screen_anchors",
    "irt.linking": "link drifted_anchors",
    "irt.louis_kernels": "project_rows entries_by_item add_pairs add_population",
    "irt.model": "logistic probability information",
    "irt.objective": "item_derivatives curve_derivatives add_prior_information",
    "irt.optimiser": "maximise m_step",
    "irt.priors": "evaluate_priors",
    "irt.scoring": "score answers_to",
    "irt.screening": "screen",
    "irt.standard_errors": "standard_errors",
    "irt.threads": "usable_cores run_lanes balanced_rows",
    "irt.verdict": "assemble judge",
    "mixed_model.brms_draws": "check_growth_rows",
    "mixed_model.data": "check_rows refuse held_out_rows",
    "mixed_model.formula": "parse_formula",
    "mixed_model.result": "growth_slopes",
    "segments.segments": "segment_students map_coordinates",
    "segments.choice": "choose_count",
    "segments.clustering": "one_thread cluster sample_rows within_sums",
    "segments.features": "plan_scale",
    "segments.identity": "match_segments",
    "segments.labels": "applies own_label described word still_holds describe distinct_labels",
    "segments.stability": "bootstrap_jaccard",
    "simulate.attempts": "draw_sessions draw_attempts draw_corrections",
    "simulate.cohort": "simulate_cohort",
    "simulate.config": "instant_us hour_table",
    "simulate.hostile": "hostile_exams malformed_log",
    "simulate.items": "draw_items probability_correct",
    "simulate.students": "draw_students of_kind draw_goals",
    "survival.churn_check": "known_at check_at_horizon survival_data fit_family",
    "survival.churn_fit": "fit_churn",
    "survival.cox": "fit_cox",
    "survival.design": "possible_columns plan_design without_dependent_columns",
    "survival.partial_likelihood": (
        "cells_of risk_sums efron_scalars cell_scores information clustered_score_residuals clustered_hazard_residuals "
    ),
    "survival.proportionality": "proportionality_test",
    "survival.reasons": "phrase subjects_of reason",
    "survival.sampling": "parts_of whole_students",
    "survival.weibull": "fit_weibull",
    "verification.logistic": "clipped_logit fit_logistic",
    "verification.verdict": "judge_probabilities judge_forecasts judge_coverage",
    "survival.kaplan_meier": "checked_entries",
    "survival.separation": "flat_directions separating_direction columns_of",
    "forecasts.bounded": "unbounded bounded slope_at",
    "forecasts.series": "bounds_of",
    "checks": "refuse array_of numbers flags codes number count one_of",
}
"""Functions that get checked input from a probed one, compiled kernels, and those that still lack a probe."""


def functions():
    """Qualified names of the public functions that each module of the package defines."""
    for module in pkgutil.walk_packages(package.__path__, PREFIX):
        loaded = importlib.import_module(module.name)
        for name, value in vars(loaded).items():
            is_function = inspect.isfunction(value) or type(value).__name__ == "CPUDispatcher"
            if is_function and not name.startswith("_") and value.__module__ == module.name:
                yield f"{module.name.removeprefix(PREFIX)}.{name}"


def odd_forms(value):
    """Odd forms of one argument, by name."""
    if isinstance(value, str):
        return {}
    if np.ndim(value) == 0:
        return {
            "NaN": np.nan,
            "inf": np.inf,
            "huge": 1e308,
            "negative": -1.0,
            "text": "x",
            "none": None,
            "list": [1, 2],
        }
    array = np.asarray(value)
    forms = {
        "empty": array[:0],
        "longer": np.concatenate([array, array[:1]]),
        "scalar": array.ravel()[0],
        "a dimension more": array[..., None],
        "text": np.full(array.shape, "x"),
        "none": np.full(array.shape, None),
        "lists": [[1], [2, 3]],
    }
    if array.dtype.kind in "fib":
        numbers = array.astype(float)
        for name, odd in {"NaN": np.nan, "inf": np.inf, "-inf": -np.inf, "huge": 1e308, "-1": -1.0, "2": 2.0}.items():
            one = numbers.copy()
            one.flat[1] = odd
            forms[f"one {name}"] = one
            forms[f"all {name}"] = np.full(array.shape, odd)
        forms["all equal"] = np.zeros(array.shape)
        forms["whole"] = np.arange(array.size).reshape(array.shape)
    return forms


NUMPYS_OWN = ("could not convert", "inhomogeneous", "truth value", "broadcast", "zero-size")
"""Words of an error that numpy raises inside a function that has not checked its input."""

CASES = [
    pytest.param(name, argument, form, id=f"{name}-{argument}-{form}")
    for name, call in PROBES.items()
    for argument, value in call.items()
    for form in odd_forms(value)
]


def function_of(name):
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(PREFIX + module), function)


def call(name, arguments):
    """Call a function with positional arguments where it takes them so."""
    function = function_of(name)
    kinds = inspect.signature(function).parameters
    by_position = [arguments[k] for k, p in kinds.items() if k in arguments and p.kind is not p.KEYWORD_ONLY]
    by_name = {k: v for k, v in arguments.items() if kinds[k].kind is inspect.Parameter.KEYWORD_ONLY}
    return function(*by_position, **by_name)


def test_every_public_function_is_probed_or_listed():
    listed = {f"{module}.{name}" for module, names in NOT_YET_PROBED.items() for name in names.split()}
    assert set(functions()) - set(PROBES) == listed
    assert not set(PROBES) - set(functions())


@pytest.mark.parametrize("name", PROBES)
def test_the_good_call_is_good(name):
    call(name, PROBES[name])


@pytest.mark.parametrize(("name", "argument", "form"), CASES)
def test_odd_input_is_refused_with_a_cause_or_computed(name, argument, form):
    odd, refusal = odd_forms(PROBES[name][argument])[form], ""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            call(name, {**PROBES[name], argument: odd})
        except ValueError as error:
            refusal = str(error)
    assert not refusal or len(refusal) > 15
    assert not [words for words in NUMPYS_OWN if words in refusal]
