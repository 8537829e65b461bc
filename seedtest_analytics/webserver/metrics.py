"""Metrics for Prometheus at the UI's address `/metrics`, for whoever may read the UI.

All is as Dagster's storage says it at the moment. The health of assets is that of `seedtest health`, at most a minute old.
"""

from __future__ import annotations

import datetime as dt
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from seedtest_analytics.assets.health.state import Health, health_of

if TYPE_CHECKING:
    from dagster import DagsterInstance, RepositoryDefinition

PATH = "/metrics"
STATES = ("ok", "warning", "stale", "failed", "never")
_LOOKED_AT = 1_000
"""Unfinished runs that are counted at most."""
_KEPT_SECONDS = 60.0
"""So long a look at the health of all assets serves."""


class AssetHealth:
    """The health of all assets, looked at again when somebody asks after a while."""

    def __init__(self, instance: DagsterInstance, kept_seconds: float = _KEPT_SECONDS) -> None:
        self._instance = instance
        self._kept_seconds = kept_seconds
        self._looked_at = -math.inf
        self._found: tuple[Sequence[Health], dt.datetime] | None = None
        self._one_at_a_time = threading.Lock()

    def now(self) -> tuple[Sequence[Health], dt.datetime]:
        """The health of each asset, and the instant of the look."""
        with self._one_at_a_time:
            if self._found is None or time.monotonic() - self._looked_at >= self._kept_seconds:
                instant = dt.datetime.now(dt.UTC)
                self._found = health_of(self._instance, self._repository, now=instant), instant
                self._looked_at = time.monotonic()
            return self._found

    @cached_property
    def _repository(self) -> RepositoryDefinition:
        from seedtest_analytics.build import build_definitions

        return build_definitions().get_repository_def()


class Metrics:
    """ASGI middleware that answers `/metrics`. Pass it after the guard."""

    def __init__(self, app: ASGIApp, instance: DagsterInstance) -> None:
        self._app = app
        self._instance = instance
        self._health = AssetHealth(instance)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: PLR0917 (ASGI)
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        from prometheus_client import CONTENT_TYPE_LATEST

        content = await run_in_threadpool(exposition, self._instance, self._health)
        await Response(content, media_type=CONTENT_TYPE_LATEST)(scope, receive, send)


def exposition(instance: DagsterInstance, health: AssetHealth) -> bytes:
    """All metrics in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()

    def gauge(name: str, meaning: str, *labels: str) -> Any:
        return Gauge(f"seedtest_{name}", meaning, labels, registry=registry)

    _runs_and_daemons(instance, gauge)
    _database(gauge)
    _assets(*health.now(), gauge=gauge)
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


def _database(gauge: Callable[..., Any]) -> None:
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    from seedtest_analytics.database.engine import DatabaseError, connected_engine, database_url

    is_up = gauge("database_up", "1 if the platform's database answers.")
    try:
        engine = connected_engine(database_url())
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        finally:
            engine.dispose()
        is_up.set(1)
    except (DatabaseError, DBAPIError):
        is_up.set(0)


def _assets(found: Sequence[Health], instant: dt.datetime, *, gauge: Callable[..., Any]) -> None:
    labels = ("asset", "domain")
    state = gauge("asset_state", "1 for the state that an asset has, 0 for the others.", *labels, "state")
    success = gauge("asset_last_success_timestamp_seconds", "When an asset was last computed.", *labels)
    rows = gauge("asset_rows", "Rows of the newest materialisation.", *labels)
    partitions = gauge("asset_failed_partitions", "Partitions whose newest attempt failed.", *labels)
    checks = gauge("asset_failed_checks", "Checks whose newest result is bad.", *labels)
    for one in found:
        of = (one.asset, one.domain)
        for name in STATES:
            state.labels(*of, name).set(name == one.state)
        partitions.labels(*of).set(len(one.failed_partitions))
        checks.labels(*of).set(len(one.failed_checks))
        if one.last_success_at is not None:
            success.labels(*of).set(one.last_success_at.timestamp())
        if one.row_count is not None:
            rows.labels(*of).set(one.row_count)
    gauge("health_computed_timestamp_seconds", "When the health of the assets was looked at.").set(instant.timestamp())
