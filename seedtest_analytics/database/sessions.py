"""Sessions on the platform's PostgreSQL: their settings, what they wait for, and how they end.

Each transaction sets its own settings (``SET LOCAL``), because a pooler in transaction mode gives every transaction another
session and refuses settings at the start of a connection.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from seedtest_analytics import interruption
from seedtest_analytics.database.address import DatabaseError
from seedtest_analytics.database.work import WAITING, Work, current_work
from seedtest_analytics.settings import load_settings

CONNECT_SECONDS = 10
CANCEL_SECONDS = 1.0
WORDS_AFTER_SECONDS = 5.0
"""A session that waits this long for a lock says so."""

_OURS_LOST = "end the other session, or wait for it, and start the run again"

# The other session's query, and not ours, is what an operator has to know; its text may hold data and is not shown.
_BLOCKERS = """
    SELECT w.application_name AS waiting, b.pid, b.usename AS user_name, b.application_name AS application,
        b.state, b.client_addr::text AS client, extract(epoch FROM now() - b.xact_start)::float8 AS seconds,
        (
            SELECT string_agg(DISTINCT c.relname, ', ')
            FROM pg_locks AS l INNER JOIN pg_class AS c ON c.oid = l.relation
            WHERE l.pid = w.pid AND NOT l.granted
        ) AS tables
    FROM pg_stat_activity AS w
    CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS blocking (pid)
    INNER JOIN pg_stat_activity AS b ON b.pid = blocking.pid
    WHERE w.datname = current_database() AND w.wait_event_type = 'Lock'
    ORDER BY w.query_start, b.xact_start
"""
_HOLDERS = """
    SELECT a.pid, a.usename AS user_name, a.application_name AS application, a.state, a.client_addr::text AS client,
        extract(epoch FROM now() - a.xact_start)::float8 AS seconds, NULL AS waiting, NULL AS tables
    FROM pg_locks AS l
    INNER JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE
        l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended(:lock, 0)
"""
_OPEN = """
    SELECT a.pid, a.usename AS user_name, a.application_name AS application, a.state, a.client_addr::text AS client,
        extract(epoch FROM now() - a.xact_start)::float8 AS seconds, NULL AS waiting,
        string_agg(DISTINCT c.relname, ', ') AS tables
    FROM pg_locks AS l
    INNER JOIN pg_stat_activity AS a ON a.pid = l.pid AND a.pid <> pg_backend_pid()
    INNER JOIN pg_class AS c ON c.oid = l.relation AND c.relkind IN ('r', 'p')
    WHERE
        l.granted AND l.mode <> 'AccessShareLock' AND a.datname = current_database()
        AND c.relnamespace <> 'pg_catalog'::regnamespace AND strpos(:statement, c.relname) > 0
    GROUP BY a.pid, a.usename, a.application_name, a.state, a.client_addr, a.xact_start
    ORDER BY a.xact_start
    LIMIT 5
