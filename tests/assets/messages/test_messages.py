"""A week's messages: their sentences are true of the log, and the outbox follows them without ever sending twice."""

import datetime as dt
import json
import uuid
from collections.abc import Iterator
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.framework.shards import WHOLE
from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.assets.messages.assets import weekly_messages
from seedtest_analytics.assets.messages.week import hand_over_week, is_due, write_week
from seedtest_analytics.assets.psychometrics.calibration.week import calibrate_week
from seedtest_analytics.database.publish import copy_frame
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import CalibrationSettings, ReportSettings, Settings
from tests._database import execute, rows_of
from tests.assets._activity import materialize
from tests.assets._items import Bank, store_answers, week
from tests.assets._week_runs import outcomes_of

AT = week(5)
MONDAY_MORNING = AT.as_of + dt.timedelta(hours=5)


def answer(
    engine: Engine, user: str, *, day: int, right: int, wrong: int = 0, topic: str | None = None, first_item: int = 1
) -> None:
    """Answers of a student on a day counted from the Monday of the reported week, each to another item."""
    n = right + wrong
    at = dt.datetime.combine(AT.start, dt.time(9), dt.UTC) + dt.timedelta(days=day)
    with engine.begin() as connection:
        first = rows_of(engine, "SELECT COALESCE(max(id), 0) + 1 AS id FROM attempt_log")[0]["id"]
        frame = pd.DataFrame(
            {
                "id": range(first, first + n),
                "student_id": str(uuid.uuid5(uuid.NAMESPACE_OID, user)),
                "item_id": range(first_item, first_item + n),
                "correct": [True] * right + [False] * wrong,
                "response_time_ms": 0,
                "hint_used": False,
                "completed_at": at,
                "started_at": at,
                "attempt_no": 1,
                "session_id": f"{user}/{day}",
                "user_id": user,
                "topic_id": topic,
                "exam_result_id": [str(uuid.UUID(int=first + k)) for k in range(n)],
                "question_ordinal": 1,
                "is_answered": True,
                "answer_no": 1,
                "occurrence_no": 1,
            }
        )
        copy_frame(connection, "attempt_log", frame=frame)


def in_kpis(engine: Engine, *users: str, at: Week = AT, kpis: str = "{}") -> None:
    execute(
        engine,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES (:user, :week, CAST(:kpis AS jsonb))",
        [{"user": user, "week": at.start, "kpis": kpis} for user in users],
    )


def write(
    engine: Engine, at: Week = AT, *, now: dt.datetime = MONDAY_MORNING, language: Any = "en", is_dry_run: bool = False
) -> Any:
    settings = Settings(reports=ReportSettings(language=language))

    def compute(run: WeekRun) -> Any:
        return hand_over_week(run, write_week(run, WHOLE), now=now)

    (outcome,) = outcomes_of(engine, at, compute=compute, settings=settings, is_dry_run=is_dry_run)
    return outcome


def texts(engine: Engine) -> dict[tuple[str, str], str]:
    rows = rows_of(engine, "SELECT user_id, recipient, text FROM weekly_message ORDER BY user_id, recipient")
    return {(row["user_id"], row["recipient"]): row["text"] for row in rows}


def outbox(engine: Engine, columns: str = "user_id, recipient, revision, state") -> list[tuple[Any, ...]]:
    rows = rows_of(engine, f"SELECT {columns} FROM message_outbox ORDER BY user_id, recipient, revision")
    return [tuple(row.values()) for row in rows]


