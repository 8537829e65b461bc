"""Delete old runs and results of checks from Dagster's storage.

Neither the platform's tables nor the state of a partition changes.
"""

# Without postponed annotations: Dagster reads an op's configuration class from them.
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import dagster as dg

from seedtest_analytics.dagster_private import delete_superseded_checks
from seedtest_analytics.partitions import DAY, PLATFORM
from seedtest_analytics.schedules.jobs import FINISHED
from seedtest_analytics.settings import load_settings

_PROGRESS_EVERY = 500


@dataclass(frozen=True)
class Pruned:
    """Finished runs older than the limit: how many were deleted, and how many have the newest event of a partition."""

    deleted: int
    kept: int


def prune_runs(
    instance: dg.DagsterInstance, before: dt.datetime, *, log: dg.DagsterLogManager, is_dry_run: bool = False
) -> Pruned:
    """Delete finished runs created before ``before`` with their events and captured output, the newest first.

    A run stays while it has the newest materialisation or observation of an asset or of one of its partitions: without
    that event, Dagster would take the partition for missing. After an interruption the next call continues.
    """
    newest = cache(lambda key: _newest_events(instance, key))
    run_ids = instance.get_run_ids(dg.RunsFilter(statuses=FINISHED, created_before=before))
    deleted = 0
    for number, run_id in enumerate(run_ids, start=1):
        if not any(event in newest(key) for event, key in _asset_events(instance, run_id)):
            deleted += 1
            if not is_dry_run:
                _delete(instance, run_id)
        if number % _PROGRESS_EVERY == 0:
            log.info(f"checked {number:,} of {len(run_ids):,} old runs, deleted {deleted:,}")
    return Pruned(deleted, len(run_ids) - deleted)


def _delete(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete the run itself last, so that the next call finds it again after an interruption."""
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    instance.event_log_storage.delete_events(run_id)
    instance.delete_run(run_id)


def _asset_events(instance: dg.DagsterInstance, run_id: str) -> Iterable[tuple[int, dg.AssetKey]]:
    """Storage id and asset of the run's materialisations and observations."""
    kinds = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION}
    cursor = None
    while True:
        page = instance.get_records_for_run(run_id, cursor=cursor, of_type=kinds)
        for record in page.records:
            if record.asset_key is not None:
                yield record.storage_id, record.asset_key
        if not page.has_more:
            return
        cursor = page.cursor


def _newest_events(instance: dg.DagsterInstance, key: dg.AssetKey) -> frozenset[int]:
    """Storage ids of the newest events of an asset and of each of its partitions."""
    by_partition = instance.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION).values()
    entries = [record.asset_entry for record in instance.get_asset_records([key])]
    latest = [id_ for e in entries for id_ in (e.last_materialization_storage_id, e.last_observation_storage_id)]
    return frozenset([*by_partition, *(id_ for id_ in latest if id_ is not None)])


class PruneOptions(dg.Config):
    """Options of the run; unset means the environment's value."""

    retention_days: int | None = None
    dry_run: bool | None = None


@dg.op(description="Deletes finished runs and results of checks older than SEEDTEST_RUN_RETENTION_DAYS; 0 keeps all.")
def delete_old_runs(context: dg.OpExecutionContext, config: PruneOptions) -> None:
    """Prune the history and log the counts."""
    platform = load_settings().platform.overridden_by(
        {"run_retention_days": config.retention_days, "dry_run": config.dry_run}
    )
    if platform.run_retention_days == 0:
        context.log.info("SEEDTEST_RUN_RETENTION_DAYS is 0: all runs are kept")
        return
    before = dt.datetime.now(dt.UTC) - platform.run_retention_days * DAY
    pruned = prune_runs(context.instance, before, log=context.log, is_dry_run=platform.dry_run)
    checks = delete_superseded_checks(context.instance, before, is_dry_run=platform.dry_run)
    what = "would be deleted" if platform.dry_run else "deleted"
    context.log.info(
        f"runs before {before.date()}: {pruned.deleted:,} {what}, {pruned.kept:,} kept with the newest event of a partition; "
        f"results of checks: {checks:,} {what}"
    )


@dg.job(
    description="Deletes old finished runs and results of checks from Dagster's storage, except those that a partition's "
    "state depends on.",
    tags={"domain": "automation"},
)
def prune_run_history() -> None:
    """Delete runs, not rows of the platform's tables."""
    delete_old_runs()


@dg.schedule(
    job=prune_run_history,
    name="prune_run_history_schedule",
    cron_schedule="30 1 * * 0",
    execution_timezone=PLATFORM.timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="On Sundays, before the night's chain. Replaces no CronJob.",
    tags={"domain": "automation"},
)
def prune_weekly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Request a run unless all runs are kept."""
    if load_settings().platform.run_retention_days == 0:
        return dg.SkipReason("SEEDTEST_RUN_RETENTION_DAYS is 0: all runs are kept")
    return dg.RunRequest()


JOBS = [prune_run_history]
SCHEDULES = [prune_weekly]
