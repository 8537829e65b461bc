"""An attempt with several topics: in each of its topics where a topic stands alone, once in every total."""

import datetime as dt

import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.assets.attempts.sync import sync_attempts
from seedtest_analytics.assets.psychometrics.answers import load_answers
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.settings import CalibrationSettings
from tests._database import execute, rows_of
from tests._exams import Exam, question, store
from tests.assets._items import week
from tests.assets.test_features import compute

MONDAY = week(0).start
AT = dt.datetime.combine(MONDAY, dt.time(12), dt.UTC)
TOPICS = ("algebra", "geometry")


def exam(is_doubled: bool, user: str = "kim") -> Exam:
    """Three answers: one about two topics, one about each; as one element for each topic if ``is_doubled``."""
    more = {"answered_at": AT.isoformat(), "used_hints": 1}
    both = (
        tuple(question(1, topic=topic, **more) for topic in TOPICS)
        if is_doubled
        else (question(1, topic=None, topics=list(TOPICS), **more),)
    )
    return Exam((*both, question(2, topic="algebra", is_correct=False), question(3, topic="geometry")), user, AT)


@pytest.fixture(params=[False, True], ids=["one element", "one for each topic"])
def three_answers(database: Engine, request: pytest.FixtureRequest) -> Engine:
    store(database, exam(request.param))
    sync_attempts(database, week(0).as_of, timezone="UTC")
    compute(database, MONDAY, MONDAY)
    return database


def test_each_topic_counts_its_answers_and_the_totals_count_each_once(three_answers: Engine) -> None:
    rows = rows_of(
        three_answers,
        "SELECT topic_id, attempts, correct, hints, attempts_once, correct_once, hints_once FROM features_topic_daily "
        "ORDER BY topic_id",
    )
    assert [tuple(row.values()) for row in rows] == [("algebra", 2, 1, 1, 2, 1, 1), ("geometry", 2, 2, 1, 1, 1, 0)]
    window = {"first_day": MONDAY, "last_day": MONDAY, "from_at": week(0).days_before(7), "to_at": week(0).as_of}
    with three_answers.connect() as connection:
        assert connection.execute(statement("features/report.sql", "unexplained"), window).scalar_one() == 0


def test_a_student_is_scored_by_three_answers_and_each_topic_by_its_two(three_answers: Engine) -> None:
    with three_answers.connect() as connection:
        window = {"from_at": week(0).days_before(7), "as_of": week(0).as_of}
        connection.execute(statement("psychometrics/responses.sql", "overall"), window)
        overall = connection.execute(statement("psychometrics/responses.sql", "overall_rows")).all()
        topics = connection.execute(statement("psychometrics/responses.sql", "topic_rows")).all()
    assert [row.item_id for row in overall] == [1, 2, 3]
    assert [(row.topic_id, row.item_id) for row in topics] == [
        ("algebra", 1), ("algebra", 2), ("geometry", 1), ("geometry", 3),
    ]  # fmt: skip


@pytest.mark.parametrize(("topic", "items"), [("algebra", [1, 2]), ("geometry", [1, 3]), ("logic", None)])
def test_a_calibration_of_a_topic_has_every_answer_about_it(
    three_answers: Engine, topic: str, items: list[int] | None
) -> None:
    with three_answers.connect() as connection:
        found = load_answers(connection, week(0), settings=CalibrationSettings(topic_id=topic, lookback_days=7))
    assert (sorted(found.data.item_ids.tolist()) if found else None) == items


def test_the_mixed_model_has_each_answer_once(three_answers: Engine) -> None:
    parameters = {
        "from_at": week(0).days_before(7),
        "as_of": week(0).as_of,
        "first_monday": MONDAY,
        "timezone": "UTC",
        "min_observations": 1,
        "max_students": 100,
    }
    with three_answers.connect() as connection:
        connection.execute(statement("growth/topic_weeks.sql", "stage"), parameters)
        rows = connection.execute(statement("growth/topic_weeks.sql", "rows")).all()
    assert sum(row.attempts for row in rows) == 3


def test_a_log_of_rows_by_topic_gives_the_kpis_of_the_log_without_them(database: Engine) -> None:
    """The population's statements: the same numbers for a student whose answers came once for each topic."""
    for user, is_doubled in (("once", False), ("doubled", True)):
        store(database, exam(is_doubled, user))
    sync_attempts(database, week(0).as_of, timezone="UTC")
    window = {
        "week_start": MONDAY,
        "as_of": week(0).as_of,
        **{f"days_{n}": week(0).days_before(n) for n in (14, 28, 56)},
    }
    for name in ("I_t", "A_t", "R_t", "E_t"):
        prepared = statement(f"kpis/{name}.sql")
        given = {key: window.get(key, False) for key in prepared.compile().params}
        with database.begin() as connection:
            connection.execute(
                text("CREATE TEMP TABLE population ON COMMIT DROP AS SELECT DISTINCT user_id FROM attempt")
            )
            connection.execute(prepared, given)
            rows = dict(connection.execute(text("SELECT user_id, kpis FROM staged_kpi")).tuples().all())
        assert rows["once"] == rows["doubled"], name


def test_a_stored_attempt_of_an_earlier_release_has_its_one_topic(database: Engine) -> None:
    store(database, exam(False))
    sync_attempts(database, week(0).as_of, timezone="UTC")
    execute(database, "UPDATE attempt_log SET topic_ids = NULL WHERE item_id = 2")
    assert rows_of(database, "SELECT topic_ids FROM attempt WHERE item_id = 2") == [{"topic_ids": ["algebra"]}]