def test_sentences_are_true_of_the_log(database: Engine) -> None:
    in_kpis(database, "anna", "ben", "cleo", "dora", "eva", "finn")
    for day in (-20, -8, 1, 2):
        answer(database, "anna", day=day, right=2, wrong=3)
    answer(database, "ben", day=-3, right=4)
    answer(database, "cleo", day=1, right=11, wrong=1)
    answer(database, "cleo", day=3, right=2)
    answer(database, "dora", day=-22, right=30)  # before the four weeks
    answer(database, "eva", day=7, right=30)  # after the week
    answer(database, "finn", day=2, right=3, wrong=7, topic="fractions")
    answer(database, "finn", day=4, right=30, topic="angles", first_item=50)
    write(database)
    found = texts(database)
    assert found["anna", "student"].startswith("You got 8 of 20 questions right in the last four weeks")
    assert found["anna", "parent"].startswith("Your child got 8 of 20 questions right in the last four weeks")
    friday = AT.start - dt.timedelta(days=3)
    assert f"last answer was on {friday.day} {friday:%B}" in found["ben", "student"]
    assert found["cleo", "student"] == "You got 13 of 14 questions right last week, so keep going like this."
    assert (
        "Practise fractions first this week, because you got 3 of 10 questions right there" in found["finn", "student"]
    )
    assert {user for user, _ in found} == {"anna", "ben", "cleo", "finn"}
    (row,) = rows_of(
        database, "SELECT code, evidence FROM weekly_message WHERE user_id = 'anna' AND recipient = 'student'"
    )
    assert row == {"code": "low_accuracy", "evidence": {"correct": 8, "answers": 20, "method": "share_right"}}


def test_the_probability_of_the_next_answer_decides_where_abilities_are_dynamic(database: Engine) -> None:
    """Half of the answers in either topic are right; the weak one is that with the lower probability."""
    in_kpis(database, "anna", "ben")
    for user in ("anna", "ben"):
        answer(database, user, day=2, right=10, wrong=10, topic="fractions")
        answer(database, user, day=4, right=10, wrong=10, topic="angles", first_item=50)
    execute(
        database,
        "INSERT INTO mirt_ability (user_id, theta, se, version, fitted_at, week_start, method) "
        "VALUES ('anna', 0, 0.3, 'v', now(), :week, 'dynamic'), ('ben', 0, 0.3, 'v', now(), :week, 'eap')",
        {"week": AT.start},
    )
    execute(
        database,
        "INSERT INTO ability_topic_state (user_id, topic_id, week_start, deviation, deviation_se, ability, se, next_right, "
        "n_answers, answered_at, fitted_at) SELECT u, t, :week, 0, 1, 0, 1, p, 20, now(), now() "
        "FROM unnest(ARRAY['anna', 'ben']) AS u, (VALUES ('fractions', 0.7), ('angles', 0.4)) AS v (t, p)",
        {"week": AT.start},
    )
    write(database)
    rows = rows_of(database, "SELECT user_id, code, evidence FROM weekly_message WHERE recipient = 'student'")
    assert rows == [
        {"user_id": "anna", "code": "weak_topic", "evidence": {"topic": "angles", "next": 40, "method": "next_answer"}}
    ]
    parameters = {
        "week_start": AT.start,
        "as_of": AT.as_of,
        "timezone": "UTC",
        "max_users": None,
        "user_id": None,
        **WHOLE.parameters,
    }
    with database.connect() as connection:
        documents = [
            json.loads(d) for d in connection.execute(statement("reports/documents.sql"), parameters).scalars()
        ]
    assert {d["user_id"]: d["next_right"] for d in documents} == {"anna": {"fractions": 0.7, "angles": 0.4}, "ben": {}}


def test_questions_that_are_too_hard_are_counted_by_the_calibration_of_the_week(database: Engine) -> None:
    bank = Bank.drawn(24, seed=5)
    bank.store(database)
    store_answers(database, bank, AT, np.random.default_rng(6).normal(0.0, 1.0, 300), seed=7)
    settings = Settings(calibration=CalibrationSettings(lookback_days=7))
    outcomes_of(database, AT, compute=calibrate_week, settings=settings)
    in_kpis(database, "u0", "u1")
    execute(
        database,
        "INSERT INTO mirt_ability (user_id, theta, se, version, fitted_at, run_id, week_start) "
        "SELECT u, theta, 0.3, '2025-W10', now(), run_id, :week FROM mirt_fit_meta, "
        "(VALUES ('u0', -1.5::float8), ('u1', 1.9::float8)) AS v (u, theta)",
        {"week": AT.start},
    )
    write(database)
    rows = rows_of(
        database,
        "SELECT m.user_id, m.code, m.evidence, count(*) FILTER (WHERE b.b - a.theta > 1) AS hard, "
        "count(*) FILTER (WHERE b.b - a.theta < -1) AS easy "
        "FROM weekly_message AS m INNER JOIN mirt_ability AS a USING (user_id) CROSS JOIN mirt_item_bank AS b "
        "WHERE m.recipient = 'student' GROUP BY 1, 2, 3 ORDER BY 1",
    )
    assert [row["code"] for row in rows] == ["too_hard", "too_easy"]
    assert rows[0]["evidence"] == {"hard": rows[0]["hard"], "questions": 24}
    assert rows[1]["evidence"] == {"easy": rows[1]["easy"], "questions": 24}


