"""The attempt log against a plain-Python derivation, under bad input, corrections, races and kills."""

import datetime as dt
import json
import random
import threading
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text

from seedtest_analytics.assets.attempts.sync import SyncResult, sync_attempts
from seedtest_analytics.database.address import DatabaseError
from seedtest_analytics.ingest.convert import FALSE_WORDS, TRUE_WORDS
from tests._database import execute, rows_of, snapshot
from tests._exams import NOON, UTC, Exam, derived_attempts, question, store, student_uuid

NOW = dt.datetime(2026, 2, 1, tzinfo=UTC)
DAY = dt.timedelta(days=1)
CONTRACT_COLUMNS = (
    "id, student_id, item_id, correct, response_time_ms, hint_used, completed_at, started_at, attempt_no, "
    "session_id, topic_id"
)
TABLES = ("attempt_log", "attempt_quarantine", "attempt_sync", "attempt_touched_day")


def sync(engine: Engine, as_of: dt.datetime = NOW, **options: Any) -> SyncResult:
    return sync_attempts(engine, as_of, timezone=options.pop("timezone", "UTC"), **options)


def attempts(engine: Engine, columns: str = CONTRACT_COLUMNS) -> list[dict[str, Any]]:
    return rows_of(engine, f"SELECT {columns} FROM attempt ORDER BY id, exam_result_id, question_ordinal")


def quarantine(engine: Engine) -> list[dict[str, Any]]:
    query = "SELECT question_ordinal, reason, is_excluded FROM attempt_quarantine ORDER BY 1, 2"
    return rows_of(engine, query)


def numbering(engine: Engine) -> list[tuple[Any, ...]]:
    rows = rows_of(engine, "SELECT item_id, attempt_no, answer_no FROM attempt ORDER BY item_id, attempt_no, user_id")
    return [tuple(row.values()) for row in rows]


def assert_reconciled(engine: Engine) -> None:
    (counts,) = rows_of(
        engine,
        "SELECT (SELECT COALESCE(sum(n_elements), 0) FROM attempt) AS attempts, "
        "(SELECT count(DISTINCT (exam_result_id, question_ordinal)) FROM attempt_quarantine "
        "WHERE is_excluded) AS excluded, "
        "(SELECT COALESCE(sum(n_elements), 0) FROM attempt_sync) AS elements",
    )
    assert counts["elements"] == counts["attempts"] + counts["excluded"]


# ---- the contract's 11 columns ----


def well_formed_exams(seed: int, n_exams: int) -> list[Exam]:
    """Random exams of a few students with retakes, repeated questions, both spellings of a UUID and odd times."""
    rng = random.Random(seed)
    users = ["kim", "0AF3C1D2-0000-4000-8000-1234567890AB", "0af3c1d2-0000-4000-8000-1234567890ab", "-" * 36, "한글"]
    users.append("0af3c1d2-0000-4000-8000-1234567890a")
    exams = []
    for _ in range(n_exams):
        created = NOON + dt.timedelta(minutes=rng.choice([0, 0, rng.randrange(20_000)]))
        questions = [
            {
                "question_id": rng.choice([1, 2, "2", 3, "-4", 9223372036854775807]),
                rng.choice(["is_correct", "correct"]): rng.choice([True, False, None, "true", "false"]),
                "topic": rng.choice(["algebra", "", None, "기하"]),
                "time_spent_sec": rng.choice([None, "", 0, 0.0005, 1.4995, 2.5, "3.5", 0.5, 12.3456, 2147483]),
                "used_hints": rng.choice([None, "", 0, 1, "2"]),
                **({"answered_at": (created - dt.timedelta(seconds=7)).isoformat()} if rng.random() < 0.3 else {}),
            }
            for _ in range(rng.randrange(6))
        ]
        exams.append(
            Exam(
                tuple(questions),
                rng.choice(users),
                created,
                created + dt.timedelta(days=rng.choice([0, 3])),
                rng.choice(["ready", "ready", "ready", "failed"]),
                id=uuid.UUID(int=rng.getrandbits(128)),
            )
        )
    return exams


@pytest.mark.parametrize(("seed", "batch_size"), [(1, 7), (2, 50_000), (3, 50_000)])
def test_the_eleven_columns_are_those_of_the_contract(database: Engine, seed: int, batch_size: int) -> None:
    exams = well_formed_exams(seed, 60)
    store(database, *exams)
    sync(database, batch_size=batch_size)
    assert quarantine(database) == []
    expected = sorted(derived_attempts(exams), key=lambda row: row["id"])
    columns = CONTRACT_COLUMNS.split(", ")
    assert attempts(database) == [{column: row[column] for column in columns} for row in expected]
    ids = [row["id"] for row in expected]
    assert len(ids) == len(set(ids))
    assert_reconciled(database)


