"""The loader on a real PostgreSQL: loads that are repeated, reordered, split and killed."""

import datetime as dt
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, create_engine, text

from seedtest_analytics.ingest import LoadError, LoadOptions, load_attempt_log
from tests._shared import shared
from tests.ingest.conftest import exam_rows, question_rows, reject_rows, row_versions, write_log

UTC = dt.UTC
START = dt.datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def attempt(minute: float = 0, **changes: Any) -> dict[str, Any]:
    row = {
        "user_id": "ann",
        "session_id": "s1",
        "item_id": 7,
        "topic_id": "algebra",
        "correct": True,
        "response_time_ms": 23333,
        "hints_used": 1,
        "completed_at": START + dt.timedelta(minutes=minute),
    }
    return {**row, **changes}


def random_log(seed: int, rows: int = 600) -> list[dict[str, Any]]:
    """Attempts of a few users with ties in time, repeats, missing values and shared session ids."""
    rng = random.Random(seed)
    log = []
    for _ in range(rows):
        user = f"u{rng.randrange(6)}"
        session = rng.choice([f"{user}-{rng.randrange(9)}", f"shared-{rng.randrange(3)}", None])
        log.append(
            attempt(
                rng.randrange(4000),
                user_id=user,
                session_id=session,
                item_id=rng.randrange(20),
                topic_id=rng.choice(["algebra", "geometry", None]),
                correct=rng.choice([True, False, None]),
                response_time_ms=rng.choice([None, 0, 1, 9_049_000, 333]),
                hints_used=rng.choice([None, 0, 2]),
            )
        )
    return log


