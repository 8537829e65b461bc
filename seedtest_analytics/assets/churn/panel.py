"""Landmark panels from the database: all students and weeks for a fit, the population at as_of for scoring."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import DAY, WEEK, Week, monday_of
from seedtest_analytics.stats.survival.panel import LandmarkPanel

PANEL = "churn/panel.sql"
EPOCH = dt.date(1970, 1, 1)
EVER = 1e6
"""Days, longer than any silence."""
COLUMNS = {
    "days_since_last": "days_since_last",
    "sessions_28d": "sessions_28d",
    "mean_gap_days_28d": "mean_gap_days_28d",
    "sessions_7d": "sessions_7d",
    "tenure_days": "tenure_days",
    "days_per_session": "days_per_session",
    "A_t": "a_t",
    "E_t": "e_t",
    "R_t": "r_t",
}
"""Covariate: column of the panel."""


@dataclass(frozen=True)
class ScoredStudents:
    """(n,) students of the population in ascending order, with their covariates at as_of."""

    user_ids: list[str]
    covariates: dict[str, np.ndarray]

    def blocks(self, size: int) -> Iterator[tuple[slice, ScoredStudents]]:
        """Blocks of at most ``size`` students with their positions; one empty block if there are none."""
        for start in range(0, max(len(self.user_ids), 1), size):
            own = slice(start, start + size)
            values = {name: column[own] for name, column in self.covariates.items()}
            yield own, ScoredStudents(self.user_ids[own], values)


def day_number(instant: dt.datetime, zone: ZoneInfo) -> float:
    """Days since 1970-01-01 by the local clock; the time of day is the fraction."""
    local = instant.astimezone(zone).replace(tzinfo=None)
    return (local - dt.datetime.combine(EPOCH, dt.time())) / DAY


def landmarks_of(week: Week, lookback_days: int) -> tuple[dt.date, int]:
    """The last landmark (a Monday) before the day of as_of, and the number of landmarks in the look-back."""
    end = week.as_of.astimezone(ZoneInfo(week.timezone)).date()
    last = monday_of(end - DAY)
    return last, max(1, (last - (end - lookback_days * DAY)) // WEEK + 1)


def load_panel(connection: Connection, week: Week, *, lookback_days: int) -> LandmarkPanel:
    """The panel of the landmarks in the look-back. A student silent for longer than the look-back has no row."""
    last, count = landmarks_of(week, lookback_days)
    end_day = int(day_number(week.as_of, ZoneInfo(week.timezone)))
    times = {"as_of": week.as_of, "timezone": week.timezone}
    connection.execute(statement(PANEL, "sessions"), times)
    connection.execute(statement(PANEL, "know_sessions"))
    connection.execute(
        statement(PANEL, "panel"),
        {
            "anchor_day": (last - EPOCH).days,
            "anchor_week": last - WEEK,
            "n_landmarks": count,
            "data_end_day": end_day,
            "max_silence_days": lookback_days,
        },
    )
    rows = copy_to_arrow(connection, statement(PANEL, "panel_rows"))
    connection.execute(statement(PANEL, "drop_panel"))
    user, landmark, duration = (_array(rows, name) for name in ("user_no", "landmark_day", "duration_days"))
    covariates = {name: _array(rows, column) for name, column in COLUMNS.items()}
    return LandmarkPanel(
        user,
        landmark,
        duration_days=duration,
        is_return=_array(rows, "is_return"),
        covariates=covariates,
        data_end_day=end_day,
    )


def load_scored(connection: Connection, week: Week) -> ScoredStudents:
    """The covariates at as_of of the students in the temporary table ``population``."""
    zone = ZoneInfo(week.timezone)
    day = day_number(week.as_of, zone)
    connection.execute(statement(PANEL, "scored_sessions"), {"as_of": week.as_of, "timezone": week.timezone})
    connection.execute(statement(PANEL, "know_sessions"))
    connection.execute(
        statement(PANEL, "panel"),
        {"anchor_day": day, "anchor_week": week.start, "n_landmarks": 1, "data_end_day": day, "max_silence_days": EVER},
    )
    rows = copy_to_arrow(connection, statement(PANEL, "scored_rows"), dictionaries=("user_id",))
    connection.execute(statement(PANEL, "drop_panel"))
    covariates = {name: _array(rows, column).astype(float) for name, column in COLUMNS.items()}
    return ScoredStudents(rows["user_id"].to_pylist(), covariates)


def _array(rows: pa.Table, name: str) -> np.ndarray:
    """A column as numbers of its own type, NULL as NaN."""
    values: np.ndarray = rows[name].combine_chunks().to_numpy(zero_copy_only=False)
    return values
