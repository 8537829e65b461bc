"""Publishing on a real server: counts, repetition, violations, partitions, races, kills, hostile text."""

import datetime as dt
import math
import threading
from collections.abc import Iterator
from typing import Any

import pandas as pd
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from seedtest_analytics.database.address import DatabaseError
from seedtest_analytics.database.publish import (
    Published,
    copy_frame,
    create_staging,
    key_columns,
    publish,
    staged_from_frame,
)
from seedtest_analytics.database.quarantine import ContractViolation
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.tables import metadata
from seedtest_analytics.tables.features import features_topic_daily as features
from seedtest_analytics.tables.psychometrics import mirt_item_params_history as items
from seedtest_analytics.tables.reports import report_artifacts
from tests._database import rows_of, snapshot

DAY = dt.date(2026, 1, 5)
ON_DAY = "t.date = :day"
TIMES = pd.Timestamp("2026-01-05 12:00", tz="UTC")


@pytest.fixture
def postgres(database: Engine) -> Iterator[PostgresResource]:
    resource = PostgresResource.having(url=database.url.render_as_string(hide_password=False))
    yield resource
    resource.teardown_after_execution(None)  # type: ignore[arg-type]


def feature_row(user_id: str = "kim", **changes: Any) -> dict[str, Any]:
    row = {
        "user_id": user_id,
        "topic_id": "algebra",
        "date": DAY,
        "attempts": 3,
        "correct": 2,
        "avg_time_ms": 900,
        "theta_estimate": 0.25,
        "last_seen_at": TIMES,
        "computed_at": TIMES,
        "hints": 0,
        "theta_sd": None,
        "rt_median": 800,
        "improvement": None,
        "theta_mean": 0.25,
    }
    return {**row, **changes}


def item_row(item_id: str = "1", **changes: Any) -> dict[str, Any]:
    row = {
        "run_id": "r1",
        "item_id": item_id,
        "model": "2PL",
        "a": 1.2,
        "b": -0.3,
        "c": 0.0,
        "se_a": 0.1,
        "se_b": 0.1,
        "se_c": None,
        "n_responses": 40,
        "p_correct": 0.6,
        "is_anchor": False,
        "flag": None,
        "week_start": DAY,
    }
    return {**row, **changes}


def publish_rows(
    postgres: PostgresResource,
    rows: list[dict[str, Any]],
    table: Any = features,
    *,
    partition: str = ON_DAY,
    is_dry_run: bool = False,
    **options: Any,
) -> Published:
    frame = pd.DataFrame(rows)
    with postgres.transaction("test", is_dry_run=is_dry_run) as connection:
        staged_from_frame(connection, "staged", table=table, frame=frame)
        return publish(
            connection,
            table,
            staged="staged",
            partition=partition,
            parameters={"day": DAY} if ":day" in partition else {},
            **options,
        )


def violations(
    postgres: PostgresResource, rows: list[dict[str, Any]], table: Any = features
) -> dict[str, tuple[str, int]]:
    with pytest.raises(ContractViolation) as error:
        publish_rows(postgres, rows, table, partition="false")
    assert table.name in str(error.value)
    assert "nothing was written" in str(error.value)
    return {v.column: (v.rule, v.rows) for v in error.value.violations}


def test_first_publication_inserts_and_the_second_changes_no_row(postgres: PostgresResource) -> None:
    rows = [feature_row("kim"), feature_row("lee"), feature_row("park", attempts=9)]
    assert publish_rows(postgres, rows) == Published("features_topic_daily", 3, inserted=3, updated=0, deleted=0)
    before = snapshot(postgres.engine, "features_topic_daily")
    later = [{**row, "computed_at": TIMES + pd.Timedelta(days=1)} for row in rows]
    again = publish_rows(postgres, later)
    assert (again.inserted, again.updated, again.deleted, again.unchanged) == (0, 0, 0, 3)
    assert snapshot(postgres.engine, "features_topic_daily") == before


def test_a_changed_row_is_updated_with_its_time_of_computation(postgres: PostgresResource) -> None:
    publish_rows(postgres, [feature_row("kim"), feature_row("lee")])
    later = TIMES + pd.Timedelta(days=1)
    result = publish_rows(
        postgres, [feature_row("kim", correct=1, computed_at=later), feature_row("lee", computed_at=later)]
    )
    assert (result.inserted, result.updated, result.deleted, result.unchanged) == (0, 1, 0, 1)
    rows = rows_of(postgres.engine, "SELECT user_id, correct, computed_at FROM features_topic_daily ORDER BY user_id")
    assert rows == [
        {"user_id": "kim", "correct": 1, "computed_at": later.to_pydatetime()},
        {"user_id": "lee", "correct": 2, "computed_at": TIMES.to_pydatetime()},
    ]


