"""Metrics for Prometheus at the UI's address `/metrics`, for whoever may read the UI.

The health of assets is that of the table `platform_health`; runs and heartbeats are those of the moment.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from sqlalchemy import Connection

PATH = "/metrics"
STATES = ("ok", "warning", "stale", "failed", "never")
_LOOKED_AT = 1_000
"""Unfinished runs that are counted at most."""


class Metrics:
    """ASGI middleware that answers `/metrics`. Pass it after the guard."""

    def __init__(self, app: ASGIApp, instance: DagsterInstance) -> None:
        self._app = app
        self._instance = instance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: PLR0917 (ASGI)
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        from prometheus_client import CONTENT_TYPE_LATEST

        content = await run_in_threadpool(exposition, self._instance)
        await Response(content, media_type=CONTENT_TYPE_LATEST)(scope, receive, send)


def exposition(instance: DagsterInstance) -> bytes:
    """All metrics in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()

    def gauge(name: str, meaning: str, *labels: str) -> Any:
        return Gauge(f"seedtest_{name}", meaning, labels, registry=registry)

    _runs_and_daemons(instance, gauge)
    _health(gauge)
    return generate_latest(registry)


def _runs_and_daemons(instance: DagsterInstance, gauge: Callable[..., Any]) -> None:
    from dagster import DagsterRunStatus, RunsFilter

    waiting = [DagsterRunStatus.QUEUED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    counts = Counter(run.status for run in instance.get_runs(RunsFilter(statuses=waiting), limit=_LOOKED_AT))
    runs = gauge("runs", "Unfinished runs by state.", "status")
    for status in waiting:
        runs.labels(status.value.lower()).set(counts[status])
    age = gauge(
        "daemon_heartbeat_age_seconds",
        "Seconds since the last sign of life of each daemon that the instance needs.",
        "daemon",
    )
    heartbeats = instance.get_daemon_heartbeats()
    # The storage keeps the last sign of life of daemons that have been switched off, too.
    for name in instance.get_required_daemon_types():
        last = heartbeats[name].timestamp if name in heartbeats else -math.inf
        age.labels(name.lower()).set(max(0.0, time.time() - last))


def _health(gauge: Callable[..., Any]) -> None:
    from sqlalchemy.exc import DBAPIError

    from seedtest_analytics.database.engine import DatabaseError, connected_engine, database_url

    is_up = gauge("database_up", "1 if the platform's database answers and has the table platform_health.")
    try:
        engine = connected_engine(database_url())
        try:
            with engine.connect() as connection:
                _assets(connection, gauge)
        finally:
            engine.dispose()
        is_up.set(1)
    except (DatabaseError, DBAPIError):
        is_up.set(0)


def _assets(connection: Connection, gauge: Callable[..., Any]) -> None:
    from seedtest_analytics.database.sql_files import statement

    labels = ("asset", "domain")
    state = gauge("asset_state", "1 for the state that an asset has, 0 for the others.", *labels, "state")
    numbers = {
        "last_success": gauge("asset_last_success_timestamp_seconds", "When an asset was last computed.", *labels),
        "row_count": gauge("asset_rows", "Rows of the newest materialisation.", *labels),
        "failed_partitions": gauge("asset_failed_partitions", "Partitions whose newest attempt failed.", *labels),
        "failed_checks": gauge("asset_failed_checks", "Checks whose newest result is bad.", *labels),
    }
    computed = gauge("health_computed_timestamp_seconds", "When the asset platform_health was last computed.")
    for row in connection.execute(statement("health/metrics.sql", "health")).mappings():
        for name in STATES:
            state.labels(row["asset"], row["domain"], name).set(name == row["state"])
        for column, metric in numbers.items():
            if row[column] is not None:
                metric.labels(row["asset"], row["domain"]).set(row[column])
        computed.set(row["computed"])
