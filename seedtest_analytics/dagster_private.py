"""The only module that imports Dagster's private modules: each name here may move with any Dagster release."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partialmethod
from typing import TYPE_CHECKING, Any

from dagster._config import process_config, resolve_to_config_type
from dagster._config.pythonic_config import conversion_utils
from dagster._core.definitions.observe import observe
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.events import DagsterEventType, EngineEventData, RunFailureReason
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, LaunchRunContext, WorkerStatus
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.storage.defs_state.base import set_defs_state_storage
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    AUTO_RETRY_RUN_ID_TAG,
    WILL_RETRY_TAG,
)
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._utils.schedules import cron_string_iterator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dagster import AssetCheckEvaluation, AssetCheckKey, AssetKey, DagsterInstance
    from sqlalchemy import Engine
    from starlette.middleware import Middleware
    from starlette.requests import HTTPConnection

__all__ = [
    "ASSET_PARTITION_RANGE_END_TAG",
    "ASSET_PARTITION_RANGE_START_TAG",
    "AUTO_RETRY_RUN_ID_TAG",
    "WILL_RETRY_TAG",
    "CheckRunHealthResult",
    "DefaultRunLauncher",
    "EngineEventData",
    "InstanceConcurrencyContext",
    "LaunchRunContext",
    "NoOpComputeLogManager",
    "RunFailureReason",
    "SyncInMemoryRunLauncher",
    "WorkerStatus",
    "add_skipped_ticks",
    "cron_string_iterator",
    "daemon_rounds",
    "default_instance_parts",
    "delete_superseded_checks",
    "empty_workspace",
    "handled_output_metadata",
    "latest_checks",
    "look_after_steps_each_second",
    "monitor_runs",
    "newest_attempt",
    "observe",
    "options_without_environment",
    "process_config",
    "put_before_webserver",
    "reconstructable_job",
    "resolve_to_config_type",
    "set_defs_state_storage",
    "share_connections",
    "sleep_between_claims",
    "unmaterialised_attempts",
]


def options_without_environment() -> None:
    """Give the classes of run options that are defined from now on plain texts, numbers and flags.

    Dagster also lets a run write ``{env: NAME}`` for each of them. Then whoever may launch a run can read every variable
    of the process: a wrong value is quoted in the run's error, and DATABASE_URL is always a wrong value.
    """
    for name, plain in (("StringSource", str), ("IntSource", int), ("BoolSource", bool)):
        setattr(conversion_utils, name, resolve_to_config_type(plain))


def default_instance_parts(base_dir: str) -> Any:
    """Storage, launcher and further parts of an instance in this folder, as Dagster chooses them."""
    return InstanceRef.config_defaults(base_dir)


_KEPT_CONNECTIONS = 2
"""An event is often stored while the connection of a query is still open."""
_KEPT_SECONDS = 300


def share_connections(storages: Iterable[Any], *, statement_timeout: int | None = None) -> list[Engine]:
    """Let PostgreSQL storages of one address share a small pool of connections; returns the pools' engines.

    By default each storage opens a connection for every event and closes it again, which takes several milliseconds:
    a fifth of the time of a run with short steps. A connection is tried before it is used again, because the server may
    have ended it. Other storages stay as they are. ``statement_timeout`` in milliseconds limits every statement.
    """
    from sqlalchemy import event

    engines: dict[str, Engine] = {}
    for storage in storages:
        url = getattr(storage, "postgres_url", None)
        if url is None:
            continue
        from dagster_postgres.utils import create_pg_engine, set_pg_statement_timeout

        if url not in engines:
            engines[url] = create_pg_engine(
                url,
                storage._token_provider,
                isolation_level="AUTOCOMMIT",
                pool_size=_KEPT_CONNECTIONS,
                max_overflow=-1,
                pool_pre_ping=True,
                pool_recycle=_KEPT_SECONDS,
            )
            if statement_timeout is not None:
                event.listen(
                    engines[url],
                    "connect",
                    lambda connection, _: set_pg_statement_timeout(connection, statement_timeout),
                )
        storage._engine = engines[url]
    return list(engines.values())


def put_before_webserver(
    middleware: Middleware, is_read_only: Callable[[HTTPConnection], bool], *, inner: Sequence[Middleware] = ()
) -> None:
    """Put ASGI middleware before every webserver that this process makes from now on; ``inner`` comes after it.

    ``is_read_only`` says for each request whether Dagster refuses changes and disables their buttons, as with
    `dagster-webserver --read-only`.
    """
    from dagster_webserver.webserver import DagsterWebserver

    inherited = DagsterWebserver.build_middleware
    unrestricted = DagsterWebserver._make_request_context

    def build_middleware(self: Any) -> list[Middleware]:
        return [middleware, *inner, *inherited(self)]

    def make_request_context(self: Any, connection: HTTPConnection) -> Any:
        context = unrestricted(self, connection)
        context._read_only = context._read_only or is_read_only(connection)
        return context

    DagsterWebserver.build_middleware = build_middleware  # type: ignore[method-assign]
    DagsterWebserver._make_request_context = make_request_context  # type: ignore[method-assign, assignment]


def empty_workspace(instance: DagsterInstance) -> WorkspaceProcessContext:
    """What a webserver serves without code locations, for tests."""
    return WorkspaceProcessContext(instance, EmptyWorkspaceTarget(), version="test")


def latest_checks(
    instance: DagsterInstance, keys: Sequence[AssetCheckKey]
) -> dict[AssetCheckKey, AssetCheckEvaluation]:
    """The newest result of each check that has one."""
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    events = {key: record.event.dagster_event for key, record in records.items() if record.event is not None}
    return {
        key: event.asset_check_evaluation_data
        for key, event in events.items()
        if event is not None and event.event_type_value == "ASSET_CHECK_EVALUATION"
    }


def handled_output_metadata(instance: DagsterInstance, run_id: str, *, step: str) -> Mapping[str, Any]:
    """Metadata that the I/O manager of a step's only output kept with its newest event in a run."""
    entries = instance.all_logs(run_id, of_type=DagsterEventType.HANDLED_OUTPUT)
    events = [entry.dagster_event for entry in entries if entry.step_key == step]
    newest = events[-1] if events else None
    if newest is None:
        raise LookupError(f"run {run_id} kept no result of the step {step}")
    return newest.event_specific_data.metadata  # type: ignore[union-attr]


