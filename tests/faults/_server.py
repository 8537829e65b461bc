"""The platform behind its webserver and daemon, whose processes are killed while they run what a test launches."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from seedtest_analytics.database.embedded_postgres_host import free_port
from seedtest_analytics.dev_server import DevServer
from seedtest_analytics.instance_home import prepare_home
from tests._waits import wait_until
from tests.faults._platform import FIRST, SETTINGS, UNTIL, Platform

WORKSPACE = """load_from:
  - python_module: {{module_name: tests.faults.served, location_name: served, working_directory: {root}}}
"""
LAUNCH = """mutation($job: String!, $tags: [ExecutionTag!]) { launchRun(executionParams: {
  selector: {repositoryLocationName: "served", repositoryName: "__repository__", jobName: $job},
  runConfigData: {}, executionMetadata: {tags: $tags}}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
JOBS = ("sync_attempts", "aggregate_features_daily", "compute_daily_kpis", "generate_weekly_report")
BEFORE = ("sync_attempts", "compute_daily_kpis")
LAUNCHED = {"aggregate_features_daily": (FIRST, UNTIL), "generate_weekly_report": ("2026-03-23", "2026-03-23")}
"""What runs at the server, with ranges of partitions; a command computes what comes before."""
PROGRAMS = {
    "dagster dev": re.compile(r"-m dagster dev"),
    "daemon": re.compile(r"_daemon run"),
    "code server": re.compile(r"code-server start|api grpc"),
    "webserver": re.compile(r"dagster_webserver"),
}
"""What serves, by its command line."""
VICTIMS = ("postgres", "webserver", "dagster dev", "daemon", "code server", "run worker", "step")


class Served:
    """A server on a platform's home."""

    def __init__(self, platform: Platform, server: DevServer) -> None:
        self.platform, self.server = platform, server

    def prepare(self) -> None:
        """Take away what was computed, and compute by a command what the launched jobs need."""
        self.platform.forget()
        prepared = self.platform.run(*self.platform.command(BEFORE))
        assert prepared.code == 0, prepared.output

    def launch_all(self) -> None:
        """Launch all jobs."""
        for job, days in LAUNCHED.items():
            self.launch(job, *days)

    def launch(self, job: str, first: str, last: str) -> None:
        """Launch a job over a range of partitions."""
        prefix = "dagster/asset_partition_range"
        tags = [{"key": f"{prefix}_start", "value": first}, {"key": f"{prefix}_end", "value": last}]
        body = json.dumps({"query": LAUNCH, "variables": {"job": job, "tags": tags}}).encode()
        url = f"{self.server.status().url}/graphql"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            found: dict[str, Any] = json.load(answer)
        assert found["data"]["launchRun"]["__typename"] == "LaunchRunSuccess", found

    def processes(self) -> dict[str, list[psutil.Process]]:
        """The server's processes by what they are. A step is a process below the fork server of a run's process."""
        found: dict[str, list[psutil.Process]] = {name: [] for name in (*PROGRAMS, "run worker", "step")}
        leader = self.server.status().pid
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if os.getsid(process.pid) != leader or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                command = " ".join(process.cmdline())
                parent = " ".join(psutil.Process(process.ppid()).cmdline())
                name = next((name for name, words in PROGRAMS.items() if words.search(command)), None)
                if name is None and "spawn_main" in command and "forkserver" not in parent:
                    name = "run worker"
                if name is None and "forkserver" in parent:
                    name = "step"
                if name is not None:
                    found[name].append(process)
        return found

    def is_there(self, victim: str) -> bool:
        """Whether there is something of this kind to kill."""
        return victim == "postgres" or bool(self.processes()[victim])

    def counts(self) -> dict[str, int]:
        """How many processes there are of each kind."""
        return {name: len(found) for name, found in self.processes().items()}

    def kill(self, name: str, rng: random.Random) -> bool:
        """Kill one process of this kind, or PostgreSQL; False if there is none."""
        if name == "postgres":
            pid = self.platform.server.status().pid
        else:
            found = self.processes()[name]
            pid = rng.choice(found).pid if found else None
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pid is not None

    def is_calm(self) -> bool:
        """No run is under way, and none that failed waits for its retry."""
        import psycopg

        query = (
            "SELECT count(*) FROM runs AS r WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED') OR ("
            "  status = 'FAILURE' AND EXISTS (SELECT FROM run_tags AS t WHERE t.run_id = r.run_id "
            "  AND t.key = 'dagster/will_retry' AND t.value = 'true') "
            "  AND NOT EXISTS (SELECT FROM run_tags AS t WHERE t.key = 'dagster/parent_run_id' AND t.value = r.run_id))"
        )
        try:
            with self.platform.connect("dagster") as connection:
                return connection.execute(query).fetchone() == (0,)
        except psycopg.OperationalError:
            return False

    def ends(self) -> str:
        """How the runs that were launched here ended, the newest first."""
        query = "SELECT pipeline_name || ' ' || status FROM runs WHERE pipeline_name = ANY(%s) ORDER BY id DESC LIMIT 4"
        with self.platform.connect("dagster") as connection:
            return ", ".join(text for (text,) in connection.execute(query, [list(LAUNCHED)]))

    def second_daemon(self) -> subprocess.CompletedProcess[str]:
        """Start another daemon of this home, and wait until it ends."""
        command = [sys.executable, "-m", "dagster." + "_daemon", "run", "-w", str(self.server.workspace)]
        environment = {**os.environ, **prepare_home(self.platform.home)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def launched_runs(self) -> int:
        """How many runs of the launched jobs a server has executed, of all times."""
        query = (
            "SELECT count(*) FROM runs AS r WHERE pipeline_name = ANY(%s) "
            "AND EXISTS (SELECT FROM run_tags AS t WHERE t.run_id = r.run_id AND t.key = 'seedtest/host')"
        )
        with self.platform.connect("dagster") as connection:
            (count,) = connection.execute(query, [list(LAUNCHED)]).fetchone() or (0,)
            return int(count)

    def settle(self, before: dict[str, int]) -> None:
        """Wait until the server has nothing to do and has the processes that it had, neither fewer nor more."""
        wait_until(self.is_calm)
        wait_until(lambda: self.server.status().state == "running" and self.counts() == before, tell=self.counts)


@contextlib.contextmanager
def served(platform: Platform, patch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server of the platform's home, started and stopped as a user does it."""
    for name in ("DATABASE_URL", "DAGSTER_POSTGRES_URL"):
        patch.delenv(name, raising=False)
    for name, value in {**SETTINGS, "DAGSTER_HOME": str(platform.home), "TMPDIR": str(platform.home / "tmp")}.items():
        patch.setenv(name, value)
    root = Path(__file__).parents[2]
    workspace = platform.home / "workspace.yaml"
    workspace.write_text(WORKSPACE.format(root=root))
    server = DevServer(platform.home, port=free_port(), workspace=workspace)
    server.up()
    try:
        yield Served(platform, server)
    finally:
        server.down()
