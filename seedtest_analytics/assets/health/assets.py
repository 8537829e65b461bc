"""The asset that says how the other assets are."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.json_text import json_text
from seedtest_analytics.assets.framework.report import Outcome, report
from seedtest_analytics.assets.framework.run_time import is_dry_run, now
from seedtest_analytics.assets.health.checks import ALL_WELL
from seedtest_analytics.assets.health.state import Health, health_of
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.tables.health import platform_health as table


class HealthOptions(RunOptions):
    """Options of a health run."""


@dg.multi_asset(
    **declared(
        TableSpec(
            table,
            grain="asset",
            description="For each asset: last success, freshness, checks, rows, verdicts of models, failed partitions and "
            "the command that repairs them. `seedtest health --page FILE` writes the same as a page.",
            checks=(ALL_WELL,),
        ),
        group="health",
        kinds=("postgres", "python"),
    )
)
def platform_health(
    context: dg.AssetExecutionContext, config: HealthOptions, *, postgres: PostgresResource
) -> Iterator[Any]:
    """Read Dagster's storage and replace the table."""
    yield from report(context, _judge(context, config, postgres=postgres))


def _judge(
    context: dg.AssetExecutionContext, config: HealthOptions, *, postgres: PostgresResource
) -> Iterator[Outcome]:
    from seedtest_analytics.database.publish import publish, staged_from_frame

    instant, dry = now(config), is_dry_run(config)
    everything = health_of(context.instance, context.repository_def, now=instant)
    found = [one for one in everything if one.asset != table.name]
    with postgres.transaction("platform_health", is_dry_run=dry) as connection:
        staged_from_frame(connection, "staged_health", table=table, frame=frame_of(found, instant))
        published = publish(connection, table, staged="staged_health", partition="true")
    bad = [f"{one.asset} {one.state}" for one in found if one.state in ("failed", "stale")]
    text = "; ".join(bad) or f"{len(found)} assets, none failed or stale"
    yield Outcome(published, checks=[ALL_WELL.judged(text, is_passed=not bad)], is_dry_run=dry)


def frame_of(found: Sequence[Health], instant: dt.datetime) -> Any:
    """Rows of the table."""
    import pandas as pd

    frame = pd.DataFrame(
        {
            "asset": one.asset,
            "domain": one.domain,
            "owner": one.owner,
            "state": one.state,
            "last_success_at": one.last_success_at,
            "fresh_until": one.fresh_until,
            "row_count": one.row_count,
            "checks_passed": one.checks_passed,
            "failed_checks": json_text(dict(one.failed_checks)),
            "verdicts": json_text(dict(one.verdicts)),
            "failed_partitions": json_text(list(one.failed_partitions)),
            "repair": one.repair,
            "computed_at": instant,
        }
        for one in found
    )
    instants = {name: pd.to_datetime(frame[name], utc=True) for name in ("last_success_at", "fresh_until")}
    return frame.assign(**instants, row_count=frame["row_count"].astype("Int64"))