def delete_superseded_checks(instance: DagsterInstance, before: dt.datetime, *, is_dry_run: bool = False) -> int:
    """Delete the results of checks from before an instant, except the newest of each check and partition.

    Dagster deletes them neither with the events of their run nor with the run. Returns their number.
    """
    import sqlalchemy as sa
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Results
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return 0
    results = Results.c
    newest = sa.select(sa.func.max(results.id)).group_by(results.asset_key, results.check_name, results.partition)
    limit = before.astimezone(dt.UTC).replace(tzinfo=None)
    is_superseded = sa.and_(results.create_timestamp < limit, results.id.not_in(newest))
    with storage.index_connection() as connection:
        number = connection.execute(sa.select(sa.func.count()).select_from(Results).where(is_superseded)).scalar_one()
        if not is_dry_run:
            connection.execute(Results.delete().where(is_superseded))
    return int(number)


def newest_attempt(instance: DagsterInstance, key: AssetKey) -> str | None:
    """The newest run that planned to materialise an asset."""
    planned = instance.event_log_storage.get_latest_planned_materialization_info(key)
    return planned.run_id if planned is not None else None


def unmaterialised_attempts(instance: DagsterInstance, key: AssetKey) -> dict[str, str]:
    """The newest run of each partition that has been planned since its last materialisation."""
    found = instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations(key)
    return {partition: run_id for partition, (run_id, _) in found.items()}


def monitor_runs(instance: DagsterInstance, logger: logging.Logger) -> list[Any]:
    """One round of the daemon's monitoring of runs and of slots of pools, for tests; returns its errors."""
    from dagster._daemon.monitoring.concurrency import execute_concurrency_slots_iteration
    from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

    rounds = (execute_run_monitoring_iteration, execute_concurrency_slots_iteration)
    found = [error for iteration in rounds for error in iteration(empty_workspace(instance), logger)]
    return [error for error in found if error is not None]


