"""A landmark panel from a log of sessions, for benchmarks and tests; in production `sql/churn` builds it."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.survival.panel import LandmarkPanel

Floats = NDArray[np.float64]

PANEL_COVARIATES = (
    "days_since_last",
    "sessions_28d",
    "mean_gap_days_28d",
    "sessions_7d",
    "tenure_days",
    "days_per_session",
)
WINDOW_DAYS = 28.0


@dataclass(frozen=True)
class ActivityLog:
    """Session starts of U users: user ``u`` owns ``start_days[offsets[u]:offsets[u + 1]]``, ascending.

    Days are counted from 1970-01-01 in the platform's time zone, with the time of day as their fraction.
    """

    offsets: NDArray[np.int64]
    start_days: Floats

    @property
    def n_users(self) -> int:
        """Users, including those without a session."""
        return len(self.offsets) - 1


def activity_log(user: ArrayLike, start_days: ArrayLike, *, n_users: int) -> ActivityLog:
    """Sort (N,) sessions, in any order, by user index and time.

    Raises:
        ValueError: for a user outside ``0..n_users-1`` or a time that is missing.
    """
    users, days = np.asarray(user, dtype=np.int64), np.asarray(start_days, dtype=np.float64)
    bad = np.flatnonzero((users < 0) | (users >= n_users) | ~np.isfinite(days))
    if len(bad):
        raise ValueError(
            f"{len(bad)} sessions have no time or a user outside 0..{n_users - 1}: rows {bad[:5].tolist()}"
        )
    order = np.lexsort((days, users))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=n_users))])
    return ActivityLog(offsets.astype(np.int64), days[order])


@numba.njit(cache=True)
def _count_rows(offsets, days, landmarks, max_silence):  # type: ignore[no-untyped-def]
    rows = 0
    for u in range(len(offsets) - 1):
        position = offsets[u]
        for landmark in landmarks:
            while position < offsets[u + 1] and days[position] < landmark:
                position += 1
            if position > offsets[u] and landmark - days[position - 1] <= max_silence:
                rows += 1
    return rows


@numba.njit(cache=True)
def _fill(  # type: ignore[no-untyped-def]
    offsets, days, landmarks, data_end, max_silence, window, user, landmark_day, duration, is_return, columns
):
    row = 0
    for u in range(len(offsets) - 1):
        begin, end = offsets[u], offsets[u + 1]
        position, oldest, oldest_week = begin, begin, begin
        for landmark in landmarks:
            while position < end and days[position] < landmark:
                position += 1
            if position == begin or landmark - days[position - 1] > max_silence:
                continue
            while oldest < position and days[oldest] < landmark - window:
                oldest += 1
            while oldest_week < position and days[oldest_week] < landmark - 7.0:
                oldest_week += 1
            count = position - oldest
            user[row] = u
            landmark_day[row] = landmark
            columns[0, row] = landmark - days[position - 1]
            columns[1, row] = count
            columns[2, row] = (days[position - 1] - days[oldest]) / (count - 1) if count > 1 else np.nan
            columns[3, row] = position - oldest_week
            columns[4, row] = landmark - days[begin]
            columns[5, row] = (landmark - days[begin]) / (position - begin)
            returned = position < end and days[position] < data_end
            is_return[row] = returned
            duration[row] = int(np.floor(days[position])) - landmark + 1 if returned else data_end - landmark
            row += 1


def landmark_panel(
    log: ActivityLog,
    landmark_days: ArrayLike,
    *,
    data_end_day: int,
    max_silence_days: float = float("inf"),
    window_days: float = WINDOW_DAYS,
) -> LandmarkPanel:
    """Build the panel of a log.

    Args:
        log: sessions; those at or after ``data_end_day`` are ignored.
        landmark_days: (L,) whole days; those at or after ``data_end_day`` have no outcome and are left out.
        data_end_day: first day that is not fully observed.
        max_silence_days: students silent for longer at a landmark have no row there (``SURVIVAL_LOOKBACK_DAYS``).
        window_days: length of the window of sessions and gaps.
    """
    landmarks = np.unique(np.asarray(landmark_days, dtype=np.int64))
    landmarks = landmarks[landmarks < data_end_day]
    n = _count_rows(log.offsets, log.start_days, landmarks, max_silence_days)
    user, landmark_day, duration = (np.empty(n, dtype=np.int32) for _ in range(3))
    is_return, columns = np.empty(n, dtype=np.bool_), np.empty((len(PANEL_COVARIATES), n), dtype=np.float32)
    _fill(
        log.offsets,
        log.start_days,
        landmarks,
        data_end_day,
        max_silence_days,
        window_days,
        user,
        landmark_day,
        duration,
        is_return,
        columns,
    )
    covariates = dict(zip(PANEL_COVARIATES, columns, strict=True))
    return LandmarkPanel(
        user,
        landmark_day,
        duration_days=duration,
        is_return=is_return,
        covariates=covariates,
        data_end_day=data_end_day,
    )
