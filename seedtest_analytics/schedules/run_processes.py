"""Which process computes a run, whether it still lives, and the end of runs whose process has died.

A killed process cannot report the end of its run, and the run keeps its slot of a pool. A run therefore names its process by
host, number and an instant at which it lived. A later process with the same number started after that instant.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import dagster as dg
import psutil

from seedtest_analytics.dagster_private import CheckRunHealthResult, DefaultRunLauncher, LaunchRunContext, WorkerStatus

PROCESS_TAG = "seedtest/process"
HOST_TAG = "seedtest/host"
CLOCK_SECONDS = 2.0
"""The start of a process counts clock ticks since the start of the system, so it may differ a little from the clock."""

ACTIVE = [
    # Killed, or without a storage, between the creation of the run and its start.
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class RunProcess:
    """A process that computes a run; ``lived_at`` is a POSIX time at which it lived."""

    host: str
    pid: int
    lived_at: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def is_dead(self) -> bool:
        """Whether the process has certainly ended. Nothing is known about processes of another host."""
        if self.host != socket.gethostname():
            return False
        try:
            process = psutil.Process(self.pid)
            is_other = process.create_time() > self.lived_at + CLOCK_SECONDS
            return is_other or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def kill(self) -> None:
        """Kill the process and those below it, unless it has ended, is on another host or is this one."""
        if self.host != socket.gethostname() or self.is_dead() or self.pid == os.getpid():
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            for one in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()


def own_tags() -> dict[str, str]:
    """Tags of a run that this process computes."""
    process = RunProcess(socket.gethostname(), psutil.Process().pid, time.time())
    return {PROCESS_TAG: json.dumps(asdict(process))}


def process_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> RunProcess | None:
    """The process that computes a run; None if the run does not tell.

    A launched run has the host of its launch. It may also have the tag of a command's run that it executes again.
    """
    if HOST_TAG not in run.tags:
        try:
            return RunProcess(**json.loads(run.tags[PROCESS_TAG]))
        except (ValueError, TypeError, KeyError):  # no tag, or that of somebody else
            return None
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        pid = _pid_in(entry)
        if pid is not None:
            return RunProcess(run.tags[HOST_TAG], pid, entry.timestamp)
    return None


def _pid_in(entry: dg.EventLogEntry) -> int | None:
    event = entry.dagster_event
    found = event.engine_event_data.metadata.get("pid") if event is not None else None
    text = str(found.value) if found is not None else ""
    return int(text) if text.isdecimal() else None


def end_dead_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Mark runs whose process has died as failed and free their slots of pools; return these runs."""
    dead = []
    for run in instance.get_runs(dg.RunsFilter(statuses=ACTIVE)):
        process = process_of(instance, run)
        if process is not None and process.is_dead():
            instance.report_run_failed(run, f"{process} was killed before the run ended")
            free_slots(instance, run.run_id)
            dead.append(run)
    _free_left_slots(instance)
    return dead


def _free_left_slots(instance: dg.DagsterInstance) -> None:
    """Free the slots that a finished run of a dead process has: an interrupted process may begin a step while it ends."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    claimed = {slot.run_id for pool in storage.get_concurrency_keys() for slot in _claimed(instance, pool)}
    for run_id in sorted(claimed):
        run = instance.get_run_by_id(run_id)
        process = process_of(instance, run) if run is not None and run.is_finished else None
        if process is not None and process.is_dead():
            free_slots(instance, run_id)


def cancel_run(instance: dg.DagsterInstance, run_id: str, *, reason: str) -> None:
    """Mark a run that this process computes as cancelled and free its slots of pools."""
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_canceling(run, message=reason)
        instance.report_run_canceled(run, reason)
    free_slots(instance, run_id)


def free_slots(instance: dg.DagsterInstance, run_id: str) -> None:
    """Free the slots of pools that a run has or waits for."""
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def _claimed(instance: dg.DagsterInstance, pool: str) -> Sequence[Any]:
    return instance.event_log_storage.get_concurrency_info(pool).claimed_slots


def holders(instance: dg.DagsterInstance, pool: str) -> list[str]:
    """The steps that have the slots of a pool, with their run and its process."""
    found = []
    for slot in _claimed(instance, pool):
        run = instance.get_run_by_id(slot.run_id)
        process = process_of(instance, run) if run is not None else None
        job = f", job {run.job_name}" if run is not None else ""
        found.append(f"{slot.step_key} (run {slot.run_id[:8]}{job}, {process or 'process unknown'})")
    return found


class PlatformRunLauncher(DefaultRunLauncher):
    """Dagster's launcher of runs on this machine, which also knows whether the process of a run lives.

    The daemon asks it for every started run, also for those of `seedtest materialize`.
    """

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launch a run and note the host of its process."""
        self._instance.add_run_tags(context.dagster_run.run_id, {HOST_TAG: socket.gethostname()})
        super().launch_run(context)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """The daemon fails a run whose process has died."""
        return True

    def release(self, run: dg.DagsterRun) -> None:
        """Kill the process of a run that has not ended in time, with its children, and free its slots of pools."""
        process = process_of(self._instance, run)
        if process is not None:
            process.kill()
        free_slots(self._instance, run.run_id)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a run has died. The slots of a dead one are freed at once."""
        process = process_of(self._instance, run)
        if process is None or not process.is_dead():
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        free_slots(self._instance, run.run_id)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"{process} was killed before the run ended")
