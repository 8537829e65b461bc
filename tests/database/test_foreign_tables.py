"""Tables of other programs with names of the platform's: refused, left alone in a schema beside, or adopted."""

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.attempts.sync import sync_attempts
from seedtest_analytics.cli import doctor
from seedtest_analytics.cli.migrate import archive_note
from seedtest_analytics.database.engine import engine_for, normalised_url
from seedtest_analytics.database.migrations import (
    MigrationError,
    differing_tables,
    downgrade,
    migrate,
    planned,
    schema_state,
)
from tests._database import execute, rows_of
from tests._exams import NOON, Exam, question, store
from tests.cli.conftest import seedtest as seedtest_fixture
from tests.database.test_migrations import LEGACY_DATA, LEGACY_SCHEMA, catalogue

seedtest = seedtest_fixture

FOREIGN = """
CREATE TABLE session (token text PRIMARY KEY, user_id bigint NOT NULL);
INSERT INTO session VALUES ('t1', 1);
CREATE TABLE question (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), stem text NOT NULL);
INSERT INTO question (stem) VALUES ('1 + 1?');
CREATE TABLE classroom (id text PRIMARY KEY, teacher text NOT NULL);
CREATE VIEW attempt AS SELECT token FROM session;
"""


@pytest.fixture
def company(empty_database: Any) -> str:
    """URL of a company's own database."""
    engine = engine_for(normalised_url(empty_database))
    with engine.begin() as connection:
        connection.exec_driver_sql(FOREIGN)
    engine.dispose()
    return str(empty_database)


def engine_of(url: str) -> Engine:
    return engine_for(normalised_url(url))


def test_all_foreign_tables_are_named_at_once_with_both_remedies(company: str) -> None:
    engine = engine_of(company)
    before = catalogue(engine)
    with pytest.raises(MigrationError) as error:
        migrate(engine)
    message = str(error.value)
    for part in (
        "public.session: its primary key is token",
        "public.question: id is uuid, the platform needs bigint",
        "public.classroom: no column org_id, name, grade, created_at",
        "teacher",
        "SEEDTEST_SCHEMA=seedtest",
        "seedtest migrate --adopt classroom:",
    ):
        assert part in message
    assert catalogue(engine) == before
    with pytest.raises(MigrationError, match=r"public\.session"):
        planned(engine)


def test_a_schema_of_its_own_leaves_the_company_alone(company: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = engine_of(company)
    before = catalogue(own)
    monkeypatch.setenv("SEEDTEST_SCHEMA", "platform")
    engine = engine_of(company)
    assert migrate(engine) == []
    assert schema_state(engine).current == schema_state(engine).newest
    assert catalogue(own) == before
    assert differing_tables(engine) == []
    store(engine, Exam((question(1),)))
    sync_attempts(engine, NOON.replace(year=2027), timezone="UTC")
    assert rows_of(engine, "SELECT item_id FROM attempt") == [{"item_id": 1}]
    assert rows_of(engine, "SELECT count(*) AS n FROM public.attempt") == [{"n": 1}]
    downgrade(engine)
    assert catalogue(own) == before
    left = rows_of(
        engine, "SELECT relname FROM pg_class WHERE relnamespace = 'platform'::regnamespace AND relkind = 'r'"
    )
    assert [row["relname"] for row in left] == ["seedtest_alembic_version"]


def test_a_search_path_in_the_address_is_enough(company: str) -> None:
    execute(engine_of(company), "CREATE SCHEMA analytics")
    before = catalogue(engine_of(company))
    engine = engine_of(f"{company}?options=-csearch_path%3Danalytics")
    migrate(engine)
    assert differing_tables(engine) == []
    assert catalogue(engine_of(company)) == before


def test_sources_are_found_by_their_shape_beside_the_own_schema(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    legacy = engine_of(empty_database)
    with legacy.begin() as connection:
        connection.exec_driver_sql(LEGACY_SCHEMA.replace("%", "%%"))
        connection.exec_driver_sql(LEGACY_DATA)
    monkeypatch.setenv("SEEDTEST_SCHEMA", "platform")
    engine = engine_of(empty_database)
    told = migrate(engine)
    assert [line.split(" ")[0] for line in told] == [
        "public.classroom",
        "public.exam_results",
        "public.interest_goal",
        "public.question",
        "public.session",
    ]
    assert differing_tables(engine) == []
    sync_attempts(engine, dt.datetime(2026, 2, 1, tzinfo=dt.UTC), timezone="UTC")
    assert rows_of(engine, "SELECT count(*) AS n FROM attempt") == [{"n": 4}]
    assert rows_of(engine, "SELECT count(*) AS n FROM weekly_kpi") == [{"n": 0}]
    assert rows_of(engine, "SELECT count(*) AS n FROM public.weekly_kpi") == [{"n": 1}]


def test_an_adopted_table_is_extended_and_given_back(empty_database: str) -> None:
    engine = engine_of(empty_database)
    execute(engine, "CREATE TABLE classroom (id text PRIMARY KEY, teacher text NOT NULL)")
    execute(engine, "INSERT INTO classroom VALUES ('c1', 'Kim')")
    before = catalogue(engine)
    with pytest.raises(MigrationError, match="--adopt classroom"):
        migrate(engine)
    with pytest.raises(MigrationError, match="--adopt weekly_kpi: no table"):
        migrate(engine, adopted=["weekly_kpi"])
    migrate(engine, adopted=["classroom"])
    assert differing_tables(engine) == []
    execute(engine, "INSERT INTO classroom (id, org_id, name) VALUES ('c2', 'o', 'n')")
    downgrade(engine)
    assert catalogue(engine) == before
    assert rows_of(engine, "SELECT * FROM classroom") == [{"id": "c1", "teacher": "Kim"}]


def test_the_command_shows_the_plan_and_doctor_compares_types(seedtest: Any, empty_database: str) -> None:
    engine = engine_of(empty_database)
    with engine.begin() as connection:
        connection.exec_driver_sql(LEGACY_SCHEMA.replace("%", "%%"))
        connection.exec_driver_sql(LEGACY_DATA)
    code, output = seedtest("migrate", DATABASE_URL=empty_database, DRY_RUN="true")
    assert code == 0
    assert "public.weekly_kpi (1 rows) stays: " in output
    assert "its rows are copied to seedtest_legacy.weekly_kpi" in output
    assert schema_state(engine).current is None
    assert archive_note(engine) is None
    assert seedtest("migrate", DRY_RUN="false")[0] == 0
    assert "schema seedtest_legacy: features_topic_daily, mirt_ability" in str(archive_note(engine))
    execute(engine, "ALTER TABLE question ALTER COLUMN topic_id TYPE integer USING NULL")
    finding = doctor._schema()
    assert finding.state == "missing"
    assert "public.question: topic_id is integer, the platform needs text" in finding.found
