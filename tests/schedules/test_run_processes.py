"""Runs whose process was killed: found, marked as failed, and no longer in the way."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import psutil
import pytest

from seedtest_analytics.cli.run_waits import blocked_by, told_waits
from seedtest_analytics.dagster_private import (
    EngineEventData,
    InstanceConcurrencyContext,
    WorkerStatus,
    sleep_between_claims,
)
from seedtest_analytics.schedules.run_processes import (
    HOST_TAG,
    PROCESS_TAG,
    PlatformRunLauncher,
    RunProcess,
    cancel_run,
    end_dead_runs,
    holders,
    own_tags,
    process_of,
)
from tests._waits import wait_until

POOL = "postgres_write"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance that several processes may use, whose pools have one slot."""
    settings = {"concurrency": {"pools": {"default_limit": 1, "granularity": "op"}}}
    (tmp_path / "dagster.yaml").write_text(json.dumps(settings))
    with dg.instance_for_test(temp_dir=str(tmp_path), overrides=settings) as found:
        yield found


@dg.asset(pool=POOL)
def written(context: dg.AssetExecutionContext) -> None:
    """Says in which run it is, and waits to be killed if a file asks for it."""
    if marker := os.environ.get("TEST_MARKER"):
        Path(marker).write_text(context.run_id)
        time.sleep(3600)


DEFINITIONS = dg.Definitions([written], jobs=[dg.define_asset_job("write", [written])])

PROGRAM = """
import dagster as dg
from seedtest_analytics.schedules.run_processes import own_tags
from tests.schedules.test_run_processes import DEFINITIONS
with dg.DagsterInstance.get() as instance:
    DEFINITIONS.resolve_job_def("write").execute_in_process(instance=instance, tags=own_tags(), raise_on_error=False)
"""


@pytest.fixture
def killed_run(instance: dg.DagsterInstance, tmp_path: Path) -> str:
    """The id of a run whose process was killed while its step had the slot."""
    marker = tmp_path / "marker"
    home = instance.root_directory
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "DAGSTER_HOME": home, "TEST_MARKER": str(marker)},
        cwd=Path(__file__).parents[2],
    )
    try:
        wait_until(lambda: marker.exists() and marker.read_text())
    finally:
        child.kill()
        child.wait()
    return marker.read_text()


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def slots(instance: dg.DagsterInstance) -> list[str]:
    return [slot.run_id for slot in instance.event_log_storage.get_concurrency_info(POOL).claimed_slots]


def test_the_run_of_a_killed_process_ends_and_frees_its_slot(instance: dg.DagsterInstance, killed_run: str) -> None:
    assert status(instance, killed_run) == dg.DagsterRunStatus.STARTED
    assert slots(instance) == [killed_run]
    assert "process " in holders(instance, POOL)[0]
    assert [run.run_id for run in end_dead_runs(instance)] == [killed_run]
    assert status(instance, killed_run) == dg.DagsterRunStatus.FAILURE
    assert slots(instance) == []
    assert end_dead_runs(instance) == []


def test_a_slot_that_an_interrupted_run_took_while_it_ended_is_free_again(
    instance: dg.DagsterInstance, killed_run: str
) -> None:
    run = instance.get_run_by_id(killed_run)
    assert run is not None
    instance.report_run_canceled(run, "interrupted")
    assert slots(instance) == [killed_run]
    assert end_dead_runs(instance) == []
    assert slots(instance) == []


def test_a_finished_run_whose_process_still_ends_keeps_its_slot(instance: dg.DagsterInstance) -> None:
    instance.event_log_storage.initialize_concurrency_limit_to_default(POOL)
    run = started_run(instance, own_tags())
    instance.report_run_canceled(run, "interrupted")
    assert instance.event_log_storage.claim_concurrency_slot(POOL, run.run_id, "write").is_claimed
    assert end_dead_runs(instance) == []
    assert slots(instance) == [run.run_id]


def test_a_run_that_waits_says_for_whom_sleeps_and_goes_on_when_the_other_dies(
    instance: dg.DagsterInstance, killed_run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seedtest_analytics.cli.run_waits.LOOK_SECONDS", 0.1)
    sleep_between_claims()
    said: list[str] = []
    sleeps: list[float] = []
    really_sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: (sleeps.append(seconds), really_sleep(0.01))[1])
    with told_waits(instance, said.append) as on_event:
        run_id = dg.DagsterRun("write").run_id
        instance.add_event_listener(run_id, on_event)
        job = DEFINITIONS.resolve_job_def("write")
        assert job.execute_in_process(instance=instance, run_id=run_id, tags=own_tags()).success
    assert said[0].startswith(f"waiting for the pool {POOL}: written (run {killed_run[:8]}, job write, process ")
    assert f"run {killed_run[:8]} of write was killed" in said[1]
    assert any(seconds > 0 for seconds in sleeps)


def test_a_wait_for_a_slot_sleeps() -> None:
    context = SimpleNamespace(_pending_claims={"a"}, _pending_timeouts={"a": time.time() + 100})
    sleep_between_claims()
    assert 0 < InstanceConcurrencyContext.interval_to_next_pending_claim_check(context) <= 1  # type: ignore[arg-type]


def own() -> RunProcess:
    return RunProcess(**json.loads(own_tags()[PROCESS_TAG]))


