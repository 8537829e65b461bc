"""An attempt is the student, the item and the instant, in all files and sessions."""

import datetime as dt
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.assets.attempts.sync import sync_attempts
from seedtest_analytics.ingest import LoadOptions, LoadSummary, load_attempt_log
from tests._database import execute, rows_of
from tests.ingest.conftest import exam_rows, write_log
from tests.ingest.test_load import START, attempt

Row = dict[str, Any]
TABLES = "exam_results, question, attempt_log, attempt_quarantine, attempt_sync, attempt_touched_day"


def anonymous(minute: float, **changes: Any) -> Row:
    """A row of a log without sessions."""
    return attempt(minute, **{"session_id": None, "item_id": int(minute), **changes})


def load(engine: Engine, folder: Path, *logs: list[Row], **options: Any) -> LoadSummary:
    """Load logs in one command."""
    files = [write_log(folder / f"log{n}.parquet", rows) for n, rows in enumerate(logs)]
    return load_attempt_log(engine, files, options=LoadOptions(**options))


def empty(engine: Engine) -> None:
    execute(engine, f"TRUNCATE {TABLES}")


def sessions(engine: Engine) -> dict[str, list[int]]:
    """The items of each exam, by the first 16 characters of its session."""
    return {row[0][:16]: [q["question_id"] for q in row[3]] for row in questions(engine)}


