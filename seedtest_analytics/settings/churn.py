"""Churn and silence."""

from __future__ import annotations

from typing import Literal

from seedtest_analytics.settings.group import SettingsGroup, option, variable


class SurvivalSettings(SettingsGroup):
    """Churn model (contract 4.10)."""

    lookback_days: int = option(
        90,
        "SURVIVAL_LOOKBACK_DAYS",
        ge=28,
        description="Days of weekly landmarks that a fit uses (at least 28).",
    )
    event_threshold_days: int = option(
        14,
        "SURVIVAL_EVENT_THRESHOLD_DAYS",
        ge=1,
        le=365,
        description="survival_risk is the risk of silence over so many days.",
    )
    update_kpi: bool = variable(
        True, "SURVIVAL_UPDATE_KPI", description="weekly_kpi.S from the model where one is usable."
    )
    family: Literal["cox", "weibull"] = option(
        "cox", "SURVIVAL_FAMILY", description="'cox', or 'weibull' for the parametric alternative."
    )


class InactivitySettings(SettingsGroup):
    """Students who fall silent (contract 4.7)."""

    threshold_days: int = option(
        7,
        "INACTIVITY_THRESHOLD_DAYS",
        ge=1,
        le=365,
        description="Students silent for so many days are noticed, once, and their P and S refreshed.",
    )
