"""Which executor an environment gets, and what no run configuration can change about it."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import psutil
import pytest

from seedtest_analytics.build import build_definitions
from seedtest_analytics.dagster_private import process_config, resolve_to_config_type
from seedtest_analytics.schedules.executors import PRELOADED, chosen_executor, k8s_config, multiprocess_config
from seedtest_analytics.settings import ExecutionSettings, SettingsError
from tests._waits import wait_until


def settings(**environment: str) -> ExecutionSettings:
    return ExecutionSettings.from_environment(environment)


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "multiprocess"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "k8s"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "SEEDTEST_EXECUTOR": "in_process"}, "in_process"),
        ({"SEEDTEST_EXECUTOR": "k8s"}, "k8s"),
        ({"SEEDTEST_EXECUTOR": "multiprocess"}, "multiprocess"),
    ],
)
def test_the_environment_decides(environment: dict[str, str], name: str) -> None:
    assert chosen_executor(settings(**environment)).name == name


@pytest.mark.parametrize("name", ["in_process", "multiprocess", "k8s"])
def test_a_run_cannot_configure_its_executor(name: str) -> None:
    """A run that named an image or a secret here would run anything."""
    executor = chosen_executor(settings(SEEDTEST_EXECUTOR=name))
    schema = resolve_to_config_type(executor.config_schema.config_type)
    assert not process_config(schema, {"job_image": "theirs/image"}).success
    assert not process_config(schema, {"env_secrets": ["theirs"]}).success


def test_definitions_have_the_executor_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDTEST_EXECUTOR", "in_process")
    executor = build_definitions().executor
    assert isinstance(executor, dg.ExecutorDefinition)
    assert executor.name == "in_process"


def test_limits_and_sizes_of_the_settings_reach_the_executor() -> None:
    sizes = '{"bayesian_growth": {"limits": {"memory": "8Gi"}}}'
    given = settings(SEEDTEST_MAX_STEPS="3", SEEDTEST_STEP_RESOURCES=sizes, SEEDTEST_STEP_SERVICE_ACCOUNT="steps")
    config = k8s_config(given)
    assert config["max_concurrent"] == multiprocess_config(given)["max_concurrent"] == 3
    assert config["service_account_name"] == "steps"
    container = config["per_step_k8s_config"]["bayesian_growth"]["container_config"]
    assert container == {"resources": {"limits": {"memory": "8Gi"}}}
    assert "max_concurrent" not in multiprocess_config(settings())


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ("8Gi", "not JSON"),
        ("[]", "steps must be a JSON object"),
        ('{"a": 1}', "a must be a JSON object"),
        ('{"a": {"limit": {}}}', "a has 'limit' in place of 'requests' or 'limits'"),
        ('{"a": {"limits": {"memory": "8 GB"}}}', "write cpu as 500m or 2, memory as 4Gi"),
        ('{"a": {"limits": {"image": "theirs"}}}', "a.limits has image"),
    ],
)
def test_a_size_that_kubernetes_would_refuse_is_refused_here(sizes: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=f"SEEDTEST_STEP_RESOURCES.*{reason}"):
        settings(SEEDTEST_STEP_RESOURCES=sizes)


RUN = """
import multiprocessing, os, time
from pathlib import Path
from tests.schedules.test_executors import note_and_wait
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["seedtest_analytics.schedules.step_process"])
if __name__ == "__main__":
    step = context.Process(target=note_and_wait)
    step.start()
    step.join()
"""


def note_and_wait() -> None:
    Path(os.environ["TEST_FILE"]).write_text(str(os.getpid()))
    signal.pause()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal at the death of a parent is Linux's")
def test_a_step_ends_with_the_killed_process_of_its_run(tmp_path: Path) -> None:
    assert PRELOADED[0] == "seedtest_analytics.schedules.step_process"
    file, program = tmp_path / "pid", tmp_path / "run.py"
    program.write_text(RUN)
    environment = {**os.environ, "TEST_FILE": str(file), "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.Popen([sys.executable, str(program)], env=environment)
    wait_until(lambda: file.exists() and file.read_text())
    step = psutil.Process(int(file.read_text()))
    run.kill()
    run.wait()
    try:
        wait_until(lambda: not step.is_running() or step.status() == psutil.STATUS_ZOMBIE)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            step.kill()