def test_the_view_agrees_with_the_same_log_built_step_by_step(database: Engine) -> None:
    """The order in which exams arrive does not change the log."""
    exams = well_formed_exams(4, 50)
    for start in (0, 20, 35):
        store(database, *exams[start : start + (20, 15, 15)[start // 18]])
        sync(database)
    sync(database)
    expected = sorted(derived_attempts(exams), key=lambda row: row["id"])
    assert attempts(database) == [{c: row[c] for c in CONTRACT_COLUMNS.split(", ")} for row in expected]


def test_unanswered_is_missing_and_not_wrong(database: Engine) -> None:
    store(
        database,
        Exam(
            (
                question(1, is_correct=None),
                question(2, is_correct=""),
                {"question_id": 3},
                question(4, is_correct=False),
            )
        ),
    )
    sync(database)
    rows = attempts(database, "item_id, correct, is_answered, answer_no, attempt_no")
    assert sorted(map(tuple, (row.values() for row in rows))) == [
        (1, False, False, None, 1),
        (2, False, False, None, 1),
        (3, False, False, None, 1),
        (4, False, True, 1, 1),
    ]


def test_answers_are_numbered_apart_from_attempts(database: Engine) -> None:
    for day, answer in enumerate([None, False, None, True]):
        store(database, Exam((question(1, is_correct=answer),), created_at=NOON + day * DAY))
    sync(database)
    assert numbering(database) == [(1, 1, None), (1, 2, 1), (1, 3, None), (1, 4, 2)]


def test_what_was_not_recorded_is_null_behind_the_contracts_zero(database: Engine) -> None:
    store(database, Exam((question(1), question(2, time_spent_sec=0, used_hints=0))))
    sync(database)
    rows = rows_of(
        database, "SELECT response_time_ms, recorded_time_ms, hint_used, hints_used FROM attempt ORDER BY item_id"
    )
    assert [tuple(row.values()) for row in rows] == [(0, None, False, None), (0, 0.0, False, 0)]


# ---- bad input ----

LONG_AGO = dt.datetime(1989, 12, 31, tzinfo=UTC)

BAD_ELEMENTS = [
    (question("q_stub_3"), "question_id_not_integer", True),
    (question("Q1"), "question_id_not_integer", True),
    (question(1.5), "question_id_not_integer", True),
    (question(True), "question_id_not_integer", True),
    (question([1]), "question_id_not_integer", True),
    (question({"id": 1}), "question_id_not_integer", True),
    (question(9223372036854775808), "question_id_not_integer", True),
    (question("-9223372036854775809"), "question_id_not_integer", True),
    (question(10**400), "question_id_not_integer", True),
    (question("１２"), "question_id_not_integer", True),
    (question("\u20037"), "question_id_not_integer", True),
    (question("7\u00a0"), "question_id_not_integer", True),
    (question("7\u0085"), "question_id_not_integer", True),
    (question("0x1F"), "question_id_not_integer", True),
    (question("1_000"), "question_id_not_integer", True),
    (question("1\n2"), "question_id_not_integer", True),
    (question(None), "question_id_missing", True),
    (question(""), "question_id_missing", True),
    (question("  "), "question_id_missing", True),
    ({"is_correct": True}, "question_id_missing", True),
    (None, "element_not_object", True),
    (7, "element_not_object", True),
    ("text", "element_not_object", True),
    (True, "element_not_object", True),
    ([question(1)], "element_not_object", True),
    (question(1, is_correct="maybe"), "answer_not_boolean", True),
    (question(1, is_correct=2), "answer_not_boolean", True),
    (question(1, is_correct={}), "answer_not_boolean", True),
    (question(1, is_correct=[]), "answer_not_boolean", True),
    (question(1, is_correct=None, correct="perhaps"), "answer_not_boolean", True),
    (question(1, used_hints=1.5), "hints_not_integer", False),
    (question(1, used_hints=-1), "hints_not_integer", False),
    (question(1, used_hints="two"), "hints_not_integer", False),
    (question(1, used_hints=10**30), "hints_not_integer", False),
    (question(1, used_hints=[]), "hints_not_integer", False),
    (question(1, used_hints="\u20031"), "hints_not_integer", False),
    (question(1, time_spent_sec=-1), "time_spent_not_number", False),
    (question(1, time_spent_sec="fast"), "time_spent_not_number", False),
    (question(1, time_spent_sec=2147484), "time_spent_not_number", False),
    (question(1, time_spent_sec=10**60), "time_spent_not_number", False),
    (question(1, time_spent_sec="1e99"), "time_spent_not_number", False),
    (question(1, time_spent_sec="1e999"), "time_spent_not_number", False),
    (question(1, time_spent_sec="NaN"), "time_spent_not_number", False),
    (question(1, time_spent_sec="Infinity"), "time_spent_not_number", False),
    (question(1, time_spent_sec="\u20033.5"), "time_spent_not_number", False),
    (question(1, time_spent_sec={}), "time_spent_not_number", False),
    (question(1, answered_at="2026-02-30T10:00:00Z"), "answered_at_not_instant", False),
    (question(1, answered_at="2025-02-29T10:00:00Z"), "answered_at_not_instant", False),
    (question(1, answered_at="2026-01-05T25:00:00Z"), "answered_at_not_instant", False),
    (question(1, answered_at="2026-01-05T10:00:00"), "answered_at_not_instant", False),
    (question(1, answered_at="2026-01-05"), "answered_at_not_instant", False),
    (question(1, answered_at="now"), "answered_at_not_instant", False),
    (question(1, answered_at="infinity"), "answered_at_not_instant", False),
    (question(1, answered_at=1767571200), "answered_at_not_instant", False),
    (question(1, answered_at="2026-13-01T10:00:00Z"), "answered_at_not_instant", False),
    (question(1, answered_at="2027-01-05T10:00:00Z"), "time_in_future", True),
    (question(1, answered_at="1970-01-01T00:00:00Z"), "time_before_1990", True),
]


@pytest.mark.parametrize(("element", "reason", "is_excluded"), BAD_ELEMENTS)
def test_a_malformed_element_is_in_quarantine_and_its_neighbours_are_attempts(
    database: Engine, element: Any, reason: str, is_excluded: bool
) -> None:
    store(database, Exam([question(101), element, question(102)]), Exam((question(103),), user_id="lee"))
    result = sync(database)
    assert quarantine(database) == [{"question_ordinal": 2, "reason": reason, "is_excluded": is_excluded}]
    assert {row["item_id"] for row in attempts(database)} == {101, 102, 103} | (set() if is_excluded else {1})
    assert (result.attempts.inserted, result.quarantine.inserted) == (3 + (not is_excluded), 1)
    (kept,) = rows_of(database, "SELECT element, detail FROM attempt_quarantine")
    assert kept["detail"]
    assert kept["element"] == element
    assert_reconciled(database)


def test_a_malformed_field_is_kept_as_not_recorded(database: Engine) -> None:
    store(database, Exam((question(1, used_hints=1.5, time_spent_sec="fast", answered_at="2026-02-30T10:00:00Z"),)))
    sync(database)
    assert [row["reason"] for row in quarantine(database)] == [
        "answered_at_not_instant",
        "hints_not_integer",
        "time_spent_not_number",
    ]
    (row,) = attempts(database, "correct, response_time_ms, recorded_time_ms, hint_used, hints_used, completed_at")
    assert tuple(row.values()) == (True, 0, None, False, None, NOON)
    assert_reconciled(database)


@pytest.mark.parametrize(
    ("user_id", "reason"),
    [
        (None, "user_id_missing"),
        ("", "user_id_empty"),
        ("   ", "user_id_empty"),
        ("x" * 201, "user_id_absurd"),
        ("x" * 2_000, "user_id_absurd"),
        ("tab\tbed", "user_id_absurd"),
        ("new\nline", "user_id_absurd"),
        ("\x7f", "user_id_absurd"),
    ],
)
def test_an_absurd_student_is_in_quarantine(database: Engine, user_id: str | None, reason: str) -> None:
    store(database, Exam((question(1), question(2)), user_id=user_id), Exam((question(3),)))
    sync(database)
    assert [(row["reason"], row["is_excluded"]) for row in quarantine(database)] == [(reason, True)] * 2
    assert [row["item_id"] for row in attempts(database)] == [3]
    assert_reconciled(database)


@pytest.mark.parametrize("user_id", ["-" * 36, "Z" * 36, "'; DROP TABLE attempt_log; --", "x" * 200, "{}", "0", "١٢٣"])
def test_an_odd_student_is_a_student(database: Engine, user_id: str) -> None:
    store(database, Exam((question(1),), user_id=user_id))
    sync(database)
    assert attempts(database, "user_id, student_id") == [{"user_id": user_id, "student_id": student_uuid(user_id)}]


@pytest.mark.parametrize("questions", [{}, {"0": {"question_id": 1}}, "text", 7, True, "", 0, False])
def test_questions_that_are_no_array(database: Engine, questions: Any) -> None:
    store(database, Exam(questions), Exam((question(5),)))
    sync(database)
    assert quarantine(database) == [{"question_ordinal": 0, "reason": "questions_not_array", "is_excluded": True}]
    assert [row["item_id"] for row in attempts(database)] == [5]
    assert_reconciled(database)


@pytest.mark.parametrize(
    "result_json",
    [
        *("{}", '{"questions": null}', '{"questions": []}', "[]", "null", *map(json.dumps, ("{}", "[]", "null"))),
        '{"score": {"raw": 3, "scaled": 60}, "topics": [{"topic": "algebra", "total": 5}], "metadata": {"version": "v1"}}',
    ],
)
def test_an_exam_without_questions_says_nothing(database: Engine, result_json: str) -> None:
    execute(
        database,
        "INSERT INTO exam_results (session_id, user_id, result_json) VALUES ('s', 'kim', CAST(:j AS jsonb))",
        {"j": result_json},
    )
    sync(database)
    assert (attempts(database), quarantine(database)) == ([], [])
    assert sync(database).changed_exams == 0
    assert_reconciled(database)


@pytest.mark.parametrize(
    ("created_at", "reason"),
    [
        (NOW + 2 * DAY, "time_in_future"),
        (dt.datetime(9999, 1, 1, tzinfo=UTC), "time_in_future"),
        ("infinity", "time_in_future"),
        (LONG_AGO, "time_before_1990"),
        ("0044-03-15 BC", "time_before_1990"),
        ("-infinity", "time_before_1990"),
    ],
)
def test_an_exam_at_an_impossible_time(database: Engine, created_at: Any, reason: str) -> None:
    store(database, Exam((question(1),), created_at=created_at), Exam((question(2),)))
    sync(database)
    assert quarantine(database) == [{"question_ordinal": 1, "reason": reason, "is_excluded": True}]
    assert [row["item_id"] for row in attempts(database)] == [2]
    assert sync(database).changed_exams == 0


# ---- JSON of another shape ----

ELEMENT_LIST = [question(1), question(2, is_correct=False)]
WHOLE = {"questions": ELEMENT_LIST}


def store_json(engine: Engine, result_json: Any) -> None:
    execute(
        engine,
        "INSERT INTO exam_results (session_id, user_id, result_json, created_at, updated_at) "
        "VALUES ('s', 'kim', CAST(:j AS jsonb), '2026-01-05', '2026-01-05')",
        {"j": json.dumps(result_json)},
    )


@pytest.mark.parametrize(
    "result_json",
    [
        WHOLE,
        ELEMENT_LIST,
        json.dumps(WHOLE),
        json.dumps(ELEMENT_LIST),
        {"questions": json.dumps(ELEMENT_LIST)},
        json.dumps({"questions": json.dumps(ELEMENT_LIST)}),
        "  " + json.dumps(WHOLE, indent=1) + "\n",
    ],
)
def test_an_exam_is_understood_in_every_shape_that_drivers_store(database: Engine, result_json: Any) -> None:
    store_json(database, result_json)
    sync(database)
    assert [row["item_id"] for row in rows_of(database, "SELECT item_id FROM attempt ORDER BY 1")] == [1, 2]
    assert quarantine(database) == []
    assert sync(database, full_compare=True).changed_exams == 0
    assert_reconciled(database)


@pytest.mark.parametrize(
    "result_json",
    [
        "text",
        "",
        "{broken",
        7,
        1.5,
        True,
        json.dumps(json.dumps(WHOLE)),
        "7",
        {"questions": "text"},
        {"questions": json.dumps({"0": question(1)})},
        "NaN",
        "[" * 20_000,
        '{"a": "\\u0000"}',
        {"result": WHOLE},
        {"data": WHOLE, "score": {"raw": 1}},
        {"Questions": ELEMENT_LIST},
        {"items": ELEMENT_LIST},
        json.dumps({"answers": ELEMENT_LIST}),
    ],
)
def test_an_exam_that_was_not_understood_is_in_quarantine(database: Engine, result_json: Any) -> None:
    store_json(database, result_json)
    store(database, Exam((question(5),)))
    sync(database)
    assert quarantine(database) == [{"question_ordinal": 0, "reason": "questions_not_array", "is_excluded": True}]
    assert [row["item_id"] for row in attempts(database)] == [5]
    assert_reconciled(database)


@pytest.mark.parametrize("is_right", [True, False])
def test_the_sync_reads_the_answers_that_the_loader_reads(database: Engine, is_right: bool) -> None:
    words: list[Any] = [
        *(TRUE_WORDS if is_right else FALSE_WORDS),
        " True\n" if is_right else "FALSE ",
        "O" if is_right else "X",
    ]
    words += [1, 1.0, "1.00", "1,0", is_right] if is_right else [0, 0.0, "0.00", "0,0", is_right]
    store(database, Exam(tuple(question(n, is_correct=word) for n, word in enumerate(words))))
    sync(database)
    assert quarantine(database) == []
    assert [row["correct"] for row in attempts(database, "correct")] == [is_right] * len(words)


@pytest.mark.parametrize("blank", [" ", "\t\n"])
def test_a_blank_answer_is_unanswered(database: Engine, blank: str) -> None:
    store(database, Exam((question(1, is_correct=blank),)))
    sync(database)
    assert quarantine(database) == []
    assert attempts(database, "is_answered") == [{"is_answered": False}]


@pytest.mark.parametrize("number", [7.0, "7.0", " 7.00 ", "+7"])
def test_a_whole_number_with_a_decimal_point_is_an_integer(database: Engine, number: Any) -> None:
    store(database, Exam((question(number, used_hints=number),)))
    sync(database)
    assert quarantine(database) == []
    assert attempts(database, "item_id, hints_used") == [{"item_id": 7, "hints_used": 7}]


@pytest.mark.parametrize(
    ("fields", "topic_id", "topic_ids"),
    [
        ({"topic": "b", "topics": ["a", "b"]}, "b", ["a", "b"]),
        ({"topic": ["b", "a", "b"]}, "a", ["a", "b"]),
        ({"topic": None, "topics": ["b", "a", ""]}, "a", ["a", "b"]),
        ({"topic": 12}, "12", ["12"]),
        ({"topic": "a", "topics": "c"}, "a", ["a", "c"]),
        ({"topic": [], "topics": []}, None, None),
        ({"topic": "", "topics": None}, None, None),
    ],
)
def test_the_topics_of_a_question(
    database: Engine, fields: dict[str, Any], topic_id: str | None, topic_ids: list[str] | None
) -> None:
    store(database, Exam(({"question_id": 1, "is_correct": True, **fields},)))
    sync(database)
    assert attempts(database, "topic_id, topic_ids") == [{"topic_id": topic_id, "topic_ids": topic_ids}]
    assert quarantine(database) == []


@pytest.mark.parametrize("fields", [{"topic": {}}, {"topic": True}, {"topics": [["a"]]}, {"topics": {"a": 1}}])
def test_topics_that_are_not_texts_are_kept_as_not_recorded(database: Engine, fields: dict[str, Any]) -> None:
    store(database, Exam(({"question_id": 1, "is_correct": True, **fields},)))
    sync(database)
    assert attempts(database, "topic_id, topic_ids") == [{"topic_id": None, "topic_ids": None}]
    assert quarantine(database) == [{"question_ordinal": 1, "reason": "topic_not_text", "is_excluded": False}]


# ---- one element for each topic ----

AT = "2026-01-05T10:00:00Z"


def test_elements_equal_except_for_the_topic_are_one_attempt(database: Engine) -> None:
    elements = [question(1, topic=topic, answered_at=AT) for topic in ("b", "a", None, "b")]
    store(database, Exam((*elements, question(2, answered_at=AT))))
    sync(database)
    found = rows_of(
        database, "SELECT item_id, topic_id, topic_ids, n_elements, attempt_no FROM attempt ORDER BY item_id"
    )
    assert [tuple(row.values()) for row in found] == [(1, "b", ["a", "b"], 4, 1), (2, "algebra", ["algebra"], 1, 1)]
    assert_reconciled(database)
    assert touched(database) == {NOON.date(): 2}


@pytest.mark.parametrize(
    "other", [{"is_correct": False}, {"used_hints": 1}, {"time_spent_sec": 3}, {"answered_at": "2026-01-05T10:00:01Z"}]
)
def test_elements_that_differ_otherwise_are_two_attempts(database: Engine, other: dict[str, Any]) -> None:
    store(
        database,
        Exam((question(1, topic="a", answered_at=AT), question(1, **{"topic": "b", "answered_at": AT, **other}))),
    )
    sync(database)
    assert [row["n_elements"] for row in attempts(database, "n_elements")] == [1, 1]


def test_without_a_time_of_its_own_a_repeated_question_is_a_repeated_question(database: Engine) -> None:
    store(database, Exam((question(1, topic="a"), question(1, topic="b"))))
    sync(database)
    assert sorted(row["occurrence_no"] for row in attempts(database, "occurrence_no")) == [1, 2]


def test_an_exam_without_times_on_a_legacy_table(database: Engine) -> None:
    execute(database, "ALTER TABLE exam_results ALTER created_at DROP NOT NULL, ALTER updated_at DROP NOT NULL")
    try:
        execute(
            database,
            "INSERT INTO exam_results (session_id, user_id, result_json, created_at, updated_at) VALUES "
            "('a', 'kim', '{\"questions\": [{\"question_id\": 1}]}', NULL, NULL), "
            "('b', 'kim', '{\"questions\": [{\"question_id\": 2}]}', NULL, '2026-01-05')",
        )
        sync(database)
        assert quarantine(database) == [{"question_ordinal": 1, "reason": "time_missing", "is_excluded": True}]
        assert [row["item_id"] for row in attempts(database)] == [2]
        assert sync(database).changed_exams == 0
    finally:
        execute(database, "TRUNCATE exam_results")
        execute(database, "ALTER TABLE exam_results ALTER created_at SET NOT NULL, ALTER updated_at SET NOT NULL")


def test_a_question_twice_in_an_exam_has_two_ids_and_two_numbers(database: Engine) -> None:
    exam = Exam((question(7, is_correct=False), question(7), question("7")))
    store(database, exam)
    sync(database)
    rows = rows_of(
        database, "SELECT id, attempt_no, answer_no, occurrence_no, correct FROM attempt ORDER BY attempt_no"
    )
    assert [(r["attempt_no"], r["answer_no"], r["occurrence_no"], r["correct"]) for r in rows] == [
        (1, 1, 1, False),
        (2, 2, 2, True),
        (3, 3, 3, True),
    ]
    assert len({row["id"] for row in rows}) == 3


def test_an_exam_of_seventy_thousand_elements_breaks_nothing(database: Engine) -> None:
    execute(
        database,
        "INSERT INTO exam_results (session_id, user_id, result_json, created_at) SELECT 's', 'kim', "
        "jsonb_build_object('questions', jsonb_agg("
        "CASE WHEN n % 2 = 0 THEN 'null' ELSE '{\"question_id\": 1}'::jsonb END)), "
        "'2026-01-05' FROM generate_series(1, 70000) AS n",
    )
    sync(database)
    (counts,) = rows_of(
        database, "SELECT count(*) AS n, max(attempt_no) AS last, count(DISTINCT id) AS ids FROM attempt"
    )
    assert counts == {"n": 35_000, "last": 35_000, "ids": 35_000}
    assert_reconciled(database)


def test_a_long_malformed_element_is_kept_cut(database: Engine) -> None:
    store(database, Exam([question("q" * 100_000)]))
    sync(database)
    (row,) = rows_of(database, "SELECT length(element::text) AS n FROM attempt_quarantine")
    assert 1_900 < row["n"] < 2_200


# ---- any JSON ----

NUMBERS = st.one_of(st.integers(-(10**25), 10**25), st.floats(allow_nan=False, allow_infinity=False))
WORDS = st.one_of(
    st.sampled_from(
        ["", " ", "1", " 2\n", "\u20031", "true", "TRUE", "maybe", "2026-02-30T00:00:00Z", "1e5", "-0", "+5"]
    ),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, WORDS)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=5
)
FIELDS = ("question_id", "is_correct", "correct", "topic", "time_spent_sec", "used_hints", "answered_at")
ELEMENTS = st.one_of(
    st.fixed_dictionaries({}, optional={name: st.one_of(SCALARS, ANYTHING) for name in FIELDS}),
    st.fixed_dictionaries({"question_id": st.integers(-3, 3)}, optional={name: SCALARS for name in FIELDS[1:]}),
    ANYTHING,
)


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.lists(ELEMENTS, max_size=6), ANYTHING), min_size=1, max_size=4))
def test_any_json_never_raises_and_is_accounted_for(shared_database: Engine, exams: list[Any]) -> None:
    execute(
        shared_database, "TRUNCATE exam_results, attempt_log, attempt_quarantine, attempt_sync, attempt_touched_day"
    )
    store(shared_database, *(Exam(questions) for questions in exams))
    sync(shared_database)
    n_elements = sum(len(q) if isinstance(q, list) else q is not None for q in exams)
    (counts,) = rows_of(
        shared_database,
        "SELECT (SELECT COALESCE(sum(n_elements), 0) FROM attempt) + "
        "(SELECT count(*) FROM attempt_quarantine WHERE is_excluded) AS accounted, "
        "(SELECT count(*) FROM attempt) - (SELECT count(DISTINCT id) FROM attempt) AS repeated_ids",
    )
    assert counts == {"accounted": n_elements, "repeated_ids": 0}
    assert sync(shared_database).changed_exams == 0


