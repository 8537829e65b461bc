"""`seedtest migrate` prints the revision of the schema and the next command."""

from pathlib import Path

from sqlalchemy import create_engine

from seedtest_analytics.assets.attempts.sync import sync_attempts
from seedtest_analytics.database.migrations import schema_state
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
    assert (code, output.splitlines()) == (0, [f"schema revision: {newest} (newest {newest})"])


def test_a_dry_run_changes_no_schema(seedtest: Seedtest, empty_database: str) -> None:
    code, output = seedtest("migrate", DATABASE_URL=empty_database, DRY_RUN="true")
    assert code == 0
    assert "DRY_RUN is set: the schema is unchanged" in output
    assert "schema revision: none" in output
    assert schema_state(create_engine(empty_database)).current is None
