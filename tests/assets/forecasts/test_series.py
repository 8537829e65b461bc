"""Which weeks belong to a series, and forecasts as rows."""

import dataclasses
import datetime as dt
import json
from typing import Any

import numpy as np
import pytest

from seedtest_analytics.assets.forecasts.series import fit_rows, holidays_around, last_closed_week
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import ForecastSettings
from seedtest_analytics.stats.forecasts.series import Changepoint, SeriesForecast

MONDAY = dt.date(2026, 3, 2)


def week(as_of: dt.datetime, zone: str = "Asia/Seoul") -> Week:
    return Week(MONDAY, as_of, timezone=zone)


# Midnight of Monday, 9 March in Seoul.
END = dt.datetime(2026, 3, 8, 15, tzinfo=dt.UTC)
CLOSED = week(END)


def test_a_week_is_closed_at_its_local_end() -> None:
    assert last_closed_week(CLOSED) == MONDAY
    assert last_closed_week(week(END - dt.timedelta(microseconds=1))) == MONDAY - dt.timedelta(days=7)
    assert last_closed_week(week(END, "UTC")) == MONDAY - dt.timedelta(days=7)


def test_days_off_count_from_the_first_week_to_the_end_of_the_forecast() -> None:
    days = ["2026-02-08", "2026-02-09", "2026-03-22", "2026-03-23"]
    settings = ForecastSettings(
        lookback_weeks=4, forecast_weeks=2, holiday_countries="", holidays=json.dumps({"camp": days})
    )
    assert [(name, str(day)) for name, day in holidays_around(MONDAY, settings)] == [
        ("camp", "2026-02-09"),
        ("camp", "2026-03-22"),
    ]
    assert holidays_around(MONDAY, ForecastSettings(holiday_countries="", holidays="")) == ()


def forecast(**fields: Any) -> SeriesForecast:
    weeks = np.arange("2026-02-09", "2026-03-09", 7, dtype="datetime64[D]")
    found = SeriesForecast(
        metric="A_t",
        method="prophet",
        reason="",
        weeks=weeks,
        values=np.array([0.5, np.nan, 0.6, 0.9]),
        evidence=np.array([10.0, 0.0, 12.0, 11.0]),
        expected=np.array([0.5, 0.5, 0.55, 0.6]),
        expected_baseline=np.full(4, 0.5),
        anomaly_score=np.array([0.0, np.nan, 0.5, 3.5]),
        is_anomaly=np.array([False, False, False, True]),
        changepoints=(Changepoint(weeks[1], 0.02),),
        forecast_weeks=np.array(["2026-03-09"], dtype="datetime64[D]"),
        forecast=np.array([0.61]),
        forecast_lower=np.array([0.5]),
        forecast_upper=np.array([np.inf]),
        interval_level=0.8,
        trend="linear",
        score=None,
        beats_baseline=None,
        warnings=("short",),
    )
    return dataclasses.replace(found, **fields)


SETTINGS = ForecastSettings(lookback_weeks=4, forecast_weeks=1)


def test_a_forecast_is_a_row_with_its_weeks_ahead_and_its_history() -> None:
    fits, _ = fit_rows(CLOSED, [forecast()], settings=SETTINGS, holidays=(("camp", np.datetime64("2026-02-16")),))
    (row,) = fits.to_dict("records")
    assert (row["metric"], row["week_start"], row["fitted_at"]) == ("A_t", MONDAY, END)
    assert (row["lookback_weeks"], row["horizon_weeks"], row["anomaly_threshold"]) == (4, 1, SETTINGS.anomaly_threshold)
    assert json.loads(row["forecast"]) == [{"ds": "2026-03-09", "yhat": 0.61, "yhat_lower": 0.5, "yhat_upper": None}]
    assert json.loads(row["changepoints"]) == [{"ds": "2026-02-16", "slope_change_per_week": 0.02}]
    meta = json.loads(row["fit_meta"])
    assert (meta["status"], meta["trend"], meta["score"], meta["warnings"]) == ("prophet", "linear", None, ["short"])
    assert meta["holidays"] == [{"ds": "2026-02-16", "holiday": "camp"}]
    assert meta["insample"][1] == {
        "ds": "2026-02-16",
        "y": None,
        "evidence": 0.0,
        "yhat": 0.5,
        "baseline": 0.5,
        "anomaly_score": None,
    }


def test_an_anomaly_is_a_row_under_its_forecasts_run() -> None:
    fits, anomalies = fit_rows(
        CLOSED, [forecast(), forecast(metric="E_t", is_anomaly=np.zeros(4, bool))], settings=SETTINGS
    )
    (row,) = anomalies.to_dict("records")
    assert row == {
        "run_id": fits["run_id"][0],
        "week_start": MONDAY,
        "metric": "A_t",
        "value": 0.9,
        "expected": 0.6,
        "anomaly_score": 3.5,
        "fit_week": MONDAY,
    }


def test_a_run_is_named_by_metric_settings_and_values_and_not_by_its_processes() -> None:
    def run_id(settings: ForecastSettings = SETTINGS, **fields: Any) -> str:
        return str(fit_rows(CLOSED, [forecast(**fields)], settings=settings)[0]["run_id"][0])

    assert run_id().startswith("prophet-2026-W10-")
    assert run_id(SETTINGS.model_copy(update={"processes": 7})) == run_id()
    others = [
        run_id(metric="E_t"),
        run_id(evidence=np.ones(4)),
        run_id(SETTINGS.model_copy(update={"anomaly_threshold": 9.0})),
    ]
    assert len({run_id(), *others}) == 4


@pytest.mark.parametrize("forecasts", [[], [forecast(is_anomaly=np.zeros(4, bool))]])
def test_without_anomalies_the_columns_stay(forecasts: list[SeriesForecast]) -> None:
    _, anomalies = fit_rows(CLOSED, forecasts, settings=SETTINGS)
    assert len(anomalies) == 0
    assert "anomaly_score" in anomalies
