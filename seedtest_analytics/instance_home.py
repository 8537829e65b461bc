"""A Dagster home: its instance file, its PostgreSQL, and the environment variables that point a process at them."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from seedtest_analytics.private_files import is_ours, make_private

logger = logging.getLogger(__name__)

PLATFORM_DATABASE = "seedtest"
DAGSTER_DATABASE = "dagster"
_PACKAGE = Path(__file__).resolve().parent
_IN_CHECKOUT = (_PACKAGE.parent / "pyproject.toml").exists()
PROJECT_FOLDER = _PACKAGE.parent if _IN_CHECKOUT else _PACKAGE / "_instance"
"""Where ``dagster.yaml`` and ``workspace.yaml`` are: beside the package in a checkout, inside it in a wheel."""

WRITTEN = "# Written by `seedtest up`. Delete this line to keep changes.\n"
STORAGE = """
storage:
  postgres:
    # In full: postgresql+psycopg2://user:password@host:port/dagster. Dagster's tables have their own database.
    postgres_url:
      env: DAGSTER_POSTGRES_URL
"""


class DevServerError(RuntimeError):
    """The server cannot be prepared, started or stopped; the message names the cause and the remedy."""


def prepare_home(home: Path, project_folder: Path = PROJECT_FOLDER) -> dict[str, str]:
    """Make a folder a Dagster home with a running PostgreSQL; return the environment variables to set.

    Dagster's storage is DAGSTER_POSTGRES_URL if set, else the database ``dagster`` on the server of DATABASE_URL or on
    the embedded one. An operator's own instance file with another storage gets none of these.
    Raises :class:`DevServerError` and EmbeddedPostgresError.
    """
    home = home.resolve()
    _write_instance_file(home, project_folder / "dagster.yaml")
    storage = _storage_url(home) if _reads_storage_url(home) else {}
    if not os.environ.get("DATABASE_URL"):
        from seedtest_analytics.database.engine import embedded_server

        embedded_server(home).ensure_database(PLATFORM_DATABASE)
    return {"DAGSTER_HOME": str(home), **storage}


def _reads_storage_url(home: Path) -> bool:
    """Whether the instance file takes its storage from DAGSTER_POSTGRES_URL. The file of Dagster's Helm chart does not."""
    import yaml

    file = home / "dagster.yaml"
    try:
        return "DAGSTER_POSTGRES_URL" in str(yaml.safe_load(file.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise DevServerError(f"{file} is not YAML: {error}. Correct it, or remove it to get the platform's") from error


def _storage_url(home: Path) -> dict[str, str]:
    """The variable with the address of Dagster's storage, whose database exists unless the variable was set before."""
    from seedtest_analytics.database.address import normalised_url
    from seedtest_analytics.database.engine import embedded_server

    if given := os.environ.get("DAGSTER_POSTGRES_URL"):
        url = normalised_url(given, "DAGSTER_POSTGRES_URL").set(drivername="postgresql+psycopg2")
        found = url.render_as_string(hide_password=False)
    elif platform := os.environ.get("DATABASE_URL"):
        found = _database_beside(platform)
    else:
        server = embedded_server(home)
        server.ensure_database(DAGSTER_DATABASE)
        found = server.url(DAGSTER_DATABASE, driver="psycopg2")
    return {"DAGSTER_POSTGRES_URL": found}


def _write_instance_file(home: Path, source: Path) -> None:
    """Write the project's dagster.yaml with PostgreSQL storage into the home, unless an operator has put a file there."""
    target = home / "dagster.yaml"
    make_private(home)
    # The file names classes that Dagster loads.
    if target.exists() and not target.is_symlink() and not is_ours(target):
        raise DevServerError(
            f"another OS user may have written {target}: own it yourself (chown), or choose another home"
        )
    # Earlier releases linked the file.
    if target.exists() and not target.is_symlink() and not target.read_text(encoding="utf-8").startswith(WRITTEN):
        logger.info("using the existing %s", target)
        return
    if not source.exists():
        raise DevServerError(f"there is no dagster.yaml: neither {source} nor one in {home}")
    target.unlink(missing_ok=True)
    target.write_text(WRITTEN + source.read_text(encoding="utf-8") + STORAGE, encoding="utf-8")


def _database_beside(database_url: str) -> str:
    """URL of the database ``dagster`` on the server of DATABASE_URL, created if it is missing."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import DBAPIError

    from seedtest_analytics.database.engine import cause_of, normalised_url

    # The options, such as a search path, are about the platform's tables.
    url = normalised_url(database_url).difference_update_query(["options"])
    engine = create_engine(url, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 10})
    try:
        with engine.connect() as connection:
            query = text("SELECT 1 FROM pg_database WHERE datname = :name")
            if connection.execute(query, {"name": DAGSTER_DATABASE}).first() is None:
                connection.execute(text(f"CREATE DATABASE {DAGSTER_DATABASE}"))
    except DBAPIError as error:
        cause = cause_of(error)
        raise DevServerError(
            f"cannot create the database {DAGSTER_DATABASE!r} for Dagster's storage at {url.host}: {cause}. Create it, or "
            "set DAGSTER_POSTGRES_URL=postgresql+psycopg2://user:password@host:port/database"
        ) from error
    finally:
        engine.dispose()
    storage = url.set(drivername="postgresql+psycopg2", database=DAGSTER_DATABASE)
    return storage.render_as_string(hide_password=False)
