"""Stage `sources`: the web application's tables, observed and never written."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg

from seedtest_analytics.assets.declare import column_schema, pii_class
from seedtest_analytics.partitions import PLATFORM
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.sql_files import statement
from seedtest_analytics.tables import source

SOURCES = (
    (
        source.exam_results,
        "exam",
        "Exam results with their questions as JSON: where every attempt comes from.",
        36,
    ),
    (source.question, "item", "The item bank: topics, anchors and parameters in `meta`.", 24 * 365),
    (
        source.interest_goal,
        "student_topic",
        "What ability students want to reach in which topic, and how much it matters.",
        24 * 365,
    ),
)
"""Table, grain, description, hours after which it counts as stale."""


def _spec(table: Any, grain: str, description: str, hours: int) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=table.name,
        description=description,
        group_name="sources",
        owners=[PLATFORM.owner],
        kinds={"postgres", "source"},
        tags={"domain": "source", "grain": grain, "pii": pii_class(table)},
        metadata={"dagster/table_name": table.name, "dagster/column_schema": column_schema(table)},
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=hours)),
        skippable=True,
    )


@dg.multi_observable_source_asset(
    name="observe_sources",
    specs=[_spec(*row) for row in SOURCES],
    can_subset=True,
)
def observe_sources(
    context: dg.AssetExecutionContext, postgres: PostgresResource
) -> Iterator[dg.ObserveResult]:
    """Observe rows and the newest change of the selected source tables."""
    with postgres.engine.connect() as connection:
        for key in sorted(context.selected_asset_keys):
            row = connection.execute(statement("sources/observe.sql", key.path[-1])).one()._mapping
            metadata: dict[str, Any] = {
                name: value for name, value in row.items() if name not in ("rows", "newest_at")
            }
            if row["newest_at"] is not None:
                metadata["dagster/last_updated_timestamp"] = dg.MetadataValue.timestamp(row["newest_at"])
            yield dg.ObserveResult(
                asset_key=key,
                data_version=dg.DataVersion(f"{row['rows']}:{row['newest_at']}"),
                metadata={"dagster/row_count": row["rows"], **metadata},
            )