# ---- corrections ----


def test_a_rescore_keeps_the_time_of_the_answer(database: Engine) -> None:
    exam = Exam((question(1, is_correct=False),))
    store(database, exam)
    sync(database)
    store(database, Exam((question(1, is_correct=True),), updated_at=NOON + 20 * DAY, id=exam.id))
    result = sync(database)
    assert (result.changed_exams, result.attempts.updated, result.attempts.inserted) == (1, 1, 0)
    (row,) = attempts(database, "correct, completed_at")
    assert row == {"correct": True, "completed_at": NOON}


def test_a_restore_without_any_change_changes_no_row(database: Engine) -> None:
    store(database, Exam((question(1),)))
    sync(database)
    before = snapshot(database, "attempt_log", "attempt_quarantine", "attempt_touched_day")
    execute(database, "UPDATE exam_results SET updated_at = now()")
    result = sync(database)
    assert (result.changed_exams, result.attempts.unchanged) == (1, 1)
    assert snapshot(database, "attempt_log", "attempt_quarantine", "attempt_touched_day") == before


def test_a_correction_that_forgot_updated_at_is_seen(database: Engine) -> None:
    store(database, Exam((question(1, is_correct=False),)))
    sync(database)
    execute(
        database, """UPDATE exam_results SET result_json = jsonb_set(result_json, '{questions,0,is_correct}', 'true')"""
    )
    sync(database)
    assert attempts(database, "correct") == [{"correct": True}]


