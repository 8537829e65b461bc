"""Good calls of ``stats.survival``."""

from functools import cache

import numpy as np

N = 12
RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=N)
HAPPENED = np.arange(N) % 3 == 0
TIMES = np.arange(1.0, N + 1)
COVARIATES = {"days_since_last": TIMES, "sessions_28d": TIMES[::-1], "mean_gap_days_28d": np.full(N, 2.0)}


@cache
def panel_columns():
    """Columns of a panel of 150 students at two landmarks, who differ in one covariate."""
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(150), 2)
    days = rng.exponential(6.0, len(user))
    wait = rng.exponential(2.0 + days)
    return {
        "user": user,
        "landmark_day": np.tile([100, 107], 150),
        "duration_days": np.minimum(np.ceil(wait), 30).astype(int),
        "is_return": wait < 30,
        "covariates": {"days_since_last": days.astype(np.float32)},
        "data_end_day": 137,
    }


@cache
def panel():
    from seedtest_analytics.stats.survival.panel import LandmarkPanel

    return LandmarkPanel(**panel_columns())


@cache
def settings():
    from seedtest_analytics.stats.survival.churn import ChurnSettings

    return ChurnSettings(covariates=("days_since_last",), folds=2, forward_landmarks=1)


@cache
def model():
    from seedtest_analytics.stats.survival.churn_fit import fit_churn

    return fit_churn(panel(), settings())


@cache
def heuristic():
    from seedtest_analytics.stats.survival.churn import ChurnModel

    return ChurnModel("heuristic", horizon_days=14, follow_up_days=14)


@cache
def data():
    from seedtest_analytics.stats.survival.cox import check_survival_data

    rng = np.random.default_rng(2)
    X = rng.normal(size=(80, 2))
    return check_survival_data(
        X, rng.exponential(np.exp(0.3 * X[:, 0])) + 0.1, events=rng.random(80) < 0.7, clusters=np.arange(80) // 2
    )


@cache
def fit():
    from seedtest_analytics.stats.survival.cox import fit_cox

    return fit_cox(data())


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
    "survival.cox.fit_cox": {
        "data": data,
        "ties": "efron",
        "ridge": 0.5,
        "hazard_horizons": np.array([0.5, 1.0]),
        "start": np.array([0.1, 0.1]),
    },
    "survival.weibull.fit_weibull": {"data": data, "ridge": 0.5},
    "survival.proportionality.proportionality_test": {"data": data, "fit": fit},
    "survival.kaplan_meier.kaplan_meier": {"stop_times": TIMES, "events": HAPPENED, "entry_times": TIMES - 1.0},
    "survival.concordance.concordance_index": {
        "stop_times": TIMES,
        "events": HAPPENED,
        "scores": NORMAL,
        "strata": np.arange(N) % 2,
        "entry_times": TIMES - 1.0,
    },
    "survival.panel.activity_states": {"days_since_last": TIMES, "stopped_after_days": 7.0},
    "survival.panel.LandmarkPanel": panel_columns(),
    "survival.panel.LandmarkPanel.stopped_at": {"self": panel, "follow_up_days": 14},
    "survival.panel.LandmarkPanel.outcome_at": {"self": panel, "horizon_days": 14},
    "survival.churn.ChurnSettings": {
        "horizon_days": 14,
        "follow_up_days": 21,
        "family": "cox",
        "min_returns": 50,
        "min_silences": 20,
        "min_users": 20,
        "separation_ridge": 1.0,
        "forward_landmarks": 4,
        "folds": 5,
        "check_rows": 1000,
    },
    "survival.churn.ChurnModel.predict_silence": {"self": model, "covariates": COVARIATES, "horizon_days": 14.0},
    "survival.churn.ChurnModel.relative_hazard": {"self": model, "covariates": COVARIATES},
    "survival.churn.ChurnModel.contributions": {"self": heuristic, "covariates": COVARIATES},
    "survival.churn.ChurnModel.reasons": {"self": heuristic, "covariates": COVARIATES, "top": 3},
    "survival.churn_fit.fit_churn": {"panel": panel, "settings": settings},
    "survival.churn_check.known_at": {"panel": panel, "day": 107},
    "survival.design.possible_columns": {"covariate": "days_since_last"},
}

CHECKED_BY_CALLER = [
    (
        "survival.partial_likelihood",
        "cells_of risk_sums efron_scalars cell_scores information clustered_score_residuals clustered_hazard_residuals",
        "survival.cox.check_survival_data survival.cox.fit_cox",
    ),
    (
        "survival.separation",
        "flat_directions refuse_collinear separating_direction columns_of",
        "survival.cox.check_survival_data survival.cox.fit_cox",
    ),
    (
        "survival.kaplan_meier",
        "checked_entries",
        "survival.kaplan_meier.kaplan_meier survival.cox.check_survival_data survival.concordance.concordance_index",
    ),
    ("survival.sampling", "parts_of whole_students", "survival.panel.LandmarkPanel survival.churn.ChurnSettings"),
    (
        "survival.churn_check",
        "check_at_horizon survival_data fit_family",
        "survival.panel.LandmarkPanel survival.churn.ChurnSettings survival.churn_fit.fit_churn",
    ),
    ("survival.design", "plan_design without_dependent_columns", "survival.panel.LandmarkPanel"),
    ("survival.design", "named_columns", "survival.churn.ChurnModel.predict_silence"),
    ("survival.reasons", "phrase subjects_of reason", "survival.churn.ChurnModel.reasons"),
]