@pytest.mark.parametrize("value", [None, 0.5])
def test_null_and_a_number_are_told_apart(postgres: PostgresResource, value: float | None) -> None:
    publish_rows(postgres, [feature_row(improvement=value)])
    assert publish_rows(postgres, [feature_row(improvement=value)]).updated == 0
    assert publish_rows(postgres, [feature_row(improvement=0.5 if value is None else None)]).updated == 1


def test_a_partition_is_replaced_whole_and_others_stay(postgres: PostgresResource) -> None:
    tomorrow = DAY + dt.timedelta(days=1)
    publish_rows(
        postgres, [feature_row("kim"), feature_row("lee"), feature_row("kim", date=tomorrow)], partition="false"
    )
    result = publish_rows(postgres, [feature_row("lee"), feature_row("park")])
    assert (result.inserted, result.updated, result.deleted, result.unchanged) == (1, 0, 1, 1)
    keys = rows_of(postgres.engine, "SELECT user_id, date FROM features_topic_daily ORDER BY date, user_id")
    assert [(row["user_id"], row["date"]) for row in keys] == [("lee", DAY), ("park", DAY), ("kim", tomorrow)]


def test_an_empty_partition_leaves_no_row(postgres: PostgresResource) -> None:
    publish_rows(postgres, [feature_row("kim")])
    with postgres.transaction("test") as connection:
        staged_from_frame(connection, "staged", table=features, frame=pd.DataFrame([feature_row()]).iloc[:0])
        result = publish(connection, features, staged="staged", partition=ON_DAY, parameters={"day": DAY})
    assert result == Published("features_topic_daily", 0, inserted=0, updated=0, deleted=1)


def test_update_only_if_keeps_newer_rows(postgres: PostgresResource) -> None:
    publish_rows(postgres, [feature_row("kim", attempts=10)])
    older = publish_rows(
        postgres, [feature_row("kim", attempts=5)], partition="false", update_only_if="excluded.attempts > t.attempts"
    )
    assert older.updated == 0
    assert rows_of(postgres.engine, "SELECT attempts FROM features_topic_daily") == [{"attempts": 10}]


def test_a_counter_is_no_key_and_its_row_keeps_its_number(postgres: PostgresResource) -> None:
    assert key_columns(report_artifacts) == ("user_id", "week_start", "format")
    row = {"user_id": "kim", "week_start": DAY, "format": "html", "url": "a", "sha256": "1", "size_bytes": 5}
    publish_rows(postgres, [row], report_artifacts, partition="false")
    (first,) = rows_of(postgres.engine, "SELECT id FROM report_artifacts")
    assert publish_rows(postgres, [{**row, "url": "b"}], report_artifacts, partition="false").updated == 1
    assert rows_of(postgres.engine, "SELECT id, url FROM report_artifacts") == [{"id": first["id"], "url": "b"}]


@pytest.mark.parametrize("table", metadata.tables.values(), ids=lambda table: table.name)
def test_every_table_that_is_published_has_a_key(table: Any) -> None:
    if table.name not in ("attempt_touched_day", "row_quarantine"):  # appended to, never published
        assert key_columns(table)


BROKEN = [
    (features, feature_row, {"attempts": -1}, "attempts", "must be at least 0"),
    (features, feature_row, {"improvement": 1.5}, "improvement", "must be at most 1"),
    (features, feature_row, {"improvement": -1.001}, "improvement", "must be at least -1"),
    (features, feature_row, {"topic_id": None}, "topic_id", "must not be NULL"),
    (items, item_row, {"week_start": None}, "week_start", "must not be NULL"),
    (items, item_row, {"is_anchor": None}, "is_anchor", "must not be NULL"),
    (items, item_row, {"model": "4PL"}, "model", "must be one of 'Rasch', '2PL', '3PL'"),
    (items, item_row, {"a": math.inf}, "a", "must be finite"),
    (items, item_row, {"b": -math.inf}, "b", "must be finite"),
    (items, item_row, {"c": 1.01}, "c", "must be at most 1"),
]