def test_full_compare_finds_what_the_row_version_hides(database: Engine) -> None:
    store(database, Exam((question(1, is_correct=False),)))
    sync(database)
    execute(database, "UPDATE exam_results SET user_id = 'lee'")
    execute(database, "UPDATE attempt_sync SET source_version = (SELECT xmin::text FROM exam_results)")
    assert sync(database).changed_exams == 0
    assert sync(database, full_compare=True).changed_exams == 1
    assert attempts(database, "user_id") == [{"user_id": "lee"}]
    assert sync(database, full_compare=True).changed_exams == 0


def test_an_element_corrected_at_the_source_leaves_the_quarantine(database: Engine) -> None:
    exam = Exam((question("q_stub_1"), question(2, used_hints="two")))
    store(database, exam)
    sync(database)
    assert len(quarantine(database)) == 2
    store(database, Exam((question(1), question(2, used_hints=2)), id=exam.id))
    sync(database)
    assert quarantine(database) == []
    assert sorted(row["item_id"] for row in attempts(database)) == [1, 2]


def test_a_removed_question_and_a_removed_exam_leave_and_the_rest_is_numbered_anew(database: Engine) -> None:
    exams = [Exam((question(1), question(2)), created_at=NOON + day * DAY) for day in range(3)]
    store(database, *exams)
    sync(database)
    store(database, Exam((question(1),), created_at=exams[0].created_at, id=exams[0].id))
    execute(database, "DELETE FROM exam_results WHERE id = :id", {"id": exams[1].id})
    result = sync(database)
    assert (result.changed_exams, result.attempts.deleted) == (2, 3)
    assert numbering(database) == [(1, 1, 1), (1, 2, 2), (2, 1, 1)]
    assert len(rows_of(database, "SELECT * FROM attempt_sync")) == 2
    assert_reconciled(database)


