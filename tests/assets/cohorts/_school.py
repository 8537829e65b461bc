"""A small school in the tables, with known answers: two classes that are large enough, one of a single student."""

from __future__ import annotations

import datetime as dt
import json
import random
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from tests._database import execute

WEEK = dt.date(2026, 3, 2)
AS_OF = dt.datetime(2026, 3, 9, tzinfo=dt.UTC)
TOPICS = ("Fractions", "Angles")
ITEMS = {number: (1.0 + 0.1 * (number % 3), -1.0 + 0.25 * number) for number in range(1, 9)}
"""Discrimination and difficulty of each item."""
SEED = 20260302


@dataclass(frozen=True)
class Answer:
    """An answer of a student."""

    user: str
    item: int
    topic: str
    at: dt.datetime
    is_right: bool


@dataclass(frozen=True)
class School:
    """What was stored. ``levels`` are by student and Monday; those of the topics are 0.3 higher in Angles."""

    classes: dict[str, tuple[str, ...]]
    without_class: tuple[str, ...]
    answers: tuple[Answer, ...]
    levels: dict[tuple[str, dt.date], float]

    @property
    def users(self) -> tuple[str, ...]:
        return (*[user for members in self.classes.values() for user in members], *self.without_class)

    def of(self, users: tuple[str, ...], *, days: int) -> list[Answer]:
        """The answers of these students in the last ``days`` days of the week."""
        since = AS_OF - dt.timedelta(days=days)
        return [a for a in self.answers if a.user in users and a.at >= since]


def monday(weeks_ago: int) -> dt.date:
    return WEEK - dt.timedelta(weeks=weeks_ago)


def drawn() -> School:
    """Random(SEED): eight weeks of answers; the last student of each class is silent in the week."""
    draw = random.Random(SEED)
    classes = {"c-1": tuple(f"one-{n}" for n in range(7)), "c-2": tuple(f"two-{n}" for n in range(6)), "c-3": ("lone",)}
    without = tuple(f"free-{n}" for n in range(5))
    users = [user for members in classes.values() for user in members] + list(without)
    levels = {(user, monday(w)): draw.gauss(0.1 * (8 - w), 0.6) for user in users for w in range(9)}
    answers = []
    silent = {"one-6", "two-5"}
    for user in users:
        for weeks_ago in range(8):
            if user in silent and weeks_ago == 0:
                continue
            for n in range(6):
                day = dt.datetime.combine(monday(weeks_ago), dt.time(9, n), dt.UTC) + dt.timedelta(days=n)
                answers.append(Answer(user, draw.randint(1, 8), draw.choice(TOPICS), day, draw.random() < 0.6))
    return School(classes, without, tuple(answers), levels)


def store(engine: Engine, school: School) -> None:
    """Put the school into the tables that the pages read."""
    org = {"c-1": "17", "c-2": "17", "c-3": "17"}
    for class_id in school.classes:
        execute(
            engine,
            "INSERT INTO classroom (id, org_id, name, grade) VALUES (:id, :org, :name, 9)",
            {"id": class_id, "org": org[class_id], "name": f"Class {class_id[-1]}"},
        )
    class_of = {user: class_id for class_id, members in school.classes.items() for user in members}
    execute(
        engine,
        "INSERT INTO session (id, user_id, classroom_id) VALUES (:id, :user, :class)",
        [{"id": f"s-{user}", "user": user, "class": class_of.get(user)} for user in school.users],
    )
    store_answers(engine, school.answers)
    store_features(engine, school)
    weeks = [{"user": user, "week": WEEK, "kpis": json.dumps(_kpis(school, user))} for user in school.users]
    execute(
        engine, "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES (:user, :week, CAST(:kpis AS jsonb))", weeks
    )
    store_levels(engine, school)
    store_items(engine)
    execute(
        engine,
        "INSERT INTO report_artifacts (user_id, week_start, format, url, language, advice, needs_help) "
        "VALUES (:user, :week, 'html', :url, 'en', CAST(:advice AS jsonb), :help)",
        [
            {
                "user": user,
                "week": WEEK,
                "url": f"file:///store/reports/{user}/{WEEK}/report.html",
                "advice": json.dumps([step_of(user)]),
                "help": needs_help(user),
            }
            for user in school.users
        ],
    )


