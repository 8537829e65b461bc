"""Daily features and weekly KPIs."""

from __future__ import annotations

from seedtest_analytics.settings.group import MOST_DAYS, SettingsGroup, option, variable

KPI_METRICS = ("I_t", "E_t", "R_t", "A_t", "P", "S")


class FeatureSettings(SettingsGroup):
    """Daily topic features (contract 4.5)."""

    lookback_days: int = variable(
        7, "AGG_LOOKBACK_DAYS", ge=1, le=MOST_DAYS, description="Days that each daily run aggregates again."
    )
    include_theta: bool = option(False, "AGG_INCLUDE_THETA", description="Fill theta_estimate and theta_sd.")


class KpiSettings(SettingsGroup):
    """Weekly KPIs (contract 4.6)."""

    use_irt_theta: bool = option(
        False, "METRICS_USE_IRT_THETA", description="Compute I_t from abilities if there are enough answers."
    )
    use_bayesian: bool = option(
        False,
        "METRICS_USE_BAYESIAN",
        description="Compute P from the growth posterior, even if BRMS_UPDATE_KPI is off.",
    )
    default_target: float = option(
        0.0,
        "METRICS_DEFAULT_TARGET",
        ge=-100,
        le=100,
        description="Target on the logit scale for students without a goal.",
    )
    churn_horizon_days: int = option(
        14,
        "METRICS_CHURN_HORIZON_DAYS",
        ge=1,
        le=365,
        description="S is the probability of no attempt during this many days.",
    )
    users_since_days: int = variable(
        90,
        "KPI_USERS_SINCE_DAYS",
        ge=1,
        le=MOST_DAYS,
        description="Students with an attempt in this many days get a row.",
    )
    lookback_days: int = variable(
        30, "KPI_LOOKBACK_DAYS", ge=1, le=MOST_DAYS, description="Like KPI_USERS_SINCE_DAYS; the larger one applies."
    )
