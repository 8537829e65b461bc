"""A small code location with assets that fail where a test says so, beside the asset that judges them."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.declare import freshness
from seedtest_analytics.assets.health import assets as health_assets
from seedtest_analytics.resources.postgres import PostgresResource

DAYS = dg.StaticPartitionsDefinition(["2026-03-02", "2026-03-03", "2026-03-04"])
BROKEN: set[str] = set()


@dg.asset(
    partitions_def=DAYS,
    group_name="kpis",
    owners=["team:learning-analytics"],
    freshness_policy=freshness(None),
    check_specs=[dg.AssetCheckSpec("usable", asset="kept", partitions_def=DAYS)],
)
def kept(context: dg.AssetExecutionContext) -> Iterator[Any]:
    if context.partition_key in BROKEN:
        raise dg.Failure("the disk is full", allow_retries=False)
    yield dg.MaterializeResult(metadata={"dagster/partition_row_count": 7})
    yield dg.AssetCheckResult(
        check_name="usable", passed=context.partition_key != "2026-03-03", description="too few <answers>"
    )


@dg.asset(group_name="kpis")
def whole() -> None:
    if "whole" in BROKEN:
        raise dg.Failure("the disk is full", allow_retries=False)


@dg.asset(group_name="kpis")
def unseen() -> None:
    return


SMALL = [kept, whole, unseen, dg.AssetSpec("outside")]
JOBS = [
    dg.define_asset_job("compute_kept", ["kept"]),
    dg.define_asset_job("compute_whole", ["whole"]),
    dg.define_asset_job("compute_both", ["whole", "unseen"]),
]
defs = dg.Definitions(
    [*SMALL, health_assets.platform_health],
    jobs=[*JOBS, dg.define_asset_job("judge", ["platform_health"], executor_def=dg.in_process_executor)],
    resources={"postgres": PostgresResource()},
)
