"""Weekly landmarks: what was known about a student at a week's end, and how many days passed until the
return.

One row for each landmark at which a student is known (had a session before it). Nothing at or after the
landmark enters the covariates; nothing at or after the end of the data enters the outcome. Whole days: a
student who has a session on the landmark's own day (the first day after the week) returned on day 1, so
``duration_days > H`` is exactly "silent for the next H days". The last observed day is ``data_end_day - 1``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

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
        """Users, with those who never had a session."""
        return len(self.offsets) - 1


@dataclass(frozen=True)
class LandmarkPanel:
    """R rows in the order of user and landmark.

    ``user`` (R,) index of the user; ``landmark_day`` (R,); ``duration_days`` (R,) whole days until the return
    or, where ``is_return`` is False, observed without one; ``covariates`` named (R,) columns, NaN where not
    defined.
    """

    user: NDArray[np.int32]
    landmark_day: NDArray[np.int32]
    duration_days: NDArray[np.int32]
    is_return: NDArray[np.bool_]
    covariates: Mapping[str, NDArray[np.float32]]
    data_end_day: int

    def __len__(self) -> int:
        return len(self.user)

    def with_covariates(self, **columns: ArrayLike) -> LandmarkPanel:
        """The panel with further (R,) columns known at the landmarks, such as A_t, E_t and R_t of the week
        that ended.
        """
        added = {name: np.asarray(values, dtype=np.float32) for name, values in columns.items()}
        wrong = [name for name, values in added.items() if values.shape != self.user.shape]
        if wrong:
            raise ValueError(f"covariates {wrong} need one value for each of the panel's {len(self)} rows")
        return replace(self, covariates={**self.covariates, **added})

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> LandmarkPanel:
        """The chosen rows."""
        return replace(
            self,
            user=self.user[rows],
            landmark_day=self.landmark_day[rows],
            duration_days=self.duration_days[rows],
            is_return=self.is_return[rows],
            covariates={name: values[rows] for name, values in self.covariates.items()},
        )

    def stopped_at(self, follow_up_days: int) -> LandmarkPanel:
        """The panel with every row censored ``follow_up_days`` after its landmark."""
        beyond = self.duration_days > follow_up_days
        return replace(
            self,
            duration_days=np.minimum(self.duration_days, follow_up_days).astype(np.int32),
            is_return=self.is_return & ~beyond,
        )

    def outcome_at(self, horizon_days: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(R,) whether silence over the horizon can be judged, and whether it was silence (meaningful where
        judged).
        """
        judged = self.landmark_day + horizon_days <= self.data_end_day
        return judged, ~(self.is_return & (self.duration_days <= horizon_days))


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
def _count_rows(offsets, days, landmarks, max_silence):  # type: ignore[no-untyped-def]  # noqa: PLR0917
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
def _fill(  # type: ignore[no-untyped-def]  # noqa: PLR0913, PLR0917
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
        log: sessions; those at or after ``data_end_day`` are not looked at.
        landmark_days: (L,) whole days; those at or after ``data_end_day`` have nothing to observe and are
            left out.
        data_end_day: first day that is not fully observed.
        max_silence_days: students silent for longer at a landmark give no row there
            (``SURVIVAL_LOOKBACK_DAYS``).
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


ACTIVE, STOPPED, NEVER_STARTED = "active", "stopped", "never started"


def activity_states(days_since_last: ArrayLike, stopped_after_days: float) -> NDArray[np.str_]:
    """State of each student from the days since the last session: NaN is "never started"."""
    days = np.asarray(days_since_last, dtype=np.float64)
    known = np.where(days >= stopped_after_days, STOPPED, ACTIVE)
    return np.asarray(np.where(np.isnan(days), NEVER_STARTED, known))