"""


@dataclass(frozen=True)
class Blocker:
    """A session that another one waits for. ``waiting`` and ``tables`` say who waits, and for which tables."""

    pid: int
    user_name: str | None
    application: str | None
    state: str | None
    client: str | None
    seconds: float | None
    waiting: str | None = None
    tables: str | None = None

    def __str__(self) -> str:
        who = [f"session {self.pid}", f"user {self.user_name}" if self.user_name else ""]
        who += [repr(self.application) if self.application else "", f"from {self.client}" if self.client else ""]
        since = f", in its transaction for {self.seconds:,.0f} s" if self.seconds is not None else ""
        return f"{' '.join(filter(None, who))} ({self.state or 'state unknown'}{since})"


def engine_for(url: URL) -> Engine:
    """An engine whose transactions use UTC, wait for locks and statements only as long as the settings allow, and tell the
    server what they compute. It gives up connecting after 10 s.
    """
    engine = create_engine(
        url,
        pool_pre_ping=True,
        pool_size=4,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "application_name": current_work().application_name,
            # A pooler in transaction mode does not know the statements that another session prepared.
            "prepare_threshold": None,
            # PGCLIENTENCODING and the default of a database in SQL_ASCII would send bytes in place of texts.
            "client_encoding": "utf8",
        },
    )
    settings = _Settings(engine)
    event.listen(engine, "begin", settings.apply)
    return engine


class _Settings:
    """The settings of a transaction, as one statement. Which of them the server knows is asked once."""

    def __init__(self, engine: Engine) -> None:
        platform = load_settings().platform
        self._wanted = {
            "TimeZone": "UTC",
            "jit": "off",
            "lock_timeout": _milliseconds(platform.lock_timeout_secs),
            "statement_timeout": _milliseconds(platform.statement_timeout_secs),
            # The session is idle in its transaction while a model computes.
            "idle_in_transaction_session_timeout": "0",
            "idle_session_timeout": "0",
            "transaction_timeout": "0",
            # A statement ends on the server soon after its client was killed.
            "client_connection_check_interval": "2s",
        }
        self._schema = platform.database_schema
        self._known: dict[str, str] | None = None
        self._engine = weakref.ref(engine)

    def apply(self, connection: Connection) -> None:
        """Set the settings of the transaction that begins."""
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection), driver
        _watch.note(driver, _Use(self._engine, current_work()))
        if driver.autocommit:  # there is no transaction whose settings these could be
            return
        with _raised_by_sqlalchemy(connection, driver), contextlib.closing(driver.cursor()) as cursor:
            if self._known is None:
                self._known = self._known_to(cursor)
            pairs = {**self._known, "application_name": current_work().application_name}
            calls = ", ".join("set_config(%s, %s, true)" for _ in pairs)
            cursor.execute(f"SELECT {calls}", [part for pair in pairs.items() for part in pair])

    def _known_to(self, cursor: Any) -> dict[str, str]:
        """The wanted settings that this server knows; it refuses the check of the client where its system has none."""
        cursor.execute("SELECT name FROM pg_settings WHERE name = ANY(%s)", [list(self._wanted)])
        known = {name: self._wanted[name] for (name,) in cursor.fetchall()}
        check = "client_connection_check_interval"
        if check in known:
            cursor.execute("SAVEPOINT known")
            try:
                cursor.execute("SELECT set_config(%s, %s, true)", [check, known[check]])
            except psycopg.Error:
                del known[check]
            cursor.execute("ROLLBACK TO SAVEPOINT known")
        if self._schema is not None:
            cursor.execute("SHOW search_path")
            known["search_path"] = f'"{self._schema}", {cursor.fetchone()[0]}'
        return known


@contextlib.contextmanager
def _raised_by_sqlalchemy(connection: Connection, driver: psycopg.Connection[Any]) -> Iterator[None]:
    """Raise the driver's error as SQLAlchemy's own, as callers expect; tell it of a lost session, which it would use again."""
    try:
        yield
    except psycopg.Error as error:
        if is_lost := driver.closed:
            connection.invalidate(error)
        raise DBAPIError.instance(
            None, None, error, psycopg.Error, connection_invalidated=is_lost, dialect=connection.dialect
        ) from error


def _milliseconds(seconds: float) -> str:
    return str(round(1000 * seconds))


@contextlib.contextmanager
def locked_transaction(engine: Engine, lock: str, *, is_dry_run: bool = False) -> Iterator[Connection]:
    """A transaction with the advisory lock ``lock``, so that two writers of a partition wait for each other.

    Waiting says for whom. A dry run is rolled back. An error of the server is raised as :func:`explained` states it, while
    it is known what was computed and who is in the way.
    """
    with engine.connect() as connection:
        take_lock(connection, lock)
        try:
            yield connection
        except (DBAPIError, psycopg.Error) as error:
            raise explained(error, engine) or error from None
        if is_dry_run:
            connection.rollback()
        else:
            connection.commit()


@contextlib.contextmanager
def without_transaction(connection: Connection, lock: str) -> Iterator[None]:
    """Ends a :func:`locked_transaction` while a model computes, and begins the next with the same lock.

    An open transaction keeps dead rows of the whole database and may be ended by the server. Nothing that is to stay may
    be written before, and temporary tables vanish.
    """
    connection.rollback()
    try:
        yield
    except Exception:  # not an interruption, which waits for nothing
        take_lock(connection, lock)
        raise
    take_lock(connection, lock)


@contextlib.contextmanager
def lock_held(engine: Engine, lock: str) -> Iterator[None]:
    """Hold the advisory lock during the block, over several transactions of other connections.

    The lock belongs to a transaction that does nothing else, because a lock of a session would stay behind in a pooler.
    """
    with locked_transaction(engine, lock):
        yield


def take_lock(connection: Connection, lock: str) -> None:
    """Take an advisory lock until the end of the transaction. While another session holds it, say which."""
    is_told = False
    while True:
        try:
            with connection.begin_nested():
                connection.execute(text(f"SET LOCAL lock_timeout = {_milliseconds(WORDS_AFTER_SECONDS)}"))
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))"), {"lock": lock})
                limit = _milliseconds(load_settings().platform.lock_timeout_secs)
                connection.execute(text(f"SET LOCAL lock_timeout = {limit}"))
                return
        except DBAPIError as error:
            if not isinstance(error.orig, errors.LockNotAvailable):
                raise
        holders = _sessions(connection, _HOLDERS, lock=lock)
        if holders and not is_told:
            current_work().say(f"{WAITING}the lock {lock}: {'; '.join(map(str, holders))} holds it")
            is_told = True


def blockers(connection: Connection) -> list[Blocker]:
    """The sessions of this database that others wait for."""
    return _sessions(connection, _BLOCKERS)


def _sessions(connection: Connection, query: str, **parameters: Any) -> list[Blocker]:
    return [Blocker(**row) for row in connection.execute(text(query), parameters).mappings()]


def explained(error: Exception, engine: Engine | None = None) -> DatabaseError | None:
    """The error that says why the server ended a statement or a session, and what to do; None for another error.

    Another try would meet the same cause, so none is worth it before an operator has acted.
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    what = current_work().name
    if isinstance(cause, errors.LockNotAvailable):
        statement = str(error.statement) if isinstance(error, DBAPIError) else ""
        found = _open_sessions(engine, statement) if engine is not None else []
        who = f"; these sessions hold locks on its tables: {'; '.join(found)}" if found else ""
        return DatabaseError(
            f"{what} waited for a locked table longer than SEEDTEST_LOCK_TIMEOUT_SECS{who}. "
            f"`seedtest doctor` shows who blocks: {_OURS_LOST}",
            may_pass=False,
        )
    if isinstance(cause, errors.QueryCanceled):
        return DatabaseError(
            f"the server cancelled a statement of {what} ({_first_line(cause)}); if it took longer than "
            "SEEDTEST_STATEMENT_TIMEOUT_SECS, raise that setting, and start the run again",
            may_pass=False,
        )
    if isinstance(cause, errors.AdminShutdown | errors.IdleInTransactionSessionTimeout | errors.IdleSessionTimeout):
        return DatabaseError(
            f"the server ended the session of {what} ({_first_line(cause)}). Nothing of it was written. An administrator, a "
            "restart or a time-out of the server did this; start the run again when the cause is gone",
            may_pass=False,
        )
    if isinstance(cause, errors.ReadOnlySqlTransaction):
        return DatabaseError(
            f"the server takes no writes of {what} ({_first_line(cause)}): it is a standby, or default_transaction_read_only "
            "is on. Point DATABASE_URL at the primary server, or reset that setting, and start the run again",
            may_pass=False,
        )
    if isinstance(cause, errors.DeadlockDetected):
        return DatabaseError(
            f"{what} and another session waited for each other, and the server ended the transaction of {what}. Nothing of it "
            "was written; start the run again if it has not tried again by itself"
        )
    if isinstance(cause, errors.UndefinedTable | errors.UndefinedColumn):
        return DatabaseError(
            f"the database schema does not match this release ({_first_line(cause)}); run `seedtest migrate`",
            may_pass=False,
        )
    # Dagster's storage has another driver.
    if isinstance(error, OperationalError | psycopg.OperationalError):
        return DatabaseError(
            f"{what} cannot go on without PostgreSQL ({_first_line(cause or error)}): check that the server runs and has room "
            "(`seedtest doctor`), and start it again"
        )
    return None