def test_an_exam_that_arrives_late_takes_the_first_number(database: Engine) -> None:
    store(database, Exam((question(1),), created_at=NOON + DAY))
    sync(database)
    store(database, Exam((question(1, is_correct=False),), created_at=NOON))
    result = sync(database)
    assert result.attempts.inserted == 1
    rows = rows_of(database, "SELECT correct, attempt_no, answer_no FROM attempt ORDER BY completed_at")
    assert [tuple(row.values()) for row in rows] == [(False, 1, 1), (True, 2, 2)]


def test_an_exam_given_to_another_student_renumbers_both(database: Engine) -> None:
    exams = [Exam((question(1),), created_at=NOON + day * DAY) for day in range(3)]
    store(database, *exams)
    sync(database)
    store(database, Exam((question(1),), user_id="lee", created_at=exams[0].created_at, id=exams[0].id))
    sync(database)
    rows = rows_of(database, "SELECT user_id, attempt_no, answer_no FROM attempt ORDER BY completed_at")
    assert [tuple(row.values()) for row in rows] == [("lee", 1, 1), ("kim", 1, 1), ("kim", 2, 2)]


def test_a_failed_exam_counts_nowhere_and_comes_back_when_ready(database: Engine) -> None:
    exam = Exam((question(1), question("q_stub_1")), status="failed")
    store(database, exam, Exam((question(1),), created_at=NOON + DAY))
    sync(database)
    assert numbering(database) == [(1, 1, 1)]
    assert quarantine(database) == []
    assert_reconciled(database)
    store(database, Exam(exam.questions, status="ready", id=exam.id))
    sync(database)
    assert numbering(database) == [(1, 1, 1), (1, 2, 2)]
    store(database, Exam(exam.questions, status="failed", id=exam.id))
    sync(database)
    assert (numbering(database), quarantine(database)) == ([(1, 1, 1)], [])


