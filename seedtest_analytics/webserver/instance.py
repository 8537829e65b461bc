"""The Dagster instance of the platform: it keeps connections, guards the webserver, has one daemon and cleans up after runs.

`dagster.yaml` names the class. So every webserver that uses this instance is guarded, whoever starts it: `seedtest up`,
`dagster dev`, `dg dev`, or the pod on Kubernetes.
"""

from __future__ import annotations

import logging
from typing import Any

from dagster import DagsterEvent, DagsterInstance, DagsterRun

from seedtest_analytics.dagster_private import (
    RunFailureReason,
    default_instance_parts,
    put_before_webserver,
    share_connections,
)
from seedtest_analytics.webserver.only_daemon import OnlyDaemon

_log = logging.getLogger(__name__)


class GuardedInstance(DagsterInstance):
    """Dagster's instance, whose webserver is guarded and whose dead runs leave nothing behind."""

    def __init__(self, *parts: Any, **named: Any) -> None:
        super().__init__(*parts, **named)
        self._engines = share_connections(self._storages)
        self._daemons = [OnlyDaemon(engine) for engine in self._engines]

    @property
    def _storages(self) -> tuple[Any, ...]:
        return self.run_storage, self.event_log_storage, self.schedule_storage

    def dispose(self) -> None:
        """Close what Dagster closes, and the kept connections."""
        super().dispose()
        for daemon in self._daemons:
            daemon.release()
        self._close_connections()

    def _close_connections(self) -> None:
        for engine in self._engines:
            engine.dispose()

    def add_daemon_heartbeat(self, daemon_heartbeat: Any) -> None:
        """Called by each thread of a daemon before its first work, and regularly afterwards: it is the only daemon."""
        for daemon in self._daemons:
            daemon.require()
        super().add_daemon_heartbeat(daemon_heartbeat)

    def report_run_failed(  # noqa: PLR0917 (Dagster's signature)
        self, dagster_run: DagsterRun, message: str | None = None, job_failure_data: Any = None
    ) -> DagsterEvent:
        """Report a failure from outside the run. What has not started in time must not start later."""
        event = super().report_run_failed(dagster_run, message, job_failure_data)
        if job_failure_data is not None and job_failure_data.failure_reason == RunFailureReason.START_TIMEOUT:
            self._release(dagster_run)
        return event

    def report_run_canceled(self, dagster_run: DagsterRun, message: str | None = None) -> DagsterEvent:
        """Report from outside the run that it is cancelled, because it has not ended by itself: end it."""
        event = super().report_run_canceled(dagster_run, message)
        self._release(dagster_run)
        return event

    def _release(self, run: DagsterRun) -> None:
        """End what the launcher still has of a run. A failure is logged: the run has its final state."""
        release = getattr(self.run_launcher, "release", None)
        if release is None:
            return
        try:
            release(run)
        except Exception:  # noqa: BLE001 (of any client)
            _log.exception("the processes of run %s could not be ended", run.run_id)

    @classmethod
    def config_schema(cls) -> dict[str, Any]:
        """Further keys of `dagster.yaml`: none."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Any:
        """Dagster's own parts."""
        return default_instance_parts(base_dir)

    def optimize_for_webserver(  # noqa: PLR0917 (Dagster's signature)
        self, statement_timeout: int, pool_recycle: int, max_overflow: int
    ) -> None:
        """Called by Dagster's webserver before it makes its application, and by nothing else.

        Raises SettingsError, which ends the webserver, if a setting is wrong.
        """
        from starlette.middleware import Middleware

        from seedtest_analytics.settings import load_settings
        from seedtest_analytics.webserver.guard import Guard
        from seedtest_analytics.webserver.log_in import LogIn, is_read_only
        from seedtest_analytics.webserver.metrics import Metrics

        super().optimize_for_webserver(statement_timeout, pool_recycle, max_overflow)
        # Dagster's engine for the webserver uses a connection without a try, also after the server has ended it: the first
        # request after a restart of PostgreSQL would fail.
        self._close_connections()
        self._engines = share_connections(self._storages, statement_timeout=statement_timeout)
        settings = load_settings().ui
        put_before_webserver(
            Middleware(Guard, settings=settings),
            is_read_only=lambda connection: is_read_only(connection, settings),
            inner=[Middleware(LogIn, settings=settings), Middleware(Metrics, instance=self)],
        )
