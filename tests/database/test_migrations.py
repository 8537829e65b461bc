"""Migrations on a real server: an empty database, one with the legacy tables, downgrades, races."""

import datetime as dt
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Engine, inspect, text
from sqlalchemy.exc import IntegrityError

import seedtest_analytics.tables as tables
from seedtest_analytics.assets.attempts.sync import sync_attempts
from seedtest_analytics.database.engine import engine_for, normalised_url
from seedtest_analytics.database.migrations import (
    VERSION_TABLE,
    MigrationError,
    SchemaState,
    downgrade,
    migrate,
    schema_state,
)
from tests._database import execute, rows_of, snapshot

LEGACY_SCHEMA = (Path(__file__).parent / "legacy_schema.sql").read_text(encoding="utf-8")
LEGACY_DATA = """
INSERT INTO exam_results (id, session_id, user_id, exam_id, result_json, created_at, updated_at) VALUES
    ('00000000-0000-0000-0000-000000000001', 's1', 'kim', 7, '{"questions": [
        {"question_id": 1, "is_correct": true, "topic": "algebra", "time_spent_sec": 2.5, "used_hints": 1},
        {"question_id": "2", "correct": false, "topic": "", "time_spent_sec": ""}]}',
     '2026-01-05 10:00+00', '2026-01-05 10:00+00'),
    ('00000000-0000-0000-0000-000000000002', 's2', '0AF3C1D2-0000-4000-8000-1234567890AB', NULL, '{"questions": [
        {"question_id": 1, "topic": "algebra"}]}', '2026-01-06 10:00+00', '2026-01-06 10:00+00'),
    ('00000000-0000-0000-0000-000000000003', 's3', 'kim', 7, '{"questions": [
        {"question_id": 1, "is_correct": false, "topic": "algebra"}]}',
     '2026-01-07 10:00+00', '2026-01-07 10:00+00');
INSERT INTO question (id, content) VALUES (1, 'one'), (2, 'two');
INSERT INTO session (id, user_id) VALUES ('s1', 'kim');
INSERT INTO interest_goal (user_id, topic_id, target_level) VALUES ('kim', 'algebra', 2.5);
INSERT INTO classroom (id, org_id, name) VALUES ('c', 'o', 'n');
INSERT INTO mirt_item_params (item_id, params) VALUES ('1', '{"a": 1, "b": 0, "c": "NA"}');
INSERT INTO mirt_ability (user_id, theta, se, version) VALUES ('kim', 0.3, 0.4, 'v1');
INSERT INTO mirt_fit_meta (run_id) VALUES ('irt-fit-1');
INSERT INTO student_topic_theta (user_id, topic_id, theta, model)
    VALUES ('kim', 'algebra', 0.3, '2PL');
INSERT INTO features_topic_daily (user_id, topic_id, date, attempts)
    VALUES ('kim', 'algebra', '2026-01-05', 1);
INSERT INTO weekly_kpi VALUES ('kim', '2026-01-05', '{"improvement_index": 0.2}', now(), now());
INSERT INTO report_artifacts (user_id, week_start, url, generated_at)
    VALUES ('kim', '2026-01-05', 'u', now());
"""
LEGACY_TABLES = (
    "exam_results",
    "question",
    "session",
    "interest_goal",
    "classroom",
    "mirt_item_params",
    "mirt_ability",
    "mirt_fit_meta",
    "student_topic_theta",
    "features_topic_daily",
    "weekly_kpi",
    "report_artifacts",
)
CONTRACT_COLUMNS = (
    "id, student_id, item_id, correct, response_time_ms, hint_used, completed_at, started_at, attempt_no, "
    "session_id, topic_id"
)


@pytest.fixture
def empty(empty_database: Any) -> Iterator[Engine]:
    engine = engine_for(normalised_url(empty_database))
    yield engine
    engine.dispose()


@pytest.fixture
def legacy(empty: Engine) -> Engine:
    """A database of the legacy pipeline, with rows and with views on the view `attempt`."""
    with empty.begin() as connection:
        connection.exec_driver_sql(LEGACY_SCHEMA.replace("%", "%%"))
        connection.exec_driver_sql(LEGACY_DATA)
    return empty


def catalogue(engine: Engine) -> list[tuple[Any, ...]]:
    """Every relation with its columns and every view's definition."""
    with engine.connect() as connection:
        columns = connection.execute(
            text(
                "SELECT c.relname, c.relkind::text, a.attname, format_type(a.atttypid, a.atttypmod), "
                "       a.attnotnull, CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END, "
                "obj_description(c.oid, 'pg_class') "
                "FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid "
                "WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped "
                "AND c.relname <> :version ORDER BY 1, a.attnum"
            ),
            {"version": VERSION_TABLE},
        )
        return [tuple(row) for row in columns if not row[0].startswith(f"{VERSION_TABLE}_")]


