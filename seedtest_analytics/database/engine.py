"""The platform's PostgreSQL: where it is, a first connection to it, and the meaning of server errors.

:mod:`seedtest_analytics.resources.postgres` has the Dagster resource.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from seedtest_analytics.database.address import (
    DatabaseError,
    forget_libpq_variables,
    libpq_variables,
    normalised_url,
    place_of,
)
from seedtest_analytics.database.sessions import engine_for, locked_transaction
from seedtest_analytics.settings import load_settings

if TYPE_CHECKING:
    from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres

__all__ = [
    "DATABASE",
    "DatabaseError",
    "cause_of",
    "connected_engine",
    "dagster_home",
    "database_url",
    "engine_for",
    "locked_transaction",
    "normalised_url",
]

DATABASE = "seedtest"


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
    server = embedded_server(dagster_home())
    server.ensure_database(DATABASE)
    return make_url(server.url(DATABASE))


def embedded_server(home: Path) -> EmbeddedPostgres:
    """The embedded server of a home, running. Variables that libpq reads do not apply to it.

    Raises :class:`DatabaseError` if they are meant for another server that the process uses beside it.
    """
    from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres

    server = EmbeddedPostgres(home / "postgres")
    port = server.start().port
    storage = os.environ.get("DAGSTER_POSTGRES_URL")
    names = libpq_variables(os.environ)
    if names and storage and (url := normalised_url(storage, "DAGSTER_POSTGRES_URL")).port != port:
        raise DatabaseError(
            f"{', '.join(names)} would apply to the embedded PostgreSQL and to {place_of(url)} of DAGSTER_POSTGRES_URL: "
            "write these settings into DAGSTER_POSTGRES_URL (such as ?sslmode=require) and unset the variables"
        )
    forget_libpq_variables()
    return server


def cause_of(error: DBAPIError) -> str:
    """The cause as the server or the system states it, without the address and the hint that the driver adds."""
    lines = [line.strip() for line in str(error.orig).splitlines() if line.strip()]
    causes = [line.rsplit("failed: ", 1)[1] for line in lines if "failed: " in line]
    return (causes or lines or ["unknown cause"])[-1]


def connected_engine(url: URL) -> Engine:
    """An engine that has answered once; raises :class:`DatabaseError`."""
    engine = engine_for(url)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except OperationalError as error:
        raise DatabaseError(
            f"PostgreSQL at {place_of(url)}, database {url.database!r}, user {url.username!r} "
            f"refuses: {cause_of(error)}. Check that the server runs and DATABASE_URL is right."
        ) from None
    return engine
