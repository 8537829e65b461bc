"""Backtests of predictions."""

from __future__ import annotations

from seedtest_analytics.settings.group import SettingsGroup, variable


class BacktestSettings(SettingsGroup):
    """Scoring of predictions when the truth has arrived."""

    ability_horizon_weeks: int = variable(
        4,
        "BACKTEST_ABILITY_HORIZON_WEEKS",
        ge=1,
        description="P without a date of its own is judged by the ability so many weeks later.",
    )
