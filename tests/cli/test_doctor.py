"""What `seedtest doctor` says about connections: TLS, and who blocks whom."""

import threading
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.cli import doctor
from seedtest_analytics.database.engine import engine_for
from seedtest_analytics.database.work import working_on
from tests._waits import wait_until


@pytest.fixture
def blocked(database: Engine) -> Iterator[int]:
    """A session that waits for a table, and the number of the session that has it."""

    def read() -> None:
        with working_on("weekly_kpi/S 2026-03-02"), engine_for(database.url).begin() as connection:
            connection.execute(text("SELECT count(*) FROM weekly_kpi"))

    thread = threading.Thread(target=read)
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, application_name="nightly backup") as other:
        other.execute("LOCK TABLE weekly_kpi")
        thread.start()
        yield other.info.backend_pid
    thread.join(600)


def test_it_names_the_session_that_blocks(database: Engine, blocked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database.url.render_as_string(hide_password=False))
    wait_until(lambda: doctor._sessions().state == "warning")
    finding = doctor._sessions()
    for part in ("weekly_kpi/S 2026-03-02 waits for weekly_kpi", f"session {blocked}", "nightly backup"):
        assert part in finding.found
    assert f"pg_terminate_backend({blocked})" in finding.remedy


def test_it_says_that_nobody_waits(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database.url.render_as_string(hide_password=False))
    assert doctor._sessions().state == "ok"


@pytest.mark.parametrize(
    ("url", "state"),
    [
        ("postgresql://u:hunter2@db.example/d", "warning"),
        ("postgresql://u:hunter2@db.example/d?sslmode=allow", "warning"),
        ("postgresql://u:hunter2@one.example,two.example/d", "warning"),
        ("postgresql://u:hunter2@db.example/d?sslmode=verify-full", "ok"),
        ("postgresql://u:hunter2@127.0.0.1/d", "ok"),
        ("", "ok"),
    ],
)
def test_it_warns_of_connections_without_tls(url: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    monkeypatch.setenv("DATABASE_URL", url)
    finding = doctor._tls()
    assert finding.state == state
    assert "hunter2" not in finding.found
    if state == "warning":
        assert "verify-full" in finding.remedy