def test_an_exam_has_the_shape_of_the_contract(database: Engine, tmp_path: Path) -> None:
    rows = [
        attempt(1, item_id=8, correct=False, topic_id=None, response_time_ms=None, hints_used=None),
        attempt(0),
        attempt(2, item_id=9, correct=None, response_time_ms=0, hints_used=0),
    ]
    summary = load_attempt_log(database, [write_log(tmp_path / "log.parquet", rows)])
    assert (summary.attempts, summary.unanswered, summary.exams.inserted, summary.questions.inserted) == (3, 1, 1, 3)
    with database.connect() as connection:
        exam = connection.execute(text("SELECT * FROM exam_results")).one()
    assert (exam.session_id, exam.user_id, exam.status) == ("s1", "ann", "ready")
    assert exam.created_at == exam.updated_at == START + dt.timedelta(minutes=2)
    assert (exam.score_raw, exam.score_scaled) == (1, 50)
    assert exam.result_json == {
        "score": {"raw": 1, "scaled": 50},
        "topics": [
            {"topic": "algebra", "correct": 1, "total": 1, "accuracy": 1.0},
            {"topic": "general", "correct": 0, "total": 1, "accuracy": 0.0},
        ],
        "summary": {"strengths": [], "weaknesses": []},
        "recommendations": [],
        "questions": [
            {
                "question_id": 7,
                "is_correct": True,
                "topic": "algebra",
                "time_spent_sec": 23.333,
                "used_hints": 1,
                "answered_at": "2026-03-02T09:00:00+00:00",
            },
            {"question_id": 8, "is_correct": False, "topic": "general", "answered_at": "2026-03-02T09:01:00+00:00"},
            {
                "question_id": 9,
                "topic": "algebra",
                "time_spent_sec": 0,
                "used_hints": 0,
                "answered_at": "2026-03-02T09:02:00+00:00",
            },
        ],
        "metadata": {"version": "v1", "source": "attempt_log"},
        "ability_estimate": 0.0,
        "standard_error": None,
        "percentile": None,
    }
    assert [(q[0], q[3], q[4]) for q in question_rows(database)] == [
        (7, "algebra", {}),
        (8, None, {}),
        (9, "algebra", {}),
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_loading_twice_touches_no_row(database: Engine, tmp_path: Path, seed: int) -> None:
    rows = [*random_log(seed), attempt(user_id=None), attempt(item_id=None)]
    log = write_log(tmp_path / "log.parquet", rows)
    first = load_attempt_log(database, [log])
    before = exam_rows(database), question_rows(database), row_versions(database)
    second = load_attempt_log(database, [log])
    assert (exam_rows(database), question_rows(database), row_versions(database)) == before
    assert first.exams.inserted > 10
    assert (second.exams.inserted, second.exams.updated, second.questions.updated) == (0, 0, 0)
    assert second.attempts_kept == 0
    assert first.rows_read == first.rows_rejected + first.duplicates + first.attempts


@pytest.mark.parametrize("seed", [3, 4])
def test_row_order_does_not_matter(database: Engine, tmp_path: Path, seed: int) -> None:
    rows = random_log(seed)
    load_attempt_log(database, [write_log(tmp_path / "sorted.parquet", rows)])
    expected = exam_rows(database), question_rows(database)
    with database.begin() as connection:
        connection.execute(text("TRUNCATE exam_results, question"))
    random.Random(seed).shuffle(rows)
    halves = [write_log(tmp_path / f"half{n}.parquet", rows[n::2]) for n in (0, 1)]
    load_attempt_log(database, halves)
    assert (exam_rows(database), question_rows(database)) == expected


def test_a_session_cut_in_two_files_becomes_one_exam(database: Engine, tmp_path: Path) -> None:
    rows = [attempt(minute, item_id=minute) for minute in range(6)]
    whole = write_log(tmp_path / "whole.parquet", rows)
    load_attempt_log(database, [whole])
    expected = [row[:7] for row in exam_rows(database)]
    with database.begin() as connection:
        connection.execute(text("TRUNCATE exam_results"))
    for number, part in enumerate((rows[:3], rows[3:])):
        summary = load_attempt_log(database, [write_log(tmp_path / f"part{number}.parquet", part)])
    assert summary.attempts_kept == 3
    assert [row[:7] for row in exam_rows(database)] == expected
    load_attempt_log(database, [whole])
    assert [row[:7] for row in exam_rows(database)] == expected
    replaced = load_attempt_log(database, [tmp_path / "part0.parquet"], options=LoadOptions(is_replacing=True))
    assert (replaced.exams.updated, replaced.attempts_kept) == (1, 0)


def test_a_changed_answer_replaces_the_old_one_and_moves_updated_at(database: Engine, tmp_path: Path) -> None:
    load_attempt_log(database, [write_log(tmp_path / "a.parquet", [attempt(0), attempt(1, item_id=8)])])
    load_attempt_log(database, [write_log(tmp_path / "b.parquet", [attempt(0, correct=False)])])
    with database.connect() as connection:
        exam = connection.execute(text("SELECT * FROM exam_results")).one()
    assert [q["is_correct"] for q in exam.result_json["questions"]] == [False, True]
    assert exam.created_at == START + dt.timedelta(minutes=1)
    assert exam.updated_at > exam.created_at


def test_a_rescored_answer_survives_the_old_log(database: Engine, tmp_path: Path) -> None:
    rescored_at = START + dt.timedelta(days=3)
    log = write_log(tmp_path / "log.parquet", [attempt(0, correct=False), attempt(1, item_id=8)])
    change = write_log(tmp_path / "change.parquet", [attempt(0, correct=True, rescored_at=rescored_at)])
    load_attempt_log(database, [log])
    load_attempt_log(database, [change])
    changed = exam_rows(database)
    assert changed[0][7] == rescored_at
    assert changed[0][6] == START + dt.timedelta(minutes=1)
    again = load_attempt_log(database, [log])
    assert exam_rows(database) == changed
    assert again.superseded == 1
    with database.begin() as connection:
        connection.execute(text("TRUNCATE exam_results"))
    load_attempt_log(database, [log, change])
    assert exam_rows(database) == changed


def test_of_two_rescorings_the_later_one_stands(database: Engine, tmp_path: Path) -> None:
    logs = [
        write_log(
            tmp_path / f"change{day}.parquet",
            [attempt(0, correct=day == 3, rescored_at=START + dt.timedelta(days=day))],
        )
        for day in (3, 5)
    ]
    for log in (*logs, logs[0]):
        load_attempt_log(database, [log])
    assert exam_rows(database)[0][7] == START + dt.timedelta(days=5)
    with database.connect() as connection:
        questions = connection.execute(text("SELECT result_json -> 'questions' FROM exam_results")).scalar_one()
    assert [question["is_correct"] for question in questions] == [False]


def test_one_session_id_of_two_users_becomes_two_exams(database: Engine, tmp_path: Path) -> None:
    ann = write_log(tmp_path / "ann.parquet", [attempt(0)])
    both = write_log(tmp_path / "both.parquet", [attempt(0), attempt(0, user_id="bob")])
    summary = load_attempt_log(database, [both])
    assert summary.sessions_renamed == 2
    users = {row[1]: row[0] for row in exam_rows(database)}
    assert set(users) == {"ann", "bob"}
    assert all(key.startswith("s1@") for key in users.values())
    load_attempt_log(database, [ann])
    assert {row[1]: row[0] for row in exam_rows(database)} == users


def test_an_exam_of_another_user_is_never_overwritten(database: Engine, tmp_path: Path) -> None:
    load_attempt_log(database, [write_log(tmp_path / "ann.parquet", [attempt(0)])])
    before = exam_rows(database)
    bob = write_log(tmp_path / "bob.parquet", [attempt(0, user_id="bob"), attempt(0)])
    assert load_attempt_log(database, [bob]).sessions_renamed == 1
    assert [row for row in exam_rows(database) if row[1] == "ann"] == before
    assert len(exam_rows(database)) == 2


def test_sessions_are_derived_from_pauses_where_there_are_none(database: Engine, tmp_path: Path) -> None:
    rows = [attempt(minute, item_id=int(minute)) for minute in (0, 30, 61, 62)]
    for row in rows:
        del row["session_id"]
    summary = load_attempt_log(database, [write_log(tmp_path / "log.parquet", rows)])
    assert summary.rows_with_derived_session == 4
    assert [row[0][:17] for row in exam_rows(database)] == ["20260302T090000Z@", "20260302T100100Z@"]


def test_duplicates_and_contradictions_are_one_attempt_and_repeats_are_two(database: Engine, tmp_path: Path) -> None:
    rows = [attempt(0), attempt(0), attempt(0, correct=False), attempt(1)]
    summary = load_attempt_log(database, [write_log(tmp_path / "log.parquet", rows)])
    assert (summary.attempts, summary.duplicates, summary.contradictory) == (2, 1, 1)
    with database.connect() as connection:
        assert (
            connection.execute(
                text("SELECT jsonb_array_length(result_json -> 'questions') FROM exam_results")
            ).scalar_one()
            == 2
        )


def test_existing_questions_keep_all_but_an_empty_topic(database: Engine, tmp_path: Path) -> None:
    with database.begin() as connection:
        connection.execute(
            text("INSERT INTO question (id, content, topic_id) VALUES (7, 'What is x?', ''), (8, 'Why?', 'physics')")
        )
    summary = load_attempt_log(database, [write_log(tmp_path / "log.parquet", [attempt(0), attempt(1, item_id=8)])])
    assert (summary.questions.inserted, summary.questions.updated) == (0, 1)
    assert [(q[1], q[3]) for q in question_rows(database)] == [("What is x?", "algebra"), ("Why?", "physics")]


def test_what_another_program_made_of_an_exam_is_never_fatal(database: Engine, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.parquet", [attempt(0)])
    load_attempt_log(database, [log])
    expected = exam_rows(database)[0][3]
    for questions in (
        '[{"question_id": "q_stub_3", "answered_at": "now"}]',
        '[{"question_id": 1, "used_hints": 1.5, "answered_at": "2026-03-02T09:00:00+00:00"}]',
        '[{"question_id": 1.5, "answered_at": "2026-03-02T09:00:00+00:00"}, 3, null, "x", []]',
        '[{"question_id": 1, "is_correct": "maybe", "answered_at": "2026-03-02T09:00:00+00:00"}]',
        '{"0": 1}',
        "null",
    ):
        with database.begin() as connection:
            connection.execute(
                text("UPDATE exam_results SET result_json = jsonb_set(result_json, '{questions}', :q)"),
                {"q": questions},
            )
        load_attempt_log(database, [log])
        assert exam_rows(database)[0][3] == expected


def test_a_dry_run_reports_and_writes_nothing(database: Engine, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.parquet", [attempt(0), attempt(user_id="")])
    summary = load_attempt_log(database, [log], options=LoadOptions(is_dry_run=True))
    assert (summary.exams.inserted, summary.rows_rejected, summary.is_dry_run) == (1, 1, True)
    assert row_versions(database) == []


def test_a_database_without_tables_says_what_to_run(empty_database: Any, tmp_path: Path) -> None:
    with pytest.raises(
        LoadError, match="lacks the tables exam_results, question, load_rejects, item_number; run `seedtest migrate`"
    ):
        load_attempt_log(create_engine(empty_database), [write_log(tmp_path / "log.parquet", [attempt()])])


KILLED = """
import sys
from sqlalchemy import create_engine
from seedtest_analytics.ingest import load_attempt_log

def stop_at(stage, share, rows=0):
    if stage == sys.argv[3] and (share > 0 or stage == "writing"):
        print("there", flush=True)
        sys.stdin.read()

load_attempt_log(create_engine(sys.argv[1]), [sys.argv[2]], progress=stop_at)
"""


@pytest.mark.parametrize("stage", ["reading", "writing"])
@pytest.mark.parametrize("how", ["client", "server"])
def test_killed_in_the_middle_and_run_again_is_a_clean_load(
    database: Engine, tmp_path: Path, stage: str, how: str
) -> None:
    log = write_log(tmp_path / "log.parquet", random_log(5))
    load_attempt_log(database, [log])
    expected = exam_rows(database), question_rows(database)
    with database.begin() as connection:
        connection.execute(text("TRUNCATE exam_results, question"))
    url = database.url.render_as_string(hide_password=False)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, url, str(log), stage],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"there\n"
    if how == "client":
        process.send_signal(signal.SIGKILL)
    else:
        with database.connect() as connection:
            ended = connection.execute(
                text(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid() "
                    "AND xact_start IS NOT NULL"
                )
            ).scalar_one()
        assert ended == 1
    process.communicate()
    assert process.returncode != 0
    assert exam_rows(database) == []
    load_attempt_log(database, [log])
    assert (exam_rows(database), question_rows(database)) == expected
    assert _temporary_tables(database) == []


def _temporary_tables(engine: Engine) -> list[str]:
    """The server needs a moment to notice a killed client."""
    for _ in range(100):
        with engine.connect() as connection:
            found = list(connection.execute(text("SELECT relname FROM pg_class WHERE relpersistence = 't'")).scalars())
        if not found:
            break
        time.sleep(0.1)
    return found


@pytest.mark.reference
@pytest.mark.parametrize(
    ("name", "exams", "attempts", "questions"),
    [("attempts_assist17_small", 2_804, 90_586, 2_625), ("attempts_ednet_main", 15_008, 338_915, 12_502)],
)
def test_real_logs_load_whole(database: Engine, name: str, exams: int, attempts: int, questions: int) -> None:
    path = shared(f"data/{name}.parquet")
    summary = load_attempt_log(database, [path])
    assert (summary.attempts, summary.exams.inserted, summary.questions.inserted) == (attempts, exams, questions)
    assert (summary.rows_rejected, summary.duplicates) == (0, 0)
    log = pq.read_table(path)
    with database.connect() as connection:
        recorded, correct, seconds = connection.execute(
            text(
                "SELECT count(q -> 'time_spent_sec'), count(*) FILTER (WHERE (q -> 'is_correct')::boolean), "
                "sum((q -> 'time_spent_sec')::numeric) "
                "FROM exam_results, jsonb_array_elements(result_json -> 'questions') AS q"
            )
        ).one()
    times = log["response_time_ms"]
    assert recorded == len(times) - times.null_count
    assert correct == sum(log["correct"].to_pylist())
    assert seconds * 1000 == pa.compute.sum(times).as_py()


def test_rejects_are_those_of_the_last_load_of_a_file(database: Engine, tmp_path: Path) -> None:
    log = tmp_path / "log.parquet"
    load_attempt_log(database, [write_log(log, [attempt(user_id=""), attempt(item_id=None)])])
    assert [row[1:3] for row in reject_rows(database)] == [(1, "user_id_missing"), (2, "item_id_missing")]
    load_attempt_log(database, [write_log(log, [attempt(), attempt(item_id=None)])])
    assert [row[1:3] for row in reject_rows(database)] == [(2, "item_id_missing")]
    assert os.listdir(tmp_path) == ["log.parquet"]
