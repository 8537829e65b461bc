"""One daemon at a time on a storage of Dagster in PostgreSQL.

Dagster only logs that a second one is there. Two daemons evaluate each sensor and schedule at the same time, and may launch
a run twice. So a daemon holds a lock of the storage's database, and a second one ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable

import psutil
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

_log = logging.getLogger("dagster.daemon")

_LOCK = {"lock": "seedtest daemon"}
_TAKE = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:lock, 0))")
_SETTINGS = (
    "SET LOCAL idle_in_transaction_session_timeout = 0",
    # The server ends the session, and with it the lock, a minute after the daemon's machine has vanished.
    "SET LOCAL tcp_keepalives_idle = 30",
    "SET LOCAL tcp_keepalives_interval = 10",
    "SET LOCAL tcp_keepalives_count = 3",
)
_HOLDER = text("""
SELECT a.application_name || ', since ' || date_trunc('second', a.xact_start)
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = hashtextextended(:lock, 0)
""")
NAME_BYTES = 63
"""PostgreSQL cuts longer names."""


def end_process(message: str) -> None:
    """End this daemon, and the code servers that it has started, before any of its threads does something."""
    _log.critical(message)
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.terminate()
    logging.shutdown()
    os._exit(1)


class OnlyDaemon:
    """The lock of this process's daemon. Its threads may call it at the same time."""

    def __init__(self, engine: Engine, refuse: Callable[[str], None] = end_process) -> None:
        self._engine, self._refuse = engine, refuse
        self._threads = threading.Lock()
        self._connection: Connection | None = None

    def require(self) -> None:
        """Take the lock, or see that it is still there. Refuse if another daemon has it."""
        with self._threads:
            if self._connection is not None and self._has_ended(self._connection):
                self._connection = None
            if self._connection is None:
                self._connection = self._taken()

    def release(self) -> None:
        """Give the lock back."""
        if self._connection is not None and not self._has_ended(self._connection):
            self._connection.close()
        self._connection = None

    def _taken(self) -> Connection | None:
        # A transaction that stays open: a lock of a session would stay behind in a pooler.
        connection = self._engine.connect().execution_options(isolation_level="READ COMMITTED")
        name = f"seedtest daemon, process {os.getpid()} on {socket.gethostname()}"[:NAME_BYTES]
        connection.execute(text("SELECT set_config('application_name', :name, true)"), {"name": name})
        for setting in _SETTINGS:
            connection.execute(text(setting))
        if connection.execute(_TAKE, _LOCK).scalar_one():
            return connection
        holder = connection.execute(_HOLDER, _LOCK).scalar()
        connection.close()
        self._refuse(
            f"another daemon uses this storage of Dagster ({holder or 'it has just ended'}). Two would launch runs twice. "
            "Stop it, or give this one another DAGSTER_POSTGRES_URL"
        )
        return None

    @staticmethod
    def _has_ended(connection: Connection) -> bool:
        try:
            connection.execute(text("SELECT 1"))
        except DBAPIError:
            connection.invalidate()
            connection.close()
            return True
        return False