def differences(engine: Engine) -> list[Any]:
    def ours(name: str | None, kind: str, parents: Any) -> bool:
        return not (kind == "table" and name in (VERSION_TABLE, "seedtest_schema_origin"))

    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "include_name": ours}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, tables.metadata))


def test_from_empty_the_schema_is_the_declared_one(empty: Engine) -> None:
    assert schema_state(empty) == SchemaState(None, schema_state(empty).newest)
    migrate(empty)
    state = schema_state(empty)
    assert state.current == state.newest
    assert differences(empty) == []
    assert {"attempt", "attempt_element"} <= set(inspect(empty).get_view_names())


def test_up_down_up_from_empty_leaves_nothing_behind(empty: Engine) -> None:
    before = catalogue(empty)
    migrate(empty)
    first = catalogue(empty)
    downgrade(empty)
    assert catalogue(empty) == before
    assert schema_state(empty).current is None
    migrate(empty)
    assert catalogue(empty) == first


def test_touched_days_that_were_logged_by_change_are_one_row_a_day(empty: Engine) -> None:
    migrate(empty, "0004")
    before = catalogue(empty)
    execute(
        empty,
        "INSERT INTO attempt_touched_day (day, attempts) "
        "VALUES ('2026-01-05', 1), ('2026-01-06', 1), ('2026-01-05', 2), ('2026-01-07', 1), ('2026-01-05', 3)",
    )
    migrate(empty)
    assert [
        tuple(row.values()) for row in rows_of(empty, "SELECT id, day::text FROM attempt_touched_day ORDER BY id")
    ] == [(2, "2026-01-06"), (4, "2026-01-07"), (5, "2026-01-05")]
    downgrade(empty, "0004")
    assert catalogue(empty) == before


def test_exams_of_another_shape_are_read_again_and_the_way_back_has_the_old_parser(empty: Engine) -> None:
    """They were in neither table, and a sync reads only what has changed."""
    migrate(empty)
    downgrade(empty, "0036")
    old = catalogue(empty)
    execute(
        empty,
        "INSERT INTO exam_results (session_id, user_id, result_json, created_at) VALUES "
        """('s', 'kim', '{"items": [{"question_id": 1}]}', '2026-01-05')""",
    )
    in_quarantine = "SELECT reason FROM attempt_quarantine"
    as_of = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
    sync_on_old_schema(empty, as_of)
    assert rows_of(empty, in_quarantine) == []
    migrate(empty)
    sync_attempts(empty, as_of, timezone="UTC")
    assert rows_of(empty, in_quarantine) == [{"reason": "questions_not_array"}]
    downgrade(empty, "0036")
    assert catalogue(empty) == old
    sync_on_old_schema(empty, as_of)
    assert rows_of(empty, in_quarantine) == []


def sync_on_old_schema(engine: Engine, as_of: dt.datetime) -> None:
    """Sync with the table that this release writes to and revision 0036 does not have."""
    execute(engine, "CREATE TABLE row_quarantine (asset text, reason text, element jsonb)")
    sync_attempts(engine, as_of, timezone="UTC")
    execute(engine, "DROP TABLE row_quarantine")


def checks(engine: Engine) -> dict[str, tuple[str, bool]]:
    """Definition of each CHECK of ``survival_risk``, and whether it is validated for old rows."""
    rows = rows_of(
        engine,
        "SELECT conname, pg_get_expr(conbin, conrelid) AS condition, convalidated FROM pg_constraint "
        "WHERE contype = 'c' AND conrelid = 'survival_risk'::regclass",
    )
    return {row["conname"]: (row["condition"], row["convalidated"]) for row in rows}


RISK_CHECKS = {
    f"ck_survival_risk_{column}": f"(({column} >= (0)::double precision) AND ({column} <= (1)::double precision))"
    for column in ("risk_score", "rank_percentile")
}


def test_the_declared_checks_are_those_of_the_migrations(empty: Engine) -> None:
    """The comparison of the schemas ignores them."""
    migrate(empty)
    declared = {
        name: {c.name for c in table.constraints if isinstance(c, CheckConstraint)}
        for name, table in tables.metadata.tables.items()
    }
    inspector = inspect(empty)
    assert declared == {name: {c["name"] for c in inspector.get_check_constraints(name)} for name in declared}
    assert checks(empty) == {name: (condition, True) for name, condition in RISK_CHECKS.items()}