def child_that_ended() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.mark.parametrize(
    ("process", "is_dead"),
    [
        (own, False),
        (lambda: replace(own(), pid=child_that_ended()), True),
        # The number was given to this process after the run's process had ended.
        (lambda: replace(own(), lived_at=psutil.Process().create_time() - 60), True),
        (lambda: replace(own(), lived_at=psutil.Process().create_time()), False),
        (lambda: replace(own(), host="another", pid=child_that_ended()), False),
        (lambda: replace(own(), pid=2**22 + 1), True),
    ],
)
def test_a_process_is_known_by_host_number_and_start(process: object, is_dead: bool) -> None:
    assert callable(process)
    assert process().is_dead() is is_dead


def test_a_run_whose_process_died_before_it_started_ends_too(instance: dg.DagsterInstance) -> None:
    gone = json.dumps(asdict(RunProcess(socket.gethostname(), 2**22 - 1, time.time())))
    job = DEFINITIONS.resolve_job_def("write")
    run = instance.create_run_for_job(job, tags={PROCESS_TAG: gone})
    own = instance.create_run_for_job(job, tags=own_tags())
    again = instance.create_run_for_job(job, tags={PROCESS_TAG: gone, HOST_TAG: socket.gethostname()})
    assert [dead.run_id for dead in end_dead_runs(instance)] == [run.run_id]
    assert [instance.get_run_by_id(one.run_id).status for one in (run, own, again)] == [
        dg.DagsterRunStatus.FAILURE,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.NOT_STARTED,
    ]


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    process = RunProcess(socket.gethostname(), child.pid, time.time())
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert process.is_dead()
    child.wait()


def started_run(instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.DagsterRun:
    run = instance.create_run_for_job(DEFINITIONS.resolve_job_def("write"), tags=tags)
    instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", job_name="write"), run_id=run.run_id)
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


@pytest.mark.parametrize("tag", ["", "no JSON", "[]", '{"pid": 1}', "{}", "null"])
def test_a_tag_of_somebody_else_tells_nothing(instance: dg.DagsterInstance, tag: str) -> None:
    run = started_run(instance, {PROCESS_TAG: tag})
    assert process_of(instance, run) is None
    assert end_dead_runs(instance) == []


def test_a_living_run_stays(instance: dg.DagsterInstance) -> None:
    run = started_run(instance, own_tags())
    assert run.status == dg.DagsterRunStatus.STARTED
    assert end_dead_runs(instance) == []


@pytest.mark.parametrize(
    ("pid", "health"), [(os.getpid, WorkerStatus.RUNNING), (child_that_ended, WorkerStatus.FAILED)]
)
def test_the_daemon_learns_whether_the_process_of_a_launched_run_lives(
    instance: dg.DagsterInstance, pid: object, health: WorkerStatus
) -> None:
    assert callable(pid)
    run = started_run(instance, {HOST_TAG: socket.gethostname()})
    launcher = PlatformRunLauncher()
    launcher.register_instance(instance)
    assert launcher.supports_check_run_worker_health
    assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING  # it has not said its process yet
    number = pid()
    instance.report_engine_event(f"Started process for run (pid: {number}).", run, EngineEventData.in_process(number))
    assert launcher.check_run_worker_health(run).status == health


def test_a_run_that_does_not_end_when_it_is_cancelled_is_killed_with_its_children(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    sleeper = "import subprocess, sys, time\nif sys.argv[1:]: subprocess.Popen(sys.argv[1:])\ntime.sleep(600)"
    stuck = subprocess.Popen([sys.executable, "-c", sleeper, sys.executable, "-c", sleeper])
    process = psutil.Process(stuck.pid)
    wait_until(process.children)
    (child,) = process.children()
    tag = json.dumps(asdict(RunProcess(socket.gethostname(), stuck.pid, time.time())))
    run = started_run(instance, {PROCESS_TAG: tag})
    launcher = PlatformRunLauncher()
    launcher.register_instance(instance)
    launcher.release(run)
    assert stuck.wait() == -signal.SIGKILL
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    # A run of this process is not killed: it ends by itself.
    launcher.release(started_run(instance, own_tags()))


def test_an_interrupted_run_is_cancelled_and_frees_its_slot(instance: dg.DagsterInstance) -> None:
    run = started_run(instance, own_tags())
    instance.event_log_storage.initialize_concurrency_limit_to_default(POOL)
    assert instance.event_log_storage.claim_concurrency_slot(POOL, run.run_id, "written").is_claimed
    cancel_run(instance, run.run_id, reason="interrupted")
    assert status(instance, run.run_id) == dg.DagsterRunStatus.CANCELED
    assert slots(instance) == []
    cancel_run(instance, run.run_id, reason="again")
    assert status(instance, run.run_id) == dg.DagsterRunStatus.CANCELED


def test_the_projects_instance_has_this_launcher(tmp_path: Path) -> None:
    project = Path(__file__).parents[2]
    (tmp_path / "dagster.yaml").write_text((project / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_launcher, PlatformRunLauncher)


def test_other_events_are_no_wait() -> None:
    assert blocked_by(SimpleNamespace(dagster_event=None)) is None
    assert asdict(own())["pid"] == os.getpid()
