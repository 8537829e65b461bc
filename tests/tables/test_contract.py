"""The declared tables compared with the legacy contract, written by hand from its sections 1 to 3."""

from typing import Any

import pytest
from sqlalchemy import Engine, inspect

from seedtest_analytics.tables import contract_of, metadata, table_named, view_metadata
from seedtest_analytics.tables.kpis import KPI_KEYS, REQUIRED_KEYS
from tests._database import rows_of

ATTEMPT = [
    ("id", "bigint"),
    ("student_id", "uuid"),
    ("item_id", "bigint"),
    ("correct", "boolean"),
    ("response_time_ms", "integer"),
    ("hint_used", "boolean"),
    ("completed_at", "timestamp with time zone"),
    ("started_at", "timestamp with time zone"),
    ("attempt_no", "integer"),
    ("session_id", "text"),
    ("topic_id", "text"),
]

TZ = "timestamp with time zone"
FLOAT = "double precision"

# table -> primary key, [(column, type, nullable)]; nullable is None if the contract does not say
CONTRACT: dict[str, tuple[list[str], list[tuple[str, str, bool | None]]]] = {
    "exam_results": (
        ["id"],
        [
            ("id", "uuid", False),
            ("session_id", "text", False),
            ("user_id", "text", True),
            ("exam_id", "integer", True),
            ("status", "text", False),
            ("result_json", "jsonb", False),
            ("score_raw", "numeric", True),
            ("score_scaled", "numeric", True),
            ("standard_error", "numeric", True),
            ("percentile", "numeric", True),
            ("created_at", TZ, False),
            ("updated_at", TZ, False),
            ("org_id", "integer", True),
        ],
    ),
    "question": (
        ["id"],
        [
            ("id", "bigint", False),
            ("content", "text", False),
            ("difficulty", "numeric", True),
            ("topic_id", "text", True),
            ("meta", "jsonb", True),
            ("created_at", TZ, False),
            ("updated_at", TZ, False),
        ],
    ),
    "session": (
        ["id"],
        [
            ("id", "text", False),
            ("classroom_id", "text", True),
            ("exam_id", "text", True),
            ("started_at", TZ, True),
            ("ended_at", TZ, True),
            ("status", "text", True),
            ("created_at", TZ, False),
            ("user_id", "text", True),
            ("org_id", "integer", True),
        ],
    ),
    "interest_goal": (
        ["user_id", "topic_id"],
        [
            ("user_id", "text", False),
            ("topic_id", "text", False),
            ("target_level", "numeric(6,3)", True),
            ("priority", "smallint", False),
        ],
    ),
    "classroom": (
        ["id"],
        [("id", "text", False), ("org_id", "text", False), ("name", "text", False), ("grade", "smallint", True)],
    ),
    "mirt_item_params": (
        ["item_id"],
        [
            ("item_id", "text", False),
            ("model", "text", True),
            ("params", "jsonb", False),
            ("version", "text", True),
            ("fitted_at", TZ, True),
        ],
    ),
    "mirt_ability": (
        ["user_id", "version"],
        [
            ("user_id", "text", False),
            ("theta", FLOAT, False),
            ("se", FLOAT, True),
            ("model", "text", True),
            ("version", "text", False),
        ],
    ),
    "mirt_fit_meta": (
        ["run_id"],
        [("run_id", "text", False), ("model_spec", "jsonb", False), ("metrics", "jsonb", False)],
    ),
    "student_topic_theta": (
        ["user_id", "topic_id"],
        [
            ("user_id", "text", False),
            ("topic_id", "text", False),
            ("theta", FLOAT, False),
            ("se", FLOAT, True),
            ("standard_error", "numeric", True),
            ("model", "text", False),
            ("version", "text", True),
            ("fitted_at", TZ, False),
            ("updated_at", TZ, False),
        ],
    ),
    "features_topic_daily": (
        ["user_id", "topic_id", "date"],
        [
            ("user_id", "text", False),
            ("topic_id", "text", False),
            ("date", "date", False),
            ("attempts", "integer", False),
            ("correct", "integer", False),
            ("avg_time_ms", "integer", True),
            ("theta_estimate", "numeric(6,3)", True),
            ("last_seen_at", TZ, True),
            ("computed_at", TZ, False),
            ("hints", "integer", False),
            ("theta_sd", "numeric(6,3)", True),
            ("rt_median", "integer", True),
            ("improvement", "numeric(6,3)", True),
            ("theta_mean", "numeric(6,3)", True),
        ],
    ),
    "growth_glmm_meta": (
        ["run_id"],
        [
            ("run_id", "text", False),
            ("model_spec", "jsonb", False),
            ("metrics", "jsonb", False),
            ("fitted_at", TZ, False),
        ],
    ),
    "growth_brms_meta": (
        ["run_id"],
        [
            ("run_id", "text", False),
            ("formula", "text", False),
            ("priors", "jsonb", True),
            ("posterior_summary", "jsonb", True),
            ("diagnostics", "jsonb", True),
            ("fitted_at", TZ, True),
        ],
    ),
    "weekly_kpi": (
        ["user_id", "week_start"],
        [
            ("user_id", "text", False),
            ("week_start", "date", False),
            ("kpis", "jsonb", False),
            ("created_at", TZ, False),
            ("updated_at", TZ, False),
        ],
    ),
    # Sections 3.9 and 10: the superset of both shapes, keyed by the text run_id.
    "survival_fit_meta": (
        ["run_id"],
        [
            ("run_id", "text", False),
            ("formula", "text", False),
            ("family", "text", False),
            ("event_threshold_days", "integer", False),
            ("coefficients", "jsonb", False),
            ("hazard_ratios", "jsonb", False),
            ("concordance", FLOAT, None),
            ("n", "integer", None),
            ("survival_curve", "jsonb", None),
            ("run_at", TZ, None),
            ("fitted_at", TZ, None),
        ],
    ),
    "survival_risk": (
        ["user_id"],
        [
            ("user_id", "text", False),
            ("risk_score", FLOAT, False),
            ("hazard_ratio", FLOAT, None),
            ("rank_percentile", FLOAT, None),
            ("updated_at", TZ, None),
            ("run_id", "text", True),
        ],
    ),
    "prophet_fit_meta": (
        ["run_id"],
        [
            ("run_id", "text", False),
            ("metric", "text", False),
            ("changepoints", "jsonb", None),
            ("forecast", "jsonb", None),
            ("fit_meta", "jsonb", None),
            ("fitted_at", TZ, None),
            ("user_id", "text", True),
            ("lookback_weeks", "integer", None),
            ("horizon_weeks", "integer", None),
            ("anomaly_threshold", FLOAT, None),
        ],
    ),
    "prophet_anomalies": (
        ["run_id", "week_start", "metric"],
        [
            ("run_id", "text", False),
            ("week_start", "date", False),
            ("metric", "text", False),
            ("value", FLOAT, True),
            ("expected", FLOAT, True),
            ("anomaly_score", FLOAT, True),
            ("detected_at", TZ, None),
        ],
    ),
    "segment_meta": (
        ["run_id"],
        [
            ("run_id", "text", False),
            ("method", "text", None),
            ("n_clusters", "integer", None),
            ("centers", "jsonb", None),
            ("metrics", "jsonb", None),
            ("fitted_at", TZ, None),
        ],
    ),
    "user_segment": (
        ["user_id"],
        [
            ("user_id", "text", False),
            ("segment_label", "text", None),
            ("features_snapshot", "jsonb", None),
            ("assigned_at", TZ, None),
        ],
    ),
    # Section 3.14, the newest public shape: ids are bigint, and so is item_id.
    "drift_windows": (
        ["id"],
        [
            ("id", "bigint", False),
            ("start_at", TZ, None),
            ("end_at", TZ, None),
            ("population_tags", "jsonb", None),
            ("created_at", TZ, None),
        ],
    ),
    "item_calibration": (
        ["id"],
        [
            ("id", "bigint", False),
            ("item_id", "bigint", None),
            ("window_id", "bigint", None),
            # NOT NULL in the contract. Ours is nullable but never NULL (see the test of the comparison).
            ("a_hat", FLOAT, None),
            ("b_hat", FLOAT, None),
            ("c_hat", FLOAT, None),
            *((f"{parameter}_{limit}", FLOAT, None) for parameter in "abc" for limit in ("l95", "u95")),
            ("n", "integer", None),
            ("dif", "jsonb", None),
            ("info", "jsonb", None),
            ("run_id", "text", None),
            ("created_at", TZ, None),
        ],
    ),
    "drift_alerts": (
        ["id"],
        [
            ("id", "bigint", False),
            ("item_id", "bigint", None),
            ("window_id", "bigint", None),
            ("metric", "text", None),
            ("value", FLOAT, None),
            ("threshold", FLOAT, None),
            ("severity", "text", None),
            ("run_id", "text", None),
            ("resolved_at", TZ, None),
            ("created_at", TZ, None),
        ],
    ),
    "report_artifacts": (
        ["id"],
        [
            ("id", "bigint", False),
            ("user_id", "text", False),
            ("week_start", "date", False),
            ("format", "text", False),
            ("url", "text", False),
            ("generated_at", TZ, False),
        ],
    ),
}

