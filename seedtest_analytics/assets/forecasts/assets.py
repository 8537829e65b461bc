"""Stage `trends`: forecasts and anomalies of weekly series, and what was expected of each student."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from seedtest_analytics.assets.forecasts.series import (
    SQL,
    fit_rows,
    holidays_around,
    last_closed_week,
    load_series,
)
from seedtest_analytics.assets.forecasts.students import stage_expectations
from seedtest_analytics.assets.framework.declare import LARGE, RunOptions, TableSpec, table_assets
from seedtest_analytics.assets.framework.events import CheckDeclaration, CheckOutcome, Outcome
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.preview import (
    ACCENT,
    INK,
    MUTED,
    figure_metadata,
    markdown_table,
    new_figure,
)
from seedtest_analytics.assets.framework.run_time import is_dry_run, weeks
from seedtest_analytics.database.kpi_rows import merge_kpis
from seedtest_analytics.database.publish import publish, staged_from_frame
from seedtest_analytics.partitions import WEEKLY, Week
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import ForecastSettings, load_settings
from seedtest_analytics.tables import forecasts as tables
from seedtest_analytics.tables.kpis import KPI_KEYS, weekly_kpi

if TYPE_CHECKING:
    import datetime as dt

    from seedtest_analytics.stats.forecasts.series import ForecastSettings as ModelSettings
    from seedtest_analytics.stats.forecasts.series import SeriesForecast

LOOK_BACK = dg.TimeWindowPartitionMapping(start_offset=-11, end_offset=0, allow_nonexistent_upstream_partitions=True)
"""A series reaches back PROPHET_LOOKBACK_WEEKS weeks."""


@overrides(ForecastSettings)
class ForecastOptions(RunOptions):
    """Options of a forecast run."""


@table_assets(
    TableSpec(
        tables.prophet_fit_meta,
        grain="series_week",
        description="Forecast of each configured weekly series of the cohort (PROPHET_METRICS) by Prophet, on closed "
        "weeks weighted by evidence, beside a local level; with too few weeks the local level itself, and it says so.",
        checks=(CheckDeclaration("beats_baseline", "One week ahead Prophet errs no more than the local level."),),
    ),
    TableSpec(
        tables.prophet_anomalies,
        grain="series_week",
        description="Weeks whose value lay at least PROPHET_ANOMALY_THRESHOLD standard deviations from the forecast "
        "that the weeks before made of them.",
        checks=(CheckDeclaration("last_week_expected", "The last closed week of no series is an anomaly."),),
    ),
    group="trends",
    domain="forecast",
    kinds=("postgres", "python"),
    deps=[
        "features_topic_daily",
        *(
            dg.AssetDep(dg.AssetKey(["weekly_kpi", name]), partition_mapping=LOOK_BACK)
            for name in ("I_t", "E_t", "R_t", "A_t", "P", "S")
        ),
    ],
    sql=[SQL],
    partitions_def=WEEKLY,
    pod=LARGE,
)
def series_forecasts(
    context: dg.AssetExecutionContext, config: ForecastOptions, *, postgres: PostgresResource
) -> Iterator[Outcome]:
    """Forecast every series as of each week of the run."""
    settings = load_settings().forecast.overridden_by(config.model_dump())
    for week in weeks(context, config):
        yield from forecast_week(postgres, week, settings=settings, dry=is_dry_run(config))


def forecast_week(
    postgres: PostgresResource, week: Week, *, settings: ForecastSettings, dry: bool
) -> Iterator[Outcome]:
    """Forecast the series of one week and replace its rows."""
    from seedtest_analytics.stats.forecasts.forecast import forecast_many

    last = last_closed_week(week)
    chosen = model_settings(last, settings)
    with postgres.transaction(f"prophet_fit_meta:{week.key}", is_dry_run=dry) as connection:
        series = [
            load_series(connection, m, last_week=last, n_weeks=settings.lookback_weeks) for m in settings.metric_names
        ]
        forecasts = forecast_many(series, chosen, processes=settings.processes)
        fits, anomalies = fit_rows(week, forecasts, settings=settings, holidays=chosen.holidays)
        parameters = {"week_start": week.start}
        staged_from_frame(connection, "staged_fit", table=tables.prophet_fit_meta, frame=fits)
        staged_from_frame(connection, "staged_anomaly", table=tables.prophet_anomalies, frame=anomalies)
        fit = publish(
            connection,
            tables.prophet_fit_meta,
            staged="staged_fit",
            partition="t.week_start = :week_start",
            parameters=parameters,
        )
        found = publish(
            connection,
            tables.prophet_anomalies,
            staged="staged_anomaly",
            partition="t.fit_week = :week_start",
            parameters=parameters,
        )
    metadata = {"as_of": week.as_of.isoformat(), "series": _table(forecasts)}
    yield Outcome(
        fit,
        metadata | _plots(forecasts),
        checks=[_beats_baseline(forecasts)],
        partition=week.key,
        is_dry_run=dry,
    )
    yield Outcome(
        found,
        {"threshold": settings.anomaly_threshold},
        checks=[_last_week(forecasts)],
        partition=week.key,
        is_dry_run=dry,
    )


def model_settings(last: dt.date, settings: ForecastSettings) -> ModelSettings:
    """How the series up to the week ``last`` are forecast; every week is scored, for its values may have changed."""
    from seedtest_analytics.stats.forecasts.series import ForecastSettings as Chosen

    return Chosen(
        horizon_weeks=settings.forecast_weeks,
        anomaly_threshold=settings.anomaly_threshold,
        interval_level=settings.interval_level,
        holidays=holidays_around(last, settings),
    )


def _table(forecasts: Sequence[SeriesForecast]) -> dg.MetadataValue:
    header = [
        "metric",
        "method",
        "reason",
        "weeks",
        "anomalies",
        "error",
        "naive error",
        "coverage",
        "warnings",
    ]
    rows: list[list[Any]] = []
    for f in forecasts:
        score = (None,) * 3 if f.score is None else (f.score.mae, f.score.mae_baseline, f.score.coverage)
        weeks_known = len(f.weeks)
        rows.append(
            [
                f.metric,
                f.method,
                f.reason,
                weeks_known,
                int(f.is_anomaly.sum()),
                *score,
                "; ".join(f.warnings),
            ]
        )
    return markdown_table(header, rows)


def _plots(forecasts: Sequence[SeriesForecast]) -> dict[str, dg.MetadataValue]:
    return {f"plot_{f.metric}": _plot(f) for f in forecasts[:8] if f.method != "none"}


def _plot(found: SeriesForecast) -> dg.MetadataValue:
    figure, axes = new_figure(6.4, 3.0)
    axes.plot(found.weeks, found.values, "o-", color=INK, markersize=3, linewidth=1, label="value")
    axes.plot(found.weeks, found.expected, color=MUTED, linewidth=1, label="expected by the weeks before")
    axes.fill_between(found.forecast_weeks, found.forecast_lower, found.forecast_upper, color=ACCENT, alpha=0.2)
    axes.plot(found.forecast_weeks, found.forecast, color=ACCENT, label="forecast")
    far = found.is_anomaly
    axes.plot(found.weeks[far], found.values[far], "D", color="#c1121f", markersize=6, label="anomaly")
    axes.legend(fontsize=7, frameon=False)
    axes.tick_params(axis="x", labelrotation=30)
    axes.set_title(f"{found.metric}, by {found.method}", loc="left", fontsize=10, color=INK)
    return figure_metadata(figure)


def _beats_baseline(forecasts: Sequence[SeriesForecast]) -> CheckOutcome:
    faults = [f"{f.metric}: {'; '.join(f.warnings)}" for f in forecasts if f.warnings]
    return CheckOutcome(
        "beats_baseline", not faults, description="; ".join(faults) or "no series is worse, or none is judged"
    )


def _last_week(forecasts: Sequence[SeriesForecast]) -> CheckOutcome:
    far = [
        f"{f.metric} was {f.values[-1]:.3f}, expected {f.expected[-1]:.3f} (z {f.anomaly_score[-1]:+.1f})"
        for f in forecasts
        if len(f.weeks) and f.is_anomaly[-1]
    ]
    return CheckOutcome("last_week_expected", not far, description="; ".join(far) or "as expected")


@table_assets(
    TableSpec(
        weekly_kpi,
        grain="student_week",
        key=("weekly_kpi", "I_t_expected"),
        description=f"{KPI_KEYS['I_t_expected'][0].meaning}\n\nA local level for every student, its parameters the "
        "cohort's. Merges its own keys into `weekly_kpi.kpis` and touches no other.",
    ),
    group="trends",
    domain="forecast",
    kinds=("postgres", "python"),
    deps=[dg.AssetDep(dg.AssetKey(["weekly_kpi", "I_t"]), partition_mapping=LOOK_BACK)],
    sql=[SQL],
    partitions_def=WEEKLY,
)
def weekly_kpi_expected(
    context: dg.AssetExecutionContext, config: ForecastOptions, *, postgres: PostgresResource
) -> Iterator[Outcome]:
    """Merge what was expected of each student of each week of the run."""
    settings = load_settings().forecast.overridden_by(config.model_dump())
    for week in weeks(context, config):
        dry = is_dry_run(config)
        with postgres.transaction(f"weekly_kpi:{week.key}", is_dry_run=dry) as connection:
            numbers = stage_expectations(connection, week, lookback_weeks=settings.lookback_weeks)
            published = merge_kpis(connection, "I_t_expected", week_start=week.start, is_whole=False)
        metadata = {"students_with_an_expectation": numbers}
        yield Outcome(
            published,
            metadata,
            checks=[],
            partition=week.key,
            is_dry_run=dry,
            key=("weekly_kpi", "I_t_expected"),
        )
