"""Attempts from the tables of another program: shown and asked first, then only what is new or changed."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import typer
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from seedtest_analytics.build import build_definitions
from seedtest_analytics.cli.connect import connect_command
from seedtest_analytics.ingest import LoadError
from seedtest_analytics.ingest.connect import ConnectMapping, extract_rows, read_mapping
from seedtest_analytics.ingest.item_numbers import number_of
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.schedules.connections import connection_sensor
from tests._database import execute, rows_of
from tests.ingest.test_formats import stored

app = typer.Typer()
app.command()(connect_command)

PAGE = (Path(__file__).parents[2] / "docs" / "connect.md").read_text(encoding="utf-8")
MAPPING = PAGE.partition("```yaml\n")[2].partition("```")[0]
"""The example of the documentation."""
EXERCISES = [str(uuid.UUID(int=n)) for n in range(1, 4)]


@pytest.fixture
def school(database: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engine:
    execute(database, "DROP SCHEMA IF EXISTS school CASCADE")
    execute(database, "CREATE SCHEMA school")
    execute(database, "TRUNCATE connect_cursor")
    execute(
        database,
        "CREATE TABLE school.answers (pupil text, exercise uuid, choice text, is_right boolean, answered_at timestamp, "
        "chapter integer, took numeric, kind text DEFAULT 'test', changed_at timestamptz DEFAULT now())",
    )
    answer(database, 0, choice="a", is_right=True)
    answer(database, 1, choice=None, is_right=False)
    answer(database, 2, choice="b", is_right=False, kind="preview")
    monkeypatch.setenv("DATABASE_URL", database.url.render_as_string(hide_password=False))
    monkeypatch.setenv("SCHOOL_DATABASE_URL", database.url.render_as_string(hide_password=False))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DRY_RUN", raising=False)
    (tmp_path / "school.yaml").write_text(MAPPING)
    return database


def answer(engine: Engine, exercise: int, **values: Any) -> None:
    row = {"choice": "a", "is_right": True, "kind": "test", "at": f"2026-03-02 18:3{exercise}:00", **values}
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO school.answers (pupil, exercise, choice, is_right, answered_at, chapter, took, kind) "
                "VALUES ('kim', CAST(:exercise AS uuid), :choice, :is_right, CAST(:at AS timestamp), 1, 12.5, :kind)"
            ),
            {**row, "exercise": EXERCISES[exercise]},
        )


@pytest.fixture
def connect(school: Engine, tmp_path: Path) -> Callable[..., Any]:
    return lambda *arguments: CliRunner().invoke(app, [str(tmp_path / "school.yaml"), *arguments])


FIRST = [
    ("kim", EXERCISES[0], True, "2026-03-02 09:30:00", 12.5, None, ["algebra"]),
    ("kim", EXERCISES[1], None, "2026-03-02 09:31:00", 12.5, None, ["algebra"]),
]


def test_the_first_read_shows_rows_and_asks(connect: Callable[..., Any], school: Engine) -> None:
    result = connect()
    assert result.exit_code == 1
    assert "--yes" in str(result.exception)
    for part in (
        "First rows as they will be stored",
        "12.5 s",
        "2 read, 2 attempts, 0 rejected",
        "nothing was written",
    ):
        assert part in result.output
    assert stored(school) == []
    assert rows_of(school, "SELECT FROM connect_cursor") == []
    assert connect("--yes").exit_code == 0
    assert stored(school) == FIRST


def test_a_later_read_takes_what_is_new_and_corrects_what_changed(connect: Callable[..., Any], school: Engine) -> None:
    assert connect("--yes").exit_code == 0
    versions = "SELECT id, xmin::text AS version FROM exam_results"
    before = rows_of(school, versions)
    assert connect().exit_code == 0
    assert rows_of(school, versions) == before
    answer(school, 2, choice="c", is_right=False)
    execute(school, "UPDATE school.answers SET choice = 'd', is_right = true, changed_at = now() WHERE choice IS NULL")
    assert connect().exit_code == 0
    later = ("kim", EXERCISES[2], False, "2026-03-02 09:32:00", 12.5, None, ["algebra"])
    assert stored(school) == [FIRST[0], (*FIRST[1][:2], True, *FIRST[1][3:]), later]
    assert rows_of(school, "SELECT name FROM connect_cursor") == [{"name": "school"}]
    numbers = rows_of(school, "SELECT source_id, item_id FROM item_number ORDER BY 1")
    assert numbers == [{"source_id": e, "item_id": number_of(e)} for e in EXERCISES]


def test_one_text_id_among_many_numbers_is_an_item_too(connect: Callable[..., Any], school: Engine) -> None:
    execute(school, "ALTER TABLE school.answers ALTER COLUMN exercise TYPE text")
    execute(
        school,
        "INSERT INTO school.answers (pupil, exercise, choice, is_right, answered_at, chapter, took) SELECT 'lee', "
        "CASE n WHEN 7 THEN 'A7' ELSE n::text END, 'a', true, TIMESTAMP '2026-03-03 18:00' + n * interval '1 minute', 1, 9 "
        "FROM generate_series(1, 40) AS n",
    )
    execute(school, "DELETE FROM school.answers WHERE pupil = 'kim'")
    assert connect("--yes").exit_code == 0
    assert len(stored(school)) == 40
    assert rows_of(school, "SELECT source_id, item_id FROM item_number") == [
        {"source_id": "A7", "item_id": number_of("A7")}
    ]
    assert rows_of(school, "SELECT count(*) AS n FROM load_rejects") == [{"n": 0}]


def test_only_rows_since_the_cursor_are_read(connect: Callable[..., Any], school: Engine, tmp_path: Path) -> None:
    assert connect("--yes").exit_code == 0
    execute(school, "UPDATE school.answers SET changed_at = now() - interval '1 day'")
    assert "no new rows" in connect().output
    assert "2 read" in connect("--all", "--yes").output


def test_a_wrong_mapping_names_each_fault(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("cursor: id\ncolumns: {user_id: a, colour: b}\ntimezone: Mars\n")
    with pytest.raises(LoadError) as error:
        read_mapping(path)
    for part in ("colour", "timezone", "unknown time zone"):
        assert part in str(error.value)
    path.write_text("cursor: id\ncolumns: {user_id: a, item_id: b, correct: c, completed_at: d}\n")
    with pytest.raises(LoadError, match="a table or a query"):
        read_mapping(path)


def test_the_source_is_only_read_and_its_refusal_is_told(
    connect: Callable[..., Any], school: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "school.yaml"
    path.write_text(MAPPING.replace("pupil", "nobody"))
    assert "nobody" in str(connect("--yes").exception)
    deleting = "query: WITH gone AS (DELETE FROM school.answers RETURNING *) SELECT * FROM gone"
    path.write_text(MAPPING.replace("table: school.answers  ", f"{deleting} "))
    assert isinstance(connect("--yes").exception, LoadError)
    assert rows_of(school, "SELECT count(*) AS n FROM school.answers") == [{"n": 3}]


def test_a_query_with_colons_and_a_counter_as_cursor(
    connect: Callable[..., Any], school: Engine, tmp_path: Path
) -> None:
    execute(school, "ALTER TABLE school.answers ADD COLUMN nr bigserial")
    query = "query: \"SELECT *, took::float8 AS t, ':x' AS mark FROM school.answers WHERE kind <> 'a:b'\""
    (tmp_path / "school.yaml").write_text(
        MAPPING.replace("table: school.answers  ", f"{query} ").replace("cursor: changed_at", "cursor: nr")
    )
    assert connect("--yes").exit_code == 0
    assert stored(school) == FIRST
    answer(school, 2)
    assert "2 read" in connect().output


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
@pytest.mark.parametrize("mark", ["9999-12-31", "infinity"])
def test_a_cursor_in_the_future_does_not_hide_the_rows_after_it(
    connect: Callable[..., Any], school: Engine, kind: str, mark: str
) -> None:
    execute(school, f"ALTER TABLE school.answers ALTER COLUMN changed_at TYPE {kind}")
    execute(school, f"UPDATE school.answers SET changed_at = '{mark}' WHERE choice IS NULL")
    first = connect("--yes")
    assert first.exit_code == 0
    assert "1 rows have a cursor in the future" in first.output
    answer(school, 2)
    second = connect()
    assert second.exit_code == 0
    assert "1 rows have a cursor in the future" in second.output
    assert [row[1] for row in stored(school)] == EXERCISES
    (row,) = rows_of(
        school, "SELECT cursor_value::timestamptz < now() + interval '1 day' AS is_known FROM connect_cursor"
    )
    assert row["is_known"]


def test_a_cursor_that_was_moved_into_the_future_reads_everything_once_more(
    connect: Callable[..., Any], school: Engine
) -> None:
    assert connect("--yes").exit_code == 0
    execute(school, "UPDATE connect_cursor SET cursor_value = 'infinity'")
    answer(school, 2)
    assert "3 read" in connect().output
    execute(school, "UPDATE school.answers SET changed_at = now() - interval '1 day' WHERE choice IS NULL")
    assert "2 read" in connect().output, "the cursor is back"


def test_a_missing_address_is_named(connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCHOOL_DATABASE_URL")
    assert "SCHOOL_DATABASE_URL" in str(connect("--yes").exception)


@pytest.fixture
def daemon(school: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """``daemon()`` evaluates the sensor, executes each new run and returns the run keys; a skip raises its reason."""
    monkeypatch.setenv("SEEDTEST_CONNECT_MAPPING", str(tmp_path / "school.yaml"))
    postgres = PostgresResource.having(url=school.url.render_as_string(hide_password=False))
    definitions = build_definitions({"postgres": postgres})
    assert any(sensor.name == connection_sensor.name for sensor in definitions.sensors or [])
    with dg.DagsterInstance.ephemeral() as instance:
        done: set[str] = set()

        def tick() -> list[str]:
            with dg.build_sensor_context(instance=instance, resources={"postgres": postgres}) as context:
                found: Any = connection_sensor(context)
            if isinstance(found, dg.SkipReason):
                raise LookupError(found.skip_message)
            new = [request for request in found.run_requests if request.run_key not in done]
            for request in new:
                done.add(request.run_key)
                job = definitions.resolve_job_def("read_connection")
                assert job.execute_in_process(
                    instance=instance, run_config=request.run_config, tags=request.tags
                ).success
            return [request.run_key for request in new]

        yield tick


def test_the_daemon_reads_what_is_new_and_corrects_what_changed_after_the_first_read(
    daemon: Callable[[], list[str]], connect: Callable[..., Any], school: Engine
) -> None:
    with pytest.raises(LookupError, match=r"run `seedtest connect .*school.yaml` once"):
        daemon()
    assert stored(school) == []
    assert connect("--yes").exit_code == 0
    daemon()
    versions = "SELECT id, xmin::text AS version FROM exam_results"
    before = rows_of(school, versions)
    assert daemon() == [], "the same rows are read once"
    answer(school, 2, choice="c", is_right=False)
    execute(school, "UPDATE school.answers SET choice = 'd', is_right = true, changed_at = now() WHERE choice IS NULL")
    assert len(daemon()) == 1
    later = ("kim", EXERCISES[2], False, "2026-03-02 09:32:00", 12.5, None, ["algebra"])
    assert stored(school) == [FIRST[0], (*FIRST[1][:2], True, *FIRST[1][3:]), later]
    assert rows_of(school, versions) != before
    assert daemon() == []
    execute(
        school,
        "INSERT INTO school.answers (pupil, exercise, choice, is_right, answered_at, changed_at) SELECT 'lee', exercise, 'a', "
        "true, answered_at, changed_at - interval '1 minute' FROM school.answers ORDER BY changed_at DESC LIMIT 1",
    )
    assert len(daemon()) == 1, "a row that was committed late has an older cursor"
    assert {row[0] for row in stored(school)} == {"kim", "lee"}


def test_the_daemon_reads_on_beside_a_cursor_in_the_future(
    daemon: Callable[[], list[str]], connect: Callable[..., Any], school: Engine
) -> None:
    """With the mark as the highest cursor, only the number of rows differs, and it repeats."""
    execute(school, "UPDATE school.answers SET changed_at = '9999-12-31' WHERE choice IS NULL")
    execute(school, "UPDATE school.answers SET changed_at = now() - interval '3 hours' WHERE choice = 'a'")
    assert connect("--yes").exit_code == 0
    daemon()
    for exercise, hours in ((1, 2), (2, 1)):
        answer(school, exercise, at=f"2026-03-03 18:3{exercise}:00")
        execute(
            school,
            "UPDATE school.answers SET changed_at = now() - make_interval(hours => :hours) "
            "WHERE answered_at > '2026-03-03' AND changed_at > now() - interval '30 minutes' AND changed_at < now()",
            {"hours": hours},
        )
        assert len(daemon()) == 1
        daemon()
    assert len(stored(school)) == 4


def test_the_daemon_quarantines_bad_rows_and_names_a_source_that_fails(
    daemon: Callable[[], list[str]], connect: Callable[..., Any], school: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connect("--yes").exit_code == 0
    execute(
        school,
        "INSERT INTO school.answers (exercise, choice, is_right, answered_at) VALUES (:id, 'a', true, now())",
        {"id": EXERCISES[0]},
    )
    assert len(daemon()) == 1
    assert [row["reason"] for row in rows_of(school, "SELECT reason FROM load_rejects")] == ["user_id_missing"]
    execute(school, "ALTER TABLE school.answers RENAME COLUMN pupil TO learner")
    with pytest.raises(LookupError, match=r"school: the source refuses the mapping: .*pupil"):
        daemon()


def test_without_a_mapping_there_is_no_sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEEDTEST_CONNECT_MAPPING", raising=False)
    assert not any(sensor.name == "connection_sensor" for sensor in build_definitions().sensors or [])


def test_the_query_of_a_mapping_cannot_end_the_transaction_that_only_reads(school: Engine, tmp_path: Path) -> None:
    """On the old code the table is made, although the mapping is refused afterwards."""
    query = (
        "SELECT 1 AS c) AS s ON true LIMIT 1; COMMIT; CREATE TABLE school.taken (n int); "
        "SELECT 'integer' FROM (SELECT) AS one LEFT JOIN (SELECT 1 AS c"
    )
    columns = dict.fromkeys(("user_id", "item_id", "correct", "completed_at"), "c")
    mapping = ConnectMapping.model_validate({"query": query, "cursor": "c", "columns": columns})
    with pytest.raises(LoadError, match="the source refuses the mapping"):
        extract_rows(school, mapping, since=None, path=tmp_path / "rows.parquet")
    assert rows_of(school, "SELECT to_regclass('school.taken') AS taken") == [{"taken": None}]
