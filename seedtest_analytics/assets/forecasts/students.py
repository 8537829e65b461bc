"""The expectation of each student's I_t from the student's own earlier weeks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection

from seedtest_analytics.assets.framework.json_text import json_text
from seedtest_analytics.database.publish import copy_frame, create_staging
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK, Week
from seedtest_analytics.stats.forecasts.expectation import expect_students

SQL = "forecasts/series.sql"
MIN_HISTORY = 3
WHY_NOT = f"fewer than {MIN_HISTORY} earlier weeks with I_t"


def stage_expectations(connection: Connection, week: Week, *, lookback_weeks: int) -> int:
    """Fill staged_kpi with I_t_expected and I_t_anomaly; return the number of students with an expectation."""
    first = week.start - (lookback_weeks - 1) * WEEK
    connection.execute(statement(SQL, "stage_students"), {"first_week": first, "week_start": week.start})
    rows = copy_to_arrow(connection, statement(SQL, "student_rows"), dictionaries=("user_id",))
    create_staging(connection, "staged_kpi", columns={"user_id": "text", "kpis": "jsonb"})
    if rows.num_rows == 0:
        return 0
    users = rows["user_id"].combine_chunks()
    values, evidence = _grid(
        users.indices.to_numpy(),
        lookback_weeks - 1 - rows["weeks_ago"].to_numpy(),
        value=_floats(rows, "value"),
        evidence=_floats(rows, "evidence"),
        shape=(len(users.dictionary), lookback_weeks),
    )
    expected, anomaly = _last_week(values, evidence)
    keys = [
        json_text({"I_t_expected": e, "I_t_anomaly": a})
        if e == e
        else json_text({"I_t_expected": None, "I_t_expected_reason": WHY_NOT})
        for e, a in zip(expected.tolist(), anomaly.tolist(), strict=True)
    ]
    frame = pd.DataFrame({"user_id": users.dictionary.to_pylist(), "kpis": keys})
    copy_frame(connection, "staged_kpi", frame=frame)
    return int(np.isfinite(expected).sum())


def _last_week(values: np.ndarray, evidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(U,) expectation of the last week from the weeks before it, and the signed z of its value."""
    if not np.isfinite(values).any():
        nothing = np.full(len(values), np.nan)
        return nothing, nothing
    found = expect_students(values, evidence, min_history=MIN_HISTORY)
    return found.expected[:, -1], found.anomaly[:, -1]


def _grid(
    user: np.ndarray, position: np.ndarray, *, value: np.ndarray, evidence: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """(U, W) values, NaN for a week without one, and their evidence."""
    values, weights = np.full(shape, np.nan), np.zeros(shape)
    values[user, position], weights[user, position] = value, evidence
    return values, weights


def _floats(rows: object, name: str) -> np.ndarray:
    """A column as float64, NULL as NaN."""
    column: np.ndarray = rows[name].cast(pa.float64()).combine_chunks().to_numpy(zero_copy_only=False)  # type: ignore[index]
    return column
