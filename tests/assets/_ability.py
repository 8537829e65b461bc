"""Simulated cohorts of ability over time, as stored attempts and a stored calibration."""

from __future__ import annotations

import datetime as dt
import json
import uuid

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from seedtest_analytics.database.publish import copy_frame
from seedtest_analytics.partitions import Week
from tests._database import execute
from tests.assets._items import week
from tests.stats.ability._simulation import Cohort

ORIGIN = week(0).start


def store_cohort(engine: Engine, cohort: Cohort, *, chosen: np.ndarray | None = None) -> None:
    """The answers as attempts from the first Monday on; ``chosen`` (n_answers,) keeps some of them."""
    answers = cohort.answers
    keep = np.flatnonzero(np.ones(len(answers), dtype=bool) if chosen is None else chosen)
    n = len(keep)
    start = dt.datetime.combine(ORIGIN, dt.time(), dt.UTC)
    instants = [start + dt.timedelta(days=float(day)) for day in answers.day[keep]]
    users = [f"u{code:04}" for code in answers.student[keep]]
    frame = pd.DataFrame(
        {
            "id": keep + 1,
            "student_id": [str(uuid.uuid5(uuid.NAMESPACE_OID, user)) for user in users],
            "item_id": answers.item[keep].astype(np.int64) + 1,
            "correct": answers.correct[keep] == 1,
            "response_time_ms": 0,
            "hint_used": False,
            "completed_at": instants,
            "started_at": instants,
            "attempt_no": 1,
            "session_id": [f"{user}/{instant.date()}" for user, instant in zip(users, instants, strict=True)],
            "user_id": users,
            "topic_id": [f"t{code}" for code in answers.topic[keep]],
            "exam_result_id": [str(uuid.UUID(int=int(k) + 1)) for k in keep],
            "question_ordinal": 1,
            "is_answered": True,
            "answer_no": pd.Series(0, range(n)).groupby([answers.student[keep], answers.item[keep]]).cumcount() + 1,
            "occurrence_no": np.arange(n) + 1,
        }
    )
    with engine.begin() as connection:
        copy_frame(connection, "attempt_log", frame=frame)


def store_calibration(engine: Engine, at: Week, difficulty: np.ndarray, run_id: str = "run-1") -> None:
    """A usable Rasch calibration with exact difficulties."""
    execute(
        engine,
        "INSERT INTO mirt_fit_meta (run_id, model_spec, metrics, fitted_at, week_start, version, is_usable, data_fingerprint) "
        "VALUES (:run_id, CAST(:spec AS jsonb), CAST(:metrics AS jsonb), :at, :week, 'v1', true, :fingerprint)",
        {
            "run_id": run_id,
            "spec": json.dumps({"model": "Rasch", "scale_origin": "own"}),
            "metrics": json.dumps({"group_mean": 0.0, "group_sd": 1.0}),
            "at": at.as_of,
            "week": at.start,
            "fingerprint": uuid.UUID(int=1),
        },
    )
    frame = pd.DataFrame(
        {
            "run_id": run_id,
            "item_id": [str(item + 1) for item in range(len(difficulty))],
            "model": "Rasch",
            "a": 1.0,
            "b": difficulty,
            "se_b": 0.0,
            "n_responses": 100,
            "is_anchor": False,
            "week_start": at.start,
        }
    )
    with engine.begin() as connection:
        copy_frame(connection, "mirt_item_params_history", frame=frame)
