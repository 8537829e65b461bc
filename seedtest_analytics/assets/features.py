"""Features: what each student did in each topic on each day."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.checks import Check
from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.preview import table_preview
from seedtest_analytics.assets.framework.report import Outcome, report
from seedtest_analytics.assets.framework.run_time import days, is_dry_run
from seedtest_analytics.database.publish import publish
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import DAILY, DAY, PLATFORM, instant_of
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import FeatureSettings, load_settings
from seedtest_analytics.tables.features import features_topic_daily as table

SQL = "features/features_topic_daily.sql"
REPORT_SQL = "features/report.sql"

ABILITY_OF_CLOSED_WEEK = dg.TimeWindowPartitionMapping(
    start_offset=-6, end_offset=-6, allow_nonexistent_upstream_partitions=True
)
"""A day reads the last week that is closed at the day's end: the week before, and on Sundays the day's own week.

The offsets are days: that week contains the sixth day before.
"""
RECONCILED = Check(
    "reconciled", "Every answered attempt with a topic is in exactly one row, here or in quarantine.", is_blocking=True
)


@overrides(FeatureSettings)
class FeatureOptions(RunOptions):
    """Options of a features run."""


@dg.multi_asset(
    **declared(
        TableSpec(
            table,
            grain="student_topic_day",
            description="What a student did in a topic on a day: answers, times, hints, ability and improvement within the "
            "topic. One statement computes a day or a range of days.",
            checks=(RECONCILED,),
        ),
        group="features",
        deps=[
            "attempt",
            dg.AssetDep("mirt_ability", partition_mapping=ABILITY_OF_CLOSED_WEEK),
            dg.AssetDep("student_topic_theta", partition_mapping=ABILITY_OF_CLOSED_WEEK),
        ],
        partitions_def=DAILY,
    )
)
def features_topic_daily(
    context: dg.AssetExecutionContext, config: FeatureOptions, *, postgres: PostgresResource
) -> Iterator[Any]:
    """Compute the days of the run with one statement and replace them in one transaction."""
    yield from report(context, _days(context, config, postgres=postgres))


def _days(
    context: dg.AssetExecutionContext, config: FeatureOptions, *, postgres: PostgresResource
) -> Iterator[Outcome]:
    first, last = days(context)
    settings = load_settings().features.overridden_by(config.model_dump())
    dry = is_dry_run(config)
    window = {
        "history_from": instant_of(first - 28 * DAY, PLATFORM.zone),
        "from_at": instant_of(first, PLATFORM.zone),
        "to_at": instant_of(last + DAY, PLATFORM.zone),
    }
    range_ = {"first_day": first, "last_day": last}
    with postgres.transaction("features_topic_daily", is_dry_run=dry) as connection:
        connection.execute(
            statement(SQL), {**window, "timezone": PLATFORM.timezone, "include_theta": settings.include_theta}
        )
        published = publish(
            connection,
            table,
            staged="staged_features",
            partition="t.date BETWEEN :first_day AND :last_day",
            parameters=range_,
        )
        by_day = table_preview(connection, statement(REPORT_SQL, "by_day"), parameters=range_)
        missing = connection.execute(statement(REPORT_SQL, "unexplained"), {**window, **range_}).scalar_one()
        rows = {day: n for day, n in connection.execute(statement(REPORT_SQL, "rows_by_day"), range_)}
    context.log.info(f"{first} to {last} in one statement: {published.staged:,} rows")
    yield Outcome(
        published,
        {"by_day": by_day},
        checks=[
            RECONCILED.judged(
                f"{missing:,} answered attempts are missing from the rows",
                is_passed=missing == 0,
                metadata={"missing": missing},
            )
        ],
        is_dry_run=dry,
        partition_rows={day.isoformat(): n for day, n in rows.items()},
    )
