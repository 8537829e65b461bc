"""The state of each asset: its last success, freshness, checks, failed partitions, and the command that repairs it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from seedtest_analytics.dagster_private import latest_checks, newest_attempt, unmaterialised_attempts

ENDED_BADLY = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
ROWS = ("dagster/row_count", "dagster/partition_row_count")
"""Of the whole table where the asset reports it, else of the newest partition."""
COMMAND = "seedtest run"


@dataclass(frozen=True)
class Health:
    """The health of one asset; the fields are the columns of `platform_health`."""

    asset: str
    domain: str
    owner: str
    last_success_at: dt.datetime | None = None
    fresh_until: dt.datetime | None = None
    row_count: int | None = None
    verdicts: Mapping[str, str] = field(default_factory=dict)
    failed_checks: Mapping[str, str] = field(default_factory=dict)
    failed_partitions: Sequence[str] = ()
    has_failed: bool = False
    is_stale: bool = False
    job: str | None = None
    """The smallest job that computes the asset."""
    repaired: tuple[str, ...] = ()
    """First and last partition that a repair computes."""

    @property
    def checks_passed(self) -> int:
        """Checks whose newest result is good."""
        return len(self.verdicts) - len(self.failed_checks)

    @property
    def state(self) -> str:
        """The worst that is true, as the column `state` says it."""
        if self.has_failed or self.failed_partitions:
            return "failed"
        if self.last_success_at is None:
            return "never"
        return "stale" if self.is_stale else "warning" if self.failed_checks else "ok"

    @property
    def repair(self) -> str | None:
        """The command that computes again what failed; None where nothing has to be computed, or no job computes it.

        It runs a job and not the asset alone, because a step computes several tables, and what comes after them in the job
        has failed with them.
        """
        if self.state in ("ok", "warning") or self.job is None:
            return None
        return " ".join((COMMAND, self.job, *dict.fromkeys(self.repaired)))


def health_of(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, *, now: dt.datetime) -> list[Health]:
    """The health of every asset of a code location that can be materialised, by key."""
    graph: Any = repository.asset_graph
    keys = sorted(graph.materializable_asset_keys, key=lambda key: key.to_user_string())
    entries = {record.asset_entry.asset_key: record.asset_entry for record in instance.get_asset_records(keys)}
    checks = latest_checks(instance, [check for key in keys for check in graph.get(key).check_keys])
    jobs = smallest_jobs(repository)
    return [
        _health(instance, graph.get(key), entry=entries.get(key), checks=checks, job=jobs.get(key), now=now)
        for key in keys
    ]


def smallest_jobs(repository: dg.RepositoryDefinition) -> dict[dg.AssetKey, str]:
    """For each asset the job with the fewest assets that computes it; Dagster's own job of all assets does not count."""
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    by_size = sorted(jobs, key=lambda job: (len(job.asset_layer.selected_asset_keys), job.name), reverse=True)
    return {key: job.name for job in by_size for key in job.asset_layer.selected_asset_keys}


def _health(
    instance: dg.DagsterInstance, node: Any, *, entry: Any, checks: Mapping[Any, Any], job: str | None, now: dt.datetime
) -> Health:
    newest = entry.last_materialization if entry is not None else None
    success = dt.datetime.fromtimestamp(newest.timestamp, dt.UTC) if newest is not None else None
    until = success + node.freshness_policy.fail_window.to_timedelta() if success and node.freshness_policy else None
    results = {check.name: checks[check] for check in node.check_keys if check in checks}
    texts = {name: result.description or "" for name, result in results.items()}
    failed = _failed_partitions(instance, node.key) if node.partitions_def is not None else ()
    return Health(
        asset=node.key.to_user_string(),
        domain=node.group_name,
        owner=", ".join(node.owners),
        last_success_at=success,
        fresh_until=until,
        row_count=_rows(newest),
        verdicts=texts,
        failed_checks={name: texts[name] for name, result in results.items() if not result.passed},
        failed_partitions=failed,
        has_failed=_has_failed(instance, node.key, newest=newest),
        is_stale=until is not None and until < now,
        job=job,
        repaired=_to_repair(node, failed=failed, newest=newest),
    )


def _to_repair(node: Any, *, failed: Sequence[str], newest: Any) -> tuple[str, ...]:
    """First and last of the failed partitions; without one, from the newest success to the newest partition."""
    if node.partitions_def is None:
        return ()
    if failed:
        return min(failed), max(failed)
    last = node.partitions_def.get_last_partition_key()
    succeeded = newest.asset_materialization.partition if newest is not None else None
    return min(succeeded or last, last), last


def _rows(newest: Any) -> int | None:
    materialization = newest.asset_materialization if newest is not None else None
    known = materialization.metadata if materialization is not None else {}
    return next((int(known[name].value) for name in ROWS if name in known), None)


def _has_failed(instance: dg.DagsterInstance, key: dg.AssetKey, *, newest: Any) -> bool:
    """The newest run that planned the asset ended badly and did not materialise it."""
    run_id = newest_attempt(instance, key)
    if run_id is None or (newest is not None and newest.run_id == run_id):
        return False
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status in ENDED_BADLY


def _failed_partitions(instance: dg.DagsterInstance, key: dg.AssetKey) -> Sequence[str]:
    """Partitions that a run has planned since their last success, where that run ended badly."""
    attempts = unmaterialised_attempts(instance, key)
    if not attempts:
        return ()
    filters = dg.RunsFilter(run_ids=list(set(attempts.values())), statuses=list(ENDED_BADLY))
    bad = {run.run_id for run in instance.get_runs(filters)}
    return sorted(partition for partition, run_id in attempts.items() if run_id in bad)