@contextlib.contextmanager
def daemon_rounds(instance: DagsterInstance, module: str, *, folder: str) -> Iterator[Callable[[], list[str]]]:
    """A daemon and the code location ``module`` in this process, for tests that set the clock.

    Yields a function that does one round of the daemon as of now: schedules, sensors, launches from the queue and
    retries. It returns the errors. Where a run computes is up to the instance's launcher.
    """
    from unittest.mock import patch

    from dagster._core.instance import DagsterInstance as Instance
    from dagster._core.remote_origin import InProcessCodeLocationOrigin
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
    from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
    from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
    from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
    from dagster._daemon.sensor import execute_sensor_iteration
    from dagster._scheduler.scheduler import launch_scheduled_runs
    from dagster._time import get_current_datetime

    target = LoadableTargetOrigin(module_name=module, working_directory=folder)
    origin = InProcessCodeLocationOrigin(target, location_name=module.split(".")[0])
    logger = logging.getLogger("dagster.daemon")
    scheduler: Any = instance.scheduler
    times: dict[str, Any] = {}
    queue, retries = QueuedRunCoordinatorDaemon(0), EventLogConsumerDaemon()

    # A code server makes an instance for each evaluation, which costs more than the evaluation.
    shared = patch.object(Instance, "from_ref", staticmethod(lambda ref: contextlib.nullcontext(instance)))
    with shared, WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as workspace:

        def one_round() -> list[str]:
            found = [
                *launch_scheduled_runs(
                    workspace,
                    logger,
                    end_datetime_utc=get_current_datetime(),
                    iteration_times=times,
                    max_catchup_runs=scheduler.max_catchup_runs,
                    max_tick_retries=scheduler.max_tick_retries,
                ),
                *execute_sensor_iteration(workspace, logger, threadpool_executor=None, submit_threadpool_executor=None),
            ]
            for daemon in (queue, retries):
                found += daemon.run_iteration(workspace)
            return [error.to_string() for error in found if error is not None]

        yield one_round


def add_skipped_ticks(instance: DagsterInstance, sensor: str, *, n: int) -> None:
    """Ticks of a sensor that found nothing, a minute apart, for benchmarks."""
    from dagster._core.definitions.run_request import InstigatorType
    from dagster._core.scheduler.instigation import TickData, TickStatus

    for number in range(n):
        tick = TickData(
            "0" * 40,
            sensor,
            InstigatorType.SENSOR,
            TickStatus.SKIPPED,
            time.time() + 60 * number,
            skip_reason="Sensor function returned an empty result",
            selector_id="0" * 40,
            end_timestamp=time.time(),
        )
        instance.create_tick(tick)


def reconstructable_job(module: str, job: str, *, folder: str, image: str | None = None) -> ReconstructableJob:
    """A job of the definitions ``defs`` of a module, as a launcher passes it to a run's process or pod; for tests."""
    repository = ReconstructableRepository.for_module(module, "defs", folder, container_image=image)
    return repository.get_reconstructable_job(job)


def look_after_steps_each_second() -> None:
    """Let executors that start pods ask for dead ones each second instead of every 20 seconds, for tests."""
    from dagster._core.executor.step_delegating import StepDelegatingExecutor

    made = partialmethod(StepDelegatingExecutor.__init__, check_step_health_interval_seconds=1)
    StepDelegatingExecutor.__init__ = made  # type: ignore[method-assign, assignment]


_LONGEST_SLEEP_SECONDS = 1.0


def sleep_between_claims() -> None:
    """Let a run in this process sleep while it waits for a slot of a pool.

    Dagster 1.13 takes the smallest of zero and the times until the next claim, which is never positive: it does not sleep
    and uses a whole core.
    """

    def seconds_to_next_claim(self: InstanceConcurrencyContext) -> float:
        now = time.time()
        waits = [self._pending_timeouts.get(step, now) - now for step in self._pending_claims]
        return min(max(0.0, min(waits, default=0.0)), _LONGEST_SLEEP_SECONDS)

    InstanceConcurrencyContext.interval_to_next_pending_claim_check = seconds_to_next_claim  # type: ignore[method-assign]
