"""The platform as its users have it: the real webserver and daemon, driven by GraphQL and looked at in Chromium."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres
from tests._waits import LIMIT_SECONDS

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("ui")]

WEEKS = ["2026-05-18", "2026-05-25", "2026-06-01", "2026-06-08"]
LOCATION = {"repositoryLocationName": "seedtest_analytics", "repositoryName": "__repository__"}
KPI = {"path": ["weekly_kpi", "A_t"]}

LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
BACKFILL = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
RUN_STATUS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
BACKFILL_STATUS = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status } ... on PythonError { message } } }"""
LINEAGE = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  groupName dependencyKeys { path } dependedByKeys { path } kinds owners { ... on TeamAssetOwner { team } } } } }"""
CHECKS = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  assetChecksOrError { ... on AssetChecks { checks { name blocking executionForLatestMaterialization { status } } } }
  assetPartitionStatuses { ... on TimePartitionStatuses { ranges { startKey endKey status } } } } } }"""


@dataclass(frozen=True)
class Server:
    """A running platform."""

    url: str
    home: Path

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=LIMIT_SECONDS) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]

    def wait_for(self, query: str, field: str, good: str, bad: set[str], **variables: Any) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while (status := self.ask(query, **variables)[field]["status"]) != good:
            assert status not in bad, f"{field} ended as {status}"
            assert time.monotonic() < deadline, f"{field} is still {status} after five minutes"
            time.sleep(1)


def seedtest(home: Path, *arguments: str) -> str:
    """The command line in a separate process, on the home's embedded PostgreSQL."""
    environment = {
        **{k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "DAGSTER_POSTGRES_URL")},
        "SEEDTEST_START_DATE": "2026-04-06",
    }
    done = subprocess.run(
        [sys.executable, "-m", "seedtest_analytics.cli.app", "--home", str(home), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`seedtest up` over a cohort of 100 students."""
    home = tmp_path_factory.mktemp("ui") / "home"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        seedtest(home, "migrate")
        seedtest(home, "simulate", "--students", "100", "--weeks", "8", "--until", "2026-06-14", "--load")
        seedtest(home, "up", "--port", str(port))
        yield Server(f"http://127.0.0.1:{port}", home)
    finally:
        subprocess.run([sys.executable, "-m", "seedtest_analytics.cli.app", "--home", str(home), "down"], check=False)
        EmbeddedPostgres(home / "postgres").stop()


def test_a_materialisation_a_backfill_of_four_weeks_and_a_check(server: Server) -> None:
    params = {"selector": {**LOCATION, "jobName": "sync_attempts"}, "runConfigData": {}, "mode": "default"}
    launched = server.ask(LAUNCH, params=params)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    server.wait_for(RUN_STATUS, "runOrError", "SUCCESS", {"FAILURE", "CANCELED"}, id=launched["run"]["runId"])

    backfill = server.ask(BACKFILL, params={"assetSelection": [KPI], "partitionNames": WEEKS})
    backfill = backfill["launchPartitionBackfill"]
    assert backfill["__typename"] == "LaunchBackfillSuccess", backfill
    bad = {"FAILED", "COMPLETED_FAILED", "CANCELED"}
    server.wait_for(BACKFILL_STATUS, "partitionBackfillOrError", "COMPLETED_SUCCESS", bad, id=backfill["backfillId"])

    # The sensor on exam results asks for the weeks that read the days just loaded, these and perhaps more: while its
    # run is under way partitions and check are too.
    deadline = time.monotonic() + LIMIT_SECONDS
    while (found := settled(server.ask(CHECKS, key=KPI)["assetNodeOrError"])) is None:
        assert time.monotonic() < deadline, "the weeks are still under way after five minutes"
        time.sleep(1)
    ranges, contract = found
    assert any(
        r["startKey"] <= WEEKS[0] and WEEKS[-1] <= r["endKey"] and r["status"] == "MATERIALIZED" for r in ranges
    ), ranges
    assert contract["blocking"]
    assert contract["executionForLatestMaterialization"]["status"] == "SUCCEEDED"


def settled(node: dict[str, Any]) -> tuple[list[dict[str, str]], dict[str, Any]] | None:
    """Ranges of partitions and the contract's check; None while a run of the weeks is under way."""
    ranges = node["assetPartitionStatuses"]["ranges"]
    contract = next(c for c in node["assetChecksOrError"]["checks"] if c["name"] == "contract")
    judged = contract["executionForLatestMaterialization"]
    is_running = any(
        r["status"] == "MATERIALIZING" and r["startKey"] <= WEEKS[-1] and WEEKS[0] <= r["endKey"] for r in ranges
    )
    return None if is_running or judged is None or judged["status"] == "IN_PROGRESS" else (ranges, contract)


def test_the_lineage_reads_as_the_graph_is(server: Server) -> None:
    report = server.ask(LINEAGE, key={"path": ["weekly_report"]})["assetNodeOrError"]
    upstream = {"/".join(key["path"]) for key in report["dependencyKeys"]}
    assert {"weekly_kpi/I_t", "weekly_kpi/P", "weekly_kpi/S", "features_topic_daily"} <= upstream
    attempt = server.ask(LINEAGE, key={"path": ["attempt"]})["assetNodeOrError"]
    assert [key["path"] for key in attempt["dependencyKeys"]] == [["exam_results"]]
    assert attempt["groupName"] == "attempts"


def test_the_lineage_page_shows_in_a_browser(server: Server, tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        assert os.environ.get("CI") != "true", "CI needs chromium; see deploy/apt-packages.txt"
        pytest.skip("chromium is not installed; see deploy/apt-packages.txt")
    picture = tmp_path / "lineage.png"
    screenshot(chromium, f"{server.url}/asset-groups", picture)
    # An empty page compresses to a few kilobytes; the drawn graph does not.
    assert picture.stat().st_size > 30_000, "the page shows nothing"


def screenshot(chromium: str, url: str, target: Path) -> None:
    """What a headless Chromium shows after ten seconds of the page's own time."""
    profile = target.parent / f"profile-{dt.datetime.now(dt.UTC).timestamp()}"
    quiet = ["--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", *quiet]
    flags.append("--virtual-time-budget=15000")
    flags += [f"--user-data-dir={profile}", "--window-size=1800,1100", f"--screenshot={target}"]
    subprocess.run([chromium, *flags, url], check=True, capture_output=True, timeout=LIMIT_SECONDS)
