"""Inactivity: students who fall silent are noticed once, at the threshold, and their P and S are refreshed."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg
from sqlalchemy import Connection

from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.preview import table_preview
from seedtest_analytics.assets.framework.report import Outcome, report
from seedtest_analytics.assets.framework.run_time import is_dry_run, now
from seedtest_analytics.assets.framework.week_run import Replace, WeekRun, publish_week
from seedtest_analytics.assets.running_week import COMPLETED, complete_rows, merge_stages
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import PLATFORM, Week, monday_of
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import InactivitySettings, KpiSettings, load_settings
from seedtest_analytics.tables.churn import inactivity_notice

SQL = "churn/inactivity.sql"


@overrides(InactivitySettings)
class InactivityOptions(RunOptions):
    """Options of an inactivity run."""


def running_week(instant: dt.datetime) -> Week:
    """The running week as of the current instant, so a student who crosses at noon is noticed at noon."""
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
    """Number of students who crossed the threshold and are not noticed yet."""
    settings = load_settings()
    window = silence_window(running_week(instant), settings.inactivity.threshold_days, kpis=settings.kpis)
    connection.execute(statement(SQL, "population"), window)
    return int(connection.execute(statement(SQL, "count_due")).scalar_one())


@dg.multi_asset(
    **declared(
        TableSpec(
            inactivity_notice,
            grain="student_silence",
            description="Students who were silent for INACTIVITY_THRESHOLD_DAYS: one row for each silence, written once. "
            "The same transaction refreshes P and S of the running week for these students, and computes all six KPIs "
            "for those without a row, so a run that is killed leaves nothing behind and the next one notices the same "
            "students.",
        ),
        group="churn",
        # It completes rows for students without one, and no KPI waits for it.
        deps=[dg.AssetKey.from_user_string(name) for name in COMPLETED],
    )
)
def notice_inactivity(
    context: dg.AssetExecutionContext, config: InactivityOptions, *, postgres: PostgresResource
) -> Iterator[Any]:
    """Notice the students who have crossed the threshold and refresh their P and S, in one transaction."""
    yield from report(context, _notice(context, config, postgres=postgres))


def _notice(
    context: dg.AssetExecutionContext, config: InactivityOptions, *, postgres: PostgresResource
) -> Iterator[Outcome]:
    # Imported by name, so that the asset's code version follows the code behind both numbers.
    from seedtest_analytics.assets.kpis.assets import stage_published_p, stage_published_s

    settings = load_settings().overridden("inactivity", config.model_dump())
    threshold = settings.inactivity.threshold_days
    week, dry = running_week(now(config)), is_dry_run(config)
    lock = f"weekly_kpi:{week.key}"
    with postgres.transaction(lock, is_dry_run=dry) as connection:
        run = WeekRun(week, connection, settings=settings, log=context.log, is_dry_run=dry, lock=lock)
        connection.execute(statement(SQL, "population"), silence_window(week, threshold, kpis=settings.kpis))
        refreshed = {"P": stage_published_p, "S": stage_published_s}
        merge_stages(run, refreshed, is_whole=False)
        complete_rows(run, refreshed)
        connection.execute(
            statement(SQL, "stage"), {"week_start": week.start, "as_of": week.as_of, "threshold_days": threshold}
        )
        published = publish_week(run, inactivity_notice, rows="staged_notice", replace=Replace.NOTHING)
        summary = table_preview(connection, statement(SQL, "summary"))
    context.log.info(f"{published.inserted:,} students crossed {threshold} days of silence; P and S refreshed")
    yield Outcome(published, {"noticed": summary, "as_of": week.as_of.isoformat()}, is_dry_run=dry)
