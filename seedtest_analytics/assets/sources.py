"""Sources: the tables of the web application, observed and never written."""

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.checks import Check, CheckOutcome
from seedtest_analytics.assets.framework.lineage import column_schema, pii_class
from seedtest_analytics.assets.framework.untrusted import escaped
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import PLATFORM
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.tables import source

SOURCES = {
    source.exam_results: ("exam", "Exam results with their questions as JSON: the source of every attempt."),
    source.question: ("item", "The item bank: topics, anchors and parameters in `meta`."),
    source.interest_goal: ("student_topic", "The ability that students want to reach in a topic, and its priority."),
}
"""Grain and description of each source table."""
LATE_AFTER = dt.timedelta(hours=36)
"""A school is silent over a night and a Sunday, but hardly longer."""
FRESH = Check(
    "fresh",
    f"The newest exam result is younger than {LATE_AFTER.total_seconds() / 3600:.0f} hours. If not, nobody learns "
    "(holidays), or the web application does not write.",
)


def _spec(table: Any, grain: str, *, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=table.name,
        description=description,
        group_name="sources",
        owners=[PLATFORM.owner],
        kinds={"postgres", "source"},
        tags={"domain": "source", "grain": grain, "pii": pii_class(table)},
        metadata={"dagster/table_name": table.name, "dagster/column_schema": column_schema(table)},
        skippable=True,
    )


_observed: Callable[[Callable[..., Iterator[dg.ObserveResult]]], dg.AssetsDefinition] = (
    dg.multi_observable_source_asset(
        name="observe_sources",
        specs=[_spec(table, grain, description=text) for table, (grain, text) in SOURCES.items()],
        can_subset=True,
    )
)


@_observed
def observe_sources(context: dg.AssetExecutionContext, postgres: PostgresResource) -> Iterator[dg.ObserveResult]:
    """Observe the number of rows and the newest change of the selected source tables."""
    with postgres.engine.connect() as connection:
        for key in sorted(context.selected_asset_keys):
            row = connection.execute(statement("sources/observe.sql", key.path[-1])).one()._mapping
            metadata: dict[str, Any] = {name: value for name, value in row.items() if name not in ("rows", "newest_at")}
            if row["newest_at"] is not None:
                metadata["dagster/last_updated_timestamp"] = dg.MetadataValue.timestamp(row["newest_at"])
            yield dg.ObserveResult(
                asset_key=key,
                data_version=dg.DataVersion(f"{row['rows']}:{row['newest_at']}"),
                metadata={"dagster/row_count": row["rows"], **metadata},
            )


@dg.asset_check(asset="exam_results", name=FRESH.name, description=FRESH.description)
def exam_results_fresh(postgres: PostgresResource) -> dg.AssetCheckResult:
    """Judge freshness by the times in the table. Dagster's policies know only materialisations, and sources have none."""
    with postgres.engine.connect() as connection:
        row = connection.execute(statement("sources/observe.sql", "exam_results")).one()
    if row.newest_at is None:
        return _result(FRESH.failed("there is no exam result yet"))
    age = dt.datetime.now(dt.UTC) - row.newest_at
    hours = age.total_seconds() / 3600
    text = f"the newest is {hours:,.0f} hours old"
    return _result(FRESH.judged(text, is_passed=age <= LATE_AFTER, metadata={"age_hours": round(hours, 1)}))


def _result(outcome: CheckOutcome) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=outcome.is_passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=escaped(outcome.description),
        metadata=outcome.metadata,
    )
