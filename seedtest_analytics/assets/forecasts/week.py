"""Forecasts of one week: load the series, forecast them, publish fits and anomalies; and students' expectations."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from seedtest_analytics.assets.forecasts.checks import BEATS_BASELINE, LAST_WEEK_EXPECTED
from seedtest_analytics.assets.forecasts.plots import forecast_plots, forecast_table
from seedtest_analytics.assets.forecasts.series import fit_rows, holidays_around, last_closed_week, load_series
from seedtest_analytics.assets.forecasts.students import stage_expectations
from seedtest_analytics.assets.framework.checks import CheckOutcome
from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.framework.week_run import Replace, WeekRun, publish_week
from seedtest_analytics.database.kpi_rows import keep_staged, merge_kpis
from seedtest_analytics.settings import ForecastSettings
from seedtest_analytics.stats.forecasts.forecast import forecast_many
from seedtest_analytics.stats.forecasts.series import ForecastSettings as ModelSettings
from seedtest_analytics.stats.forecasts.series import SeriesForecast
from seedtest_analytics.tables.forecasts import prophet_anomalies, prophet_fit_meta


def forecast_week(run: WeekRun) -> Sequence[Outcome]:
    """Forecast the series of one week and replace its rows."""
    settings = run.settings.forecast
    last = last_closed_week(run.week)
    chosen = model_settings(last, settings)
    series = [
        load_series(run.connection, metric, last_week=last, n_weeks=settings.lookback_weeks)
        for metric in settings.metric_names
    ]
    with run.without_transaction():
        forecasts = forecast_many(series, chosen, processes=settings.processes)
    fits, anomalies = fit_rows(run.week, forecasts, settings=settings, holidays=chosen.holidays)
    fit = publish_week(run, prophet_fit_meta, rows=fits)
    found = publish_week(run, prophet_anomalies, rows=anomalies, replace=Replace.FIT_WEEK)
    metadata = {"as_of": run.week.as_of.isoformat(), "series": forecast_table(forecasts), **forecast_plots(forecasts)}
    threshold = {"threshold": settings.anomaly_threshold}
    return (
        run.outcome(fit, metadata, checks=[_beats_baseline(forecasts)]),
        run.outcome(found, threshold, checks=[_last_week(forecasts)]),
    )


def expect_week(run: WeekRun) -> Sequence[Outcome]:
    """Merge the expectation of each student's I_t into the week's KPIs."""
    numbers = stage_expectations(run.connection, run.week, lookback_weeks=run.settings.forecast.lookback_weeks)
    week_start = run.week.start
    kept = {"I_t_expected": keep_staged(run.connection, "I_t_expected", week_start=week_start)}
    published = merge_kpis(run.connection, kept, week_start=week_start, is_whole=False)["I_t_expected"]
    return [run.outcome(published, {"students_with_an_expectation": numbers}, key=("weekly_kpi", "I_t_expected"))]


def model_settings(last: dt.date, settings: ForecastSettings) -> ModelSettings:
    """How the series up to the week ``last`` are forecast. Every week is scored again, because values may have changed."""
    return ModelSettings(
        horizon_weeks=settings.forecast_weeks,
        anomaly_threshold=settings.anomaly_threshold,
        interval_level=settings.interval_level,
        holidays=holidays_around(last, settings),
    )


def _beats_baseline(forecasts: Sequence[SeriesForecast]) -> CheckOutcome:
    faults = [f"{f.metric}: {'; '.join(f.warnings)}" for f in forecasts if f.warnings]
    replaced = [f"{f.metric}: by {f.method} ({f.reason})" for f in forecasts if f.beats_baseline is False]
    text = "; ".join([*faults, *replaced]) or "no series is worse, or no series could be judged"
    return BEATS_BASELINE.judged(text, is_passed=not faults, metadata={"series_with_warnings": len(faults)})


def _last_week(forecasts: Sequence[SeriesForecast]) -> CheckOutcome:
    far = [
        f"{f.metric} was {f.values[-1]:.3f}, expected {f.expected[-1]:.3f} (z {f.anomaly_score[-1]:+.1f})"
        for f in forecasts
        if len(f.weeks) and f.is_anomaly[-1]
    ]
    return LAST_WEEK_EXPECTED.judged(
        "; ".join(far) or "as expected", is_passed=not far, metadata={"anomalies": len(far)}
    )
