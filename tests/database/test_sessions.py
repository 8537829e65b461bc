"""Sessions: their settings, what is said while they wait, and what is said when the server ends them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from seedtest_analytics.database import sessions
from seedtest_analytics.database.address import DatabaseError
from seedtest_analytics.database.engine import connected_engine, engine_for
from seedtest_analytics.database.sessions import blockers, explained, explaining, lock_held, locked_transaction
from seedtest_analytics.database.work import working_on
from tests._database import database, rows_of, shared_database
from tests._waits import wait_until

__all__ = ["database", "shared_database"]


@contextmanager
def other_session(engine: Engine, statement: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Another program with an open transaction."""
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, application_name="nightly backup") as connection:
        connection.execute(statement)  # type: ignore[call-overload]
        yield connection


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("TimeZone", "UTC"),
        ("lock_timeout", "1min"),
        ("statement_timeout", "1h"),
        ("idle_in_transaction_session_timeout", "0"),
        ("client_connection_check_interval", "2s"),
        ("application_name", "seedtest weekly_kpi/S 2026-03-02"),
    ],
)
@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_every_transaction_has_its_settings(database: Engine, setting: str, value: str, isolation: str) -> None:
    with working_on("weekly_kpi/S 2026-03-02"), database.connect() as plain:
        connection = plain.execution_options(isolation_level=isolation)
        for _ in range(2):
            assert connection.execute(text(f"SHOW {setting}")).scalar_one() == value
            connection.rollback()


def test_settings_of_the_transaction_do_not_stay_in_the_session(database: Engine) -> None:
    """A pooler hands the session to another program."""
    with working_on("something"), database.connect() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        connection.commit()
        names = rows_of(database, "SELECT application_name AS n FROM pg_stat_activity WHERE pid = :pid", pid=pid)
    assert "something" not in names[0]["n"]


@pytest.mark.parametrize("name", ["x" * 200, "Geometrie für Anfänger", "日本語", "a\nb", "'; DROP TABLE x; --"])
def test_any_name_of_the_work_is_accepted(database: Engine, name: str) -> None:
    with working_on(name), database.begin() as connection:
        shown = connection.execute(text("SHOW application_name")).scalar_one()
    assert shown.startswith("seedtest ")
    assert len(shown) <= 63


