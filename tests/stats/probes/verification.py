"""Good calls of ``stats.verification`` and ``stats.kpi``."""

from functools import cache

import numpy as np

N = 12
RNG = np.random.default_rng(0)
UNIT, NORMAL = RNG.random(N), RNG.normal(size=N)
HAPPENED = np.arange(N) % 3 == 0
TIMES = np.arange(1.0, N + 1)
MANY = RNG.random(60)


@cache
def probability_score():
    from seedtest_analytics.stats.verification.probabilities import score_probabilities

    return score_probabilities(UNIT, HAPPENED)


@cache
def decision():
    from seedtest_analytics.stats.verification.recalibration import decide

    return decide(MANY, np.arange(len(MANY)) % 2 == 0, week=np.arange(len(MANY)) // 20)


@cache
def forecast_score():
    from seedtest_analytics.stats.verification.expectations import score_forecasts

    return score_forecasts(UNIT, UNIT + 0.1, lower=UNIT - 1, upper=UNIT + 1, baseline=UNIT)


def gap():
    from seedtest_analytics.stats.verification.group_gaps import compare_group

    return compare_group(
        MANY, np.arange(60) % 2 == 0, is_focal=np.arange(60) % 3 == 0, clusters=np.arange(60), n_exchanges=19
    )


PROBES = {
    "verification.group_gaps.abroca": {"score": UNIT, "outcome": HAPPENED, "is_focal": np.arange(N) % 2 == 0},
    "verification.group_gaps.compare_group": {
        "probability": MANY,
        "outcome": np.arange(60) % 2 == 0,
        "is_focal": np.arange(60) % 3 == 0,
        "clusters": np.arange(60),
        "n_exchanges": 19,
        "seed": 1,
    },
    "verification.group_gaps.judge_gaps": {"gaps": lambda: [gap()]},
    "verification.probabilities.auc_influence": {"score": UNIT, "outcome": HAPPENED},
    "verification.probabilities.clustered_auc": {"score": UNIT, "outcome": HAPPENED, "clusters": np.arange(N) // 2},
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
    "verification.measured.variance_ratio": {
        "residual": NORMAL,
        "sensitivity": UNIT,
        "se": np.ones(N),
        "student": np.arange(N) // 4,
        "week": np.arange(N) // 2 % 2,
        "topic": np.arange(N) % 2,
    },
    "verification.recalibration.decide": {
        "probability": MANY,
        "outcome": np.arange(len(MANY)) % 2 == 0,
        "week": np.arange(len(MANY)) // 20,
        "error_ratio": MANY,
        "overlap": 2.0,
        "reference": MANY[::-1],
        "widest": 0.5,
    },
    "verification.recalibration.decide_errors": {
        "decision": decision,
        "probability": UNIT,
        "outcome": HAPPENED,
        "sensitivity": UNIT,
        "se": np.ones(N),
        "student": np.arange(N) // 4,
        "week": np.arange(N) // 2 % 2,
        "topic": np.arange(N) % 2,
    },
    "verification.recalibration.published": {
        "decision": decision,
        "probability": UNIT,
        "lower": 0.5 * UNIT,
        "upper": UNIT,
    },
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
    "verification.resampling.Students.of": {"clusters": np.arange(N) // 2},
    "verification.resampling.prediction_intervals": {
        "probability": UNIT,
        "outcome": HAPPENED,
        "clusters": np.arange(N) // 2,
        "resamples": 9,
        "seed": 1,
    },
    "verification.verdict.judge_drift": {
        "observed": UNIT,
        "predicted": UNIT[::-1],
        "n": 10 * TIMES,
        "recent": 3,
        "z": 3.0,
    },
    "verification.verdict.judge_probabilities": {
        "score": probability_score,
        "slope_range": np.array([0.5, 2.0]),
        "z": 1.96,
    },
    "verification.verdict.judge_forecasts": {"score": forecast_score},
    "verification.verdict.judge_coverage": {"score": forecast_score},
    "kpi.goal.normal_goal_probability": {"mean": NORMAL, "sd": UNIT, "target": NORMAL[::-1]},
    "kpi.goal.goal_probability_after": {
        "before": UNIT,
        "sd_before": UNIT[::-1],
        "sd": UNIT,
        "pace": NORMAL,
        "weeks": NORMAL[::-1],
    },
}

CHECKED_BY_CALLER = [
    (
        "verification.probabilities",
        "calibration_basis",
        "verification.probabilities.score_probabilities verification.resampling.prediction_intervals",
    ),
    ("verification.calibration_slope", "probability_of_outcome fit_slope", "verification.recalibration.decide"),
    ("verification.logistic", "clipped_logit fit_logistic", "verification.probabilities.score_probabilities"),
    (
        "verification.next_answer",
        "item_mean static_eap elo pfa best_lr das3h mixture",
        "ability.data.Answers.of ability.walk.walk_forward ability.walk.split_by_student",
    ),
]
