"""Engines on the platform's PostgreSQL: their URL, the settings of their sessions, and the meaning of server errors.

:mod:`seedtest_analytics.resources.postgres` has the Dagster resource.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, ProgrammingError

from seedtest_analytics.settings import load_settings

DATABASE = "seedtest"


class DatabaseError(RuntimeError):
    """The database cannot be reached or used; the message names the place, the cause and the remedy."""


def normalised_url(url: str) -> URL:
    """A URL for psycopg 3, from any form that operators use (``postgres://``, ``+psycopg2``, libpq URI)."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: the port is not a number but part of a password, for example
        raise DatabaseError(
            "DATABASE_URL is not a valid database URL; use postgresql://user:password@host:5432/database"
        ) from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise DatabaseError(
            f"DATABASE_URL names {parsed.get_backend_name()!r}; the platform needs PostgreSQL (postgresql://…)"
        )
    return parsed.set(drivername="postgresql+psycopg")


def dagster_home() -> Path:
    """DAGSTER_HOME, else ``.dagster`` below the working directory."""
    return Path(os.environ.get("DAGSTER_HOME") or ".dagster").resolve()


def database_url() -> URL:
    """URL of the platform's tables: DATABASE_URL, else the embedded server, which is started if necessary."""
    platform = load_settings().platform
    if platform.database_url is not None:
        return normalised_url(platform.database_url.get_secret_value())
    if platform.app_env != "local":
        raise DatabaseError(
            f"APP_ENV={platform.app_env} needs DATABASE_URL; the embedded PostgreSQL is only for APP_ENV=local"
        )
    from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres

    server = EmbeddedPostgres(dagster_home() / "postgres")
    server.start()
    server.ensure_database(DATABASE)
    return make_url(server.url(DATABASE))


def engine_for(url: URL) -> Engine:
    """An engine whose sessions use UTC and give up connecting after 10 s."""
    options = "-c TimeZone=UTC -c application_name=seedtest_analytics -c jit=off"
    return create_engine(url, pool_pre_ping=True, pool_size=4, connect_args={"connect_timeout": 10, "options": options})


def cause_of(error: DBAPIError) -> str:
    """The cause as the server or the system states it, without the address and the hint that the driver adds."""
    lines = [line.strip() for line in str(error.orig).splitlines() if line.strip()]
    causes = [line.rsplit("failed: ", 1)[1] for line in lines if "failed: " in line]
    return (causes or lines or ["unknown cause"])[-1]


def lacks_schema(error: ProgrammingError) -> bool:
    """Whether a table or column of the statement is missing."""
    from psycopg.errors import UndefinedColumn, UndefinedTable

    return isinstance(error.orig, UndefinedTable | UndefinedColumn)


def connected_engine(url: URL) -> Engine:
    """An engine that has answered once; raises :class:`DatabaseError`."""
    engine = engine_for(url)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except OperationalError as error:
        raise DatabaseError(
            f"PostgreSQL at {url.host}:{url.port or 5432}, database {url.database!r}, user {url.username!r} "
            f"refuses: {cause_of(error)}. Check that the server runs and DATABASE_URL is right."
        ) from None
    return engine


@contextmanager
def locked_transaction(engine: Engine, lock: str, *, is_dry_run: bool = False) -> Iterator[Connection]:
    """A transaction with the advisory lock ``lock``, so that two writers of a partition wait for each other.

    A dry run is rolled back.
    """
    with engine.connect() as connection:
        take_lock(connection, lock)
        yield connection
        if is_dry_run:
            connection.rollback()
        else:
            connection.commit()


def take_lock(connection: Connection, lock: str) -> None:
    """Wait for an advisory lock and keep it until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))"), {"lock": lock})


@contextmanager
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
