"""The platform behind its webserver and daemon, whose processes are killed while they run what a test launches."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from seedtest_analytics.database.embedded_postgres_host import free_port
from seedtest_analytics.dev_server import DevServer
from tests._waits import wait_until
from tests.faults._platform import FIRST, SETTINGS, UNTIL, Platform

WORKSPACE = """load_from:
  - python_module: {{module_name: tests.faults.served, location_name: served, working_directory: {root}}}
"""
LAUNCH = """mutation($job: String!, $tags: [ExecutionTag!]) { launchRun(executionParams: {
  selector: {repositoryLocationName: "served", repositoryName: "__repository__", jobName: $job},
  runConfigData: {}, executionMetadata: {tags: $tags}}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
LAUNCHED = {"calibrate_irt": (FIRST, "2026-03-23"), "aggregate_features_daily": (FIRST, UNTIL)}
PROGRAMS = {
    "daemon": "_daemon run",
    "code server": "grpc",
    "run worker": "execute_run",
    "step": "execute_run",
    "webserver": "dagster_webserver",
}
"""What is killed, and a word of its command line; a step is a process below a run worker."""


class Served:
    """A server on a platform's home."""

    def __init__(self, platform: Platform, server: DevServer) -> None:
        self.platform, self.server = platform, server

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
        """The server's processes by what they are."""
        found: dict[str, list[psutil.Process]] = {name: [] for name in PROGRAMS}
        leader = self.server.status().pid
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if os.getsid(process.pid) != leader or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                words = " ".join(process.cmdline())
                name = next((name for name, word in PROGRAMS.items() if word in words), None)
                if name is not None:
                    found[name].append(process)
                if name == "run worker":
                    found["step"] += process.children(recursive=True)
        return found

    def counts(self) -> Counter[str]:
        """How many processes serve."""
        return Counter({name: len(self.processes()[name]) for name in ("daemon", "code server", "webserver")})

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

    def settle(self, before: Counter[str]) -> None:
        """Wait until the server is as it was, and has nothing to do."""
        wait_until(lambda: self.server.status().state == "running" and self.counts() == before)
        wait_until(self.is_calm)
        time.sleep(3)
        assert self.counts() == before, self.counts()


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
