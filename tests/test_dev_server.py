"""Tests on a real server with a small code location: GraphQL requests, kills, restarts."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres
from seedtest_analytics.database.embedded_postgres_host import free_port
from seedtest_analytics.dev_server import DevServer
from seedtest_analytics.instance_home import PROJECT_FOLDER, STORAGE, WRITTEN, DevServerError, prepare_home
from tests._waits import LIMIT_SECONDS, wait_until
from tests.conftest import remove_server

DEFINITIONS = """
import dagster as dg

@dg.asset
def one():
    return 1

defs = dg.Definitions([one], jobs=[dg.define_asset_job("job_of_one", [one])])
"""
LAUNCH = """mutation { launchRun(executionParams: {selector: {repositoryLocationName: "small",
  repositoryName: "__repository__", jobName: "job_of_one"}, runConfigData: {}}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
STATUS = """{ runsOrError { ... on Runs { results { runId status } } } }"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "DAGSTER_POSTGRES_URL", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's OS user can enter, with a code location in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        (folder / "small.py").write_text(DEFINITIONS)
        (folder / "workspace.yaml").write_text(
            "load_from:\n  - python_file: {relative_path: small.py, location_name: small}\n"
        )
        yield folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[DevServer]:
    """Not started; the tests of this module start and stop it in their order."""
    server = DevServer(folder / "home", port=free_port(), workspace=folder / "workspace.yaml")
    yield server
    server.down()
    remove_server(server.home / "postgres")


def graphql(server: DevServer, query: str) -> Any:
    request = urllib.request.Request(
        f"{server.status().url}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=LIMIT_SECONDS) as answer:
        return json.load(answer)["data"]


def wait_past_errors(is_so: Callable[[], bool]) -> None:
    """Wait for a condition of a server that may not answer yet."""

    def holds() -> bool:
        with contextlib.suppress(OSError):
            return is_so()
        return False

    wait_until(holds)


def session(leader: int) -> list[psutil.Process]:
    """Live processes of a session."""
    found = []
    for process in psutil.process_iter():
        try:
            is_member = os.getsid(process.pid) == leader
            if is_member and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def run_statuses(server: DevServer) -> dict[str, str]:
    runs = graphql(server, STATUS)["runsOrError"]["results"]
    return {run["runId"]: run["status"] for run in runs}


@pytest.fixture
def ignored_interrupts() -> Iterator[None]:
    """SIGINT ignored, as in a shell's background job: a server that inherits this cannot be interrupted."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.database
def test_life_of_a_server(folder: Path, server: DevServer, ignored_interrupts: None) -> None:
    """One long test, because each start takes seconds."""
    assert server.status().state == "stopped"
    server.down()
    up = server.up()
    assert up.state == "running"
    assert server.up() == up

    # A run launched over HTTP has its record in PostgreSQL.
    launched = graphql(server, LAUNCH)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id = launched["run"]["runId"]
    wait_past_errors(lambda: run_statuses(server)[run_id] == "SUCCESS")
    postgres = EmbeddedPostgres(server.home / "postgres")
    with psycopg.connect(postgres.url("dagster", driver="")) as connection:
        query = "SELECT status, (SELECT count(*) > 5 FROM event_logs WHERE run_id = r.run_id) FROM runs r"
        assert connection.execute(query).fetchall() == [("SUCCESS", True)]

    # Other OS users can read command lines.
    password = (server.home / "postgres" / "password").read_text()
    members = session(up.pid or 0)
    assert len(members) >= 4
    assert not any(password in " ".join(command_line(process)) for process in members)

    # A killed PostgreSQL comes back.
    killed = postgres.status().pid or 0
    os.kill(killed, signal.SIGKILL)
    wait_past_errors(lambda: postgres.status().state == "running" and postgres.status().pid != killed)
    wait_past_errors(lambda: run_statuses(server) == {run_id: "SUCCESS"})

    # After a kill of the supervisor, its orphans do not block the port of the next start. That start cannot load its
    # code, says so, and shuts down cleanly.
    os.kill(up.pid or 0, signal.SIGKILL)
    wait_past_errors(lambda: server.status().state == "stopped")
    assert session(up.pid or 0)
    assert "services shut down" not in server.log.read_text()
    (folder / "small.py").write_text("raise ValueError('no such thing')")
    with pytest.raises(DevServerError, match="cannot load small: ValueError: no such thing"):
        server.up()
    assert "services shut down" in server.log.read_text()
    assert session(up.pid or 0) == []
    assert server.status().state == "stopped"
    assert not [p for p in psutil.process_iter() if {"-m", str(server.home)} <= set(command_line(p))]

    assert postgres.status().state == "running"
    server.down()
    assert postgres.status().state == "stopped"


FAKE_DEV = """
import subprocess, sys, time
for _ in range(2):
    subprocess.Popen([sys.executable, "-m", "dagster_webserver"])
    subprocess.Popen([sys.executable, "run.py"])
time.sleep(600)
"""
SUPERVISE = """
import sys
from pathlib import Path
from seedtest_analytics import dev_server
supervisor = dev_server._Supervisor(Path("home"), 1, workspace=Path("w"))
supervisor._postgres = None
supervisor._command = [sys.executable, "fake_dev.py"]
sys.exit(supervisor.run())
"""


ENDS_SOON = """
import sys
from pathlib import Path
from seedtest_analytics import dev_server
dev_server.time.sleep = lambda seconds: None
dev_server._CALM_SECONDS = float(sys.argv[1])
supervisor = dev_server._Supervisor(Path("home"), 1, workspace=Path("w"))
supervisor._postgres = None
supervisor._command = [sys.executable, "-c", "open('starts', 'a').write('x')"]
sys.exit(supervisor.run())
"""


def test_a_server_that_ends_as_soon_as_it_starts_is_given_up(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ENDS_SOON, "1000"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1
    assert (tmp_path / "starts").read_text() == "x" * 5


def test_a_server_that_was_up_is_started_again_however_often_it_ends(tmp_path: Path) -> None:
    supervisor = subprocess.Popen([sys.executable, "-c", ENDS_SOON, "0"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    starts = tmp_path / "starts"
    try:
        wait_until(lambda: starts.exists() and len(starts.read_text()) > 7)
        assert supervisor.poll() is None
    finally:
        supervisor.terminate()
        assert supervisor.wait() == 0


def test_after_a_kill_of_dagster_dev_its_servers_end_before_others_start_and_its_runs_go_on(tmp_path: Path) -> None:
    (tmp_path / "fake_dev.py").write_text(FAKE_DEV)
    for name in ("dagster_webserver.py", "run.py"):
        (tmp_path / name).write_text("import time; time.sleep(600)")
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISE], cwd=tmp_path, start_new_session=True)

    def pids(program: str) -> set[int]:
        return {process.pid for process in session(supervisor.pid) if program in command_line(process)}

    try:
        wait_until(lambda: len(pids("dagster_webserver")) == 2 and len(pids("run.py")) == 2)
        servers, runs, (dev,) = pids("dagster_webserver"), pids("run.py"), pids("fake_dev.py")
        os.kill(dev, signal.SIGKILL)
        wait_until(lambda: pids("fake_dev.py") - {dev} and len(pids("run.py")) == 4)
        assert len(pids("dagster_webserver")) == 2
        assert pids("dagster_webserver").isdisjoint(servers)
        assert runs < pids("run.py")
    finally:
        os.killpg(supervisor.pid, signal.SIGKILL)
        supervisor.wait()


def test_a_taken_port_is_told_before_anything_starts(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(DevServerError, match=f"another program listens on 127.0.0.1:{port}"):
            DevServer(folder / "other", port=port).up()
    assert not (folder / "other" / "postgres").exists()


@pytest.mark.database
def test_a_supervisor_whose_command_line_the_kernel_does_not_show_yet_has_not_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For an instant after the start of a process, /proc shows an empty command line."""
    server = DevServer(folder / "slow", port=free_port(), workspace=folder / "workspace.yaml")
    (folder / "small.py").write_text(DEFINITIONS)
    shown = psutil.Process.cmdline

    def not_yet(process: psutil.Process) -> list[str]:
        command = shown(process)
        return [] if "seedtest_analytics.dev_server" in command else command

    try:
        with monkeypatch.context() as at_the_start:
            at_the_start.setattr(psutil.Process, "cmdline", not_yet)
            up = server.up()
        assert up.state == "running"
        assert server.status() == up
    finally:
        server.down()
        remove_server(server.home / "postgres")


def test_a_stale_state_file_does_no_harm(folder: Path) -> None:
    server = DevServer(folder / "stale", port=1)
    state_file = server.home / "dev_server" / "state.json"
    state_file.parent.mkdir(parents=True)
    state_file.write_text(json.dumps({"pid": os.getpid(), "port": 1}))
    assert server.status().state == "stopped"
    server.down()
    state_file.write_text("{")
    assert server.status().state == "stopped"
    server.down()


def test_dagsters_storage_is_a_database_beside_database_url(
    tmp_path: Path, empty_database: str, postgres_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)
    expected = postgres_server.url("dagster", driver="psycopg2")
    for _ in range(2):
        environment = prepare_home(tmp_path)
        assert environment == {"DAGSTER_HOME": str(tmp_path), "DAGSTER_POSTGRES_URL": expected}
    assert not (tmp_path / "postgres").exists()
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql+psycopg2://elsewhere/x")
    assert prepare_home(tmp_path)["DAGSTER_POSTGRES_URL"] == "postgresql+psycopg2://elsewhere/x"


def test_a_role_that_may_not_make_it_is_told_what_to_set(
    tmp_path: Path, postgres_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(postgres_server.url("postgres", driver=""), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS dagster")
    monkeypatch.setenv("DATABASE_URL", postgres_server.url("postgres", driver="psycopg2"))
    # A role without the right, of which the platform's role is a member.
    monkeypatch.setenv("PGOPTIONS", "-c role=pg_monitor")
    with pytest.raises(DevServerError, match=r"permission denied to create database.*DAGSTER_POSTGRES_URL") as caught:
        prepare_home(tmp_path)
    assert (postgres_server.root / "password").read_text() not in str(caught.value)


def test_an_operators_own_instance_file_stays(
    tmp_path: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql+psycopg2://elsewhere/x")
    file = tmp_path / "dagster.yaml"
    file.write_text("telemetry: {enabled: false}\n")
    prepare_home(tmp_path)
    assert file.read_text() == "telemetry: {enabled: false}\n"
    file.unlink()
    file.symlink_to(tmp_path / "moved away")
    prepare_home(tmp_path)
    assert file.read_text() == WRITTEN + (PROJECT_FOLDER / "dagster.yaml").read_text() + STORAGE


CHARTS = """
run_storage:
  module: dagster_postgres.run_storage
  class: PostgresRunStorage
  config:
    postgres_db: {hostname: db.example.com, username: seedtest, password: {env: DAGSTER_PG_PASSWORD}, db_name: dagster}
"""


@pytest.mark.parametrize("text", [CHARTS, "telemetry: {enabled: false}  # no DAGSTER_POSTGRES_URL\n"])
def test_a_given_instance_with_a_storage_of_its_own_gets_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Such as that of Dagster's own Helm chart."""
    # Nobody answers there: a command that asks for Dagster's database fails.
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/school")
    file = tmp_path / "dagster.yaml"
    file.write_text(text)
    assert prepare_home(tmp_path) == {"DAGSTER_HOME": str(tmp_path)}
    assert file.read_text() == text


def test_an_instance_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("storage: {")
    with pytest.raises(DevServerError, match=r"dagster\.yaml is not YAML"):
        prepare_home(tmp_path)


def test_the_instance_that_dagster_yaml_describes(
    tmp_path: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster import DagsterInstance

    monkeypatch.setenv("DATABASE_URL", empty_database)
    for name, value in prepare_home(tmp_path).items():
        monkeypatch.setenv(name, value)
    with DagsterInstance.get() as instance:
        for part in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
            assert type(part).__module__.startswith("dagster_postgres.")
        assert instance.get_runs() == []
        assert Path(instance.storage_directory()).is_relative_to(tmp_path)
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert instance.get_settings("run_retries")["retry_on_asset_or_op_failure"] is False
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
        assert instance.freshness_enabled
        assert not instance.telemetry_enabled


def test_the_workspace_is_the_platforms_one_code_location() -> None:
    import yaml

    workspace = yaml.safe_load((PROJECT_FOLDER / "workspace.yaml").read_text())
    assert [entry["python_module"]["module_name"] for entry in workspace["load_from"]] == [
        "seedtest_analytics.definitions"
    ]
