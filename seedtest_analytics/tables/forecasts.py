"""Forecasts of weekly series, and weeks far from their forecast."""

from sqlalchemy import Date, Index, Integer, Table, Text

from seedtest_analytics.tables.declare import (
    Float,
    Instant,
    array_column,
    column,
    computed_by,
    computed_column,
    metadata,
    object_column,
    week_column,
)

_SERIES = ("weekly_kpi.kpis", "features_topic_daily.correct", "features_topic_daily.attempts")

prophet_fit_meta = Table(
    "prophet_fit_meta",
    metadata,
    column("run_id", Text, comment="Fit; derived from its week, metric, settings and data.", primary_key=True),
    column("metric", Text, comment="KPI or topic:<topic_id>.", nullable=False),
    column("method", Text, comment="What the forecast is: prophet, local_level (the baseline), or none."),
    array_column("changepoints", "[{ds, slope_change_per_week}]: bends of the trend."),
    array_column("forecast", "[{ds, yhat, yhat_lower, yhat_upper}] of the weeks ahead.", derived_from=_SERIES),
    object_column(
        "fit_meta",
        "{status, reason, periods, threshold, trend, score, beats_baseline, warnings, insample, …}.",
        derived_from=_SERIES,
    ),
    column("fitted_at", Instant, comment="As-of instant: nothing at or after it was used.", nullable=False),
    column("user_id", Text, comment="NULL: the series is that of the whole cohort.", pii="pseudonymous"),
    column("lookback_weeks", Integer, comment="Closed weeks in the series.", minimum=1),
    column("horizon_weeks", Integer, comment="Weeks ahead.", minimum=1),
    column("anomaly_threshold", Float, comment="A week is an anomaly if |z| is at least this.", minimum=0),
    week_column(),
    Index("ix_prophet_fit_meta_week_metric", "week_start", "metric", unique=True),
    comment="One row for each series and week: forecast, changepoints, and the comparison with a naive baseline.",
)
computed_by(
    prophet_fit_meta,
    "assets.forecasts.series.fit_rows",
    ("changepoints", "stats.forecasts.prophet_model.fit_prophet"),
    ("method forecast fit_meta", "stats.forecasts.forecast.forecast_series"),
)

prophet_anomalies = Table(
    "prophet_anomalies",
    metadata,
    column(
        "run_id",
        Text,
        comment="Fit; prophet_fit_meta.run_id.",
        primary_key=True,
        derived_from=("prophet_fit_meta.run_id",),
    ),
    column("week_start", Date, comment="Monday of the anomalous week.", primary_key=True),
    column("metric", Text, comment="KPI or topic:<topic_id>.", primary_key=True),
    column("value", Float, comment="Observed value.", derived_from=_SERIES),
    column("expected", Float, comment="Forecast from the weeks before.", derived_from=_SERIES),
    column(
        "anomaly_score",
        Float,
        comment="Signed z: value minus expectation, divided by the SD of such errors in earlier weeks.",
        derived_from=_SERIES,
    ),
    computed_column("detected_at", "When it was first found."),
    column("fit_week", Date, comment="Partition: Monday of the week of the fit."),
    Index("ix_prophet_anomalies_fit_week", "fit_week"),
    comment="Weeks whose value is at least anomaly_threshold from a forecast made without them.",
)
computed_by(
    prophet_anomalies,
    "assets.forecasts.series.fit_rows",
    ("value", "sql/forecasts/series.sql:kpi", "sql/forecasts/series.sql:topic"),
    ("expected", "stats.forecasts.prophet_model.fit_prophet", "stats.forecasts.local_level.walk_local_level"),
    ("anomaly_score", "stats.forecasts.scores.anomaly_scores"),
)
