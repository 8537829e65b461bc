"""Backtests of predictions."""

from __future__ import annotations

from seedtest_analytics.settings.group import MOST_WEEKS, SettingsGroup, variable


class BacktestSettings(SettingsGroup):
    """Scoring of predictions against outcomes."""

    ability_horizon_weeks: int = variable(
        4,
        "BACKTEST_ABILITY_HORIZON_WEEKS",
        ge=1,
        le=MOST_WEEKS,
        description="Weeks after which P is compared with the ability, for goals without a date.",
    )
    decides: bool = variable(
        True,
        "BACKTEST_DECIDES",
        description="Outcomes of past weeks decide how P, S and theta are published; false publishes what the models say.",
    )
    lookback_weeks: int = variable(
        26, "BACKTEST_LOOKBACK_WEEKS", ge=1, le=260, description="Past weeks whose outcomes decide."
    )
    widest_base_rate: float = variable(
        0.8,
        "BACKTEST_WIDEST_BASE_RATE",
        ge=0.0,
        le=1.0,
        description="A base rate whose 95 % limits for a new week are further apart is withheld.",
    )
