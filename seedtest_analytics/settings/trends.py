"""Forecasts and anomalies."""

from __future__ import annotations

from pydantic import field_validator

from seedtest_analytics.settings.group import SettingsGroup, variable
from seedtest_analytics.settings.kpis import KPI_METRICS


class ForecastSettings(SettingsGroup):
    """Forecast and anomalies of weekly series (contract 4.11)."""

    lookback_weeks: int = variable(
        12, "PROPHET_LOOKBACK_WEEKS", ge=4, description="Closed weeks that a series reaches back."
    )
    forecast_weeks: int = variable(4, "PROPHET_FORECAST_WEEKS", ge=1, description="Weeks ahead.")
    anomaly_threshold: float = variable(
        2.5, "PROPHET_ANOMALY_THRESHOLD", gt=0, description="A week is an anomaly from this |z| on."
    )
    interval_level: float = variable(
        0.8, "PROPHET_INTERVAL_LEVEL", gt=0, lt=1, description="Probability that an interval holds the value."
    )
    metrics: str = variable(
        "I_t",
        "PROPHET_METRICS",
        description="Series to forecast, separated by commas: I_t, E_t, R_t, A_t, P, S or topic:<topic_id>.",
    )
    processes: int = variable(
        2, "PROPHET_PROCESSES", ge=1, description="Series that are forecast at the same time."
    )

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, value: str) -> str:
        names = [name.strip() for name in value.split(",")]
        wrong = [n for n in names if n not in KPI_METRICS and not (n.startswith("topic:") and n != "topic:")]
        if wrong:
            raise ValueError(f"{', '.join(map(repr, wrong))} is no KPI and no topic:<topic_id>")
        return value

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The series, each once."""
        return tuple(dict.fromkeys(name.strip() for name in self.metrics.split(",")))