@pytest.mark.parametrize(("table", "make", "change", "column", "rule"), BROKEN)
def test_a_broken_rule_is_named_with_its_rows_and_nothing_is_written(
    postgres: PostgresResource, table: Any, make: Any, change: dict[str, Any], column: str, rule: str
) -> None:
    key = {"user_id": "old"} if table is features else {"item_id": "old"}
    publish_rows(postgres, [make(**key)], table, partition="false")
    before = snapshot(postgres.engine, table.name)
    names = [{"user_id": f"u{i}"} if table is features else {"item_id": f"i{i}"} for i in range(4)]
    rows = [make(**names[0]), make(**names[1]), make(**{**names[2], **change}), make(**{**names[3], **change})]
    assert violations(postgres, rows, table) == {column: (rule, 2)}
    assert snapshot(postgres.engine, table.name) == before


def test_every_broken_rule_is_in_one_message(postgres: PostgresResource) -> None:
    found = violations(postgres, [item_row(a=math.inf, model="4PL", n_responses=-1, p_correct=2.0)], items)
    assert set(found) == {"a", "model", "n_responses", "p_correct"}


def quarantine(postgres: PostgresResource) -> list[tuple[str, str, Any]]:
    rows = rows_of(postgres.engine, "SELECT asset, reason, element FROM row_quarantine ORDER BY id")
    return [(row["asset"], row["reason"], row["element"]) for row in rows]


def students_of(postgres: PostgresResource) -> list[str]:
    return [r["user_id"] for r in rows_of(postgres.engine, "SELECT user_id FROM features_topic_daily ORDER BY user_id")]


def test_one_bad_row_goes_to_quarantine_and_the_others_are_published(postgres: PostgresResource) -> None:
    result = publish_rows(
        postgres, [feature_row("kim"), feature_row("lee", improvement=1.5, attempts=-1), feature_row("park")]
    )
    assert (result.staged, result.inserted, result.quarantined) == (2, 2, 1)
    assert result.broken_rules == "attempts: must be at least 0 (1 row); improvement: must be at most 1 (1 row)"
    assert students_of(postgres) == ["kim", "park"]
    ((asset, reason, element),) = quarantine(postgres)
    assert (asset, reason) == ("features_topic_daily", "attempts: must be at least 0; improvement: must be at most 1")
    assert (element["user_id"], element["improvement"]) == ("lee", 1.5)


def test_a_corrected_row_leaves_the_quarantine_and_rows_of_another_day_stay_there(postgres: PostgresResource) -> None:
    tomorrow = DAY + dt.timedelta(days=1)
    publish_rows(postgres, [feature_row("kim"), feature_row("lee", attempts=-1)])
    publish_rows(
        postgres, [feature_row("kim", date=tomorrow), feature_row("lee", date=tomorrow, hints=-1)], partition="false"
    )
    publish_rows(postgres, [feature_row("kim"), feature_row("lee")])
    assert [reason for _, reason, _ in quarantine(postgres)] == ["hints: must be at least 0"]


def test_a_bad_row_takes_the_place_of_its_last_good_one(postgres: PostgresResource) -> None:
    publish_rows(postgres, [feature_row("kim"), feature_row("lee")])
    assert publish_rows(postgres, [feature_row("kim"), feature_row("lee", attempts=-1)]).deleted == 1
    assert students_of(postgres) == ["kim"]


def test_a_decimal_that_its_column_cannot_hold_leaves_the_quarantine_too(postgres: PostgresResource) -> None:
    publish_rows(postgres, [feature_row("kim"), feature_row("lee", theta_estimate=math.inf)])
    ((_, reason, element),) = quarantine(postgres)
    assert (reason, element["theta_estimate"]) == ("theta_estimate: must be finite", "Infinity")
    publish_rows(postgres, [feature_row("kim"), feature_row("lee")])
    assert quarantine(postgres) == []


@pytest.mark.parametrize(("bad", "good"), [(1, 0), (2, 37), (3, 40)])
def test_many_bad_rows_are_a_fault_of_the_computation(postgres: PostgresResource, bad: int, good: int) -> None:
    rows = [feature_row(f"bad{n}", attempts=-1) for n in range(bad)] + [feature_row(f"good{n}") for n in range(good)]
    assert violations(postgres, rows) == {"attempts": ("must be at least 0", bad)}
    assert (students_of(postgres), quarantine(postgres)) == ([], [])