@contextlib.contextmanager
def explaining() -> Iterator[None]:
    """Raise errors of the server as :func:`explained` states them."""
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:
        raise explained(error) or error from None


def _open_sessions(engine: Engine, statement: str) -> list[str]:
    with contextlib.suppress(DBAPIError), engine.connect() as connection:
        return [str(session) for session in _sessions(connection, _OPEN, statement=statement)]
    return []


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no reason given"])[0]


@dataclass(frozen=True)
class _Use:
    """A connection in a transaction: of which engine, for which work."""

    engine: weakref.ref[Engine]
    work: Work


class _Watch:
    """Knows the connections of this process: cancels their statements when the process is interrupted, and tells the user
    while a statement waits for another session.
    """

    def __init__(self) -> None:
        self._uses: weakref.WeakKeyDictionary[psycopg.Connection[Any], _Use] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def note(self, connection: psycopg.Connection[Any], use: _Use) -> None:
        """Note that a transaction begins."""
        with self._lock:
            self._uses[connection] = use
            if self._thread is None:
                interruption.register(self.cancel_statements)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._tell, name="lock-watch", daemon=True)
                self._thread.start()

    def cancel_statements(self) -> None:
        """Cancel the running statements of this process."""
        for connection in self._active():
            with contextlib.suppress(psycopg.Error):
                connection.cancel_safe(timeout=CANCEL_SECONDS)

    def _active(self) -> dict[psycopg.Connection[Any], _Use]:
        with self._lock:
            uses = dict(self._uses)
        active = psycopg.pq.TransactionStatus.ACTIVE
        return {c: use for c, use in uses.items() if not c.closed and c.pgconn.transaction_status == active}

    def _tell(self) -> None:
        """Ask the server who blocks whom, but only while a statement is running twice in a row."""
        before: set[int] = set()
        told: set[tuple[str, int]] = set()
        while True:
            time.sleep(WORDS_AFTER_SECONDS)
            active = self._active()
            suspects = {use.work.application_name: use for c, use in active.items() if id(c) in before}
            before = {id(connection) for connection in active}
            for name, use in suspects.items():
                for blocker in self._blockers_of(name, use):
                    if (name, blocker.pid) not in told:
                        told.add((name, blocker.pid))
                        use.work.say(f"{WAITING}{blocker.tables or 'a lock'}: {blocker} blocks it")

    @staticmethod
    def _blockers_of(name: str, use: _Use) -> list[Blocker]:
        engine = use.engine()
        # take_lock reports a wait for another session of the platform.
        with contextlib.suppress(DBAPIError, DatabaseError):
            if engine is not None:
                with engine.connect() as connection:
                    return [b for b in blockers(connection) if b.waiting == name and b.tables]
        return []


_watch = _Watch()
