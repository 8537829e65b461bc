"""Two daemons on one storage: the second is refused, also after the first has lost its connection."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Connection, create_engine, text

from seedtest_analytics.webserver.only_daemon import OnlyDaemon
from tests._waits import wait_until

refused: list[str] = []
END_OTHERS = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
def admin(database_url: str) -> Iterator[Connection]:
    engine = create_engine(database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def daemons(database_url: str) -> Iterator[list[OnlyDaemon]]:
    """Two daemons, as in two processes; they note their refusal in ``refused`` and live on."""
    engines = [create_engine(database_url, isolation_level="AUTOCOMMIT", pool_pre_ping=True) for _ in range(2)]
    made = [OnlyDaemon(engine, lambda message: refused.append(message)) for engine in engines]
    refused.clear()
    yield made
    for daemon, engine in zip(made, engines, strict=True):
        daemon.release()
        engine.dispose()


def test_the_second_of_two_daemons_is_refused_until_the_first_ends(daemons: list[OnlyDaemon]) -> None:
    first, second = daemons
    for _ in range(2):
        first.require()
    assert refused == []
    second.require()
    assert len(refused) == 1
    assert "another daemon uses this storage of Dagster (seedtest daemon, process " in refused[0]
    first.release()
    second.require()
    assert len(refused) == 1


def test_a_daemon_takes_its_lock_again_after_a_lost_connection_unless_another_has_it(
    daemons: list[OnlyDaemon], admin: Connection
) -> None:
    first, second = daemons
    locks = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    first.require()
    admin.execute(END_OTHERS)
    first.require()
    second.require()
    assert len(refused) == 1
    admin.execute(END_OTHERS)
    wait_until(lambda: admin.execute(locks).scalar() == 0)
    second.require()
    first.require()
    assert len(refused) == 2


@pytest.mark.long
def test_a_second_daemon_of_dagster_ends(
    database_url: str, daemons: list[OnlyDaemon], admin: Connection, tmp_path: Path
) -> None:
    """The real program, whose threads ask before their first work."""
    (tmp_path / "dagster.yaml").write_text(
        "instance_class: {module: seedtest_analytics.webserver.instance, class: GuardedInstance}\n"
        f"storage: {{postgres: {{postgres_url: '{database_url.replace('+psycopg', '')}'}}}}\n"
        "telemetry: {enabled: false}\n"
    )
    (tmp_path / "small.py").write_text("import dagster as dg\ndefs = dg.Definitions()\n")
    with dg.DagsterInstance.from_config(str(tmp_path)):
        # Makes Dagster's tables.
        pass
    daemons[0].require()
    command = [sys.executable, "-m", "dagster." + "_daemon", "run", "-f", "small.py"]
    environment = {"DAGSTER_HOME": str(tmp_path), "PATH": ""}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    assert "another daemon uses this storage of Dagster" in ended.stdout
    assert admin.execute(text("SELECT count(*) FROM daemon_heartbeats")).scalar_one() == 0
