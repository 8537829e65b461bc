"""Texts and sizes that no table takes: they are in quarantine, and no other student notices."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.assets.attempts import sync as sync_module
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.ingest.text_rule import is_plain
from tests._database import execute, rows_of
from tests._exams import NOON, Exam, question, store
from tests.assets.attempts.test_sync import NOW, assert_reconciled, attempts, quarantine, sync

UNFIT = [
    "x" * 201,
    "x" * 8_000,
    "가" * 201,
    "al\ngebra",
    "al\rgebra",
    "al\tgebra",
    "\x01",
    "\x1b[31m",
    "\x7f",
    "al\x85gebra",
    "\x9f",
    "al\u2028gebra",
    "al\u2029gebra",
]
FIT = [
    "NA",
    "null",
    "\\N",
    "x" * 200,
    "\U0001f600" * 200,
    "a\u200bb",
    "\u202eabc",
    "'; --",
    "![x](/graphql)",
    "\ufffe",
    " ",
]


def rename_session(engine: Engine, exam: Exam, session_id: str) -> None:
    execute(
        engine, "UPDATE exam_results SET session_id = :session WHERE id = :id", {"session": session_id, "id": exam.id}
    )


@pytest.mark.parametrize("value", UNFIT)
def test_an_unfit_text_is_in_quarantine_and_others_are_attempts(database: Engine, value: str) -> None:
    store(
        database,
        Exam((question(1, topic=value), question(2, topic="algebra"))),
        Exam((question(3),), user_id=value[:2000]),
        odd_session := Exam((question(4),), user_id="lee"),
        Exam((question(5),), user_id="lee"),
    )
    rename_session(database, odd_session, value[:2000])
    sync(database)
    assert sorted(row["item_id"] for row in attempts(database)) == [2, 5]
    found = rows_of(database, "SELECT reason, is_excluded FROM attempt_quarantine ORDER BY reason")
    assert [tuple(row.values()) for row in found] == [
        ("session_id_absurd", True),
        ("topic_id_absurd", True),
        ("user_id_absurd", True),
    ]
    assert_reconciled(database)


@pytest.mark.parametrize("value", FIT)
def test_an_odd_text_is_a_text(database: Engine, value: str) -> None:
    store(database, exam := Exam((question(1, topic=value),)))
    rename_session(database, exam, f"{value[:199]}s")
    sync(database)
    assert (quarantine(database), attempts(database, "topic_id")) == ([], [{"topic_id": value}])


def test_the_loader_and_the_sync_have_the_same_rule_for_every_character(database: Engine) -> None:
    codes = [n for n in range(1, 0x110000) if not 0xD800 <= n < 0xE000]
    texts = pa.array([f"a{chr(n)}" for n in codes])
    query = (
        "SELECT n FROM generate_series(1, 1114111) AS n "
        "WHERE n NOT BETWEEN 55296 AND 57343 AND NOT seedtest_is_plain_text('a' || chr(n))"
    )
    refused = [row["n"] for row in rows_of(database, query)]
    assert refused == np.array(codes)[~is_plain(texts)].tolist()
    assert len(refused) == 31 + 33 + 2
    lengths = rows_of(
        database, "SELECT seedtest_is_plain_text(repeat('가', n)) AS fits FROM generate_series(0, 202) AS n"
    )
    assert [row["fits"] for row in lengths] == is_plain(pa.array(["가" * n for n in range(203)])).tolist()


@pytest.mark.parametrize(("n_questions", "is_too_many"), [(3, False), (4, True), (2_000, True)])
def test_an_exam_with_too_many_questions_is_in_quarantine_as_a_whole(
    database: Engine, monkeypatch: pytest.MonkeyPatch, n_questions: int, is_too_many: bool
) -> None:
    monkeypatch.setattr(sync_module, "MAX_QUESTIONS", 3)
    store(database, Exam(tuple(question(n) for n in range(n_questions))), Exam((question(7),), user_id="lee"))
    sync(database)
    assert len(attempts(database)) == 1 + (0 if is_too_many else n_questions)
    found = rows_of(database, "SELECT question_ordinal, reason, is_excluded, element FROM attempt_quarantine")
    expected = {"question_ordinal": 0, "reason": "questions_too_many", "is_excluded": True, "element": n_questions}
    assert found == ([expected] if is_too_many else [])
    assert_reconciled(database)
    assert sync(database).changed_exams == 0
    monkeypatch.setattr(sync_module, "MAX_QUESTIONS", 10_000)
    execute(database, "UPDATE exam_results SET status = 'ready'")
    sync(database)
    assert (len(attempts(database)), quarantine(database)) == (1 + n_questions, [])


def test_a_million_questions_are_never_taken_apart(database: Engine) -> None:
    execute(
        database,
        "INSERT INTO exam_results (session_id, user_id, result_json, created_at) SELECT 's', 'kim', "
        "jsonb_build_object('questions', jsonb_agg('{\"question_id\": 1}'::jsonb)), '2026-01-05' "
        "FROM generate_series(1, 1000000)",
    )
    store(database, Exam((question(7),), user_id="lee"))
    sync(database)
    assert [row["reason"] for row in quarantine(database)] == ["questions_too_many"]
    assert len(attempts(database)) == 1
    (detail,) = rows_of(database, "SELECT detail FROM attempt_quarantine")
    assert f"{sync_module.MAX_QUESTIONS:,}" in detail["detail"]


# ---- the other sources of texts ----


@pytest.mark.parametrize("value", UNFIT)
def test_a_student_with_an_unfit_id_never_starts(database: Engine, value: str) -> None:
    execute(
        database,
        "INSERT INTO session (id, user_id, created_at) VALUES ('1', :user, '2026-01-01'), ('2', 'lee', '2026-01-01')",
        {"user": value},
    )
    execute(
        database,
        "INSERT INTO interest_goal (user_id, topic_id, created_at) VALUES (:user, 't', '2026-01-01')",
        {"user": f"{value[:600]}\n"},
    )
    with database.begin() as connection:
        connection.execute(
            text(
                "CREATE TEMP TABLE staged_risk ON COMMIT DROP AS "
                "SELECT user_id, week_start, state, reasons FROM survival_risk_history LIMIT 0"
            )
        )
        parameters = {"as_of": NOW, "week_start": dt.date(2026, 1, 26)}
        connection.execute(statement("churn/risk.sql", "stage_never_started"), parameters)
        assert connection.execute(text("SELECT user_id FROM staged_risk")).scalars().all() == ["lee"]


@pytest.mark.parametrize("value", UNFIT)
@pytest.mark.parametrize("source", ["classroom_id", "result_json"])
def test_an_unfit_group_is_no_group(database: Engine, value: str, source: str) -> None:
    exams = (Exam((question(1),), user_id="kim"), Exam((question(2),), user_id="lee"))
    store(database, *exams)
    sync(database)
    groups = {"odd": value, "first": exams[0].session_id, "second": exams[1].session_id}
    execute(
        database,
        "UPDATE exam_results SET result_json = result_json || jsonb_build_object('group', "
        "CASE WHEN user_id = 'kim' THEN CAST(:odd AS text) ELSE 'A' END)",
        groups,
    )
    execute(database, "INSERT INTO session (id, classroom_id) VALUES (:first, :odd), (:second, 'A')", groups)
    with database.connect() as connection:
        found = connection.execute(
            statement("psychometrics/dif.sql", "covariate"),
            {"from_at": NOON - dt.timedelta(days=400), "as_of": NOW, "source": source, "path": ["group"]},
        ).all()
    assert [tuple(row) for row in found] == [("lee", "A")]
