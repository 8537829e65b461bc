"""Who falls silent: noticed once, at the threshold, with P and S refreshed for them alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import dagster as dg
from sqlalchemy import Connection, text

from seedtest_analytics.assets.churn.scores import stage_churn_risk
from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, table_assets
from seedtest_analytics.assets.framework.events import Outcome
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.preview import table_preview
from seedtest_analytics.assets.framework.run_time import is_dry_run, now
from seedtest_analytics.assets.kpis.goal import stage_goal_probability
from seedtest_analytics.database.kpi_rows import merge_kpis
from seedtest_analytics.database.publish import publish
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import PLATFORM, Week, monday_of
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import InactivitySettings, KpiSettings, load_settings
from seedtest_analytics.tables.churn import inactivity_notice

SQL = "churn/inactivity.sql"
REFRESHED = (("P", stage_goal_probability), ("S", stage_churn_risk))


@overrides(InactivitySettings)
class InactivityOptions(RunOptions):
    """Options of an inactivity run."""


def running_week(instant: dt.datetime) -> Week:
    """The week that is running, seen as of the very instant: who crosses at noon is noticed at noon."""
    today = instant.astimezone(PLATFORM.zone).date()
    return Week(monday_of(today), instant, timezone=PLATFORM.timezone)


def silence_window(week: Week, threshold_days: int, *, kpis: KpiSettings) -> dict[str, dt.datetime]:
    """Parameters of the search for students who crossed the threshold."""
    since_days = max(kpis.users_since_days, kpis.lookback_days)
    return {
        "since": week.days_before(since_days),
        "threshold_at": week.days_before(threshold_days),
        "as_of": week.as_of,
    }


def count_due(connection: Connection, instant: dt.datetime) -> int:
    """Students who crossed the threshold and were not noticed yet."""
    settings = load_settings()
    window = silence_window(running_week(instant), settings.inactivity.threshold_days, kpis=settings.kpis)
    connection.execute(statement(SQL, "population"), window)
    return int(connection.execute(statement(SQL, "count_due")).scalar_one())


@table_assets(
    TableSpec(
        inactivity_notice,
        grain="student_silence",
        description="Students who were silent for INACTIVITY_THRESHOLD_DAYS: one row a silence, written once. P and "
        "S of the running week are refreshed for them alone, in the same transaction, so a run that was stopped leaves "
        "nothing half done and the next one notices the same students.",
    ),
    group="risk",
    domain="risk",
    deps=["attempt", "survival_fit_meta", "mirt_ability", "interest_goal"],
    sql=[SQL, "kpis/S.sql", "kpis/P.sql", "churn/panel.sql", "churn/risk.sql"],
)
def notice_inactivity(
    context: dg.AssetExecutionContext, config: InactivityOptions, *, postgres: PostgresResource
) -> Iterator[Outcome]:
    """Notice all students who crossed the threshold by now and refresh their P and S, in one transaction."""
    settings = load_settings()
    threshold = settings.inactivity.overridden_by(config.model_dump()).threshold_days
    week, dry = running_week(now(config)), is_dry_run(config)
    with postgres.transaction(f"weekly_kpi:{week.key}", is_dry_run=dry) as connection:
        connection.execute(statement(SQL, "population"), silence_window(week, threshold, kpis=settings.kpis))
        for name, stage in REFRESHED:
            stage(connection, week, settings.kpis)
            merge_kpis(connection, name, week_start=week.start, is_whole=False)
            connection.execute(text("DROP TABLE staged_kpi"))
        connection.execute(
            statement(SQL, "stage"),
            {"week_start": week.start, "as_of": week.as_of, "threshold_days": threshold},
        )
        published = publish(connection, inactivity_notice, staged="staged_notice", partition="false")
        summary = table_preview(connection, statement(SQL, "summary"))
    context.log.info(f"{published.inserted:,} students crossed {threshold} days of silence; P and S refreshed")
    yield Outcome(published, {"noticed": summary, "as_of": week.as_of.isoformat()}, is_dry_run=dry)
