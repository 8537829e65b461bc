"""`seedtest migrate` prints the revision of the schema and the next command."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from seedtest_analytics.assets.attempts.sync import sync_attempts
from seedtest_analytics.database.migrations import migrate, schema_state
from tests._exams import NOON, Exam, question, store
from tests.cli.conftest import Seedtest

LEGACY_SCHEMA = (Path(__file__).parents[1] / "database" / "legacy_schema.sql").read_text(encoding="utf-8")


def test_onto_a_legacy_database_it_says_that_the_log_is_empty_and_what_fills_it(
    seedtest: Seedtest, empty_database: str
) -> None:
    engine = create_engine(empty_database)
    with engine.begin() as connection:
        connection.exec_driver_sql(LEGACY_SCHEMA.replace("%", "%%"))
    store(engine, Exam((question(1),)))
    code, output = seedtest("migrate", DATABASE_URL=empty_database)
    assert code == 0
    assert "the attempt log is still empty" in output
    assert "seedtest materialize" in output
    sync_attempts(engine, NOON.replace(year=2027), timezone="UTC")
    assert "attempt log" not in seedtest("migrate")[1]
    engine.dispose()


def test_an_empty_database_has_nothing_to_sync(seedtest: Seedtest, empty_database: str) -> None:
    code, output = seedtest("migrate", DATABASE_URL=empty_database)
    newest = schema_state(create_engine(empty_database)).newest
    revision, following = output.splitlines()
    assert (code, revision) == (0, f"schema revision: {newest} (newest {newest})")
    assert following.startswith("next: seedtest load FILE")


def test_a_dry_run_changes_no_schema(seedtest: Seedtest, empty_database: str) -> None:
    code, output = seedtest("migrate", DATABASE_URL=empty_database, DRY_RUN="true")
    assert code == 0
    assert "DRY_RUN is set: the schema is unchanged" in output
    assert "schema revision: none" in output
    assert schema_state(create_engine(empty_database)).current is None


def test_waiting_ends_once_another_process_has_migrated_and_changes_nothing(
    seedtest: Seedtest, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the pods do beside the Job that migrates."""
    engine = create_engine(empty_database)
    code, output = seedtest("migrate", "--wait", "0", DATABASE_URL=empty_database)
    assert (code, schema_state(engine).current) == (1, None)
    assert "is at revision none, this release needs" in output
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: migrate(engine))
    monkeypatch.setattr("seedtest_analytics.cli.migrate.time", clock)
    code, output = seedtest("migrate", "--wait", "600")
    assert (code, output) == (0, "")
    engine.dispose()


def test_a_downgrade_asks_first(seedtest: Seedtest, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = create_engine(empty_database)
    seedtest("migrate", DATABASE_URL=empty_database)
    code, output = seedtest("migrate", "--downgrade", "base")
    assert code == 2
    assert "add --yes" in output
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", _refuse)
    code, _ = seedtest("migrate", "--downgrade", "base")
    assert code == 1
    assert schema_state(engine).current is not None
    code, output = seedtest("migrate", "--downgrade", "base", "--yes")
    assert code == 0
    assert "next: seedtest migrate" in output
    assert schema_state(engine).current is None
    engine.dispose()


def _refuse(question: str, *, abort: bool) -> None:
    assert "deletes the tables" in question
    assert abort
    raise typer.Abort


def test_a_command_that_writes_upgrades_the_embedded_database(
    seedtest: Seedtest, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seedtest_analytics.database.engine.database_url", lambda: make_url(empty_database))
    code, output = seedtest("backtest")
    assert code == 1
    assert "run `seedtest migrate` first" in output
    code, output = seedtest("simulate", "--students", "5", "--weeks", "2", "--load")
    assert code == 0
    assert "upgraded the embedded database from revision none to 0" in output
