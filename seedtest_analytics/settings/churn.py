"""Churn and inactivity."""

from __future__ import annotations

from typing import Literal

from seedtest_analytics.settings.group import MOST_DAYS, SettingsGroup, option, variable


class SurvivalSettings(SettingsGroup):
    """Churn model (contract 4.10)."""

    lookback_days: int = option(
        90, "SURVIVAL_LOOKBACK_DAYS", ge=28, le=MOST_DAYS, description="Days of weekly landmarks that a fit uses."
    )
    event_threshold_days: int = option(
        14,
        "SURVIVAL_EVENT_THRESHOLD_DAYS",
        ge=1,
        le=365,
        description="survival_risk is the probability of no attempt during this many days.",
    )
    update_kpi: bool = variable(
        True, "SURVIVAL_UPDATE_KPI", description="Compute weekly_kpi.S from the model when a usable fit exists."
    )
    family: Literal["cox", "weibull"] = option(
        "cox", "SURVIVAL_FAMILY", description="Hazard model: 'cox', or the parametric 'weibull'."
    )


class InactivitySettings(SettingsGroup):
    """Inactive students (contract 4.7)."""

    threshold_days: int = option(
        7,
        "INACTIVITY_THRESHOLD_DAYS",
        ge=1,
        le=365,
        description="Days without an attempt after which a student is reported once and P and S are updated.",
    )
