"""What Prometheus reads at /metrics, who may read it, and that dashboard and rules use what exists."""

import json
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
import yaml
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from seedtest_analytics.settings import load_settings
from seedtest_analytics.tables.health import HEALTH_STATES
from seedtest_analytics.webserver.guard import Guard
from seedtest_analytics.webserver.log_in import LogIn
from seedtest_analytics.webserver.metrics import STATES, AssetHealth, Metrics, exposition
from tests.assets.health._location import BROKEN, JOBS, SMALL, kept
from tests.schedules._runs import add_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def health(instance: dg.DagsterInstance, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[AssetHealth]:
    """The health of a small code location, looked at again for each question."""
    BROKEN.clear()
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setattr("seedtest_analytics.build.build_definitions", lambda: dg.Definitions(SMALL, jobs=JOBS))
    yield AssetHealth(instance, kept_seconds=0)
    BROKEN.clear()


def run(instance: dg.DagsterInstance, *partitions: str) -> None:
    for partition in partitions:
        dg.materialize([kept], instance=instance, partition_key=partition, raise_on_error=False)


def samples(content: bytes) -> dict[str, float]:
    lines = [line for line in content.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_health_runs_and_database(instance: dg.DagsterInstance, health: AssetHealth) -> None:
    add_run(instance, "calibrate_irt", status=dg.DagsterRunStatus.STARTED)
    started = time.time()
    BROKEN.update({"2026-03-02", "2026-03-04"})
    run(instance, *BROKEN, "2026-03-03")
    found = samples(exposition(instance, health))
    of = 'asset="kept",domain="kpis"'
    assert found["seedtest_database_up"] == 1
    assert found['seedtest_runs{status="started"}'] == 1
    assert found['seedtest_runs{status="queued"}'] == 0
    states = {name: found[f'seedtest_asset_state{{{of},state="{name}"}}'] for name in HEALTH_STATES}
    assert states == {**dict.fromkeys(HEALTH_STATES, 0), "failed": 1}
    assert found[f"seedtest_asset_rows{{{of}}}"] == 7
    assert found[f"seedtest_asset_failed_partitions{{{of}}}"] == 2
    assert found[f"seedtest_asset_failed_checks{{{of}}}"] == 1
    assert started <= found[f"seedtest_asset_last_success_timestamp_seconds{{{of}}}"] <= time.time()
    assert started <= found["seedtest_health_computed_timestamp_seconds"] <= time.time()
    assert set(STATES) == set(HEALTH_STATES)


def test_a_failure_and_its_repair_are_seen_within_a_minute(instance: dg.DagsterInstance, health: AssetHealth) -> None:
    """Not the next morning: the states are those of Dagster's storage, not of the table `platform_health`."""
    name = 'seedtest_asset_state{asset="kept",domain="kpis",state="failed"}'
    BROKEN.add("2026-03-02")
    run(instance, "2026-03-02")
    assert samples(exposition(instance, health))[name] == 1
    BROKEN.clear()
    run(instance, "2026-03-02")
    assert samples(exposition(instance, health))[name] == 0


def test_states_are_looked_at_once_a_minute(
    instance: dg.DagsterInstance, health: AssetHealth, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("seedtest_analytics.webserver.metrics.time.monotonic", lambda: clock[0])
    kept_for_a_minute = AssetHealth(instance)
    first = kept_for_a_minute.now()
    clock[0] += 59
    assert kept_for_a_minute.now() is first
    clock[0] += 2
    assert kept_for_a_minute.now() is not first


def test_only_the_daemons_that_this_instance_needs_have_an_age(
    tmp_path: Path, health: AssetHealth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has been switched off gives no sign of life any more, and nothing is wrong."""
    (tmp_path / "dagster.yaml").write_text("auto_materialize: {enabled: false, use_sensors: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        heartbeats = {"SCHEDULER": SimpleNamespace(timestamp=time.time()), "ASSET": SimpleNamespace(timestamp=1.0)}
        monkeypatch.setattr(instance, "get_daemon_heartbeats", lambda: heartbeats)
        found = samples(exposition(instance, health))
    ages = {name: age for name, age in found.items() if name.startswith("seedtest_daemon_heartbeat_age_seconds")}
    assert 'seedtest_daemon_heartbeat_age_seconds{daemon="asset"}' not in ages
    assert ages['seedtest_daemon_heartbeat_age_seconds{daemon="scheduler"}'] < 60
    assert math.isinf(ages['seedtest_daemon_heartbeat_age_seconds{daemon="sensor"}']), "a daemon that never lived"


def test_a_database_that_is_down_is_a_metric_and_no_error(
    instance: dg.DagsterInstance, health: AssetHealth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/none?connect_timeout=2")
    assert samples(exposition(instance, health))["seedtest_database_up"] == 0


@pytest.mark.usefixtures("health")
def test_whoever_may_read_the_ui_reads_the_metrics(instance: dg.DagsterInstance) -> None:
    settings = load_settings({"SEEDTEST_UI_AUTH_READ_ONLY": "prometheus:reads-the-metrics"}).ui
    app = Starlette(
        routes=[Route("/", lambda _: PlainTextResponse("the UI"))],
        middleware=[
            Middleware(Guard, settings=settings),
            Middleware(LogIn, settings=settings),
            Middleware(Metrics, instance=instance),
        ],
    )
    client = TestClient(app, base_url="http://localhost:3000")
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Host": "foreign.example.com"}).status_code == 403
    answer = client.get("/metrics", auth=("prometheus", "reads-the-metrics"))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert "seedtest_asset_state" in answer.text
    assert client.get("/", auth=("prometheus", "reads-the-metrics")).text == "the UI"


def test_the_dashboard_and_the_rules_use_metrics_that_exist(instance: dg.DagsterInstance, health: AssetHealth) -> None:
    exported = set(re.findall(r"^# TYPE (\w+)", exposition(instance, health).decode(), re.MULTILINE))
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "seedtest.json").read_text())
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    used = set(re.findall(r"seedtest_\w+", " ".join(expressions)))
    assert used == exported, "every metric has a panel, and every panel a metric"
    alerts = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    assert set(re.findall(r"seedtest_\w+", " ".join(alerts))) <= exported
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_an_outage_is_one_alert_and_an_old_health_another() -> None:
    """Without the name of the asset in its labels, an alert is the same for all that are stale."""
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text())
    by_name = {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    of_assets = [expression for expression in by_name.values() if "seedtest_asset_" in expression]
    assert [expression for expression in of_assets if not expression.startswith("count by (state) (")] == []
    assert "absent(seedtest_health_computed_timestamp_seconds)" in by_name["SeedtestHealthUnknown"]
    assert "time() - seedtest_health_computed_timestamp_seconds >" in by_name["SeedtestHealthUnknown"]
