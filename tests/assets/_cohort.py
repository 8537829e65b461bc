"""Random cohorts whose attempts lie on and beside every edge of the KPIs' windows, and ways to store them."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, text

from tests.assets._kpi_reference import Ability, Attempt, days_before

EDGES = (0, 14, 28, 56, 90)
MICROSECOND = dt.timedelta(microseconds=1)
NAMES = ["kim", "lee", "O'Brien; --", "한글", "<b>", "a|b", "park", "choi", "jung", "%s", "Zoë", "-" * 36]


def random_cohort(rng: random.Random, as_of: dt.datetime, zone: str, n_students: int = 12) -> list[Attempt]:
    """Attempts of students who are busy, rare, long gone, new or without recorded times, some after ``as_of``."""
    attempts: list[Attempt] = []
    for name in NAMES[:n_students]:
        n_sessions = rng.choice([0, 1, 1, 2, 4, 9, 20])
        has_times, has_hints = rng.random() < 0.8, rng.random() < 0.7
        reach = rng.choice([16, 40, 70, 120])
        for number in range(n_sessions):
            start = _instant(rng, as_of, zone, reach)
            for position in range(rng.choice([1, 1, 3, 8])):
                attempts.append(
                    Attempt(
                        name,
                        rng.randrange(8),
                        start + dt.timedelta(seconds=37 * position),
                        f"{name}/{number}",
                        rng.choice([True, True, False, None]),
                        rng.choice([0.0, 5.0, 20.0, 61.5, 900.0, None]) if has_times else None,
                        rng.choice([0, 0, 1, 4]) if has_hints else None,
                        rng.choice(["algebra", "geometry", None]),
                    )
                )
    return sorted(attempts, key=lambda a: a.at)


def _instant(rng: random.Random, as_of: dt.datetime, zone: str, reach_days: int) -> dt.datetime:
    if rng.random() < 0.5:
        edge = days_before(as_of, rng.choice(EDGES), zone)
        return edge + rng.choice([-1, 0, 1]) * MICROSECOND
    return as_of - dt.timedelta(seconds=rng.uniform(-10 * 86_400, reach_days * 86_400))


def store_attempts(engine: Engine, attempts: Sequence[Attempt], first_ordinal: int = 1) -> None:
    """Put the attempts into the log as the sync would, one exam a session."""
    numbers: dict[tuple[str, int], int] = {}
    rows = []
    for ordinal, a in enumerate(attempts, first_ordinal):
        pair = (a.user_id, a.item_id)
        numbers[pair] = numbers.get(pair, 0) + 1
        rows.append(
            {
                "id": ordinal,
                "student": uuid.uuid5(uuid.NAMESPACE_OID, a.user_id),
                "item": a.item_id,
                "correct": a.correct is True,
                "answered": a.correct is not None,
                "at": a.at,
                "no": numbers[pair],
                "session": a.session,
                "topic": a.topic,
                "user": a.user_id,
                "ms": None if a.seconds is None else a.seconds * 1000,
                "hints": a.hints,
                "ordinal": ordinal,
                "exam": uuid.uuid5(uuid.NAMESPACE_OID, a.session),
            }
        )
    if rows:
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO attempt_log (id, student_id, item_id, correct, response_time_ms, hint_used, "
                    "completed_at, started_at, attempt_no, session_id, topic_id, user_id, exam_result_id, "
                    "question_ordinal, is_answered, recorded_time_ms, hints_used, occurrence_no) VALUES "
                    "(:id, :student, :item, :correct, COALESCE(CAST(:ms AS float8), 0), "
                    "COALESCE(CAST(:hints AS integer), 0) > 0, :at, :at, :no, "
                    ":session, :topic, :user, :exam, :ordinal, :answered, :ms, :hints, 1)"
                ),
                rows,
            )


def random_abilities(rng: random.Random, attempts: Sequence[Attempt]) -> dict[str, Ability]:
    """An ability for most students."""
    names = sorted({a.user_id for a in attempts})
    return {name: Ability(rng.gauss(0, 1), rng.uniform(0.05, 0.9)) for name in names if rng.random() < 0.8}


def store_abilities(engine: Engine, abilities: dict[str, Ability], week_start: dt.date, fitted_at: dt.datetime) -> None:
    """Rows of mirt_ability for one week."""
    rows: list[dict[str, Any]] = [
        {"user": user, "theta": a.theta, "se": a.se, "n": a.n, "week": week_start, "at": fitted_at}
        for user, a in abilities.items()
    ]
    if rows:
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO mirt_ability (user_id, theta, se, version, fitted_at, week_start, n_answers) "
                    "VALUES (:user, :theta, :se, CAST(:week AS text), :at, :week, :n)"
                ),
                rows,
            )


def store_windows(
    engine: Engine,
    abilities: dict[str, Ability],
    week_start: dt.date,
    name: str,
    edges: tuple[dt.datetime, dt.datetime],
) -> None:
    """Rows of ability_window for one week and window, of a calibration whose population is N(0, 1)."""
    rows: list[dict[str, Any]] = [
        {
            "user": user,
            "theta": a.theta,
            "se": a.se,
            "n": a.n,
            "week": week_start,
            "name": name,
            "first": edges[0],
            "last": edges[1],
        }
        for user, a in abilities.items()
    ]
    if rows:
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO mirt_fit_meta (run_id, model_spec, metrics, fitted_at, week_start, version, is_usable, "
                    "data_fingerprint) VALUES ('r', '{}', '{\"group_mean\": 0, \"group_sd\": 1}', :at, :week, 'v', true, "
                    "md5('r')::uuid) ON CONFLICT DO NOTHING"
                ),
                {"at": edges[1], "week": week_start},
            )
            connection.execute(
                text(
                    "INSERT INTO ability_window (user_id, week_start, window_name, window_start_at, window_end_at, "
                    "theta, se, n_answers, run_id) VALUES (:user, :week, :name, :first, :last, :theta, :se, :n, 'r')"
                ),
                rows,
            )
