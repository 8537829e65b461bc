"""Databases for tests: one real PostgreSQL a test process, one fresh database a test."""

import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql

from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres
from tests._shared import note_current_test

_FOLDER_PREFIX = "seedtest-test-postgres-"

NewDatabase = Callable[..., str]

MARKER_OF_FIXTURE = {"postgres_server": "database", "stan_runner": "stan"}
"""A test that depends on one of these fixtures, directly or through another fixture, gets the marker."""


LONGEST = ("test_first_hour.py", "pipeline/", "browser/", "assets/growth/", "test_dev_server.py")
"""Where the longest tests are. They start first: at the end, one worker would run them while the other has nothing to do."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--kills N`: in how many materialisations the fault suite kills something."""
    parser.addoption("--kills", type=int, default=50, help="materialisations of the fault suite with a kill")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they need, so that `make check` can leave them out, and begin with the longest."""
    folder = Path(__file__).parent.as_posix()
    long_first = [f"{folder}/{name}" for name in LONGEST]
    items.sort(key=lambda item: not item.path.as_posix().startswith(tuple(long_first)))
    for item in items:
        for fixture, marker in MARKER_OF_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked `r` where R is not installed, except in CI, and let only marked tests read reference data."""
    note_current_test(item)
    if item.get_closest_marker("r") and shutil.which("R") is None and os.environ.get("CI") != "true":
        pytest.skip("R is not installed: scripts/install-system-packages")


def remove_server(root: Path) -> None:
    """Stop the server under ``root`` and remove all of it, also where the data had to be put elsewhere."""
    server = EmbeddedPostgres(root, durable=False)
    with contextlib.suppress(FileNotFoundError):
        server.stop()
        shutil.rmtree(server.status().data_folder.parent, ignore_errors=True)
    shutil.rmtree(root, ignore_errors=True)


def _remove_servers_of_killed_processes() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        pid = folder.name.removeprefix(_FOLDER_PREFIX).split("-")[0]
        is_mine = folder.stat().st_uid == os.geteuid()
        if is_mine and pid.isdecimal() and not psutil.pid_exists(int(pid)):
            remove_server(folder)


@pytest.fixture(autouse=True)
def no_instance_of_another_test() -> Iterator[None]:
    """Definitions are resolved by the storage of the Dagster instance that is current; an instance that one test
    left unclosed must not be the next one's, for it may be gone by then.
    """
    from seedtest_analytics.dagster_private import set_defs_state_storage

    with set_defs_state_storage(None):
        yield


@pytest.fixture(autouse=True)
def no_environment_of_another_test() -> Iterator[None]:
    """The command line puts the settings kept in a home into its own process. The next test starts without them."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(autouse=True)
def no_wait_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails for good in a test is tried again at once."""
    monkeypatch.setattr("dagster.RetryPolicy.calculate_delay", lambda policy, attempt: 0.0)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """A running server of this test process alone (a pytest-xdist worker has its own), no fsync."""
    _remove_servers_of_killed_processes()
    # Not pytest's own temporary folder: the server's OS user may not enter that when root runs the tests.
    root = Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-"))
    root.chmod(0o711)
    server = EmbeddedPostgres(root, durable=False)
    try:
        server.start()
        yield server
    finally:
        remove_server(root)


@pytest.fixture(scope="session")
def new_database(postgres_server: EmbeddedPostgres) -> Iterator[NewDatabase]:
    """Make databases: ``new_database(migrated=False) -> URL``; all are dropped at the end of the session."""
    numbers = itertools.count(1)
    admin = psycopg.connect(postgres_server.url("postgres", driver=""), autocommit=True)

    def create(*, migrated: bool = False) -> str:
        template = _template(postgres_server, migrated=migrated)
        name = f"test_{next(numbers)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        admin.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return postgres_server.url(name)

    with admin:
        yield create


@pytest.fixture
def empty_database(new_database: NewDatabase, postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """SQLAlchemy URL (psycopg 3) of a database without tables, dropped after the test."""
    url = new_database()
    yield url
    drop_database(postgres_server, url)


@pytest.fixture
def database_url(new_database: NewDatabase, postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """SQLAlchemy URL (psycopg 3) of a database with the platform's tables and no rows, dropped afterwards."""
    url = new_database(migrated=True)
    yield url
    drop_database(postgres_server, url)


@pytest.fixture(scope="module")
def module_database_url(new_database: NewDatabase, postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """As ``database_url``, one for all tests of a module."""
    url = new_database(migrated=True)
    yield url
    drop_database(postgres_server, url)


def drop_database(server: EmbeddedPostgres, url: str) -> None:
    """Drop the database of a URL, whoever is still connected to it."""
    name = url.rsplit("/", 1)[1]
    with psycopg.connect(server.url("postgres", driver=""), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _template(server: EmbeddedPostgres, *, migrated: bool) -> str:
    """Name of the database that others are copied from, made at first use (template0 copies slowly)."""
    name = "template_migrated" if migrated else "template_empty"
    with psycopg.connect(server.url("postgres", driver=""), autocommit=True) as connection:
        query = "SELECT datistemplate FROM pg_database WHERE datname = %s"
        if connection.execute(query, [name]).fetchone() == (True,):
            return name
        server.ensure_database(name)
        if migrated:
            # Heavy to import, and most tests need no database.
            from sqlalchemy import create_engine

            from seedtest_analytics.database.migrations import migrate

            engine = create_engine(server.url(name))
            migrate(engine)
            engine.dispose()
        statement = "ALTER DATABASE {} IS_TEMPLATE true ALLOW_CONNECTIONS false"
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
    return name