def test_an_attempt_in_the_future_is_taken_up_when_its_time_has_come(database: Engine) -> None:
    then = NOW + 5 * DAY
    store(database, Exam((question(1, answered_at=then.isoformat()), question(2))))
    sync(database)
    assert [row["reason"] for row in quarantine(database)] == ["time_in_future"]
    assert sync(database, NOW + 4 * DAY + DAY / 2).changed_exams == 0
    result = sync(database, then + DAY / 24)
    assert (result.changed_exams, result.attempts.inserted, result.quarantine.deleted) == (1, 1, 1)
    assert sorted(row["item_id"] for row in attempts(database)) == [1, 2]
    assert_reconciled(database)


def test_a_second_run_changes_no_row(database: Engine) -> None:
    store(database, *well_formed_exams(5, 30), Exam([None, question("x"), question(1, used_hints=0.5)]), Exam({}))
    sync(database)
    before = snapshot(database, *TABLES)
    for options in ({}, {"full_compare": True}, {"batch_size": 3}):
        assert sync(database, NOW + dt.timedelta(hours=1), **options).changed_exams == 0
    assert snapshot(database, *TABLES) == before


def test_made_anew_from_the_source_the_log_is_the_same(database: Engine) -> None:
    store(database, *well_formed_exams(6, 30), Exam([None, question("x"), question(1, used_hints=0.5)]), Exam({}))
    sync(database)
    log = rows_of(database, "SELECT * FROM attempt_log ORDER BY exam_result_id, question_ordinal")
    execute(database, "TRUNCATE attempt_log, attempt_quarantine, attempt_sync")
    sync(database, batch_size=4)
    assert rows_of(database, "SELECT * FROM attempt_log ORDER BY exam_result_id, question_ordinal") == log


def test_a_dry_run_counts_and_writes_nothing(database: Engine) -> None:
    store(database, Exam((question(1), question("x"))), Exam((question(2),)))
    before = snapshot(database, *TABLES)
    result = sync(database, is_dry_run=True, batch_size=1)
    assert (result.changed_exams, result.attempts.inserted, result.quarantine.inserted) == (2, 2, 1)
    assert snapshot(database, *TABLES) == before