def test_risks_are_held_to_their_range_and_the_way_back_lets_go_of_them(empty: Engine) -> None:
    migrate(empty, "0005")
    before = checks(empty)
    migrate(empty)
    for values in ("('kim', 1.2, 0.5)", "('kim', 0.5, -0.1)", "('kim', 'NaN', 0.5)"):
        with pytest.raises(IntegrityError, match="ck_survival_risk_"):
            execute(empty, f"INSERT INTO survival_risk (user_id, risk_score, rank_percentile) VALUES {values}")
    execute(
        empty, "INSERT INTO survival_risk (user_id, risk_score, rank_percentile) VALUES ('kim', 0, 1), ('lee', 1, NULL)"
    )
    downgrade(empty, "0005")
    assert checks(empty) == before == {}
    migrate(empty)
    assert set(checks(empty)) == set(RISK_CHECKS)


def test_a_legacy_risk_out_of_its_range_stays_and_a_new_one_is_refused(legacy: Engine) -> None:
    """One legacy version stored exp of the linear predictor, which is unbounded."""
    execute(
        legacy,
        "CREATE TABLE survival_risk (user_id text PRIMARY KEY, risk_score double precision NOT NULL, "
        "hazard_ratio double precision, rank_percentile double precision, updated_at timestamptz)",
    )
    execute(legacy, "INSERT INTO survival_risk (user_id, risk_score) VALUES ('kim', 3.7)")
    before = catalogue(legacy)
    migrate(legacy)
    assert checks(legacy) == {name: (condition, False) for name, condition in RISK_CHECKS.items()}
    assert rows_of(legacy, "SELECT risk_score FROM survival_risk") == [{"risk_score": 3.7}]
    with pytest.raises(IntegrityError, match="ck_survival_risk_risk_score"):
        execute(legacy, "INSERT INTO survival_risk (user_id, risk_score) VALUES ('lee', 3.7)")
    execute(
        legacy,
        "INSERT INTO survival_risk (user_id, risk_score) VALUES ('kim', 0.4) "
        "ON CONFLICT (user_id) DO UPDATE SET risk_score = excluded.risk_score",
    )
    downgrade(legacy)
    assert checks(legacy) == {}
    assert catalogue(legacy) == before
    assert rows_of(legacy, "SELECT risk_score FROM survival_risk") == [{"risk_score": 3.7}]


def test_a_database_that_is_up_to_date_is_left_untouched(empty: Engine) -> None:
    migrate(empty)
    # Not pg_class, where the server itself keeps its estimates of table sizes.
    names = ("seedtest_schema_origin", VERSION_TABLE, "pg_attribute", "pg_constraint", "pg_index", "pg_description")
    before = snapshot(empty, *names)
    migrate(empty)
    assert snapshot(empty, *names) == before


def test_legacy_rows_stay_and_legacy_columns_keep_their_types(legacy: Engine) -> None:
    columns = {row[:5] for row in catalogue(legacy) if row[1] == "r"}
    rows = {name: rows_of(legacy, f"SELECT * FROM {name}") for name in LEGACY_TABLES}
    migrate(legacy)
    assert columns <= {row[:5] for row in catalogue(legacy)}
    for name, before in rows.items():
        after = rows_of(legacy, f"SELECT * FROM {name}")
        assert [{key: row[key] for key in old} for row, old in zip(after, before, strict=True)] == before


def test_onto_legacy_tables_every_declared_column_and_index_is_there(legacy: Engine) -> None:
    migrate(legacy)
    missing = [
        d for d in differences(legacy) if isinstance(d, tuple) and d[0] in ("add_table", "add_column", "add_index")
    ]
    assert missing == []


def test_the_view_shows_what_the_legacy_view_showed(legacy: Engine) -> None:
    """For well-formed exams that were never re-scored, the 11 columns are equal row by row."""
    import datetime as dt

    before = rows_of(legacy, f"SELECT {CONTRACT_COLUMNS} FROM attempt ORDER BY id")
    assert len(before) == 4
    migrate(legacy)
    assert rows_of(legacy, "SELECT * FROM attempt") == []
    sync_attempts(legacy, dt.datetime(2026, 2, 1, tzinfo=dt.UTC), timezone="UTC")
    assert rows_of(legacy, f"SELECT {CONTRACT_COLUMNS} FROM attempt ORDER BY id") == before
    assert rows_of(legacy, "SELECT sum(attempts) AS n FROM attempts_per_day") == [{"n": 4}]