def test_a_server_that_ends_idle_transactions_does_not_end_ours(database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(
            text(f"ALTER ROLE {database.url.username} SET idle_in_transaction_session_timeout = '100ms'")
        )
    try:
        engine = engine_for(database.url)
        with engine.begin() as connection, other_session(database, "SELECT 1") as other:
            connection.execute(text("SELECT 1"))
            wait_until(lambda: is_ended(other))
            assert connection.execute(text("SELECT 2")).scalar_one() == 2
    finally:
        with database.begin() as connection:
            connection.execute(text(f"ALTER ROLE {database.url.username} RESET idle_in_transaction_session_timeout"))


def is_ended(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Whether the server has closed the connection."""
    try:
        connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return True
    return connection.pgconn.status != psycopg.pq.ConnStatus.OK


def test_a_wait_for_an_advisory_lock_says_for_whom(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "WORDS_AFTER_SECONDS", 0.1)
    said: list[str] = []
    is_inside = threading.Event()

    def second() -> None:
        with working_on("second", said.append), locked_transaction(database, "week:1"):
            is_inside.set()

    thread = threading.Thread(target=second)
    with working_on("first work"), locked_transaction(database, "week:1") as connection:
        thread.start()
        wait_until(lambda: said)
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        assert not is_inside.is_set()
    thread.join(120)
    assert is_inside.is_set()
    assert len(said) == 1
    assert all(part in said[0] for part in ("waiting for the lock week:1", f"session {pid}", "'seedtest first work'"))


def test_a_lock_is_held_over_several_transactions(database: Engine) -> None:
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    query = "SELECT pg_try_advisory_xact_lock(hashtextextended('log', 0))"
    with psycopg.connect(url, autocommit=True) as other:
        with lock_held(database, "log"):
            for _ in range(2):
                with database.begin() as connection:
                    connection.execute(text("SELECT 1"))
                assert other.execute(query).fetchone() == (False,)
        assert other.execute(query).fetchone() == (True,)


def test_a_wait_for_a_table_says_for_whom(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "WORDS_AFTER_SECONDS", 0.1)
    monkeypatch.setattr(sessions, "_watch", sessions._Watch())
    said: list[str] = []

    def read() -> None:
        with working_on("weekly_kpi/S", said.append), engine_for(database.url).begin() as connection:
            connection.execute(text("SELECT count(*) FROM weekly_kpi"))

    thread = threading.Thread(target=read)
    with other_session(database, "LOCK TABLE weekly_kpi") as other:
        thread.start()
        wait_until(lambda: said)
        pid = other.info.backend_pid
        with database.connect() as connection:
            (found,) = blockers(connection)
    thread.join(120)
    assert not thread.is_alive()
    assert all(part in said[0] for part in ("waiting for weekly_kpi", f"session {pid}", "'nightly backup'"))
    assert (found.pid, found.application, found.tables) == (pid, "nightly backup", "weekly_kpi")
    assert found.waiting == "seedtest weekly_kpi/S"


def raised(engine: Engine, statement: str) -> Exception:
    with pytest.raises(DBAPIError) as error, working_on("weekly_kpi/S"), engine.begin() as connection:
        connection.execute(text(statement))
    return error.value


def test_a_table_that_stays_locked_ends_the_statement_and_names_the_other_session(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDTEST_LOCK_TIMEOUT_SECS", "0.1")
    impatient = engine_for(database.url)
    with other_session(database, "LOCK TABLE weekly_kpi") as other:
        error = raised(impatient, "DELETE FROM weekly_kpi")
        message = explained(error, impatient)
        pid = other.info.backend_pid
    assert isinstance(message, DatabaseError)
    assert not message.may_pass
    for part in ("SEEDTEST_LOCK_TIMEOUT_SECS", f"session {pid}", "'nightly backup'", "seedtest doctor"):
        assert part in str(message)


def test_a_locked_transaction_tells_who_is_in_the_way_of_which_work(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDTEST_LOCK_TIMEOUT_SECS", "0.1")
    impatient = engine_for(database.url)
    with (
        other_session(database, "LOCK TABLE weekly_kpi"),
        pytest.raises(DatabaseError) as error,
        working_on("weekly_kpi/S"),
        locked_transaction(impatient, "a week") as connection,
    ):
        connection.execute(text("DELETE FROM weekly_kpi"))
    assert str(error.value).startswith("weekly_kpi/S waited")
    assert "'nightly backup'" in str(error.value)


def test_a_statement_that_takes_too_long_names_the_setting(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDTEST_STATEMENT_TIMEOUT_SECS", "0.1")
    message = explained(raised(engine_for(database.url), "SELECT pg_sleep(3600)"))
    assert isinstance(message, DatabaseError)
    assert not message.may_pass
    assert "SEEDTEST_STATEMENT_TIMEOUT_SECS" in str(message)


@pytest.mark.parametrize("ending", ["pg_terminate_backend", "pg_cancel_backend"])
def test_a_session_that_an_administrator_ends_is_not_tried_again(database: Engine, ending: str) -> None:
    errors: list[DatabaseError | None] = []

    def sleep() -> None:
        errors.append(explained(raised(database, "SELECT pg_sleep(3600) AS to_be_ended")))

    thread = threading.Thread(target=sleep)
    thread.start()
    kill = f"SELECT {ending}(pid) FROM pg_stat_activity WHERE query LIKE '%to_be_ended%' AND pid <> pg_backend_pid()"
    wait_until(lambda: rows_of(database, kill))
    thread.join(120)
    (message,) = errors
    assert message is not None
    assert not message.may_pass
    assert "start the run again" in str(message)


@pytest.mark.parametrize("statement", ["SELECT 1 / 0", "SELECT nowhere()", "SELECT 'x'::int"])
def test_other_errors_are_not_explained_away(database: Engine, statement: str) -> None:
    assert explained(raised(database, statement)) is None


@pytest.mark.parametrize("statement", ["SELECT * FROM nowhere", "SELECT nowhere FROM weekly_kpi"])
def test_a_missing_table_or_column_names_the_command(database: Engine, statement: str) -> None:
    message = explained(raised(database, statement))
    assert isinstance(message, DatabaseError)
    assert not message.may_pass
    assert "nowhere" in str(message)
    assert "seedtest migrate" in str(message)


def test_a_server_that_takes_no_writes_is_not_tried_again(database: Engine) -> None:
    message = explained(raised(database, "SET TRANSACTION READ ONLY; DELETE FROM weekly_kpi"))
    assert isinstance(message, DatabaseError)
    assert not message.may_pass
    assert "read-only" in str(message)
    assert "default_transaction_read_only" in str(message)


def test_a_deadlock_says_what_happened_and_is_tried_again(database: Engine) -> None:
    message = explained(raised(database, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'deadlock_detected'; END $$"))
    assert isinstance(message, DatabaseError)
    assert message.may_pass
    assert "another session waited for each other" in str(message)


def test_a_server_that_is_gone_may_come_back(database: Engine) -> None:
    gone = engine_for(database.url.set(host="127.0.0.1", port=1))
    message = explained(raised(gone, "SELECT 1"))
    assert isinstance(message, DatabaseError)
    assert message.may_pass
    assert "refused" in str(message)


def test_a_session_that_is_lost_between_two_transactions_is_not_used_again(
    database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    engine = engine_for(database.url)
    with engine.connect() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        connection.rollback()
        rows_of(database, "SELECT pg_terminate_backend(:pid, 60000)", pid=pid)
        with pytest.raises(OperationalError) as lost:
            connection.execute(text("SELECT 1"))
    assert lost.value.connection_invalidated
    assert explained(lost.value) is not None
    assert "Exception during reset" not in caplog.text
    with engine.connect() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() != pid
    engine.dispose()


def test_a_server_that_dies_before_the_first_transaction_refuses_the_database(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies while it is asked which settings it knows."""
    known_to = sessions._Settings._known_to

    def dying(self: Any, cursor: psycopg.Cursor[Any]) -> dict[str, str]:
        rows_of(database, "SELECT pg_terminate_backend(:pid, 60000)", pid=cursor.connection.info.backend_pid)
        return known_to(self, cursor)

    monkeypatch.setattr(sessions._Settings, "_known_to", dying)
    with pytest.raises(DatabaseError, match=r"refuses: .*terminat"):
        connected_engine(database.url)


def test_an_error_of_the_driver_is_explained_like_one_of_sqlalchemy() -> None:
    """COPY goes to the driver itself."""
    with pytest.raises(DatabaseError, match="cannot go on without PostgreSQL"), explaining():
        raise psycopg.OperationalError("server closed the connection unexpectedly")