def test_progress_ends_at_the_number_of_changed_exams(database: Engine) -> None:
    store(database, *(Exam((question(1),)) for _ in range(5)))
    seen: list[tuple[int, int]] = []
    sync(database, batch_size=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 5), (4, 5), (5, 5)]


# ---- touched days ----


def touched(engine: Engine) -> dict[dt.date, int]:
    rows = rows_of(engine, "SELECT day, sum(attempts)::integer AS n FROM attempt_touched_day GROUP BY day")
    execute(engine, "TRUNCATE attempt_touched_day")
    return {row["day"]: row["n"] for row in rows}


def test_touched_days_are_days_of_the_platforms_time_zone(database: Engine) -> None:
    late = dt.datetime(2026, 1, 5, 20, tzinfo=UTC)  # already the 6th in Seoul
    store(database, Exam((question(1), question(2)), created_at=late))
    sync(database, timezone="Asia/Seoul")
    assert touched(database) == {dt.date(2026, 1, 6): 2}


def test_a_correction_touches_exactly_its_days(database: Engine) -> None:
    exams = [Exam((question(1), question(2)), created_at=NOON + day * DAY) for day in range(4)]
    store(database, *exams)
    sync(database)
    assert touched(database) == {(NOON + day * DAY).date(): 2 for day in range(4)}
    store(database, Exam((question(1, is_correct=False), question(2)), created_at=exams[1].created_at, id=exams[1].id))
    sync(database)
    assert touched(database) == {(NOON + DAY).date(): 1}
    moved = question(1, answered_at=(NOON + 2 * DAY).isoformat())
    store(database, Exam((moved, question(2)), created_at=exams[3].created_at, id=exams[3].id))
    sync(database)
    assert touched(database) == {(NOON + 2 * DAY).date(): 1, (NOON + 3 * DAY).date(): 1}
    execute(database, "DELETE FROM exam_results WHERE id = :id", {"id": exams[0].id})
    sync(database)
    # The next answer is now the first one.
    assert touched(database) == {NOON.date(): 2, (NOON + DAY).date(): 2}


def touched_ids(engine: Engine) -> dict[dt.date, int]:
    return {row["day"]: row["id"] for row in rows_of(engine, "SELECT day, id FROM attempt_touched_day")}


def test_a_day_has_one_row_however_often_it_changes_and_a_reader_finds_the_last_change(database: Engine) -> None:
    """A reader who has read up to any id finds exactly the days that changed since."""
    exams = [Exam((question(1),), created_at=NOON + day * DAY) for day in range(3)]
    store(database, *exams)
    sync(database)
    first = touched_ids(database)
    read_up_to = max(first.values())
    for number in range(5):
        changed = Exam((question(1, is_correct=bool(number % 2)),), created_at=exams[1].created_at, id=exams[1].id)
        store(database, changed)
        sync(database)
    last = touched_ids(database)
    assert len(last) == 3
    assert {day for day, number in last.items() if number > read_up_to} == {(NOON + DAY).date()}
    assert {day: n for day, n in last.items() if n <= read_up_to} == {
        day: n for day, n in first.items() if day != (NOON + DAY).date()
    }


def test_an_answer_that_is_no_longer_the_first_touches_its_day(database: Engine) -> None:
    """Abilities use first answers only, so a late exam changes the input from later days."""
    store(database, *(Exam((question(1),), created_at=NOON + day * DAY) for day in (5, 6)))
    sync(database)
    touched(database)
    late = Exam((question(1),), created_at=NOON)
    store(database, late)
    sync(database)
    assert touched(database) == {NOON.date(): 1, (NOON + 5 * DAY).date(): 1}
    execute(database, "DELETE FROM exam_results WHERE id = :id", {"id": late.id})
    sync(database)
    assert touched(database) == {NOON.date(): 1, (NOON + 5 * DAY).date(): 1}


# ---- races and kills ----


def test_two_syncs_at_once_come_to_the_same_as_one(database: Engine) -> None:
    exams = well_formed_exams(7, 80)
    store(database, *exams)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            sync(database, batch_size=9)
        except BaseException as error:  # noqa: BLE001 (handed to the test's thread)
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    expected = sorted(derived_attempts(exams), key=lambda row: row["id"])
    assert attempts(database) == [{c: row[c] for c in CONTRACT_COLUMNS.split(", ")} for row in expected]
    assert len(rows_of(database, "SELECT * FROM attempt_sync")) == len(exams)