@pytest.fixture
def users_table(database: Engine) -> Iterator[None]:
    execute(database, "CREATE TABLE users (id text PRIMARY KEY, language text, region text)")
    yield
    execute(database, "DROP TABLE users")


def test_the_language_is_the_recipients_else_the_students_else_the_setting(database: Engine, users_table: None) -> None:
    in_kpis(database, "anna", "ben", "cleo")
    for user in ("anna", "ben", "cleo"):
        answer(database, user, day=1, right=9, wrong=1)
        answer(database, user, day=2, right=1)
    execute(database, "INSERT INTO users VALUES ('anna', 'ko-KR', NULL), ('ben', 'fr', NULL)")
    execute(
        database,
        "INSERT INTO message_consent (user_id, recipient, channel, language, consented_at) "
        "VALUES ('anna', 'parent', 'smtp', 'en', now())",
    )
    write(database)
    rows = rows_of(database, "SELECT user_id, recipient, language FROM weekly_message ORDER BY 1, 2")
    assert [tuple(row.values()) for row in rows] == [
        ("anna", "parent", "en"),
        ("anna", "student", "ko"),
        ("ben", "parent", "en"),
        ("ben", "student", "en"),
        ("cleo", "parent", "en"),
        ("cleo", "student", "en"),
    ]
    assert texts(database)["anna", "student"] == "지난주에 11문제 중 10문제를 맞혔으니, 지금처럼 계속해 봐요."
    write(database, language="ko")
    assert texts(database)["cleo", "parent"] == "자녀가 지난주에 11문제 중 10문제를 맞혔으니, 칭찬해 주세요."


def test_a_topic_has_its_name_in_the_readers_language_and_its_id_in_the_evidence(database: Engine) -> None:
    in_kpis(database, "finn")
    answer(database, "finn", day=2, right=3, wrong=7, topic="t-07")
    answer(database, "finn", day=4, right=30, topic="angles", first_item=50)
    write(database)
    assert texts(database)["finn", "student"].startswith("Practise t-07 first")
    execute(database, "INSERT INTO topic_name (language, topic_id, name) VALUES ('en', 't-07', 'fractions')")
    write(database)
    assert texts(database)["finn", "student"].startswith("Practise fractions first")
    execute(database, "INSERT INTO topic_name (language, topic_id, name) VALUES ('KO', 't-07', '분수')")
    write(database, language="ko")
    assert "분수를 먼저 연습해 봐요" in texts(database)["finn", "student"]
    (row,) = rows_of(database, "SELECT evidence FROM weekly_message WHERE recipient = 'student'")
    assert row["evidence"]["topic"] == "t-07"
    # The first two sentences were not sent: the correction takes their place.
    assert [state for *_, state in outbox(database)] == ["cancelled", "cancelled", "new"] * 2


def test_a_users_table_without_a_language_is_no_obstacle(database: Engine) -> None:
    execute(database, "CREATE TABLE users (id bigint)")
    try:
        in_kpis(database, "anna")
        answer(database, "anna", day=1, right=10)
        write(database)
        assert len(texts(database)) == 2
    finally:
        execute(database, "DROP TABLE users")


def test_the_outbox_has_each_sentence_once(database: Engine) -> None:
    in_kpis(database, "anna")
    answer(database, "anna", day=1, right=10)
    answer(database, "anna", day=2, right=1)
    first = write(database)
    assert first.metadata["put_into_outbox"] == 2
    second = write(database)
    assert (second.metadata["put_into_outbox"], second.metadata["cancelled"]) == (0, 0)
    assert outbox(database) == [("anna", "parent", 1, "new"), ("anna", "student", 1, "new")]
    keys = outbox(database, "key::text")
    assert len(set(keys)) == 2


