"""Forecasts and anomalies."""

from __future__ import annotations

import datetime as dt
import json

from pydantic import field_validator

from seedtest_analytics.settings.group import MOST_WEEKS, SettingsGroup, option, variable
from seedtest_analytics.settings.kpis import KPI_METRICS


class ForecastSettings(SettingsGroup):
    """Forecasts and anomalies of weekly series (contract 4.11)."""

    lookback_weeks: int = option(
        12, "PROPHET_LOOKBACK_WEEKS", ge=4, le=MOST_WEEKS, description="Closed weeks in a series."
    )
    forecast_weeks: int = option(4, "PROPHET_FORECAST_WEEKS", ge=1, le=MOST_WEEKS, description="Weeks to forecast.")
    anomaly_threshold: float = option(
        2.5, "PROPHET_ANOMALY_THRESHOLD", gt=0, le=1000, description="Lowest |z| of an anomaly."
    )
    interval_level: float = variable(
        0.8, "PROPHET_INTERVAL_LEVEL", gt=0, lt=1, description="Probability that an interval contains the value."
    )
    metrics: str = option(
        "I_t",
        "PROPHET_METRICS",
        description="Comma-separated series to forecast: I_t, E_t, R_t, A_t, P, S or topic:<topic_id>.",
    )
    processes: int = variable(2, "PROPHET_PROCESSES", ge=1, le=256, description="Series forecast in parallel.")

    holiday_countries: str = option(
        "",
        "PROPHET_HOLIDAY_COUNTRIES",
        description="Comma-separated ISO codes of countries whose public holidays the model uses, such as KR,US.",
    )
    holidays: str = option(
        "",
        "PROPHET_HOLIDAYS",
        description='More holidays by name, as JSON: {"mid-term break": ["2026-04-20", "2026-10-19"]}.',
    )

    @field_validator("holiday_countries")
    @classmethod
    def _known_countries(cls, value: str) -> str:
        if not value.strip():
            return value
        from holidays import list_supported_countries

        known = list_supported_countries()
        wrong = [code for code in _listed(value) if code not in known]
        if wrong:
            raise ValueError(f"no holidays are known for {', '.join(map(repr, wrong))}")
        return value

    @field_validator("holidays")
    @classmethod
    def _days_by_name(cls, value: str) -> str:
        _days_off(value)
        return value

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, value: str) -> str:
        names = _listed(value)
        wrong = [n for n in names if n not in KPI_METRICS and not (n.startswith("topic:") and n != "topic:")]
        if wrong:
            raise ValueError(f"{', '.join(map(repr, wrong))}: neither a KPI nor topic:<topic_id>")
        return value

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The series without duplicates."""
        return tuple(dict.fromkeys(_listed(self.metrics)))

    @property
    def countries(self) -> tuple[str, ...]:
        """Country codes without duplicates."""
        return tuple(dict.fromkeys(_listed(self.holiday_countries))) if self.holiday_countries.strip() else ()

    @property
    def days_off(self) -> dict[str, tuple[dt.date, ...]]:
        """The days of PROPHET_HOLIDAYS by name."""
        return _days_off(self.holidays)


def _listed(value: str) -> list[str]:
    return [name.strip() for name in value.split(",")]


def _days_off(value: str) -> dict[str, tuple[dt.date, ...]]:
    if not value.strip():
        return {}
    try:
        found = {name: tuple(map(dt.date.fromisoformat, days)) for name, days in json.loads(value).items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"it is not a JSON object of names and lists of days ({error})") from None
    if any(not name.strip() for name in found):
        raise ValueError("a holiday has no name")
    return found