@pytest.mark.parametrize("kill_in_batch", [1, 3, 6])
def test_killed_in_the_middle_and_run_again_it_equals_a_clean_run(database: Engine, kill_in_batch: int) -> None:
    exams = [*well_formed_exams(8, 40), Exam([None, question("x")])]
    store(database, *exams)
    batches = 0

    def kill(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        nonlocal batches
        if "INSERT INTO attempt_sync" in statement:
            batches += 1
            if batches == kill_in_batch:
                pid = connection.connection.dbapi_connection.info.backend_pid
                with database.connect() as killer:
                    killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

    event.listen(database, "before_cursor_execute", kill)
    try:
        with pytest.raises(DatabaseError, match="the server ended the session"):
            sync(database, batch_size=6)
    finally:
        event.remove(database, "before_cursor_execute", kill)
    done = rows_of(database, "SELECT count(*) AS n FROM attempt_sync")[0]["n"]
    assert done == 6 * (kill_in_batch - 1)
    result = sync(database)
    assert result.changed_exams == len(exams) - done
    log = rows_of(database, "SELECT * FROM attempt_log ORDER BY exam_result_id, question_ordinal")
    days = rows_of(database, "SELECT day FROM attempt_touched_day ORDER BY day")
    execute(database, "TRUNCATE attempt_log, attempt_quarantine, attempt_sync, attempt_touched_day")
    sync(database)
    assert rows_of(database, "SELECT * FROM attempt_log ORDER BY exam_result_id, question_ordinal") == log
    assert rows_of(database, "SELECT day FROM attempt_touched_day ORDER BY day") == days


def test_no_lock_and_no_temporary_table_stay_behind(database: Engine) -> None:
    store(database, Exam((question(1),)))
    for _ in range(3):
        sync(database)
    (row,) = rows_of(database, "SELECT to_regclass('pg_temp.changed_exam') AS name")
    assert row["name"] is None
    locks = "SELECT count(*) AS n FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database "
    assert rows_of(database, locks + "WHERE locktype = 'advisory' AND datname = current_database()") == [{"n": 0}]


# ---- cost ----


def plan(engine: Engine, query: str) -> str:
    rows = rows_of(engine, f"EXPLAIN (FORMAT JSON) {query}")
    return json.dumps(rows[0]["QUERY PLAN"])


def test_attempts_of_one_week_cost_in_proportion_to_that_week(database: Engine) -> None:
    """60,000 attempts over two years: the planner reads the week through the index on completed_at."""
    execute(
        database,
        "INSERT INTO attempt_log (id, student_id, item_id, correct, response_time_ms, hint_used, completed_at, "
        "started_at, attempt_no, session_id, user_id, exam_result_id, question_ordinal, is_answered, occurrence_no) "
        "SELECT n, gen_random_uuid(), n % 500, true, 0, false, at, at, 1, 's', 'u' || n % 1000, "
        "lpad(n::text, 32, '0')::uuid, 1, true, 1 FROM (SELECT n, "
        "timestamptz '2024-01-01 00:00+00' + n * interval '1050 seconds' AS at "
        "FROM generate_series(1, 60000) AS n) AS g",
    )
    execute(database, "ANALYZE attempt_log")
    week = "completed_at >= '2025-03-03' AND completed_at < '2025-03-10'"
    found = plan(database, f"SELECT user_id, correct FROM attempt WHERE {week}")
    assert "ix_attempt_log_completed_at" in found
    assert "Seq Scan" not in found


def test_one_exams_elements_are_read_without_taking_the_others_apart(database: Engine) -> None:
    store(database, *(Exam((question(1),)) for _ in range(300)))
    execute(database, "ANALYZE exam_results")
    found = plan(
        database, "SELECT * FROM attempt_element WHERE exam_result_id = '00000000-0000-0000-0000-000000000001'"
    )
    assert "exam_results_pkey" in found


HISTORY = ("exam_results", "attempt_log", "attempt_sync", "attempt_quarantine", "attempt_touched_day")
READS_ALL_KEYS = ("CREATE TEMP TABLE changed_exam", "ANALYZE")
"""find_changed compares keys and row versions of all exams, and reads no JSON."""


def grow_history(engine: Engine, n_exams: int) -> None:
    """Exams of ten questions, synced. The planner takes the table for what it is."""
    execute(
        engine,
        "INSERT INTO exam_results (session_id, user_id, result_json, created_at, updated_at) SELECT 's' || n, 'u' || n % 500, "
        "jsonb_build_object('questions', (SELECT jsonb_agg(jsonb_build_object('question_id', (n + i * 37) % 400, "
        "'is_correct', (n + i) % 3 > 0, 'topic', 'algebra')) FROM generate_series(1, 10) AS i) || '[{}]'), at, at "
        "FROM (SELECT n, timestamptz '2025-01-01' + n * interval '1 hour' AS at FROM generate_series(1, :n) AS n) AS g",
        {"n": n_exams},
    )
    sync(engine, as_of=NOW + 3650 * DAY)
    for table in HISTORY:
        execute(engine, f"ANALYZE {table}")


def scans_of_history(found: dict[str, Any]) -> list[str]:
    here = [found["Relation Name"]] if found["Node Type"] == "Seq Scan" and found["Relation Name"] in HISTORY else []
    return here + [name for part in found.get("Plans", ()) for name in scans_of_history(part)]


@pytest.mark.long
def test_no_statement_of_a_sync_reads_the_history(database: Engine) -> None:
    """A batch of new, changed and removed exams, small and larger, beside 6,000 others."""
    grow_history(database, 6_000)
    scanned: dict[str, list[str]] = {}
    explained = 0

    def explain(connection: Any, cursor: Any, query: str, parameters: Any, *_: Any) -> None:
        nonlocal explained
        body = "\n".join(line for line in query.splitlines() if not line.startswith("--")).strip()
        if not body.startswith(("WITH", "CREATE TEMP TABLE", "INSERT", "UPDATE", "DELETE")) or body.startswith(
            READS_ALL_KEYS
        ):
            return
        with connection.connection.cursor() as own:
            own.execute("EXPLAIN (FORMAT JSON) " + body, parameters)
            ((plans,),) = own.fetchall()
        explained += 1
        if found := scans_of_history(plans[0]["Plan"]):
            scanned[body[:60]] = found

    for n_exams in (3, 300):
        execute(
            database,
            "UPDATE exam_results SET result_json = jsonb_set(result_json, '{questions,0,is_correct}', 'null') "
            "WHERE session_id IN (SELECT 's' || n * 7 FROM generate_series(1, :n) AS n)",
            {"n": n_exams},
        )
        execute(
            database, "DELETE FROM exam_results WHERE session_id IN ('s5', 's' || CAST(:n AS text))", {"n": n_exams}
        )
        event.listen(database, "before_cursor_execute", explain)
        try:
            result = sync(database, as_of=NOW + 3650 * DAY)
        finally:
            event.remove(database, "before_cursor_execute", explain)
        assert result.changed_exams >= n_exams
        assert explained >= 12
        assert scanned == {}