def test_a_bad_row_saves_no_table_whose_keys_occur_twice(postgres: PostgresResource) -> None:
    rows = [feature_row("kim"), feature_row("kim"), feature_row("lee", attempts=-1)]
    assert set(violations(postgres, rows)) == {"user_id+topic_id+date", "attempts"}


def publish_nan(postgres: PostgresResource, table: Any, column: str, type_: str) -> None:
    keys = {c.name: c.type.compile() for c in table.primary_key.columns}
    values = ", ".join("'2026-01-05'" if key_type == "DATE" else "'x'" for key_type in keys.values())
    with postgres.transaction("test") as connection:
        create_staging(connection, "staged", columns={**keys, column: type_})
        connection.execute(text(f"INSERT INTO staged VALUES ({values}, 'NaN')"))
        publish(connection, table, staged="staged", partition="false")


@pytest.mark.parametrize(
    ("table", "column", "type_"), [(items, "a", "float8"), (features, "theta_estimate", "numeric(6, 3)")]
)
def test_nan_of_the_database_is_refused(postgres: PostgresResource, table: Any, column: str, type_: str) -> None:
    """NaN in a frame is a missing value and becomes NULL, but SQL can compute NaN."""
    with pytest.raises(ContractViolation, match="must be finite"):
        publish_nan(postgres, table, column, type_)


def test_a_missing_number_of_a_frame_is_null(postgres: PostgresResource) -> None:
    publish_rows(postgres, [item_row(a=math.nan), item_row("2")], items, partition="false")
    assert rows_of(postgres.engine, "SELECT a FROM mirt_item_params_history ORDER BY item_id") == [
        {"a": None},
        {"a": 1.2},
    ]


def test_an_explicit_null_is_refused_where_the_column_has_a_default(postgres: PostgresResource) -> None:
    assert violations(postgres, [feature_row(hints=None)]) == {"hints": ("must not be NULL", 1)}


def test_a_required_column_that_was_not_staged_is_named(postgres: PostgresResource) -> None:
    row = item_row()
    del row["n_responses"]
    assert violations(postgres, [row], items) == {"n_responses": ("is required and was not given", 1)}


def test_a_key_twice_is_refused(postgres: PostgresResource) -> None:
    rows = [feature_row("kim"), feature_row("kim", attempts=4), feature_row("lee")]
    assert violations(postgres, rows) == {"user_id+topic_id+date": ("the key occurs more than once", 1)}
    assert rows_of(postgres.engine, "SELECT * FROM features_topic_daily") == []


def test_a_dry_run_counts_and_writes_nothing(postgres: PostgresResource) -> None:
    publish_rows(postgres, [feature_row("kim"), feature_row("lee")])
    before = snapshot(postgres.engine, "features_topic_daily")
    result = publish_rows(postgres, [feature_row("kim", correct=0), feature_row("park")], is_dry_run=True)
    assert (result.inserted, result.updated, result.deleted) == (1, 1, 1)
    assert snapshot(postgres.engine, "features_topic_daily") == before


def test_two_writers_of_one_partition_wait_for_each_other(postgres: PostgresResource) -> None:
    first_holds, second_done = threading.Event(), threading.Event()
    order: list[str] = []

    def second() -> None:
        first_holds.wait(30)
        publish_rows(postgres, [feature_row("kim", attempts=2)])
        order.append("second")
        second_done.set()

    thread = threading.Thread(target=second)
    thread.start()
    with postgres.transaction("test") as connection:
        staged_from_frame(connection, "staged", table=features, frame=pd.DataFrame([feature_row("lee")]))
        publish(connection, features, staged="staged", partition=ON_DAY, parameters={"day": DAY})
        first_holds.set()
        while not waiting_for_lock(postgres.engine):
            assert not second_done.is_set(), "the second writer did not wait"
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]
    rows = rows_of(postgres.engine, "SELECT user_id, attempts FROM features_topic_daily")
    assert rows == [{"user_id": "kim", "attempts": 2}]


