"""Landmark panels from the database: for a fit all students and weeks, for scoring the population at as_of."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from seedtest_analytics.partitions import DAY, WEEK, Week, monday_of
from seedtest_analytics.resources.read import copy_to_arrow
from seedtest_analytics.resources.sql_files import statement

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from seedtest_analytics.stats.survival.panel import LandmarkPanel

PANEL = "risk/panel.sql"
EPOCH = dt.date(1970, 1, 1)
EVER = 1e6
"""Days that no silence reaches."""
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
"""Covariate to column of the panel."""


@dataclass(frozen=True)
class ScoredStudents:
    """(n,) students of the population in ascending order and what is known about them at as_of."""

    user_ids: list[str]
    covariates: dict[str, np.ndarray]


def day_number(instant: dt.datetime, zone: ZoneInfo) -> float:
    """Days since 1970-01-01 of the local clock, the time of day as fraction."""
    local = instant.astimezone(zone).replace(tzinfo=None)
    return (local - dt.datetime.combine(EPOCH, dt.time())) / DAY


def landmarks_of(week: Week, lookback_days: int) -> tuple[dt.date, int]:
    """The last landmark (a Monday) before the day of as_of, and how many lie within the look-back."""
    end = week.as_of.astimezone(ZoneInfo(week.timezone)).date()
    last = monday_of(end - DAY)
    return last, max(1, (last - (end - lookback_days * DAY)) // WEEK + 1)


def load_panel(connection: Connection, week: Week, lookback_days: int) -> LandmarkPanel:
    """The panel of the landmarks in the look-back; students silent for longer than it give no row there."""
    import numpy as np

    from seedtest_analytics.stats.survival.panel import LandmarkPanel

    last, count = landmarks_of(week, lookback_days)
    end_day = int(day_number(week.as_of, ZoneInfo(week.timezone)))
    times = {"as_of": week.as_of, "timezone": week.timezone}
    connection.execute(statement(PANEL, "sessions"), times)
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
    user, landmark, duration = (
        _numbers(rows, name).astype(np.int32) for name in ("user_no", "landmark_day", "duration_days")
    )
    return LandmarkPanel(
        user, landmark, duration, _numbers(rows, "is_return") > 0, _covariates(rows, "float32"), end_day
    )


def load_scored(connection: Connection, week: Week) -> ScoredStudents:
    """What is known at as_of about the students in the temporary table ``population``."""
    zone = ZoneInfo(week.timezone)
    day = day_number(week.as_of, zone)
    connection.execute(statement(PANEL, "scored_sessions"), {"as_of": week.as_of, "timezone": week.timezone})
    connection.execute(
        statement(PANEL, "panel"),
        {
            "anchor_day": day,
            "anchor_week": week.start,
            "n_landmarks": 1,
            "data_end_day": day,
            "max_silence_days": EVER,
        },
    )
    rows = copy_to_arrow(connection, statement(PANEL, "scored_rows"), dictionaries=("user_id",))
    connection.execute(statement(PANEL, "drop_panel"))
    return ScoredStudents(rows["user_id"].to_pylist(), _covariates(rows, "float64"))


def _covariates(rows: pa.Table, dtype: str) -> dict[str, Any]:
    return {name: _numbers(rows, column).astype(dtype) for name, column in COLUMNS.items()}


def _numbers(rows: pa.Table, name: str) -> np.ndarray:
    """A column as float64, NULL as NaN."""
    import pyarrow as pa

    values: np.ndarray = rows[name].cast(pa.float64()).combine_chunks().to_numpy(zero_copy_only=False)
    return values
