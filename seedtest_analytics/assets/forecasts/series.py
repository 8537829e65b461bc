"""Series from the database, and forecasts as rows of prophet_fit_meta and prophet_anomalies."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from seedtest_analytics.assets.framework.identity import fit_id
from seedtest_analytics.assets.framework.json_text import json_text
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK, Week, instant_of
from seedtest_analytics.settings import ForecastSettings
from seedtest_analytics.stats.forecasts.holidays import Holidays, public_holidays
from seedtest_analytics.stats.forecasts.series import SeriesForecast, WeeklySeries, weekly_series
from seedtest_analytics.tables import forecasts as tables

SQL = "forecasts/series.sql"
WEIGHT_KEYS = {"I_t": "I_t_n_recent", "E_t": "E_t_n_recent", "R_t": "R_t_n_met_again", "A_t": "A_t_n_attempts"}
"""KPI: the count of answers behind it. The other KPIs weigh each student equally."""


def last_closed_week(week: Week) -> dt.date:
    """Monday of the last week that is over at as_of. A running week does not belong in a series."""
    is_over = instant_of(week.start + WEEK, ZoneInfo(week.timezone)) <= week.as_of
    return week.start if is_over else week.start - WEEK


def load_series(connection: Connection, metric: str, *, last_week: dt.date, n_weeks: int) -> WeeklySeries:
    """The metric's weeks up to ``last_week``; a week without a value is a gap, also at the end."""
    bounds = {"first_week": last_week - (n_weeks - 1) * WEEK, "last_week": last_week}
    if metric.startswith("topic:"):
        query, own = "topic", {"topic_id": metric.removeprefix("topic:")}
    else:
        query, own = "kpi", {"key": metric, "weight_key": WEIGHT_KEYS.get(metric, "")}
    rows = connection.execute(statement(SQL, query), {**bounds, **own}).all()
    starts, values, evidence, errors = ([row[i] for row in rows] for i in range(4))
    if starts and starts[-1] < last_week:
        starts, values = [*starts, last_week], [*values, None]
        evidence, errors = [*evidence, 0.0], [*errors, None]
    return weekly_series(metric, starts, values=values, evidence=evidence, standard_errors=errors)


def holidays_around(last_week: dt.date, settings: ForecastSettings) -> Holidays:
    """Holidays of the countries and days off by name, from the first week of a series to the last forecast week."""
    if not settings.countries and not settings.days_off:
        return ()

    first = np.datetime64(last_week - (settings.lookback_weeks - 1) * WEEK)
    last = np.datetime64(last_week + (settings.forecast_weeks + 1) * WEEK) - 1
    own = [(name, np.datetime64(day)) for name, days in settings.days_off.items() for day in days]
    return (
        *public_holidays(settings.countries, first, last=last),
        *((name, day) for name, day in own if first <= day <= last),
    )


def fit_rows(
    week: Week, forecasts: Sequence[SeriesForecast], *, settings: ForecastSettings, holidays: Holidays = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of prophet_fit_meta and of prophet_anomalies."""
    fits = [_fit_row(week, found, settings=settings, holidays=holidays) for found in forecasts]
    anomalies = [
        row
        for fit, found in zip(fits, forecasts, strict=True)
        for row in _anomaly_rows(fit["run_id"], week, found=found)
    ]
    names = [c.name for c in tables.prophet_anomalies.columns if c.name != "detected_at"]
    return pd.DataFrame(fits), pd.DataFrame(anomalies, columns=names)


def _fit_row(week: Week, found: SeriesForecast, *, settings: ForecastSettings, holidays: Holidays) -> dict[str, Any]:
    ahead = zip(found.forecast_weeks, found.forecast, found.forecast_lower, found.forecast_upper, strict=True)
    meta = {
        "status": found.method,
        "reason": found.reason,
        "periods": settings.forecast_weeks,
        "threshold": settings.anomaly_threshold,
        "trend": found.trend,
        "interval_level": found.interval_level,
        "score": None if found.score is None else dataclasses.asdict(found.score),
        "beats_baseline": found.beats_baseline,
        "warnings": list(found.warnings),
        "insample": _insample(found),
        "holidays": [{"ds": str(day), "holiday": name} for name, day in holidays],
    }
    return {
        "run_id": fit_id(
            "prophet",
            week,
            settings={"metric": found.metric, **settings.model_dump(mode="json", exclude={"processes"})},
            data=[found.values, found.evidence],  # noqa: PD011
        ),
        "metric": found.metric,
        "method": found.method,
        "changepoints": json_text(
            [{"ds": str(c.week), "slope_change_per_week": c.slope_change_per_week} for c in found.changepoints]
        ),
        "forecast": json_text(
            [
                {"ds": str(ds), "yhat": float(y), "yhat_lower": float(low), "yhat_upper": float(high)}
                for ds, y, low, high in ahead
            ]
        ),
        "fit_meta": json_text(meta),
        "fitted_at": week.as_of,
        "lookback_weeks": settings.lookback_weeks,
        "horizon_weeks": settings.forecast_weeks,
        "anomaly_threshold": settings.anomaly_threshold,
        "week_start": week.start,
    }


def _insample(found: SeriesForecast) -> list[dict[str, Any]]:
    columns = (found.values, found.evidence, found.expected, found.expected_baseline, found.anomaly_score)  # noqa: PD011
    names = ("y", "evidence", "yhat", "baseline", "anomaly_score")
    return [
        {"ds": str(ds), **dict(zip(names, map(float, numbers), strict=True))}
        for ds, *numbers in zip(found.weeks, *columns, strict=True)
    ]


def _anomaly_rows(run_id: str, week: Week, *, found: SeriesForecast) -> list[dict[str, Any]]:
    return [
        {
            "run_id": run_id,
            "week_start": found.weeks[t].item(),
            "metric": found.metric,
            "value": float(found.values[t]),  # noqa: PD011
            "expected": float(found.expected[t]),
            "anomaly_score": float(found.anomaly_score[t]),
            "fit_week": week.start,
        }
        for t in found.is_anomaly.nonzero()[0]
    ]