def questions(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        query = "SELECT session_id, user_id, id, result_json -> 'questions' FROM exam_results ORDER BY session_id"
        return [tuple(row) for row in connection.execute(text(query))]


def tables(engine: Engine) -> dict[str, list[Row]]:
    """All that depends on the attempts, without the times of the loads."""
    sync_attempts(engine, START + dt.timedelta(days=300), timezone="UTC")
    return {
        "exams": rows_of(
            engine,
            "SELECT id, session_id, user_id, status, result_json, score_raw, score_scaled, created_at "
            "FROM exam_results ORDER BY session_id",
        ),
        "attempts": rows_of(engine, "SELECT * FROM attempt ORDER BY exam_result_id, question_ordinal"),
        "quarantine": rows_of(engine, "SELECT * FROM attempt_quarantine"),
        "questions": rows_of(engine, "SELECT id, content, created_at FROM question ORDER BY id"),
    }


# ---- sessions are derived from the attempts present ----


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_overlapping_exports_without_sessions_store_each_answer_once(
    database: Engine, tmp_path: Path, order: tuple[int, int]
) -> None:
    empty(database)
    rows = [anonymous(minute) for minute in (0, 5, 10, 15, 20)]
    exports = rows[:4], rows[1:]
    for number in order:
        load(database, tmp_path, exports[number])
    assert sessions(database) == {"20260302T090000Z": [0, 5, 10, 15, 20]}
    assert len(exam_rows(database)) == 1


def test_a_first_row_that_arrives_late_renames_the_session(database: Engine, tmp_path: Path) -> None:
    empty(database)
    rows = [anonymous(minute) for minute in (0, 5, 10, 15, 20)]
    load(database, tmp_path, rows[1:])
    summary = load(database, tmp_path, rows)
    assert sessions(database) == {"20260302T090000Z": [0, 5, 10, 15, 20]}
    assert (summary.attempts, summary.attempts_kept, summary.exams.inserted) == (5, 0, 1)


def test_a_row_that_bridges_two_sessions_joins_them(database: Engine, tmp_path: Path) -> None:
    empty(database)
    load(database, tmp_path, [anonymous(0), anonymous(50), anonymous(200)])
    assert len(exam_rows(database)) == 3
    summary = load(database, tmp_path, [anonymous(25)])
    assert sessions(database) == {"20260302T090000Z": [0, 25, 50], "20260302T122000Z": [200]}
    assert summary.attempts_kept == 2


def test_an_old_log_that_stored_answers_twice_is_mended_by_the_next_load(database: Engine, tmp_path: Path) -> None:
    """Two derived exams with the same answers, as earlier releases stored them."""
    empty(database)
    rows = [anonymous(minute) for minute in (0, 5, 10)]
    load(database, tmp_path, rows)
    execute(
        database,
        "INSERT INTO exam_results (session_id, user_id, status, result_json, created_at, updated_at) SELECT "
        "'20260302T090500Z@' || left(md5(user_id), 16), user_id, status, result_json #- '{questions,0}', created_at, "
        "updated_at FROM exam_results",
    )
    assert len(exam_rows(database)) == 2
    load(database, tmp_path, rows)
    assert sessions(database) == {"20260302T090000Z": [0, 5, 10]}


def test_an_export_without_sessions_adds_nothing_to_one_with_them(database: Engine, tmp_path: Path) -> None:
    for order in (0, 1), (1, 0):
        empty(database)
        named = [anonymous(minute, session_id="lesson") for minute in (0, 5)]
        exports = [named, [anonymous(minute) for minute in (0, 5, 10)]]
        for number in order:
            load(database, tmp_path, exports[number])
        assert sessions(database) == {"20260302T091000Z": [10], "lesson": [0, 5]}


def test_two_names_of_one_session_store_each_answer_once(database: Engine, tmp_path: Path) -> None:
    for order in (0, 1), (1, 0):
        empty(database)
        exports = [[anonymous(minute, session_id=name) for minute in (0, 5)] for name in ("a", "b")]
        for number in order:
            load(database, tmp_path, exports[number])
        assert sessions(database) == {"a": [0, 5]}


def test_a_replaced_session_forgets_what_the_log_lacks_and_its_neighbours_stay(
    database: Engine, tmp_path: Path
) -> None:
    empty(database)
    load(database, tmp_path, [anonymous(minute) for minute in (0, 25, 50, 200)])
    load(database, tmp_path, [anonymous(0), anonymous(50)], is_replacing=True)
    assert sessions(database) == {"20260302T090000Z": [0], "20260302T095000Z": [50], "20260302T122000Z": [200]}


def test_a_shifted_log_that_gained_a_first_row_stores_each_answer_once(database: Engine, tmp_path: Path) -> None:
    empty(database)
    rows = [anonymous(minute) for minute in (0, 5, 10)]
    load(database, tmp_path, rows[1:], shift_to=dt.date(2026, 5, 3))
    load(database, tmp_path, rows, shift_to=dt.date(2026, 5, 10))
    assert sessions(database) == {"20260302T090000Z": [0, 5, 10]}
    load(database, tmp_path, rows)
    assert sessions(database) == {"20260302T090000Z": [0, 5, 10]}
    assert questions(database)[0][3][0]["answered_at"] == "2026-03-02T09:00:00+00:00"


def test_what_another_program_added_to_an_exam_is_not_cut_again(database: Engine, tmp_path: Path) -> None:
    empty(database)
    load(database, tmp_path, [anonymous(0), anonymous(5)])
    execute(
        database,
        "UPDATE exam_results SET result_json = jsonb_insert(result_json, '{questions,0}', '{\"question_id\": \"q_7\"}')",
    )
    load(database, tmp_path, [anonymous(20)])
    assert sum(items.count("q_7") for items in sessions(database).values()) == 1


def test_an_exam_of_the_web_application_is_never_cut(database: Engine, tmp_path: Path) -> None:
    empty(database)
    load(database, tmp_path, [anonymous(0)])
    execute(database, "UPDATE exam_results SET session_id = 'app', result_json = result_json #- '{metadata,source}'")
    load(database, tmp_path, [anonymous(0), anonymous(5)])
    assert sessions(database) == {"20260302T090000Z": [0, 5], "app": [0]}


# ---- several topics ----


def test_rows_equal_except_for_the_topic_are_one_attempt(database: Engine, tmp_path: Path) -> None:
    empty(database)
    rows = [attempt(0, topic_id=topic) for topic in ("geometry", "algebra", None, "geometry")]
    summary = load(database, tmp_path, [*rows, attempt(1, correct=False)])
    assert (summary.attempts, summary.several_topics, summary.further_topics, summary.duplicates) == (2, 1, 2, 1)
    assert summary.rows_read == summary.attempts + summary.further_topics + summary.duplicates
    (exam,) = rows_of(database, "SELECT score_raw, score_scaled, result_json FROM exam_results")
    assert (exam["score_raw"], exam["score_scaled"]) == (1, 50)
    first, second = exam["result_json"]["questions"]
    assert (first["topic"], first["topics"]) == ("algebra", ["algebra", "geometry"])
    assert (second["topic"], "topics" in second) == ("algebra", False)
    assert [(t["topic"], t["total"]) for t in exam["result_json"]["topics"]] == [("algebra", 2), ("geometry", 1)]
    found = tables(database)["attempts"]
    assert [(row["topic_id"], row["topic_ids"], row["n_elements"]) for row in found] == [
        ("algebra", ["algebra", "geometry"], 1),
        ("algebra", ["algebra"], 1),
    ]


def test_a_topic_that_arrives_later_is_added_and_the_default_gives_way(database: Engine, tmp_path: Path) -> None:
    empty(database)
    for topic in (None, "b", "a", "b", None):
        load(database, tmp_path, [attempt(0, topic_id=topic)])
    (row,) = tables(database)["attempts"]
    assert row["topic_ids"] == ["a", "b"]


# ---- contradictions ----


def test_rows_that_contradict_each_other_are_one_attempt_and_are_counted(database: Engine, tmp_path: Path) -> None:
    empty(database)
    rows = [attempt(0, correct=True), attempt(0, correct=False), attempt(0, correct=None), attempt(1)]
    for shuffled in (rows, rows[::-1]):
        summary = load(database, tmp_path, shuffled)
        assert (summary.attempts, summary.contradictory, summary.duplicates) == (2, 2, 0)
        assert [row["correct"] for row in tables(database)["attempts"]] == [False, True]


def test_what_one_export_lacks_comes_from_the_other(database: Engine, tmp_path: Path) -> None:
    thin = attempt(0, response_time_ms=None, hints_used=None)
    for logs in ([[thin], [attempt(0)]], [[attempt(0)], [thin]], [[thin, attempt(0)]]):
        empty(database)
        for rows in logs:
            load(database, tmp_path, rows)
        (row,) = tables(database)["attempts"]
        assert (row["response_time_ms"], row["hints_used"], row["correct"]) == (23333, 1, True)


# ---- any files, any order ----


def log_of(rng: random.Random) -> list[Row]:
    """Attempts of three students, some with sessions and several topics, as rows with repetitions and gaps."""
    moments = sorted(rng.sample(range(0, 900, 7), 40))
    rows = []
    for user, minute in ((f"u{rng.randrange(3)}", minute) for minute in moments):
        session = rng.choice([None, None, f"{user}-{minute // 200}"])
        topics = rng.choice([[None], ["algebra"], ["algebra", "geometry"], ["logic", "general", "algebra"]])
        whole = attempt(
            minute,
            user_id=user,
            session_id=session,
            item_id=rng.randrange(8),
            correct=rng.choice([True, False, None]),
            response_time_ms=rng.choice([None, 4000]),
        )
        for topic in topics:
            gaps = rng.choice([{}, {}, {"session_id": None}, {"hints_used": None}])
            rows += [{**whole, "topic_id": topic}] * rng.choice([1, 1, 2]) + [{**whole, "topic_id": topic, **gaps}]
    return rows


@pytest.mark.parametrize("seed", range(10))
def test_any_cut_in_any_order_gives_the_same_tables(database: Engine, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    rows = log_of(rng)
    empty(database)
    load(database, tmp_path, rows)
    expected = tables(database)
    identities: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for row in rows:
        topics = {row["topic_id"]} - {None, "general"}
        identities[row["user_id"], row["item_id"], row["completed_at"]] |= topics
    assert {
        (row["user_id"], row["item_id"], row["completed_at"]): set(row["topic_ids"]) for row in expected["attempts"]
    } == {key: topics or {"general"} for key, topics in identities.items()}
    assert len(expected["attempts"]) == len(identities)

    files: list[list[Row]] = [[] for _ in range(rng.randrange(2, 6))]
    for row in rows:
        for number in {rng.randrange(len(files)) for _ in range(2)}:
            files[number].append(row)
    rng.shuffle(files)
    empty(database)
    while files:
        together = [files.pop() for _ in range(min(len(files), rng.choice([1, 1, 2])))]
        load(database, tmp_path, *together)
        if rng.random() < 0.5:
            tables(database)
    assert tables(database) == expected
    again = load(database, tmp_path, rows)
    assert (again.exams.inserted, again.exams.updated, again.questions.updated) == (0, 0, 0)
    assert tables(database) == expected