UNIQUE = {
    "exam_results": ["session_id"],
    "classroom": ["org_id", "name"],
    "report_artifacts": ["user_id", "week_start", "format"],
}


def columns_in(engine: Engine, name: str) -> list[tuple[str, str, bool]]:
    rows = rows_of(
        engine,
        "SELECT attname, format_type(atttypid, atttypmod) AS type, NOT attnotnull AS nullable "
        "FROM pg_attribute WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        name=f'"{name}"',
    )
    return [(row["attname"], row["type"], row["nullable"]) for row in rows]


def test_the_view_has_the_contracts_columns_first_by_name_type_and_order(shared_database: Engine) -> None:
    assert [(name, type_) for name, type_, _ in columns_in(shared_database, "attempt")][:11] == ATTEMPT


def test_the_view_is_declared_as_it_stands_in_the_database(shared_database: Engine) -> None:
    declared = view_metadata.tables["attempt"]
    names = [name for name, _, _ in columns_in(shared_database, "attempt")]
    assert [column.name for column in declared.columns] == names


@pytest.mark.parametrize("name", CONTRACT)
def test_a_contract_table_has_the_contracts_columns_and_key(shared_database: Engine, name: str) -> None:
    key, expected = CONTRACT[name]
    assert inspect(shared_database).get_pk_constraint(name)["constrained_columns"] == key
    found = {column: (type_, nullable) for column, type_, nullable in columns_in(shared_database, name)}
    unsaid = {column for column, _, nullable in expected if nullable is None}
    assert {
        column: (found[column][0], None) if column in unsaid and column in found else found.get(column)
        for column, _, _ in expected
    } == {column: (type_, nullable) for column, type_, nullable in expected}


