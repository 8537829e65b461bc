"""Forecasts and anomalies."""

from __future__ import annotations

import datetime as dt
import json

from pydantic import field_validator

from seedtest_analytics.settings.group import SettingsGroup, option, variable
from seedtest_analytics.settings.kpis import KPI_METRICS


class ForecastSettings(SettingsGroup):
    """Forecast and anomalies of weekly series (contract 4.11)."""

    lookback_weeks: int = option(
        12, "PROPHET_LOOKBACK_WEEKS", ge=4, description="Closed weeks that a series reaches back."
    )
    forecast_weeks: int = option(4, "PROPHET_FORECAST_WEEKS", ge=1, description="Weeks ahead.")
    anomaly_threshold: float = option(
        2.5, "PROPHET_ANOMALY_THRESHOLD", gt=0, description="A week is an anomaly from this |z| on."
    )
    interval_level: float = variable(
        0.8, "PROPHET_INTERVAL_LEVEL", gt=0, lt=1, description="Probability that an interval holds the value."
    )
    metrics: str = option(
        "I_t",
        "PROPHET_METRICS",
        description="Series to forecast, separated by commas: I_t, E_t, R_t, A_t, P, S or topic:<topic_id>.",
    )
    processes: int = variable(2, "PROPHET_PROCESSES", ge=1, description="Series that are forecast at the same time.")

    holiday_countries: str = option(
        "",
        "PROPHET_HOLIDAY_COUNTRIES",
        description="Countries whose public holidays the forecast knows: ISO codes separated by commas, such as KR,US.",
    )
    holidays: str = option(
        "",
        "PROPHET_HOLIDAYS",
        description='Further days off by name, as JSON: {"mid-term break": ["2026-04-20", "2026-10-19"]}.',
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
            raise ValueError(f"{', '.join(map(repr, wrong))} is no country whose holidays are known")
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
            raise ValueError(f"{', '.join(map(repr, wrong))} is no KPI and no topic:<topic_id>")
        return value

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The series, each once."""
        return tuple(dict.fromkeys(_listed(self.metrics)))

    @property
    def countries(self) -> tuple[str, ...]:
        """Codes of the countries, each once."""
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
        return {name: tuple(map(dt.date.fromisoformat, days)) for name, days in json.loads(value).items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"no JSON object of names and lists of days ({error})") from None
