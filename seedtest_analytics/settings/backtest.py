"""Backtests of predictions."""

from __future__ import annotations

from seedtest_analytics.settings.group import SettingsGroup, variable


class BacktestSettings(SettingsGroup):
    """Scoring of predictions against outcomes."""

    ability_horizon_weeks: int = variable(
        4,
        "BACKTEST_ABILITY_HORIZON_WEEKS",
        ge=1,
        description="Weeks after which P is compared with the ability, for goals without a date.",
    )
