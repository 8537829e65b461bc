"""Which answers a calibration is made of: the filters, the limit and the retakes that were asked for, and no others."""

import logging
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.psychometrics.calibration.week import calibrate_week
from seedtest_analytics.settings import CalibrationSettings, Settings
from tests._database import execute, rows_of
from tests.assets._items import Bank, store_answers, week
from tests.assets._week_runs import outcomes_of

LOG: Any = logging.getLogger(__name__)
BANK = Bank.drawn(24, seed=5)
N_STUDENTS = 120


@pytest.fixture
def answers(database: Engine) -> Engine:
    """Two weeks: students u… answer every item in the first, students v… in the second."""
    BANK.store(database)
    theta = np.random.default_rng(6).normal(0.0, 1.0, N_STUDENTS)
    store_answers(database, BANK, week(0), theta, seed=7)
    store_answers(database, BANK, week(1), theta, seed=8, prefix="v")
    return database


def used(engine: Engine, **settings: Any) -> dict[str, int]:
    """Students, items and answers of a calibration of both weeks."""
    asked = CalibrationSettings(lookback_days=14).overridden_by(settings)
    outcomes_of(engine, week(1), compute=calibrate_week, settings=Settings(calibration=asked), is_dry_run=False)
    (row,) = rows_of(engine, "SELECT model_spec FROM mirt_fit_meta")
    return {name: row["model_spec"][f"n_{name}"] for name in ("persons", "items", "answers")}


def test_everything_is_used_where_nothing_is_asked_for(answers: Engine) -> None:
    assert used(answers) == {"persons": 240, "items": 24, "answers": 240 * 24}


def test_a_topic_is_calibrated_by_its_own_answers_alone(answers: Engine) -> None:
    assert used(answers, topic_id="t1") == {"persons": 240, "items": 8, "answers": 240 * 8}


def test_a_subject_is_calibrated_by_its_own_exams_alone(answers: Engine) -> None:
    execute(answers, "UPDATE attempt_log SET exam_id = CASE WHEN item_id <= 10 THEN 7 ELSE 8 END")
    assert used(answers, subject_id=7) == {"persons": 240, "items": 10, "answers": 240 * 10}


def test_under_a_limit_the_newest_answers_are_kept(answers: Engine) -> None:
    assert used(answers, max_observations=120 * 24)["persons"] == 120
    newest = rows_of(answers, "SELECT user_id FROM attempt_log WHERE completed_at >= :start", start=week(1).start)
    assert {row["user_id"][0] for row in newest} == {"v"}
    execute(answers, "DELETE FROM attempt_log WHERE user_id LIKE 'u%'")
    estimates = "SELECT item_id, params FROM mirt_item_params ORDER BY 1"
    limited = rows_of(answers, estimates)
    used(answers)
    assert rows_of(answers, estimates) == limited


def test_an_unanswered_question_is_missing_and_not_wrong(answers: Engine) -> None:
    execute(answers, "UPDATE attempt_log SET is_answered = false, correct = false WHERE user_id LIKE 'v%'")
    assert used(answers) == {"persons": 120, "items": 24, "answers": 120 * 24}


@pytest.mark.parametrize(("attempts", "retakes"), [("first", 0), ("all", 24)])
def test_retakes_count_where_all_attempts_are_asked_for(answers: Engine, attempts: str, retakes: int) -> None:
    changes = "'id', -id, 'answer_no', 2, 'occurrence_no', 2, 'question_ordinal', 2"
    again = f"jsonb_populate_record(log, jsonb_build_object({changes})) FROM attempt_log AS log WHERE user_id = 'v0'"
    execute(answers, f"INSERT INTO attempt_log SELECT (r).* FROM (SELECT {again}) AS taken(r)")
    assert used(answers, attempts=attempts)["answers"] == 240 * 24 + retakes


ANY_HALF, FIRST_ITEMS = "(item_id + substr(user_id, 2)::integer) % 2 = 0", "item_id <= 12"


@pytest.mark.parametrize(
    ("earlier", "days", "abilities"),
    [(ANY_HALF, 28, 2 * N_STUDENTS), (ANY_HALF, 0, N_STUDENTS), (FIRST_ITEMS, 28, N_STUDENTS)],
)
def test_students_have_an_ability_for_each_month_unless_items_follow_each_other(
    database: Engine, earlier: str, days: int, abilities: int
) -> None:
    BANK.store(database)
    store_answers(database, BANK, week(0), np.random.default_rng(6).normal(0.0, 1.0, N_STUDENTS), seed=7)
    execute(database, f"UPDATE attempt_log SET completed_at = completed_at - INTERVAL '84 days' WHERE {earlier}")
    asked = CalibrationSettings(occasion_days=days)
    outcomes_of(database, week(0), compute=calibrate_week, settings=Settings(calibration=asked), is_dry_run=False)
    (row,) = rows_of(database, "SELECT model_spec FROM mirt_fit_meta")
    assert (row["model_spec"]["n_persons"], row["model_spec"]["n_abilities"]) == (N_STUDENTS, abilities)
    assert row["model_spec"]["occasion_days"] == (28 if abilities > N_STUDENTS else None)


def test_an_anchor_without_a_guessing_parameter_is_an_anchor(answers: Engine) -> None:
    execute(answers, "TRUNCATE question")
    BANK.store(answers, anchors=tuple(range(1, 13)))
    execute(answers, "UPDATE question SET meta = jsonb_set(meta, '{irt,c}', 'null') WHERE id <= 12")
    used(answers)
    (row,) = rows_of(answers, "SELECT model_spec -> 'linking_constants' AS c FROM mirt_fit_meta")
    assert row["c"]["n_anchors_used"] == 12
