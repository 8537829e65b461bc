"""Runs on Kubernetes, end to end: launcher and executor as deployed, each pod a process, and what ends a pod badly."""

from __future__ import annotations

import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from sqlalchemy import Engine, create_engine
from typer.testing import CliRunner

from seedtest_analytics.assets.framework.sizes import SMALL, size_of
from seedtest_analytics.cli.app import app
from seedtest_analytics.dagster_private import LaunchRunContext, monitor_runs, reconstructable_job
from seedtest_analytics.schedules.jobs import FINISHED
from seedtest_analytics.schedules.run_pods import PlatformK8sRunLauncher
from tests._database import execute, rows_of
from tests._exams import Exam, question, store
from tests._kubernetes import NAMESPACE, LoopbackKubernetes, Pod, serving
from tests._waits import wait_until
from tests.assets.test_report_shards import counts, made, state
from tests.assets.test_reports import WEEK, store_kpis
from tests.schedules._lines import HELD, LinesInPlaceOfPages
from tests.schedules._on_kubernetes import POOL

ROOT = Path(__file__).parents[2]
DEPLOYED = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "dagster.yaml").read_text())
COMPONENT = "app.kubernetes.io/component"
_BUDGET = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "disruption.yaml").read_text())
(PROTECTED,) = _BUDGET["spec"]["selector"]["matchExpressions"]
GRACE_SECONDS = 3.0
IMAGE = "registry.example.com/seedtest:1"
"""The image of the code location, which is that of its runs: the launcher has none of its own."""


@pytest.fixture
def cluster(tmp_path: Path) -> LoopbackKubernetes:
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    own = {
        "DAGSTER_HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "SEEDTEST_EXECUTOR": "k8s",
        "SEEDTEST_STEP_SERVICE_ACCOUNT": "seedtest",
        "TEST_FOLDER": str(tmp_path),
    }
    return LoopbackKubernetes(tmp_path, {**environment, **own}, grace_seconds=GRACE_SECONDS)