def waiting_for_lock(engine: Engine) -> bool:
    query = (
        "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return bool(rows_of(engine, query)[0]["n"])


def test_writers_of_different_partitions_do_not_wait(postgres: PostgresResource) -> None:
    with postgres.transaction("weekly_kpi:2026-01-05"), postgres.transaction("weekly_kpi:2026-01-12") as other:
        assert other.execute(text("SELECT 1")).scalar_one() == 1


def publish_until_killed(postgres: PostgresResource) -> None:
    with postgres.transaction("test") as connection:
        staged_from_frame(connection, "staged", table=features, frame=pd.DataFrame([feature_row("park")]))
        publish(connection, features, staged="staged", partition=ON_DAY, parameters={"day": DAY})
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with postgres.engine.connect() as killer:
            killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        connection.execute(text("SELECT 1"))


def test_killed_in_the_middle_the_old_rows_stay_and_the_next_run_goes_through(postgres: PostgresResource) -> None:
    publish_rows(postgres, [feature_row("kim"), feature_row("lee")])
    before = snapshot(postgres.engine, "features_topic_daily")
    with pytest.raises(DatabaseError, match="the server ended the session"):
        publish_until_killed(postgres)
    assert snapshot(postgres.engine, "features_topic_daily") == before
    assert publish_rows(postgres, [feature_row("park")]).deleted == 2


HOSTILE = [
    "",
    " ",
    "NULL",
    "null",
    "\\N",
    "\\.",
    "a\n\\.\nb",
    "\t",
    "a\tb",
    "line\nbreak",
    "cr\r\nlf",
    '"',
    '""',
    "it's",
    "'; DROP TABLE weekly_kpi; --",
    ",",
    "a,b",
    "\\",
    "\\\\",
    "%s %(x)s %%",
    ":name",
    "{}",
    "${x}",
    "<script>",
    "한글 이름",
    "Zoë",
    "e\u0301",
    "👩🏽‍🎓",
    "\u202eright to left",
    "\ufeff",
    "\u00a0",
    "0",
    "-0",
    "1e5",
    "true",
    "nan",
    "NaN",
    "inf",
]


def test_hostile_text_arrives_as_it_was(postgres: PostgresResource) -> None:
    rows = [item_row(f"{number}:{value}", flag=value) for number, value in enumerate([*HOSTILE, None])]
    publish_rows(postgres, rows, items, partition="false")
    stored = {row["item_id"]: row["flag"] for row in rows_of(postgres.engine, "SELECT * FROM mirt_item_params_history")}
    assert stored == {row["item_id"]: row["flag"] for row in rows}
    assert publish_rows(postgres, rows, items, partition="false").unchanged == len(rows)


# PostgreSQL stores neither NUL nor half a surrogate pair.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.one_of(st.none(), TEXT), min_size=1, max_size=20))
def test_any_text_arrives_as_it_was(shared_database: Engine, values: list[str | None]) -> None:
    with shared_database.connect() as connection:
        create_staging(connection, "staged_text", columns={"ordinal": "integer", "value": "text"})
        copy_frame(
            connection,
            "staged_text",
            frame=pd.DataFrame({"ordinal": range(len(values)), "value": values}, dtype=object),
        )
        stored = connection.execute(text("SELECT value FROM staged_text ORDER BY ordinal")).scalars().all()
        connection.rollback()
    assert stored == values


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_any_float_arrives_to_the_last_bit(shared_database: Engine, values: list[float]) -> None:
    with shared_database.connect() as connection:
        create_staging(connection, "staged_float", columns={"ordinal": "integer", "value": "float8"})
        copy_frame(connection, "staged_float", frame=pd.DataFrame({"ordinal": range(len(values)), "value": values}))
        stored = connection.execute(text("SELECT value FROM staged_float ORDER BY ordinal")).scalars().all()
        connection.rollback()
    assert [value.hex() for value in stored] == [value.hex() for value in values]


def test_many_blocks_arrive_whole(shared_database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seedtest_analytics.database.publish._COPY_BLOCK_ROWS", 7)
    frame = pd.DataFrame({"number": range(50), "name": [None if n % 3 else f"n{n}" for n in range(50)]})
    with shared_database.connect() as connection:
        create_staging(connection, "staged_many", columns={"number": "integer", "name": "text"})
        copy_frame(connection, "staged_many", frame=frame)
        counts = connection.execute(text("SELECT count(*), count(DISTINCT number), count(name) FROM staged_many")).one()
        connection.rollback()
    assert tuple(counts) == (50, 50, 17)


def test_a_staged_table_ends_with_its_transaction(postgres: PostgresResource) -> None:
    publish_rows(postgres, [feature_row()])
    publish_rows(postgres, [feature_row()])
    with psycopg.connect(postgres.engine.url.set(drivername="postgresql").render_as_string(False)) as connection:
        assert connection.execute("SELECT to_regclass('pg_temp.staged')").fetchone() == (None,)