@pytest.mark.parametrize("name", UNIQUE)
def test_unique_keys_of_the_contract(shared_database: Engine, name: str) -> None:
    constraints = inspect(shared_database).get_unique_constraints(name)
    assert UNIQUE[name] in [constraint["column_names"] for constraint in constraints]


def test_report_artifacts_unique_key_has_the_contracts_name(shared_database: Engine) -> None:
    names = [c["name"] for c in inspect(shared_database).get_unique_constraints("report_artifacts")]
    assert names == ["uq_report_artifacts_user_week_format"]


def test_defaults_that_legacy_writers_rely_on(shared_database: Engine) -> None:
    with shared_database.begin() as connection:
        connection.exec_driver_sql("INSERT INTO exam_results (session_id, result_json) VALUES ('s', '{}')")
        connection.exec_driver_sql("INSERT INTO question (id, content) VALUES (1, 'q')")
        connection.exec_driver_sql("INSERT INTO mirt_item_params (item_id, params) VALUES ('1', '{}')")
        connection.exec_driver_sql("INSERT INTO mirt_ability (user_id, theta, version) VALUES ('u', 0, 'v1')")
        connection.exec_driver_sql(
            "INSERT INTO features_topic_daily (user_id, topic_id, date) VALUES ('u', 't', '2026-01-01')"
        )
        connection.exec_driver_sql("INSERT INTO interest_goal (user_id, topic_id) VALUES ('u', 't')")
        connection.exec_driver_sql(
            "INSERT INTO report_artifacts (user_id, week_start, url) VALUES ('u', '2026-01-05', 'x')"
        )
    (exam,) = rows_of(
        shared_database, "SELECT id IS NOT NULL AS has_id, status, created_at <= now() AS stored FROM exam_results"
    )
    assert exam == {"has_id": True, "status": "ready", "stored": True}
    assert rows_of(shared_database, "SELECT meta FROM question") == [{"meta": {}}]
    assert rows_of(shared_database, "SELECT version, fitted_at IS NOT NULL AS at FROM mirt_item_params") == [
        {"version": "v1", "at": True}
    ]
    assert rows_of(shared_database, "SELECT attempts, correct, hints FROM features_topic_daily") == [
        {"attempts": 0, "correct": 0, "hints": 0}
    ]
    assert rows_of(shared_database, "SELECT priority FROM interest_goal") == [{"priority": 0}]
    assert rows_of(shared_database, "SELECT format FROM report_artifacts") == [{"format": "html"}]


