"""A cohort with known lines, answered on items with known parameters, as the growth assets find it."""

import datetime as dt
import uuid
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from seedtest_analytics.database.publish import copy_frame
from seedtest_analytics.partitions import Week, week_at
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import PlatformSettings
from tests._database import execute

FIRST_MONDAY = dt.date(2026, 1, 5)
LAST_WEEK = dt.date(2026, 2, 23)
N_WEEKS = 8
NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Truth:
    """Per student: name, level in week 0 and gain a week (logits)."""

    users: np.ndarray
    level: np.ndarray
    gain: np.ndarray


def week_of(monday: dt.date = LAST_WEEK, zone: str = "UTC", now: dt.datetime = NOW) -> Week:
    return week_at(monday, now, platform=PlatformSettings().overridden_by({"timezone": zone}))


def postgres_of(engine: Engine) -> PostgresResource:
    return PostgresResource.having(url=engine.url.render_as_string(hide_password=False))


def store_answers(engine: Engine, answers: pd.DataFrame) -> None:
    """Rows user_id, item_id, correct, completed_at and topic_id into the attempt log; order decides answer_no."""
    frame = answers.reset_index(drop=True)
    number = frame.groupby(["user_id", "item_id"]).cumcount() + 1
    users = {user: str(uuid.uuid5(uuid.NAMESPACE_OID, user)) for user in frame["user_id"].unique()}
    rows = pd.DataFrame(
        {
            "id": np.arange(1, len(frame) + 1),
            "student_id": frame["user_id"].map(users),
            "item_id": frame["item_id"],
            "correct": frame["correct"].astype(bool),
            "response_time_ms": 0,
            "hint_used": False,
            "completed_at": frame["completed_at"].map(lambda at: at.isoformat()),
            "started_at": frame["completed_at"].map(lambda at: at.isoformat()),
            "attempt_no": number,
            "answer_no": number,
            "session_id": "s",
            "topic_id": frame["topic_id"],
            "user_id": frame["user_id"],
            "exam_result_id": frame["user_id"].map(users),
            "question_ordinal": np.arange(1, len(frame) + 1),
            "is_answered": True,
            "occurrence_no": 1,
        }
    )
    with engine.begin() as connection:
        copy_frame(connection, "attempt_log", frame=rows)


def store_calibration(engine: Engine, difficulty: np.ndarray, week_start: dt.date = FIRST_MONDAY) -> None:
    """A usable Rasch calibration of items 1, 2, … on a N(0, 1) population."""
    execute(
        engine,
        "INSERT INTO mirt_fit_meta (run_id, model_spec, metrics, fitted_at, week_start, version, is_usable, "
        'data_fingerprint) VALUES (\'irt\', \'{"model": "Rasch", "scale_origin": "own"}\', '
        "'{\"group_mean\": 0.0, \"group_sd\": 1.0}', :at, :week, 'v', true, gen_random_uuid())",
        {"at": dt.datetime(2026, 1, 5, tzinfo=dt.UTC), "week": week_start},
    )
    execute(
        engine,
        "INSERT INTO mirt_item_params_history (run_id, item_id, model, a, b, c, n_responses, is_anchor, week_start) "
        "VALUES ('irt', :item, 'Rasch', 1, :b, 0, 100, false, :week)",
        [{"item": str(n), "b": float(b), "week": week_start} for n, b in enumerate(difficulty, 1)],
    )


def store_cohort(
    engine: Engine, n_students: int = 60, n_weeks: int = N_WEEKS, answers_a_week: int = 12, seed: int = 1
) -> Truth:
    """Students on lines, some weeks missed; every item is met once by a student."""
    rng = np.random.default_rng(seed)
    level, gain = rng.normal(0.2, 1.0, n_students), rng.normal(0.1, 0.2, n_students)
    users = np.array([f"student {n:03d}" for n in range(n_students)], dtype=object)
    # The same difficulties each week, so that shares of right answers grow as abilities do.
    difficulty = np.tile(np.linspace(-1.2, 1.2, answers_a_week), N_WEEKS)
    store_calibration(engine, difficulty)
    student, week, slot = np.meshgrid(
        np.arange(n_students), np.arange(n_weeks), np.arange(answers_a_week), indexing="ij"
    )
    is_active = (rng.random((n_students, n_weeks)) < 0.85)[..., None]
    item = week * answers_a_week + slot
    chance = 1 / (1 + np.exp(-(level[student] + gain[student] * week - difficulty[item])))
    correct = rng.random(chance.shape) < chance
    kept = np.broadcast_to(is_active, chance.shape).ravel()
    monday = dt.datetime.combine(FIRST_MONDAY, dt.time(10), dt.UTC)
    at = [
        monday + dt.timedelta(days=7 * int(w) + 1 + int(s) % 5, minutes=int(s))
        for w, s in zip(week.ravel()[kept], slot.ravel()[kept], strict=True)
    ]
    frame = pd.DataFrame(
        {
            "user_id": users[student.ravel()[kept]],
            "item_id": item.ravel()[kept] + 1,
            "correct": correct.ravel()[kept],
            "completed_at": at,
            "topic_id": np.array(["algebra", "geometry", "logic"])[slot.ravel()[kept] % 3],
        }
    )
    store_answers(engine, frame)
    return Truth(users, level, gain)


def store_goal(engine: Engine, user: str, topic: str, target: float, priority: int = 0, **columns: object) -> None:
    execute(
        engine,
        "INSERT INTO interest_goal (user_id, topic_id, target_level, priority, created_at, target_date) "
        "VALUES (:user, :topic, :target, :priority, :created_at, CAST(:target_date AS date))",
        {
            "user": user,
            "topic": topic,
            "target": target,
            "priority": priority,
            "created_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            "target_date": None,
            **columns,
        },
    )
