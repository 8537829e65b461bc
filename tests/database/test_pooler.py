"""The platform's database behind PgBouncer in transaction mode, where every transaction may get another session."""

import datetime as dt
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.assets.attempts.sync import sync_attempts
from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres
from seedtest_analytics.database.engine import connected_engine, locked_transaction, normalised_url
from seedtest_analytics.database.migrations import downgrade, migrate, schema_state
from seedtest_analytics.database.work import working_on
from tests._database import rows_of
from tests._exams import Exam, question, store
from tests._waits import wait_until

PGBOUNCER = shutil.which("pgbouncer")
pytestmark = [
    pytest.mark.database,
    pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed: apt-get install pgbouncer"),
]


@pytest.fixture(params=["as it comes", "ignore_startup_parameters = options"])
def pooled(
    request: pytest.FixtureRequest, empty_database: str, postgres_server: EmbeddedPostgres, tmp_path: Path
) -> Iterator[Engine]:
    """An engine on an empty database behind a pooler with two sessions."""
    direct = normalised_url(empty_database)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = [
        "[databases]",
        f"{direct.database} = host=127.0.0.1 port={direct.port} dbname={direct.database}",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "auth_type = plain",
        f"auth_file = {tmp_path}/users.txt",
        "pool_mode = transaction",
        "default_pool_size = 4",
        "unix_socket_dir =",
        *([request.param] if "=" in request.param else []),
    ]
    (tmp_path / "users.txt").write_text(f'"{direct.username}" "{direct.password}"\n')
    (tmp_path / "pool.ini").write_text("\n".join(lines) + "\n")
    # It refuses to run as root; the files are opened before it becomes another user.
    command = ["pgbouncer", "-q", str(tmp_path / "pool.ini")]
    options = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        shared = Path("/var/tmp") / f"seedtest-pool-{os.getpid()}-{port}"
        shutil.copytree(tmp_path, shared)
        for path in (shared, *shared.iterdir()):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        (shared / "pool.ini").write_text("\n".join(lines).replace(str(tmp_path), str(shared)) + "\n")
        command[-1] = str(shared / "pool.ini")
        options = {"user": nobody.pw_uid, "group": nobody.pw_gid}
    pooler = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    engine = None
    try:
        wait_until(lambda: listens(port))
        engine = connected_engine(direct.set(port=port))
        yield engine
    finally:
        if engine is not None:
            engine.dispose()
        pooler.kill()
        pooler.wait()
        if os.geteuid() == 0:
            shutil.rmtree(shared)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_schema_is_migrated_and_the_log_is_synced(pooled: Engine) -> None:
    migrate(pooled)
    assert schema_state(pooled).current == schema_state(pooled).newest
    noon = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
    exams = [
        Exam((question(1, is_correct=True), question(2, is_correct=False)), f"u{n}", created_at=noon) for n in range(7)
    ]
    store(pooled, *exams)
    for expected in (14, 0):
        result = sync_attempts(pooled, noon + dt.timedelta(days=1), timezone="UTC", batch_size=2)
        assert result.attempts.inserted == expected
    assert len(rows_of(pooled, "SELECT 1 AS one FROM attempt")) == 14
    downgrade(pooled)
    assert schema_state(pooled).current is None


def test_settings_are_those_of_the_transaction_and_nothing_stays(pooled: Engine) -> None:
    with working_on("weekly_kpi/S"), pooled.begin() as connection:
        names = connection.execute(
            text("SELECT current_setting('application_name'), current_setting('TimeZone')")
        ).one()
        assert tuple(names) == ("seedtest weekly_kpi/S", "UTC")
    url = pooled.url.set(drivername="postgresql").render_as_string(hide_password=False)
    for _ in range(5):
        with psycopg.connect(url, prepare_threshold=None, autocommit=True) as other:
            assert other.execute("SHOW lock_timeout").fetchone() == ("0",)
            assert other.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


def test_a_lock_belongs_to_its_transaction(pooled: Engine) -> None:
    with locked_transaction(pooled, "week:1"), pooled.begin() as other:
        taken = text("SELECT pg_try_advisory_xact_lock(hashtextextended('week:1', 0))")
        assert other.execute(taken).scalar_one() is False
    with pooled.begin() as other:
        assert other.execute(taken).scalar_one() is True


def test_many_repetitions_of_a_statement_work(pooled: Engine) -> None:
    """The driver prepares a statement after five executions, and the next session does not know it."""
    for number in range(20):
        with pooled.begin() as connection, pooled.begin() as other:
            for one in (connection, other):
                assert one.execute(text("SELECT CAST(:n AS integer)"), {"n": number}).scalar_one() == number