@pytest.fixture
def instance(
    cluster: LoopbackKubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """The instance of the manifests, with its storage in a folder and its API on the loopback interface."""
    monkeypatch.setattr("seedtest_analytics.schedules.run_pods._WAITS_SECONDS", (0.0, 0.0, 0.0))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with serving(cluster) as kubeconfig:
        launcher = dict(DEPLOYED["run_launcher"])
        reached = {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
        own = {"job_namespace": NAMESPACE, "dagster_home": str(tmp_path)}
        launcher["config"] = launcher["config"] | own | reached
        kept = ("instance_class", "run_monitoring", "concurrency", "telemetry")
        # Nothing in this test may wait for its time to come.
        times = ("start_timeout_seconds", "cancel_timeout_seconds", "free_slots_after_run_end_seconds")
        monitoring = DEPLOYED["run_monitoring"] | dict.fromkeys(times, 1)
        config = {key: DEPLOYED[key] for key in kept} | {"run_launcher": launcher, "run_monitoring": monitoring}
        (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config))
        with dg.DagsterInstance.get() as found:
            assert isinstance(found.run_launcher, PlatformK8sRunLauncher)
            yield found


def launched(instance: dg.DagsterInstance, job: str, *, module: str = "_on_kubernetes", **tags: str) -> str:
    """Launch a run of a small code location; return its id."""
    reconstructable = reconstructable_job(f"tests.schedules.{module}", job, folder=str(ROOT), image=IMAGE)
    run = instance.create_run_for_job(
        reconstructable.get_definition(), job_code_origin=reconstructable.get_python_origin(), tags=tags
    )
    instance.report_dagster_event(dg.DagsterEvent("PIPELINE_STARTING", job_name=job), run_id=run.run_id)
    instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
    return run.run_id


def monitor(instance: dg.DagsterInstance) -> None:
    """One round of the daemon's monitoring."""
    assert monitor_runs(instance, logging.getLogger("test")) == []


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def slots(instance: dg.DagsterInstance) -> list[str]:
    return [slot.run_id for slot in instance.event_log_storage.get_concurrency_info(POOL).claimed_slots]


def resources_by_step(cluster: LoopbackKubernetes) -> dict[str, Any]:
    found = {}
    for job in cluster.submitted:
        pod = job["spec"]["template"]["spec"]
        found[job["metadata"]["labels"].get("dagster/op", "run")] = pod["containers"][0]["resources"]
    return found


@pytest.mark.long
def test_each_step_of_a_run_is_a_pod_of_its_own_size(
    cluster: LoopbackKubernetes, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launched(instance, "write_and_report")
    wait_until(lambda: status(instance, run_id) in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE))
    assert status(instance, run_id) == dg.DagsterRunStatus.SUCCESS, [p.log.read_text()[-2000:] for p in cluster.started]
    own = DEPLOYED["run_launcher"]["config"]["run_k8s_config"]["container_config"]["resources"]
    assert resources_by_step(cluster) == {
        "run": own,
        "written": SMALL.resources,
        "reported": size_of("reports").resources,
    }
    # Draining a node waits for what these labels select (deploy/kubernetes/disruption.yaml).
    components = {job["spec"]["template"]["metadata"]["labels"][COMPONENT] for job in cluster.submitted}
    assert components == set(PROTECTED["values"])
    (run_pod, *step_pods) = (job["spec"]["template"]["spec"] for job in cluster.submitted)
    assert run_pod["serviceAccountName"] == "seedtest-launcher"
    for pod in step_pods:
        assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("seedtest", False)
    assert slots(instance) == []


@pytest.mark.long
def test_the_run_of_a_pod_killed_for_memory_fails_and_leaves_neither_step_nor_slot(
    cluster: LoopbackKubernetes, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wait").touch()
    run_id = launched(instance, "write")
    wait_until((tmp_path / "running").exists)
    assert slots(instance) == [run_id]
    step = cluster.pod("step")
    cluster.pod("run").kill()
    monitor(instance)
    assert status(instance, run_id) == dg.DagsterRunStatus.FAILURE
    assert cluster.jobs == {}
    wait_until(lambda: step.phase != "Running")
    wait_until(lambda: (monitor(instance), slots(instance) == [])[1])
    assert not (tmp_path / "written").exists()


@pytest.mark.long
def test_a_cancelled_run_ends_as_cancelled_with_its_steps(
    cluster: LoopbackKubernetes, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wait").touch()
    run_id = launched(instance, "write")
    wait_until((tmp_path / "running").exists)
    cluster.faults += [("DELETE", 500), ("DELETE", 429)]
    assert instance.run_launcher.terminate(run_id)
    pods = list(cluster.started)
    wait_until(lambda: all(pod.phase != "Running" for pod in pods))
    # A pod that is killed at the end of its grace period cannot report the end of its run; the daemon does.
    wait_until(lambda: (monitor(instance), status(instance, run_id) == dg.DagsterRunStatus.CANCELED)[1])
    assert cluster.jobs == {}
    wait_until(lambda: (monitor(instance), slots(instance) == [])[1])
    assert not (tmp_path / "written").exists()


def test_a_pod_that_cannot_start_is_gone_when_its_run_has_failed(
    cluster: LoopbackKubernetes, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.pulls_images = False
    run_id = launched(instance, "write")
    assert len(cluster.jobs) == 1
    instance.event_log_storage.initialize_concurrency_limit_to_default(POOL)
    instance.event_log_storage.claim_concurrency_slot(POOL, run_id, "written")
    wait_until(lambda: (monitor(instance), status(instance, run_id) == dg.DagsterRunStatus.FAILURE)[1])
    assert cluster.jobs == cluster.pods == {}
    assert slots(instance) == []


@pytest.mark.parametrize("code", [429, 503])
def test_an_api_that_does_not_answer_for_a_while_fails_no_run(
    cluster: LoopbackKubernetes, instance: dg.DagsterInstance, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    cluster.pulls_images = False
    run_id = launched(instance, "write")
    instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", job_name="write"), run_id=run_id)
    cluster.faults += [("GET", code)] * 4
    monitor(instance)
    assert cluster.faults == [] or code == 429
    cluster.faults.clear()
    assert status(instance, run_id) == dg.DagsterRunStatus.STARTED
    assert len(cluster.jobs) == 1
    cluster.jobs.clear()
    monitor(instance)
    assert status(instance, run_id) == dg.DagsterRunStatus.FAILURE


def test_an_api_that_answers_500_once_gets_the_job_all_the_same(
    cluster: LoopbackKubernetes, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    cluster.pulls_images = False
    cluster.faults += [("POST", 500)]
    launched(instance, "write")
    assert len(cluster.jobs) == 1


@pytest.fixture
def platform(
    cluster: LoopbackKubernetes, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """A database and a folder of reports that the pods reach, and reports in two shards."""
    environment = {
        "DATABASE_URL": database_url,
        "SEEDTEST_REPORT_DIR": str(tmp_path / "files"),
        "SEEDTEST_SHARDS": "2",
        "SEEDTEST_STEP_RESOURCES": '{"weekly_report": {"limits": {"memory": "6Gi"}}}',
        "DAGSTER_STEP_DELEGATING_EXECUTOR_SLEEP_SECONDS": "0.3",
    }
    cluster.environment.update(environment)
    for name, value in {**environment, "TEST_FOLDER": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


def pods_by_step(cluster: LoopbackKubernetes) -> list[tuple[str, Pod]]:
    """The pods of steps in the order of their start."""
    return [(pod.labels["dagster/op"], pod) for pod in cluster.started if "dagster/op" in pod.labels]


@pytest.mark.long
def test_a_killed_shard_of_the_reports_runs_again_alone_and_the_tables_are_those_of_an_undisturbed_run(
    cluster: LoopbackKubernetes, instance: dg.DagsterInstance, platform: Engine, tmp_path: Path
) -> None:
    users = [f"u{number:02}" for number in range(6)]
    store_kpis(platform, users)
    (tmp_path / "hold").touch()
    run_id = launched(instance, "report", module="_sharded_reports", **{"dagster/partition": WEEK})
    wait_until((tmp_path / "held").exists)
    # The other shard does not wait for this one.
    wait_until(lambda: sorted(pod.phase for _, pod in pods_by_step(cluster)) == ["Running", "Succeeded"])
    ((killed, pod),) = ((step, pod) for step, pod in pods_by_step(cluster) if pod.phase == "Running")
    pod.kill()
    (tmp_path / "hold").unlink()
    wait_until(lambda: status(instance, run_id) in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE))
    assert status(instance, run_id) == dg.DagsterRunStatus.SUCCESS, [p.log.read_text()[-2000:] for p in cluster.started]

    steps = [step for step, _ in pods_by_step(cluster)]
    assert steps[2:] == [killed, "weekly_report.publish"]
    assert sorted(steps[:2]) == ["weekly_report.shard_1", "weekly_report.shard_2"]
    sizes = resources_by_step(cluster)
    assert sizes["weekly_report.publish"] == SMALL.resources
    assert [sizes[step]["limits"]["memory"] for step in steps[:2]] == ["6Gi", "6Gi"]
    assert slots(instance) == []

    by_process: dict[str, list[str]] = {}
    for line in (tmp_path / "rendered").read_text().splitlines():
        process, user = line.split()
        by_process.setdefault(process, []).append(user)
    assert len(by_process) == 3
    _, again = (rendered for rendered in by_process.values() if HELD in rendered)
    (of_other_shard,) = (rendered for rendered in by_process.values() if HELD not in rendered)
    assert sorted(again + of_other_shard) == users

    files = tmp_path / "files"
    after = state(platform, files)
    assert len(after[0]) == len(users)
    lines = LinesInPlaceOfPages()
    assert counts(made(platform, files, quarto=lines)) == (0, len(users), 0)
    assert state(platform, files) == after
    execute(platform, "TRUNCATE report_artifacts, report_pages")
    assert counts(made(platform, tmp_path / "undisturbed", quarto=lines)) == (len(users), 0, 0)
    assert state(platform, tmp_path / "undisturbed") == after


@pytest.fixture
def deployed(
    cluster: LoopbackKubernetes, instance: dg.DagsterInstance, platform: Engine, tmp_path: Path
) -> Iterator[Path]:
    """Code server and daemon of the platform; yields the workspace file of the daemon's pod."""
    file = tmp_path / "dagster.yaml"
    # This daemon monitors runs by itself, with the time that a pod may take.
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"run_monitoring": DEPLOYED["run_monitoring"]}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workspace = tmp_path / "workspace.yaml"
    served = {"host": "127.0.0.1", "port": port, "location_name": "seedtest_analytics"}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": served}]}))
    module = ["--module-name", "seedtest_analytics.definitions"]
    commands = (
        ["dagster", "api", "grpc", "--host", "127.0.0.1", "--port", str(port), *module],
        ["dagster-daemon", "run", "--workspace", str(workspace)],
    )
    environment = cluster.environment | {"DAGSTER_CURRENT_IMAGE": IMAGE}
    with (tmp_path / "deployed.log").open("wb") as log:
        started = [
            subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT)
            for command in commands
        ]
        yield workspace
        for process in reversed(started):
            process.terminate()
            process.wait()


@pytest.mark.long
def test_an_operator_in_the_pod_of_the_daemon_runs_a_job_in_pods_of_its_own(
    cluster: LoopbackKubernetes,
    instance: dg.DagsterInstance,
    deployed: Path,
    platform: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("seedtest_analytics.cli.run.WORKSPACES", (deployed,))
    monkeypatch.setenv("SEEDTEST_EXECUTOR", "k8s")
    # It would request another sync, which writes.
    sensor = ["sensor", "stop", "exam_results_sensor", "--workspace", str(deployed)]
    stop = [sys.executable, "-m", "dagster", *sensor]  # as the pod's image would find it, in any PATH
    wait_until(lambda: subprocess.run(stop, check=False, capture_output=True).returncode == 0)
    store(platform, Exam((question(1, is_correct=True),), "u1"))

    def run(*arguments: str) -> dg.DagsterRun:
        found: list[str] = []

        def is_queued() -> bool:
            output = CliRunner().invoke(app, ["--home", str(tmp_path), *arguments, "sync_attempts"]).output
            found.extend(re.findall("queued run (.*) of sync_attempts", output))
            return bool(found)

        wait_until(is_queued)
        (run_id,) = found
        wait_until(lambda: status(instance, run_id) in FINISHED, tell=(tmp_path / "deployed.log").read_text)
        logs = [pod.log.read_text()[-2000:] for pod in cluster.started]
        assert status(instance, run_id) == dg.DagsterRunStatus.SUCCESS, logs
        ended = instance.get_run_by_id(run_id)
        assert ended is not None
        return ended

    dry = run("--set", "DRY_RUN=true", "run")
    assert rows_of(platform, "SELECT count(*) FROM attempt") == [{"count": 0}]
    assert dry.run_config == {"ops": {"attempts": {"config": {"dry_run": True}}}}
    wet = run("--set", "DRY_RUN=false", "run")
    assert rows_of(platform, "SELECT count(*) FROM attempt") == [{"count": 1}]
    own = [job for job in cluster.submitted if job["metadata"]["labels"]["dagster/run-id"] in (dry.run_id, wet.run_id)]
    assert [job["spec"]["template"]["spec"]["containers"][0]["image"] for job in own] == [IMAGE] * 4
