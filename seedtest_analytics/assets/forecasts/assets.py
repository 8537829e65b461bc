"""Forecasts: weekly series of the cohort with their anomalies, and the expectation of each student's I_t."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from seedtest_analytics.assets.forecasts import checks
from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.report import report
from seedtest_analytics.assets.framework.week_run import WeeklyStep
from seedtest_analytics.partitions import WEEKLY, weeks_back
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import ForecastSettings, load_settings
from seedtest_analytics.tables import forecasts as tables
from seedtest_analytics.tables.kpis import KPI_KEYS, weekly_kpi

LOOK_BACK = weeks_back(11)
"""A series reaches back PROPHET_LOOKBACK_WEEKS weeks."""


@overrides(ForecastSettings)
class ForecastOptions(RunOptions):
    """Options of a forecast run."""


@dg.multi_asset(
    **declared(
        TableSpec(
            tables.prophet_fit_meta,
            grain="series_week",
            description="Forecast of each configured weekly series of the cohort (PROPHET_METRICS) by Prophet, from closed "
            "weeks weighted by their evidence, beside a local level. With too few weeks the local level forecasts, and "
            "the method says so.",
            checks=(checks.BEATS_BASELINE,),
        ),
        TableSpec(
            tables.prophet_anomalies,
            grain="series_week",
            description="Weeks whose value is at least PROPHET_ANOMALY_THRESHOLD standard deviations from the forecast "
            "of the weeks before.",
            checks=(checks.LAST_WEEK_EXPECTED,),
        ),
        group="forecasts",
        kinds=("postgres", "python"),
        deps=[
            "features_topic_daily",
            *(
                dg.AssetDep(dg.AssetKey(["weekly_kpi", name]), partition_mapping=LOOK_BACK)
                for name in ("I_t", "E_t", "R_t", "A_t", "P", "S")
            ),
        ],
        partitions_def=WEEKLY,
    )
)
def series_forecasts(
    context: dg.AssetExecutionContext, config: ForecastOptions, *, postgres: PostgresResource
) -> Iterator[Any]:
    """Forecast every series as of each week of the run."""
    from seedtest_analytics.assets.forecasts.week import forecast_week

    settings = load_settings().overridden("forecast", config.model_dump())
    step = WeeklyStep(context, config, postgres=postgres, settings=settings, lock="prophet_fit_meta:{week}")
    yield from report(context, step.each_week(forecast_week))


@dg.multi_asset(
    **declared(
        TableSpec(
            weekly_kpi,
            grain="student_week",
            key=("weekly_kpi", "I_t_expected"),
            description=f"{KPI_KEYS['I_t_expected'][0].meaning}\n\nA local level for every student; the cohort shares "
            "its parameters. Merges its own keys into `weekly_kpi.kpis` and touches no other.",
        ),
        group="forecasts",
        kinds=("postgres", "python"),
        deps=[dg.AssetDep(dg.AssetKey(["weekly_kpi", "I_t"]), partition_mapping=LOOK_BACK)],
        partitions_def=WEEKLY,
    )
)
def weekly_kpi_expected(
    context: dg.AssetExecutionContext, config: ForecastOptions, *, postgres: PostgresResource
) -> Iterator[Any]:
    """Merge the expectation of each student in each week of the run."""
    from seedtest_analytics.assets.forecasts.week import expect_week

    settings = load_settings().overridden("forecast", config.model_dump())
    step = WeeklyStep(context, config, postgres=postgres, settings=settings, lock="weekly_kpi:{week}")
    yield from report(context, step.each_week(expect_week))