def step_of(user: str) -> dict[str, Any]:
    """The first advice of each student."""
    if user in ("one-6", "two-5"):
        return {"rule": "no_answers", "tone": "do", "values": {}}
    return {"rule": "weak_topic", "tone": "do", "values": {"topic": TOPICS[len(user) % 2]}}


def needs_help(user: str) -> bool:
    return user in ("one-6", "two-5", "one-0", "lone")


def _kpis(school: School, user: str) -> dict[str, Any]:
    days = (AS_OF - max(a.at for a in school.answers if a.user == user)).total_seconds() / 86_400
    return {
        "A_t": 0.5,
        "S_days_silent": days,
        "S_state": "active",
        "S_reason_codes": [
            {"raises_risk": True, "parts": [{"covariate": "sessions_7d", "value": 0.0, "typical": 2.0}]}
        ],
    }


def store_answers(engine: Engine, answers: tuple[Answer, ...]) -> None:
    execute(
        engine,
        "INSERT INTO attempt_log (id, student_id, item_id, correct, response_time_ms, hint_used, completed_at, started_at, "
        "attempt_no, session_id, topic_id, user_id, exam_result_id, question_ordinal, org_id, is_answered, occurrence_no) "
        "VALUES (:id, :student, :item, :correct, 0, false, :at, :at, 1, :session, :topic, :user, :exam, :id, 17, true, 1)",
        [
            {
                "id": number,
                "student": uuid.uuid5(uuid.NAMESPACE_OID, a.user),
                "item": a.item,
                "correct": a.is_right,
                "at": a.at,
                "session": f"s-{a.user}",
                "topic": a.topic,
                "user": a.user,
                "exam": uuid.uuid5(uuid.NAMESPACE_OID, a.user),
            }
            for number, a in enumerate(answers, start=1)
        ],
    )


def store_features(engine: Engine, school: School) -> None:
    days: dict[tuple[str, str, dt.date], list[bool]] = {}
    for a in school.answers:
        days.setdefault((a.user, a.topic, a.at.date()), []).append(a.is_right)
    execute(
        engine,
        "INSERT INTO features_topic_daily (user_id, topic_id, date, attempts, correct) VALUES (:u, :t, :d, :n, :r)",
        [{"u": u, "t": t, "d": d, "n": len(found), "r": sum(found)} for (u, t, d), found in days.items()],
    )


def store_levels(engine: Engine, school: School) -> None:
    rows = [{"u": user, "w": week, "level": level, "at": AS_OF} for (user, week), level in school.levels.items()]
    execute(
        engine,
        "INSERT INTO ability_state (user_id, week_start, level, se, slope, slope_se, level_slope_covariance, change, "
        "change_se, n_answers, answered_at, fitted_at) VALUES (:u, :w, :level, 0.3, 0, 0.1, 0, 0, 0.1, 9, :at, :at)",
        rows,
    )
    execute(
        engine,
        "INSERT INTO ability_topic_state (user_id, topic_id, week_start, deviation, deviation_se, ability, se, n_answers, "
        "answered_at, fitted_at) VALUES (:u, 'Angles', :w, 0.3, 0.1, :level + 0.3, 0.3, 9, :at, :at)",
        rows,
    )


def store_items(engine: Engine) -> None:
    spec = {"model": "2PL", "scale_origin": "own", "n_items": len(ITEMS), "keeps_parameters": True}
    execute(
        engine,
        "INSERT INTO mirt_fit_meta (run_id, model_spec, metrics, fitted_at, week_start, version, is_usable, data_fingerprint) "
        "VALUES ('run', CAST(:spec AS jsonb), '{}', :at, :week, 'v1', true, :print)",
        {"spec": json.dumps(spec), "at": AS_OF, "week": WEEK, "print": uuid.UUID(int=1)},
    )
    execute(
        engine,
        "INSERT INTO mirt_item_params_history (run_id, item_id, model, a, b, n_responses, is_anchor, week_start) "
        "VALUES ('run', :item, '2PL', :a, :b, 100, false, :week)",
        [{"item": str(item), "a": a, "b": b, "week": WEEK} for item, (a, b) in ITEMS.items()],
    )