def test_a_correction_cancels_what_was_not_sent_and_issues_the_true_sentence(database: Engine) -> None:
    in_kpis(database, "anna")
    answer(database, "anna", day=1, right=10)
    answer(database, "anna", day=2, right=1)
    write(database)
    execute(database, "UPDATE message_outbox SET state = 'sent' WHERE recipient = 'parent'")
    execute(database, "UPDATE attempt_log SET correct = false WHERE item_id <= 2")
    outcome = write(database)
    assert (outcome.metadata["put_into_outbox"], outcome.metadata["cancelled"]) == (1, 1)
    found = outbox(database, "recipient, revision, state, reason, evidence ->> 'correct'")
    assert found == [
        ("parent", 1, "sent", None, "11"),
        ("student", 1, "cancelled", "corrected", "11"),
        ("student", 2, "new", None, "8"),
    ]


def test_a_correction_that_leaves_nothing_to_say_cancels(database: Engine) -> None:
    in_kpis(database, "anna")
    answer(database, "anna", day=1, right=10)
    write(database)
    execute(database, "DELETE FROM attempt_log")
    write(database)
    assert outbox(database) == [("anna", "parent", 1, "cancelled"), ("anna", "student", 1, "cancelled")]
    assert texts(database) == {}


@pytest.mark.parametrize("state", ["sending", "sent", "failed"])
def test_what_was_handed_over_is_neither_cancelled_nor_written_again(database: Engine, state: str) -> None:
    in_kpis(database, "anna")
    answer(database, "anna", day=1, right=10)
    write(database)
    execute(database, "UPDATE message_outbox SET state = :state", {"state": state})
    execute(database, "DELETE FROM attempt_log")
    answer(database, "anna", day=1, right=1, wrong=11)
    write(database)
    assert outbox(database) == [("anna", "parent", 1, state), ("anna", "student", 1, state)]


@pytest.mark.parametrize(
    ("hours", "expected"), [(-1, False), (0, True), (5, True), (7 * 24, True), (7 * 24 + 1, False), (9_000, False)]
)
def test_only_a_young_closed_week_is_sent(hours: int, expected: bool) -> None:
    assert is_due(AT, AT.as_of + dt.timedelta(hours=hours), max_age_days=7) is expected


def test_a_backfill_and_a_running_week_put_nothing_into_the_outbox(database: Engine) -> None:
    running = Week(AT.start, AT.as_of - dt.timedelta(days=2), timezone="UTC")
    in_kpis(database, "anna")
    answer(database, "anna", day=1, right=10)
    write(database, now=AT.as_of + dt.timedelta(days=300))
    write(database, running, now=running.as_of)
    assert len(texts(database)) == 2
    assert outbox(database) == []


def test_a_dry_run_writes_nothing(database: Engine) -> None:
    in_kpis(database, "anna")
    answer(database, "anna", day=1, right=10)
    write(database, is_dry_run=True)
    assert texts(database) == {}
    assert outbox(database) == []


def test_checks(database: Engine) -> None:
    in_kpis(database, "anna", "ben")
    answer(database, "anna", day=1, right=1)
    spoken, delivered = write(database).checks
    assert not spoken.is_passed
    assert spoken.description == "0 of 2 students get a sentence; 1 have answers in the week"
    assert delivered.is_passed
    answer(database, "ben", day=1, right=10)
    spoken, _ = write(database).checks
    assert spoken.is_passed
    execute(
        database,
        "UPDATE message_outbox SET state = 'sending', changed_at = :at",
        {"at": MONDAY_MORNING - dt.timedelta(days=2)},
    )
    _, delivered = write(database).checks
    assert not delivered.is_passed
    assert delivered.description == "0 sent, 0 failed, 2 under way for more than a day"


def test_the_asset_writes_a_range_of_weeks(database: Engine) -> None:
    in_kpis(database, "anna")
    in_kpis(database, "anna", at=week(6))
    answer(database, "anna", day=1, right=10)
    tags = {"dagster/asset_partition_range_start": AT.key, "dagster/asset_partition_range_end": week(6).key}
    result = materialize(database, weekly_messages, tags=tags)
    assert result.success
    rows = rows_of(database, "SELECT week_start, code FROM weekly_message WHERE recipient = 'student' ORDER BY 1")
    assert [row["code"] for row in rows] == ["one_day", "no_answers"]
    assert isinstance(result.asset_materializations_for_node("weekly_messages")[0], dg.AssetMaterialization)
