"""Sessions as stored attempts: one attempt a session, for models of activity."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
from sqlalchemy import Engine

from seedtest_analytics.database.publish import copy_frame
from seedtest_analytics.partitions import Week
from seedtest_analytics.resources.postgres import PostgresResource
from tests.stats.survival import simulated

FIRST_MONDAY = dt.date(2025, 1, 6)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def store_sessions(engine: Engine, users: list[str], start_days: np.ndarray, correct: bool = True) -> None:
    """Each (user, days since 1970 in UTC) becomes a session of one attempt."""
    n = len(users)
    at = [EPOCH + dt.timedelta(days=float(day)) for day in start_days]
    exams = [str(uuid.UUID(int=number + 1)) for number in range(n)]
    frame = pd.DataFrame(
        {
            "id": range(n),
            "student_id": [str(uuid.uuid5(uuid.NAMESPACE_OID, u)) for u in users],
            "item_id": [1 + number % 20 for number in range(n)],
            "correct": correct,
            "response_time_ms": 0,
            "hint_used": False,
            "completed_at": at,
            "started_at": at,
            "attempt_no": 1,
            "session_id": [f"s{number}" for number in range(n)],
            "user_id": users,
            "exam_result_id": exams,
            "question_ordinal": 1,
            "is_answered": True,
            "occurrence_no": 1,
        }
    )
    with engine.begin() as connection:
        copy_frame(connection, "attempt_log", frame=frame)


def store_simulated(engine: Engine, n_users: int, seed: int) -> np.ndarray:
    """The cohort of the churn model's own tests from FIRST_MONDAY on; (N,) start days."""
    log, _ = simulated.simulated_log(n_users, seed)
    shift = (FIRST_MONDAY - dt.date(1970, 1, 1)).days - simulated.FIRST_DAY
    owner = np.repeat(np.arange(log.n_users), np.diff(log.offsets))
    days = log.start_days + shift
    store_sessions(engine, [f"u{user:04d}" for user in owner], days)
    return days


def week(number: int, timezone: str = "UTC") -> Week:
    """The closed week ``number`` of the simulated cohort, from 0."""
    start = FIRST_MONDAY + dt.timedelta(days=7 * number)
    end = dt.datetime.combine(start + dt.timedelta(days=7), dt.time(), dt.UTC)
    return Week(start, end, timezone=timezone)


def postgres_of(engine: Engine) -> PostgresResource:
    """The resource on the test's database."""
    return PostgresResource.having(url=engine.url.render_as_string(hide_password=False))


def materialize(engine: Engine, asset: dg.AssetsDefinition, **arguments: Any) -> dg.ExecuteInProcessResult:
    """Materialise one asset on a separate instance; ``raise_on_error`` and the rest as Dagster has them."""
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"postgres": postgres_of(engine)}
        return dg.materialize([asset], instance=instance, resources=resources, **arguments)