def test_downgrade_gives_back_the_legacy_database_with_its_views_and_data(legacy: Engine) -> None:
    before, rows = (catalogue(legacy), {name: rows_of(legacy, f"SELECT * FROM {name}") for name in LEGACY_TABLES})
    shown = rows_of(legacy, "SELECT * FROM attempt ORDER BY id")
    migrate(legacy)
    execute(
        legacy,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis, created_at, updated_at) "
        "VALUES ('lee', '2026-01-05', '{}', now(), now())",
    )
    rows["weekly_kpi"] = rows_of(legacy, "SELECT * FROM weekly_kpi")
    downgrade(legacy)
    assert catalogue(legacy) == before
    assert {name: rows_of(legacy, f"SELECT * FROM {name}") for name in LEGACY_TABLES} == rows
    assert rows_of(legacy, "SELECT * FROM attempt ORDER BY id") == shown
    migrate(legacy)
    assert schema_state(legacy).current == schema_state(legacy).newest


def test_a_later_view_on_the_platforms_columns_stops_the_downgrade_with_its_name(legacy: Engine) -> None:
    migrate(legacy)
    execute(legacy, "CREATE VIEW newcomer AS SELECT user_id FROM attempt")
    before = catalogue(legacy)
    with pytest.raises(MigrationError, match="newcomer"):
        downgrade(legacy)
    assert catalogue(legacy) == before


def test_the_legacy_stub_of_the_view_is_replaced(legacy: Engine) -> None:
    """Without exam_results, the legacy view had the same columns and no rows."""
    execute(legacy, "DROP VIEW attempt CASCADE")
    casts = ", ".join(
        f"NULL::{type_} AS {name}"
        for name, type_ in [
            ("id", "bigint"),
            ("student_id", "uuid"),
            ("item_id", "bigint"),
            ("correct", "boolean"),
            ("response_time_ms", "integer"),
            ("hint_used", "boolean"),
            ("completed_at", "timestamptz"),
            ("started_at", "timestamptz"),
            ("attempt_no", "integer"),
            ("session_id", "text"),
            ("topic_id", "text"),
        ]
    )
    execute(legacy, f"CREATE VIEW attempt AS SELECT {casts} WHERE false")
    before = catalogue(legacy)
    migrate(legacy)
    downgrade(legacy)
    assert catalogue(legacy) == before


def test_a_legacy_view_of_another_shape_is_named_with_the_remedy(legacy: Engine) -> None:
    execute(legacy, "DROP VIEW attempt CASCADE")
    execute(legacy, "CREATE VIEW attempt AS SELECT id::text AS id FROM exam_results")
    before = catalogue(legacy)
    with pytest.raises(MigrationError, match=r"(?s)attempt.*(rename|RENAME)"):
        migrate(legacy)
    assert catalogue(legacy) == before


def test_a_table_with_another_primary_key_is_named_and_nothing_is_changed(legacy: Engine) -> None:
    execute(legacy, "ALTER TABLE weekly_kpi DROP CONSTRAINT weekly_kpi_pkey, ADD COLUMN id bigserial PRIMARY KEY")
    before = catalogue(legacy)
    with pytest.raises(MigrationError) as error:
        migrate(legacy)
    message = str(error.value)
    assert "weekly_kpi" in message
    assert "its primary key is id, the platform needs user_id, week_start" in message
    assert "SEEDTEST_SCHEMA=seedtest" in message
    assert "--adopt" not in message
    assert catalogue(legacy) == before
    execute(legacy, "ALTER TABLE weekly_kpi RENAME TO weekly_kpi_legacy")
    migrate(legacy)
    assert schema_state(legacy).current == schema_state(legacy).newest


def test_a_table_in_the_place_of_the_view_is_named(legacy: Engine) -> None:
    execute(legacy, "DROP VIEW attempt CASCADE")
    execute(legacy, "CREATE TABLE attempt (id bigint)")
    with pytest.raises(MigrationError, match="ALTER TABLE attempt RENAME TO attempt_legacy"):
        migrate(legacy)


def test_two_callers_wait_for_each_other(empty: Engine) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            migrate(empty)
        except BaseException as error:  # noqa: BLE001 (handed to the test's thread)
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert differences(empty) == []
    # A later revision may replace a view of an earlier one, but each revision records it once.
    made = rows_of(
        empty,
        "SELECT kind, name FROM (SELECT *, count(*) FILTER (WHERE kind = 'revision') OVER (ORDER BY id) AS nth "
        "FROM seedtest_schema_origin) AS o GROUP BY kind, name, nth HAVING count(*) > 1",
    )
    assert made == []