def declared_tables() -> list[Any]:
    return [*metadata.tables.values(), *view_metadata.tables.values()]


@pytest.mark.parametrize("table", declared_tables(), ids=lambda table: table.name)
def test_every_table_and_column_says_what_it_means(table: Any) -> None:
    assert table.comment
    for column in table.columns:
        assert column.comment, f"{table.name}.{column.name} has no comment"
        unit = contract_of(column).unit
        assert unit is None or column.comment.endswith(f"[{unit}]")


def test_comments_reach_the_database(shared_database: Engine) -> None:
    inspector = inspect(shared_database)
    for table in metadata.tables.values():
        assert inspector.get_table_comment(table.name)["text"] == table.comment
        comments = {column["name"]: column["comment"] for column in inspector.get_columns(table.name)}
        assert comments == {column.name: column.comment for column in table.columns}


@pytest.mark.parametrize("table", declared_tables(), ids=lambda table: table.name)
def test_columns_come_from_columns_that_exist(table: Any) -> None:
    for column in table.columns:
        for origin in contract_of(column).derived_from:
            origin_table, origin_column = origin.split(".")
            assert origin_column in table_named(origin_table).columns, f"{table.name}.{column.name} <- {origin}"


@pytest.mark.parametrize("table", declared_tables(), ids=lambda table: table.name)
def test_columns_with_ids_of_students_are_marked(table: Any) -> None:
    for column in table.columns:
        if column.name in ("user_id", "student_id"):
            assert contract_of(column).pii == "pseudonymous"


def test_the_six_kpis_are_required_and_each_owned_once() -> None:
    assert REQUIRED_KEYS == ("I_t", "E_t", "R_t", "A_t", "P", "S")
    names = [key.name for keys in KPI_KEYS.values() for key in keys]
    assert len(names) == len(set(names))
    assert set(KPI_KEYS) == {*REQUIRED_KEYS, "growth_slope", "I_t_expected"}
    ranges = {key.name: (key.minimum, key.maximum) for keys in KPI_KEYS.values() for key in keys}
    assert ranges["I_t"] == (-1, 1)
    assert all(ranges[name] == (0, 1) for name in ("E_t", "R_t", "A_t", "P", "S"))
